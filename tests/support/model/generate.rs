//! Random commands about what there is, what there was, and what never was.

use ipam_ledger::address::{Cidr, Family};
use ipam_ledger::domain::change::Change;
use ipam_ledger::domain::command::{
    AddAccount, AllocateCidr, CommandBody, CreateIpam, CreatePool, CreateScope, DelegateAdmin, DeleteIpam, DeletePool,
    DeleteScope, DeprovisionPoolCidr, ModifyAllocation, ModifyIpam, ModifyPool, ModifyScope, ObserveResource,
    ObserveResourceGone, ObservedCidr, ProvisionPoolCidr, ReleaseAllocation, ResourceAttributes, ResourceClaim,
    RetractObservation, RevokeAdmin, TagResource, Tags, UntagResource, Visibility,
};
use ipam_ledger::domain::id::{AccountId, AllocationId, IpamId, ObjectId, PoolId, Region, ScopeId};
use ipam_ledger::domain::kind::ResourceKind;
use ipam_ledger::domain::pool::Placement;
use ipam_ledger::domain::time::Timestamp;

use super::predict::set;
use super::world::World;
use super::{ADMIN, LATE, MANAGEMENT, MEMBER, STRANGER, account, region};

/// What a command is made from; zeros when used up, so that shorter is simpler.
pub struct Dice<'a>(pub &'a [u8]);

impl Dice<'_> {
    fn below(&mut self, n: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) * n / 256
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    fn of<T: Clone>(&mut self, options: &[T]) -> T {
        let n = self.below(options.len());
        options[n].clone()
    }

    fn maybe<T>(&mut self, n: usize, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(n).then(|| value(self))
    }

    /// A block of 2^`from` to 2^`to` addresses of a small part of the family.
    fn block(&mut self, family: Family, from: usize, to: usize) -> Cidr {
        let host_bits = u8::try_from(to - self.below(to - from + 1)).expect("few bits");
        let offset = (self.below(256) << 2 | self.below(4)) as u128;
        let start = match family {
            Family::Ipv4 => 0x0a00_0000,
            Family::Ipv6 => 0xfd01 << 112,
        };
        Cidr::containing(family, start + offset, family.bits() - host_bits)
    }

    fn length(&mut self, family: Family, from: usize, to: usize) -> u8 {
        let host_bits = u8::try_from(to - self.below(to - from + 1)).expect("few bits");
        family.bits() - host_bits
    }

    fn family(&mut self) -> Family {
        if self.one_in(4) { Family::Ipv6 } else { Family::Ipv4 }
    }

    fn region(&mut self) -> Region {
        region(self.of(&["eu-central-1", "eu-central-1", "eu-west-1", "eu-west-3", "us-east-1"]))
    }

    fn account(&mut self) -> AccountId {
        account(self.of(&[ADMIN, MEMBER, MEMBER, LATE, STRANGER]))
    }

    fn placement(&mut self) -> Placement {
        self.of(&[Placement::FirstFit, Placement::BestFit, Placement::BestFit, Placement::Random])
    }

    fn tags(&mut self) -> Tags {
        let mut tags = Tags::new();
        if self.one_in(4) {
            tags.insert("env".to_owned(), self.of(&["prod", "dev"]).to_owned());
        }
        tags
    }

    fn resource(&mut self) -> (ResourceKind, String) {
        let kind = self.of(&[
            ResourceKind::Vpc,
            ResourceKind::Vpc,
            ResourceKind::Vpc,
            ResourceKind::Subnet,
            ResourceKind::Eip,
            ResourceKind::NetworkInterface,
            ResourceKind::Prefix,
        ]);
        (kind, format!("{kind}-{}", self.below(3)))
    }

    fn claim(&mut self, locale: Option<Region>) -> ResourceClaim {
        let (kind, id) =
            if self.one_in(6) { self.resource() } else { (ResourceKind::Vpc, format!("vpc-{}", self.below(3))) };
        ResourceClaim {
            kind,
            id,
            region: if self.one_in(5) { self.maybe(2, Self::region) } else { locale },
            account: self.maybe(3, Self::account),
            tags: self.tags(),
        }
    }

    fn rules(&mut self, family: Family) -> [Option<u8>; 3] {
        let min = self.maybe(5, |dice| dice.length(family, 3, 9));
        let max = self.maybe(5, |dice| dice.length(family, 0, 6));
        [min, max, self.maybe(4, |dice| dice.length(family, 1, 6))]
    }

    fn pool(&mut self, world: &World) -> PoolId {
        let mut pools: Vec<PoolId> = world.pools.iter().map(|pool| pool.id).collect();
        if pools.is_empty() || self.one_in(24) {
            pools.extend(&world.former_pools);
            pools.push("ipam-pool-00000000000000000".parse().expect("well formed"));
        }
        self.of(&pools)
    }

    fn scope(&mut self, world: &World) -> ScopeId {
        let mut scopes: Vec<ScopeId> = world.scopes.iter().map(|scope| scope.id).collect();
        if scopes.is_empty() {
            scopes.push("ipam-scope-00000000000000000".parse().expect("well formed"));
        }
        self.of(&scopes)
    }

    fn ipam(&mut self, world: &World) -> IpamId {
        let mut ipams: Vec<IpamId> = world.ipams.iter().map(|ipam| ipam.id).collect();
        if ipams.is_empty() {
            ipams.push("ipam-00000000000000000".parse().expect("well formed"));
        }
        self.of(&ipams)
    }

    fn hold(&mut self, world: &World) -> AllocationId {
        let mut holds: Vec<AllocationId> = world.holds.iter().map(|hold| hold.id).collect();
        if holds.is_empty() || self.one_in(16) {
            holds.extend(&world.former_holds);
            holds.push("ipam-pool-alloc-00000000000000000000000000000000".parse().expect("well formed"));
        }
        self.of(&holds)
    }
}

