//! The same history told another way: lists of events, recomputed from the beginning for every
//! revision, every interval found by asking every instant. For property tests of lineage and overlaps.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::testing::{
    self, account, allocated, at, attributes, bound, gone, id, ipam_created, name, observed, pool_created,
    private_scope, provisioned, region, released, retracted,
};
use crate::address::{Cidr, Family};
use crate::domain::change::Change;
use crate::domain::command::ResourceAttributes;
use crate::domain::event::{self, Event, ResourceName};
use crate::domain::id::Revision;
use crate::domain::id::{AccountId, AllocationId, IpamId, PoolId, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::outcome::Moment;
use crate::domain::time::Timestamp;

pub const STEP: i64 = 1_000;
pub const BLOCKS: [&str; 10] = [
    "10.0.0.0/8",
    "10.0.0.0/16",
    "10.0.0.0/24",
    "10.0.1.0/24",
    "10.0.0.0/32",
    "11.0.0.0/8",
    "fd00::/8",
    "fd00::/48",
    "fd00::/64",
    "fd00:0:1::/64",
];
pub const REGIONS: [&str; 2] = ["eu-1", "us-1"];

pub fn resources() -> Vec<ResourceName> {
    vec![
        name(ResourceKind::Vpc, "vpc-a"),
        name(ResourceKind::Vpc, "vpc-b"),
        name(ResourceKind::Eip, "eip-a"),
        name(ResourceKind::PublicIpv4Pool, "public-a"),
        name(ResourceKind::Subnet, "subnet-a"),
        name(ResourceKind::Prefix, "prefix-a"),
    ]
}

/// Two IPAMs, of the administrator and of another member, and one more private scope.
pub fn scopes() -> [ScopeId; 5] {
    [private_scope(0), id(ScopeId::new, 1), private_scope(1), id(ScopeId::new, 11), id(ScopeId::new, 99)]
}

/// What a random history is made of; `None` of [`Maker::event`] where it makes no sense.
#[derive(Clone, Debug)]
pub enum Op {
    See { resource: usize, when: i64, blocks: u16, account: u8, region: usize },
    Gone { resource: usize, when: i64 },
    Retract { nth: usize },
    Provision { pool: usize, block: usize },
    Deprovision { nth: usize },
    Allocate { pool: usize, block: usize, resource: Option<usize> },
    Bind { nth: usize, resource: usize },
    Release { nth: usize },
    Cascade { pool: usize },
    Member { account: u8, joins: bool },
    Administrator { delegated: bool },
    Registered { registered: bool },
    Operate { ipam: u32, adds: bool },
    DeleteIpam,
    Nothing,
}

pub fn ops(length: usize) -> impl Strategy<Value = Vec<Op>> {
    // Few instants and mostly few resources: it is where observations meet that things go wrong.
    let last = i64::try_from(length + 10).expect("small");
    let when = || prop_oneof![4 => 0..6_i64, 1 => 6..last].prop_map(|tick| tick * STEP);
    let resource = || prop_oneof![2 => 0..2_usize, 1 => 2..6_usize];
    let blocks = prop_oneof![(0..10_u16).prop_map(|bit| 1 << bit), 1..1_024_u16];
    let op = prop_oneof![
        10 => (resource(), when(), blocks, 1..4_u8, 0..2_usize).prop_map(|(resource, when, blocks, account, region)| {
            Op::See { resource, when, blocks, account, region }
        }),
        4 => (resource(), when()).prop_map(|(resource, when)| Op::Gone { resource, when }),
        3 => (0..8_usize).prop_map(|nth| Op::Retract { nth }),
        1 => (0..3_usize, 0..10_usize).prop_map(|(pool, block)| Op::Provision { pool, block }),
        1 => (0..4_usize).prop_map(|nth| Op::Deprovision { nth }),
        4 => (0..3_usize, 0..10_usize, proptest::option::of(0..4_usize))
            .prop_map(|(pool, block, resource)| Op::Allocate { pool, block, resource }),
        1 => (0..4_usize, 0..4_usize).prop_map(|(nth, resource)| Op::Bind { nth, resource }),
        1 => (0..4_usize).prop_map(|nth| Op::Release { nth }),
        1 => (0..3_usize).prop_map(|pool| Op::Cascade { pool }),
        1 => (2..4_u8, any::<bool>()).prop_map(|(account, joins)| Op::Member { account, joins }),
        1 => any::<bool>().prop_map(|delegated| Op::Administrator { delegated }),
        1 => any::<bool>().prop_map(|registered| Op::Registered { registered }),
        1 => (0..2_u32, any::<bool>()).prop_map(|(ipam, adds)| Op::Operate { ipam, adds }),
        1 => Just(Op::DeleteIpam),
        1 => Just(Op::Nothing),
    ];
    proptest::collection::vec(op, 1..length)
}

/// The events of a history, one outcome each; the first ones set the stage.
pub fn events(ops: &[Op]) -> Vec<Vec<Event>> {
    let mut made: Vec<Vec<Event>> = vec![
        vec![event::OrganizationCreated { management_account: account(1) }.into()],
        vec![
            event::AccountAdded { account: account(2), name: None }.into(),
            event::AccountAdded { account: account(3), name: None }.into(),
        ],
        vec![event::AdminDelegated { account: account(2) }.into()],
        vec![ipam_created(0, 2, &REGIONS)],
        vec![ipam_created(1, 3, &REGIONS[..1])],
        vec![
            event::ScopeCreated {
                scope: scopes()[4],
                ipam: id(IpamId::new, 0),
                description: None,
                tags: crate::domain::command::Tags::new(),
            }
            .into(),
        ],
        vec![
            pool_created(0, scopes()[0], Family::Ipv4),
            pool_created(1, scopes()[1], Family::Ipv4),
            pool_created(2, scopes()[4], Family::Ipv4),
        ],
    ];
    for op in ops {
        let event = event_of(&made, op);
        made.push(event.into_iter().collect());
    }
    made
}

/// The ids of what is gone for good are not used again: a pool that is deleted takes no part any more.
fn event_of(made: &[Vec<Event>], op: &Op) -> Option<Event> {
    let all = || made.iter().flatten();
    let deleted = |pool: usize| {
        let id = id(PoolId::new, u32::try_from(pool).expect("small"));
        all().any(|event| matches!(event, Event::PoolDeleted(event) if event.pool == id))
    };
    let number = |index: usize| u32::try_from(index).expect("small");
    match op {
        Op::See { resource, when, blocks, account, region } => {
            let cidrs: Vec<_> = BLOCKS
                .into_iter()
                .enumerate()
                .filter(|(bit, _)| blocks & (1 << bit) != 0)
                .map(|(_, cidr)| cidr)
                .collect();
            Some(observed(&resources()[*resource], *when, &cidrs, attributes(*account, REGIONS[*region])))
        }
        Op::Gone { resource, when } => Some(gone(&resources()[*resource], *when)),
        Op::Retract { nth } => {
            let seen = all_seen(made).into_iter().filter(|seen| seen.retracted.is_none()).nth(*nth)?;
            Some(retracted(&seen.name, seen.at.micros(), seen.revision))
        }
        Op::Provision { pool, block } if !deleted(*pool) => {
            let cidr = BLOCKS[*block].parse().expect("a CIDR");
            let taken = decisions(made, u64::MAX).iter().any(|known| {
                known.until.is_none() && known.who == id(PoolId::new, number(*pool)).to_string() && known.cidr == cidr
            });
            (!taken).then(|| provisioned(number(*pool), BLOCKS[*block]))
        }
        Op::Deprovision { nth } => {
            let open = decisions(made, u64::MAX).into_iter().filter(|known| known.until.is_none());
            let held = open.filter(|known| known.allocation.is_none()).nth(*nth)?;
            Some(
                event::PoolCidrDeprovisioned {
                    pool: held.pool,
                    pool_cidr: id(crate::domain::id::PoolCidrId::new, 0),
                    cidr: held.cidr,
                    source_allocation: None,
                }
                .into(),
            )
        }
        Op::Allocate { pool, block, resource } if !deleted(*pool) => {
            let resource = resource.map(|index| resources()[index].clone());
            Some(allocated(number(*pool), number(made.len()), BLOCKS[*block], resource.as_ref()))
        }
        Op::Bind { nth, resource } => {
            let open = decisions(made, u64::MAX).into_iter().filter(|known| known.until.is_none());
            let held = open.filter(|known| known.allocation.is_some() && known.claims.is_empty()).nth(*nth)?;
            let ordinal = (0..number(made.len())).find(|n| Some(id(AllocationId::new, *n)) == held.allocation)?;
            Some(bound(ordinal, &resources()[*resource]))
        }
        Op::Release { nth } => {
            let open = decisions(made, u64::MAX).into_iter().filter(|known| known.until.is_none());
            let held = open.filter(|known| known.allocation.is_some()).nth(*nth)?;
            let ordinal = (0..number(made.len())).find(|n| Some(id(AllocationId::new, *n)) == held.allocation)?;
            let pool = (0..3).find(|n| id(PoolId::new, *n) == held.pool)?;
            Some(released(pool, ordinal, &held.cidr.to_string()))
        }
        Op::Cascade { pool } if !deleted(*pool) => {
            // What was provisioned, and ranges around whatever was allocated elsewhere.
            let pool_id = id(PoolId::new, number(*pool));
            let held = decisions(made, u64::MAX)
                .into_iter()
                .filter(|known| known.until.is_none() && known.allocation.is_none() && known.pool == pool_id);
            let mut closed: Vec<_> = held.map(|known| known.cidr.to_string()).collect();
            closed.extend(["0.0.0.0/0".to_owned(), "::/0".to_owned()]);
            let closed: Vec<_> = closed.iter().map(String::as_str).collect();
            Some(testing::pool_deleted(number(*pool), &closed))
        }
        Op::Member { account: number, joins: true } => {
            Some(event::AccountAdded { account: account(*number), name: None }.into())
        }
        Op::Member { account: number, joins: false } => {
            Some(event::AccountRemoved { account: account(*number) }.into())
        }
        Op::Administrator { delegated: true } => Some(event::AdminDelegated { account: account(2) }.into()),
        Op::Administrator { delegated: false } => Some(event::AdminRevoked { account: account(2) }.into()),
        Op::Registered { registered: true } => {
            Some(event::DelegatedAdministratorRegistered { account: account(3) }.into())
        }
        Op::Registered { registered: false } => {
            Some(event::DelegatedAdministratorDeregistered { account: account(3) }.into())
        }
        Op::Operate { ipam, adds } => {
            let regions = vec![region(REGIONS[1])];
            let (added, removed) = if *adds { (regions, Vec::new()) } else { (Vec::new(), regions) };
            Some(
                event::IpamModified {
                    ipam: id(IpamId::new, *ipam),
                    description: Change::Unchanged,
                    added_operating_regions: added,
                    removed_operating_regions: removed,
                }
                .into(),
            )
        }
        Op::DeleteIpam => Some(event::IpamDeleted { ipam: id(IpamId::new, 1), closed: Vec::new() }.into()),
        Op::Provision { .. } | Op::Allocate { .. } | Op::Cascade { .. } | Op::Nothing => None,
    }
}

/// An observation.
#[derive(Clone, Debug)]
pub struct Seen {
    pub name: ResourceName,
    pub at: Timestamp,
    pub revision: u64,
    pub present: Option<(BTreeSet<Cidr>, ResourceAttributes)>,
    pub retracted: Option<u64>,
}

fn numbered(made: &[Vec<Event>]) -> impl Iterator<Item = (u64, &Event)> {
    made.iter().zip(1..).flat_map(|(events, revision)| events.iter().map(move |event| (revision, event)))
}

pub fn decided(revision: u64) -> Timestamp {
    at(i64::try_from(revision).expect("small") * STEP)
}

pub fn all_seen(made: &[Vec<Event>]) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    for (revision, event) in numbered(made) {
        match event {
            Event::ResourceObserved(event) => seen.push(Seen {
                name: ResourceName { kind: event.kind, id: event.id.clone() },
                at: event.observed_at,
                revision,
                present: Some((event.cidrs.iter().map(|one| one.cidr).collect(), event.attributes.clone())),
                retracted: None,
            }),
            Event::ResourceGone(event) => seen.push(Seen {
                name: ResourceName { kind: event.kind, id: event.id.clone() },
                at: event.observed_at,
                revision,
                present: None,
                retracted: None,
            }),
            Event::ObservationRetracted(event) => {
                let found = seen.iter_mut().find(|one| one.revision == event.revision.0);
                found.expect("it was made").retracted = Some(revision);
            }
            _ => {}
        }
    }
    seen
}

