//! Which free block is handed out, and what stands in the way of a block that was named.

use std::cmp::Reverse;

use crate::address::{AddressCount, Cidr, Fit, Space, search_ranges};
use crate::domain::ask::Ask;
use crate::domain::command::ResourceClaim;
use crate::domain::id::PoolId;
use crate::domain::pool::{Placement, Pool};
use crate::domain::rejection::{BLOCKERS_NAMED_MAX, Code, Rejection};
use crate::domain::resource;
use crate::planted::{Bug, planted};

/// What is asked for by length.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::domain) struct Choice<'a> {
    pub length: u8,
    /// The longest netmask that would do as well: no smaller block is worth telling of.
    pub longest: u8,
    /// The block lies inside one of these, when any is given.
    pub allowed: &'a [Cidr],
    /// The block shares no address with any of these.
    pub disallowed: &'a [Cidr],
}

/// A free block of the pool, chosen by the pool's placement; observed resources are gone around.
pub(in crate::domain) fn place(ask: &Ask<'_>, pool: &Pool, choice: &Choice<'_>) -> Result<Cidr, Rejection> {
    let spaces = ask.state.pools.known(pool.id).spaces();
    if spaces.is_empty() {
        return Err(empty(pool));
    }
    if choice.length > pool.address_family.bits() {
        let bits = pool.address_family.bits();
        let message =
            format!("A netmask length of {} is asked for; {} has 0 to {bits}.", choice.length, pool.address_family);
        return Err(Rejection::new(Code::InvalidParameterValue, "INV-A2", message)
            .value("netmask_length", choice.length)
            .try_instead("at_most", bits));
    }
    let found = if choice.allowed.is_empty() && choice.disallowed.is_empty() {
        find(ask, pool, choice.length, spaces.iter().map(|space| (space, None)))
    } else {
        find(ask, pool, choice.length, permitted(spaces, choice).into_iter())
    };
    found.ok_or_else(|| exhausted(ask, pool, choice))
}

/// Where a block may lie, in address order.
fn permitted<'a>(spaces: &'a [Space], choice: &Choice<'_>) -> Vec<(&'a Space, Option<Cidr>)> {
    let disallowed = if planted(Bug::DisallowedHandedOut) { &[] } else { choice.disallowed };
    let ranges = |space: &Space| search_ranges(space.cidr(), choice.allowed, disallowed);
    spaces.iter().flat_map(|space| ranges(space).into_iter().map(move |range| (space, Some(range)))).collect()
}

/// Searches places that stand in address order.
fn find<'a>(
    ask: &Ask<'_>,
    pool: &Pool,
    length: u8,
    mut places: impl Iterator<Item = (&'a Space, Option<Cidr>)> + Clone,
) -> Option<Cidr> {
    match pool.placement {
        Placement::FirstFit => places.find_map(|(space, within)| space.find(length, Fit::First, within)),
        Placement::BestFit => places
            .filter_map(|(space, within)| {
                let block = space.find(length, Fit::Best, within)?;
                Some((Reverse(space.free_around(block)?.length()), block))
            })
            .min()
            .map(|(_, block)| block),
        Placement::Random => {
            let point = point(pool, ask.seed().bits("placement", 0));
            let mut all = places.clone();
            places
                .filter_map(|(space, within)| space.find(length, Fit::AtOrAfter(point), within))
                // A place without such a block answers with an earlier one.
                .find(|block| block.first() >= point)
                .or_else(|| all.find_map(|(space, within)| space.find(length, Fit::First, within)))
        }
    }
}

/// An address in the pool's CIDRs: the one numbered `bits`, modulo how many there are.
fn point(pool: &Pool, bits: u128) -> u128 {
    let size = |cidr: Cidr| (cidr.last() - cidr.first()).wrapping_add(1);
    let total = pool.cidrs.iter().fold(0u128, |sum, provisioned| sum.wrapping_add(size(provisioned.cidr)));
    // All of IPv6 is 2^128 addresses, which wraps to none.
    let mut rest = bits.checked_rem(total).unwrap_or(bits);
    for provisioned in &pool.cidrs {
        let last = provisioned.cidr.last() - provisioned.cidr.first();
        if rest <= last {
            return provisioned.cidr.first() + rest;
        }
        rest -= last + 1;
    }
    unreachable!("the number is below the pool's number of addresses")
}

pub(super) fn empty(pool: &Pool) -> Rejection {
    let message = format!("{} has no CIDR, so there is nothing to allocate from. Provision one first.", pool.id);
    Rejection::new(Code::PoolEmpty, "INV-P4", message)
        .value("pool", pool.id)
        .try_instead("command", "ProvisionPoolCidr")
}

