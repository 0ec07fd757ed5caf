//! INV-S, P, C, A and R: scopes, pools, what they were given, and what they hand out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::disjoint::Disjoint;
use super::rules::Rules;
use super::{Checked, ensure};
use crate::address::{Cidr, Family};
use crate::domain::event::{ClosedCidr, Event, PoolCidrProvisioned, PoolCreated};
use crate::domain::id::{AllocationId, IpamId, PoolId, ScopeId};

#[derive(Debug)]
struct Pool {
    scope: ScopeId,
    source: Option<PoolId>,
    family: Family,
    rules: Rules,
    provisioned: Disjoint<Cidr>,
    held: Disjoint<AllocationId>,
}

#[derive(Debug)]
struct Scope {
    ipam: IpamId,
    is_default: bool,
}

/// The space of one organisation.
#[derive(Debug, Default)]
pub(super) struct Space {
    scopes: BTreeMap<ScopeId, Scope>,
    pools: BTreeMap<PoolId, Pool>,
    /// Per scope, the CIDRs of its top-level pools.
    top: BTreeMap<ScopeId, Disjoint<PoolId>>,
    /// Looked up, never listed.
    allocations: HashMap<AllocationId, Block>,
}

/// What a pool hands out under one allocation.
#[derive(Clone, Copy, Debug)]
struct Block {
    pool: PoolId,
    cidr: Cidr,
    /// It is a CIDR of a child pool, and goes with it.
    is_provisioned: bool,
}

