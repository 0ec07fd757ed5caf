//! The rules of organisations as tables: given, when, then (INV-O1, O3–O6; W1–W3; T03, T04; D18, D19).

use crate::domain::ask::Ask;
use crate::domain::authority::{self, Reach};
use crate::domain::command::{
    AddAccount, CommandBody, CreateOrganization, DelegateAdmin, DeregisterDelegatedAdministrator, Principal, Proof,
    RegisterDelegatedAdministrator, RemoveAccount, RevokeAdmin, SetQuota,
};
use crate::domain::event::{self, Event, IpamCreated, NotMonitored};
use crate::domain::quota::Quota;
use crate::domain::rejection::{Code, Rejection};
use crate::domain::testing::{ADMIN, MANAGEMENT, MEMBER, STRANGER, World, account, assert_refused, region};

fn delegate(to: &str) -> CommandBody {
    DelegateAdmin { account: account(to) }.into()
}

fn revoke(from: &str) -> CommandBody {
    RevokeAdmin { account: account(from) }.into()
}

fn register(to: &str) -> CommandBody {
    RegisterDelegatedAdministrator { account: account(to) }.into()
}

fn deregister(from: &str) -> CommandBody {
    DeregisterDelegatedAdministrator { account: account(from) }.into()
}

fn add(member: &str) -> CommandBody {
    AddAccount { account: account(member), name: None }.into()
}

fn remove(member: &str) -> CommandBody {
    RemoveAccount { account: account(member) }.into()
}

fn reach_of(world: &World, ipam: &IpamCreated) -> Reach {
    authority::reach(&world.state, world.state.ipams.get(ipam.ipam).expect("it exists"))
}

fn seen(world: &World, ipam: &IpamCreated, whose: &str, place: &str) -> Result<(), NotMonitored> {
    let ipam = world.state.ipams.get(ipam.ipam).expect("it exists");
    authority::sees(&world.state, ipam, Some(account(whose)), Some(&region(place)))
}

/// What an allocation for `whose` from a pool of `ipam` would be told.
fn allocation_for(world: &mut World, ipam: &IpamCreated, whose: &str) -> Result<(), Rejection> {
    let command = world.command(add(STRANGER));
    let ask = Ask { state: &world.state, command: &command, now: world.now() };
    authority::account_monitored(&ask, world.state.ipams.get(ipam.ipam).expect("it exists"), account(whose))
}

#[test]
fn an_organisation_is_opened_once_by_its_management_account() {
    let mut world = World::empty("o-example");
    let create = CreateOrganization { management_account: account(MANAGEMENT) };

    let rejection = world.reject(add(MEMBER));
    let (values, works) = ([("organization", "o-example")], [("CreateOrganization", "by its management account")]);
    assert_refused(&rejection, Code::OrganizationNotFound, &values, &[], &works);
    assert!(!world.state.exists(), "a refusal by nobody leaves no state");

    let rejection = world.as_account(MEMBER).reject(create.clone());
    let values = [("principal", MEMBER), ("management_account", MANAGEMENT)];
    assert_refused(&rejection, Code::UnauthorizedOperation, &values, &[], &[("principal", MANAGEMENT)]);
    assert!(!world.state.exists());

    world.as_account(MANAGEMENT);
    let created = event::OrganizationCreated { management_account: account(MANAGEMENT) };
    assert_eq!(world.accept(create.clone()), [Event::from(created)]);
    assert!(world.state.exists());

    let rejection = world.reject(create);
    let values = [("organization", "o-example"), ("management_account", MANAGEMENT)];
    assert_refused(&rejection, Code::OrganizationExists, &values, &[], &[]);
    assert_eq!(world.revision().0, 2, "a refusal by an organisation that exists is on record");
}