/// What is said at one instant of a resource that holds a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub at: Timestamp,
    /// By each observation that has the block, in order of revision.
    pub attributes: Vec<ResourceAttributes>,
    /// How many observations there are, with the block or without; more than one contradict each other.
    pub presents: usize,
}

/// One interval, whoever held it.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    pub who: String,
    pub cidr: Cidr,
    pub from: Timestamp,
    pub until: Option<Timestamp>,
    pub began: u64,
    pub ended: Option<u64>,
    /// Of a resource: every instant of the interval at which it was observed.
    pub said: Vec<Said>,
    pub resource: Option<ResourceName>,
    pub allocation: Option<AllocationId>,
    pub pool: PoolId,
    /// What an allocation was for, since when.
    pub claims: Vec<(u64, ResourceName)>,
}

/// All intervals as of a revision.
pub fn intervals(made: &[Vec<Event>], revision: u64) -> Vec<Interval> {
    let mut all = decisions(made, revision);
    let seen: Vec<Seen> = all_seen(made)
        .into_iter()
        .filter(|seen| seen.revision <= revision && seen.retracted.is_none_or(|retracted| retracted > revision))
        .collect();
    for name in resources() {
        let mut mine: Vec<&Seen> = seen.iter().filter(|seen| seen.name == name).collect();
        mine.sort_by_key(|seen| (seen.at, seen.revision));
        for cidr in BLOCKS {
            all.extend(of_block(&name, cidr.parse().expect("a CIDR"), &mine));
        }
    }
    all
}

