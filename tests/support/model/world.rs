//! What the events say, kept as plain lists: the naive model of the whole allocation domain.
//!
//! Written from the behaviour reference and the design alone. Nothing is indexed and nothing is counted along:
//! every question looks at everything, and compares all pairs.

use std::collections::{BTreeMap, BTreeSet};

use ipam_ledger::address::{Cidr, Family};
use ipam_ledger::domain::change::Change;
use ipam_ledger::domain::command::{ObservedCidr, ResourceAttributes, Tags, Visibility};
use ipam_ledger::domain::event::{ClosedCidr, Event, ResourceName};
use ipam_ledger::domain::id::{
    AccountId, AllocationId, AssociationId, DiscoveryId, IpamId, ObjectId, PoolId, Region, Revision, ScopeId,
};
use ipam_ledger::domain::kind::ResourceKind;
use ipam_ledger::domain::pool::Placement;
use ipam_ledger::domain::quota::Quota;
use ipam_ledger::domain::time::Timestamp;

#[derive(Clone, Debug)]
pub struct Ipam {
    pub id: IpamId,
    pub owner: AccountId,
    pub home: Region,
    pub regions: BTreeSet<Region>,
    pub discovery: DiscoveryId,
    pub association: AssociationId,
}

#[derive(Clone, Debug)]
pub struct Scope {
    pub id: ScopeId,
    pub ipam: IpamId,
    pub visibility: Visibility,
    pub is_default: bool,
}

#[derive(Clone, Debug)]
pub struct Pool {
    pub id: PoolId,
    pub scope: ScopeId,
    pub source: Option<PoolId>,
    pub family: Family,
    pub locale: Option<Region>,
    pub min: Option<u8>,
    pub max: Option<u8>,
    pub default: Option<u8>,
    pub tags: Tags,
    pub placement: Placement,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    Child(PoolId),
    Custom,
    Resource(ResourceName),
}

/// An allocation.
#[derive(Clone, Debug)]
pub struct Hold {
    pub id: AllocationId,
    pub pool: PoolId,
    pub cidr: Cidr,
    pub holder: Holder,
}

/// One observation: `None` says that the resource was not there.
#[derive(Clone, Debug)]
pub struct Fact {
    pub name: ResourceName,
    pub at: Timestamp,
    /// Where the sender's clock was ahead.
    pub reported_at: Option<Timestamp>,
    pub revision: Revision,
    pub present: Option<(Vec<ObservedCidr>, ResourceAttributes)>,
}

#[derive(Clone, Debug, Default)]
pub struct World {
    pub management: Option<AccountId>,
    pub members: Vec<AccountId>,
    pub administrator: Option<AccountId>,
    /// Delegated through Organizations alone.
    pub registered: Option<AccountId>,
    /// Accounts that have the service-linked role.
    pub roles: BTreeSet<AccountId>,
    pub quotas: BTreeMap<Quota, u32>,
    pub ipams: Vec<Ipam>,
    pub scopes: Vec<Scope>,
    pub pools: Vec<Pool>,
    pub provisioned: Vec<(PoolId, Cidr)>,
    pub holds: Vec<Hold>,
    pub facts: Vec<Fact>,
    /// What the owner wrote on things, of those too that are no more.
    pub tags: BTreeMap<ObjectId, Tags>,
    pub descriptions: BTreeMap<ObjectId, String>,
    /// Names of what is no more, to ask for it again.
    pub former_pools: Vec<PoolId>,
    pub former_holds: Vec<AllocationId>,
}

impl World {
    pub fn quota(&self, quota: Quota) -> usize {
        self.quotas.get(&quota).copied().unwrap_or(quota.default_value()) as usize
    }

    pub fn ipam(&self, id: IpamId) -> Option<&Ipam> {
        self.ipams.iter().find(|ipam| ipam.id == id)
    }

    pub fn scope(&self, id: ScopeId) -> Option<&Scope> {
        self.scopes.iter().find(|scope| scope.id == id)
    }

