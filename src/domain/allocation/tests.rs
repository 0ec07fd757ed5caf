//! Allocations: given a world, when a command, then events or a rejection. Named by the rules of the behaviour reference.

use super::*;
use crate::address::Family;
use crate::domain::ask::Context;
use crate::domain::change::Change;
use crate::domain::command::*;
use crate::domain::event::{self, Event, IpamCreated, ResourceName};
use crate::domain::id::{IdSeed, ScopeId};
use crate::domain::pool::Placement;
use crate::domain::rejection::{Code, Rejection};
use crate::domain::testing::{ADMIN, MANAGEMENT, MEMBER, World, account, cidr, region, tags};

const HOME: &str = "eu-central-1";

fn by_cidr(pool: PoolId, block: &str) -> AllocateCidr {
    AllocateCidr { cidr: Some(cidr(block)), ..by_default(pool) }
}

fn by_length(pool: PoolId, length: u8) -> AllocateCidr {
    AllocateCidr { netmask_length: Some(length), ..by_default(pool) }
}

fn by_default(pool: PoolId) -> AllocateCidr {
    AllocateCidr {
        pool,
        cidr: None,
        netmask_length: None,
        allowed_cidrs: Vec::new(),
        disallowed_cidrs: Vec::new(),
        description: None,
        tags: Tags::new(),
        resource: None,
    }
}

fn vpc(id: &str) -> ResourceClaim {
    claim(ResourceKind::Vpc, id)
}

fn claim(kind: ResourceKind, id: &str) -> ResourceClaim {
    ResourceClaim { kind, id: id.to_owned(), region: None, account: None, tags: Tags::new() }
}

fn release(allocation: AllocationId) -> ReleaseAllocation {
    ReleaseAllocation { allocation, pool: None, cidr: None, force: false }
}

/// A sighting of a resource of the administrator at home, right now.
fn seen(world: &World, kind: ResourceKind, id: &str, blocks: &[&str]) -> ObserveResource {
    ObserveResource {
        kind,
        id: id.to_owned(),
        observed_at: world.now(),
        cidrs: blocks.iter().map(|block| ObservedCidr { cidr: cidr(block), visibility: None }).collect(),
        attributes: ResourceAttributes {
            account: Some(account(ADMIN)),
            region: Some(region(HOME)),
            ..ResourceAttributes::default()
        },
    }
}

fn observe(world: &mut World, kind: ResourceKind, id: &str, blocks: &[&str]) {
    let seen = seen(world, kind, id, blocks);
    world.accept(seen);
}

fn observe_gone(world: &mut World, kind: ResourceKind, id: &str) {
    let observed_at = world.now();
    world.accept(ObserveResourceGone { kind, id: id.to_owned(), observed_at, source: None });
}

fn given(events: &[Event]) -> &event::CidrAllocated {
    match events {
        [Event::CidrAllocated(allocated)] => allocated,
        other => panic!("allocating gave {other:#?}"),
    }
}

fn allocate(world: &mut World, command: AllocateCidr) -> (AllocationId, Cidr) {
    let events = world.accept(command);
    (given(&events).allocation, given(&events).cidr)
}

fn named(rejection: &Rejection) -> Vec<&str> {
    rejection.blockers.iter().flat_map(|blockers| &blockers.named).map(String::as_str).collect()
}

/// A private top-level pool at home.
fn local(world: &mut World, scope: ScopeId, block: &str) -> PoolId {
    local_with(world, scope, block, CreatePool::default())
}

fn local_with(world: &mut World, scope: ScopeId, block: &str, rules: CreatePool) -> PoolId {
    let block = cidr(block);
    let pool = world.create_pool(CreatePool {
        scope: Some(scope),
        address_family: Some(block.family()),
        locale: Some(region(HOME)),
        ..rules
    });
    world.accept(ProvisionPoolCidr { pool, cidr: Some(block), netmask_length: None });
    pool
}

fn world_with_pool(block: &str) -> (World, IpamCreated, PoolId) {
    let (mut world, ipam) = World::with_ipam();
    let pool = local(&mut world, ipam.private_default_scope, block);
    (world, ipam, pool)
}

#[test]
fn inv_a1_allocations_share_no_address_and_lie_inside() {
    let (mut world, _, pool) = world_with_pool("10.0.0.0/16");
    let (held, _) = allocate(&mut world, by_cidr(pool, "10.0.1.0/24"));
    for block in ["10.0.1.0/24", "10.0.1.0/25", "10.0.1.255/32", "10.0.0.0/16", "10.0.0.0/23"] {
        let refused = world.reject(by_cidr(pool, block));
        assert_eq!((refused.code, &*refused.rule), (Code::CidrOverlap, "INV-A1"), "{block}");
        assert_eq!(named(&refused), [held.to_string()], "{block}");
    }
    for block in ["10.1.0.0/24", "10.0.0.0/15", "0.0.0.0/0"] {
        let refused = world.reject(by_cidr(pool, block));
        assert_eq!((refused.code, refused.would_work["inside"].as_str()), (Code::CidrNotInPool, "10.0.0.0/16"));
    }
    assert_eq!(allocate(&mut world, by_length(pool, 24)).1, cidr("10.0.0.0/24"));
    assert_eq!(allocate(&mut world, by_length(pool, 24)).1, cidr("10.0.2.0/24"));
}