/// Who asks, and for what.
pub fn command(dice: &mut Dice<'_>, world: &World, now: Timestamp) -> (AccountId, CommandBody) {
    let owner = world.ipams.first().map_or(account(ADMIN), |ipam| ipam.owner);
    let principal = if dice.one_in(20) { account(dice.of(&[MANAGEMENT, MEMBER, STRANGER])) } else { owner };
    let kind = dice.below(64);
    match kind {
        0..=2 => (principal, create_pool(dice, world).into()),
        3..=4 => (principal, create_child(dice, world).into()),
        5..=13 => (principal, provision(dice, world).into()),
        14..=31 => (principal, allocate(dice, world).into()),
        32..=33 => (principal, label(dice, world)),
        34..=38 => (principal, release(dice, world).into()),
        39..=40 => (principal, modify_allocation(dice, world).into()),
        41..=42 => (principal, modify_pool(dice, world).into()),
        43..=44 => (principal, deprovision(dice, world).into()),
        45 => (principal, DeletePool { pool: dice.pool(world), cascade: !dice.one_in(3) }.into()),
        46..=53 => {
            let observer = account(dice.of(&[ADMIN, ADMIN, ADMIN, MEMBER]));
            (observer, observe(dice, world, now).into())
        }
        54..=55 => {
            let (kind, id) = dice.resource();
            let gone = ObserveResourceGone { kind, id, observed_at: instant(dice, world, now), source: None };
            (account(ADMIN), gone.into())
        }
        56..=57 => (account(ADMIN), retract(dice, world, now).into()),
        59 => {
            let ipam = dice.ipam(world);
            (principal, CreateScope { ipam, description: None, name: None, tags: Tags::new() }.into())
        }
        60 => (principal, DeleteScope { scope: dice.scope(world) }.into()),
        61 => (principal, create_ipam(dice).into()),
        58 | 62 => reach(dice, world),
        _ if dice.one_in(3) => {
            let ipam = dice.ipam(world);
            (principal, DeleteIpam { ipam, cascade: dice.one_in(2) }.into())
        }
        _ => (principal, allocate(dice, world).into()),
    }
}

