//! Who shares addresses with whom, from the lists alone: every pair of everybody who holds a block is compared
//! (design D26). Nothing is looked up, and nothing is kept along.

use std::collections::BTreeSet;

use ipam_ledger::address::Cidr;
use ipam_ledger::domain::command::{ResourceAttributes, Visibility};
use ipam_ledger::domain::event::{Event, ResourceName};
use ipam_ledger::domain::id::{AllocationId, OrganizationId, PoolId, Revision, ScopeId};
use ipam_ledger::domain::kind::ResourceKind;
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::views::overlaps::{OverlapsQuery, overlaps};
use ipam_ledger::views::table::Rows;
use ipam_ledger::views::when::{AnswerHead, Window};

use super::history::Past;
use super::lineage::{Interval, intervals};

/// One that holds a block at the instant that is asked about.
struct Party {
    id: String,
    kind: ResourceKind,
    cidr: Cidr,
    from: Timestamp,
    /// Since when the ledger has said so without a break.
    known: Revision,
}

/// Both sides, the wider one first, and the smaller id where they are alike; since when; known since.
type Pair = ([(Cidr, String); 2], Timestamp, Revision);

/// The overlaps of one scope, as of the last of these outcomes, at one instant; how many, and whether a custom allocation is
/// among them.
pub fn ask(rows: &dyn Rows, id: &OrganizationId, known: &[Past], scope: ScopeId, at: Timestamp, limit: usize) -> Seen {
    let expected = expected(known, scope, at);
    let told = listed(rows, id, known, scope, at, limit);
    let distinct: BTreeSet<Pair> = told.iter().cloned().collect();
    let revision = known.last().map(|past| past.moment.revision).unwrap_or_default();
    let asked = || format!("overlaps in {scope} at {at} as of {revision} of {id}");
    assert_eq!(distinct.len(), told.len(), "a pair is listed once: {}", asked());
    assert_eq!(distinct, expected, "{}", asked());
    let customs = expected.iter().flat_map(|(both, ..)| both).any(|(_, who)| who.starts_with(AllocationId::PREFIX));
    Seen { pairs: expected.len(), customs }
}

pub struct Seen {
    pub pairs: usize,
    pub customs: bool,
}

/// Scopes that ever were, and instants that something begins or ends at.
pub fn questions(known: &[Past]) -> (Vec<ScopeId>, Vec<Timestamp>) {
    let mut scopes = Vec::new();
    for event in known.iter().flat_map(|past| past.outcome.events()) {
        match event {
            Event::IpamCreated(it) => scopes.extend([it.private_default_scope, it.public_default_scope]),
            Event::ScopeCreated(it) => scopes.push(it.scope),
            _ => {}
        }
    }
    let ends = intervals(known).into_iter().flat_map(|(_, _, from, until)| [Some(from), until]).flatten();
    (scopes, ends.collect())
}

fn listed(
    rows: &dyn Rows,
    id: &OrganizationId,
    known: &[Past],
    scope: ScopeId,
    at: Timestamp,
    limit: usize,
) -> Vec<Pair> {
    let moment = known.last().expect("some history").moment;
    let head = AnswerHead { revision: moment.revision, decided_at: moment.decided_at };
    let mut query = OverlapsQuery { scope, window: Window::instant(at), limit, after: None };
    let mut pairs = Vec::new();
    for _ in 0..10_000 {
        let answer = overlaps(rows, id, head, &query).expect("memory can be read");
        for group in answer.groups {
            for pair in group.pairs {
                assert!(pair.wide.cidr == group.cidr && group.cidr.contains(pair.narrow.cidr), "{pair:?}");
                let (wide, narrow) = ((pair.wide.cidr, pair.wide.id), (pair.narrow.cidr, pair.narrow.id));
                pairs.push((in_order(wide, narrow), pair.since, pair.known_since.revision));
            }
        }
        query.after = answer.next;
        if query.after.is_none() {
            return pairs;
        }
    }
    panic!("the pages of overlaps never end")
}

