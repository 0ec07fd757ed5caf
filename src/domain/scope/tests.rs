//! The rules of scopes as tables: given, when, then (INV-S1, S4; W7, W8; T05, T06).

use crate::domain::change::Change;
use crate::domain::command::{
    CommandBody, CreateScope, DeletePool, DeleteScope, DeprovisionPoolCidr, ModifyPool, ModifyScope, SetQuota,
    TagResource, Tags, Visibility,
};
use crate::domain::event::{self, Event, IpamCreated};
use crate::domain::quota::Quota;
use crate::domain::rejection::Code;
use crate::domain::testing::{ADMIN, MANAGEMENT, MEMBER, World, allocate, assert_refused, cidr, tags};

fn create(ipam: &IpamCreated) -> CreateScope {
    CreateScope { ipam: ipam.ipam, description: None, name: None, tags: Tags::new() }
}

#[test]
fn inv_s1_another_scope_is_always_private() {
    let (mut world, ipam) = World::with_ipam();
    let body = CreateScope { name: Some("lab".to_owned()), description: Some("apart".to_owned()), ..create(&ipam) };
    let events = world.accept(body);
    let [Event::ScopeCreated(scope)] = events.as_slice() else { panic!("{events:#?}") };
    assert_eq!(scope.tags, tags([("Name", "lab")]));
    let scope = world.state.scopes.get(scope.scope).expect("it exists");
    assert!(scope.visibility == Visibility::Private && !scope.is_default);
    let public = |scope: &&super::Scope| scope.visibility == Visibility::Public;
    assert_eq!(world.state.scopes.of_ipam(ipam.ipam).filter(public).count(), 1);
}

#[test]
fn t05_the_sixth_scope_is_one_too_many_until_the_quota_is_raised() {
    let (mut world, ipam) = World::with_ipam();
    let scopes: Vec<_> = (0..3).map(|_| world.create_scope(ipam.ipam)).collect();
    let id = ipam.ipam.to_string();
    let values = [("quota", "scopes-per-ipam"), ("limit", "5"), ("count", "5"), ("ipam", &*id)];
    let works = [("SetQuota", "scopes-per-ipam, up to 100000")];
    let rejection = world.reject(create(&ipam));
    assert_refused(&rejection, Code::QuotaExceeded, &values, &[], &works);
    assert_eq!(rejection.aws_code.as_deref(), Some("ResourceLimitExceeded"));

    let raise = SetQuota { quota: Quota::ScopesPerIpam, value: 6 };
    world.as_account(MANAGEMENT).accept(raise);
    world.as_account(ADMIN);
    world.create_scope(ipam.ipam);
    // Lowering it below what there is takes nothing away and keeps new ones out.
    let lower = SetQuota { quota: Quota::ScopesPerIpam, value: 2 };
    world.as_account(MANAGEMENT).accept(lower);
    world.as_account(ADMIN);
    assert_eq!(world.state.scopes.of_ipam(ipam.ipam).count(), 6);
    world.accept(DeleteScope { scope: scopes[0] });
    let values = [("quota", "scopes-per-ipam"), ("limit", "2"), ("count", "5"), ("ipam", &*id)];
    assert_refused(&world.reject(create(&ipam)), Code::QuotaExceeded, &values, &[], &works);
}

#[test]
fn t06_inv_s4_default_scopes_stay() {
    let (mut world, ipam) = World::with_ipam();
    for scope in [ipam.private_default_scope, ipam.public_default_scope] {
        let rejection = world.reject(DeleteScope { scope });
        let (scope, id) = (scope.to_string(), ipam.ipam.to_string());
        let values = [("scope", &*scope), ("ipam", &*id)];
        assert_refused(&rejection, Code::DefaultScope, &values, &[], &[("DeleteIpam", &id)]);
    }
    let scope = world.create_scope(ipam.ipam);
    assert_eq!(world.accept(DeleteScope { scope }), [Event::from(event::ScopeDeleted { scope })]);
    let (id, values) = (scope.to_string(), |id: &str| [("id", id.to_owned()), ("principal", ADMIN.to_owned())]);
    let values = values(&id);
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_refused(&world.reject(DeleteScope { scope }), Code::ScopeNotFound, &values, &[], &[]);
}

