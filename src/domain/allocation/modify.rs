//! `ModifyAllocation`: its description, or the resource that a custom allocation is for from now on.

use super::release::known_allocation;
use super::{AllocationRow, Holder, claim, placement};
use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::check;
use crate::domain::command::{ModifyAllocation, ResourceClaim};
use crate::domain::event;
use crate::domain::rejection::{Code, Rejection};

pub(in crate::domain) fn modify(ask: &Ask<'_>, body: &ModifyAllocation) -> Decided {
    let allocation = known_allocation(ask, body.allocation)?;
    check::names_something(!body.description.is_unchanged() || body.resource.is_some(), "description, resource")?;
    check::description_change(&body.description)?;
    let resource = match &body.resource {
        Some(claim) => bind(ask, &allocation, claim)?,
        None => None,
    };
    let description = check::effective(&body.description, allocation.description.as_ref());
    if description.is_unchanged() && resource.is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![event::AllocationModified { allocation: allocation.id, description, resource }.into()])
}

/// The claim to record; none when the allocation is for that resource already.
fn bind(ask: &Ask<'_>, allocation: &AllocationRow, claim: &ResourceClaim) -> Result<Option<ResourceClaim>, Rejection> {
    let pool = authority::owned_pool(ask, allocation.pool)?;
    let claim = claim::completed(ask, pool, claim);
    match &allocation.holder {
        Holder::Custom => {
            claim::admit(ask, pool, &claim, allocation.cidr.length())?;
            placement::nobody_else_observed(ask, pool, allocation.cidr, Some(&claim))?;
            Ok(Some(claim))
        }
        Holder::Resource(bound) if *bound == claim => Ok(None),
        holder => {
            let message = format!(
                "{} is of type {}; only a custom allocation can be bound to a resource, and only once.",
                allocation.id,
                holder.kind()
            );
            Err(Rejection::new(Code::UnsupportedOperation, "ModifyAllocation", message)
                .value("allocation", allocation.id)
                .value("type", holder.kind()))
        }
    }
}
