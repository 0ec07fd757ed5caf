//! The rules of IPAMs as tables: given, when, then (INV-I1, I2, I4; W4, W6, W7; T01, T02, T36).

use crate::domain::change::Change;
use crate::domain::command::{
    AddAccount, CreateIpam, CreateOrganization, CreatePool, DelegateAdmin, DeleteIpam, DeletePool, ModifyIpam,
    ProvisionPoolCidr, RegisterDelegatedAdministrator, SetQuota, TagResource, Tags, Visibility,
};
use crate::domain::event::{self, Event, IpamCreated};
use crate::domain::id::{ObjectId, Region};
use crate::domain::quota::Quota;
use crate::domain::rejection::Code;
use crate::domain::state::State;
use crate::domain::testing::{ADMIN, MANAGEMENT, MEMBER, World, account, allocate, assert_refused, cidr, region, tags};

fn create(home: &str) -> CreateIpam {
    CreateIpam {
        home_region: region(home),
        operating_regions: Vec::new(),
        description: None,
        name: None,
        tags: Tags::new(),
    }
}

fn modify(ipam: &IpamCreated) -> ModifyIpam {
    ModifyIpam {
        ipam: ipam.ipam,
        description: Change::Unchanged,
        add_operating_regions: Vec::new(),
        remove_operating_regions: Vec::new(),
    }
}

fn regions(names: &[&str]) -> Vec<Region> {
    names.iter().copied().map(region).collect()
}

#[test]
fn t01_an_ipam_comes_with_two_default_scopes_a_discovery_and_its_association() {
    let mut world = World::organization();
    world.as_account(MEMBER);
    let created = world.create_ipam("eu-west-1", &["us-east-1", "eu-central-1", "us-east-1"]);
    assert_eq!(created.owner, account(MEMBER));
    // INV-I2: the home region is among them, listed or not; sorted, each once.
    assert_eq!(created.operating_regions, regions(&["eu-central-1", "eu-west-1", "us-east-1"]));
    // INV-I4.
    let scopes: Vec<_> = world.state.scopes.of_ipam(created.ipam).collect();
    assert_eq!(scopes.len(), 2);
    for scope in scopes {
        assert!(scope.is_default);
        let public = scope.id == created.public_default_scope;
        assert!(public || scope.id == created.private_default_scope);
        assert_eq!(scope.visibility == Visibility::Public, public);
    }
    let ipam = world.state.ipams.with_discovery(created.default_resource_discovery).expect("the discovery exists");
    assert_eq!(ipam.id, created.ipam);
    let ipam = world.state.ipams.with_association(created.default_resource_discovery_association);
    assert_eq!(ipam.expect("the association exists").id, created.ipam);
}

#[test]
fn w6_name_and_description_are_optional_and_a_name_becomes_a_tag() {
    let mut world = World::organization();
    let named = CreateIpam {
        name: Some("main".to_owned()),
        description: Some("all of it".to_owned()),
        tags: tags([("team", "network")]),
        ..create("eu-west-1")
    };
    let created = world.accept(named.clone());
    let [Event::IpamCreated(created)] = created.as_slice() else { panic!("{created:#?}") };
    assert_eq!(created.tags, tags([("Name", "main"), ("team", "network")]));
    assert_eq!(created.description.as_deref(), Some("all of it"));

    let twice = CreateIpam { tags: tags([("Name", "other")]), home_region: region("us-east-1"), ..named.clone() };
    let values = [("name", "main"), ("tags.Name", "other")];
    assert_refused(&world.reject(twice), Code::InvalidParameterCombination, &values, &[], &[]);
    let same = CreateIpam { tags: tags([("Name", "main")]), home_region: region("us-east-1"), ..named };
    world.accept(same);
}

#[test]
fn t02_inv_i1_one_ipam_per_account_and_home_region() {
    let mut world = World::organization();
    let first = world.create_ipam("eu-west-1", &[]).ipam.to_string();
    let rejection = world.reject(create("eu-west-1"));
    let values = [
        ("quota", "ipams-per-region"),
        ("limit", "1"),
        ("count", "1"),
        ("home_region", "eu-west-1"),
        ("owner", MANAGEMENT),
    ];
    assert_refused(&rejection, Code::QuotaExceeded, &values, &[&first], &[("home_region", "another one")]);
    assert_eq!(rejection.aws_code.as_deref(), Some("ResourceLimitExceeded"));
    world.create_ipam("us-east-1", &["eu-west-1"]);
    world.as_account(MEMBER).create_ipam("eu-west-1", &[]);
}