/// A wider block sorts before what lies in it.
fn in_order(one: (Cidr, String), other: (Cidr, String)) -> [(Cidr, String); 2] {
    if one < other { [one, other] } else { [other, one] }
}

fn expected(known: &[Past], scope: ScopeId, at: Timestamp) -> BTreeSet<Pair> {
    let mut parties = customs(known, scope, at);
    parties.extend(resources(known, scope, at));
    let mut pairs = BTreeSet::new();
    for (n, one) in parties.iter().enumerate() {
        for other in parties.iter().skip(n + 1) {
            if one.id != other.id && one.cidr.overlaps(other.cidr) && !by_nature(one, other) && !by_nature(other, one) {
                let both = in_order((one.cidr, one.id.clone()), (other.cidr, other.id.clone()));
                pairs.insert((both, one.from.max(other.from), one.known.max(other.known)));
            }
        }
    }
    pairs
}

/// An elastic address in the public pool around it is no overlap.
fn by_nature(pool: &Party, address: &Party) -> bool {
    (pool.kind, address.kind) == (ResourceKind::PublicIpv4Pool, ResourceKind::Eip) && pool.cidr.contains(address.cidr)
}

/// An allocation that was handed out, and what for at the instant.
struct Handed {
    id: AllocationId,
    pool: PoolId,
    cidr: Cidr,
    from: Timestamp,
    revision: Revision,
    resource: Option<ResourceName>,
}

/// What is handed out at the instant: begun by then, and not over.
fn handed_out(known: &[Past], at: Timestamp) -> Vec<Handed> {
    let mut all: Vec<Handed> = Vec::new();
    for past in known.iter().take_while(|past| past.moment.decided_at <= at) {
        for event in past.outcome.events() {
            match event {
                Event::CidrAllocated(it) => all.push(Handed {
                    id: it.allocation,
                    pool: it.pool,
                    cidr: it.cidr,
                    from: past.moment.decided_at,
                    revision: past.moment.revision,
                    resource: it.resource.clone().map(|claim| ResourceName { kind: claim.kind, id: claim.id }),
                }),
                Event::AllocationModified(it) => {
                    for one in all.iter_mut().filter(|one| one.id == it.allocation) {
                        let claim = it.resource.clone();
                        let bound = claim.map(|claim| ResourceName { kind: claim.kind, id: claim.id });
                        one.resource = bound.or(one.resource.take());
                    }
                }
                Event::AllocationReleased(it) => all.retain(|one| one.id != it.allocation),
                Event::PoolDeleted(it) => all.retain(|one| !it.closed.iter().any(|closed| closed.pool == one.pool)),
                Event::IpamDeleted(it) => all.retain(|one| !it.closed.iter().any(|closed| closed.pool == one.pool)),
                _ => {}
            }
        }
    }
    all
}

fn scope_of(known: &[Past], pool: PoolId) -> ScopeId {
    let mut events = known.iter().flat_map(|past| past.outcome.events());
    let made = events.find_map(|event| match event {
        Event::PoolCreated(it) if it.pool == pool => Some(it.scope),
        _ => None,
    });
    made.expect("a pool of an allocation was made")
}

fn customs(known: &[Past], scope: ScopeId, at: Timestamp) -> Vec<Party> {
    let here = handed_out(known, at).into_iter();
    let here = here.filter(|one| one.resource.is_none() && scope_of(known, one.pool) == scope);
    here.map(|one| Party {
        id: one.id.to_string(),
        kind: ResourceKind::Custom,
        cidr: one.cidr,
        from: one.from,
        known: one.revision,
    })
    .collect()
}

