//! `DeprovisionPoolCidr`: a pool gives a CIDR back, exactly as provisioned (INV-C7, design D22).

use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::command;
use crate::domain::event;
use crate::domain::rejection::{BLOCKERS_NAMED_MAX, Code, Rejection};

pub(in crate::domain) fn deprovision(ask: &Ask<'_>, body: &command::DeprovisionPoolCidr) -> Decided {
    let pool = authority::owned_pool(ask, body.pool)?;
    let entry = ask.state.pools.known(pool.id);
    let (Some(provisioned), Some(space)) = (entry.provisioned(body.cidr), entry.space_around(body.cidr)) else {
        let has: Vec<_> = pool.cidrs.iter().take(BLOCKERS_NAMED_MAX).map(|one| one.cidr.to_string()).collect();
        let message = format!("{} has no CIDR {}: name one exactly as it was provisioned.", pool.id, body.cidr);
        let rejection = Rejection::new(Code::PoolCidrNotFound, "INV-C7", message).value("cidr", body.cidr);
        return Err(if has.is_empty() { rejection } else { rejection.try_instead("cidr", has.join(", ")) });
    };
    let allocations = space.held_count();
    if allocations > 0 {
        let held = space.holders_overlapping(body.cidr).map(|(_, slot)| ask.state.allocations.id_at(slot));
        let message = format!(
            "The CIDR has one or more allocations. {} has {allocations}; release them first, and deprovision those of \
             child pools there.",
            body.cidr
        );
        let query = format!("/v1/organizations/{}/pools/{}/allocations", ask.state.id, pool.id);
        return Err(Rejection::new(Code::DependencyViolation, "INV-C7", message)
            .value("cidr", body.cidr)
            .value("allocations", allocations)
            .blocked_by(held, allocations, query));
    }
    let deprovisioned = event::PoolCidrDeprovisioned {
        pool: pool.id,
        pool_cidr: provisioned.id,
        cidr: body.cidr,
        source_allocation: provisioned.source_allocation,
    };
    Ok(vec![deprovisioned.into()])
}
