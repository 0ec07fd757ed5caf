//! What must hold of everything against everything, whatever was asked: one function an invariant of the behaviour
//! reference, named by its id there.

use ipam_ledger::domain::command::Visibility;
use ipam_ledger::domain::event::Event;
use ipam_ledger::domain::quota::Quota;

use super::world::{Holder, World};

impl World {
    /// All of them.
    pub fn check(&self) {
        self.inv_o1();
        self.inv_i1();
        self.inv_i2();
        self.inv_i4_s1();
        self.inv_p1();
        self.inv_p2();
        self.inv_p6_p7();
        self.inv_c1();
        self.inv_c2();
        self.inv_c3();
        self.inv_c4();
        self.inv_a1();
    }

    /// The administrator is a member, never the management account.
    fn inv_o1(&self) {
        for administrator in self.administrator.iter().chain(&self.registered) {
            assert!(self.is_member(*administrator), "INV-O1: {administrator} is no member");
            assert_ne!(Some(*administrator), self.management, "INV-O1: the management account");
        }
        assert!(self.administrator.is_none() || self.registered.is_none(), "INV-O1: two administrators");
    }

    /// One IPAM per account and home region.
    fn inv_i1(&self) {
        for (n, one) in self.ipams.iter().enumerate() {
            for other in self.ipams.iter().skip(n + 1) {
                assert!((one.owner, &one.home) != (other.owner, &other.home), "INV-I1: {one:?} and {other:?}");
            }
        }
    }

    /// The home region is always operated.
    fn inv_i2(&self) {
        for ipam in &self.ipams {
            assert!(ipam.regions.contains(&ipam.home), "INV-I2: {ipam:?}");
        }
    }

    /// Two default scopes an IPAM, one private and one public, and no other public one.
    fn inv_i4_s1(&self) {
        for ipam in &self.ipams {
            for visibility in [Visibility::Private, Visibility::Public] {
                let of_it =
                    || self.scopes.iter().filter(|scope| (scope.ipam, scope.visibility) == (ipam.id, visibility));
                assert_eq!(of_it().filter(|scope| scope.is_default).count(), 1, "INV-I4: {ipam:?}");
                assert!(visibility == Visibility::Private || of_it().count() == 1, "INV-S1: {ipam:?}");
            }
        }
    }

    /// A child has its source's scope and family.
    fn inv_p1(&self) {
        for pool in &self.pools {
            assert!(self.scope(pool.scope).is_some(), "INV-P1, INV-S4: {pool:?} lies in no scope");
            if let Some(source) = pool.source.map(|source| self.pool(source).expect("INV-P1: a source exists")) {
                assert_eq!((pool.scope, pool.family), (source.scope, source.family), "INV-P1: {pool:?}");
            }
        }
    }

    /// A child has its source's locale, where that has one.
    fn inv_p2(&self) {
        for pool in &self.pools {
            let source = pool.source.and_then(|source| self.pool(source)).and_then(|source| source.locale.as_ref());
            assert!(source.is_none() || source == pool.locale.as_ref(), "INV-P2: {pool:?}");
        }
    }

    /// min ≤ default ≤ max.
    fn inv_p6_p7(&self) {
        for pool in &self.pools {
            let lengths: Vec<u8> = [pool.min, pool.default, pool.max].into_iter().flatten().collect();
            assert!(lengths.is_sorted(), "INV-P6, INV-P7: {pool:?}");
        }
    }

    /// In one scope, CIDRs of top-level pools are pairwise disjoint.
    fn inv_c1(&self) {
        for (n, (pool, cidr)) in self.provisioned.iter().enumerate() {
            let of = self.pool(*pool).expect("a CIDR has a pool");
            for (other_pool, other) in self.provisioned.iter().skip(n + 1) {
                let other_of = self.pool(*other_pool).expect("a CIDR has a pool");
                let tops = of.source.is_none() && other_of.source.is_none() && of.scope == other_of.scope;
                assert!(!tops || !cidr.overlaps(*other), "INV-C1: {cidr} of {pool} and {other} of {other_pool}");
            }
        }
    }

    /// A child's CIDR lies inside one CIDR of its source pool.
    fn inv_c2(&self) {
        for (pool, cidr) in &self.provisioned {
            let Some(source) = self.pool(*pool).expect("a CIDR has a pool").source else { continue };
            assert!(self.cidrs_of(source).iter().any(|around| around.contains(*cidr)), "INV-C2: {cidr} of {pool}");
        }
    }

    /// A child's CIDR and its allocation in the source pool appear and disappear together.
    fn inv_c3(&self) {
        for (pool, cidr) in &self.provisioned {
            let Some(source) = self.pool(*pool).expect("a CIDR has a pool").source else { continue };
            let held = self.holds_of(source).filter(|hold| hold.holder == Holder::Child(*pool) && hold.cidr == *cidr);
            assert_eq!(held.count(), 1, "INV-C3: {cidr} of {pool}");
        }
        for hold in &self.holds {
            if let Holder::Child(child) = hold.holder {
                assert!(self.provisioned.contains(&(child, hold.cidr)), "INV-C3: {hold:?}");
            }
        }
    }

    /// CIDRs of one pool are disjoint.
    fn inv_c4(&self) {
        for (n, (pool, cidr)) in self.provisioned.iter().enumerate() {
            for (other_pool, other) in self.provisioned.iter().skip(n + 1) {
                assert!(pool != other_pool || !cidr.overlaps(*other), "INV-C4: {cidr} and {other} of {pool}");
            }
        }
    }

    /// Allocations of one pool are pairwise disjoint, each inside one of its CIDRs.
    fn inv_a1(&self) {
        for (n, hold) in self.holds.iter().enumerate() {
            for other in self.holds.iter().skip(n + 1).filter(|other| other.pool == hold.pool) {
                assert!(!hold.cidr.overlaps(other.cidr), "INV-A1: {hold:?} and {other:?}");
            }
            let around = self.cidrs_of(hold.pool).into_iter().filter(|around| around.contains(hold.cidr)).count();
            assert_eq!(around, 1, "INV-A1, INV-C4: {hold:?} lies inside one CIDR of its pool");
        }
    }

    /// Quotas (INV-P1, INV-S1, INV-C12) hold for what is new; lowering one takes nothing away.
    pub fn quotas_hold(&self, event: &Event) {
        match event {
            Event::PoolCreated(it) => {
                let pools = self.pools.iter().filter(|pool| pool.scope == it.scope).count();
                assert!(pools <= self.quota(Quota::PoolsPerScope), "pools per scope: {it:?}");
                assert!(self.depth(it.pool) <= self.quota(Quota::PoolDepth), "depth of pools: {it:?}");
            }
            Event::PoolCidrProvisioned(it) => {
                assert!(self.cidrs_of(it.pool).len() <= self.quota(Quota::CidrsPerPool), "CIDRs per pool: {it:?}");
            }
            Event::ScopeCreated(it) => {
                let scopes = self.scopes.iter().filter(|scope| scope.ipam == it.ipam).count();
                assert!(scopes <= self.quota(Quota::ScopesPerIpam), "scopes per IPAM: {it:?}");
            }
            _ => {}
        }
    }
}
