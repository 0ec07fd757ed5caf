//! What is inside IPAMs and scopes: pools, allocations, resources. Filled in when those rooms land.

use super::allocation::AllocationRow;
use super::event::{ClosedCidr, ResourceName};
use super::id::{AllocationId, PoolId, Region, Revision, ScopeId};
use super::pool::Pool;
use super::state::State;

pub(super) struct Held {
    pub pool: PoolId,
    pub changed_at: Revision,
}

pub(super) fn scope_of(_pool: &Pool) -> ScopeId {
    todo!()
}
pub(super) fn pool_changed_at(_pool: &Pool) -> Revision {
    todo!()
}
pub(super) fn pool_tags(_pool: &Pool) -> &super::command::Tags {
    todo!()
}
pub(super) fn allocation(state: &State, id: AllocationId) -> Option<Held> {
    state.allocations.row(id).map(|AllocationRow {}| todo!())
}
pub(super) fn allocation_tags(_state: &State, _id: AllocationId) -> Option<super::command::Tags> {
    todo!()
}
pub(super) fn resource_changed_at(state: &State, name: &ResourceName) -> Option<Revision> {
    state.resources.get(name).map(|_| todo!())
}
/// The pools of a scope, by id.
pub(super) fn pools_in(_state: &State, _scope: ScopeId) -> Vec<PoolId> {
    Vec::new()
}
pub(super) fn pools_with_locale(_state: &State, _scope: ScopeId, _locale: &Region) -> Vec<PoolId> {
    Vec::new()
}
pub(super) fn close(_state: &State, _scopes: &[ScopeId]) -> Vec<ClosedCidr> {
    Vec::new()
}
pub(super) fn remove(_state: &mut State, _scopes: &[ScopeId]) {}
/// Whose resources the IPAMs see may have changed.
pub(super) fn reach_changed(_state: &mut State) {}
pub(super) fn set_pool_tags(_state: &mut State, _id: PoolId, _tags: super::command::Tags) {}
pub(super) fn set_allocation_tags(_state: &mut State, _id: AllocationId, _tags: super::command::Tags) {}