/// Something that changes nothing but what is written on a thing, or where an IPAM works.
fn label(dice: &mut Dice<'_>, world: &World) -> CommandBody {
    let change = dice.of(&[Change::Unchanged, Change::Set("the lab".to_owned()), Change::Clear]);
    let mut objects: Vec<ObjectId> = world.ipams.iter().map(|ipam| ipam.id.into()).collect();
    objects.extend(world.ipams.iter().map(|ipam| ObjectId::from(ipam.discovery)));
    objects.push(dice.scope(world).into());
    objects.push(dice.pool(world).into());
    objects.push(dice.hold(world).into());
    let resource = dice.of(&objects);
    match dice.below(4) {
        0 => TagResource { resource, tags: dice.tags() }.into(),
        1 => UntagResource { resource, keys: vec!["env".to_owned()] }.into(),
        2 => ModifyScope { scope: dice.scope(world), description: change }.into(),
        _ => {
            let mut regions = || dice.maybe(2, Dice::region).into_iter().collect();
            let (add_operating_regions, remove_operating_regions) = (regions(), regions());
            let ipam = dice.ipam(world);
            ModifyIpam { ipam, description: change, add_operating_regions, remove_operating_regions }.into()
        }
    }
}

/// Something that lets the IPAM see more, or less.
fn reach(dice: &mut Dice<'_>, world: &World) -> (AccountId, CommandBody) {
    let late = account(LATE);
    if world.administrator.is_none() {
        return (account(MANAGEMENT), DelegateAdmin { account: account(ADMIN) }.into());
    }
    if dice.one_in(3) {
        return (account(MANAGEMENT), RevokeAdmin { account: account(ADMIN) }.into());
    }
    if !world.is_member(late) && dice.one_in(2) {
        return (account(MANAGEMENT), AddAccount { account: late, name: None }.into());
    }
    let ipam = world.ipams.first();
    let more = region("eu-west-3");
    match ipam.filter(|ipam| !ipam.regions.contains(&more)) {
        Some(ipam) => (
            ipam.owner,
            ModifyIpam {
                ipam: ipam.id,
                description: Change::Unchanged,
                add_operating_regions: vec![more],
                remove_operating_regions: Vec::new(),
            }
            .into(),
        ),
        None => (account(ADMIN), create_ipam(dice).into()),
    }
}

fn create_ipam(dice: &mut Dice<'_>) -> CreateIpam {
    CreateIpam {
        home_region: region("eu-central-1"),
        operating_regions: dice.of(&[vec![], vec![region("eu-west-1")]]),
        description: None,
        name: None,
        tags: Tags::new(),
    }
}

fn create_pool(dice: &mut Dice<'_>, world: &World) -> CreatePool {
    let family = dice.family();
    let [min, max, default] = dice.rules(family);
    CreatePool {
        scope: (!dice.one_in(16)).then(|| dice.scope(world)),
        address_family: (!dice.one_in(16)).then_some(family),
        locale: dice.maybe(2, Dice::region),
        allocation_min_netmask_length: min,
        allocation_max_netmask_length: max,
        allocation_default_netmask_length: default,
        allocation_resource_tags: dice.tags(),
        placement: dice.placement(),
        auto_import: dice.one_in(8),
        ..CreatePool::default()
    }
}

