//! Pools: given a world, when a command, then events or a rejection. Named by the rules of the behaviour reference.

use super::*;
use crate::domain::change::Change;
use crate::domain::command::*;
use crate::domain::event::{ClosedCidr, Event, IpamCreated};
use crate::domain::id::AccountId;
use crate::domain::quota::Quota;
use crate::domain::rejection::{Code, Rejection};
use crate::domain::testing::{ADMIN, MANAGEMENT, MEMBER, World, account, cidr, region, tags};

fn child_of(source: PoolId) -> CreatePool {
    CreatePool { source_pool: Some(source), ..CreatePool::default() }
}

fn top_in(scope: ScopeId) -> CreatePool {
    CreatePool { scope: Some(scope), address_family: Some(Family::Ipv4), ..CreatePool::default() }
}

fn by_cidr(pool: PoolId, block: &str) -> ProvisionPoolCidr {
    ProvisionPoolCidr { pool, cidr: Some(cidr(block)), netmask_length: None }
}

fn by_length(pool: PoolId, length: u8) -> ProvisionPoolCidr {
    ProvisionPoolCidr { pool, cidr: None, netmask_length: Some(length) }
}

fn unmodified(pool: PoolId) -> ModifyPool {
    ModifyPool {
        pool,
        description: Change::Unchanged,
        allocation_min_netmask_length: Change::Unchanged,
        allocation_max_netmask_length: Change::Unchanged,
        allocation_default_netmask_length: Change::Unchanged,
        allocation_resource_tags: Change::Unchanged,
        placement: None,
        auto_import: None,
    }
}

fn custom(pool: PoolId, block: &str) -> AllocateCidr {
    AllocateCidr {
        pool,
        cidr: Some(cidr(block)),
        netmask_length: None,
        allowed_cidrs: Vec::new(),
        disallowed_cidrs: Vec::new(),
        description: None,
        tags: Tags::new(),
        resource: None,
    }
}

fn allocation_of(events: &[Event]) -> AllocationId {
    match events {
        [Event::CidrAllocated(allocated)] => allocated.allocation,
        other => panic!("allocating gave {other:#?}"),
    }
}

fn provisioned(events: &[Event]) -> &crate::domain::event::PoolCidrProvisioned {
    match events {
        [Event::PoolCidrProvisioned(provisioned)] => provisioned,
        other => panic!("provisioning gave {other:#?}"),
    }
}

fn named(rejection: &Rejection) -> Vec<&str> {
    rejection.blockers.iter().flat_map(|blockers| &blockers.named).map(String::as_str).collect()
}

fn world() -> (World, IpamCreated) {
    World::with_ipam()
}

#[test]
fn inv_p1_a_child_has_its_source_pools_scope_and_family() {
    let (mut world, ipam) = world();
    let source = world.top_pool(ipam.private_default_scope, "10.0.0.0/8");
    let child = world.create_pool(child_of(source));
    let pool = world.state.pools().get(child).expect("the child exists");
    assert_eq!((pool.scope, pool.address_family, pool.depth), (ipam.private_default_scope, Family::Ipv4, 2));
    for (command, code) in [
        (CreatePool { scope: Some(ipam.public_default_scope), ..child_of(source) }, Code::InvalidParameterValue),
        (CreatePool { address_family: Some(Family::Ipv6), ..child_of(source) }, Code::InvalidParameterValue),
        (CreatePool::default(), Code::MissingParameter),
        (CreatePool { address_family: None, ..top_in(ipam.private_default_scope) }, Code::MissingParameter),
    ] {
        assert_eq!(world.reject(command).code, code);
    }
    assert_eq!(world.reject(by_cidr(child, "2001:db8::/32")).code, Code::InvalidParameterValue);
    assert_eq!(world.reject(custom(source, "2001:db8::/32")).code, Code::InvalidParameterValue);
}

