//! The handle on the views: every question that HTTP and CLI ask goes through here.
//!
//! A question is answered from one consistent picture of all views, as of one revision, and says which. Queries
//! read the store and block for microseconds to milliseconds; only waiting is async.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Answer;
use super::ledger::{LEDGER, LedgerView};
use super::lineage::{self, LineageView};
use super::objects::{self, Picture};
use super::outcomes::{self, Head, RecordedOutcome};
use super::position::Position;
use super::progress::Progress;
use super::projector::{Projector, ProjectorError};
use super::questions::LedgerRows;
use super::state::States;
use super::store::{Family, Snapshot, Store, StoreError, base_name};
use super::table::{Rows, TableError};
use super::view::View;
use super::waiting::Awaited;
use super::when::{AnswerHead, QueryError, When, Window};
use crate::address::Cidr;
use crate::domain::allocation::preview_next_cidr;
use crate::domain::command::Command;
use crate::domain::id::{CommandId, OrganizationId, Revision, ScopeId};
use crate::domain::rejection::Rejection;
use crate::domain::{Context, State};
use crate::log::Log;
use crate::log::record::{Offset, Partition};
use crate::log::snapshot::PartitionSnapshot;

/// The views. Clones are the same views.
#[derive(Clone, Debug)]
pub struct Views {
    store: Arc<Store>,
    progress: Arc<Progress>,
    states: Arc<States>,
    read_only: bool,
}

impl Views {
    /// Opens the views in `path` and follows `log` from where they stand.
    ///
    /// # Errors
    /// When the store cannot be opened, or a view is ahead of the log or of another ledger.
    #[expect(clippy::needless_pass_by_value, reason = "the views keep following the log")]
    pub fn open(path: &Path, log: Arc<dyn Log>) -> Result<(Self, Projector), ProjectorError> {
        let states = Arc::new(States::default());
        let folds = views(&states);
        let store = Arc::new(Store::open(path, &families(&folds))?);
        let progress = Arc::new(Progress::default());
        let projector = Projector::start(&log, Arc::clone(&store), folds, Arc::clone(&progress))?;
        Ok((Self { store, progress, states, read_only: false }, projector))
    }

