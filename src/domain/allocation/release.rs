//! `ReleaseAllocation`: the space is free in the same event (INV-R1, INV-R2, design D20).

use super::{AllocationRow, Holder};
use crate::domain::authority;
use crate::domain::command::{ReleaseAllocation, ResourceClaim};
use crate::domain::decide::{Ask, Decided};
use crate::domain::event::{self, ResourceName};
use crate::domain::id::AllocationId;
use crate::domain::rejection::{BLOCKERS_NAMED_MAX, Code, Rejection};
use crate::domain::resource;

pub(in crate::domain) fn release(ask: &Ask<'_>, body: &ReleaseAllocation) -> Decided {
    let allocation = known_allocation(ask, body.allocation)?;
    agrees(body, &allocation)?;
    if body.force && ask.command.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
        let message = "`force` overrides what was observed, so it needs the command's `reason`.";
        return Err(
            Rejection::new(Code::MissingParameter, "ReleaseAllocation", message).try_instead("parameter", "reason")
        );
    }
    let forced = match &allocation.holder {
        Holder::Pool(child) => {
            let message = format!(
                "{} is of type ipam-pool: {} was provisioned to {child} and goes by deprovisioning it there.",
                allocation.id, allocation.cidr
            );
            return Err(Rejection::new(Code::UnsupportedOperation, "INV-R2", message)
                .value("allocation", allocation.id)
                .try_instead("command", "DeprovisionPoolCidr")
                .try_instead("pool", child)
                .try_instead("cidr", allocation.cidr));
        }
        Holder::Custom => false,
        Holder::Resource(claim) => still_there(ask, &allocation, claim, body.force)?,
    };
    let pool = authority::owned_pool(ask, allocation.pool)?;
    let mut still_observed: Vec<ResourceName> = Vec::new();
    for (_, name) in resource::blockers_in(ask.state, pool.scope, allocation.cidr) {
        if still_observed.len() == BLOCKERS_NAMED_MAX {
            break;
        }
        if !still_observed.contains(name) {
            still_observed.push(name.clone());
        }
    }
    let released = event::AllocationReleased {
        allocation: allocation.id,
        pool: allocation.pool,
        cidr: allocation.cidr,
        still_observed,
        forced,
    };
    Ok(vec![released.into()])
}

/// An allocation in a pool of the asking account.
pub(super) fn known_allocation(ask: &Ask<'_>, id: AllocationId) -> Result<AllocationRow, Rejection> {
    let allocation = ask.state.allocations.row(id);
    allocation.filter(|allocation| authority::visible_pool(ask, allocation.pool).is_some()).ok_or_else(|| {
        let message = format!("No allocation found: {id} does not exist, was released, or is in a pool of another.");
        Rejection::new(Code::AllocationNotFound, "INV-R1", message).value("allocation", id)
    })
}

/// Pool and CIDR, where they are given, must be the allocation's (INV-R1).
fn agrees(body: &ReleaseAllocation, allocation: &AllocationRow) -> Result<(), Rejection> {
    let pool = body.pool.is_none_or(|pool| pool == allocation.pool);
    let cidr = body.cidr.is_none_or(|cidr| cidr == allocation.cidr);
    if pool && cidr {
        return Ok(());
    }
    let message = format!("No allocation found: {} holds {} of {}.", allocation.id, allocation.cidr, allocation.pool);
    Err(Rejection::new(Code::AllocationMismatch, "INV-R1", message)
        .value("allocation", allocation.id)
        .try_instead("pool", allocation.pool)
        .try_instead("cidr", allocation.cidr))
}

/// Whether the resource is observed in the block now; an error unless that is overridden.
fn still_there(
    ask: &Ask<'_>,
    allocation: &AllocationRow,
    claim: &ResourceClaim,
    force: bool,
) -> Result<bool, Rejection> {
    let seen = ask.state.resources.find(claim.kind, &claim.id);
    let there = seen.is_some_and(|resource| resource.is_observed_in(allocation.cidr));
    if !there || force {
        return Ok(there);
    }
    let message = format!(
        "{} {} is still observed in {}. Delete the resource and observe it gone, or release with `force` and a reason.",
        claim.kind, claim.id, allocation.cidr
    );
    Err(Rejection::new(Code::ResourceStillObserved, "INV-R3", message)
        .value("allocation", allocation.id)
        .value("resource", format!("{} {}", claim.kind, claim.id))
        .try_instead("force", true))
}