#[test]
fn inv_p2_t13_locales_are_operating_regions_and_the_source_pools() {
    let (mut world, ipam) = world();
    let scope = ipam.private_default_scope;
    let elsewhere = world.reject(CreatePool { locale: Some(region("us-east-1")), ..top_in(scope) });
    assert_eq!(elsewhere.code, Code::InvalidParameterValue);
    assert_eq!(elsewhere.would_work["locale"], "eu-central-1, eu-west-1");
    let top = world.top_pool(scope, "10.0.0.0/8");
    let local = world.create_pool(CreatePool { locale: Some(region("eu-west-1")), ..child_of(top) });
    let refused = world.reject(CreatePool { locale: Some(region("eu-central-1")), ..child_of(local) });
    assert_eq!((refused.code, refused.would_work["locale"].as_str()), (Code::LocaleMismatch, "eu-west-1"));
    let inherits = world.create_pool(child_of(local));
    assert_eq!(world.state.pools().get(inherits).and_then(|pool| pool.locale.clone()), Some(region("eu-west-1")));
    world.accept(CreatePool { locale: Some(region("eu-west-1")), ..child_of(local) });
}

#[test]
fn inv_p3_t14_auto_import_needs_a_locale() {
    let (mut world, ipam) = world();
    let scope = ipam.private_default_scope;
    assert_eq!(world.reject(CreatePool { auto_import: true, ..top_in(scope) }).code, Code::InvalidParameterCombination);
    let pool = world.empty_pool(scope, None);
    let refused = world.reject(ModifyPool { auto_import: Some(true), ..unmodified(pool) });
    assert_eq!((refused.code, &*refused.rule), (Code::InvalidParameterCombination, "INV-P3"));
    let local = world.empty_pool(scope, Some("eu-west-1"));
    world.accept(ModifyPool { auto_import: Some(true), ..unmodified(local) });
}

#[test]
fn inv_p5_rules_are_not_inherited() {
    let (mut world, ipam) = world();
    let source = world.create_pool(CreatePool {
        allocation_min_netmask_length: Some(24),
        allocation_resource_tags: tags([("env", "prod")]),
        ..top_in(ipam.private_default_scope)
    });
    world.accept(by_cidr(source, "10.0.0.0/8"));
    let child = world.create_pool(child_of(source));
    assert_eq!(world.state.pools().get(child).expect("it exists").rules, AllocationRules::default());
    // Nor do the source pool's netmask rules bind what goes to child pools.
    world.accept(by_length(child, 16));
    world.accept(custom(child, "10.0.0.0/20"));
}

#[test]
fn inv_p6_p7_lengths_are_in_order_and_within_the_family() {
    let (mut world, ipam) = world();
    let scope = ipam.private_default_scope;
    for (min, max, default, rule) in [
        (Some(33), None, None, Some("INV-P6")),
        (None, Some(33), None, Some("INV-P6")),
        (None, None, Some(33), Some("INV-P6")),
        (Some(25), Some(24), None, Some("INV-P6")),
        (Some(24), Some(24), None, None),
        (Some(16), Some(28), Some(15), Some("INV-P7")),
        (Some(16), Some(28), Some(29), Some("INV-P7")),
        (Some(16), None, Some(15), Some("INV-P7")),
        (None, Some(28), Some(29), Some("INV-P7")),
        (Some(16), Some(28), Some(16), None),
        (Some(16), Some(28), Some(28), None),
        (Some(0), Some(32), Some(0), None),
    ] {
        let create = CreatePool {
            allocation_min_netmask_length: min,
            allocation_max_netmask_length: max,
            allocation_default_netmask_length: default,
            ..top_in(scope)
        };
        let decided = world.decide(create);
        assert_eq!(decided.as_ref().err().map(|rejection| &*rejection.rule), rule, "{min:?} {max:?} {default:?}");
    }
    let pool = world.create_pool(CreatePool { allocation_min_netmask_length: Some(20), ..top_in(scope) });
    let modify = ModifyPool { allocation_default_netmask_length: Change::Set(16), ..unmodified(pool) };
    assert_eq!(world.reject(modify.clone()).rule, "INV-P7");
    world.accept(ModifyPool { allocation_min_netmask_length: Change::Clear, ..modify });
}

#[test]
fn inv_p8_t37_rule_changes_leave_allocations_alone() {
    let (mut world, ipam) = world();
    let pool = world.top_pool(ipam.private_default_scope, "10.0.0.0/8");
    let held = allocation_of(&world.accept(custom(pool, "10.0.0.0/16")));
    let before = world.state.allocations().row(held);
    world.accept(ModifyPool { allocation_min_netmask_length: Change::Set(24), ..unmodified(pool) });
    assert_eq!(world.state.allocations().row(held), before);
    assert_eq!(world.reject(custom(pool, "10.1.0.0/16")).code, Code::NetmaskLengthOutOfRange);
}