    pub fn pool(&self, id: PoolId) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.id == id)
    }

    pub fn hold(&self, id: AllocationId) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.id == id)
    }

    /// Whose IPAM the object belongs to; `None` when there is no such object.
    pub fn owner_of(&self, id: ObjectId) -> Option<AccountId> {
        let scope = |id| self.scope(id).and_then(|scope| self.ipam(scope.ipam));
        let pool = |id| self.pool(id).and_then(|pool| scope(pool.scope));
        let ipam = match id {
            ObjectId::Ipam(id) => self.ipam(id),
            ObjectId::Scope(id) => scope(id),
            ObjectId::Pool(id) => pool(id),
            ObjectId::Allocation(id) => self.hold(id).and_then(|hold| pool(hold.pool)),
            ObjectId::Discovery(id) => self.ipams.iter().find(|ipam| ipam.discovery == id),
            ObjectId::Association(id) => self.ipams.iter().find(|ipam| ipam.association == id),
        };
        ipam.map(|ipam| ipam.owner)
    }

    pub fn tags_of(&self, id: impl Into<ObjectId>) -> Tags {
        self.tags.get(&id.into()).cloned().unwrap_or_default()
    }

    pub fn description_of(&self, id: impl Into<ObjectId>) -> Option<String> {
        self.descriptions.get(&id.into()).cloned()
    }

    fn label(&mut self, id: impl Into<ObjectId>, tags: Tags) {
        self.tags.entry(id.into()).or_default().extend(tags);
    }

    fn describe(&mut self, id: impl Into<ObjectId>, change: Change<String>) {
        let id = id.into();
        if let Some(text) = change.applied_to(self.descriptions.remove(&id)) {
            self.descriptions.insert(id, text);
        }
    }

    pub fn ipam_of_scope(&self, id: ScopeId) -> &Ipam {
        let scope = self.scope(id).expect("a scope of a pool");
        self.ipam(scope.ipam).expect("an IPAM of a scope")
    }

    pub fn depth(&self, id: PoolId) -> usize {
        let source = self.pool(id).and_then(|pool| pool.source);
        1 + source.map_or(0, |source| self.depth(source))
    }

    pub fn cidrs_of(&self, pool: PoolId) -> Vec<Cidr> {
        let mut cidrs: Vec<Cidr> =
            self.provisioned.iter().filter(|(of, _)| *of == pool).map(|(_, cidr)| *cidr).collect();
        cidrs.sort_unstable();
        cidrs
    }

    pub fn holds_of(&self, pool: PoolId) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |hold| hold.pool == pool)
    }

    /// A pool and all below it.
    pub fn subtree(&self, top: PoolId) -> Vec<PoolId> {
        let mut found = vec![top];
        let mut next = 0;
        while let Some(pool) = found.get(next).copied() {
            found.extend(self.pools.iter().filter(|child| child.source == Some(pool)).map(|child| child.id));
            next += 1;
        }
        found
    }

    pub fn is_member(&self, account: AccountId) -> bool {
        self.members.contains(&account)
    }

    /// Whether the IPAM sees the account's resources (D18).
    pub fn sees(&self, ipam: &Ipam, account: AccountId) -> bool {
        let all = self.administrator == Some(ipam.owner);
        self.is_member(account)
            && self.roles.contains(&ipam.owner)
            && self.roles.contains(&account)
            && (all || account == ipam.owner)
    }

    /// The latest observations of a resource: several when they contradict each other.
    fn latest(&self, name: &ResourceName) -> Vec<&Fact> {
        let of_it = || self.facts.iter().filter(|fact| fact.name == *name);
        let Some(at) = of_it().map(|fact| fact.at).max() else { return Vec::new() };
        of_it().filter(|fact| fact.at == at && fact.present.is_some()).collect()
    }

    pub fn names(&self) -> BTreeSet<ResourceName> {
        self.facts.iter().map(|fact| fact.name.clone()).collect()
    }

    /// Where a resource is now, seen by an IPAM or not.
    pub fn is_observed_at(&self, name: &ResourceName, cidr: Cidr) -> bool {
        self.latest(name)
            .iter()
            .filter_map(|fact| fact.present.as_ref())
            .any(|(cidrs, _)| cidrs.iter().any(|seen| seen.cidr.overlaps(cidr)))
    }

    /// The blocks that resources are seen to hold in a scope (D15, D16): in the default scopes, by kind.
    pub fn observed_in(&self, scope: ScopeId) -> Vec<(ResourceName, Cidr, ResourceAttributes)> {
        let mut observed = Vec::new();
        let Some(scope) = self.scope(scope).filter(|scope| scope.is_default) else { return observed };
        let ipam = self.ipam(scope.ipam).expect("an IPAM of a scope");
        for name in self.names() {
            for (cidrs, attributes) in self.latest(&name).into_iter().filter_map(|fact| fact.present.as_ref()) {
                let monitored = name.kind != ResourceKind::Prefix
                    && attributes.account.is_some_and(|account| self.sees(ipam, account))
                    && attributes.region.as_ref().is_some_and(|region| ipam.regions.contains(region));
                let here = cidrs.iter().filter(|seen| monitored && placed(name.kind, seen) == scope.visibility);
                observed.extend(here.map(|seen| (name.clone(), seen.cidr, attributes.clone())));
            }
        }
        observed
    }

    #[expect(clippy::too_many_lines, reason = "one arm an event")]
    pub fn fold(&mut self, revision: Revision, event: &Event) {
        match event.clone() {
            Event::OrganizationCreated(it) => {
                self.management = Some(it.management_account);
                self.members.push(it.management_account);
            }
            Event::AccountAdded(it) => {
                self.members.push(it.account);
                // INV-O5: who joins later is covered.
                self.roles.extend(self.administrator.map(|_| it.account));
            }
            Event::AccountRemoved(it) => {
                self.members.retain(|account| *account != it.account);
                self.roles.remove(&it.account);
            }
            Event::AdminDelegated(it) => {
                (self.administrator, self.registered) = (Some(it.account), None);
                self.roles.extend(self.members.iter().filter(|account| Some(**account) != self.management));
            }
            Event::AdminRevoked(_) => self.administrator = None,
            Event::DelegatedAdministratorRegistered(it) => self.registered = Some(it.account),
            Event::DelegatedAdministratorDeregistered(it) => {
                self.registered = None;
                self.roles.extend(self.ipams.iter().map(|ipam| ipam.owner).find(|owner| *owner == it.account));
            }
            Event::QuotaSet(it) => drop(self.quotas.insert(it.quota, it.value)),
            Event::IpamCreated(it) => {
                // INV-O4: delegation through Organizations alone creates no role.
                self.roles.extend(Some(it.owner).filter(|owner| self.registered != Some(*owner)));
                let regions = it.operating_regions.into_iter().collect();
                self.label(it.ipam, it.tags);
                self.describe(it.ipam, at_first(it.description));
                let (discovery, association) =
                    (it.default_resource_discovery, it.default_resource_discovery_association);
                self.ipams.push(Ipam {
                    id: it.ipam,
                    owner: it.owner,
                    home: it.home_region,
                    regions,
                    discovery,
                    association,
                });
                for (id, visibility) in
                    [(it.private_default_scope, Visibility::Private), (it.public_default_scope, Visibility::Public)]
                {
                    self.scopes.push(Scope { id, ipam: it.ipam, visibility, is_default: true });
                }
            }
            Event::IpamModified(it) => {
                let ipam = self.ipams.iter_mut().find(|ipam| ipam.id == it.ipam).expect("it exists");
                ipam.regions.extend(it.added_operating_regions);
                ipam.regions.retain(|region| !it.removed_operating_regions.contains(region));
                self.describe(it.ipam, it.description);
            }
            Event::IpamDeleted(it) => {
                let tops: Vec<PoolId> = self
                    .pools
                    .iter()
                    .filter(|pool| pool.source.is_none() && self.ipam_of_scope(pool.scope).id == it.ipam)
                    .map(|pool| pool.id)
                    .collect();
                let all: Vec<PoolId> = tops.into_iter().flat_map(|top| self.subtree(top)).collect();
                self.close(&all, &it.closed);
                self.scopes.retain(|scope| scope.ipam != it.ipam);
                self.ipams.retain(|ipam| ipam.id != it.ipam);
            }
            Event::ScopeCreated(it) => {
                let visibility = Visibility::Private;
                self.label(it.scope, it.tags);
                self.describe(it.scope, at_first(it.description));
                self.scopes.push(Scope { id: it.scope, ipam: it.ipam, visibility, is_default: false });
            }
            Event::ScopeDeleted(it) => self.scopes.retain(|scope| scope.id != it.scope),
            Event::PoolCreated(it) => {
                self.label(it.pool, it.tags);
                self.describe(it.pool, at_first(it.description));
                self.pools.push(Pool {
                    id: it.pool,
                    scope: it.scope,
                    source: it.source_pool,
                    family: it.address_family,
                    locale: it.locale,
                    min: it.allocation_min_netmask_length,
                    max: it.allocation_max_netmask_length,
                    default: it.allocation_default_netmask_length,
                    tags: it.allocation_resource_tags,
                    placement: it.placement,
                });
            }
            Event::PoolModified(it) => {
                let pool = self.pools.iter_mut().find(|pool| pool.id == it.pool).expect("it exists");
                pool.min = it.allocation_min_netmask_length.applied_to(pool.min);
                pool.max = it.allocation_max_netmask_length.applied_to(pool.max);
                pool.default = it.allocation_default_netmask_length.applied_to(pool.default);
                pool.tags = it.allocation_resource_tags.applied_to(Some(pool.tags.clone())).unwrap_or_default();
                pool.placement = it.placement.unwrap_or(pool.placement);
                self.describe(it.pool, it.description);
            }
            Event::PoolDeleted(it) => {
                let all = self.subtree(it.pool);
                self.close(&all, &it.closed);
            }
            Event::PoolCidrProvisioned(it) => {
                self.provisioned.push((it.pool, it.cidr));
                let source = self.pool(it.pool).expect("it exists").source;
                assert_eq!(source.is_some(), it.source_allocation.is_some(), "INV-C3");
                if let (Some(pool), Some(id)) = (source, it.source_allocation) {
                    self.holds.push(Hold { id, pool, cidr: it.cidr, holder: Holder::Child(it.pool) });
                }
            }
            Event::PoolCidrDeprovisioned(it) => {
                self.provisioned.retain(|(pool, cidr)| (*pool, *cidr) != (it.pool, it.cidr));
                let source =
                    self.holds.iter().find(|hold| hold.holder == Holder::Child(it.pool) && hold.cidr == it.cidr);
                assert_eq!(source.map(|hold| hold.id), it.source_allocation, "INV-C3");
                self.release(|hold| Some(hold.id) == it.source_allocation);
            }
            Event::CidrAllocated(it) => {
                self.label(it.allocation, it.tags);
                self.describe(it.allocation, at_first(it.description));
                let holder = it
                    .resource
                    .map_or(Holder::Custom, |claim| Holder::Resource(ResourceName { kind: claim.kind, id: claim.id }));
                self.holds.push(Hold { id: it.allocation, pool: it.pool, cidr: it.cidr, holder });
            }
            Event::AllocationModified(it) => {
                let hold = self.holds.iter_mut().find(|hold| hold.id == it.allocation).expect("it exists");
                if let Some(claim) = it.resource {
                    hold.holder = Holder::Resource(ResourceName { kind: claim.kind, id: claim.id });
                }
                self.describe(it.allocation, it.description);
            }
            Event::AllocationReleased(it) => {
                let hold = self.hold(it.allocation).expect("it exists");
                assert_eq!((hold.pool, hold.cidr), (it.pool, it.cidr), "a release names what it releases");
                let scope = self.pool(it.pool).expect("it exists").scope;
                let observed = self.observed_in(scope).into_iter().filter(|(_, cidr, _)| cidr.overlaps(it.cidr));
                let observed: BTreeSet<ResourceName> = observed.map(|(name, ..)| name).collect();
                assert_eq!(it.still_observed.into_iter().collect::<BTreeSet<_>>(), observed, "D20 names who is there");
                self.release(|hold| hold.id == it.allocation);
            }
            Event::ResourceObserved(it) => {
                let name = ResourceName { kind: it.kind, id: it.id };
                let present = Some((it.cidrs, it.attributes));
                self.facts.push(Fact { name, at: it.observed_at, reported_at: it.reported_at, revision, present });
            }
            Event::ResourceGone(it) => {
                let name = ResourceName { kind: it.kind, id: it.id };
                let (at, reported_at) = (it.observed_at, it.reported_at);
                self.facts.push(Fact { name, at, reported_at, revision, present: None });
            }
            Event::ObservationRetracted(it) => {
                let name = ResourceName { kind: it.kind, id: it.id };
                let before = self.facts.len();
                self.facts.retain(|fact| (&fact.name, fact.at, fact.revision) != (&name, it.observed_at, it.revision));
                assert_eq!(self.facts.len() + 1, before, "one observation is withdrawn");
            }
            Event::ScopeModified(it) => self.describe(it.scope, it.description),
            Event::ResourceTagged(it) => self.label(it.resource, it.tags),
            Event::ResourceUntagged(it) => {
                self.tags.entry(it.resource).or_default().retain(|key, _| !it.keys.contains(key));
            }
        }
        self.quotas_hold(event);
    }

    fn release(&mut self, which: impl Fn(&Hold) -> bool) {
        self.former_holds.extend(self.holds.iter().filter(|hold| which(hold)).map(|hold| hold.id));
        self.holds.retain(|hold| !which(hold));
    }

    /// A cascade: the event must say of every CIDR how many allocations went with it (D21).
    fn close(&mut self, pools: &[PoolId], closed: &[ClosedCidr]) {
        let mut expect: Vec<(PoolId, Cidr, u64)> = Vec::new();
        for (pool, cidr) in self.provisioned.iter().filter(|(pool, _)| pools.contains(pool)) {
            let inside = self.holds_of(*pool).filter(|hold| cidr.contains(hold.cidr)).count();
            expect.push((*pool, *cidr, inside as u64));
        }
        expect.sort_unstable();
        let mut told: Vec<_> = closed.iter().map(|it| (it.pool, it.cidr, it.allocations)).collect();
        told.sort_unstable();
        assert_eq!(told, expect, "a cascade names what it closes");
        let (holds, gone): (Vec<Hold>, Vec<Hold>) = self.holds.drain(..).partition(|hold| {
            !pools.contains(&hold.pool) && !matches!(hold.holder, Holder::Child(child) if pools.contains(&child))
        });
        self.holds = holds;
        self.former_holds.extend(gone.iter().map(|hold| hold.id));
        self.former_pools.extend(pools);
        self.provisioned.retain(|(pool, _)| !pools.contains(pool));
        self.pools.retain(|pool| !pools.contains(&pool.id));
    }
}

fn at_first(description: Option<String>) -> Change<String> {
    description.map_or(Change::Unchanged, Change::Set)
}

/// Which default scope shows a block (D16).
fn placed(kind: ResourceKind, seen: &ObservedCidr) -> Visibility {
    match kind {
        ResourceKind::Vpc | ResourceKind::Subnet => Visibility::Private,
        ResourceKind::Eip | ResourceKind::PublicIpv4Pool => Visibility::Public,
        _ => seen.visibility.expect("such a kind says it"),
    }
}
