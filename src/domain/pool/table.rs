//! All pools of one organisation, with the free space of each provisioned CIDR.

use std::collections::{BTreeMap, BTreeSet};

use super::{Pool, PoolCidr, PoolUsage};
use crate::address::{AddressCount, BlockMap, Cidr, Family, Slot, Space};
use crate::domain::id::{PoolId, ScopeId};
use crate::domain::state::State;
use crate::planted::{Bug, planted};

#[derive(Debug, Default)]
pub struct Pools {
    by_id: BTreeMap<PoolId, Entry>,
    /// Also of source pools that are restored after their children.
    children: BTreeMap<PoolId, BTreeSet<PoolId>>,
    by_scope: BTreeMap<ScopeId, ScopePools>,
    /// In whose space something else is observed than when this was last taken.
    reblocked: BTreeSet<PoolId>,
}

/// A pool and what is derived from the allocations and observations in it.
#[derive(Debug)]
pub(in crate::domain) struct Entry {
    pub pool: Pool,
    /// One for each CIDR of the pool, in the same order.
    spaces: Vec<Space>,
    /// Addresses held by child pools, and by all others.
    child_pools: AddressCount,
    assigned: AddressCount,
    allocations: u64,
}

#[derive(Debug, Default)]
struct ScopePools {
    pools: BTreeSet<PoolId>,
    /// Every provisioned CIDR, with the pools that have it: a child may have its source pool's whole CIDR.
    cidrs: BlockMap<PoolId>,
}

/// Whose addresses an allocation's are counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) enum CountAs {
    ChildPool,
    Assigned,
}

impl State {
    #[must_use]
    pub const fn pools(&self) -> &Pools {
        &self.pools
    }

    /// The pools in whose space observed resources block more or less than at the last call (N9): their free space may
    /// be another though nothing of the pools themselves changed.
    pub fn take_reblocked(&mut self) -> BTreeSet<PoolId> {
        std::mem::take(&mut self.pools.reblocked)
    }
}

impl Pools {
    #[must_use]
    pub fn get(&self, id: PoolId) -> Option<&Pool> {
        self.by_id.get(&id).map(|entry| &entry.pool)
    }

    /// All pools, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.by_id.values().map(|entry| &entry.pool)
    }

    /// The pools of a scope, by id.
    pub fn in_scope(&self, scope: ScopeId) -> impl Iterator<Item = &Pool> {
        self.by_scope.get(&scope).into_iter().flat_map(|scope| &scope.pools).filter_map(|id| self.get(*id))
    }

    /// The child pools of a pool, by id.
    pub fn children(&self, id: PoolId) -> impl Iterator<Item = PoolId> {
        self.children.get(&id).into_iter().flatten().copied()
    }

    /// How full a pool is.
    #[must_use]
    pub fn usage(&self, id: PoolId) -> Option<PoolUsage> {
        self.by_id.get(&id).map(Entry::usage)
    }

    pub(in crate::domain) fn entry(&self, id: PoolId) -> Option<&Entry> {
        self.by_id.get(&id)
    }

    pub(in crate::domain) fn known(&self, id: PoolId) -> &Entry {
        self.by_id.get(&id).expect("what names a pool names one that exists")
    }

    pub(in crate::domain) fn known_mut(&mut self, id: PoolId) -> &mut Entry {
        self.by_id.get_mut(&id).expect("events name pools that exist")
    }

    pub(in crate::domain) fn count_in_scope(&self, scope: ScopeId) -> usize {
        self.by_scope.get(&scope).map_or(0, |scope| scope.pools.len())
    }

    /// The CIDRs provisioned in a scope that share an address with `cidr`, and whose they are.
    pub(in crate::domain) fn provisioned_over(
        &self,
        scope: ScopeId,
        cidr: Cidr,
    ) -> impl Iterator<Item = (Cidr, PoolId)> {
        let scope = self.by_scope.get(&scope);
        scope.into_iter().flat_map(move |scope| scope.cidrs.overlapping(cidr)).map(|(cidr, pool)| (cidr, *pool))
    }

    /// A stored pool with its CIDRs, as yet without allocations.
    pub(in crate::domain) fn restore(&mut self, pool: Pool) {
        if let Some(source) = pool.source_pool {
            self.children.entry(source).or_default().insert(pool.id);
        }
        let scope = self.by_scope.entry(pool.scope).or_default();
        scope.pools.insert(pool.id);
        for provisioned in &pool.cidrs {
            scope.cidrs.insert(provisioned.cidr, pool.id);
        }
        let spaces = pool.cidrs.iter().map(|provisioned| Space::new(provisioned.cidr)).collect();
        let (child_pools, assigned) = (AddressCount::ZERO, AddressCount::ZERO);
        self.by_id.insert(pool.id, Entry { pool, spaces, child_pools, assigned, allocations: 0 });
    }

    pub(super) fn provision(&mut self, id: PoolId, provisioned: PoolCidr) {
        let entry = self.known_mut(id);
        let at = entry.pool.cidrs.partition_point(|other| other.cidr < provisioned.cidr);
        entry.spaces.insert(at, Space::new(provisioned.cidr));
        let (scope, cidr) = (entry.pool.scope, provisioned.cidr);
        entry.pool.cidrs.insert(at, provisioned);
        self.by_scope.entry(scope).or_default().cidrs.insert(cidr, id);
    }

    pub(super) fn deprovision(&mut self, id: PoolId, cidr: Cidr) {
        let entry = self.known_mut(id);
        let at = entry.exactly(cidr).expect("a CIDR that is deprovisioned was provisioned");
        entry.spaces.remove(at);
        entry.pool.cidrs.remove(at);
        let scope = entry.pool.scope;
        self.by_scope.entry(scope).or_default().cidrs.remove(cidr, &id);
    }

    /// Takes out a pool that has neither allocations nor child pools.
    pub(super) fn remove(&mut self, id: PoolId) -> Pool {
        let Entry { pool, .. } = self.by_id.remove(&id).expect("a deleted pool existed");
        self.children.remove(&id);
        if let Some(siblings) = pool.source_pool.and_then(|source| self.children.get_mut(&source)) {
            siblings.remove(&id);
        }
        if let Some(scope) = self.by_scope.get_mut(&pool.scope) {
            scope.pools.remove(&id);
            for provisioned in &pool.cidrs {
                scope.cidrs.remove(provisioned.cidr, &id);
            }
            if scope.pools.is_empty() {
                self.by_scope.remove(&pool.scope);
            }
        }
        pool
    }

    /// Counts an observed block in the free space of every pool of a scope.
    pub(in crate::domain) fn block(&mut self, scope: ScopeId, observed: Cidr) {
        self.in_spaces_over(scope, observed, Space::block);
    }

    /// Takes back one [`Pools::block`].
    pub(in crate::domain) fn unblock(&mut self, scope: ScopeId, observed: Cidr) {
        self.in_spaces_over(scope, observed, Space::unblock);
    }

    fn in_spaces_over(&mut self, scope: ScopeId, observed: Cidr, change: impl Fn(&mut Space, Cidr)) {
        let Some(scope) = self.by_scope.get(&scope).filter(|_| !planted(Bug::ObservedHandedOut)) else { return };
        for (provisioned, pool) in scope.cidrs.overlapping(observed) {
            let entry = self.by_id.get_mut(pool).expect("provisioned CIDRs are of pools that exist");
            change(entry.space_mut(provisioned).expect("the pool has the CIDR"), observed);
            self.reblocked.insert(*pool);
        }
    }
}