#[test]
fn inv_p10_t15_advertisable_is_for_byoip_v6_in_the_public_scope() {
    let (mut world, ipam) = world();
    let (private, public) = (ipam.private_default_scope, ipam.public_default_scope);
    let v6 = |scope| CreatePool { address_family: Some(Family::Ipv6), ..top_in(scope) };
    let message =
        "The request can only contain PubliclyAdvertisable if the AddressFamily is IPv6 and PublicIpSource is byoip.";
    for advertisable in [true, false] {
        let publicly_advertisable = Some(advertisable);
        world.accept(CreatePool { publicly_advertisable, ..v6(public) });
        for refused in [
            CreatePool { publicly_advertisable, ..top_in(public) },
            CreatePool { publicly_advertisable, public_ip_source: Some(PublicIpSource::Amazon), ..v6(public) },
            CreatePool { publicly_advertisable, ..v6(private) },
        ] {
            let refused = world.reject(refused);
            assert_eq!((refused.code, refused.message.as_str()), (Code::InvalidParameterCombination, message));
        }
    }
    let amazon = CreatePool { public_ip_source: Some(PublicIpSource::Amazon), ..top_in(public) };
    assert_eq!(world.reject(amazon).code, Code::UnsupportedOperation);
    let service = CreatePool { aws_service: Some(AwsService::Ec2), ..top_in(public) };
    world.accept(service.clone());
    assert_eq!(world.reject(CreatePool { scope: Some(private), ..service }).code, Code::InvalidParameterCombination);
}

#[test]
fn t12_quotas_of_depth_pools_and_cidrs() {
    let (mut world, ipam) = world();
    let scope = ipam.private_default_scope;
    let mut deepest = world.top_pool(scope, "10.0.0.0/8");
    for _ in 1..10 {
        deepest = world.create_pool(child_of(deepest));
    }
    let refused = world.reject(child_of(deepest));
    assert_eq!((refused.code, &*refused.rule), (Code::QuotaExceeded, "pool-depth"));
    for _ in 10..50 {
        world.empty_pool(scope, None);
    }
    let refused = world.reject(top_in(scope));
    assert_eq!((refused.code, refused.values["limit"].as_str()), (Code::QuotaExceeded, "50"));
    world.empty_pool(ipam.public_default_scope, None);
    world.as_account(MANAGEMENT).accept(SetQuota { quota: Quota::PoolsPerScope, value: 51 });
    world.as_account(ADMIN).accept(top_in(scope));
}

#[test]
fn inv_c12_t12_the_51st_cidr_is_refused() {
    let (mut world, ipam) = world();
    let pool = world.empty_pool(ipam.private_default_scope, None);
    for n in 0..50 {
        world.accept(by_cidr(pool, &format!("10.{n}.0.0/16")));
    }
    let refused = world.reject(by_cidr(pool, "10.50.0.0/16"));
    assert_eq!((refused.code, &*refused.rule), (Code::QuotaExceeded, "INV-C12"));
}

#[test]
fn t16_modifications_name_something_and_record_what_changes() {
    let (mut world, ipam) = world();
    let pool = world.create_pool(CreatePool {
        description: Some("d".to_owned()),
        allocation_max_netmask_length: Some(28),
        ..top_in(ipam.private_default_scope)
    });
    let refused = world.reject(unmodified(pool));
    assert_eq!(refused.code, Code::NothingToModify);
    assert_eq!(refused.message, "The request must contain a modification to the ipam pool");
    let same = ModifyPool {
        description: Change::Set("d".to_owned()),
        allocation_min_netmask_length: Change::Clear,
        allocation_max_netmask_length: Change::Set(28),
        allocation_resource_tags: Change::Set(Tags::new()),
        placement: Some(Placement::FirstFit),
        auto_import: Some(false),
        ..unmodified(pool)
    };
    let before = world.state.pools().get(pool).cloned();
    assert_eq!(world.accept(same.clone()), []);
    assert_eq!(world.state.pools().get(pool).cloned(), before);
    let events = world.accept(ModifyPool { description: Change::Clear, placement: Some(Placement::Random), ..same });
    let expected = crate::domain::event::PoolModified {
        pool,
        description: Change::Clear,
        allocation_min_netmask_length: Change::Unchanged,
        allocation_max_netmask_length: Change::Unchanged,
        allocation_default_netmask_length: Change::Unchanged,
        allocation_resource_tags: Change::Unchanged,
        placement: Some(Placement::Random),
        auto_import: None,
    };
    assert_eq!(events, [expected.into()]);
    let after = world.state.pools().get(pool).expect("it exists");
    assert_eq!((&after.description, after.placement), (&None, Placement::Random));
    assert_eq!(after.changed_at, world.revision());
}

