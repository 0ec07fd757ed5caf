//! From an outcome, and the rows it touched in the domain's state, to rows of this revision.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{
    Kind, Object, ObjectRow, account_bits, children_key, holding_prefix, object_as_of, object_prefix, usage_as_of,
    usage_prefix,
};
use crate::address::Cidr;
use crate::domain::event::Event;
use crate::domain::id::{AccountId, AllocationId, OrganizationId, PoolId, Revision};
use crate::domain::outcome::{Moment, Outcome};
use crate::domain::pool::{Placement, PoolUsage};
use crate::domain::{Row, RowKey, State};
use crate::planted::{Bug, planted};
use crate::views::answer::Stamp;
use crate::views::stored;
use crate::views::table::{Table, TableError};

/// The counters last written, so that only changes are written. What is not in here is read from the rows.
#[derive(Debug, Default)]
pub(in crate::views) struct Usages(BTreeMap<(OrganizationId, PoolId), PoolUsage>);

impl Usages {
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Pools whose counters an outcome's deletions may change, to be asked before the outcome is applied:
/// the source pools of what goes.
pub(in crate::views) fn pools_before(state: &State, outcome: &Outcome) -> BTreeSet<PoolId> {
    let deleted = outcome.events().iter().filter_map(|event| match event {
        Event::PoolDeleted(deleted) => Some(deleted.pool),
        _ => None,
    });
    deleted.filter_map(|pool| state.pools().get(pool)?.source_pool).collect()
}

/// Folds one outcome that `state` has applied. `counted` are pools whose counters may have changed, beside those touched.
pub(in crate::views) fn fold(
    usages: &mut Usages,
    table: &mut dyn Table,
    state: &State,
    outcome: &Outcome,
    touched: &[RowKey],
    mut counted: BTreeSet<PoolId>,
) -> Result<(), TableError> {
    let Some(moment) = outcome.moment() else { return Ok(()) };
    if outcome.events().is_empty() && moment.revision > Revision(1) {
        return Ok(());
    }
    let mut fold = Fold {
        table,
        state,
        organization: &outcome.organization,
        moment,
        stamp: stamp(outcome, moment),
        placements: placements(outcome.events()),
    };
    for event in outcome.events() {
        fold.event(event);
    }
    for key in touched {
        match key {
            RowKey::Organization => fold.organization()?,
            RowKey::Ipam(id) => fold.object(Kind::Ipam, id.bits(), key)?,
            RowKey::Scope(id) => fold.object(Kind::Scope, id.bits(), key)?,
            RowKey::Pool(id) => {
                counted.insert(*id);
                counted.extend(state.pools().get(*id).and_then(|pool| pool.source_pool));
                fold.object(Kind::Pool, id.bits(), key)?;
            }
            RowKey::Allocation(id) => {
                let pool = fold.allocation(*id, key)?;
                counted.extend(pool.filter(|_| !planted(Bug::UsageStale)));
            }
            // Facts are the lineage's.
            RowKey::Resource(_) => {}
        }
    }
    fold.usage(usages, counted)
}

struct Fold<'a> {
    table: &'a mut dyn Table,
    state: &'a State,
    organization: &'a OrganizationId,
    moment: Moment,
    stamp: Stamp,
    /// Allocations that this outcome made, with how their block was chosen.
    placements: BTreeMap<AllocationId, Option<Placement>>,
}