#[test]
fn accounts_join_once_and_leave() {
    let mut world = World::organization();
    let named = AddAccount { account: account("000000000004"), name: Some("data".to_owned()) };
    let added = event::AccountAdded { account: account("000000000004"), name: Some("data".to_owned()) };
    assert_eq!(world.accept(named.clone()), [Event::from(added)]);
    let values = [("account", "000000000004"), ("organization", "o-example")];
    assert_refused(&world.reject(named), Code::AccountExists, &values, &[], &[]);

    let removed = event::AccountRemoved { account: account("000000000004") };
    assert_eq!(world.accept(remove("000000000004")), [Event::from(removed)]);
    let works = [("AddAccount", "for 000000000004")];
    assert_refused(&world.reject(remove("000000000004")), Code::AccountNotFound, &values, &[], &works);
}

#[test]
fn only_the_management_account_rules_the_organisation() {
    let mut world = World::organization();
    world.as_account(MEMBER);
    let quota = SetQuota { quota: Quota::ScopesPerIpam, value: 6 };
    for body in [
        add(STRANGER),
        remove(ADMIN),
        delegate(ADMIN),
        revoke(ADMIN),
        register(ADMIN),
        deregister(ADMIN),
        quota.clone().into(),
    ] {
        let rejection = world.reject(body);
        let (values, works) = ([("principal", MEMBER)], [("principal", MANAGEMENT)]);
        assert_refused(&rejection, Code::UnauthorizedOperation, &values, &[], &works);
    }
    world.as_account(STRANGER);
    let values = [("principal", STRANGER), ("organization", "o-example")];
    assert_refused(&world.reject(quota), Code::UnauthorizedOperation, &values, &[], &[]);
}

#[test]
fn removal_is_refused_for_whoever_the_organisation_rests_on() {
    let mut world = World::organization();
    let rejection = world.reject(remove(MANAGEMENT));
    assert_refused(&rejection, Code::UnsupportedOperation, &[("account", MANAGEMENT)], &[], &[]);

    world.accept(register(ADMIN));
    let (values, works) = ([("account", ADMIN)], [("DeregisterDelegatedAdministrator", "for 000000000002")]);
    assert_refused(&world.reject(remove(ADMIN)), Code::DependencyViolation, &values, &[ADMIN], &works);

    world.accept(delegate(ADMIN));
    let works = [("RevokeAdmin", "for 000000000002")];
    assert_refused(&world.reject(remove(ADMIN)), Code::DependencyViolation, &values, &[ADMIN], &works);

    let ipam = world.as_account(MEMBER).create_ipam("eu-west-1", &[]).ipam.to_string();
    let rejection = world.as_account(MANAGEMENT).reject(remove(MEMBER));
    let (values, works) = ([("account", MEMBER)], [("DeleteIpam", "by 000000000003")]);
    assert_refused(&rejection, Code::DependencyViolation, &values, &[&ipam], &works);
}

#[test]
fn inv_o1_at_most_one_administrator_and_never_the_management_account() {
    let mut world = World::organization();
    let delegated = event::AdminDelegated { account: account(ADMIN) };
    assert_eq!(world.accept(delegate(ADMIN)), [Event::from(delegated)]);
    assert_eq!(world.accept(delegate(ADMIN)), [], "already so");
    assert_eq!(world.accept(register(ADMIN)), [], "delegation by IPAM gives the title, too");
    for body in [delegate(MEMBER), register(MEMBER)] {
        let values = [("account", MEMBER), ("administrator", ADMIN)];
        let works = [("RevokeAdmin", "for 000000000002, first")];
        assert_refused(&world.reject(body), Code::AdministratorExists, &values, &[ADMIN], &works);
    }
    for body in [delegate(STRANGER), register(STRANGER)] {
        let values = [("account", STRANGER), ("organization", "o-example")];
        let works = [("AddAccount", "for 999999999999")];
        assert_refused(&world.reject(body), Code::AccountNotFound, &values, &[], &works);
    }

    let mut world = World::organization();
    world.accept(register(MEMBER));
    assert_eq!(world.accept(register(MEMBER)), [], "already so");
    for body in [delegate(ADMIN), register(ADMIN)] {
        let values = [("account", ADMIN), ("administrator", MEMBER)];
        let works = [("DeregisterDelegatedAdministrator", "for 000000000003, first")];
        assert_refused(&world.reject(body), Code::AdministratorExists, &values, &[MEMBER], &works);
    }
}