#[test]
fn t16_no_required_tags_and_an_empty_set_of_them_are_the_same() {
    let (mut world, ipam) = world();
    let pool = world.create_pool(top_in(ipam.private_default_scope));
    let change = |tags| ModifyPool { allocation_resource_tags: tags, ..unmodified(pool) };
    let prod = || Change::Set(tags([("env", "prod")]));
    for (asked, recorded) in [
        (Change::Clear, None),
        (prod(), Some(prod())),
        (prod(), None),
        (Change::Set(Tags::new()), Some(Change::Clear)),
        (Change::Set(Tags::new()), None),
        (prod(), Some(prod())),
        (Change::Clear, Some(Change::Clear)),
    ] {
        let events = world.accept(change(asked.clone()));
        let changes: Vec<_> = events
            .iter()
            .map(|event| match event {
                Event::PoolModified(modified) => modified.allocation_resource_tags.clone(),
                other => panic!("{other:#?}"),
            })
            .collect();
        assert_eq!(changes, Vec::from_iter(recorded), "{asked:?}");
        let now = &world.state.pools().get(pool).expect("it exists").rules.resource_tags;
        assert_eq!(*now == tags([("env", "prod")]), asked == prod());
    }
}

#[test]
fn inv_c1_t08_t07_top_level_cidrs_of_one_scope_share_no_address() {
    let (mut world, ipam) = world();
    let first = world.top_pool(ipam.private_default_scope, "10.0.0.0/8");
    let second = world.empty_pool(ipam.private_default_scope, None);
    for block in ["10.0.0.0/8", "10.1.0.0/16", "8.0.0.0/6", "0.0.0.0/0"] {
        let refused = world.reject(by_cidr(second, block));
        assert_eq!((refused.code, &*refused.rule), (Code::CidrOverlap, "INV-C1"), "{block}");
        assert_eq!(named(&refused), [format!("{first} 10.0.0.0/8")], "{block}");
        assert!(refused.message.contains(&format!("the top-level pool {first} of the same scope")), "{refused}");
    }
    world.accept(by_cidr(second, "11.0.0.0/8"));
    // Another scope is another network.
    world.top_pool(ipam.public_default_scope, "10.0.0.0/8");
    // A child's CIDR is its source pool's, no second one.
    let child = world.create_pool(child_of(first));
    world.accept(by_cidr(child, "10.0.0.0/8"));
    assert_eq!(named(&world.reject(by_cidr(second, "10.0.0.0/9"))), [format!("{first} 10.0.0.0/8")]);
}

#[test]
fn inv_c2_t09_a_childs_cidr_is_free_space_of_its_source_pool() {
    let (mut world, ipam) = world();
    let source = world.top_pool(ipam.private_default_scope, "10.0.0.0/16");
    world.accept(by_cidr(source, "10.1.0.0/16"));
    let held = allocation_of(&world.accept(custom(source, "10.0.1.0/24")));
    let child = world.create_pool(child_of(source));
    for block in ["192.168.0.0/24", "10.0.0.0/8", "10.0.0.0/15"] {
        let refused = world.reject(by_cidr(child, block));
        assert_eq!(refused.code, Code::CidrNotInSourcePool, "{block}");
        assert_eq!(refused.would_work["inside"], "10.0.0.0/16, 10.1.0.0/16");
    }
    for block in ["10.0.1.0/24", "10.0.1.16/28", "10.0.0.0/16", "10.0.0.0/23"] {
        let refused = world.reject(by_cidr(child, block));
        assert_eq!((refused.code, &*refused.rule), (Code::CidrOverlap, "INV-C2"), "{block}");
        assert_eq!(named(&refused), [held.to_string()], "{block}");
    }
    let sibling = world.create_pool(child_of(source));
    world.accept(by_cidr(sibling, "10.0.2.0/24"));
    assert_eq!(world.reject(by_cidr(child, "10.0.2.0/25")).code, Code::CidrOverlap);
    world.accept(by_cidr(child, "10.1.0.0/16"));
}