#[test]
fn t06_inv_s4_a_scope_with_pools_stays() {
    let (mut world, ipam) = World::with_ipam();
    let scope = world.create_scope(ipam.ipam);
    let pool = world.top_pool(scope, "10.0.0.0/8");
    let (id, named) = (scope.to_string(), pool.to_string());
    let rejection = world.reject(DeleteScope { scope });
    let works = [("DeletePool", "for each of them")];
    assert_refused(&rejection, Code::DependencyViolation, &[("scope", &id)], &[&named], &works);
    world.accept(DeletePool { pool, cascade: true });
    world.accept(DeleteScope { scope });
}

#[test]
fn inv_s2_s7_any_range_may_be_in_any_scope_and_in_two_of_them() {
    let (mut world, ipam) = World::with_ipam();
    let lab = world.create_scope(ipam.ipam);
    // Not only RFC 1918, and IPv6 of all kinds (INV-S5).
    for block in ["10.0.0.0/8", "52.94.76.0/22", "fd00:1234::/32", "2001:db8::/32"] {
        for scope in [ipam.private_default_scope, lab] {
            let pool = world.top_pool(scope, block);
            world.accept(allocate(pool, block));
        }
    }
}

#[test]
fn t70_a_pool_of_another_account_is_not_found() {
    let (mut world, ipam) = World::with_ipam();
    let pool = world.top_pool(ipam.private_default_scope, "10.0.0.0/8");
    let id = pool.to_string();
    let modify = || ModifyPool {
        pool,
        description: Change::Clear,
        allocation_min_netmask_length: Change::Unchanged,
        allocation_max_netmask_length: Change::Unchanged,
        allocation_default_netmask_length: Change::Unchanged,
        allocation_resource_tags: Change::Unchanged,
        placement: None,
        auto_import: None,
    };
    let bodies = || {
        let tag = TagResource { resource: pool.into(), tags: tags([("a", "1")]) };
        [
            CommandBody::from(allocate(pool, "10.0.0.0/24")),
            modify().into(),
            DeletePool { pool, cascade: true }.into(),
            DeprovisionPoolCidr { pool, cidr: cidr("10.0.0.0/8") }.into(),
            tag.into(),
        ]
    };
    for other in [MEMBER, MANAGEMENT] {
        world.as_account(other);
        for body in bodies() {
            let rejection = world.reject(body);
            assert_refused(&rejection, Code::PoolNotFound, &[("id", &id), ("principal", other)], &[], &[]);
            assert_eq!(rejection.aws_code.as_deref(), Some("InvalidIpamPoolId.NotFound"));
        }
    }
    world.as_account(ADMIN).accept(allocate(pool, "10.0.0.0/24"));
}

#[test]
fn a_scope_is_modified_by_what_is_named_and_only_where_it_differs() {
    let (mut world, ipam) = World::with_ipam();
    let scope = ipam.private_default_scope;
    let modify = |description| ModifyScope { scope, description };
    let fields = [("fields", "description")];
    assert_refused(&world.reject(modify(Change::Unchanged)), Code::NothingToModify, &[], &[], &fields);
    assert_eq!(world.accept(modify(Change::Clear)), []);
    let set = Change::Set("office".to_owned());
    let modified = event::ScopeModified { scope, description: set.clone() };
    assert_eq!(world.accept(modify(set.clone())), [Event::from(modified)]);
    assert_eq!(world.accept(modify(set)), [], "already so");
    let long = "ü".repeat(256);
    let values = [("field", "description"), ("characters", "256")];
    let rejection = world.reject(modify(Change::Set(long)));
    assert_refused(&rejection, Code::InvalidParameterValue, &values, &[], &[("characters_max", "255")]);
    world.accept(modify(Change::Set("ü".repeat(255))));
}

#[test]
fn a_scope_is_known_to_the_owner_of_its_ipam_alone() {
    let (mut world, ipam) = World::with_ipam();
    let scope = world.create_scope(ipam.ipam);
    let (id, ipam_id) = (scope.to_string(), ipam.ipam.to_string());
    world.as_account(MEMBER);
    let values = [("id", &*id), ("principal", MEMBER)];
    assert_refused(&world.reject(DeleteScope { scope }), Code::ScopeNotFound, &values, &[], &[]);
    let rejection = world.reject(ModifyScope { scope, description: Change::Clear });
    assert_refused(&rejection, Code::ScopeNotFound, &values, &[], &[]);
    let values = [("id", &*ipam_id), ("principal", MEMBER)];
    assert_refused(&world.reject(create(&ipam)), Code::IpamNotFound, &values, &[], &[]);
}