#[test]
fn t03_the_management_account_cannot_be_delegated() {
    for body in [delegate(MANAGEMENT), register(MANAGEMENT)] {
        let mut world = World::organization();
        let values = [("account", MANAGEMENT), ("management_account", MANAGEMENT)];
        let works = [("account", "a member account")];
        assert_refused(&world.reject(body), Code::InvalidParameterValue, &values, &[], &works);
    }
}

#[test]
fn t04_a_title_is_taken_only_from_its_holder() {
    let mut world = World::organization();
    for body in [revoke(MEMBER), deregister(MEMBER)] {
        let values = [("account", MEMBER), ("administrator", "none")];
        let rejection = world.reject(body);
        assert_refused(&rejection, Code::AdministratorNotRegistered, &values, &[], &[]);
        assert_eq!(rejection.aws_code.as_deref(), Some("IpamOrganizationAccountNotRegistered"));
    }
    world.accept(register(MEMBER));
    let works = [("DeregisterDelegatedAdministrator", "for 000000000003")];
    let values = [("account", MEMBER), ("administrator", "none")];
    assert_refused(&world.reject(revoke(MEMBER)), Code::AdministratorNotRegistered, &values, &[], &works);
    let deregistered = event::DelegatedAdministratorDeregistered { account: account(MEMBER) };
    assert_eq!(world.accept(deregister(MEMBER)), [Event::from(deregistered)]);

    world.accept(delegate(ADMIN));
    let values = [("account", MEMBER), ("administrator", ADMIN)];
    assert_refused(&world.reject(revoke(MEMBER)), Code::AdministratorNotRegistered, &values, &[], &[]);
    let values = [("account", ADMIN), ("administrator", "none")];
    let works = [("RevokeAdmin", "for 000000000002")];
    assert_refused(&world.reject(deregister(ADMIN)), Code::AdministratorNotRegistered, &values, &[], &works);
    let revoked = event::AdminRevoked { account: account(ADMIN) };
    assert_eq!(world.accept(revoke(ADMIN)), [Event::from(revoked)]);
}

#[test]
fn inv_o3_without_delegation_an_ipam_sees_its_own_account() {
    for owner in [MANAGEMENT, MEMBER] {
        let mut world = World::organization();
        let ipam = world.as_account(owner).create_ipam("eu-central-1", &[]);
        assert_eq!(reach_of(&world, &ipam), Reach::OwnAccount);
        for whose in [MANAGEMENT, ADMIN, MEMBER] {
            let expected = if whose == owner { Ok(()) } else { Err(NotMonitored::NoServiceLinkedRole) };
            assert_eq!(seen(&world, &ipam, whose, "eu-central-1"), expected, "{owner} sees {whose}");
        }
    }
    let mut world = World::empty(MEMBER);
    let ipam = world.create_ipam("eu-central-1", &[]);
    assert_eq!(reach_of(&world, &ipam), Reach::OwnAccount);
    assert_eq!(seen(&world, &ipam, MEMBER, "eu-central-1"), Ok(()));
    assert_eq!(seen(&world, &ipam, ADMIN, "eu-central-1"), Err(NotMonitored::AccountOutside));
}

