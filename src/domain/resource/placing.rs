//! In which scopes a resource keeps space from being handed out (design D16, N9).
//!
//! A fact is placed in the default scopes of every IPAM whose reach holds its account and region; private
//! or public is said by its kind, or by the observation, never by the numbers. Published ranges keep nobody.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Presence, Resource};
use crate::address::Cidr;
use crate::domain::authority;
use crate::domain::command::{ObservedCidr, Visibility};
use crate::domain::event::ResourceName;
use crate::domain::id::{AccountId, PoolId, Region, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::state::State;

/// How far up `parent`s are followed: an interface, its subnet, its VPC, and one to spare.
const GENERATIONS_MAX: usize = 4;

/// Whether an observed block is private or public: by kind, or for interfaces and instances as observed.
#[must_use]
pub const fn visibility(kind: ResourceKind, observed: &ObservedCidr) -> Option<Visibility> {
    match kind {
        ResourceKind::NetworkInterface | ResourceKind::Instance => observed.visibility,
        _ => visibility_of_kind(kind),
    }
}

/// What a kind says by itself; nothing for those whose observations say it.
pub(super) const fn visibility_of_kind(kind: ResourceKind) -> Option<Visibility> {
    match kind {
        ResourceKind::Vpc | ResourceKind::Subnet => Some(Visibility::Private),
        ResourceKind::Eip
        | ResourceKind::PublicIpv4Pool
        | ResourceKind::Ipv6Pool
        | ResourceKind::AnycastIpList
        | ResourceKind::Prefix => Some(Visibility::Public),
        ResourceKind::NetworkInterface | ResourceKind::Instance | ResourceKind::IpamPool | ResourceKind::Custom => None,
    }
}

/// The blocks that a resource keeps from being handed out, and where.
pub(super) fn blocks_of(state: &State, resource: &Resource) -> BTreeSet<(ScopeId, Cidr)> {
    let kind = resource.name.kind;
    let mut blocks = BTreeSet::new();
    if kind == ResourceKind::Prefix {
        return blocks;
    }
    for presence in resource.current() {
        let Some(place) = place_of(presence) else { continue };
        for Seat { private, public } in seats(state, &place) {
            for observed in &presence.cidrs {
                let scope = match visibility(kind, observed) {
                    Some(Visibility::Private) => private,
                    Some(Visibility::Public) => public,
                    None => continue,
                };
                blocks.insert((scope, observed.cidr));
            }
        }
    }
    blocks
}

/// The observed resources that keep addresses of `cidr` in a scope from being handed out.
pub(in crate::domain) fn blockers_in(
    state: &State,
    scope: ScopeId,
    cidr: Cidr,
) -> impl Iterator<Item = (Cidr, &ResourceName)> {
    let blockers = state.resources.blockers(scope).into_iter();
    blockers.flat_map(move |blockers| blockers.overlapping(cidr)).map(|(seen, name)| (seen, name.as_ref()))
}

/// Whether a resource is the observed one, part of it, or what it is part of: they share their addresses
/// by nature, as a subnet does with its VPC.
pub(in crate::domain) fn related(state: &State, kind: ResourceKind, id: &str, observed: &ResourceName) -> bool {
    (observed.kind == kind && observed.id == id)
        || is_part_of(state, state.resources.get(observed), id)
        || is_part_of(state, state.resources.find(kind, id), &observed.id)
}

/// Follows `parent`s from a resource up to the one called `whole`.
fn is_part_of(state: &State, part: Option<&Resource>, whole: &str) -> bool {
    let mut at = part;
    for _ in 0..GENERATIONS_MAX {
        let parent = at.and_then(|resource| resource.current().find_map(|one| one.attributes.parent.as_deref()));
        let Some(parent) = parent else { return false };
        if parent == whole {
            return true;
        }
        // A parent is named by id alone.
        at = ResourceKind::ALL.into_iter().find_map(|kind| state.resources.find(kind, parent));
    }
    false
}

/// Lets a CIDR that a pool just got know what was observed in it.
pub(in crate::domain) fn block_new_space(state: &mut State, scope: ScopeId, pool: PoolId, provisioned: Cidr) {
    let Some(blockers) = state.resources.blockers(scope) else { return };
    let entry = state.pools.known_mut(pool);
    for (observed, _) in blockers.overlapping(provisioned) {
        entry.block_in(provisioned, observed);
    }
}

/// Where a resource is, as far as reach is concerned: an IPAM sees all of one place or nothing.
pub(super) type Place = (AccountId, Region);

/// The default scopes of an IPAM that sees a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    private: ScopeId,
    public: ScopeId,
}

/// The places where a resource is now: several while observations conflict, none of a published range.
pub(super) fn places_of(resource: &Resource) -> BTreeSet<Place> {
    if resource.name.kind == ResourceKind::Prefix {
        return BTreeSet::new();
    }
    resource.current().filter_map(place_of).collect()
}

fn place_of(presence: &Presence) -> Option<Place> {
    Some((presence.attributes.account?, presence.attributes.region.clone()?))
}

/// By whom a place is seen now.
pub(super) fn seats(state: &State, (account, region): &Place) -> Vec<Seat> {
    let seeing = state.ipams.iter().filter(|ipam| authority::sees(state, ipam, Some(*account), Some(region)).is_ok());
    seeing.map(|ipam| Seat { private: ipam.private_default_scope, public: ipam.public_default_scope }).collect()
}

/// Places resources anew where they are seen by others than before. To be called whenever an IPAM may see more or
/// less: IPAMs, operating regions, delegation, member accounts. Costs a look at every account with a region that has
/// resources, and at the resources of those where it makes a difference.
pub(in crate::domain) fn reach_changed(state: &mut State) {
    for name in seen_anew(state) {
        place_anew(state, &name);
    }
}

/// Notes by whom each place is seen now; the resources of those where that is new.
pub(super) fn seen_anew(state: &mut State) -> BTreeSet<Arc<ResourceName>> {
    let changed: Vec<_> = state
        .resources
        .places()
        .map(|(place, before)| (place, before, seats(state, place)))
        .filter(|(_, before, now)| *before != now.as_slice())
        .map(|(place, _, now)| (place.clone(), now))
        .collect();
    let mut moved = BTreeSet::new();
    for (place, seats) in changed {
        moved.extend(state.resources.seat(&place, seats));
    }
    moved
}

/// Brings free space in line with what is known of one resource.
pub(super) fn place_anew(state: &mut State, name: &Arc<ResourceName>) {
    let after = state.resources.get(name).map(|resource| blocks_of(state, resource)).unwrap_or_default();
    let Some(before) = state.resources.replace_blocks(name, &after) else { return };
    for (scope, cidr) in before.difference(&after) {
        state.pools.unblock(*scope, *cidr);
    }
    for (scope, cidr) in after.difference(&before) {
        state.pools.block(*scope, *cidr);
    }
}
