//! `DeletePool`: an empty pool, or with `cascade` all that is in it (INV-P14).

use super::cascade::{close, subtree};
use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::command::{self, Visibility};
use crate::domain::event;
use crate::domain::rejection::{Code, Rejection};

pub(in crate::domain) fn delete(ask: &Ask<'_>, body: &command::DeletePool) -> Decided {
    let pool = authority::owned_pool(ask, body.pool)?;
    let pools = &ask.state.pools;
    let children: Vec<_> = pools.children(pool.id).collect();
    if pool.cidrs.is_empty() && children.is_empty() {
        return Ok(vec![event::PoolDeleted { pool: pool.id, closed: Vec::new() }.into()]);
    }
    if body.cascade {
        let scope = ask.state.scopes.get(pool.scope).expect("a pool's scope exists while the pool does");
        if scope.visibility == Visibility::Public {
            let message = format!(
                "{} is in the public scope, where a pool cannot be deleted with all that is in it. Release its \
                 allocations, then deprovision its CIDRs.",
                pool.id
            );
            return Err(Rejection::new(Code::UnsupportedOperation, "INV-P14", message).value("scope", scope.id));
        }
        let closed = subtree(pools, pool.id).into_iter().flat_map(|pool| close(pools, pool)).collect();
        return Ok(vec![event::PoolDeleted { pool: pool.id, closed }.into()]);
    }
    let allocations = pools.usage(pool.id).map_or(0, |usage| usage.allocations);
    let what = if pool.cidrs.is_empty() { "child pools of the pool" } else { "pool cidrs provisioned in the pool" };
    let message = format!(
        "The specified action is not valid for {}. There are one or more {what}: {} CIDRs with {allocations} \
         allocations, {} child pools. In a private scope `cascade` deletes all of it.",
        pool.id,
        pool.cidrs.len(),
        children.len()
    );
    let total = pool.cidrs.len() + children.len();
    let named = pool.cidrs.iter().map(|provisioned| provisioned.cidr.to_string());
    let named = named.chain(children.iter().map(ToString::to_string));
    let query = format!("/v1/organizations/{}/pools?scope={}", ask.state.id, pool.scope);
    Err(Rejection::new(Code::DependencyViolation, "INV-P14", message)
        .value("cidrs", pool.cidrs.len())
        .value("allocations", allocations)
        .value("child_pools", children.len())
        .blocked_by(named, total as u64, query))
}