#[test]
fn inv_o4_only_delegation_through_ipam_makes_accounts_monitored() {
    let mut world = World::organization();
    world.accept(register(ADMIN));
    let ipam = world.as_account(ADMIN).create_ipam("eu-central-1", &[]);
    assert_eq!(reach_of(&world, &ipam), Reach::Nothing);
    for whose in [ADMIN, MEMBER] {
        assert_eq!(seen(&world, &ipam, whose, "eu-central-1"), Err(NotMonitored::NoServiceLinkedRole));
        let rejection = allocation_for(&mut world, &ipam, whose).expect_err("not monitored");
        let id = ipam.ipam.to_string();
        let values = [("account", whose), ("ipam", &id), ("owner", ADMIN), ("reason", "no-service-linked-role")];
        let works = [("DelegateAdmin", "for 000000000002, by 000000000001")];
        assert_refused(&rejection, Code::AccountNotMonitored, &values, &[], &works);
        assert_eq!(rejection.aws_code.as_deref(), Some("UnsupportedOperation"));
        assert!(rejection.message.contains("Organizations alone"), "{rejection}");
    }

    // Delegating later repairs it.
    world.as_account(MANAGEMENT).accept(delegate(ADMIN));
    assert_eq!(reach_of(&world, &ipam), Reach::AllMembers);
    assert!(world.state.organization.has_role(account(ADMIN)) && world.state.organization.has_role(account(MEMBER)));
    for whose in [ADMIN, MEMBER] {
        assert_eq!(seen(&world, &ipam, whose, "eu-central-1"), Ok(()));
        assert_eq!(allocation_for(&mut world, &ipam, whose), Ok(()));
    }

    // Taking the mere title away repairs the owner alone.
    let mut world = World::organization();
    world.accept(register(ADMIN));
    let ipam = world.as_account(ADMIN).create_ipam("eu-central-1", &[]);
    world.as_account(MANAGEMENT).accept(deregister(ADMIN));
    assert_eq!(reach_of(&world, &ipam), Reach::OwnAccount);
}

#[test]
fn inv_o4_each_refusal_names_what_would_mend_it() {
    let (mut world, ipam) = World::with_ipam();
    let id = ipam.ipam.to_string();
    let refused = |world: &mut World, ipam: &IpamCreated, whose: &str, reason: &str, works: (&str, &str)| {
        let rejection = allocation_for(world, ipam, whose).expect_err("not monitored");
        let (id, owner) = (ipam.ipam.to_string(), ipam.owner.to_string());
        let values = [("account", whose), ("ipam", &*id), ("owner", &*owner), ("reason", reason)];
        assert_refused(&rejection, Code::AccountNotMonitored, &values, &[], &[works]);
    };
    let no_role = "no-service-linked-role";
    let join = ("AddAccount", "for 999999999999, by 000000000001");
    refused(&mut world, &ipam, STRANGER, "account-outside", join);
    // The management account is no member account: it gets the role with an IPAM of its own.
    refused(&mut world, &ipam, MANAGEMENT, no_role, ("CreateIpam", "by 000000000001, for itself"));
    let own = world.as_account(MANAGEMENT).create_ipam("us-east-1", &[]);
    assert_eq!(allocation_for(&mut world, &ipam, MANAGEMENT), Ok(()), "{id} sees it now");
    let administrators = ("pool", "one of the administrator 000000000002");
    refused(&mut world, &own, MEMBER, no_role, administrators);
    world.accept(revoke(ADMIN));
    refused(&mut world, &own, MEMBER, no_role, ("DelegateAdmin", "for a member account, by 000000000001"));
    refused(&mut world, &ipam, MEMBER, no_role, ("DelegateAdmin", "for 000000000002, by 000000000001"));
    let revoked = allocation_for(&mut world, &ipam, MEMBER).expect_err("not monitored");
    assert!(revoked.message.ends_with("it sees its own account alone."), "{revoked}");

    let mut world = World::empty(MEMBER);
    let ipam = world.create_ipam("eu-central-1", &[]);
    refused(&mut world, &ipam, ADMIN, "account-outside", ("account", MEMBER));
}