fn resources(known: &[Past], scope: ScopeId, at: Timestamp) -> Vec<Party> {
    let handed = handed_out(known, at);
    let mut parties = Vec::new();
    for name in names(known) {
        let who = format!("{} {}", name.kind, name.id);
        let held = |pasts: &[Past]| -> Vec<Interval> {
            intervals(pasts).into_iter().filter(|(one, ..)| *one == who).collect()
        };
        for (_, cidr, from, _) in held(known).into_iter().filter(|(_, _, from, until)| is_now(*from, *until, at)) {
            let own = |one: &&Handed| one.resource.as_ref() == Some(&name) && one.cidr.contains(cidr);
            let placed: BTreeSet<ScopeId> = handed.iter().filter(own).map(|one| scope_of(known, one.pool)).collect();
            let here = if placed.is_empty() { is_seen(known, &name, cidr, scope, at) } else { placed.contains(&scope) };
            if here {
                // Back until the ledger did not say so.
                let says_so = |count: &usize| {
                    let past = known.get(..*count).unwrap_or_default();
                    held(past).iter().any(|(_, other, begin, _)| (*other, *begin) == (cidr, from))
                };
                let since = (1..=known.len()).rev().take_while(says_so).last().expect("it says so now");
                let known = known.get(since - 1).expect("counted").moment.revision;
                parties.push(Party { id: name.id.clone(), kind: name.kind, cidr, from, known });
            }
        }
    }
    parties
}

fn is_now(from: Timestamp, until: Option<Timestamp>, at: Timestamp) -> bool {
    from <= at && until.is_none_or(|until| at < until)
}

/// Resources of kinds that can overlap, seen at any time.
fn names(known: &[Past]) -> BTreeSet<ResourceName> {
    let events = known.iter().flat_map(|past| past.outcome.events());
    let seen = events.filter_map(|event| match event {
        Event::ResourceObserved(it) => Some(ResourceName { kind: it.kind, id: it.id.clone() }),
        _ => None,
    });
    seen.filter(|name| default_place(name.kind).is_some()).collect()
}

fn default_place(kind: ResourceKind) -> Option<Visibility> {
    match kind {
        ResourceKind::Vpc => Some(Visibility::Private),
        ResourceKind::Eip | ResourceKind::PublicIpv4Pool => Some(Visibility::Public),
        _ => None,
    }
}

/// Whether a block that no allocation places lies in a scope: a default one, of an IPAM that saw the account and the
/// region then (D16, D18).
fn is_seen(known: &[Past], name: &ResourceName, cidr: Cidr, scope: ScopeId, at: Timestamp) -> bool {
    let Some(then) = known.iter().rev().find(|past| past.moment.decided_at <= at) else { return false };
    let world = &then.world;
    world.scope(scope).filter(|scope| scope.is_default).is_some_and(|scope| {
        let ipam = world.ipam_of_scope(scope.id);
        let seen = |said: &ResourceAttributes| match (said.account, &said.region) {
            (Some(account), Some(region)) => world.sees(ipam, account) && ipam.regions.contains(region),
            _ => false,
        };
        Some(scope.visibility) == default_place(name.kind) && attributes(known, name, cidr, at).iter().any(seen)
    })
}

/// What is said of a resource at an instant: by every observation that has the block, where several contradict each other.
fn attributes(known: &[Past], name: &ResourceName, cidr: Cidr, at: Timestamp) -> Vec<ResourceAttributes> {
    let facts = known.last().map(|past| past.world.facts.as_slice()).unwrap_or_default();
    let seen = facts.iter().filter(|fact| fact.name == *name && fact.at <= at);
    let with_it = seen.filter_map(|fact| {
        let (cidrs, attributes) = fact.present.as_ref()?;
        cidrs.iter().any(|seen| seen.cidr == cidr).then_some((fact.at, attributes))
    });
    let with_it: Vec<_> = with_it.collect();
    let latest = with_it.iter().map(|(at, _)| *at).max();
    with_it.into_iter().filter(|(at, _)| Some(*at) == latest).map(|(_, attributes)| attributes.clone()).collect()
}