#[test]
fn inv_c3_t10_a_childs_cidr_and_its_allocation_come_and_go_together() {
    let (mut world, ipam) = world();
    let source = world.top_pool(ipam.private_default_scope, "10.0.0.0/16");
    let child = world.create_pool(child_of(source));
    let events = world.accept(by_length(child, 20));
    let got = provisioned(&events).clone();
    assert_eq!((got.cidr, got.placement), (cidr("10.0.0.0/20"), Some(Placement::FirstFit)));
    let held = got.source_allocation.expect("a child's CIDR is held in the source pool");
    let row = world.state.allocations().row(held).expect("the allocation exists");
    assert_eq!((row.pool, row.cidr, row.holder), (source, got.cidr, crate::domain::allocation::Holder::Pool(child)));
    let by_release = world.reject(ReleaseAllocation { allocation: held, pool: None, cidr: None, force: false });
    assert_eq!((by_release.code, &*by_release.rule), (Code::UnsupportedOperation, "INV-R2"));
    let events = world.accept(DeprovisionPoolCidr { pool: child, cidr: got.cidr });
    assert!(matches!(events.as_slice(), [Event::PoolCidrDeprovisioned(gone)] if gone.source_allocation == Some(held)));
    assert_eq!(world.state.allocations().row(held), None);
    world.accept(custom(source, "10.0.0.0/20"));
}

#[test]
fn inv_c4_adjacent_cidrs_stay_apart_and_blocks_lie_in_one() {
    let (mut world, ipam) = world();
    let pool = world.top_pool(ipam.private_default_scope, "10.0.0.0/24");
    world.accept(by_cidr(pool, "10.0.1.0/24"));
    assert_eq!(world.state.pools().get(pool).expect("it exists").cidrs.len(), 2);
    for block in ["10.0.0.0/25", "10.0.0.0/23"] {
        let refused = world.reject(by_cidr(pool, block));
        assert_eq!(refused.code, Code::CidrOverlap);
        let own = format!("{block} overlaps 10.0.0.0/24, which the pool itself of the same scope already has.");
        assert_eq!(refused.message, own);
    }
    assert_eq!(world.reject(custom(pool, "10.0.0.0/23")).code, Code::CidrNotInPool);
    let by_length = AllocateCidr { cidr: None, netmask_length: Some(23), ..custom(pool, "10.0.0.0/24") };
    assert_eq!(world.reject(by_length).code, Code::PoolExhausted);
}

#[test]
fn inv_c6_t11_cidr_or_length_and_never_a_length_at_the_top() {
    let (mut world, ipam) = world();
    let top = world.top_pool(ipam.private_default_scope, "10.0.0.0/16");
    let child = world.create_pool(child_of(top));
    let neither = ProvisionPoolCidr { pool: child, cidr: None, netmask_length: None };
    let both = ProvisionPoolCidr { netmask_length: Some(24), ..by_cidr(child, "10.0.0.0/24") };
    for command in [neither, both, by_length(top, 24)] {
        let refused = world.reject(command);
        assert_eq!((refused.code, &*refused.rule), (Code::InvalidParameterCombination, "INV-C6"));
    }
    for length in [33, 128, 255] {
        assert_eq!(world.reject(by_length(child, length)).code, Code::InvalidParameterValue);
    }
    let refused = world.reject(by_length(child, 15));
    assert_eq!((refused.code, refused.would_work["largest_free_block"].as_str()), (Code::PoolExhausted, "10.0.0.0/16"));
    let grandchild = world.create_pool(child_of(child));
    assert_eq!(world.reject(by_length(grandchild, 24)).code, Code::PoolEmpty);
}