#[test]
fn inv_o5_accounts_that_join_later_are_covered() {
    let (mut world, ipam) = World::with_ipam();
    world.as_account(MANAGEMENT).accept(add("000000000004"));
    assert_eq!(seen(&world, &ipam, "000000000004", "eu-west-1"), Ok(()));
    world.accept(remove("000000000004"));
    assert_eq!(seen(&world, &ipam, "000000000004", "eu-west-1"), Err(NotMonitored::AccountOutside));
    world.accept(revoke(ADMIN));
    world.accept(add("000000000004"));
    assert!(!world.state.organization.has_role(account("000000000004")), "nobody is delegated now");
    assert_eq!(reach_of(&world, &ipam), Reach::OwnAccount, "a revoked administrator keeps its IPAM and itself");
    assert_eq!(seen(&world, &ipam, ADMIN, "eu-west-1"), Ok(()));
    assert_eq!(seen(&world, &ipam, MEMBER, "eu-west-1"), Err(NotMonitored::NoServiceLinkedRole));
}

#[test]
fn inv_o6_delegating_creates_no_ipam() {
    let mut world = World::organization();
    world.accept(delegate(ADMIN));
    assert_eq!(world.state.ipams.iter().count(), 0);
    let closest = authority::monitored(&world.state, Some(account(MEMBER)), Some(&region("eu-west-1")));
    assert_eq!(closest, Err(NotMonitored::NoIpam));
}

#[test]
fn inv_i3_what_is_not_seen_says_what_comes_closest() {
    let (mut world, ipam) = World::with_ipam();
    world.as_account(MEMBER).create_ipam("us-east-1", &[]);
    let monitored = |world: &World, whose: Option<&str>, place: Option<&str>| {
        authority::monitored(&world.state, whose.map(account), place.map(region).as_ref())
    };
    assert_eq!(seen(&world, &ipam, MEMBER, "us-east-1"), Err(NotMonitored::RegionNotOperated));
    for (whose, place, expected) in [
        (Some(MEMBER), Some("us-east-1"), Ok(())),
        (Some(MEMBER), Some("eu-west-1"), Ok(())),
        (Some(ADMIN), Some("us-east-1"), Err(NotMonitored::RegionNotOperated)),
        (Some(ADMIN), None, Err(NotMonitored::NoRegion)),
        (Some(MANAGEMENT), Some("eu-west-1"), Err(NotMonitored::NoServiceLinkedRole)),
        (Some(STRANGER), Some("eu-west-1"), Err(NotMonitored::AccountOutside)),
        (None, Some("eu-west-1"), Err(NotMonitored::NoAccount)),
    ] {
        assert_eq!(monitored(&world, whose, place), expected, "{whose:?} in {place:?}");
    }
}

#[test]
fn d19_members_report_of_their_own_resources_alone() {
    let may = |world: &mut World, whose: Option<&str>| {
        let command = world.command(add(STRANGER));
        let ask = Ask { state: &world.state, command: &command, now: world.now() };
        authority::may_observe(&ask, whose.map(account))
    };
    let (mut world, _) = World::with_ipam();
    for trusted in [MANAGEMENT, ADMIN] {
        world.as_account(trusted);
        for whose in [Some(trusted), Some(MEMBER), Some(STRANGER), None] {
            assert_eq!(may(&mut world, whose), Ok(()), "{trusted} reports of {whose:?}");
        }
    }
    world.as_account(MEMBER);
    assert_eq!(may(&mut world, Some(MEMBER)), Ok(()));
    for (whose, shown) in [(Some(ADMIN), ADMIN), (Some(STRANGER), STRANGER), (None, "none")] {
        let rejection = may(&mut world, whose).expect_err("not its own");
        let values = [("principal", MEMBER), ("account", shown)];
        assert_refused(&rejection, Code::UnauthorizedOperation, &values, &[], &[("attributes.account", MEMBER)]);
    }
    // The owner of an IPAM: of whom that sees, and of what is no member's.
    world.create_ipam("us-east-1", &[]);
    for whose in [Some(MEMBER), Some(STRANGER), None] {
        assert_eq!(may(&mut world, whose), Ok(()), "{whose:?}");
    }
    for others in [ADMIN, MANAGEMENT] {
        let rejection = may(&mut world, Some(others)).expect_err("its IPAM does not see that one");
        let values = [("principal", MEMBER), ("account", others)];
        assert_refused(&rejection, Code::UnauthorizedOperation, &values, &[], &[("attributes.account", MEMBER)]);
    }
    // An administrator that was revoked keeps its IPAM, and sees its own account alone.
    world.as_account(MANAGEMENT).accept(revoke(ADMIN));
    world.as_account(ADMIN);
    assert_eq!(may(&mut world, Some(ADMIN)), Ok(()));
    assert_eq!(may(&mut world, Some(MEMBER)).map_err(|refused| refused.code), Err(Code::UnauthorizedOperation));
}