#[test]
fn d21_a_refusal_names_a_hundred_blockers_and_the_query_for_the_rest() {
    let (mut world, _, pool) = world_with_pool("10.0.0.0/16");
    for _ in 0..101 {
        world.accept(by_length(pool, 28));
    }
    let refused = world.reject(by_cidr(pool, "10.0.0.0/20"));
    let blockers = refused.blockers.expect("somebody is in the way");
    assert_eq!((blockers.named.len(), blockers.total), (100, 101));
    assert_eq!(blockers.query, Some(format!("/v1/organizations/o-example/pools/{pool}/allocations")));
    assert_eq!(refused.would_work["free_block"], "10.0.16.0/20");
}

#[test]
fn inv_a2_t18_t19_one_of_cidr_length_and_default() {
    let (mut world, ipam) = World::with_ipam();
    let bare = local(&mut world, ipam.private_default_scope, "10.0.0.0/16");
    let rules = CreatePool { allocation_default_netmask_length: Some(24), ..CreatePool::default() };
    let with_default = local_with(&mut world, ipam.private_default_scope, "10.1.0.0/16", rules);
    let refused = world.reject(by_default(bare));
    assert_eq!(refused.code, Code::InvalidParameterCombination);
    assert_eq!(
        refused.message,
        "The request cannot contain empty CIDR and Netmask Length for a pool with no default allocation netmask length \
         set. Exactly one of them should be provided."
    );
    let both = AllocateCidr { netmask_length: Some(24), ..by_cidr(bare, "10.0.0.0/24") };
    assert_eq!(world.reject(both).code, Code::InvalidParameterCombination);
    assert_eq!(allocate(&mut world, by_default(with_default)).1, cidr("10.1.0.0/24"));
    assert_eq!(allocate(&mut world, by_length(with_default, 25)).1, cidr("10.1.1.0/25"));
    assert_eq!(allocate(&mut world, by_cidr(with_default, "10.1.4.0/26")).1, cidr("10.1.4.0/26"));
    for length in [33, 255] {
        assert_eq!(world.reject(by_length(bare, length)).code, Code::NetmaskLengthOutOfRange);
    }
}

#[test]
fn inv_a3_t26_a_resource_meets_every_rule_of_the_pool() {
    let (mut world, ipam) = World::with_ipam();
    let pool = local_with(
        &mut world,
        ipam.private_default_scope,
        "10.0.0.0/8",
        CreatePool {
            allocation_min_netmask_length: Some(16),
            allocation_max_netmask_length: Some(28),
            allocation_resource_tags: tags([("env", "prod"), ("team", "net")]),
            ..CreatePool::default()
        },
    );
    let good = ResourceClaim { tags: tags([("env", "prod"), ("team", "net"), ("aws:own", "x")]), ..vpc("vpc-1") };
    let ask = |claim: &ResourceClaim| AllocateCidr { resource: Some(claim.clone()), ..by_length(pool, 24) };
    let events = world.accept(ask(&good));
    let recorded = given(&events).resource.clone().expect("it is for a resource");
    assert_eq!((recorded.region, recorded.account), (Some(region(HOME)), Some(account(ADMIN))));
    world.accept(ask(&ResourceClaim { account: Some(account(MEMBER)), ..good.clone() }));
    let of = |changed: ResourceClaim| ask(&changed);
    for (command, code) in [
        (of(ResourceClaim { region: Some(region("eu-west-1")), ..good.clone() }), Code::LocaleMismatch),
        (
            of(ResourceClaim { tags: tags([("env", "prod"), ("team", "dev")]), ..good.clone() }),
            Code::MissingResourceTags,
        ),
        (of(ResourceClaim { account: Some(account("999999999999")), ..good.clone() }), Code::AccountNotMonitored),
        (of(ResourceClaim { kind: ResourceKind::Instance, ..good.clone() }), Code::UnsupportedOperation),
        (of(ResourceClaim { kind: ResourceKind::Custom, ..good.clone() }), Code::UnsupportedOperation),
        (of(ResourceClaim { kind: ResourceKind::IpamPool, ..good.clone() }), Code::UnsupportedOperation),
        (of(ResourceClaim { id: String::new(), ..good.clone() }), Code::InvalidParameterValue),
        (AllocateCidr { netmask_length: Some(15), ..ask(&good) }, Code::NetmaskLengthOutOfRange),
        (AllocateCidr { netmask_length: Some(29), ..ask(&good) }, Code::NetmaskLengthOutOfRange),
    ] {
        assert_eq!(world.reject(command.clone()).code, code, "{command:?}");
    }
    for (kind, hint) in [
        (ResourceKind::IpamPool, "kind ipam-pool. Child pools get space by `ProvisionPoolCidr`."),
        (ResourceKind::Custom, "kind custom. For a custom allocation leave `resource` out."),
        (ResourceKind::Instance, "kind instance."),
    ] {
        let refused = world.reject(of(ResourceClaim { kind, ..good.clone() }));
        assert!(refused.message.ends_with(hint), "{refused}");
        assert_eq!(refused.would_work["kind"], "vpc, subnet, eip, public-ipv4-pool, anycast-ip-list");
    }
    let refused = world.reject(of(ResourceClaim { tags: tags([("env", "dev")]), ..good }));
    assert_eq!(refused.values["missing"], "env=prod, team=net");
    assert!(
        refused
            .message
            .starts_with("The resource is missing one or more of the resource tags required by the IPAM pool")
    );
}

