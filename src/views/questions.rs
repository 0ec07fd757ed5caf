//! Questions to the rows of the ledger view, whatever holds them: the store's, in earnest, or a simulation's.
//!
//! A question is answered as of one revision, and says which. Whether the rows are fit to be asked is not known here:
//! that is the handle's to say.

use super::answer::{
    AllocationAnswer, Answer, IpamAnswer, OrganizationAnswer, Page, Paging, PoolAnswer, PoolCidrAnswer, PoolTree,
    ScopeAnswer, UsagePoint,
};
use super::objects::{self, Asked};
use super::outcomes::{self, Head, RecordedOutcome};
use super::position::Position;
use super::state::{Restored, RestoredOrganization, load};
use super::table::{Rows, TableError};
use super::when::{AsOf, QueryError, When, Window};
use crate::domain::id::{AllocationId, CommandId, IpamId, OrganizationId, PoolId, Revision, ScopeId};
use crate::domain::outcome::Moment;
use crate::log::record::{Offset, Partition};

/// The rows of the ledger view.
#[derive(Clone, Copy)]
pub struct LedgerRows<'a>(pub &'a dyn Rows);

impl LedgerRows<'_> {
    /// Accounts, roles, and what is monitored and why not.
    ///
    /// # Errors
    /// When there is no such organisation, then or at all.
    pub fn organization(&self, id: &OrganizationId, when: &When) -> Result<Answer<OrganizationAnswer>, QueryError> {
        self.ask(id, when, objects::organization)
    }

    /// All IPAMs, by id.
    ///
    /// # Errors
    /// As [`LedgerRows::organization`].
    pub fn ipams(&self, id: &OrganizationId, when: &When) -> Result<Answer<Page<IpamAnswer>>, QueryError> {
        self.ask(id, when, objects::ipams)
    }

    /// The scopes of an IPAM, or of all, with counts.
    ///
    /// # Errors
    /// As [`LedgerRows::organization`], and when there is no such IPAM.
    pub fn scopes(
        &self,
        id: &OrganizationId,
        when: &When,
        ipam: Option<IpamId>,
    ) -> Result<Answer<Page<ScopeAnswer>>, QueryError> {
        self.ask(id, when, |asked| objects::scopes(asked, ipam))
    }

    /// One scope, with counts.
    ///
    /// # Errors
    /// As [`LedgerRows::organization`], and when there is no such scope.
    pub fn scope(&self, id: &OrganizationId, when: &When, scope: ScopeId) -> Result<Answer<ScopeAnswer>, QueryError> {
        self.ask(id, when, |asked| objects::scope(asked, scope))
    }

    /// Refuses a scope that cannot be asked about in a time.
    ///
    /// # Errors
    /// As [`LedgerRows::organization`], and when there is no such scope, or it was deleted before that time.
    pub fn scope_known(
        &self,
        id: &OrganizationId,
        when: &When,
        scope: ScopeId,
        window: Window,
    ) -> Result<Answer<()>, QueryError> {
        self.ask(id, when, |asked| objects::scope_known(asked, scope, window))
    }

    /// The pools of a scope, or of all, as trees with utilization.
    ///
    /// # Errors
    /// As [`LedgerRows::organization`], and when there is no such scope or the tree is too large.
    pub fn pools(
        &self,
        id: &OrganizationId,
        when: &When,
        scope: Option<ScopeId>,
    ) -> Result<Answer<PoolTree>, QueryError> {
        self.ask(id, when, |asked| objects::pool_tree(asked, scope))
    }

    /// One pool with its utilization.
    ///
    /// # Errors
    /// As [`LedgerRows::organization`], and when there is no such pool.
    pub fn pool(&self, id: &OrganizationId, when: &When, pool: PoolId) -> Result<Answer<PoolAnswer>, QueryError> {
        self.ask(id, when, |asked| objects::pool(asked, pool))
    }

    /// Leaf pools by the share handed out, fullest first; at most `limit` (1 to 1,000).
    ///
    /// # Errors
    /// As [`LedgerRows::organization`].
    pub fn fullest(
        &self,
        id: &OrganizationId,
        when: &When,
        limit: usize,
    ) -> Result<Answer<Page<PoolAnswer>>, QueryError> {
        check_limit(limit)?;
        self.ask(id, when, |asked| objects::fullest(asked, limit))
    }

    /// The CIDRs of a pool, in address order.
    ///
    /// # Errors
    /// As [`LedgerRows::pool`].
    pub fn pool_cidrs(
        &self,
        id: &OrganizationId,
        when: &When,
        pool: PoolId,
    ) -> Result<Answer<Page<PoolCidrAnswer>>, QueryError> {
        self.ask(id, when, |asked| objects::pool_cidrs(asked, pool))
    }

    /// The allocations of a pool, in address order.
    ///
    /// # Errors
    /// As [`LedgerRows::pool`], and when limit or cursor are none.
    pub fn allocations(
        &self,
        id: &OrganizationId,
        when: &When,
        pool: PoolId,
        paging: &Paging,
    ) -> Result<Answer<Page<AllocationAnswer>>, QueryError> {
        check_limit(paging.limit)?;
        self.ask(id, when, |asked| objects::allocations(asked, pool, paging))
    }

    /// One allocation, released or not.
    ///
    /// # Errors
    /// As [`LedgerRows::organization`], and when there is no such allocation.
    pub fn allocation(
        &self,
        id: &OrganizationId,
        when: &When,
        allocation: AllocationId,
    ) -> Result<Answer<AllocationAnswer>, QueryError> {
        self.ask(id, when, |asked| objects::allocation(asked, allocation))
    }

    /// How full a pool was, newest first.
    ///
    /// # Errors
    /// As [`LedgerRows::allocations`].
    pub fn usage_series(
        &self,
        id: &OrganizationId,
        when: &When,
        pool: PoolId,
        paging: &Paging,
    ) -> Result<Answer<Page<UsagePoint>>, QueryError> {
        check_limit(paging.limit)?;
        self.ask(id, when, |asked| objects::usage_series(asked, pool, paging))
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
        check_limit(limit)?;
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
    pub fn restore(&self, partition: Partition) -> Result<Option<Restored>, TableError> {
        let Some(position) = Position::all(self.0)?.remove(&partition) else { return Ok(None) };
        let mut organizations = Vec::new();
        for (id, head) in outcomes::heads(self.0)? {
            if head.partition == partition {
                let rows = load(self.0, &id)?;
                organizations.push(RestoredOrganization { id, rows, chain: head.chain });
            }
        }
        let newest_command = outcomes::newest_command(self.0, partition)?;
        Ok(Some(Restored { admission: position.admission, organizations, newest_command }))
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

    fn ask<T>(
        &self,
        organization: &OrganizationId,
        when: &When,
        question: impl FnOnce(&Asked<'_>) -> Result<T, QueryError>,
    ) -> Result<Answer<T>, QueryError> {
        let asked = Asked { rows: self.0, organization, moment: self.moment(organization, when)? };
        let body = question(&asked)?;
        Ok(Answer { organization: organization.clone(), head: asked.head(), body })
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

fn check_limit(limit: usize) -> Result<(), QueryError> {
    let max = Paging::LIMIT_MAX;
    if (1..=max).contains(&limit) { Ok(()) } else { Err(QueryError::Limit { asked: limit, max }) }
}
