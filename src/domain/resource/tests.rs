//! Observations: given a world, when facts come in whatever order, then what is known and what is refused.

use super::*;
use crate::domain::check;
use crate::domain::command::*;
use crate::domain::event::{Event, NotMonitored, ResourceObserved};
use crate::domain::id::Region;
use crate::domain::kind::ResourceKind;
use crate::domain::rejection::Code;
use crate::domain::testing::{ADMIN, MANAGEMENT, MEMBER, STRANGER, World, account, cidr, region};
use crate::domain::time::Timestamp;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_600_000_000_000_000 + seconds * 1_000_000)
}

fn of(asks: &str) -> ResourceAttributes {
    ResourceAttributes { account: Some(account(asks)), region: Some(region("eu-central-1")), ..Default::default() }
}

fn seen(observed_at: Timestamp, blocks: &[&str]) -> ObserveResource {
    ObserveResource {
        kind: ResourceKind::Vpc,
        id: "vpc-a".to_owned(),
        observed_at,
        cidrs: blocks.iter().map(|block| ObservedCidr { cidr: cidr(block), visibility: None }).collect(),
        attributes: of(ADMIN),
    }
}

fn gone(observed_at: Timestamp) -> ObserveResourceGone {
    ObserveResourceGone { kind: ResourceKind::Vpc, id: "vpc-a".to_owned(), observed_at, source: None }
}

fn retract(observed_at: Timestamp) -> RetractObservation {
    RetractObservation { kind: ResourceKind::Vpc, id: "vpc-a".to_owned(), observed_at, revision: None }
}

fn recorded(events: &[Event]) -> &ResourceObserved {
    match events {
        [Event::ResourceObserved(observed)] => observed,
        other => panic!("observing gave {other:#?}"),
    }
}

/// The blocks that the resource has now.
fn blocks(world: &World) -> Vec<String> {
    let resource = world.state.resources().find(ResourceKind::Vpc, "vpc-a");
    let mut blocks: Vec<_> = resource
        .into_iter()
        .flat_map(Resource::current)
        .flat_map(|presence| &presence.cidrs)
        .map(|seen| seen.cidr.to_string())
        .collect();
    blocks.sort();
    blocks
}

#[test]
fn d15_the_latest_observation_counts_in_whatever_order_they_come() {
    let facts: [(CommandBody, usize); 4] = [
        (seen(at(0), &["10.0.0.0/24"]).into(), 0),
        (gone(at(10)).into(), 1),
        (seen(at(20), &["10.1.0.0/24", "10.2.0.0/24"]).into(), 2),
        (gone(at(20)).into(), 3),
    ];
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1], [1, 3, 0, 2]];
    for order in orders {
        let (mut world, _) = World::with_ipam();
        for fact in order {
            world.accept(facts[fact].0.clone());
        }
        // Present beats gone at one instant.
        assert_eq!(blocks(&world), ["10.1.0.0/24", "10.2.0.0/24"], "{order:?}");
        let resource = world.state.resources().find(ResourceKind::Vpc, "vpc-a").expect("it is known");
        assert_eq!(resource.observations.len(), 4);
    }
}

#[test]
fn d15_an_equal_fact_makes_no_events() {
    let (mut world, _) = World::with_ipam();
    let two = seen(at(0), &["10.0.0.0/24", "10.1.0.0/24"]);
    let swapped = seen(at(0), &["10.1.0.0/24", "10.0.0.0/24"]);
    let explicit = ObserveResource {
        cidrs: two
            .cidrs
            .iter()
            .map(|one| ObservedCidr { visibility: Some(Visibility::Private), ..one.clone() })
            .collect(),
        ..two.clone()
    };
    world.accept(two.clone());
    for same in [two.clone(), swapped, explicit] {
        assert_eq!(world.accept(same), []);
    }
    world.accept(gone(at(5)));
    assert_eq!(world.accept(gone(at(5))), []);
    // Another instant, or another attribute, is another fact.
    assert_eq!(world.accept(seen(at(1), &["10.0.0.0/24"])).len(), 1);
    let renamed = ResourceAttributes { name: Some("n".to_owned()), ..of(ADMIN) };
    assert_eq!(world.accept(ObserveResource { attributes: renamed, ..two }).len(), 1);
}