impl Entry {
    /// The free-space indexes of the pool's CIDRs, in address order.
    pub(in crate::domain) fn spaces(&self) -> &[Space] {
        &self.spaces
    }

    /// The pool's CIDR around `cidr`, with its space.
    pub(in crate::domain) fn space_around(&self, cidr: Cidr) -> Option<&Space> {
        self.around(cidr).and_then(|at| self.spaces.get(at))
    }

    /// The pool's CIDR that is exactly `cidr`.
    pub(in crate::domain) fn provisioned(&self, cidr: Cidr) -> Option<&PoolCidr> {
        self.exactly(cidr).and_then(|at| self.pool.cidrs.get(at))
    }

    pub(in crate::domain) fn hold(&mut self, cidr: Cidr, slot: Slot, count_as: CountAs) {
        let space = self.space_mut(cidr).expect("allocations lie inside one CIDR of their pool");
        space.hold(cidr, slot);
        *self.count_mut(count_as) += cidr.count();
        self.allocations += 1;
    }

    pub(in crate::domain) fn release(&mut self, cidr: Cidr, count_as: CountAs) -> Slot {
        let space = self.space_mut(cidr).expect("allocations lie inside one CIDR of their pool");
        let slot = space.release(cidr).expect("what is released was held");
        if planted(Bug::ReleaseKeepsBlock) {
            space.block(cidr);
        }
        *self.count_mut(count_as) -= cidr.count();
        self.allocations -= 1;
        slot
    }

    /// Counts an observed block in the space of one of the pool's CIDRs, just provisioned.
    pub(in crate::domain) fn block_in(&mut self, provisioned: Cidr, observed: Cidr) {
        self.space_mut(provisioned).expect("the pool has the CIDR").block(observed);
    }

    pub(in crate::domain) fn usage(&self) -> PoolUsage {
        let provisioned: AddressCount = self.pool.cidrs.iter().map(|provisioned| provisioned.cidr.count()).sum();
        let forgets = planted(Bug::UtilizationForgetsIpv6) && self.pool.address_family == Family::Ipv6;
        let assigned = if forgets { AddressCount::ZERO } else { self.assigned };
        PoolUsage {
            provisioned,
            child_pools: self.child_pools,
            assigned,
            available: provisioned - self.child_pools - assigned,
            allocations: self.allocations,
            largest_free_block: self.largest_free_block(),
        }
    }

    pub(in crate::domain) fn largest_free_block(&self) -> Option<Cidr> {
        // The first of equals: `min_by_key` keeps it, and spaces stand in address order.
        self.spaces.iter().filter_map(Space::largest_free).min_by_key(|free| free.length())
    }

    fn space_mut(&mut self, cidr: Cidr) -> Option<&mut Space> {
        self.around(cidr).and_then(|at| self.spaces.get_mut(at))
    }

    fn count_mut(&mut self, count_as: CountAs) -> &mut AddressCount {
        match count_as {
            CountAs::ChildPool => &mut self.child_pools,
            CountAs::Assigned => &mut self.assigned,
        }
    }

    fn around(&self, cidr: Cidr) -> Option<usize> {
        // The pool's CIDRs share no address, and a block stands before those inside it.
        let at = self.pool.cidrs.partition_point(|provisioned| provisioned.cidr <= cidr).checked_sub(1)?;
        self.pool.cidrs.get(at).filter(|provisioned| provisioned.cidr.contains(cidr)).map(|_| at)
    }

    fn exactly(&self, cidr: Cidr) -> Option<usize> {
        self.around(cidr).filter(|at| self.pool.cidrs.get(*at).is_some_and(|provisioned| provisioned.cidr == cidr))
    }
}
