//! Named cases of lineage: what happened, then who held it.

use super::answers::{Changed, Held, Holder, LineageAnswer, Observed};
use super::fold::fold_outcome;
use super::memory::Memory;
use super::testing::{
    self, History, account, allocated, at, attributes, bound, gone, id, ipam_created, name, observed, pool_created,
    pool_deleted, private_scope, provisioned, released, retracted,
};
use super::{LineageQuery, QueryError, lineage, resource_history};
use crate::address::Family;
use crate::domain::event::{Event, ResourceName};
use crate::domain::id::{AllocationId, Revision};
use crate::domain::kind::ResourceKind;
use crate::domain::time::Timestamp;
use crate::views::table::{MemoryTable, Rows, Table, TableError, Visit};
use crate::views::when::Window;

fn folded(events: Vec<Event>) -> History {
    let mut history = History::new();
    for event in events {
        history.fold(vec![event]);
    }
    history
}

fn ask(history: &History, query: &LineageQuery) -> LineageAnswer {
    lineage(&history.table, &history.organization, history.head(), query).expect("an answer")
}

fn who(history: &History, cidr: &str, when: i64) -> LineageAnswer {
    ask(history, &LineageQuery::who(cidr.parse().expect("a CIDR"), at(when)))
}

fn all(history: &History, cidr: &str) -> Vec<Held> {
    ask(history, &LineageQuery::history(cidr.parse().expect("a CIDR"))).held
}

fn ends(held: &[Held]) -> Vec<(i64, Option<i64>)> {
    held.iter().map(|held| (held.from.micros(), held.until.map(Timestamp::micros))).collect()
}

fn vpc() -> ResourceName {
    name(ResourceKind::Vpc, "vpc-1")
}

fn vpc_seen(when: i64) -> Event {
    observed(&vpc(), when, &["10.0.0.0/16"], attributes(2, "eu-1"))
}

#[test]
fn nobody_is_not_unknown() {
    let history = folded(vec![vpc_seen(100), gone(&vpc(), 200)]);
    let first_observed = at(100);
    for (cidr, when, held, observed) in [
        ("10.0.0.1/32", 99, 0, Observed::UnknownUntil { first_observed }),
        ("10.0.0.1/32", 100, 1, Observed::Known),
        ("10.0.0.1/32", 199, 1, Observed::Known),
        ("10.0.0.1/32", 200, 0, Observed::Known),
        ("11.0.0.1/32", 150, 0, Observed::Never),
        ("fd00::1/128", 150, 0, Observed::Never),
    ] {
        let answer = who(&history, cidr, when);
        assert_eq!((answer.held.len(), answer.observed), (held, Some(observed)), "{cidr} at {when}");
    }
}

#[test]
fn t48_an_interval_runs_from_the_first_sample_to_the_sample_that_missed_it() {
    let hour = |hours: i64, minutes: i64| (hours * 60 + minutes) * 60_000_000;
    let history = folded(vec![vpc_seen(hour(15, 5)), vpc_seen(hour(16, 5)), gone(&vpc(), hour(17, 5))]);
    assert_eq!(ends(&all(&history, "10.0.0.0/16")), [(hour(15, 5), Some(hour(17, 5)))]);
}

#[test]
fn at_one_instant_present_beats_gone_in_either_order() {
    for events in [vec![vpc_seen(100), gone(&vpc(), 100)], vec![gone(&vpc(), 100), vpc_seen(100)]] {
        assert_eq!(ends(&all(&folded(events), "10.0.0.0/16")), [(100, None)]);
    }
}

#[test]
fn contradictions_both_count_until_one_is_withdrawn() {
    let other = observed(&vpc(), 100, &["10.9.0.0/16"], attributes(3, "eu-1"));
    let mut history = folded(vec![vpc_seen(100), other]);
    let held = all(&history, "10.0.0.0/8");
    assert_eq!(ends(&held), [(100, None), (100, None)]);
    for held in &held {
        let [change] = held.changes.as_slice() else { panic!("{held:?}") };
        assert!(matches!(&change.now, Changed::Conflict(contradictions) if contradictions.len() == 2));
    }
    history.fold(vec![retracted(&vpc(), 100, 1)]);
    let held = all(&history, "10.0.0.0/8");
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].cidr.to_string().as_str(), held[0].changes.len()), ("10.9.0.0/16", 0));
    // It stays in the history of what was known.
    let query = LineageQuery::history("10.0.0.0/8".parse().expect("a CIDR"));
    let before = lineage(&history.table, &history.organization, history.head_at(2), &query).expect("an answer");
    assert_eq!(before.held.len(), 2);
}

