//! A pool's allocations in address order, page by page.

use super::{AllocationRow, Allocations};
use crate::address::{Cidr, Slot};
use crate::domain::id::PoolId;
use crate::domain::state::State;

impl State {
    #[must_use]
    pub const fn allocations(&self) -> &Allocations {
        &self.allocations
    }

    /// At most `limit` allocations of a pool, those that lie behind `after`. Costs what it gives.
    #[must_use]
    pub fn allocations_of(&self, pool: PoolId, after: Option<Cidr>, limit: usize) -> Vec<AllocationRow> {
        let spaces = self.pools.entry(pool).into_iter().flat_map(super::super::pool::Entry::spaces);
        let rows = spaces.flat_map(|space| {
            behind(space.cidr(), after).into_iter().flat_map(move |range| {
                let holders = space.holders_overlapping(range);
                // A block around the range begins at or before `after`.
                holders.filter(move |(cidr, _)| cidr.first() >= range.first())
            })
        });
        rows.take(limit).map(|(_, Slot(slot))| self.allocations.row_at(slot)).collect()
    }
}

/// What of a space lies behind `after`, in blocks, in address order.
fn behind(space: Cidr, after: Option<Cidr>) -> Vec<Cidr> {
    let Some(after) = after.filter(|after| after.family() == space.family() && after.last() >= space.first()) else {
        return vec![space];
    };
    if !space.contains(after) {
        return Vec::new();
    }
    let wider = (space.length()..after.length()).rev().filter_map(|length| after.widened_to(length));
    // Of every block around `after` the upper half, where `after` is in the lower one.
    wider.filter_map(Cidr::halves).map(|(_, upper)| upper).filter(|upper| !upper.contains(after)).collect()
}