#[test]
fn d15_different_presents_at_one_instant_both_count_until_one_is_withdrawn() {
    let (mut world, _) = World::with_ipam();
    world.accept(seen(at(0), &["10.0.0.0/24"]));
    let first = world.revision();
    world.accept(seen(at(0), &["10.1.0.0/24"]));
    assert_eq!(blocks(&world), ["10.0.0.0/24", "10.1.0.0/24"]);
    let ambiguous = world.reject(retract(at(0)));
    assert_eq!(ambiguous.code, Code::MissingParameter);
    assert_eq!(ambiguous.would_work["revision"], format!("{first}, {}", first.next()));
    world.accept(RetractObservation { revision: Some(first), ..retract(at(0)) });
    assert_eq!(blocks(&world), ["10.1.0.0/24"]);
    world.accept(retract(at(0)));
    assert!(world.state.resources().find(ResourceKind::Vpc, "vpc-a").is_none());
    for unknown in [retract(at(0)), retract(at(1))] {
        assert_eq!(world.reject(unknown).code, Code::ObservationNotFound);
    }
}

#[test]
fn d15_a_hundred_observations_stand_at_one_instant_and_no_more() {
    let (mut world, _) = World::with_ipam();
    for number in 0..100 {
        world.accept(seen(at(0), &[&format!("10.0.{number}.0/24")]));
    }
    let refused = world.reject(seen(at(0), &["10.1.0.0/24"]));
    assert_eq!((refused.code, refused.values["limit"].as_str()), (Code::QuotaExceeded, "100"));
    assert_eq!(world.reject(gone(at(0))).code, Code::QuotaExceeded);
    world.accept(seen(at(1), &["10.1.0.0/24"]));
}

#[test]
fn d15_a_clock_may_run_a_minute_fast() {
    let (mut world, _) = World::with_ipam();
    let now = world.now();
    let fast = seen(now.plus_micros(60_000_000), &["10.0.0.0/24"]);
    let events = world.accept(fast.clone());
    assert_eq!((recorded(&events).observed_at, recorded(&events).reported_at), (now, Some(fast.observed_at)));
    // The same report again is known, although the ledger's clock has moved.
    assert_eq!(world.accept(fast.clone()), []);
    // It is withdrawn by what its sender said, and can be reported anew.
    world.accept(retract(fast.observed_at));
    assert_eq!(blocks(&world), [""; 0]);
    assert_eq!(world.accept(fast.clone()).len(), 1);
    // Behind something later it is news, whether or not its instant has come.
    world.accept(gone(world.now()));
    assert_eq!(blocks(&world), [""; 0]);
    assert_eq!(world.accept(fast.clone()).len(), 1);
    assert_eq!(blocks(&world), ["10.0.0.0/24"]);
    let now = world.now();
    let refused = world.reject(seen(now.plus_micros(60_000_001), &["10.0.0.0/24"]));
    assert_eq!((refused.code, &*refused.rule), (Code::ObservedInTheFuture, "D15"));
    let now = world.now();
    assert_eq!(world.reject(gone(now.plus_micros(61_000_000))).code, Code::ObservedInTheFuture);
}