#[test]
fn a_contradiction_shows_for_as_long_as_it_stands_whoever_came_first() {
    let outside = observed(&vpc(), 100, &["10.0.0.0/16"], attributes(9, "eu-1"));
    for (one, other) in [(&outside, &vpc_seen(100)), (&vpc_seen(100), &outside)] {
        let again = observed(&vpc(), 200, &["10.0.0.0/16"], attributes(2, "eu-1"));
        let history = folded(vec![one.clone(), other.clone(), again]);
        for (when, expected) in [(100, &["conflict 100"][..]), (199, &["conflict 100"]), (200, &[])] {
            let held = who(&history, "10.0.0.1/32", when).held;
            assert_eq!(changes(&held[0]), expected, "at {when}, {one:?} first");
        }
        // Its end shows, whichever of the two it is that is seen again.
        assert_eq!(changes(&all(&history, "10.0.0.1/32")[0]), ["conflict 100", "attributes 200"], "{one:?} first");
        let filter = |account| super::ChangesFilter { kind: ResourceKind::Vpc, region: Some(testing::region(account)) };
        let elsewhere = observed(&vpc(), 100, &["10.0.0.0/16"], attributes(2, "us-1"));
        let mut history = folded(vec![one.clone(), other.clone(), elsewhere, gone(&vpc(), 300)]);
        for region in ["eu-1", "us-1"] {
            let head = history.head();
            let answer =
                super::changes(&history.table, &history.organization, head, &filter(region), Window::ALL, 10, None)
                    .expect("an answer");
            assert_eq!(answer.changes.len(), 2, "{region}: {answer:?}");
            assert!(answer.changes.iter().all(|change| change.region == Some(testing::region(region))), "{answer:?}");
        }
        // Withdrawn, it is no contradiction any more.
        history.fold(vec![retracted(&vpc(), 100, 1)]);
        history.fold(vec![retracted(&vpc(), 100, 3)]);
        assert_eq!(changes(&who(&history, "10.0.0.1/32", 150).held[0]), [""; 0], "{one:?} first");
    }
}

fn changes(held: &Held) -> Vec<String> {
    let what = |change: &Changed| match change {
        Changed::Conflict(contradictions) => {
            assert_eq!(contradictions.len(), 2);
            "conflict"
        }
        Changed::Attributes(_) => "attributes",
        other => panic!("{other:?}"),
    };
    held.changes.iter().map(|change| format!("{} {}", what(&change.now), change.at.micros())).collect()
}

#[test]
fn a_late_fact_changes_the_world_and_not_what_was_known() {
    let history = folded(vec![vpc_seen(100), vpc_seen(300), gone(&vpc(), 200)]);
    let held = all(&history, "10.0.0.5/32");
    assert_eq!(ends(&held), [(300, None), (100, Some(200))]);
    assert_eq!(held[0].known.revision, Revision(3), "that it began anew is known since the late fact");
    assert_eq!(held[1].known.revision, Revision(1));
    assert_eq!(held[1].end_known.expect("it ended").revision, Revision(3));
    assert_eq!(held[1].ended.as_ref().and_then(|cause| cause.reason.as_deref()), Some("reason 3"));
    let query = LineageQuery::history("10.0.0.5/32".parse().expect("a CIDR"));
    let before = lineage(&history.table, &history.organization, history.head_at(2), &query).expect("an answer");
    assert_eq!(ends(&before.held), [(100, None)]);
}

#[test]
fn attributes_change_within_an_interval() {
    let moved = observed(&vpc(), 200, &["10.0.0.0/16"], attributes(3, "eu-1"));
    let history = folded(vec![vpc_seen(100), moved]);
    let held = all(&history, "10.0.0.0/16");
    assert_eq!(ends(&held), [(100, None)]);
    assert_eq!(held[0].changes.len(), 1);
    assert_eq!(held[0].changes[0].at, at(200));
    for (when, number) in [(100, 2), (199, 2), (200, 3), (300, 3)] {
        let held = who(&history, "10.0.0.0/16", when).held;
        let Holder::Resource { attributes, .. } = &held[0].holder else { panic!("a resource") };
        assert_eq!(attributes.account, Some(account(number)), "at {when}");
    }
}

fn stage() -> Vec<Event> {
    vec![ipam_created(0, 2, &["eu-1"]), pool_created(0, private_scope(0), Family::Ipv4), provisioned(0, "10.0.0.0/8")]
}

