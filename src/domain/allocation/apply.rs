//! Folding the events of allocations into the state: table, free space and counters move together.

use super::codec::HolderRef;
use super::table::New;
use super::{AllocationRow, Holder};
use crate::address::{Cidr, Slot};
use crate::domain::command::Tags;
use crate::domain::event;
use crate::domain::id::{AllocationId, PoolId};
use crate::domain::outcome::Moment;
use crate::domain::pool::CountAs;
use crate::domain::state::{RowKey, State};

pub(in crate::domain) fn restore(state: &mut State, rows: Vec<AllocationRow>) {
    for row in rows {
        let new = New {
            id: row.id,
            pool: row.pool,
            cidr: row.cidr,
            description: row.description.as_deref(),
            tags: &row.tags,
            holder: (&row.holder).into(),
            changed_at: row.changed_at,
        };
        hold(state, &new);
    }
}

pub(in crate::domain) fn allocated(state: &mut State, moment: Moment, event: &event::CidrAllocated) {
    let new = New {
        id: event.allocation,
        pool: event.pool,
        cidr: event.cidr,
        description: event.description.as_deref(),
        tags: &event.tags,
        holder: event.resource.as_ref().map_or(HolderRef::Custom, HolderRef::Resource),
        changed_at: moment.revision,
    };
    hold(state, &new);
    state.touch(RowKey::Allocation(event.allocation));
}

pub(in crate::domain) fn modified(state: &mut State, moment: Moment, event: &event::AllocationModified) {
    change(state, moment, event.allocation, |row| {
        row.description = event.description.clone().applied_to(row.description.take());
        if let Some(claim) = &event.resource {
            row.holder = Holder::Resource(claim.clone());
        }
    });
}

pub(in crate::domain) fn released(state: &mut State, event: &event::AllocationReleased) {
    free(state, event.allocation);
}

/// Sets all tags of an allocation.
pub(in crate::domain) fn set_tags(state: &mut State, moment: Moment, allocation: AllocationId, tags: Tags) {
    change(state, moment, allocation, |row| row.tags = tags);
}

/// A child pool holds a CIDR of its source pool (INV-C3).
pub(in crate::domain) fn hold_for_child(
    state: &mut State,
    moment: Moment,
    allocation: AllocationId,
    source: PoolId,
    child: PoolId,
    cidr: Cidr,
) {
    let (tags, holder) = (&Tags::new(), HolderRef::Pool(child));
    let new = New { id: allocation, pool: source, cidr, description: None, tags, holder, changed_at: moment.revision };
    hold(state, &new);
    state.touch(RowKey::Allocation(allocation));
}

/// Ends one allocation.
pub(in crate::domain) fn free(state: &mut State, id: AllocationId) {
    let slot = state.allocations.slot_of(id).expect("what ends was there");
    let record = state.allocations.remove(slot);
    state.pools.known_mut(record.pool).release(record.cidr, record.count_as());
    state.touch(RowKey::Allocation(id));
}

/// Ends all allocations of a pool that is about to go, space and counters included.
pub(in crate::domain) fn free_all_of(state: &mut State, pool: PoolId) {
    let spaces = state.pools.known(pool).spaces();
    let slots: Vec<_> = spaces.iter().flat_map(|space| space.holders_overlapping(space.cidr())).collect();
    for (_, Slot(slot)) in slots {
        let record = state.allocations.remove(slot);
        state.touch(RowKey::Allocation(record.id));
    }
}

fn hold(state: &mut State, new: &New<'_>) {
    let count_as = match new.holder {
        HolderRef::Pool(_) => CountAs::ChildPool,
        HolderRef::Custom | HolderRef::Resource(_) => CountAs::Assigned,
    };
    let slot = state.allocations.insert(new);
    state.pools.known_mut(new.pool).hold(new.cidr, Slot(slot), count_as);
}

fn change(state: &mut State, moment: Moment, id: AllocationId, change: impl FnOnce(&mut AllocationRow)) {
    let mut row = state.allocations.row(id).expect("what changes is there");
    change(&mut row);
    row.changed_at = moment.revision;
    state.allocations.rewrite(&row);
    state.touch(RowKey::Allocation(id));
}