#[test]
fn inv_c7_t33_t34_a_cidr_with_allocations_stays() {
    let (mut world, ipam) = world();
    let pool = world.top_pool(ipam.private_default_scope, "10.0.0.0/16");
    let held = allocation_of(&world.accept(custom(pool, "10.0.7.0/24")));
    let deprovision = DeprovisionPoolCidr { pool, cidr: cidr("10.0.0.0/16") };
    let refused = world.reject(deprovision.clone());
    assert_eq!((refused.code, named(&refused)), (Code::DependencyViolation, vec![held.to_string().as_str()]));
    assert!(refused.message.starts_with("The CIDR has one or more allocations."));
    let part = world.reject(DeprovisionPoolCidr { pool, cidr: cidr("10.0.0.0/17") });
    assert_eq!((part.code, part.would_work["cidr"].as_str()), (Code::PoolCidrNotFound, "10.0.0.0/16"));
    world.accept(ReleaseAllocation { allocation: held, pool: None, cidr: None, force: false });
    world.accept(deprovision.clone());
    assert_eq!(world.reject(deprovision).code, Code::PoolCidrNotFound);
}

#[test]
fn inv_c8_p4_a_pool_without_cidrs_is_empty_and_usable() {
    let (mut world, ipam) = world();
    let pool = world.top_pool(ipam.private_default_scope, "10.0.0.0/16");
    world.accept(DeprovisionPoolCidr { pool, cidr: cidr("10.0.0.0/16") });
    let refused = world.reject(custom(pool, "10.0.0.0/24"));
    assert_eq!((refused.code, &*refused.rule), (Code::PoolEmpty, "INV-P4"));
    world.accept(by_cidr(pool, "10.0.0.0/16"));
    world.accept(custom(pool, "10.0.0.0/24"));
}

#[test]
fn d22_public_cidrs_are_marked_unproven() {
    let (mut world, ipam) = world();
    for (scope, ownership) in
        [(ipam.public_default_scope, Some(Ownership::Unproven)), (ipam.private_default_scope, None)]
    {
        let pool = world.empty_pool(scope, None);
        let events = world.accept(by_cidr(pool, "203.0.113.0/24"));
        assert_eq!(provisioned(&events).ownership, ownership);
    }
}

#[test]
fn inv_p14_t35_a_pool_is_deleted_empty_or_in_cascade() {
    let (mut world, ipam) = world();
    let top = world.top_pool(ipam.private_default_scope, "10.0.0.0/16");
    let middle = world.create_pool(child_of(top));
    world.accept(by_cidr(middle, "10.0.0.0/20"));
    let leaf = world.create_pool(child_of(middle));
    world.accept(by_cidr(leaf, "10.0.1.0/24"));
    let held = allocation_of(&world.accept(custom(leaf, "10.0.1.16/28")));
    let kept = allocation_of(&world.accept(custom(top, "10.0.128.0/24")));
    let refused = world.reject(DeletePool { pool: middle, cascade: false });
    assert_eq!(refused.code, Code::DependencyViolation);
    assert_eq!(named(&refused), ["10.0.0.0/20".to_owned(), leaf.to_string()]);
    assert_eq!(refused.blockers.map(|blockers| blockers.total), Some(2));
    let events = world.accept(DeletePool { pool: middle, cascade: true });
    let closed = |pool, block, allocations| ClosedCidr { pool, cidr: cidr(block), allocations };
    let expected = crate::domain::event::PoolDeleted {
        pool: middle,
        closed: vec![closed(middle, "10.0.0.0/20", 1), closed(leaf, "10.0.1.0/24", 1)],
    };
    assert_eq!(events, [expected.into()]);
    assert_eq!(world.state.allocations().row(held), None);
    assert_eq!(world.state.allocations().len(), 1);
    assert!(world.state.pools().get(leaf).is_none() && world.state.pools().get(middle).is_none());
    // What it held of its source pool is free there; the rest is untouched.
    world.accept(custom(top, "10.0.0.0/20"));
    assert!(world.state.allocations().row(kept).is_some());
    let public = world.top_pool(ipam.public_default_scope, "203.0.113.0/24");
    let refused = world.reject(DeletePool { pool: public, cascade: true });
    assert_eq!((refused.code, &*refused.rule), (Code::UnsupportedOperation, "INV-P14"));
    world.accept(DeprovisionPoolCidr { pool: public, cidr: cidr("203.0.113.0/24") });
    world.accept(DeletePool { pool: public, cascade: false });
    assert_eq!(world.reject(DeletePool { pool: public, cascade: false }).code, Code::PoolNotFound);
}