#[test]
fn inv_p3_a_pool_without_locale_serves_customs_only() {
    let (mut world, ipam) = World::with_ipam();
    let pool = world.top_pool(ipam.private_default_scope, "10.0.0.0/8");
    let refused = world.reject(AllocateCidr { resource: Some(vpc("vpc-1")), ..by_length(pool, 24) });
    assert_eq!((refused.code, &*refused.rule), (Code::LocaleMismatch, "INV-P3"));
    let (held, _) = allocate(&mut world, by_length(pool, 24));
    let bind = ModifyAllocation { allocation: held, description: Change::Unchanged, resource: Some(vpc("vpc-1")) };
    assert_eq!(world.reject(bind).rule, "INV-P3");
}

#[test]
fn inv_a4_customs_obey_netmask_rules_and_skip_tag_rules() {
    let (mut world, ipam) = World::with_ipam();
    let rules = CreatePool {
        allocation_min_netmask_length: Some(20),
        allocation_resource_tags: tags([("env", "prod")]),
        ..CreatePool::default()
    };
    let pool = local_with(&mut world, ipam.private_default_scope, "10.0.0.0/8", rules);
    allocate(&mut world, by_length(pool, 20));
    assert!(world.reject(by_length(pool, 19)).message.starts_with("A /19 is too big for the pool"));
    assert!(world.reject(by_length(pool, 33)).message.starts_with("A /33 is too small for the pool"));
    for command in [by_length(pool, 19), by_cidr(pool, "10.128.0.0/16")] {
        let refused = world.reject(command);
        assert_eq!(
            (refused.code, refused.would_work["allowed"].as_str()),
            (Code::NetmaskLengthOutOfRange, "/20 to /32")
        );
    }
}

#[test]
fn inv_a5_t23_allowed_and_disallowed_choose_among_lengths() {
    let (mut world, _, pool) = world_with_pool("10.0.0.0/16");
    let ask = |allowed: &[&str], disallowed: &[&str]| AllocateCidr {
        allowed_cidrs: allowed.iter().copied().map(cidr).collect(),
        disallowed_cidrs: disallowed.iter().copied().map(cidr).collect(),
        ..by_length(pool, 24)
    };
    for (allowed, disallowed, expect) in [
        (&["10.0.4.0/22"] as &[_], &[] as &[_], "10.0.4.0/24"),
        (&["10.0.4.0/22"], &["10.0.4.0/23"], "10.0.6.0/24"),
        (&["192.168.0.0/16", "10.0.9.0/24"], &[], "10.0.9.0/24"),
        (&[], &["10.0.0.0/28", "10.0.1.0/24"], "10.0.2.0/24"),
    ] {
        assert_eq!(allocate(&mut world, ask(allowed, disallowed)).1, cidr(expect));
    }
    for (allowed, disallowed) in
        [(&[] as &[_], &["10.0.0.0/8"] as &[_]), (&["10.0.9.0/24"], &[]), (&["10.0.200.0/25"], &[])]
    {
        let refused = world.reject(ask(allowed, disallowed));
        assert_eq!(refused.code, Code::PoolExhausted);
        assert!(refused.message.contains("`disallowed_cidrs` permit"), "{}", refused.message);
    }
    let with_cidr = AllocateCidr { disallowed_cidrs: vec![cidr("10.0.0.0/24")], ..by_cidr(pool, "10.0.77.0/24") };
    let refused = world.reject(with_cidr);
    assert_eq!((refused.code, &*refused.rule), (Code::InvalidParameterCombination, "INV-A5"));
    assert_eq!(world.reject(ask(&["2001:db8::/32"], &[])).code, Code::InvalidParameterValue);
    let many = AllocateCidr { allowed_cidrs: vec![cidr("10.0.0.0/24"); 51], ..by_length(pool, 24) };
    assert_eq!(world.reject(many).code, Code::InvalidParameterValue);
}

#[test]
fn inv_a6_t22_a_preview_changes_nothing_and_holds_until_something_does() {
    let (mut world, _, pool) = world_with_pool("10.0.0.0/16");
    for placement in [Placement::FirstFit, Placement::BestFit, Placement::Random] {
        world
            .decide(ModifyPool {
                pool,
                description: Change::Unchanged,
                allocation_min_netmask_length: Change::Unchanged,
                allocation_max_netmask_length: Change::Unchanged,
                allocation_default_netmask_length: Change::Unchanged,
                allocation_resource_tags: Change::Unchanged,
                placement: Some(placement),
                auto_import: None,
            })
            .expect("a change of placement");
        let command = world.command(by_length(pool, 24));
        let context = Context { decided_at: world.now() };
        let preview = || preview_next_cidr(&world.state, &command, &context).expect("there is room");
        assert_eq!(preview(), preview());
        let decided = crate::domain::decide(&world.state, &command, &context).expect("there is room");
        assert_eq!(given(&decided).cidr, preview());
        assert_eq!(given(&decided).placement, Some(placement));
    }
    let other = world.command(release("ipam-pool-alloc-00000000000000000000000000000000".parse().expect("an id")));
    assert!(preview_next_cidr(&world.state, &other, &Context { decided_at: world.now() }).is_err());
}

