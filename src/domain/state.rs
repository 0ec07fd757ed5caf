//! All that the rules need to know of one organisation, folded from its events.
//!
//! The same fold serves the writer, the snapshots, the views and the audit; it depends on the log alone.

use serde::{Deserialize, Serialize};

use super::allocation::{AllocationRow, Allocations};
use super::event::ResourceName;
use super::id::{AccountId, AllocationId, IpamId, OrganizationId, PoolId, ScopeId};
use super::ipam::{Ipam, Ipams};
use super::organization::Organization;
use super::outcome::Moment;
use super::pool::{Pool, Pools};
use super::resource::{Resource, Resources};
use super::scope::{Scope, Scopes};

/// One organisation, or one lone account, at one revision.
#[derive(Debug)]
pub struct State {
    pub(super) id: OrganizationId,
    /// The last outcome folded.
    pub(super) moment: Moment,
    pub(super) organization: Organization,
    pub(super) ipams: Ipams,
    pub(super) scopes: Scopes,
    pub(super) pools: Pools,
    pub(super) allocations: Allocations,
    pub(super) resources: Resources,
    touched: Option<Vec<RowKey>>,
}

/// Names one row of a stored state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RowKey {
    /// The organisation with its accounts, quotas and last moment: touched by every outcome.
    Organization,
    Ipam(IpamId),
    Scope(ScopeId),
    Pool(PoolId),
    Allocation(AllocationId),
    Resource(ResourceName),
}

/// One row of a stored state: everything about one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Row {
    Organization { moment: Moment, organization: Organization },
    Ipam(Ipam),
    Scope(Scope),
    Pool(Pool),
    Allocation(AllocationRow),
    Resource(Resource),
}

impl State {
    /// Before the first event.
    #[must_use]
    pub fn new(id: OrganizationId) -> Self {
        Self {
            id,
            moment: Moment::default(),
            organization: Organization::default(),
            ipams: Ipams::default(),
            scopes: Scopes::default(),
            pools: Pools::default(),
            allocations: Allocations::default(),
            resources: Resources::default(),
            touched: None,
        }
    }

    #[must_use]
    pub const fn id(&self) -> &OrganizationId {
        &self.id
    }

    /// The last outcome folded.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        self.moment
    }

    /// Whether any outcome was folded. An organisation that does not exist has no history.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.moment != Moment::default()
    }

    /// The organisation's accounts, administration and quotas.
    #[must_use]
    pub const fn organization(&self) -> &Organization {
        &self.organization
    }

    #[must_use]
    pub const fn ipams(&self) -> &Ipams {
        &self.ipams
    }

    /// Whether this is an account of the organisation, the management account included, or the lone account.
    #[must_use]
    pub fn is_member(&self, account: AccountId) -> bool {
        self.id.lone_account() == Some(account) || self.organization.accounts.contains_key(&account)
    }

    /// From now on, remember which rows change.
    pub fn track_rows(&mut self) {
        self.touched.get_or_insert_default();
    }

    /// The rows that changed since the last call, each once. Empty unless tracked.
    pub fn take_touched(&mut self) -> Vec<RowKey> {
        let mut touched = self.touched.as_mut().map(std::mem::take).unwrap_or_default();
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    pub(super) fn touch(&mut self, key: RowKey) {
        if let Some(touched) = &mut self.touched {
            touched.push(key);
        }
    }

    /// The row called `key` as it stands; `None` when the object is gone.
    #[must_use]
    pub fn row(&self, key: &RowKey) -> Option<Row> {
        match key {
            RowKey::Organization => {
                Some(Row::Organization { moment: self.moment, organization: self.organization.clone() })
            }
            RowKey::Ipam(id) => self.ipams.get(*id).cloned().map(Row::Ipam),
            RowKey::Scope(id) => self.scopes.get(*id).cloned().map(Row::Scope),
            RowKey::Pool(id) => self.pools.get(*id).cloned().map(Row::Pool),
            RowKey::Allocation(id) => self.allocations.row(*id).map(Row::Allocation),
            RowKey::Resource(name) => self.resources.stored(name.kind, &name.id).cloned().map(Row::Resource),
        }
    }

    /// The state that the rows of [`State::row`] describe, in whatever order they come.
    #[must_use]
    pub fn restore(id: OrganizationId, rows: impl IntoIterator<Item = Row>) -> Self {
        let mut state = Self::new(id);
        let (mut allocations, mut resources) = (Vec::new(), Vec::new());
        for row in rows {
            match row {
                Row::Organization { moment, organization } => {
                    state.moment = moment;
                    state.organization = organization;
                }
                Row::Ipam(ipam) => state.ipams.restore(ipam),
                Row::Scope(scope) => state.scopes.restore(scope),
                Row::Pool(pool) => state.pools.restore(pool),
                Row::Allocation(allocation) => allocations.push(allocation),
                Row::Resource(resource) => resources.push(resource),
            }
        }
        // Space belongs to pools and scopes: they come first.
        super::allocation::restore(&mut state, allocations);
        super::resource::restore(&mut state, resources);
        state
    }
}