#[test]
fn inv_p14_a_child_without_cidrs_keeps_its_source_pool() {
    let (mut world, ipam) = world();
    let top = world.empty_pool(ipam.private_default_scope, None);
    let child = world.create_pool(child_of(top));
    assert_eq!(named(&world.reject(DeletePool { pool: top, cascade: false })), [child.to_string()]);
    world.accept(DeletePool { pool: child, cascade: false });
    world.accept(DeletePool { pool: top, cascade: false });
}

#[test]
fn t36_deleting_an_ipam_closes_its_private_pools() {
    let (mut world, ipam) = world();
    let top = world.top_pool(ipam.private_default_scope, "10.0.0.0/16");
    let child = world.create_pool(child_of(top));
    world.accept(by_cidr(child, "10.0.0.0/20"));
    world.accept(custom(child, "10.0.1.0/24"));
    let closed: u64 = match world.accept(DeleteIpam { ipam: ipam.ipam, cascade: true }).as_slice() {
        [Event::IpamDeleted(deleted)] => deleted.closed.iter().map(|closed| closed.allocations).sum(),
        other => panic!("{other:#?}"),
    };
    assert_eq!(closed, 2);
    assert!(world.state.allocations().is_empty());
    assert_eq!(world.state.pools().iter().count(), 0);
}

#[test]
fn t70_pools_of_others_read_as_not_found() {
    let (mut world, ipam) = world();
    let pool = world.top_pool(ipam.private_default_scope, "10.0.0.0/16");
    let commands: [CommandBody; 6] = [
        custom(pool, "10.0.0.0/24").into(),
        by_cidr(pool, "10.1.0.0/16").into(),
        DeprovisionPoolCidr { pool, cidr: cidr("10.0.0.0/16") }.into(),
        DeletePool { pool, cascade: true }.into(),
        ModifyPool { placement: Some(Placement::Random), ..unmodified(pool) }.into(),
        child_of(pool).into(),
    ];
    for other in [MEMBER, MANAGEMENT] {
        world.as_account(other);
        for command in commands.clone() {
            assert_eq!(world.reject(command).code, Code::PoolNotFound);
        }
    }
}

#[test]
fn t47_usage_counts_child_pools_assigned_and_available() {
    let (mut world, ipam) = world();
    let pool =
        world.create_pool(CreatePool { locale: Some(region("eu-central-1")), ..top_in(ipam.private_default_scope) });
    world.accept(by_cidr(pool, "10.0.0.0/16"));
    let child = world.create_pool(CreatePool { locale: Some(region("eu-central-1")), ..child_of(pool) });
    world.accept(by_length(child, 18));
    let owner: AccountId = account(ADMIN);
    let vpc = ResourceClaim {
        kind: crate::domain::kind::ResourceKind::Vpc,
        id: "vpc-1".to_owned(),
        region: None,
        account: Some(owner),
        tags: Tags::new(),
    };
    world.accept(AllocateCidr {
        cidr: None,
        netmask_length: Some(20),
        resource: Some(vpc),
        ..custom(pool, "10.0.0.0/24")
    });
    let reserved = AllocateCidr { cidr: None, netmask_length: Some(24), ..custom(pool, "10.0.0.0/24") };
    let reserved = allocation_of(&world.accept(reserved));
    let usage = world.state.pools().usage(pool).expect("it exists");
    let percent = |count: AddressCount| count.percent_of(usage.provisioned);
    assert!((percent(usage.child_pools) - 25.0).abs() < 1e-9);
    assert!((percent(usage.assigned) - 6.640_625).abs() < 1e-9);
    assert!((percent(usage.available) - 68.359_375).abs() < 1e-9);
    assert_eq!((usage.allocations, usage.largest_free_block), (3, Some(cidr("10.0.128.0/17"))));
    world.accept(ReleaseAllocation { allocation: reserved, pool: None, cidr: None, force: false });
    world.accept(DeletePool { pool: child, cascade: true });
    let usage = world.state.pools().usage(pool).expect("it exists");
    assert_eq!((usage.child_pools, usage.assigned), (AddressCount::ZERO, cidr("10.0.0.0/20").count()));
}