fn create_child(dice: &mut Dice<'_>, world: &World) -> CreatePool {
    let source = dice.pool(world);
    let known = world.pool(source);
    let family = known.map_or(Family::Ipv4, |pool| pool.family);
    let [min, max, default] = dice.rules(family);
    CreatePool {
        source_pool: Some(source),
        scope: dice.maybe(4, |dice| dice.scope(world)),
        address_family: dice.maybe(4, Dice::family),
        locale: if dice.one_in(3) {
            dice.maybe(2, Dice::region)
        } else {
            known.and_then(|pool| pool.locale.clone()).or(Some(region("eu-central-1")))
        },
        allocation_min_netmask_length: min,
        allocation_max_netmask_length: max,
        allocation_default_netmask_length: default,
        allocation_resource_tags: dice.tags(),
        placement: dice.placement(),
        ..CreatePool::default()
    }
}

fn provision(dice: &mut Dice<'_>, world: &World) -> ProvisionPoolCidr {
    let pool = dice.pool(world);
    let known = world.pool(pool);
    let family = if dice.one_in(24) { dice.family() } else { known.map_or(Family::Ipv4, |pool| pool.family) };
    let child = known.is_some_and(|pool| pool.source.is_some());
    let by_length = if child { dice.one_in(2) } else { dice.one_in(12) };
    let (from, to) = if child { (3, 8) } else { (5, 10) };
    let mut body = ProvisionPoolCidr { pool, cidr: None, netmask_length: None };
    if by_length {
        body.netmask_length = Some(if dice.one_in(24) { family.bits() + 1 } else { dice.length(family, from, to) });
    } else {
        body.cidr = Some(dice.block(family, from, to));
    }
    if dice.one_in(32) {
        body.netmask_length = Some(dice.length(family, from, to));
    }
    body
}

fn allocate(dice: &mut Dice<'_>, world: &World) -> AllocateCidr {
    let pool = dice.pool(world);
    let known = world.pool(pool);
    let family = if dice.one_in(32) { dice.family() } else { known.map_or(Family::Ipv4, |pool| pool.family) };
    let mut body = AllocateCidr {
        pool,
        cidr: None,
        netmask_length: None,
        allowed_cidrs: Vec::new(),
        disallowed_cidrs: Vec::new(),
        description: None,
        tags: Tags::new(),
        resource: None,
    };
    match dice.below(8) {
        0..=4 => body.netmask_length = Some(dice.length(family, 0, 6)),
        5..=6 => body.cidr = Some(dice.block(family, 0, 6)),
        _ => {}
    }
    if dice.one_in(32) {
        body.netmask_length = Some(dice.of(&[0, 32, 33, 128, 200]));
    }
    if dice.one_in(3) && (body.cidr.is_none() || dice.one_in(8)) {
        for _ in 0..dice.below(4) {
            body.allowed_cidrs.push(dice.block(family, 2, 10));
        }
        for _ in 0..dice.below(4) {
            body.disallowed_cidrs.push(dice.block(family, 0, 7));
        }
    }
    body.resource = dice.maybe(3, |dice| dice.claim(known.and_then(|pool| pool.locale.clone())));
    body
}

fn release(dice: &mut Dice<'_>, world: &World) -> ReleaseAllocation {
    let allocation = dice.hold(world);
    let hold = world.hold(allocation);
    ReleaseAllocation {
        allocation,
        pool: if dice.one_in(16) { Some(dice.pool(world)) } else { hold.map(|hold| hold.pool) },
        cidr: if dice.one_in(16) { Some(dice.block(Family::Ipv4, 0, 4)) } else { hold.map(|hold| hold.cidr) },
        force: dice.one_in(4),
    }
}

fn modify_allocation(dice: &mut Dice<'_>, world: &World) -> ModifyAllocation {
    let allocation = dice.hold(world);
    let locale = world.hold(allocation).and_then(|hold| world.pool(hold.pool)).and_then(|pool| pool.locale.clone());
    ModifyAllocation {
        allocation,
        description: dice.of(&[Change::Unchanged, Change::Set("lab".to_owned()), Change::Clear]),
        resource: (!dice.one_in(3)).then(|| dice.claim(locale)),
    }
}

