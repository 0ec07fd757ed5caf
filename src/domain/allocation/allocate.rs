//! `AllocateCidr`: a block of a pool, named or chosen (spec §1.6, INV-A1 to INV-A9).

use super::claim;
use super::placement::{self, Choice, place};
use crate::address::Cidr;
use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::check;
use crate::domain::command::AllocateCidr;
use crate::domain::event;
use crate::domain::id::AllocationId;
use crate::domain::pool::{Placement, Pool, of_family};
use crate::domain::rejection::{Code, Rejection};

/// What AWS says when nothing says how large the block shall be.
const NO_LENGTH: &str = "The request cannot contain empty CIDR and Netmask Length for a pool with no default \
                         allocation netmask length set. Exactly one of them should be provided.";

pub(in crate::domain) fn allocate(ask: &Ask<'_>, body: &AllocateCidr) -> Decided {
    check::description(body.description.as_deref())?;
    check::tags("tags", &body.tags)?;
    check::list("allowed_cidrs", body.allowed_cidrs.len(), check::LIST_ENTRIES_MAX)?;
    check::list("disallowed_cidrs", body.disallowed_cidrs.len(), check::LIST_ENTRIES_MAX)?;
    let pool = authority::owned_pool(ask, body.pool)?;
    let wanted = wanted(pool, body)?;
    if pool.cidrs.is_empty() {
        return Err(placement::empty(pool));
    }
    let claim = body.resource.as_ref().map(|claim| claim::completed(ask, pool, claim));
    match &claim {
        Some(claim) => claim::admit(ask, pool, claim, wanted.length())?,
        None => claim::admit_custom(ask, pool, wanted.length())?,
    }
    let (cidr, placement) = match wanted {
        Wanted::Block(cidr) => {
            let space = placement::space_around(ask, pool, cidr)?;
            placement::nobody_holds(ask, pool.id, space, cidr, "INV-A1")?;
            placement::nobody_else_observed(ask, pool, cidr, claim.as_ref())?;
            (cidr, None)
        }
        Wanted::Length(length) => {
            let (_, longest) = pool.rules.lengths(pool.address_family);
            let choice = Choice { length, longest, allowed: &body.allowed_cidrs, disallowed: &body.disallowed_cidrs };
            (place(ask, pool, &choice)?, Some(pool.placement))
        }
    };
    Ok(vec![allocated(ask, body, cidr, placement, claim)])
}

fn allocated(
    ask: &Ask<'_>,
    body: &AllocateCidr,
    cidr: Cidr,
    placement: Option<Placement>,
    resource: Option<crate::domain::command::ResourceClaim>,
) -> event::Event {
    event::CidrAllocated {
        allocation: AllocationId::new(&ask.seed(), 0),
        pool: body.pool,
        cidr,
        description: body.description.clone(),
        tags: body.tags.clone(),
        resource,
        placement,
    }
    .into()
}

/// What is asked for, once it is clear.
#[derive(Clone, Copy)]
enum Wanted {
    Block(Cidr),
    Length(u8),
}

impl Wanted {
    fn length(self) -> u8 {
        match self {
            Self::Block(cidr) => cidr.length(),
            Self::Length(length) => length,
        }
    }
}

fn wanted(pool: &Pool, body: &AllocateCidr) -> Result<Wanted, Rejection> {
    let ranges = || body.allowed_cidrs.iter().chain(&body.disallowed_cidrs);
    match (body.cidr, body.netmask_length) {
        (Some(cidr), Some(length)) => {
            let message =
                format!("Both `cidr` ({cidr}) and `netmask_length` ({length}) are given; exactly one can be.");
            Err(Rejection::new(Code::InvalidParameterCombination, "INV-A2", message))
        }
        (Some(cidr), None) => {
            if ranges().next().is_some() {
                let message = format!(
                    "`allowed_cidrs` and `disallowed_cidrs` choose among blocks of a length; with `cidr` ({cidr}) there \
                     is nothing to choose."
                );
                return Err(Rejection::new(Code::InvalidParameterCombination, "INV-A5", message)
                    .try_instead("parameter", "netmask_length"));
            }
            of_family(pool, cidr)?;
            Ok(Wanted::Block(cidr))
        }
        (None, length) => {
            let length = length.or(pool.rules.default_netmask_length).ok_or_else(|| {
                Rejection::new(Code::InvalidParameterCombination, "INV-A2", NO_LENGTH).value("pool", pool.id)
            })?;
            ranges().try_for_each(|range| of_family(pool, *range))?;
            Ok(Wanted::Length(length))
        }
    }
}
