//! Questions to the rows of the ledger view, whatever holds them: the store's, in earnest, or a simulation's.
//!
//! A question is answered as of one revision, and says which. Whether the rows are fit to be asked is not known here:
//! that is the handle's to say.

use super::answer::{Answer, Paging};
use super::objects::Picture;
use super::outcomes::{self, Head, RecordedOutcome};
use super::position::Position;
use super::state::load;
use super::table::{Rows, TableError};
use super::when::{AsOf, QueryError, When, check_limit};
use crate::domain::id::{CommandId, OrganizationId, Revision};
use crate::domain::outcome::Moment;
use crate::log::record::{Offset, Partition};
use crate::log::snapshot::{OrganizationSnapshot, PartitionSnapshot};

/// The rows of the ledger view.
#[derive(Clone, Copy)]
pub struct LedgerRows<'a>(pub &'a dyn Rows);

impl LedgerRows<'_> {
    /// Asks about one organisation: `question` is one of [`super::objects`].
    ///
    /// # Errors
    /// When there is no such organisation, then or at all; and those of the question.
    pub fn ask<T>(
        &self,
        organization: &OrganizationId,
        when: &When,
        question: impl FnOnce(&Picture<'_>) -> Result<T, QueryError>,
    ) -> Result<Answer<T>, QueryError> {
        let picture = Picture { rows: self.0, organization, moment: self.moment(organization, when)? };
        let body = question(&picture)?;
        Ok(Answer { organization: organization.clone(), head: picture.head(), body })
    }

    /// The outcome that a command id had first; `None` when it is not known here (yet).
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn outcome(
        &self,
        organization: &OrganizationId,
        command: CommandId,
    ) -> Result<Option<RecordedOutcome>, TableError> {
        outcomes::by_command(self.0, organization, command)
    }

    /// Outcomes from a revision on, in order, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    /// When the rows cannot be read, or the limit is none.
    pub fn outcomes(
        &self,
        organization: &OrganizationId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedOutcome>, QueryError> {
        check_limit(limit, Paging::LIMIT_MAX)?;
        Ok(outcomes::from_revision(self.0, organization, from, limit)?)
    }

    /// Where an organisation's history ends here; `None` when it has none.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn head(&self, organization: &OrganizationId) -> Result<Option<Head>, TableError> {
        outcomes::head(self.0, organization)
    }

    /// The state of a partition at the view's position; `None` when the view has none.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn restore(&self, partition: Partition) -> Result<Option<PartitionSnapshot>, TableError> {
        let Some(position) = Position::all(self.0)?.remove(&partition) else { return Ok(None) };
        let mut organizations = Vec::new();
        for (id, head) in outcomes::heads(self.0)? {
            if head.partition == partition {
                let rows = load(self.0, &id)?;
                organizations.push(OrganizationSnapshot { id, rows, chain: head.chain });
            }
        }
        let newest_command = outcomes::newest_command(self.0, partition)?;
        Ok(Some(PartitionSnapshot { admission: position.admission, organizations, newest_command }))
    }

    /// Every outcome of the partition before this offset is found by [`LedgerRows::outcome`].
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn covered(&self, partition: Partition) -> Result<Offset, TableError> {
        let position = Position::all(self.0)?.remove(&partition);
        Ok(position.map_or(Offset(0), |position| position.admission.next))
    }

    /// The moment that answers a question about an organisation.
    ///
    /// # Errors
    /// When there is no such organisation, then or at all.
    pub fn moment(&self, organization: &OrganizationId, when: &When) -> Result<Moment, QueryError> {
        let head = self.head(organization)?.ok_or_else(|| QueryError::OrganizationNotFound(organization.clone()))?;
        resolve(self.0, organization, when, head.moment)
    }
}

impl std::fmt::Debug for LedgerRows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerRows").finish_non_exhaustive()
    }
}

/// The moment up to which a question about decisions is answered: decisions are true from when they were decided,
/// so of `at` and `as_of` the earlier one answers (design D14).
fn resolve(rows: &dyn Rows, organization: &OrganizationId, when: &When, head: Moment) -> Result<Moment, QueryError> {
    let at_instant = |instant| match outcomes::moment_at(rows, organization, instant)? {
        Some(moment) => Ok(moment),
        None => Err(before_history(rows, organization, head)),
    };
    let known = match when.as_of {
        None => head,
        Some(AsOf::Revision(asked)) if asked > head.revision => {
            return Err(QueryError::RevisionAhead { asked, head: head.revision });
        }
        Some(AsOf::Revision(asked)) => match outcomes::moment_of(rows, organization, asked)? {
            Some(moment) => moment,
            None => return Err(before_history(rows, organization, head)),
        },
        Some(AsOf::Instant(instant)) => at_instant(instant)?,
    };
    match when.at {
        None => Ok(known),
        Some(at) => Ok(at_instant(at.last_instant())?.min(known)),
    }
}

fn before_history(rows: &dyn Rows, organization: &OrganizationId, head: Moment) -> QueryError {
    match outcomes::moment_of(rows, organization, Revision(1)) {
        Ok(first) => {
            QueryError::BeforeHistory { organization: organization.clone(), first: first.unwrap_or(head).decided_at }
        }
        Err(error) => QueryError::Store(error),
    }
}
