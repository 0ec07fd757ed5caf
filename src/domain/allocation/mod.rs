//! Allocations: blocks of a pool that are held.

use serde::{Deserialize, Serialize};

use super::command;
use super::decide::{Ask, Decided};
use super::event;
use super::id::AllocationId;
use super::outcome::Moment;
use super::state::State;

/// An allocation as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AllocationRow {}

#[derive(Debug, Default)]
pub struct Allocations {}

impl Allocations {
    pub fn row(&self, _id: AllocationId) -> Option<AllocationRow> {
        todo!()
    }
}

pub(super) fn restore(_state: &mut State, _rows: Vec<AllocationRow>) {
    todo!()
}

pub(super) fn allocate(_ask: &Ask<'_>, _body: &command::AllocateCidr) -> Decided {
    todo!()
}

pub(super) fn modify(_ask: &Ask<'_>, _body: &command::ModifyAllocation) -> Decided {
    todo!()
}

pub(super) fn release(_ask: &Ask<'_>, _body: &command::ReleaseAllocation) -> Decided {
    todo!()
}

pub(super) fn allocated(_state: &mut State, _moment: Moment, _event: &event::CidrAllocated) {
    todo!()
}

pub(super) fn modified(_state: &mut State, _moment: Moment, _event: &event::AllocationModified) {
    todo!()
}

pub(super) fn released(_state: &mut State, _event: &event::AllocationReleased) {
    todo!()
}
