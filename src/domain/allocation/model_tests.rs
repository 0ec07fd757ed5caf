//! Pools, allocations and observations against a naive model: lists of blocks, every pair compared, and the log of
//! facts read from the start each time. Also: a state restored from its rows decides alike.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::address::{AddressCount, Cidr};
use crate::domain::command::*;
use crate::domain::event::Event;
use crate::domain::id::{AllocationId, PoolId};
use crate::domain::kind::ResourceKind;
use crate::domain::rejection::Code;
use crate::domain::state::{Row, RowKey, State};
use crate::domain::testing::{ADMIN, World, account, cidr, region};
use crate::domain::time::Timestamp;

/// 10.0.0.0/26 and 10.0.1.0/27: few enough addresses for everything to collide.
const TOP: [&str; 2] = ["10.0.0.0/26", "10.0.1.0/27"];
const RESOURCES: u8 = 3;

#[derive(Clone, Debug)]
enum Step {
    ByLength { child: bool, length: u8 },
    Named { child: bool, block: Cidr },
    Release { which: usize },
    ProvisionChild { length: u8 },
    ProvisionChildNamed { block: Cidr },
    DeprovisionChild { which: usize },
    Seen { resource: u8, at: i64, blocks: Vec<Cidr> },
    Gone { resource: u8, at: i64 },
    Retract { which: usize },
    DeleteChild,
}

fn block() -> impl Strategy<Value = Cidr> {
    // A little outside the pool's CIDRs, and around them.
    (0u128..0x200, 22u8..=32)
        .prop_map(|(host, length)| Cidr::containing(crate::address::Family::Ipv4, 0x0a00_0000 + host, length))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 25u8..=32).prop_map(|(child, length)| Step::ByLength { child, length }),
        4 => (any::<bool>(), block()).prop_map(|(child, block)| Step::Named { child, block }),
        3 => (0usize..8).prop_map(|which| Step::Release { which }),
        2 => (26u8..=30).prop_map(|length| Step::ProvisionChild { length }),
        1 => block().prop_map(|block| Step::ProvisionChildNamed { block }),
        1 => (0usize..4).prop_map(|which| Step::DeprovisionChild { which }),
        3 => (0..RESOURCES, 0i64..4, prop::collection::vec(block(), 1..3))
            .prop_map(|(resource, at, blocks)| Step::Seen { resource, at, blocks }),
        2 => (0..RESOURCES, 0i64..4).prop_map(|(resource, at)| Step::Gone { resource, at }),
        1 => (0usize..8).prop_map(|which| Step::Retract { which }),
        1 => Just(Step::DeleteChild),
    ]
}

#[derive(Default)]
struct Model {
    /// Of the top pool and of the child pool.
    cidrs: [Vec<Cidr>; 2],
    /// Block, and whether the child pool holds it.
    held: [Vec<(Cidr, bool)>; 2],
    allocations: Vec<(AllocationId, usize, Cidr)>,
    /// Resource, instant, blocks (none: gone), revision.
    facts: Vec<(u8, i64, Option<BTreeSet<Cidr>>, u64)>,
}

impl Model {
    /// Every block that some resource has now.
    fn observed(&self) -> Vec<Cidr> {
        let mut observed = Vec::new();
        for resource in 0..RESOURCES {
            let of_it = || self.facts.iter().filter(|fact| fact.0 == resource);
            let latest = of_it().map(|fact| fact.1).max();
            observed.extend(of_it().filter(|fact| Some(fact.1) == latest).filter_map(|fact| fact.2.clone()).flatten());
        }
        observed
    }

    fn is_unheld(&self, pool: usize, block: Cidr) -> bool {
        self.held[pool].iter().all(|(held, _)| !held.overlaps(block))
    }

    fn is_free(&self, pool: usize, block: Cidr) -> bool {
        self.is_unheld(pool, block) && self.observed().iter().all(|seen| !seen.overlaps(block))
    }

    fn is_inside(&self, pool: usize, block: Cidr) -> bool {
        self.cidrs[pool].iter().any(|cidr| cidr.contains(block))
    }

    fn lowest_free(&self, pool: usize, length: u8) -> Option<Cidr> {
        let aligned = |cidr: &Cidr| {
            let cidr = *cidr;
            let step = 1u128 << (32 - length);
            let count = if length < cidr.length() { 0 } else { 1u128 << (length - cidr.length()) };
            (0..count).map(move |n| Cidr::containing(cidr.family(), cidr.first() + n * step, length))
        };
        self.cidrs[pool].iter().flat_map(aligned).filter(|block| self.is_free(pool, *block)).min()
    }