#[test]
fn inv_a7_placement_is_lowest_tightest_or_hashed() {
    let (mut world, ipam) = World::with_ipam();
    let mut pool_of = |block: &str, placement| {
        let rules = CreatePool { placement, ..CreatePool::default() };
        local_with(&mut world, ipam.private_default_scope, block, rules)
    };
    let first = pool_of("10.0.0.0/16", Placement::FirstFit);
    let best = pool_of("10.1.0.0/16", Placement::BestFit);
    let random = pool_of("10.2.0.0/16", Placement::Random);
    // A second CIDR below the first: the lowest address counts across all CIDRs of the pool.
    for (pool, block) in [(first, "9.0.0.0/24"), (best, "9.0.1.0/24")] {
        world.accept(ProvisionPoolCidr { pool, cidr: Some(cidr(block)), netmask_length: None });
    }
    assert_eq!(allocate(&mut world, by_length(first, 28)).1, cidr("9.0.0.0/28"));
    assert_eq!(allocate(&mut world, by_length(first, 20)).1, cidr("10.0.0.0/20"));
    // The smallest free space that holds it, wherever: a hole of a /28 in the second CIDR.
    for block in ["10.1.8.0/28", "10.1.8.32/27", "10.1.8.64/26", "10.1.8.128/25"] {
        world.accept(by_cidr(best, block));
    }
    assert_eq!(allocate(&mut world, by_length(best, 28)).1, cidr("10.1.8.16/28"));
    assert_eq!(allocate(&mut world, by_length(best, 28)).1, cidr("9.0.1.0/28"));
    let drawn: Vec<_> = (0..8).map(|_| allocate(&mut world, by_length(random, 24)).1).collect();
    assert!(drawn.windows(2).any(|pair| pair[0] > pair[1]), "{drawn:?} is in order: not drawn");
    // Every block is found in the end, at whatever point the search begins.
    for _ in 8..256 {
        allocate(&mut world, by_length(random, 24));
    }
    assert_eq!(world.reject(by_length(random, 24)).code, Code::PoolExhausted);
}