impl Fold<'_> {
    /// What is in no row of the state: since when accounts and provisioned CIDRs are there.
    fn event(&mut self, event: &Event) {
        match event {
            Event::OrganizationCreated(created) => self.account(created.management_account),
            Event::AccountAdded(added) => self.account(added.account),
            Event::PoolCidrProvisioned(provisioned) => {
                let object = Object::PoolCidr { placement: provisioned.placement };
                self.put(Kind::PoolCidr, provisioned.pool_cidr.bits(), &self.created(object));
            }
            _ => {}
        }
    }

    fn account(&mut self, account: AccountId) {
        self.put(Kind::Account, account_bits(account), &self.created(Object::Account));
    }

    fn organization(&mut self) -> Result<(), TableError> {
        let organization = self.state.organization();
        // Every outcome touches the row for its moment; it is written when something else changed.
        if organization.changed_at != self.moment.revision && self.moment.revision > Revision(1) {
            return Ok(());
        }
        self.object(Kind::Organization, 0, &RowKey::Organization)
    }

    fn object(&mut self, kind: Kind, id: u128, key: &RowKey) -> Result<(), TableError> {
        let before = object_as_of(self.table, self.organization, kind, id, self.moment.revision)?;
        let row = match (before, self.state.row(key)) {
            (Some(before), Some(row)) => {
                let (created, changed) = (before.created, Some(self.stamp.clone()));
                ObjectRow { created, changed, ended: None, object: object(row, None) }
            }
            (None, Some(row)) => {
                self.put_child(kind, id, &row);
                self.created(object(row, None))
            }
            (Some(before), None) => ObjectRow { ended: Some(self.stamp.clone()), ..before },
            (None, None) => return Ok(()),
        };
        self.put(kind, id, &row);
        Ok(())
    }

    /// Writes an allocation; the pool that it is or was in.
    fn allocation(&mut self, id: AllocationId, key: &RowKey) -> Result<Option<PoolId>, TableError> {
        let row = self.state.row(key);
        if let (Some(Row::Allocation(row)), Some(placement)) = (&row, self.placements.get(&id)) {
            let object = Object::Allocation { row: row.clone(), placement: *placement };
            self.put(Kind::Allocation, id.bits(), &self.created(object));
            self.put_holding(row.pool, row.cidr, id, self.moment.revision, None);
            return Ok(Some(row.pool));
        }
        let before = object_as_of(self.table, self.organization, Kind::Allocation, id.bits(), self.moment.revision)?;
        let Some(ObjectRow { created, object: Object::Allocation { row: before, placement }, changed, .. }) = before
        else {
            return Ok(None);
        };
        let pool = before.pool;
        let row = match row {
            Some(Row::Allocation(row)) => {
                let changed = Some(self.stamp.clone());
                ObjectRow { created, changed, ended: None, object: Object::Allocation { row, placement } }
            }
            // With its pool: whoever asks sees that the pool is gone.
            _ if self.state.pools().get(pool).is_none() => return Ok(None),
            _ => {
                self.put_holding(
                    pool,
                    before.cidr,
                    id,
                    created.revision,
                    Some(self.moment.revision).filter(|_| !planted(Bug::ReleasedStillListed)),
                );
                let ended = Some(self.stamp.clone());
                ObjectRow { created, changed, ended, object: Object::Allocation { row: before, placement } }
            }
        };
        self.put(Kind::Allocation, id.bits(), &row);
        Ok(Some(pool))
    }

    fn usage(&mut self, usages: &mut Usages, counted: BTreeSet<PoolId>) -> Result<(), TableError> {
        for pool in counted {
            let key = (self.organization.clone(), pool);
            let Some(usage) = self.state.pools().usage(pool) else {
                usages.0.remove(&key);
                continue;
            };
            let known = match usages.0.get(&key) {
                Some(known) => Some(*known),
                None => usage_as_of(self.table, self.organization, pool, self.moment.revision)?,
            };
            if known != Some(usage) {
                let row = usage_prefix(self.organization, pool).revision_descending(self.moment.revision);
                self.table.put(row.into_bytes(), stored::to_bytes(&usage));
            }
            usages.0.insert(key, usage);
        }
        Ok(())
    }

    fn created(&self, object: Object) -> ObjectRow {
        ObjectRow { created: self.stamp.clone(), changed: None, ended: None, object }
    }

    fn put(&mut self, kind: Kind, id: u128, row: &ObjectRow) {
        let key = object_prefix(self.organization, kind, id).revision_descending(self.moment.revision);
        self.table.put(key.into_bytes(), stored::to_bytes(row));
    }

    fn put_child(&mut self, kind: Kind, id: u128, row: &Row) {
        let mut under = |parent: (Kind, u128)| {
            let key = children_key(self.organization, parent, kind).bits(id);
            self.table.put(key.into_bytes(), Vec::new());
        };
        match row {
            Row::Ipam(_) => under((Kind::Organization, 0)),
            Row::Scope(scope) => under((Kind::Ipam, scope.ipam.bits())),
            Row::Pool(pool) => {
                under((Kind::Scope, pool.scope.bits()));
                if let Some(source) = pool.source_pool {
                    under((Kind::Pool, source.bits()));
                }
            }
            Row::Organization { .. } | Row::Allocation(_) | Row::Resource(_) => {}
        }
    }

    /// From which revision on, and up to which (exclusive), an allocation holds a block of a pool.
    fn put_holding(&mut self, pool: PoolId, cidr: Cidr, id: AllocationId, from: Revision, until: Option<Revision>) {
        let key = holding_prefix(self.organization, pool).block(cidr).bits(id.bits());
        let mut value = from.0.to_be_bytes().to_vec();
        value.extend(until.unwrap_or(Revision(u64::MAX)).0.to_be_bytes());
        self.table.put(key.into_bytes(), value);
    }
}

fn object(row: Row, placement: Option<Placement>) -> Object {
    match row {
        Row::Organization { organization, .. } => Object::Organization(organization),
        Row::Ipam(ipam) => Object::Ipam(ipam),
        Row::Scope(scope) => Object::Scope(scope),
        Row::Pool(pool) => Object::Pool(pool),
        Row::Allocation(row) => Object::Allocation { row, placement },
        Row::Resource(_) => unreachable!("resources are no objects of this view"),
    }
}

fn stamp(outcome: &Outcome, moment: Moment) -> Stamp {
    Stamp {
        revision: moment.revision,
        decided_at: moment.decided_at,
        command_id: outcome.command_id,
        account: outcome.principal.account,
        name: outcome.principal.name.clone(),
        reason: outcome.reason.clone(),
    }
}

fn placements(events: &[Event]) -> BTreeMap<AllocationId, Option<Placement>> {
    let made = events.iter().filter_map(|event| match event {
        Event::CidrAllocated(allocated) => Some((allocated.allocation, allocated.placement)),
        Event::PoolCidrProvisioned(provisioned) => Some((provisioned.source_allocation?, provisioned.placement)),
        _ => None,
    });
    made.collect()
}