#[test]
fn inv_i2_the_home_region_stays_and_lists_have_a_limit() {
    let (mut world, ipam) = World::with_ipam();
    let id = ipam.ipam.to_string();
    let rejection = world.reject(ModifyIpam { remove_operating_regions: regions(&["eu-central-1"]), ..modify(&ipam) });
    let values = [("region", "eu-central-1"), ("ipam", &*id)];
    assert_refused(&rejection, Code::HomeRegion, &values, &[], &[]);

    let many: Vec<Region> = (0..51).map(|n| region(&format!("region-{n}"))).collect();
    let too_many = [("entries_max", "50")];
    let rejection = world.reject(CreateIpam { operating_regions: many.clone(), ..create("us-east-1") });
    let values = [("field", "operating_regions"), ("entries", "51")];
    assert_refused(&rejection, Code::InvalidParameterValue, &values, &[], &too_many);
    let rejection = world.reject(ModifyIpam { add_operating_regions: many.clone(), ..modify(&ipam) });
    let values = [("field", "add_operating_regions"), ("entries", "51")];
    assert_refused(&rejection, Code::InvalidParameterValue, &values, &[], &too_many);
    let rejection = world.reject(ModifyIpam { remove_operating_regions: many, ..modify(&ipam) });
    let values = [("field", "remove_operating_regions"), ("entries", "51")];
    assert_refused(&rejection, Code::InvalidParameterValue, &values, &[], &too_many);
}

#[test]
fn an_ipam_is_modified_by_what_is_named_and_only_where_it_differs() {
    let (mut world, ipam) = World::with_ipam();
    let fields = [("fields", "description, add_operating_regions, remove_operating_regions")];
    assert_refused(&world.reject(modify(&ipam)), Code::NothingToModify, &[], &[], &fields);
    let both = ModifyIpam {
        add_operating_regions: regions(&["us-east-1"]),
        remove_operating_regions: regions(&["us-east-1"]),
        ..modify(&ipam)
    };
    let rejection = world.reject(both);
    assert_refused(&rejection, Code::InvalidParameterCombination, &[("region", "us-east-1")], &[], &[]);

    for already_so in [
        ModifyIpam { description: Change::Clear, ..modify(&ipam) },
        ModifyIpam { add_operating_regions: regions(&["eu-west-1", "eu-central-1"]), ..modify(&ipam) },
        ModifyIpam { remove_operating_regions: regions(&["us-east-1"]), ..modify(&ipam) },
    ] {
        assert_eq!(world.accept(already_so), []);
    }

    let change = ModifyIpam {
        description: Change::Set("new".to_owned()),
        add_operating_regions: regions(&["us-east-1", "eu-central-1", "us-east-1"]),
        remove_operating_regions: regions(&["eu-west-1", "ap-east-1"]),
        ..modify(&ipam)
    };
    let modified = event::IpamModified {
        ipam: ipam.ipam,
        description: Change::Set("new".to_owned()),
        added_operating_regions: regions(&["us-east-1"]),
        removed_operating_regions: regions(&["eu-west-1"]),
    };
    assert_eq!(world.accept(change), [Event::from(modified)]);
    let now = world.state.ipams.get(ipam.ipam).expect("it exists");
    assert_eq!(now.operating_regions.iter().cloned().collect::<Vec<_>>(), regions(&["eu-central-1", "us-east-1"]));
    assert_eq!(now.changed_at, world.revision());

    let cleared = event::IpamModified {
        ipam: ipam.ipam,
        description: Change::Clear,
        added_operating_regions: Vec::new(),
        removed_operating_regions: Vec::new(),
    };
    let clear = ModifyIpam { description: Change::Clear, ..modify(&ipam) };
    assert_eq!(world.accept(clear), [Event::from(cleared)]);
}