#[test]
fn inv_a7_a_random_block_is_the_one_numbered_by_the_hash_of_its_command() {
    let (mut world, ipam) = World::with_ipam();
    let rules = CreatePool { placement: Placement::Random, ..CreatePool::default() };
    let pool = local_with(&mut world, ipam.private_default_scope, "10.0.0.4/30", rules);
    for block in ["10.0.0.2/31", "10.0.1.0/31"] {
        world.accept(ProvisionPoolCidr { pool, cidr: Some(cidr(block)), netmask_length: None });
    }
    let addresses = ["0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "1.0", "1.1"].map(|end| format!("10.0.{end}/32"));
    for _ in 0..64 {
        let command = world.command(by_length(pool, 32));
        let bits = IdSeed::new(world.state.id(), command.id).bits("placement", 0);
        let preview = preview_next_cidr(&world.state, &command, &Context { decided_at: world.now() });
        assert_eq!(preview.expect("all is free").to_string(), addresses[usize::try_from(bits % 8).expect("below 8")]);
    }
}

#[test]
fn inv_a7_random_placement_reaches_the_whole_ipv6_space() {
    let (mut world, ipam) = World::with_ipam();
    let rules = CreatePool { placement: Placement::Random, ..CreatePool::default() };
    let pool = local_with(&mut world, ipam.private_default_scope, "::/0", rules);
    let drawn: Vec<_> = (0..16).map(|_| allocate(&mut world, by_length(pool, 64)).1).collect();
    assert!(drawn.iter().any(|block| block.first() >> 127 == 1) && drawn.iter().any(|block| block.first() >> 127 == 0));
}

#[test]
fn t20_too_large_by_rule_exhausted_and_fragmented_are_told_apart() {
    let (mut world, ipam) = World::with_ipam();
    let rules = CreatePool { allocation_min_netmask_length: Some(25), ..CreatePool::default() };
    let pool = local_with(&mut world, ipam.private_default_scope, "10.0.0.0/24", rules);
    assert_eq!(world.reject(by_length(pool, 24)).code, Code::NetmaskLengthOutOfRange);
    for block in ["10.0.0.0/26", "10.0.0.128/26"] {
        world.accept(by_cidr(pool, block));
    }
    let fragmented = world.reject(by_length(pool, 25));
    assert_eq!(fragmented.code, Code::PoolExhausted);
    assert_eq!(fragmented.values["free_addresses"], "128");
    assert_eq!(fragmented.would_work["largest_free_block"], "10.0.0.64/26");
    assert!(fragmented.message.starts_with("The allocation size is too big for the pool"));
    for block in ["10.0.0.64/26", "10.0.0.192/26"] {
        world.accept(by_cidr(pool, block));
    }
    let exhausted = world.reject(by_length(pool, 32));
    assert!(exhausted.message.ends_with("no address is free."));
    assert_eq!((exhausted.code, exhausted.values["free_addresses"].as_str()), (Code::PoolExhausted, "0"));
    assert!(!exhausted.would_work.contains_key("largest_free_block"));
}

#[test]
fn inv_a1_a_refusal_tells_of_a_block_that_would_do() {
    let (mut world, ipam) = World::with_ipam();
    let scope = ipam.private_default_scope;
    let pool = local_with(&mut world, scope, "10.0.0.0/16", CreatePool::default());
    world.accept(by_cidr(pool, "10.0.0.0/19"));
    let within = |allowed: &str, length| AllocateCidr { allowed_cidrs: vec![cidr(allowed)], ..by_length(pool, length) };
    for (allowed, length, works) in [
        ("10.0.0.0/18", 18, Some("10.0.32.0/19")),
        ("10.0.64.0/25", 24, Some("10.0.64.0/25")),
        ("10.0.8.0/21", 24, None),
    ] {
        let refused = world.reject(within(allowed, length));
        assert_eq!(refused.code, Code::PoolExhausted);
        assert_eq!(refused.would_work.get("largest_free_block").map(String::as_str), works, "{}", refused.message);
        if let Some(works) = works {
            world.accept(by_cidr(pool, works));
        }
    }
    // What the pool's rules make too small is no help.
    let rules = CreatePool {
        allocation_min_netmask_length: Some(26),
        allocation_max_netmask_length: Some(26),
        ..CreatePool::default()
    };
    let pool = local_with(&mut world, scope, "192.168.0.0/25", rules);
    world.accept(by_length(pool, 26));
    let attributes = ResourceAttributes {
        account: Some(account(ADMIN)),
        region: Some(region("eu-central-1")),
        ..ResourceAttributes::default()
    };
    world.accept(ObserveResource {
        kind: ResourceKind::NetworkInterface,
        id: "eni-a".to_owned(),
        observed_at: world.now(),
        cidrs: vec![ObservedCidr { cidr: cidr("192.168.0.64/28"), visibility: Some(Visibility::Private) }],
        attributes,
    });
    let refused = world.reject(by_length(pool, 26));
    assert_eq!((refused.code, refused.would_work.len()), (Code::PoolExhausted, 0), "{}", refused.message);
    assert!(refused.message.ends_with("48 addresses are free, but no block that would do."), "{}", refused.message);
    // Nor is what an allocation cannot be for.
    let refused = world.reject(by_cidr(pool, "192.168.0.64/26"));
    assert_eq!((refused.code, refused.would_work.len()), (Code::CidrInUse, 0), "{}", refused.message);
}

#[test]
fn t25_allocations_are_for_accounts_that_the_ipam_sees() {
    let mut world = World::organization();
    world.accept(RegisterDelegatedAdministrator { account: account(ADMIN) });
    world.as_account(ADMIN);
    let ipam = world.create_ipam(HOME, &[]);
    let pool = local(&mut world, ipam.private_default_scope, "10.0.0.0/16");
    let for_vpc = AllocateCidr { resource: Some(vpc("vpc-1")), ..by_length(pool, 24) };
    for command in [by_length(pool, 24), for_vpc.clone()] {
        let refused = world.reject(command);
        assert_eq!(refused.code, Code::AccountNotMonitored);
        assert!(refused.would_work.contains_key("DelegateAdmin"), "{refused:#?}");
    }
    world.as_account(MANAGEMENT).accept(DelegateAdmin { account: account(ADMIN) });
    world.as_account(ADMIN).accept(for_vpc);
}

#[test]
fn inv_a9_n9_blocks_seen_in_use_are_gone_around_and_given_back() {
    let (mut world, ipam, pool) = world_with_pool("10.0.0.0/16");
    local(&mut world, ipam.private_default_scope, "10.2.0.0/16");
    assert!(world.state.take_reblocked().is_empty());
    observe(&mut world, ResourceKind::Vpc, "vpc-a", &["10.0.0.0/20", "10.0.32.0/24"]);
    assert_eq!(Vec::from_iter(world.state.take_reblocked()), [pool]);
    assert!(world.state.take_reblocked().is_empty(), "it was taken");
    assert_eq!(allocate(&mut world, by_length(pool, 24)).1, cidr("10.0.16.0/24"));
    // A CIDR provisioned later knows it, too; brownfield is no obstacle to provisioning (INV-C5).
    observe(&mut world, ResourceKind::Subnet, "subnet-a", &["10.1.0.0/17"]);
    let later = local(&mut world, ipam.private_default_scope, "10.1.0.0/16");
    assert_eq!(allocate(&mut world, by_length(later, 24)).1, cidr("10.1.128.0/24"));
    // A resource around the whole pool leaves nothing.
    observe(&mut world, ResourceKind::Vpc, "vpc-b", &["10.0.0.0/8"]);
    for pool in [pool, later] {
        assert_eq!(world.reject(by_length(pool, 24)).code, Code::PoolExhausted);
    }
    // It changed, and then went: the full set of CIDRs counts.
    observe(&mut world, ResourceKind::Vpc, "vpc-b", &["10.9.0.0/16"]);
    observe_gone(&mut world, ResourceKind::Vpc, "vpc-a");
    assert_eq!(allocate(&mut world, by_length(pool, 20)).1, cidr("10.0.0.0/20"));
    assert_eq!(allocate(&mut world, by_length(later, 24)).1, cidr("10.1.129.0/24"));
}

#[test]
fn inv_a9_a_named_block_in_use_is_for_that_very_resource() {
    let (mut world, _, pool) = world_with_pool("10.0.0.0/8");
    observe(&mut world, ResourceKind::Vpc, "vpc-a", &["10.0.0.0/16"]);
    let mut subnet = seen(&world, ResourceKind::Subnet, "subnet-a", &["10.0.1.0/24"]);
    subnet.attributes.parent = Some("vpc-a".to_owned());
    world.accept(subnet);
    let claim_of = |claim: ResourceClaim, block: &str| AllocateCidr { resource: Some(claim), ..by_cidr(pool, block) };
    for (command, blocker) in [
        (by_cidr(pool, "10.0.0.0/16"), "vpc vpc-a"),
        (by_cidr(pool, "10.0.200.0/24"), "vpc vpc-a"),
        (by_cidr(pool, "10.0.0.0/15"), "vpc vpc-a"),
        (claim_of(vpc("vpc-b"), "10.0.0.0/16"), "vpc vpc-a"),
        (claim_of(claim(ResourceKind::Subnet, "vpc-a"), "10.0.0.0/16"), "vpc vpc-a"),
    ] {
        let refused = world.reject(command.clone());
        assert_eq!(refused.code, Code::CidrInUse, "{command:?}");
        assert_eq!(refused.values["resource"], blocker);
    }
    // A subnet inside its VPC; and a VPC around its subnet.
    let (held, _) = allocate(&mut world, claim_of(claim(ResourceKind::Subnet, "subnet-a"), "10.0.1.0/24"));
    // An interface in that subnet is part of the VPC, too.
    let mut interface = seen(&world, ResourceKind::NetworkInterface, "eni-a", &["10.0.1.7/32"]);
    interface.cidrs[0].visibility = Some(Visibility::Private);
    interface.attributes.parent = Some("subnet-a".to_owned());
    world.accept(interface);
    let refused = world.reject(claim_of(vpc("vpc-a"), "10.0.0.0/16"));
    assert_eq!((refused.code, named(&refused)), (Code::CidrOverlap, vec![held.to_string().as_str()]));
    world.reason = Some("its VPC is to have it".to_owned());
    world.accept(ReleaseAllocation { force: true, ..release(held) });
    let (held, _) = allocate(&mut world, claim_of(vpc("vpc-a"), "10.0.0.0/16"));
    world.accept(ReleaseAllocation { force: true, ..release(held) });
    observe_gone(&mut world, ResourceKind::NetworkInterface, "eni-a");
    observe_gone(&mut world, ResourceKind::Subnet, "subnet-a");
    allocate(&mut world, claim_of(vpc("vpc-a"), "10.0.0.0/16"));
}

#[test]
fn d16_what_blocks_where() {
    let (mut world, ipam) = World::with_ipam();
    let private = local(&mut world, ipam.private_default_scope, "10.0.0.0/16");
    let public = local(&mut world, ipam.public_default_scope, "10.0.0.0/16");
    let events = world.accept(CreateScope { ipam: ipam.ipam, description: None, name: None, tags: Tags::new() });
    let [Event::ScopeCreated(another)] = events.as_slice() else { panic!("{events:#?}") };
    let elsewhere = local(&mut world, another.scope, "10.0.0.0/16");
    let next = |world: &mut World| {
        let mut next_of = |pool| {
            let command = world.command(by_length(pool, 24));
            let preview = preview_next_cidr(&world.state, &command, &Context { decided_at: world.now() });
            preview.expect("there is room").to_string()
        };
        [next_of(private), next_of(public), next_of(elsewhere)]
    };
    let (free, taken) = ("10.0.0.0/24", "10.0.1.0/24");
    let shown = |visibility| Some(visibility);
    for (kind, visibility, expect) in [
        (ResourceKind::Vpc, None, [taken, free, free]),
        (ResourceKind::Subnet, None, [taken, free, free]),
        (ResourceKind::Eip, None, [free, taken, free]),
        (ResourceKind::PublicIpv4Pool, None, [free, taken, free]),
        (ResourceKind::NetworkInterface, shown(Visibility::Private), [taken, free, free]),
        (ResourceKind::Instance, shown(Visibility::Public), [free, taken, free]),
        (ResourceKind::Prefix, None, [free, free, free]),
    ] {
        let mut seen = seen(&world, kind, "it", &["10.0.0.16/28"]);
        seen.cidrs[0].visibility = visibility;
        world.accept(seen);
        assert_eq!(next(&mut world), expect, "{kind}");
        observe_gone(&mut world, kind, "it");
        assert_eq!(next(&mut world), [free, free, free], "{kind} gone");
    }
    // Out of reach: no account, an account outside, a region not operated.
    for (account_of, region_of) in
        [(None, Some(HOME)), (Some("999999999999"), Some(HOME)), (Some(ADMIN), Some("us-east-1")), (Some(ADMIN), None)]
    {
        let mut seen = seen(&world, ResourceKind::Vpc, "it", &["10.0.0.0/24"]);
        seen.attributes.account = account_of.map(account);
        seen.attributes.region = region_of.map(region);
        world.accept(seen);
        assert_eq!(next(&mut world), [free, free, free]);
    }
    // Reach grows, and blocking follows.
    let mut seen = seen(&world, ResourceKind::Vpc, "it", &["10.0.0.0/24"]);
    seen.attributes.region = Some(region("us-east-1"));
    world.accept(seen);
    let modify = |add: &[&str], remove: &[&str]| ModifyIpam {
        ipam: ipam.ipam,
        description: Change::Unchanged,
        add_operating_regions: add.iter().copied().map(region).collect(),
        remove_operating_regions: remove.iter().copied().map(region).collect(),
    };
    world.accept(modify(&["us-east-1"], &[]));
    assert_eq!(next(&mut world), [taken, free, free]);
    world.accept(modify(&[], &["us-east-1"]));
    assert_eq!(next(&mut world), [free, free, free]);
}

#[test]
fn inv_r1_t28_release_needs_what_agrees_and_happens_once() {
    let (mut world, ipam, pool) = world_with_pool("10.0.0.0/16");
    let other = local(&mut world, ipam.private_default_scope, "10.1.0.0/16");
    let (held, block) = allocate(&mut world, by_length(pool, 24));
    for wrong in [
        ReleaseAllocation { pool: Some(other), ..release(held) },
        ReleaseAllocation { cidr: Some(cidr("10.0.0.0/25")), ..release(held) },
    ] {
        assert_eq!(world.reject(wrong).code, Code::AllocationMismatch);
    }
    for member in [MEMBER, MANAGEMENT] {
        assert_eq!(world.as_account(member).reject(release(held)).code, Code::AllocationNotFound);
    }
    world.as_account(ADMIN);
    let events = world.accept(ReleaseAllocation { pool: Some(pool), cidr: Some(block), ..release(held) });
    let expected =
        event::AllocationReleased { allocation: held, pool, cidr: block, still_observed: Vec::new(), forced: false };
    assert_eq!(events, [expected.into()]);
    let again = world.reject(release(held));
    assert_eq!(again.code, Code::AllocationNotFound);
    assert!(again.message.contains("No allocation found"));
    // Free in the same event (N4), and never under the old id (INV-R7).
    let (next, same) = allocate(&mut world, by_length(pool, 24));
    assert_eq!(same, block);
    assert_ne!(next, held);
}

#[test]
fn d20_t28_a_resource_seen_there_keeps_its_allocation_unless_forced() {
    let (mut world, _, pool) = world_with_pool("10.0.0.0/16");
    let for_vpc = AllocateCidr { resource: Some(vpc("vpc-a")), ..by_length(pool, 24) };
    let (held, block) = allocate(&mut world, for_vpc.clone());
    observe(&mut world, ResourceKind::Vpc, "vpc-a", &["10.0.0.0/24"]);
    assert_eq!(world.reject(release(held)).code, Code::ResourceStillObserved);
    let forced = ReleaseAllocation { force: true, ..release(held) };
    assert_eq!(world.reject(forced.clone()).code, Code::MissingParameter);
    world.reason = Some("the VPC is a ghost".to_owned());
    let events = world.accept(forced);
    let vpc_a = ResourceName { kind: ResourceKind::Vpc, id: "vpc-a".to_owned() };
    let expected =
        event::AllocationReleased { allocation: held, pool, cidr: block, still_observed: vec![vpc_a], forced: true };
    assert_eq!(events, [expected.into()]);
    // N9 keeps the space until the VPC is gone.
    assert_eq!(allocate(&mut world, by_length(pool, 24)).1, cidr("10.0.1.0/24"));
    observe_gone(&mut world, ResourceKind::Vpc, "vpc-a");
    let (held, block) = allocate(&mut world, for_vpc);
    assert_eq!(block, cidr("10.0.0.0/24"));
    // Seen elsewhere only: nothing to force.
    observe(&mut world, ResourceKind::Vpc, "vpc-a", &["10.0.9.0/24"]);
    let events = world.accept(ReleaseAllocation { force: true, ..release(held) });
    assert!(matches!(events.as_slice(), [Event::AllocationReleased(released)] if !released.forced));
}

/// Design D16, N9: what was observed lies in the default scopes, and keeps space back there alone.
#[test]
fn d20_parts_seen_where_nothing_keeps_them_back_hold_an_allocation() {
    let (mut world, ipam) = World::with_ipam();
    let another = CreateScope { ipam: ipam.ipam, description: None, name: None, tags: Tags::new() };
    let [Event::ScopeCreated(created)] = &world.accept(another)[..] else { panic!("no scope") };
    let scope = created.scope;
    let pool = local(&mut world, scope, "10.0.0.0/16");
    let (held, block) = allocate(&mut world, AllocateCidr { resource: Some(vpc("vpc-a")), ..by_length(pool, 24) });
    let mut subnet = seen(&world, ResourceKind::Subnet, "subnet-a", &["10.0.0.0/26"]);
    subnet.attributes.parent = Some("vpc-a".to_owned());
    world.accept(subnet);
    observe(&mut world, ResourceKind::Subnet, "subnet-b", &["10.0.0.64/26"]);
    let refused = world.reject(release(held));
    assert_eq!((refused.code, refused.values["resource"].as_str()), (Code::ResourceStillObserved, "subnet subnet-a"));
    assert!(
        refused.message.starts_with("subnet subnet-a, part of vpc vpc-a, is still observed"),
        "{}",
        refused.message
    );
    world.reason = Some("the subnet is a ghost".to_owned());
    let forced = world.accept(ReleaseAllocation { force: true, ..release(held) });
    assert!(matches!(forced.as_slice(), [Event::AllocationReleased(released)] if released.forced));
    // Gone, there is nothing to force; and what is no part of it holds nothing.
    let (held, again) = allocate(&mut world, AllocateCidr { resource: Some(vpc("vpc-a")), ..by_length(pool, 24) });
    assert_eq!(again, block);
    observe_gone(&mut world, ResourceKind::Subnet, "subnet-a");
    world.accept(release(held));
}

#[test]
fn modify_changes_the_description_and_binds_customs_once() {
    let (mut world, ipam) = World::with_ipam();
    let rules = CreatePool { allocation_resource_tags: tags([("env", "prod")]), ..CreatePool::default() };
    let pool = local_with(&mut world, ipam.private_default_scope, "10.0.0.0/16", rules);
    let (held, _) = allocate(&mut world, AllocateCidr { description: Some("d".to_owned()), ..by_length(pool, 24) });
    let nothing = ModifyAllocation { allocation: held, description: Change::Unchanged, resource: None };
    let bind = |claim: ResourceClaim| ModifyAllocation { resource: Some(claim), ..nothing.clone() };
    assert_eq!(world.reject(nothing.clone()).code, Code::NothingToModify);
    assert_eq!(world.accept(ModifyAllocation { description: Change::Set("d".to_owned()), ..nothing.clone() }), []);
    let cleared = world.accept(ModifyAllocation { description: Change::Clear, ..nothing.clone() });
    assert!(matches!(cleared.as_slice(), [Event::AllocationModified(one)] if one.description == Change::Clear));
    assert_eq!(world.reject(bind(vpc("vpc-a"))).code, Code::MissingResourceTags);
    let good = ResourceClaim { tags: tags([("env", "prod")]), ..vpc("vpc-a") };
    observe(&mut world, ResourceKind::Vpc, "vpc-b", &["10.0.0.0/24"]);
    assert_eq!(world.reject(bind(good.clone())).code, Code::CidrInUse);
    observe_gone(&mut world, ResourceKind::Vpc, "vpc-b");
    observe(&mut world, ResourceKind::Vpc, "vpc-a", &["10.0.0.0/24"]);
    world.accept(bind(good.clone()));
    let row = world.state.allocations().row(held).expect("it is held");
    assert_eq!((row.holder.kind(), row.description, row.changed_at), (ResourceKind::Vpc, None, world.revision()));
    assert_eq!(world.accept(bind(good.clone())), []);
    let other = ResourceClaim { id: "vpc-b".to_owned(), ..good };
    assert_eq!(world.reject(bind(other)).code, Code::UnsupportedOperation);
    assert_eq!(world.reject(release(held)).code, Code::ResourceStillObserved);
}

#[test]
fn pages_are_in_address_order_and_begin_behind_the_last() {
    let (mut world, _, pool) = world_with_pool("10.0.0.0/20");
    world.accept(ProvisionPoolCidr { pool, cidr: Some(cidr("9.0.0.0/24")), netmask_length: None });
    for block in ["10.0.0.0/24", "10.0.1.0/25", "10.0.1.128/26", "10.0.8.0/22", "9.0.0.64/26", "10.0.2.0/31"] {
        world.accept(by_cidr(pool, block));
    }
    let page = |after: Option<&str>, limit| -> Vec<String> {
        let rows = world.state.allocations_of(pool, after.map(cidr), limit);
        rows.iter().map(|row| row.cidr.to_string()).collect()
    };
    let all = page(None, 100);
    assert_eq!(all, ["9.0.0.64/26", "10.0.0.0/24", "10.0.1.0/25", "10.0.1.128/26", "10.0.2.0/31", "10.0.8.0/22"]);
    let mut paged = page(None, 2);
    while let Some(last) = paged.last().cloned() {
        let next = page(Some(&last), 2);
        if next.is_empty() {
            break;
        }
        paged.extend(next);
    }
    assert_eq!(paged, all);
    // Behind the last of one CIDR come those of the next.
    assert_eq!(page(Some("9.0.0.64/26"), 1), ["10.0.0.0/24"]);
    // Behind a block that is no allocation (any more).
    assert_eq!(page(Some("10.0.1.64/26"), 1), ["10.0.1.128/26"]);
    assert_eq!(page(Some("10.0.8.0/24"), 1), [""; 0]);
    assert_eq!(page(Some("255.0.0.0/8"), 1), [""; 0]);
}

#[test]
fn ipv6_allocates_as_ipv4_does() {
    let (mut world, _, pool) = world_with_pool("2001:db8::/32");
    assert_eq!(allocate(&mut world, by_length(pool, 64)).1, cidr("2001:db8::/64"));
    assert_eq!(allocate(&mut world, by_length(pool, 56)).1, cidr("2001:db8:0:100::/56"));
    assert_eq!(allocate(&mut world, by_length(pool, 64)).1, cidr("2001:db8:0:1::/64"));
    let usage = world.state.pools().usage(pool).expect("it exists");
    assert_eq!(usage.assigned, cidr("::/56").count() + cidr("::/63").count());
    assert_eq!(world.reject(by_length(pool, 129)).code, Code::NetmaskLengthOutOfRange);
    assert_eq!(world.state.pools().get(pool).map(|pool| pool.address_family), Some(Family::Ipv6));
}
