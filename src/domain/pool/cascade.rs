//! Closing pools with all that is in them: what a cascade ends, in few words (design D21).

use super::{Pools, apply};
use crate::domain::event::ClosedCidr;
use crate::domain::id::{PoolId, ScopeId};
use crate::domain::state::State;
use crate::planted::{Bug, planted};

/// What a cascade over a scope closes: every CIDR of its pools, by pool and address.
pub(in crate::domain) fn close_scope_pools(state: &State, scope: ScopeId) -> Vec<ClosedCidr> {
    state.pools.in_scope(scope).flat_map(|pool| close(&state.pools, pool.id)).collect()
}

/// Takes out all pools of a scope with their allocations.
pub(in crate::domain) fn remove_scope_pools(state: &mut State, scope: ScopeId) {
    let tops: Vec<_> =
        state.pools.in_scope(scope).filter(|pool| pool.source_pool.is_none()).map(|pool| pool.id).collect();
    for top in tops {
        apply::remove_tree(state, top);
    }
}

/// A pool's CIDRs, and how many allocations are in each.
pub(super) fn close(pools: &Pools, id: PoolId) -> Vec<ClosedCidr> {
    let entry = pools.known(id);
    let spaces = entry.pool.cidrs.iter().zip(entry.spaces());
    let missed = u64::from(planted(Bug::CascadeMiscounts));
    spaces
        .map(|(provisioned, space)| ClosedCidr {
            pool: id,
            cidr: provisioned.cidr,
            allocations: space.held_count().saturating_sub(missed),
        })
        .collect()
}

/// A pool and all below it; every pool before its child pools.
pub(super) fn subtree(pools: &Pools, top: PoolId) -> Vec<PoolId> {
    let mut tree = vec![top];
    let mut next = 0;
    while let Some(&pool) = tree.get(next) {
        tree.extend(pools.children(pool));
        next += 1;
    }
    tree
}