/// Walks through the instants of one resource and asks at each whether it held the block.
fn of_block(name: &ResourceName, cidr: Cidr, seen: &[&Seen]) -> Vec<Interval> {
    let instants: BTreeSet<Timestamp> = seen.iter().map(|seen| seen.at).collect();
    let mut found: Vec<Interval> = Vec::new();
    for instant in instants {
        let here: Vec<_> = seen.iter().filter(|seen| seen.at == instant).collect();
        let presents: Vec<_> =
            here.iter().filter_map(|seen| seen.present.as_ref().map(|present| (seen.revision, present))).collect();
        let holding: Vec<_> = presents.iter().filter(|(_, (cidrs, _))| cidrs.contains(&cidr)).collect();
        let said = Said {
            at: instant,
            attributes: holding.iter().map(|(_, (_, attributes))| attributes.clone()).collect(),
            presents: presents.len(),
        };
        let open = found.last_mut().filter(|interval| interval.until.is_none());
        match (open, holding.first()) {
            (None, None) => {}
            (None, Some((revision, _))) => found.push(Interval {
                who: name.id.clone(),
                cidr,
                from: instant,
                until: None,
                began: *revision,
                ended: None,
                said: vec![said],
                resource: Some(name.clone()),
                allocation: None,
                pool: id(PoolId::new, 0),
                claims: Vec::new(),
            }),
            (Some(open), None) => {
                open.until = Some(instant);
                let ended = presents.first().map(|(revision, _)| *revision);
                open.ended = ended.or_else(|| here.first().map(|seen| seen.revision));
            }
            (Some(open), Some(_)) => open.said.push(said),
        }
    }
    found
}