    /// Opens the views to be read as they were last flushed, whether or not another process has them open.
    ///
    /// # Errors
    /// When there are none, or they cannot be opened.
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let states = Arc::new(States::default());
        let store = Arc::new(Store::open_read_only(path, &families(&views(&states)))?);
        Ok(Self { store, progress: Arc::default(), states, read_only: true })
    }

    /// Empties the views called `name` (`ledger`, `lineage` …), or all, so that the next start folds them again from
    /// the beginning of the log. Returns the names of the views emptied. No other process may have them open. All are
    /// emptied even where they are damaged or of another version.
    ///
    /// # Errors
    /// When the store cannot be opened or written.
    pub fn clear(path: &Path, name: Option<&str>) -> Result<Vec<&'static str>, ProjectorError> {
        let families = families(&views(&Arc::default()));
        let Some(name) = name else {
            Store::remove(path)?;
            return Ok(families.iter().map(|family| family.name).collect());
        };
        let store = Store::open(path, &families)?;
        let mut cleared = Vec::new();
        for family in &families {
            if name == family.name || name == base_name(family.name) {
                store.clear(family.name)?;
                cleared.push(family.name);
            }
        }
        Ok(cleared)
    }

    /// Whether questions can be answered.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn ready(&self) -> Result<(), String> {
        self.store.damage().map_or(Ok(()), |damage| Err(damage.to_owned()))?;
        self.progress.ready()
    }

    /// Whether rows that were asked for turned out to be damaged: waiting does not help.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.store.damage().is_some()
    }

    /// The names of all views.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        views(&Arc::default()).iter().map(|view| view.name()).collect()
    }

    /// How far the views are.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Where a view stands, by partition.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn positions(&self, view: &str) -> Result<BTreeMap<Partition, Position>, TableError> {
        self.store.positions(view)
    }

    /// The rows of a view in one consistent picture with those of others: for views with queries of their own.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        self.store.snapshot()
    }

    // --- Questions about one organisation.

    /// Asks the ledger view about one organisation: `question` is one of [`objects`].
    ///
    /// # Errors
    /// Those of the question; when there is no such organisation, then or at all; while the views catch up.
    pub fn ask<T>(
        &self,
        organization: &OrganizationId,
        when: &When,
        question: impl FnOnce(&Picture<'_>) -> Result<T, QueryError>,
    ) -> Result<Answer<T>, QueryError> {
        self.level()?;
        let snapshot = self.store.snapshot();
        let rows = snapshot.rows(LEDGER)?;
        self.going_on(LedgerRows(&rows), organization)?;
        LedgerRows(&rows).ask(organization, when, question)
    }

    /// Asks lineage and overlaps, which have queries of their own: `question` gets their rows and the moment up to
    /// which it may know; `at` is its own to read, as a window of time. `scope`: what it is about, and in which time.
    ///
    /// # Errors
    /// Those of `question`; when there is no such organisation, then or at all, or no such scope in that time; while the
    /// views catch up.
    pub fn ask_lineage<T>(
        &self,
        organization: &OrganizationId,
        when: &When,
        scope: Option<(ScopeId, Window)>,
        question: impl FnOnce(&dyn Rows, AnswerHead) -> Result<T, lineage::QueryError>,
    ) -> Result<T, QueryError> {
        self.level()?;
        let snapshot = self.store.snapshot();
        let known = When { at: None, as_of: when.as_of };
        let ledger = snapshot.rows(LEDGER)?;
        self.going_on(LedgerRows(&ledger), organization)?;
        let head = match scope {
            Some((scope, window)) => {
                let is_known = |picture: &Picture<'_>| objects::scope_known(picture, scope, window);
                LedgerRows(&ledger).ask(organization, &known, is_known)?.head
            }
            None => AnswerHead::from(LedgerRows(&ledger).moment(organization, &known)?),
        };
        Ok(question(&snapshot.rows(LineageView::NAME)?, head)?)
    }

    /// The block that an `AllocateCidr` would get now, or why it would get none. Nothing changes.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn preview_next_cidr(
        &self,
        command: &Command,
        context: &Context,
    ) -> Result<(AnswerHead, Result<Cidr, Rejection>), QueryError> {
        self.level()?;
        let organization = &command.organization;
        self.states.ensure(&self.store.snapshot().rows(LEDGER)?, organization)?;
        let preview = |state: &mut State| {
            let moment = state.moment();
            // The state may hold a later outcome than the clock of whoever asks.
            let decided_at = context.decided_at.max(moment.decided_at.plus_micros(1));
            (AnswerHead::from(moment), preview_next_cidr(state, command, &Context { decided_at }))
        };
        Ok(self.states.with(organization, preview)?)
    }

    // --- Outcomes.

    /// The outcome that a command id had first; `None` when it is not known here (yet).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn outcome(
        &self,
        organization: &OrganizationId,
        command: CommandId,
    ) -> Result<Option<RecordedOutcome>, TableError> {
        LedgerRows(&self.store.snapshot().rows(LEDGER)?).outcome(organization, command)
    }

    /// Outcomes from a revision on, in order, at most `limit` (1 to 1,000). To follow them live, wait for
    /// the next one in [`Progress::waiting`] and ask again from behind the last.
    ///
    /// # Errors
    /// When the store cannot be read, or the limit is none.
    pub fn outcomes(
        &self,
        organization: &OrganizationId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedOutcome>, QueryError> {
        LedgerRows(&self.store.snapshot().rows(LEDGER)?).outcomes(organization, from, limit)
    }

    /// Where an organisation's history ends here; `None` when it has none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn head(&self, organization: &OrganizationId) -> Result<Option<Head>, TableError> {
        LedgerRows(&self.store.snapshot().rows(LEDGER)?).head(organization)
    }

    /// All organisations, in order of their ids.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn organizations(&self) -> Result<Vec<(OrganizationId, Head)>, TableError> {
        outcomes::heads(&self.store.snapshot().rows(LEDGER)?)
    }

    /// Waits until the views hold at least this revision (N5).
    ///
    /// # Errors
    /// [`QueryError::RevisionAhead`] when they do not within `wait`.
    pub async fn wait_for(
        &self,
        organization: &OrganizationId,
        revision: Revision,
        wait: Duration,
    ) -> Result<AnswerHead, QueryError> {
        let mut known = None;
        let look = || {
            known = self.head(organization)?;
            Ok::<_, TableError>(known.filter(|head| head.moment.revision >= revision))
        };
        let found = self.progress.waiting().until(organization, Awaited::Revision(revision), wait, look).await?;
        match (found, known) {
            (Some(head), _) => Ok(AnswerHead::from(head.moment)),
            (None, None) => {
                self.may_be_none()?;
                Err(QueryError::OrganizationNotFound(organization.clone()))
            }
            (None, Some(head)) => Err(QueryError::RevisionAhead { asked: revision, head: head.moment.revision }),
        }
    }

    /// Waits for the outcome of a command (design D12); `None` when it is not known within `wait`: it may still come.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn wait_for_outcome(
        &self,
        organization: &OrganizationId,
        command: CommandId,
        wait: Duration,
    ) -> Result<Option<RecordedOutcome>, TableError> {
        let look = || self.outcome(organization, command);
        self.progress.waiting().until(organization, Awaited::Outcome(command), wait, look).await
    }

    // --- What a writer starts from (design D10).

    /// The state of a partition at the view's position; `None` when the view has none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn restore(&self, partition: Partition) -> Result<Option<PartitionSnapshot>, TableError> {
        LedgerRows(&self.store.snapshot().rows(LEDGER)?).restore(partition)
    }

    /// Every outcome of the partition before this offset is found by [`Views::outcome`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn covered(&self, partition: Partition) -> Result<Offset, TableError> {
        LedgerRows(&self.store.snapshot().rows(LEDGER)?).covered(partition)
    }

    /// Nothing is answered about an organisation whose partition has stopped (design D6).
    fn going_on(&self, ledger: LedgerRows<'_>, organization: &OrganizationId) -> Result<(), QueryError> {
        let Some(head) = ledger.head(organization)? else { return self.may_be_none() };
        match self.progress.stopped(head.partition) {
            Some(reason) => Err(QueryError::Stopped { partition: head.partition, reason }),
            None => Ok(()),
        }
    }

    /// An organisation that is not known here may begin behind the place where a partition has stopped.
    fn may_be_none(&self) -> Result<(), QueryError> {
        let stopped =
            self.progress.partitions().into_iter().find_map(|(partition, progress)| {
                progress.stopped.map(|reason| QueryError::Stopped { partition, reason })
            });
        stopped.map_or(Ok(()), Err)
    }

    /// Whether all views stand at the same place: after a crash some are behind for a moment.
    fn level(&self) -> Result<(), QueryError> {
        if self.read_only {
            let mut positions = Vec::new();
            for name in Self::names() {
                positions.push(self.store.positions(name)?);
            }
            let level = positions.windows(2).all(|pair| pair.first() == pair.last());
            return if level { Ok(()) } else { Err(QueryError::CatchingUp) };
        }
        if self.progress.caught_up() { Ok(()) } else { Err(QueryError::CatchingUp) }
    }
}

/// All views of this version.
fn views(states: &Arc<States>) -> Vec<Box<dyn View>> {
    vec![Box::new(LineageView::default()), Box::new(LedgerView::new(Arc::clone(states)))]
}

fn families(views: &[Box<dyn View>]) -> Vec<Family> {
    views.iter().map(|view| Family { name: view.name(), prefixes: view.prefixes() }).collect()
}