#[test]
fn an_ipam_is_known_to_its_owner_alone() {
    let (mut world, ipam) = World::with_ipam();
    let id = ipam.ipam.to_string();
    for other in [MANAGEMENT, MEMBER] {
        world.as_account(other);
        let values = [("id", &*id), ("principal", other)];
        let rejection = world.reject(modify(&ipam));
        assert_refused(&rejection, Code::IpamNotFound, &values, &[], &[]);
        let rejection = world.reject(DeleteIpam { ipam: ipam.ipam, cascade: true });
        assert_refused(&rejection, Code::IpamNotFound, &values, &[], &[]);
    }
    world.as_account(ADMIN);
    let values = [("id", "ipam-00000000000000000"), ("principal", ADMIN)];
    let rejection = world.reject(DeleteIpam { ipam: World::no_such_ipam(), cascade: false });
    assert_refused(&rejection, Code::IpamNotFound, &values, &[], &[]);
}

#[test]
fn inv_i4_default_scopes_and_discovery_go_with_the_ipam() {
    let (mut world, ipam) = World::with_ipam();
    let deleted = event::IpamDeleted { ipam: ipam.ipam, closed: Vec::new() };
    assert_eq!(world.accept(DeleteIpam { ipam: ipam.ipam, cascade: false }), [Event::from(deleted)]);
    assert_eq!(world.state.scopes.iter().count(), 0);
    assert_eq!(world.state.ipams.iter().count(), 0);
    assert!(world.state.ipams.with_discovery(ipam.default_resource_discovery).is_none());
    // The region is free for another one.
    world.create_ipam("eu-central-1", &[]);
}

#[test]
fn an_ipam_with_another_scope_is_deleted_by_a_cascade_only() {
    let (mut world, ipam) = World::with_ipam();
    let scope = world.create_scope(ipam.ipam);
    let (id, scope) = (ipam.ipam.to_string(), scope.to_string());
    let rejection = world.reject(DeleteIpam { ipam: ipam.ipam, cascade: false });
    let works = [("cascade", "true, when no pool is in the public scope")];
    assert_refused(&rejection, Code::DependencyViolation, &[("ipam", &id)], &[&scope], &works);
    world.accept(DeleteIpam { ipam: ipam.ipam, cascade: true });
    assert_eq!(world.state.scopes.iter().count(), 0);
}

fn delete(ipam: &IpamCreated, cascade: bool) -> DeleteIpam {
    DeleteIpam { ipam: ipam.ipam, cascade }
}

#[test]
fn a_region_stays_while_pools_have_it_as_their_locale() {
    let (mut world, ipam) = World::with_ipam();
    let lab = world.create_scope(ipam.ipam);
    let pools = [ipam.private_default_scope, ipam.public_default_scope, lab]
        .map(|scope| world.empty_pool(scope, Some("eu-west-1")));
    world.empty_pool(lab, Some("eu-central-1"));
    let rejection = world.reject(ModifyIpam { remove_operating_regions: regions(&["eu-west-1"]), ..modify(&ipam) });
    // By scope, in the order of their ids.
    let mut named: Vec<_> = world.state.pools.iter().filter(|pool| pools.contains(&pool.id)).collect();
    named.sort_by_key(|pool| (pool.scope, pool.id));
    let named: Vec<_> = named.into_iter().map(|pool| pool.id.to_string()).collect();
    let named: Vec<_> = named.iter().map(String::as_str).collect();
    let id = ipam.ipam.to_string();
    let values = [("region", "eu-west-1"), ("ipam", &*id)];
    let works = [("DeletePool", "for each of them")];
    assert_refused(&rejection, Code::DependencyViolation, &values, &named, &works);
    for pool in pools {
        world.accept(DeletePool { pool, cascade: false });
    }
    world.accept(ModifyIpam { remove_operating_regions: regions(&["eu-west-1"]), ..modify(&ipam) });
}