/// The intervals of pools and allocations as of a revision.
pub fn decisions(made: &[Vec<Event>], revision: u64) -> Vec<Interval> {
    let mut all: Vec<Interval> = Vec::new();
    for (now, event) in numbered(made).filter(|(now, _)| *now <= revision) {
        let mut begin = |who: String, cidr, pool, allocation, claims| {
            all.push(Interval {
                who,
                cidr,
                from: decided(now),
                until: None,
                began: now,
                ended: None,
                said: Vec::new(),
                resource: None,
                allocation,
                pool,
                claims,
            });
        };
        match event {
            Event::PoolCidrProvisioned(event) => {
                begin(event.pool.to_string(), event.cidr, event.pool, None, Vec::new());
            }
            Event::CidrAllocated(event) => {
                let claims = event.resource.iter().map(|claim| (now, name(claim.kind, &claim.id))).collect();
                begin(event.allocation.to_string(), event.cidr, event.pool, Some(event.allocation), claims);
            }
            _ => {}
        }
        for interval in all.iter_mut().filter(|interval| interval.until.is_none()) {
            let ends = match event {
                Event::AllocationReleased(event) => interval.allocation == Some(event.allocation),
                Event::PoolDeleted(event) => interval.pool == event.pool,
                Event::PoolCidrDeprovisioned(event) => {
                    interval.allocation.is_none() && interval.pool == event.pool && interval.cidr == event.cidr
                }
                Event::AllocationModified(event) if interval.allocation == Some(event.allocation) => {
                    interval.claims.extend(event.resource.iter().map(|claim| (now, name(claim.kind, &claim.id))));
                    false
                }
                _ => false,
            };
            if ends {
                (interval.until, interval.ended) = (Some(decided(now)), Some(now));
            }
        }
    }
    all
}

