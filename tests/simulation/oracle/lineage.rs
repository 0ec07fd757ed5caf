//! Who held what and when, told from the events by asking every instant: nothing is kept along.

use std::collections::{BTreeMap, BTreeSet};

use ipam_ledger::address::Cidr;
use ipam_ledger::domain::event::{ClosedCidr, Event};
use ipam_ledger::domain::id::{AllocationId, PoolId, Revision};
use ipam_ledger::domain::time::Timestamp;

use super::history::Past;

/// Who, which block, from when, until when.
pub type Interval = (String, Cidr, Timestamp, Option<Timestamp>);

/// What one observation says; `None`: not there.
struct Seen {
    who: String,
    at: Timestamp,
    revision: Revision,
    cidrs: Option<BTreeSet<Cidr>>,
}

/// Every interval that is known once these outcomes are.
pub fn intervals(pasts: &[Past]) -> Vec<Interval> {
    let mut all = decisions(pasts);
    all.extend(observations(pasts));
    all.sort();
    all
}

struct Held {
    pool: PoolId,
    allocation: Option<AllocationId>,
    cidr: Cidr,
    from: Timestamp,
    until: Option<Timestamp>,
}

fn decisions(pasts: &[Past]) -> Vec<Interval> {
    let mut held: Vec<Held> = Vec::new();
    for past in pasts {
        let now = past.moment.decided_at;
        for event in past.outcome.events() {
            let mut end = |which: &dyn Fn(&Held) -> bool| {
                for one in held.iter_mut().filter(|one| one.until.is_none() && which(one)) {
                    one.until = Some(now);
                }
            };
            let closes = |closed: &[ClosedCidr], one: &Held| {
                closed.iter().any(|range| range.pool == one.pool && range.cidr.contains(one.cidr))
            };
            match event {
                Event::PoolCidrDeprovisioned(it) => {
                    end(&|one| one.allocation.is_none() && (one.pool, one.cidr) == (it.pool, it.cidr));
                }
                Event::AllocationReleased(it) => end(&|one| one.allocation == Some(it.allocation)),
                Event::PoolDeleted(it) => end(&|one| closes(&it.closed, one)),
                Event::IpamDeleted(it) => end(&|one| closes(&it.closed, one)),
                Event::PoolCidrProvisioned(it) => {
                    held.push(Held { pool: it.pool, allocation: None, cidr: it.cidr, from: now, until: None });
                }
                Event::CidrAllocated(it) => {
                    let allocation = Some(it.allocation);
                    held.push(Held { pool: it.pool, allocation, cidr: it.cidr, from: now, until: None });
                }
                _ => {}
            }
        }
    }
    let who = |one: &Held| one.allocation.map_or_else(|| one.pool.to_string(), |allocation| allocation.to_string());
    held.iter().map(|one| (who(one), one.cidr, one.from, one.until)).collect()
}

fn observations(pasts: &[Past]) -> Vec<Interval> {
    let mut seen: Vec<Seen> = Vec::new();
    for past in pasts {
        let revision = past.moment.revision;
        for event in past.outcome.events() {
            match event {
                Event::ResourceObserved(it) => {
                    let cidrs = Some(it.cidrs.iter().map(|seen| seen.cidr).collect());
                    let who = format!("{} {}", it.kind, it.id);
                    seen.push(Seen { who, at: it.observed_at, revision, cidrs });
                }
                Event::ResourceGone(it) => {
                    let who = format!("{} {}", it.kind, it.id);
                    seen.push(Seen { who, at: it.observed_at, revision, cidrs: None });
                }
                Event::ObservationRetracted(it) => {
                    let who = format!("{} {}", it.kind, it.id);
                    seen.retain(|one| (&one.who, one.at, one.revision) != (&who, it.observed_at, it.revision));
                }
                _ => {}
            }
        }
    }
    let everybody: BTreeSet<&String> = seen.iter().map(|one| &one.who).collect();
    everybody.into_iter().flat_map(|who| of_resource(who, &seen)).collect()
}

fn of_resource(who: &str, seen: &[Seen]) -> Vec<Interval> {
    // At one instant present beats gone, and several presents all count.
    let mut instants: BTreeMap<Timestamp, BTreeSet<Cidr>> = BTreeMap::new();
    for one in seen.iter().filter(|one| one.who == who) {
        instants.entry(one.at).or_default().extend(one.cidrs.iter().flatten());
    }
    let blocks: BTreeSet<Cidr> = instants.values().flatten().copied().collect();
    let mut found = Vec::new();
    for cidr in blocks {
        let mut since = None;
        for (at, held) in &instants {
            match (since, held.contains(&cidr)) {
                (None, true) => since = Some(*at),
                (Some(from), false) => {
                    found.push((who.to_owned(), cidr, from, Some(*at)));
                    since = None;
                }
                _ => {}
            }
        }
        found.extend(since.map(|from| (who.to_owned(), cidr, from, None)));
    }
    found
}