#[test]
fn d15_nothing_known_is_refused_and_what_is_not_monitored_says_why() {
    let (mut world, _) = World::with_ipam();
    let why = |world: &mut World, attributes| {
        let events = world.accept(ObserveResource { attributes, ..seen(world.now(), &["10.0.0.0/24"]) });
        recorded(&events).not_monitored
    };
    let mut anonymous = of(ADMIN);
    anonymous.account = None;
    let mut nowhere = of(ADMIN);
    nowhere.region = None;
    let mut elsewhere = of(ADMIN);
    elsewhere.region = Some(region("us-east-1"));
    assert_eq!(why(&mut world, of(ADMIN)), None);
    assert_eq!(why(&mut world, of(MEMBER)), None);
    assert_eq!(why(&mut world, of(STRANGER)), Some(NotMonitored::AccountOutside));
    assert_eq!(why(&mut world, anonymous), Some(NotMonitored::NoAccount));
    assert_eq!(why(&mut world, nowhere), Some(NotMonitored::NoRegion));
    assert_eq!(why(&mut world, elsewhere), Some(NotMonitored::RegionNotOperated));
    world.accept(gone(at(-10)));
    let mut before_any = World::organization();
    assert_eq!(why(&mut before_any, of(ADMIN)), Some(NotMonitored::NoIpam));
    let prefix = ObserveResource {
        kind: ResourceKind::Prefix,
        id: "AMAZON/us-west-2/52.94.76.0/22".to_owned(),
        attributes: ResourceAttributes::default(),
        ..seen(at(0), &["52.94.76.0/22"])
    };
    assert_eq!(recorded(&world.accept(prefix)).not_monitored, Some(NotMonitored::Published));
}

#[test]
fn d16_observations_are_well_formed() {
    let (mut world, _) = World::with_ipam();
    let good = seen(at(0), &["10.0.0.0/24"]);
    let of_kind = |kind| ObserveResource { kind, ..good.clone() };
    let said = |kind, visibility| ObserveResource {
        cidrs: vec![ObservedCidr { cidr: cidr("10.0.0.0/24"), visibility: Some(visibility) }],
        ..of_kind(kind)
    };
    let with = |attributes| ObserveResource { attributes, ..good.clone() };
    let too_many = || (0..=check::TAGS_MAX).map(|n| (format!("key{n}"), String::new())).collect::<Tags>();
    let long_key = || Tags::from([("k".repeat(129), String::new())]);
    let long_value = || Tags::from([("k".to_owned(), "v".repeat(257))]);
    for (command, code) in [
        (with(ResourceAttributes { name: Some("n".repeat(257)), ..of(ADMIN) }), Code::InvalidParameterValue),
        (with(ResourceAttributes { parent: Some("p".repeat(257)), ..of(ADMIN) }), Code::InvalidParameterValue),
        (with(ResourceAttributes { source: Some("s".repeat(257)), ..of(ADMIN) }), Code::InvalidParameterValue),
        (with(ResourceAttributes { tags: too_many(), ..of(ADMIN) }), Code::InvalidParameterValue),
        (with(ResourceAttributes { labels: too_many(), ..of(ADMIN) }), Code::InvalidParameterValue),
        (with(ResourceAttributes { tags: long_key(), ..of(ADMIN) }), Code::InvalidParameterValue),
        (with(ResourceAttributes { tags: long_value(), ..of(ADMIN) }), Code::InvalidParameterValue),
        (of_kind(ResourceKind::Custom), Code::InvalidParameterValue),
        (of_kind(ResourceKind::IpamPool), Code::InvalidParameterValue),
        (of_kind(ResourceKind::Instance), Code::MissingParameter),
        (of_kind(ResourceKind::NetworkInterface), Code::MissingParameter),
        (said(ResourceKind::Vpc, Visibility::Public), Code::InvalidParameterValue),
        (said(ResourceKind::Eip, Visibility::Private), Code::InvalidParameterValue),
        (ObserveResource { id: String::new(), ..good.clone() }, Code::InvalidParameterValue),
        (ObserveResource { id: "x".repeat(257), ..good.clone() }, Code::InvalidParameterValue),
        (seen(at(0), &[]), Code::InvalidParameterValue),
        (seen(at(0), &["10.0.0.0/24", "10.0.0.0/24"]), Code::InvalidParameterValue),
        (seen(at(0), &["10.0.0.0/24"; 1001]), Code::InvalidParameterValue),
    ] {
        assert_eq!(world.reject(command.clone()).code, code, "{:?}", command.kind);
    }
    world.accept(said(ResourceKind::Instance, Visibility::Public));
}