#[test]
fn an_address_tells_its_pool_its_allocation_and_its_resource_with_who_and_why() {
    let mut events = stage();
    events.extend([allocated(0, 0, "10.0.0.0/16", None), bound(0, &vpc()), vpc_seen(5_500)]);
    events.push(released(0, 0, "10.0.0.0/16"));
    let history = folded(events);
    let held = who(&history, "10.0.0.7/32", 5_500).held;
    let [resource, allocation, pool] = held.as_slice() else { panic!("{held:?}") };
    assert!(matches!(&resource.holder, Holder::Resource { id, .. } if id == "vpc-1"));
    let Holder::Allocation { resource: Some(claim), description, scope, .. } = &allocation.holder else {
        panic!("{allocation:?}")
    };
    assert_eq!((claim.id.as_str(), description.as_deref(), *scope), ("vpc-1", Some("bound"), private_scope(0)));
    assert_eq!((allocation.from, allocation.until), (at(4_000), Some(at(7_000))));
    assert_eq!(allocation.began.reason.as_deref(), Some("reason 4"));
    assert_eq!(allocation.began.principal.name.as_deref(), Some("ann"));
    assert_eq!(allocation.ended.as_ref().expect("it was released").revision, Revision(7));
    assert!(matches!(&pool.holder, Holder::Pool { name: Some(name), .. } if name == "pool 0"));
    assert_eq!(all(&history, "10.0.0.7/32")[1].changes.len(), 2, "description and resource, in the second row");

    let other_scope = LineageQuery {
        scope: Some(private_scope(7)),
        ..LineageQuery::who("10.0.0.7/32".parse().expect("a CIDR"), at(5_500))
    };
    assert_eq!(ask(&history, &other_scope).held.len(), 1, "the resource alone");
}

/// Counts what a fold writes.
struct Counted(MemoryTable, usize);

impl Rows for Counted {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.0.get(key)
    }
    fn scan(&self, from: &[u8], to: &[u8], each: &mut Visit<'_>) -> Result<(), TableError> {
        self.0.scan(from, to, each)
    }
}

impl Table for Counted {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.1 += 1;
        self.0.put(key, value);
    }
    fn delete(&mut self, key: Vec<u8>) {
        self.1 += 1;
        self.0.delete(key);
    }
}

#[test]
fn a_cascade_ends_any_number_of_allocations_with_a_few_rows() {
    let mut events = stage();
    events.extend((0..2_000_u32).map(|n| allocated(0, n, &format!("10.{}.{}.0/24", n / 256, n % 256), None)));
    let mut history = History::new();
    history.fold(events);
    let before = history.head();
    let mut counted = Counted(history.table.clone(), 0);
    let outcome = history.outcome(vec![pool_deleted(0, &["10.0.0.0/8"])]);
    let moment = outcome.moment().expect("it is part of the history");
    fold_outcome(&mut Memory::default(), &mut counted, &outcome).expect("memory can be read");
    history.take(&outcome);
    assert!(counted.1 < 20, "{} rows", counted.1);

    let query =
        LineageQuery { inside: true, ..LineageQuery::who("10.0.0.0/8".parse().expect("a CIDR"), moment.decided_at) };
    assert_eq!(ask(&history, &query).held, []);
    // The pool and its allocations began with one outcome: the wider block comes first.
    let held = &all(&history, "10.3.7.9/32")[1];
    assert_eq!((held.until, held.end_known), (Some(moment.decided_at), Some(moment)));
    assert!(
        matches!(&held.holder, Holder::Allocation { allocation, .. } if *allocation == id(AllocationId::new, 3 * 256 + 7))
    );
    let known = lineage(&history.table, &history.organization, before, &LineageQuery::history(held.cidr));
    assert_eq!(known.expect("an answer").held[0].until, None, "before the cascade nobody knew of it");
}

#[test]
fn a_continuation_of_something_else_is_refused() {
    let history = folded(vec![vpc_seen(100)]);
    for text in ["x", "0", "zz", "07", "01ff", "é1"] {
        let query = LineageQuery {
            after: Some(text.to_owned()),
            ..LineageQuery::history("10.0.0.0/8".parse().expect("a CIDR"))
        };
        let answer = lineage(&history.table, &history.organization, history.head(), &query);
        assert!(matches!(answer, Err(QueryError::Continuation(_))), "{text}");
    }
}

#[test]
fn a_resource_has_its_history_page_by_page() {
    let both = observed(&vpc(), 200, &["10.0.0.0/16", "fd00::/56"], attributes(2, "eu-1"));
    let history = folded(vec![vpc_seen(100), both, gone(&vpc(), 300), vpc_seen(400), gone(&vpc(), 250)]);
    let page = |limit, after: Option<&str>| {
        let (table, organization) = (&history.table, &history.organization);
        resource_history(table, organization, history.head(), &vpc(), Window::ALL, limit, after).expect("an answer")
    };
    let whole = page(100, None);
    assert_eq!(ends(&whole.held), [(400, None), (100, Some(250)), (200, Some(250))]);
    let (mut held, mut next) = (Vec::new(), None);
    loop {
        let answer = page(1, next.as_deref());
        held.extend(answer.held);
        next = answer.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(held, whole.held);
}