#[test]
fn w3_a_lone_account_needs_no_organisation() {
    let mut world = World::empty(MEMBER);
    let rejection = world.reject(CreateOrganization { management_account: account(MEMBER) });
    let works = [("CreateIpam", "by 000000000003, at once"), ("organization", "an id that begins with `o-`")];
    assert_refused(&rejection, Code::UnsupportedOperation, &[("organization", MEMBER)], &[], &works);
    for body in [add(ADMIN), remove(MEMBER), delegate(ADMIN), revoke(ADMIN), register(ADMIN), deregister(ADMIN)] {
        let works = [("organization", "an id that begins with `o-`")];
        let rejection = world.reject(body);
        assert_refused(&rejection, Code::UnsupportedOperation, &[("organization", MEMBER)], &[], &works);
    }
    assert!(!world.state.exists());

    world.principal = Principal { account: account(ADMIN), name: None, proof: Proof::None };
    let rejection = world.reject(SetQuota { quota: Quota::ScopesPerIpam, value: 6 });
    let (values, works) = ([("principal", ADMIN)], [("principal", MEMBER)]);
    assert_refused(&rejection, Code::UnauthorizedOperation, &values, &[], &works);

    world.as_account(MEMBER).create_ipam("eu-central-1", &[]);
    world.accept(SetQuota { quota: Quota::ScopesPerIpam, value: 6 });
    assert!(world.state.exists());
}

#[test]
fn quotas_are_set_within_bounds() {
    let mut world = World::organization();
    for (quota, value, value_max) in
        [(Quota::ScopesPerIpam, 0, "100000"), (Quota::PoolsPerScope, 100_001, "100000"), (Quota::PoolDepth, 101, "100")]
    {
        let rejection = world.reject(SetQuota { quota, value });
        let values = [("quota", quota.to_string()), ("value", value.to_string())];
        let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
        let allowed = format!("1 to {value_max}");
        assert_refused(&rejection, Code::InvalidParameterValue, &values, &[], &[("allowed", &allowed)]);
    }
    for quota in Quota::ALL.into_iter().filter(|quota| !quota.is_adjustable()) {
        let rejection = world.reject(SetQuota { quota, value: 2 });
        let name = quota.to_string();
        assert_refused(&rejection, Code::QuotaNotAdjustable, &[("quota", &name), ("value", "1")], &[], &[]);
    }
    let set = SetQuota { quota: Quota::PoolDepth, value: 100 };
    let event = event::QuotaSet { quota: Quota::PoolDepth, value: 100 };
    assert_eq!(world.accept(set.clone()), [Event::from(event)]);
    assert_eq!(world.accept(set), [], "already so");
    assert_eq!(world.accept(SetQuota { quota: Quota::CidrsPerPool, value: 50 }), [], "the default, already so");
    assert_eq!(world.state.organization.quota(Quota::PoolDepth), 100);
}