impl Space {
    /// Folds one event, or says which invariant it breaks.
    pub(super) fn add(&mut self, event: &Event) -> Checked {
        match event {
            Event::IpamCreated(event) => {
                for scope in [event.private_default_scope, event.public_default_scope] {
                    self.add_scope(scope, event.ipam, true)?;
                }
            }
            Event::IpamDeleted(event) => {
                let scopes = &self.scopes;
                let inside = |pool: &Pool| scopes.get(&pool.scope).is_some_and(|scope| scope.ipam == event.ipam);
                let gone: Vec<_> = self.pools.iter().filter(|(_, pool)| inside(pool)).map(|(id, _)| *id).collect();
                self.drop_pools(&gone, &event.closed)?;
                self.scopes.retain(|_, scope| scope.ipam != event.ipam);
            }
            Event::ScopeCreated(event) => {
                self.add_scope(event.scope, event.ipam, false)?;
            }
            Event::ScopeDeleted(event) => {
                let scope = event.scope;
                ensure(!self.pools.values().any(|pool| pool.scope == scope), "INV-S4", || {
                    format!("scope {scope} is deleted with pools in it")
                })?;
                let gone = self.scopes.remove(&scope);
                ensure(gone.is_some_and(|gone| !gone.is_default), "INV-S4", || {
                    format!("scope {scope} is deleted; it is a default scope, or was not there")
                })?;
            }
            Event::PoolCreated(event) => self.create_pool(event)?,
            Event::PoolModified(event) => {
                let pool = self.pool_mut(event.pool)?;
                pool.rules.change(event);
                pool.rules.check(event.pool, pool.family)?;
            }
            Event::PoolDeleted(event) => {
                self.pool_mut(event.pool)?;
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
                match (source, event.source_allocation) {
                    (Some(source), Some(allocation)) => self.end_in(source, event.cidr, Some(allocation), true)?,
                    (None, None) => {
                        self.top.entry(scope).or_default().remove(event.cidr);
                    }
                    _ => return Err(apart(event.cidr, event.pool)),
                }
            }
            Event::CidrAllocated(event) => {
                let pool = self.pool_mut(event.pool)?;
                pool.rules.admit(event.pool, pool.family, event.cidr, event.resource.as_ref())?;
                let (pool, cidr) = (event.pool, event.cidr);
                self.hold(event.allocation, Block { pool, cidr, is_provisioned: false })?;
            }
            Event::AllocationModified(event) => {
                let allocation = event.allocation;
                let block = self.allocations.get(&allocation).copied();
                let Block { pool: id, cidr, .. } =
                    block.ok_or_else(|| format!("allocation {allocation} does not exist"))?;
                if let Some(claim) = &event.resource {
                    let pool = self.pool_mut(id)?;
                    pool.rules.admit(id, pool.family, cidr, Some(claim))?;
                }
            }
            Event::AllocationReleased(event) => {
                self.end_in(event.pool, event.cidr, Some(event.allocation), false)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn add_scope(&mut self, scope: ScopeId, ipam: IpamId, is_default: bool) -> Checked {
        let before = self.scopes.insert(scope, Scope { ipam, is_default });
        ensure(before.is_none(), "INV-I4", || format!("scope {scope} is created twice"))
    }

    /// INV-P1, P2: a pool is in a scope that exists, and like its source pool in scope, family and locale.
    fn create_pool(&mut self, event: &PoolCreated) -> Checked {
        let id = event.pool;
        ensure(self.scopes.contains_key(&event.scope), "INV-P1", || {
            format!("pool {id} is in scope {}, which does not exist", event.scope)
        })?;
        if let Some(source) = event.source_pool {
            let of_source = self.pools.get(&source);
            let fits = of_source.is_some_and(|of| of.scope == event.scope && of.family == event.address_family);
            ensure(fits, "INV-P1", || format!("pool {id} differs from its source pool {source} in scope or family"))?;
            let locale = of_source.and_then(|of| of.rules.locale());
            ensure(locale.is_none() || locale == event.locale.as_ref(), "INV-P2", || {
                format!("pool {id} differs from its source pool {source} in locale")
            })?;
        }
        let rules = Rules::new(event);
        rules.check(id, event.address_family)?;
        let pool = Pool {
            scope: event.scope,
            source: event.source_pool,
            family: event.address_family,
            rules,
            provisioned: Disjoint::default(),
            held: Disjoint::default(),
        };
        ensure(self.pools.insert(id, pool).is_none(), "INV-P1", || format!("pool {id} is created twice"))
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
            (Some(source), Some(allocation)) => {
                self.hold(allocation, Block { pool: source, cidr, is_provisioned: true })
            }
            _ => Err(apart(cidr, id)),
        }
    }

    /// INV-A1: an allocation lies inside one CIDR of its pool and shares no address with another.
    fn hold(&mut self, allocation: AllocationId, block: Block) -> Checked {
        let Block { pool: id, cidr, .. } = block;
        let pool = self.pool_mut(id)?;
        ensure(pool.provisioned.contains(cidr), "INV-A1", || format!("{cidr} lies in no CIDR of pool {id}"))?;
        if let Some(other) = pool.held.in_the_way(cidr) {
            return Err(format!("INV-A1 is broken: {cidr} of {allocation} overlaps {other} in pool {id}"));
        }
        pool.held.insert(cidr, allocation);
        let again = self.allocations.insert(allocation, block).is_some();
        ensure(!again, "INV-A1", || format!("allocation id {allocation} is used twice"))
    }

    /// Ends the allocation of exactly this block; when `allocation` is given it must be that one. What a child pool has
    /// goes with that pool's CIDR, and nothing else does.
    fn end_in(&mut self, id: PoolId, cidr: Cidr, allocation: Option<AllocationId>, with_child: bool) -> Checked {
        let pool = self.pool_mut(id)?;
        let ended = pool.held.remove(cidr);
        ensure(ended.is_some() && (allocation.is_none() || ended == allocation), "INV-R7", || {
            format!("{cidr} is released from pool {id}, which does not hold it so")
        })?;
        let block = ended.and_then(|ended| self.allocations.remove(&ended));
        let is_provisioned = block.is_some_and(|block| block.is_provisioned);
        ensure(is_provisioned == with_child, "INV-C3", || {
            if is_provisioned {
                format!("{cidr} is released from pool {id}, and a child pool still has it")
            } else {
                format!("a child pool gives {cidr} back to pool {id}, which holds it for another")
            }
        })
    }

    /// Drops these pools with all that is in them: the cascade names each of their CIDRs and no other, and its own
    /// counts are held against what was there.
    fn drop_pools(&mut self, gone: &[PoolId], closed: &[ClosedCidr]) -> Checked {
        let named: BTreeSet<_> = gone.iter().copied().collect();
        let mut freed = Vec::with_capacity(closed.len());
        for cascade in closed {
            ensure(named.contains(&cascade.pool), "INV-P14", || {
                format!("the cascade closes {} of pool {}, which stays", cascade.cidr, cascade.pool)
            })?;
            let pool = self.pool_mut(cascade.pool)?;
            freed.push((pool.source, pool.scope, cascade.cidr));
            ensure(pool.provisioned.remove(cascade.cidr).is_some(), "INV-P14", || {
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
            ensure(pool.held.is_empty(), "INV-P14", || format!("pool {id} is deleted with allocations in it"))?;
            ensure(pool.provisioned.is_empty(), "INV-P14", || {
                format!("pool {id} is deleted with CIDRs that the cascade does not name")
            })?;
        }
        for (source, scope, cidr) in freed {
            match source {
                // The parent is still there unless it goes with the child.
                Some(source) if self.pools.contains_key(&source) => self.end_in(source, cidr, None, true)?,
                Some(_) => {}
                None => {
                    self.top.entry(scope).or_default().remove(cidr);
                }
            }
        }
        Ok(())
    }
}

fn apart(cidr: Cidr, pool: PoolId) -> String {
    format!("INV-C3 is broken: {cidr} of pool {pool} and its allocation in the source pool do not come and go together")
}
