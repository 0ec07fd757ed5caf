//! What is inside IPAMs and scopes, as the rules of organisations, IPAMs and tags ask for it.
//!
//! Only questions and changes by id; what pools, allocations and resources are is their own rooms'.

use super::allocation;
use super::command::Tags;
use super::event::{ClosedCidr, ResourceName};
use super::id::{AllocationId, PoolId, Region, Revision, ScopeId};
use super::outcome::Moment;
use super::pool::{self, Pool};
use super::resource;
use super::state::State;

pub(super) struct Held {
    pub pool: PoolId,
    pub changed_at: Revision,
}

pub(super) fn scope_of(pool: &Pool) -> ScopeId {
    pool.scope
}

pub(super) fn pool_changed_at(pool: &Pool) -> Revision {
    pool.changed_at
}

pub(super) fn pool_tags(pool: &Pool) -> &Tags {
    &pool.tags
}

pub(super) fn allocation(state: &State, id: AllocationId) -> Option<Held> {
    state.allocations.held(id).map(|(pool, changed_at)| Held { pool, changed_at })
}

pub(super) fn allocation_tags(state: &State, id: AllocationId) -> Option<Tags> {
    state.allocations.row(id).map(|row| row.tags)
}

pub(super) fn resource_changed_at(state: &State, name: &ResourceName) -> Option<Revision> {
    state.resources.stored(name.kind, &name.id).map(|resource| resource.changed_at)
}

/// The pools of a scope, by id.
pub(super) fn pools_in(state: &State, scope: ScopeId) -> Vec<PoolId> {
    state.pools.in_scope(scope).map(|pool| pool.id).collect()
}

pub(super) fn pools_with_locale(state: &State, scope: ScopeId, locale: &Region) -> Vec<PoolId> {
    let pools = state.pools.in_scope(scope);
    pools.filter(|pool| pool.locale.as_ref() == Some(locale)).map(|pool| pool.id).collect()
}

/// What a cascade over these scopes closes.
pub(super) fn close(state: &State, scopes: &[ScopeId]) -> Vec<ClosedCidr> {
    scopes.iter().flat_map(|scope| pool::close_scope_pools(state, *scope)).collect()
}

/// Takes out all pools of these scopes with their allocations.
pub(super) fn remove(state: &mut State, scopes: &[ScopeId]) {
    for scope in scopes {
        pool::remove_scope_pools(state, *scope);
    }
}

/// Whose resources the IPAMs see may have changed.
pub(super) fn reach_changed(state: &mut State) {
    resource::reach_changed(state);
}

pub(super) fn set_pool_tags(state: &mut State, moment: Moment, id: PoolId, tags: Tags) {
    pool::set_tags(state, moment, id, tags);
}

pub(super) fn set_allocation_tags(state: &mut State, moment: Moment, id: AllocationId, tags: Tags) {
    allocation::set_tags(state, moment, id, tags);
}