    fn sum(&self, pool: usize, child: bool) -> AddressCount {
        self.held[pool].iter().filter(|(_, of_child)| *of_child == child).map(|(block, _)| block.count()).sum()
    }

    fn forget(&mut self, pool: usize, block: Cidr) {
        self.held[pool].retain(|(held, _)| *held != block);
        self.allocations.retain(|(_, of, held)| (*of, *held) != (pool, block));
    }
}

struct Run {
    world: World,
    model: Model,
    pools: [PoolId; 2],
    rows: BTreeMap<RowKey, Row>,
}

impl Run {
    fn new() -> Self {
        let (mut world, ipam) = World::with_ipam();
        let top = world.top_pool(ipam.private_default_scope, TOP[0]);
        world.accept(ProvisionPoolCidr { pool: top, cidr: Some(cidr(TOP[1])), netmask_length: None });
        let child = world.create_pool(CreatePool { source_pool: Some(top), ..CreatePool::default() });
        let model = Model { cidrs: [TOP.map(cidr).to_vec(), Vec::new()], ..Model::default() };
        world.state.track_rows();
        let mut rows = BTreeMap::new();
        let keys = [
            RowKey::Organization,
            RowKey::Ipam(ipam.ipam),
            RowKey::Scope(ipam.private_default_scope),
            RowKey::Scope(ipam.public_default_scope),
            RowKey::Pool(top),
            RowKey::Pool(child),
        ];
        for key in keys {
            rows.insert(key.clone(), world.state.row(&key).expect("it was created"));
        }
        Self { world, model, pools: [top, child], rows }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::ByLength { child, length } => {
                let pool = usize::from(child);
                let expected = self.model.lowest_free(pool, length);
                let decided = self.world.decide(self.allocate(pool, None, Some(length)));
                match (decided.as_deref(), expected) {
                    (Ok([Event::CidrAllocated(got)]), Some(block)) => {
                        assert_eq!(got.cidr, block);
                        self.model.held[pool].push((block, false));
                        self.model.allocations.push((got.allocation, pool, block));
                    }
                    (Err(refused), None) => assert!(matches!(refused.code, Code::PoolExhausted | Code::PoolEmpty)),
                    other => panic!("{other:#?}"),
                }
            }
            Step::Named { child, block } => self.named(usize::from(child), block),
            Step::Release { which } => {
                let Some((allocation, pool, block)) = self.model.allocations.get(which).copied() else { return };
                let events = self.world.accept(ReleaseAllocation { allocation, pool: None, cidr: None, force: false });
                let [Event::AllocationReleased(released)] = events.as_slice() else { panic!("{events:#?}") };
                let seen = self.model.observed().iter().any(|seen| seen.overlaps(block));
                assert_eq!(released.still_observed.is_empty(), !seen);
                self.model.forget(pool, block);
            }
            Step::ProvisionChild { length } => {
                let expected = self.model.lowest_free(0, length);
                self.provision(None, Some(length), expected);
            }
            Step::ProvisionChildNamed { block } => {
                let fits = self.model.is_inside(0, block) && self.model.is_unheld(0, block);
                self.provision(Some(block), None, fits.then_some(block));
            }
            Step::DeprovisionChild { which } => {
                let Some(block) = self.model.cidrs[1].get(which).copied() else { return };
                let busy = !self.model.held[1].iter().all(|(held, _)| !block.contains(*held));
                let decided = self.world.decide(DeprovisionPoolCidr { pool: self.pools[1], cidr: block });
                assert_eq!(decided.err().map(|refused| refused.code), busy.then_some(Code::DependencyViolation));
                if !busy {
                    self.model.cidrs[1].retain(|cidr| *cidr != block);
                    self.model.forget(0, block);
                }
            }
            Step::Seen { resource, at, blocks } => {
                let blocks: BTreeSet<_> = blocks.into_iter().collect();
                let known = self.knows(resource, at, Some(&blocks));
                let events = self.world.accept(ObserveResource {
                    kind: ResourceKind::Vpc,
                    id: resource.to_string(),
                    observed_at: instant(at),
                    cidrs: blocks.iter().map(|cidr| ObservedCidr { cidr: *cidr, visibility: None }).collect(),
                    attributes: ResourceAttributes {
                        account: Some(account(ADMIN)),
                        region: Some(region("eu-central-1")),
                        ..ResourceAttributes::default()
                    },
                });
                self.learn(resource, at, Some(blocks), known, &events);
            }
            Step::Gone { resource, at } => {
                let known = self.knows(resource, at, None);
                let events = self.world.accept(ObserveResourceGone {
                    kind: ResourceKind::Vpc,
                    id: resource.to_string(),
                    observed_at: instant(at),
                    source: None,
                });
                self.learn(resource, at, None, known, &events);
            }
            Step::Retract { which } => {
                let Some((resource, at, _, revision)) = self.model.facts.get(which).cloned() else { return };
                self.world.accept(RetractObservation {
                    kind: ResourceKind::Vpc,
                    id: resource.to_string(),
                    observed_at: instant(at),
                    revision: Some(crate::domain::id::Revision(revision)),
                });
                self.model.facts.remove(which);
            }
            Step::DeleteChild => {
                let child = self.pools[1];
                self.world.accept(DeletePool { pool: child, cascade: true });
                for block in std::mem::take(&mut self.model.cidrs[1]) {
                    self.model.forget(0, block);
                }
                self.model.held[1].clear();
                self.model.allocations.retain(|(_, pool, _)| *pool == 0);
                self.pools[1] =
                    self.world.create_pool(CreatePool { source_pool: Some(self.pools[0]), ..CreatePool::default() });
            }
        }
    }

    fn named(&mut self, pool: usize, block: Cidr) {
        let model = &self.model;
        let expected = if model.cidrs[pool].is_empty() {
            Some(Code::PoolEmpty)
        } else if !model.is_inside(pool, block) {
            Some(Code::CidrNotInPool)
        } else if !model.is_unheld(pool, block) {
            Some(Code::CidrOverlap)
        } else {
            (!model.is_free(pool, block)).then_some(Code::CidrInUse)
        };
        let decided = self.world.decide(self.allocate(pool, Some(block), None));
        assert_eq!(decided.as_ref().err().map(|refused| refused.code), expected);
        if let Ok([Event::CidrAllocated(got)]) = decided.as_deref() {
            self.model.held[pool].push((block, false));
            self.model.allocations.push((got.allocation, pool, block));
        }
    }

    fn allocate(&self, pool: usize, cidr: Option<Cidr>, netmask_length: Option<u8>) -> AllocateCidr {
        AllocateCidr {
            pool: self.pools[pool],
            cidr,
            netmask_length,
            allowed_cidrs: Vec::new(),
            disallowed_cidrs: Vec::new(),
            description: Some("described".to_owned()),
            tags: crate::domain::testing::tags([("k", "v")]),
            resource: None,
        }
    }

    fn provision(&mut self, cidr: Option<Cidr>, netmask_length: Option<u8>, expected: Option<Cidr>) {
        let decided = self.world.decide(ProvisionPoolCidr { pool: self.pools[1], cidr, netmask_length });
        match (decided.as_deref(), expected) {
            (Ok([Event::PoolCidrProvisioned(got)]), Some(block)) => {
                assert_eq!(got.cidr, block);
                self.model.cidrs[1].push(block);
                self.model.held[0].push((block, true));
            }
            (Err(_), None) => {}
            other => panic!("{other:#?}"),
        }
    }

    fn knows(&self, resource: u8, at: i64, blocks: Option<&BTreeSet<Cidr>>) -> bool {
        self.model.facts.iter().any(|fact| (fact.0, fact.1, fact.2.as_ref()) == (resource, at, blocks))
    }

    fn learn(&mut self, resource: u8, at: i64, blocks: Option<BTreeSet<Cidr>>, known: bool, events: &[Event]) {
        assert_eq!(events.is_empty(), known);
        if !known {
            self.model.facts.push((resource, at, blocks, self.world.revision().0));
        }
    }

    fn check(&mut self) {
        for key in self.world.state.take_touched() {
            match self.world.state.row(&key) {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
        let restored = State::restore(self.world.state.id().clone(), self.rows.values().cloned());
        for state in [&self.world.state, &restored] {
            for pool in [0, 1] {
                self.check_pool(state, pool);
            }
        }
    }

    fn check_pool(&self, state: &State, pool: usize) {
        let (model, id) = (&self.model, self.pools[pool]);
        let mut expected: Vec<_> = model.held[pool].iter().map(|(block, _)| *block).collect();
        expected.sort();
        let listed: Vec<_> = state.allocations_of(id, None, usize::MAX).iter().map(|row| row.cidr).collect();
        assert_eq!(listed, expected);
        let usage = state.pools().usage(id).expect("both pools exist");
        assert_eq!((usage.child_pools, usage.assigned), (model.sum(pool, true), model.sum(pool, false)));
        assert_eq!(usage.allocations, expected.len() as u64);
        let largest = (22..=32).find_map(|length| model.lowest_free(pool, length));
        assert_eq!(usage.largest_free_block, largest);
    }
}

fn instant(at: i64) -> Timestamp {
    Timestamp::from_micros(1_600_000_000_000_000 + at)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decisions_and_state_agree_with_lists_of_blocks(steps in prop::collection::vec(step(), 1..50)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
            run.check();
        }
    }
}