#[test]
fn d19_members_report_of_their_own_resources() {
    let (mut world, _) = World::with_ipam();
    let own = ObserveResource { attributes: of(MEMBER), ..seen(at(0), &["10.0.0.0/24"]) };
    world.as_account(MEMBER).accept(own.clone());
    world.accept(gone(at(1)));
    world.as_account(MANAGEMENT).accept(seen(at(2), &["10.0.0.0/24"]));
    world.as_account(MEMBER);
    // Known as another's since: not to be taken over, ended or withdrawn.
    let commands: [CommandBody; 4] = [
        seen(at(3), &["10.0.0.0/24"]).into(),
        ObserveResource { observed_at: at(3), ..own }.into(),
        gone(at(3)).into(),
        retract(at(2)).into(),
    ];
    for command in commands {
        assert_eq!(world.reject(command).code, Code::UnauthorizedOperation);
    }
    // Of what nobody has reported yet it may not say that it is gone.
    let refused = world.reject(ObserveResourceGone { id: "vpc-new".to_owned(), ..gone(at(3)) });
    assert_eq!(refused.code, Code::UnauthorizedOperation);
    assert_eq!(refused.would_work["ObserveResource"], format!("first, with `attributes.account` {MEMBER}"));
}

/// Design D16, D18: a change of reach costs what it changes, however many resources others have.
#[test]
fn d18_a_change_of_reach_places_anew_those_alone_whom_it_changes() {
    let (mut world, ipam) = World::with_ipam();
    let (operated, other) = (region("eu-central-1"), region("us-east-1"));
    for (asks, region) in [ADMIN, MEMBER, STRANGER].iter().flat_map(|asks| [(asks, &operated), (asks, &other)]) {
        for number in 0..10 {
            let id = format!("{asks}/{region}/{number}");
            let attributes = ResourceAttributes { region: Some(region.clone()), ..of(asks) };
            world.accept(ObserveResource { id, attributes, ..seen(at(0), &["10.0.0.0/24"]) });
        }
    }
    let moved = |world: &mut World, change: &dyn Fn(&mut crate::domain::State)| -> Vec<String> {
        change(&mut world.state);
        let names = placing::seen_anew(&mut world.state);
        for name in &names {
            placing::place_anew(&mut world.state, name);
        }
        names.iter().map(|name| name.id.clone()).collect()
    };
    let all_of = |asks: &str, region: &Region| (0..10).map(|n| format!("{asks}/{region}/{n}")).collect::<Vec<_>>();
    assert_eq!(moved(&mut world, &|_| {}), [""; 0], "nothing has changed");
    let leaves = |state: &mut crate::domain::State| drop(state.organization.accounts.remove(&account(MEMBER)));
    assert_eq!(moved(&mut world, &leaves), all_of(MEMBER, &operated));
    let opens = |state: &mut crate::domain::State| {
        state.ipams.known_mut(ipam.ipam).operating_regions.insert(region("us-east-1"));
    };
    assert_eq!(moved(&mut world, &opens), all_of(ADMIN, &other));
    assert_eq!(moved(&mut world, &|_| {}), [""; 0], "it is noted");
    // A resource is where it was last seen, and nowhere once nothing is known of it.
    let id = format!("{ADMIN}/us-east-1/3");
    world.accept(ObserveResource { id: id.clone(), ..seen(at(1), &["10.0.0.0/24"]) });
    let last = format!("{ADMIN}/us-east-1/4");
    world.accept(RetractObservation { id: last.clone(), ..retract(at(0)) });
    let closes = |state: &mut crate::domain::State| {
        state.ipams.known_mut(ipam.ipam).operating_regions.remove(&region("us-east-1"));
    };
    let stayed: Vec<_> = all_of(ADMIN, &other).into_iter().filter(|one| *one != id && *one != last).collect();
    assert_eq!(moved(&mut world, &closes), stayed);
}
