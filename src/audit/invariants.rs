//! The core invariants of space, checked on plain sorted maps built from the events alone.
//!
//! Deliberately written apart from `domain`: blocks are pairs of numbers, pools are maps from first
//! address to last, and every event is checked against its neighbours. An event that no fold of correct
//! decisions can contain is reported with the name of the invariant it breaks (spec §2).

use std::collections::BTreeMap;

use crate::address::{Cidr, Family};
use crate::domain::event::{ClosedCidr, Event, PoolCidrProvisioned};
use crate::domain::id::{AllocationId, IpamId, PoolId, ScopeId};

/// Blocks that must not share an address: first address to last.
#[derive(Debug)]
struct Disjoint<T>(BTreeMap<(Family, u128), (u128, T)>);

impl<T> Default for Disjoint<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Disjoint<T> {
    /// What stands in the way of a block, if anything.
    fn in_the_way(&self, cidr: Cidr) -> Option<&T> {
        let from = (cidr.family(), cidr.first());
        let before = self
            .0
            .range(..from)
            .next_back()
            .filter(|((family, _), (last, _))| *family == cidr.family() && *last >= cidr.first());
        let inside = || self.0.range(from..=(cidr.family(), cidr.last())).next();
        before.or_else(inside).map(|(_, (_, holder))| holder)
    }

    fn insert(&mut self, cidr: Cidr, holder: T) {
        self.0.insert((cidr.family(), cidr.first()), (cidr.last(), holder));
    }

    /// Takes out exactly this block.
    fn remove(&mut self, cidr: Cidr) -> Option<T> {
        let key = (cidr.family(), cidr.first());
        if self.0.get(&key).is_some_and(|(last, _)| *last == cidr.last()) {
            self.0.remove(&key).map(|(_, holder)| holder)
        } else {
            None
        }
    }

    /// Whether one of the blocks contains this one.
    fn contains(&self, cidr: Cidr) -> bool {
        self.0
            .range(..=(cidr.family(), cidr.first()))
            .next_back()
            .is_some_and(|((family, _), (last, _))| *family == cidr.family() && *last >= cidr.last())
    }

    /// Takes out all that begin inside a block.
    fn take_inside(&mut self, cidr: Cidr) -> Vec<T> {
        let inside = (cidr.family(), cidr.first())..=(cidr.family(), cidr.last());
        let keys: Vec<_> = self.0.range(inside).map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| self.0.remove(key)).map(|(_, holder)| holder).collect()
    }
}

#[derive(Debug)]
struct Pool {
    scope: ScopeId,
    source: Option<PoolId>,
    family: Family,
    provisioned: Disjoint<Cidr>,
    held: Disjoint<AllocationId>,
}

/// The space of one organisation.
#[derive(Debug, Default)]
pub(super) struct Space {
    scopes: BTreeMap<ScopeId, IpamId>,
    pools: BTreeMap<PoolId, Pool>,
    /// Per scope, the CIDRs of its top-level pools.
    top: BTreeMap<ScopeId, Disjoint<PoolId>>,
    allocations: BTreeMap<AllocationId, (PoolId, Cidr)>,
}

type Checked = Result<(), String>;

fn ensure(holds: bool, invariant: &str, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(format!("{invariant} is broken: {}", what())) }
}

impl Space {
    /// Folds one event, or says which invariant it breaks.
    pub(super) fn add(&mut self, event: &Event) -> Checked {
        match event {
            Event::IpamCreated(event) => {
                self.scopes.insert(event.private_default_scope, event.ipam);
                self.scopes.insert(event.public_default_scope, event.ipam);
            }
            Event::IpamDeleted(event) => {
                let scopes = &self.scopes;
                let inside = |pool: &Pool| scopes.get(&pool.scope) == Some(&event.ipam);
                let gone: Vec<_> = self.pools.iter().filter(|(_, pool)| inside(pool)).map(|(id, _)| *id).collect();
                self.drop_pools(&gone, &event.closed)?;
                self.scopes.retain(|_, ipam| *ipam != event.ipam);
            }
            Event::ScopeCreated(event) => {
                self.scopes.insert(event.scope, event.ipam);
            }
            Event::ScopeDeleted(event) => {
                let scope = event.scope;
                ensure(!self.pools.values().any(|pool| pool.scope == scope), "INV-S4", || {
                    format!("scope {scope} is deleted with pools in it")
                })?;
                self.scopes.remove(&scope);
            }
            Event::PoolCreated(event) => {
                ensure(self.scopes.contains_key(&event.scope), "INV-P1", || {
                    format!("pool {} is in scope {}, which does not exist", event.pool, event.scope)
                })?;
                if let Some(source) = event.source_pool {
                    let fits = self
                        .pools
                        .get(&source)
                        .is_some_and(|source| source.scope == event.scope && source.family == event.address_family);
                    ensure(fits, "INV-P1", || {
                        format!("pool {} differs from its source pool {source} in scope or family", event.pool)
                    })?;
                }
                let pool = Pool {
                    scope: event.scope,
                    source: event.source_pool,
                    family: event.address_family,
                    provisioned: Disjoint::default(),
                    held: Disjoint::default(),
                };
                self.pools.insert(event.pool, pool);
            }
            Event::PoolDeleted(event) => {
                let mut gone = vec![event.pool];
                let mut next = 0;
                while let Some(parent) = gone.get(next).copied() {
                    gone.extend(self.pools.iter().filter(|(_, pool)| pool.source == Some(parent)).map(|(id, _)| *id));
                    next += 1;
                }
                self.drop_pools(&gone, &event.closed)?;
            }
            Event::PoolCidrProvisioned(event) => self.provision(event)?,
            Event::PoolCidrDeprovisioned(event) => {
                let pool = self.pool_mut(event.pool)?;
                ensure(pool.held.in_the_way(event.cidr).is_none(), "INV-C7", || {
                    format!("{} is taken from pool {} with allocations in it", event.cidr, event.pool)
                })?;
                ensure(pool.provisioned.remove(event.cidr).is_some(), "INV-C7", || {
                    format!("{} is taken from pool {}, which does not have it", event.cidr, event.pool)
                })?;
                let (source, scope) = (pool.source, pool.scope);
                match source {
                    Some(source) => self.end_in(source, event.cidr, event.source_allocation)?,
                    None => {
                        self.top.entry(scope).or_default().remove(event.cidr);
                    }
                }
            }
            Event::CidrAllocated(event) => self.hold(event.pool, event.cidr, event.allocation)?,
            Event::AllocationReleased(event) => self.end_in(event.pool, event.cidr, Some(event.allocation))?,
            _ => {}
        }
        Ok(())
    }

