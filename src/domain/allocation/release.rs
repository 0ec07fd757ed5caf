//! `ReleaseAllocation`: the space is free in the same event (INV-R1, INV-R2, design D20).

use super::claim::ipam_of;
use super::{AllocationRow, Holder};
use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::command::{ReleaseAllocation, ResourceClaim};
use crate::domain::event::{self, ResourceName};
use crate::domain::id::AllocationId;
use crate::domain::pool::Pool;
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
    let pool = authority::owned_pool(ask, allocation.pool)?;
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
        Holder::Resource(claim) => still_there(ask, &allocation, pool, claim, body.force)?,
    };
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

/// Whether the resource is observed in the block now, or parts of it where nothing would keep the space back for them; an error
/// unless that is overridden.
fn still_there(
    ask: &Ask<'_>,
    allocation: &AllocationRow,
    pool: &Pool,
    claim: &ResourceClaim,
    force: bool,
) -> Result<bool, Rejection> {
    let itself = ResourceName { kind: claim.kind, id: claim.id.clone() };
    let seen = ask.state.resources.get(&itself).is_some_and(|resource| resource.is_observed_in(allocation.cidr));
    let first = if seen { Some(&itself) } else { observed_elsewhere(ask, allocation, pool, claim) };
    let Some(first) = first.filter(|_| !force) else { return Ok(first.is_some()) };
    let part = if *first == itself { String::new() } else { format!(", part of {} {},", claim.kind, claim.id) };
    let message = format!(
        "{} {}{part} is still observed in {}. Delete the resource and observe it gone, or release with `force` and a reason.",
        first.kind, first.id, allocation.cidr
    );
    Err(Rejection::new(Code::ResourceStillObserved, "INV-R3", message)
        .value("allocation", allocation.id)
        .value("resource", format!("{} {}", first.kind, first.id))
        .try_instead("force", true))
}

/// The first of what belongs to the resource and is observed in the block, but lies in another scope than the pool (design
/// D16): the block would be handed out again at once.
fn observed_elsewhere<'a>(
    ask: &'a Ask<'_>,
    allocation: &AllocationRow,
    pool: &Pool,
    claim: &ResourceClaim,
) -> Option<&'a ResourceName> {
    let ipam = ipam_of(ask, pool);
    let others = [ipam.private_default_scope, ipam.public_default_scope].into_iter().filter(|id| *id != pool.scope);
    others
        .flat_map(|other| resource::blockers_in(ask.state, other, allocation.cidr))
        .map(|(_, name)| name)
        .find(|name| resource::related(ask.state, claim.kind, &claim.id, name))
}
