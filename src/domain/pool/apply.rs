//! Folding the events of pools into the state.

use super::cascade::subtree;
use super::{AllocationRules, Pool, PoolCidr};
use crate::domain::allocation;
use crate::domain::command::Tags;
use crate::domain::event;
use crate::domain::id::PoolId;
use crate::domain::outcome::Moment;
use crate::domain::resource;
use crate::domain::state::{RowKey, State};
use crate::planted::{Bug, planted};

pub(in crate::domain) fn created(state: &mut State, moment: Moment, event: &event::PoolCreated) {
    let depth = event.source_pool.map_or(1, |source| state.pools.known(source).pool.depth + 1);
    state.pools.restore(Pool {
        id: event.pool,
        scope: event.scope,
        source_pool: event.source_pool,
        depth,
        address_family: event.address_family,
        locale: event.locale.clone(),
        description: event.description.clone(),
        tags: event.tags.clone(),
        rules: AllocationRules {
            min_netmask_length: event.allocation_min_netmask_length,
            max_netmask_length: event.allocation_max_netmask_length,
            default_netmask_length: event.allocation_default_netmask_length,
            resource_tags: event.allocation_resource_tags.clone(),
        },
        placement: event.placement,
        auto_import: event.auto_import,
        publicly_advertisable: event.publicly_advertisable,
        aws_service: event.aws_service,
        public_ip_source: event.public_ip_source,
        cidrs: Vec::new(),
        changed_at: moment.revision,
    });
    state.touch(RowKey::Pool(event.pool));
}

pub(in crate::domain) fn modified(state: &mut State, moment: Moment, event: &event::PoolModified) {
    let pool = change(state, moment, event.pool);
    let rules = &mut pool.rules;
    rules.min_netmask_length = event.allocation_min_netmask_length.clone().applied_to(rules.min_netmask_length);
    rules.max_netmask_length = event.allocation_max_netmask_length.clone().applied_to(rules.max_netmask_length);
    rules.default_netmask_length =
        event.allocation_default_netmask_length.clone().applied_to(rules.default_netmask_length);
    let tags = std::mem::take(&mut rules.resource_tags);
    rules.resource_tags = event.allocation_resource_tags.clone().applied_to(Some(tags)).unwrap_or_default();
    pool.description = event.description.clone().applied_to(pool.description.take());
    pool.placement = event.placement.unwrap_or(pool.placement);
    pool.auto_import = event.auto_import.unwrap_or(pool.auto_import);
}

pub(in crate::domain) fn deleted(state: &mut State, _moment: Moment, event: &event::PoolDeleted) {
    remove_tree(state, event.pool);
}

pub(in crate::domain) fn cidr_provisioned(state: &mut State, moment: Moment, event: &event::PoolCidrProvisioned) {
    let pool = change(state, moment, event.pool);
    let (scope, source) = (pool.scope, pool.source_pool);
    state.pools.provision(
        event.pool,
        PoolCidr {
            id: event.pool_cidr,
            cidr: event.cidr,
            source_allocation: event.source_allocation,
            ownership: event.ownership,
        },
    );
    resource::block_new_space(state, scope, event.pool, event.cidr);
    if let (Some(source), Some(allocation)) = (source, event.source_allocation) {
        allocation::hold_for_child(state, moment, allocation, source, event.pool, event.cidr);
    }
}

pub(in crate::domain) fn cidr_deprovisioned(state: &mut State, moment: Moment, event: &event::PoolCidrDeprovisioned) {
    change(state, moment, event.pool);
    state.pools.deprovision(event.pool, event.cidr);
    if let Some(allocation) = event.source_allocation.filter(|_| !planted(Bug::DeprovisionKeepsHold)) {
        allocation::free(state, allocation);
    }
}

/// Sets all tags of a pool.
pub(in crate::domain) fn set_tags(state: &mut State, moment: Moment, pool: PoolId, tags: Tags) {
    change(state, moment, pool).tags = tags;
}

/// Takes out a pool, all below it, and their allocations; what it held of its source pool is free there.
pub(super) fn remove_tree(state: &mut State, top: PoolId) {
    // Child pools first: their allocations in their source pools go with their CIDRs.
    for id in subtree(&state.pools, top).into_iter().rev() {
        allocation::free_all_of(state, id);
        let pool = state.pools.remove(id);
        for provisioned in &pool.cidrs {
            if let Some(allocation) = provisioned.source_allocation {
                allocation::free(state, allocation);
            }
        }
        state.touch(RowKey::Pool(id));
    }
}

fn change(state: &mut State, moment: Moment, id: PoolId) -> &mut Pool {
    state.touch(RowKey::Pool(id));
    let pool = &mut state.pools.known_mut(id).pool;
    pool.changed_at = moment.revision;
    pool
}