#[test]
fn t36_a_cascade_takes_all_that_is_private_and_stops_at_public_pools() {
    let (mut world, ipam) = World::with_ipam();
    let id = ipam.ipam.to_string();
    let top = world.top_pool(ipam.private_default_scope, "10.0.0.0/8");
    let child = world.create_pool(CreatePool { source_pool: Some(top), ..CreatePool::default() });
    world.accept(ProvisionPoolCidr { pool: child, cidr: Some(cidr("10.1.0.0/16")), netmask_length: None });
    for block in ["10.1.0.0/24", "10.1.1.0/24"] {
        world.accept(allocate(child, block));
    }
    let lab = world.create_scope(ipam.ipam);
    let apart = world.top_pool(lab, "10.0.0.0/8");
    let public = world.empty_pool(ipam.public_default_scope, None);

    // Plain: everything but the default scopes is in the way, each scope's pools before itself.
    let rejection = world.reject(delete(&ipam, false));
    let blockers = rejection.blockers.clone().expect("there are some");
    assert_eq!((blockers.total, &blockers.query), (5, &None));
    for blocker in [top.to_string(), child.to_string(), apart.to_string(), public.to_string(), lab.to_string()] {
        assert!(blockers.named.contains(&blocker), "{blocker} of {blockers:?}");
    }
    // Cascade: the public pool is.
    let rejection = world.reject(delete(&ipam, true));
    let scope = ipam.public_default_scope.to_string();
    let values = [("ipam", &*id), ("public_scope", &*scope)];
    let works = [("DeletePool", "for each of them")];
    assert_refused(&rejection, Code::DependencyViolation, &values, &[&public.to_string()], &works);

    world.accept(DeletePool { pool: public, cascade: false });
    let events = world.accept(delete(&ipam, true));
    let [Event::IpamDeleted(deleted)] = events.as_slice() else { panic!("{events:#?}") };
    let mut closed = deleted.closed.clone();
    closed.sort_by_key(|closed| (closed.cidr, closed.pool != top));
    let expected = [(top, "10.0.0.0/8", 1), (apart, "10.0.0.0/8", 0), (child, "10.1.0.0/16", 2)]
        .map(|(pool, block, allocations)| event::ClosedCidr { pool, cidr: cidr(block), allocations });
    assert_eq!(closed, expected);
    assert_eq!(world.state.pools.iter().count(), 0);
    assert_eq!(world.state.scopes.iter().count(), 0);
    assert!(world.state.allocations.is_empty());
}

#[test]
fn a_refusal_names_a_hundred_blockers_and_where_the_rest_is_listed() {
    let (mut world, ipam) = World::with_ipam();
    world.as_account(MANAGEMENT).accept(SetQuota { quota: Quota::PoolsPerScope, value: 150 });
    world.as_account(ADMIN);
    for _ in 0..101 {
        world.empty_pool(ipam.private_default_scope, None);
    }
    let blockers = world.reject(delete(&ipam, false)).blockers.expect("there are some");
    assert_eq!((blockers.named.len(), blockers.total), (100, 101));
    assert_eq!(blockers.query.as_deref(), Some("/v1/organizations/o-example/pools"));
}

#[test]
fn the_stored_rows_of_a_state_are_that_state() {
    let mut world = World::empty("o-example");
    world.state.track_rows();
    world.accept(CreateOrganization { management_account: account(MANAGEMENT) });
    for member in [ADMIN, MEMBER] {
        world.accept(AddAccount { account: account(member), name: Some("a".to_owned()) });
    }
    world.accept(SetQuota { quota: Quota::ScopesPerIpam, value: 9 });
    world.accept(RegisterDelegatedAdministrator { account: account(ADMIN) });
    world.accept(DelegateAdmin { account: account(ADMIN) });
    world.as_account(ADMIN);
    let ipam = world.create_ipam("eu-central-1", &["eu-west-1"]);
    let gone = world.create_ipam("us-east-1", &[]);
    world.create_scope(ipam.ipam);
    world.accept(delete(&gone, false));
    let resources = [
        ObjectId::from(ipam.ipam),
        ipam.default_resource_discovery.into(),
        ipam.default_resource_discovery_association.into(),
        ipam.private_default_scope.into(),
    ];
    for resource in resources {
        world.accept(TagResource { resource, tags: tags([("a", "1")]) });
    }
    let keys = world.state.take_touched();
    let rows: Vec<_> = keys.iter().filter_map(|key| world.state.row(key)).collect();
    assert_eq!(rows.len(), keys.len() - 3, "the deleted IPAM and its scopes leave no rows");
    let restored = State::restore(world.state.id().clone(), rows.into_iter().rev());
    for key in &keys {
        assert_eq!(restored.row(key), world.state.row(key), "{key:?}");
    }
    // And it goes on in the same way.
    world.state = restored;
    world.accept(delete(&ipam, true));
}