/// An interval with since when it is known, begin and end.
pub type Known = (Interval, Moment, Option<Moment>);

fn moment(revision: u64) -> Moment {
    Moment { revision: Revision(revision), decided_at: decided(revision) }
}

/// What the model says at every revision, with since when it has said so without a break.
pub fn told(made: &[Vec<Event>]) -> Vec<Vec<Known>> {
    let (mut starts, mut ends) = (BTreeMap::new(), BTreeMap::new());
    let mut all = vec![Vec::new()];
    for revision in 1..=made.len() as u64 {
        let now = intervals(made, revision);
        let start = |one: &Interval| (one.who.clone(), one.cidr, one.from);
        let end = |one: &Interval| one.until.map(|until| (one.who.clone(), one.cidr, one.from, until));
        starts = now.iter().map(|one| (start(one), *starts.get(&start(one)).unwrap_or(&revision))).collect();
        ends = now.iter().filter_map(end).map(|key| (key.clone(), *ends.get(&key).unwrap_or(&revision))).collect();
        let known = now.into_iter().map(|one| {
            let (known, end_known) = (starts[&start(&one)], end(&one).map(|key| ends[&key]));
            (one, moment(known), end_known.map(moment))
        });
        all.push(known.collect());
    }
    all
}

/// Whether an IPAM saw an account and region after the outcomes up to `revision`.
pub fn reaches(made: &[Vec<Event>], revision: u64, ipam: IpamId, asked: AccountId, asked_region: &str) -> bool {
    // Each member account with whether it has the service-linked role.
    let mut members: BTreeMap<AccountId, bool> = BTreeMap::new();
    let (mut management, mut administrator, mut registered) = (None, None, None);
    let (mut owner, mut regions) = (None, BTreeSet::new());
    let mut owners = BTreeMap::new();
    for (_, event) in numbered(made).filter(|(now, _)| *now <= revision) {
        if let Event::IpamCreated(event) = event {
            owners.insert(event.ipam, event.owner);
            if registered != Some(event.owner) {
                members.insert(event.owner, true);
            }
        }
        match event {
            Event::OrganizationCreated(event) => {
                management = Some(event.management_account);
                members.insert(event.management_account, false);
            }
            Event::AccountAdded(event) => drop(members.insert(event.account, administrator.is_some())),
            Event::AccountRemoved(event) => drop(members.remove(&event.account)),
            Event::AdminDelegated(event) => {
                (administrator, registered) = (Some(event.account), None);
                for (account, role) in &mut members {
                    *role |= Some(*account) != management;
                }
            }
            Event::AdminRevoked(_) => administrator = None,
            Event::DelegatedAdministratorRegistered(event) => registered = Some(event.account),
            Event::DelegatedAdministratorDeregistered(event) => {
                registered = None;
                if owners.values().any(|owner| *owner == event.account) {
                    members.insert(event.account, true);
                }
            }
            Event::IpamCreated(event) if event.ipam == ipam => {
                owner = Some(event.owner);
                regions = event.operating_regions.iter().cloned().collect();
            }
            Event::IpamModified(event) if event.ipam == ipam => {
                regions.extend(event.added_operating_regions.iter().cloned());
                regions.retain(|region| !event.removed_operating_regions.contains(region));
            }
            Event::IpamDeleted(event) => {
                owners.remove(&event.ipam);
                owner = owner.filter(|_| event.ipam != ipam);
            }
            _ => {}
        }
    }
    let has_role = |account: AccountId| members.get(&account).copied().unwrap_or(false);
    owner.is_some_and(has_role)
        && regions.contains(&region(asked_region))
        && (owner == Some(asked) || owner == administrator && has_role(asked))
}