    fn pool_mut(&mut self, pool: PoolId) -> Result<&mut Pool, String> {
        self.pools.get_mut(&pool).ok_or_else(|| format!("pool {pool} does not exist"))
    }

    /// INV-C1 to C4: top-level CIDRs of a scope and CIDRs of a pool are disjoint; a child's lies in one CIDR of its
    /// source and is held there by nobody else.
    fn provision(&mut self, event: &PoolCidrProvisioned) -> Checked {
        let PoolCidrProvisioned { pool: id, cidr, .. } = *event;
        let pool = self.pool_mut(id)?;
        ensure(pool.family == cidr.family(), "INV-P1", || format!("{cidr} is not of the family of pool {id}"))?;
        ensure(pool.provisioned.in_the_way(cidr).is_none(), "INV-C4", || {
            format!("{cidr} overlaps another CIDR of pool {id}")
        })?;
        pool.provisioned.insert(cidr, cidr);
        let (source, scope) = (pool.source, pool.scope);
        match (source, event.source_allocation) {
            (None, None) => {
                let top = self.top.entry(scope).or_default();
                if let Some(other) = top.in_the_way(cidr) {
                    return Err(format!(
                        "INV-C1 is broken: {cidr} of pool {id} overlaps a CIDR of pool {other} in scope {scope}"
                    ));
                }
                top.insert(cidr, id);
                Ok(())
            }
            (Some(source), Some(allocation)) => self.hold(source, cidr, allocation),
            _ => Err(format!(
                "INV-C3 is broken: {cidr} of pool {id} and its allocation in the source pool do not appear together"
            )),
        }
    }

    /// INV-A1: an allocation lies inside one CIDR of its pool and shares no address with another.
    fn hold(&mut self, id: PoolId, cidr: Cidr, allocation: AllocationId) -> Checked {
        let pool = self.pool_mut(id)?;
        ensure(pool.provisioned.contains(cidr), "INV-A1", || format!("{cidr} lies in no CIDR of pool {id}"))?;
        if let Some(other) = pool.held.in_the_way(cidr) {
            return Err(format!("INV-A1 is broken: {cidr} of {allocation} overlaps {other} in pool {id}"));
        }
        pool.held.insert(cidr, allocation);
        let again = self.allocations.insert(allocation, (id, cidr)).is_some();
        ensure(!again, "INV-A1", || format!("allocation id {allocation} is used twice"))
    }

    /// Ends the allocation of exactly this block; when `allocation` is given it must be that one.
    fn end_in(&mut self, id: PoolId, cidr: Cidr, allocation: Option<AllocationId>) -> Checked {
        let pool = self.pool_mut(id)?;
        let ended = pool.held.remove(cidr);
        ensure(ended.is_some() && (allocation.is_none() || ended == allocation), "INV-R7", || {
            format!("{cidr} is released from pool {id}, which does not hold it so")
        })?;
        if let Some(ended) = ended {
            self.allocations.remove(&ended);
        }
        Ok(())
    }

    /// Drops these pools with all that is in them; a cascade's own count is held against what was there.
    fn drop_pools(&mut self, gone: &[PoolId], closed: &[ClosedCidr]) -> Checked {
        for cascade in closed {
            let pool = self.pool_mut(cascade.pool)?;
            ensure(pool.provisioned.contains(cascade.cidr), "INV-P14", || {
                format!("the cascade closes {} of pool {}, which does not have it", cascade.cidr, cascade.pool)
            })?;
            let ended = pool.held.take_inside(cascade.cidr);
            let found = ended.len() as u64;
            ensure(found == cascade.allocations, "INV-P14", || {
                format!(
                    "the cascade counts {} allocations in {}, where there are {found}",
                    cascade.allocations, cascade.cidr
                )
            })?;
            for allocation in ended {
                self.allocations.remove(&allocation);
            }
        }
        for id in gone {
            let Some(pool) = self.pools.remove(id) else { continue };
            ensure(pool.held.0.is_empty(), "INV-P14", || format!("pool {id} is deleted with allocations in it"))?;
            for cidr in pool.provisioned.0.values().map(|(_, cidr)| *cidr) {
                match pool.source {
                    // The parent is still there unless it goes with the child.
                    Some(source) if self.pools.contains_key(&source) && !gone.contains(&source) => {
                        self.end_in(source, cidr, None)?;
                    }
                    Some(_) => {}
                    None => {
                        self.top.entry(pool.scope).or_default().remove(cidr);
                    }
                }
            }
        }
        Ok(())
    }
}