fn exhausted(ask: &Ask<'_>, pool: &Pool, choice: &Choice<'_>) -> Rejection {
    let entry = ask.state.pools.known(pool.id);
    let free: AddressCount = entry.spaces().iter().map(Space::free_addresses).sum();
    let permitted = permitted(entry.spaces(), choice);
    let first = |length: u8| permitted.iter().find_map(|(space, within)| space.find(length, Fit::First, *within));
    // Where a block is free, its halves are.
    let lengths: Vec<_> = (choice.length..=choice.longest).skip(1).collect();
    let largest = lengths.get(lengths.partition_point(|length| first(*length).is_none())).and_then(|at| first(*at));
    let limited = if choice.allowed.is_empty() && choice.disallowed.is_empty() {
        ""
    } else {
        " that `allowed_cidrs` and `disallowed_cidrs` permit"
    };
    let left = match largest {
        Some(largest) => format!("{free} addresses are free, the largest free block that would do is {largest}"),
        None if free == AddressCount::ZERO => "no address is free".to_owned(),
        None => format!("{free} addresses are free, but no block that would do"),
    };
    let message = format!(
        "The allocation size is too big for the pool: {} has no free /{}{limited}; {left}.",
        pool.id, choice.length
    );
    let rejection = Rejection::new(Code::PoolExhausted, "INV-A1", message)
        .value("pool", pool.id)
        .value("netmask_length", choice.length)
        .value("free_addresses", free);
    match largest {
        Some(largest) => rejection.try_instead("largest_free_block", largest),
        None => rejection,
    }
}

/// The pool's space around a block that was named.
pub(super) fn space_around<'a>(ask: &Ask<'a>, pool: &Pool, cidr: Cidr) -> Result<&'a Space, Rejection> {
    ask.state.pools.known(pool.id).space_around(cidr).ok_or_else(|| {
        let has: Vec<_> = pool.cidrs.iter().take(BLOCKERS_NAMED_MAX).map(|one| one.cidr.to_string()).collect();
        let message = format!("{cidr} does not lie inside one CIDR of {}.", pool.id);
        Rejection::new(Code::CidrNotInPool, "INV-A1", message).value("cidr", cidr).try_instead("inside", has.join(", "))
    })
}

/// Refuses a block that an allocation of the pool shares an address with.
pub(in crate::domain) fn nobody_holds(
    ask: &Ask<'_>,
    pool: PoolId,
    space: &Space,
    cidr: Cidr,
    rule: &'static str,
) -> Result<(), Rejection> {
    let holders = || space.holders_overlapping(cidr);
    let Some((first, slot)) = holders().next() else { return Ok(()) };
    let allocations = &ask.state.allocations;
    let first_id = allocations.id_at(slot);
    let message = format!("{cidr} overlaps {first}, which the allocation {first_id} of {pool} holds.");
    let named = holders().take(BLOCKERS_NAMED_MAX).map(|(_, slot)| allocations.id_at(slot));
    let query = format!("/v1/organizations/{}/pools/{pool}/allocations", ask.state.id);
    let rejection = Rejection::new(Code::CidrOverlap, rule, message)
        .value("cidr", cidr)
        .value("overlaps", first)
        .blocked_by(named, holders().count() as u64, query);
    Err(match space.find(cidr.length(), Fit::First, None) {
        Some(free) => rejection.try_instead("free_block", free),
        None => rejection,
    })
}

/// Refuses a block that was named while a resource is observed in it (INV-A9, N9): any resource but the one it
/// is for, what that one is part of, and what is part of it.
pub(super) fn nobody_else_observed(
    ask: &Ask<'_>,
    pool: &Pool,
    cidr: Cidr,
    claim: Option<&ResourceClaim>,
) -> Result<(), Rejection> {
    let others = || {
        resource::blockers_in(ask.state, pool.scope, cidr)
            .filter(|(_, name)| !claim.is_some_and(|claim| resource::related(ask.state, claim.kind, &claim.id, name)))
    };
    let Some((seen, name)) = others().next() else { return Ok(()) };
    let for_it =
        if name.kind.can_hold_allocation() { " An allocation for that very resource is possible." } else { "" };
    let message = format!("{cidr} is in use: {} {} was observed with {seen}.{for_it}", name.kind, name.id);
    let named = others().take(BLOCKERS_NAMED_MAX).map(|(_, name)| format!("{} {}", name.kind, name.id));
    let query = format!("/v1/organizations/{}/history?cidr={cidr}", ask.state.id);
    let resource = format!("{} {}", name.kind, name.id);
    let rejection = Rejection::new(Code::CidrInUse, "INV-A9", message)
        .value("cidr", cidr)
        .value("observed", seen)
        .value("resource", &resource)
        .blocked_by(named, others().count() as u64, query);
    let free = ask.state.pools.known(pool.id).space_around(cidr).and_then(|s| s.find(cidr.length(), Fit::First, None));
    let rejection = if let Some(free) = free { rejection.try_instead("free_block", free) } else { rejection };
    Err(if for_it.is_empty() { rejection } else { rejection.try_instead("resource", resource) })
}
