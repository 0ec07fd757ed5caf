//! `ProvisionPoolCidr`: space for a pool, named by CIDR or, for a child pool, by length (spec §1.5).

use super::Pool;
use crate::address::Cidr;
use crate::domain::allocation::{Choice, place};
use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::command::{self, Visibility};
use crate::domain::event::{self, Ownership};
use crate::domain::id::{AllocationId, PoolCidrId};
use crate::domain::quota::Quota;
use crate::domain::rejection::{Code, Rejection};
use crate::planted::{Bug, planted};

pub(in crate::domain) fn provision(ask: &Ask<'_>, body: &command::ProvisionPoolCidr) -> Decided {
    let pool = authority::owned_pool(ask, body.pool)?;
    let source = pool.source_pool.map(|source| &ask.state.pools.known(source).pool);
    let (cidr, placement) = match (body.cidr, body.netmask_length, source) {
        (Some(cidr), None, source) => {
            of_family(pool, cidr)?;
            match source {
                None => beside_other_pools(ask, pool, cidr)?,
                Some(source) => free_in_source(ask, source, cidr)?,
            }
            (cidr, None)
        }
        (None, Some(length), Some(source)) => {
            // The source pool's netmask rules are for what it hands out to resources (design D22).
            let longest = source.address_family.bits();
            let cidr = place(ask, source, &Choice { length, longest, ..Choice::default() })?;
            (cidr, Some(source.placement))
        }
        (None, Some(length), None) => {
            let message = format!(
                "{} is a top-level pool: there is no source pool to take a /{length} from. Name the `cidr`.",
                pool.id
            );
            return Err(Rejection::new(Code::InvalidParameterCombination, "INV-C6", message)
                .value("netmask_length", length)
                .try_instead("parameter", "cidr"));
        }
        (both_or_neither, _, _) => {
            let given = if both_or_neither.is_some() { "both were" } else { "neither was" };
            let message = format!("Exactly one of `cidr` and `netmask_length` is needed; {given} given.");
            return Err(Rejection::new(Code::InvalidParameterCombination, "INV-C6", message));
        }
    };
    quota(ask, pool)?;
    let scope = ask.state.scopes.get(pool.scope).expect("a pool's scope exists while the pool does");
    let provisioned = event::PoolCidrProvisioned {
        pool: pool.id,
        pool_cidr: PoolCidrId::new(&ask.seed(), 0),
        cidr,
        source_allocation: source.map(|_| AllocationId::new(&ask.seed(), 0)),
        placement,
        ownership: (scope.visibility == Visibility::Public).then_some(Ownership::Unproven),
    };
    Ok(vec![provisioned.into()])
}

/// A pool has one family.
pub(in crate::domain) fn of_family(pool: &Pool, cidr: Cidr) -> Result<(), Rejection> {
    if cidr.family() == pool.address_family {
        return Ok(());
    }
    let message = format!("{cidr} is {}, but {} holds {} space.", cidr.family(), pool.id, pool.address_family);
    Err(Rejection::new(Code::InvalidParameterValue, "INV-P1", message)
        .value("cidr", cidr)
        .try_instead("address_family", pool.address_family))
}

/// Top-level pools of one scope share no address, a pool's own CIDRs neither (INV-C1, INV-C4).
fn beside_other_pools(ask: &Ask<'_>, pool: &Pool, cidr: Cidr) -> Result<(), Rejection> {
    let pools = &ask.state.pools;
    let is_top = |id| pools.get(id).is_some_and(|other| other.source_pool.is_none() && !planted(Bug::TopLevelOverlap));
    let over: Vec<_> = pools.provisioned_over(pool.scope, cidr).filter(|(_, id)| is_top(*id)).collect();
    let Some((first, other)) = over.first() else { return Ok(()) };
    let whose = if *other == pool.id { "the pool itself".to_owned() } else { format!("the top-level pool {other}") };
    let message = format!("{cidr} overlaps {first}, which {whose} of the same scope already has.");
    let query = format!("/v1/organizations/{}/pools?scope={}", ask.state.id, pool.scope);
    Err(Rejection::new(Code::CidrOverlap, "INV-C1", message).value("cidr", cidr).value("overlaps", first).blocked_by(
        over.iter().map(|(cidr, id)| format!("{id} {cidr}")),
        over.len() as u64,
        query,
    ))
}

/// A child pool's CIDR lies in one CIDR of the source pool and overlaps no allocation there (INV-C2).
fn free_in_source(ask: &Ask<'_>, source: &Pool, cidr: Cidr) -> Result<(), Rejection> {
    let entry = ask.state.pools.known(source.id);
    let Some(space) = entry.space_around(cidr) else {
        let has: Vec<_> = source.cidrs.iter().take(100).map(|provisioned| provisioned.cidr.to_string()).collect();
        let message = format!("{cidr} does not lie inside one CIDR of the source pool {}.", source.id);
        let rejection = Rejection::new(Code::CidrNotInSourcePool, "INV-C2", message).value("cidr", cidr);
        return Err(if has.is_empty() { rejection } else { rejection.try_instead("inside", has.join(", ")) });
    };
    if planted(Bug::ChildOverHolder) {
        return Ok(());
    }
    crate::domain::allocation::nobody_holds(ask, source.id, space, cidr, "INV-C2")
}

fn quota(ask: &Ask<'_>, pool: &Pool) -> Result<(), Rejection> {
    let (cidrs, limit) = (pool.cidrs.len(), ask.state.organization.quota(Quota::CidrsPerPool));
    if (cidrs as u64) < u64::from(limit) {
        return Ok(());
    }
    let message = format!("{} has {cidrs} CIDRs, and its quota is {limit}.", pool.id);
    Err(Rejection::new(Code::QuotaExceeded, "INV-C12", message)
        .value("cidrs", cidrs)
        .value("limit", limit)
        .try_instead("command", "SetQuota"))
}