fn modify_pool(dice: &mut Dice<'_>, world: &World) -> ModifyPool {
    let pool = dice.pool(world);
    let family = world.pool(pool).map_or(Family::Ipv4, |pool| pool.family);
    let mut change = |from, to| {
        let length = dice.length(family, from, to);
        dice.of(&[Change::Unchanged, Change::Unchanged, Change::Clear, set(Some(length))])
    };
    ModifyPool {
        pool,
        allocation_min_netmask_length: change(3, 9),
        allocation_max_netmask_length: change(0, 6),
        allocation_default_netmask_length: change(1, 6),
        description: Change::Unchanged,
        allocation_resource_tags: if dice.one_in(3) { Change::Set(dice.tags()) } else { Change::Unchanged },
        placement: dice.maybe(2, Dice::placement),
        auto_import: dice.maybe(8, |dice| dice.one_in(2)),
    }
}

fn deprovision(dice: &mut Dice<'_>, world: &World) -> DeprovisionPoolCidr {
    let mut known = world.provisioned.clone();
    if known.is_empty() || dice.one_in(16) {
        known.push((dice.pool(world), dice.block(Family::Ipv4, 3, 8)));
    }
    let (pool, cidr) = dice.of(&known);
    DeprovisionPoolCidr { pool, cidr }
}

/// Around now, at one of few instants, so that some are late and some coincide.
fn instant(dice: &mut Dice<'_>, world: &World, now: Timestamp) -> Timestamp {
    if dice.one_in(32) {
        return now.plus_micros(61_000_000);
    }
    match world.facts.last().filter(|_| dice.one_in(5)) {
        Some(fact) => fact.at,
        None => now.plus_micros(dice.of(&[0, 0, 0, -3_000_000, -10_000_000, 30_000_000])),
    }
}

fn observe(dice: &mut Dice<'_>, world: &World, now: Timestamp) -> ObserveResource {
    let (kind, id) = dice.resource();
    if let Some(fact) = world.facts.last().filter(|fact| fact.present.is_some() && dice.one_in(12)) {
        // The same again.
        let (cidrs, attributes) = fact.present.clone().expect("present");
        let (kind, id) = (fact.name.kind, fact.name.id.clone());
        return ObserveResource { kind, id, observed_at: fact.at, cidrs, attributes };
    }
    let visibility = (kind == ResourceKind::NetworkInterface)
        .then(|| dice.of(&[Visibility::Private, Visibility::Private, Visibility::Public]));
    let family = dice.family();
    let mut cidrs: Vec<ObservedCidr> = (0..=dice.below(3))
        .map(|_| {
            let held: Vec<Cidr> = world.holds.iter().map(|hold| hold.cidr).collect();
            let held = !held.is_empty() && dice.one_in(3);
            let cidr = if held { dice.of(&world.holds).cidr } else { dice.block(family, 0, 7) };
            ObservedCidr { cidr, visibility }
        })
        .collect();
    cidrs.sort_unstable();
    cidrs.dedup();
    let published = kind == ResourceKind::Prefix;
    let attributes = ResourceAttributes {
        account: (!published && !dice.one_in(12)).then(|| dice.account()),
        region: (!published && !dice.one_in(12)).then(|| dice.region()),
        parent: (kind == ResourceKind::Subnet).then(|| format!("vpc-{}", dice.below(3))),
        ..ResourceAttributes::default()
    };
    ObserveResource { kind, id, observed_at: instant(dice, world, now), cidrs, attributes }
}

fn retract(dice: &mut Dice<'_>, world: &World, now: Timestamp) -> RetractObservation {
    match world.facts.len() {
        0 => RetractObservation { kind: ResourceKind::Vpc, id: "vpc-0".to_owned(), observed_at: now, revision: None },
        _ => {
            let fact = dice.of(&world.facts);
            let revision = dice.maybe(2, |_| fact.revision);
            RetractObservation { kind: fact.name.kind, id: fact.name.id, observed_at: fact.at, revision }
        }
    }
}
