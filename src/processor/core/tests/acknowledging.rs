//! What is answered, and when.

use super::*;

#[test]
fn nothing_is_answered_before_it_is_read_back() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x"), request(2, "o-a0", 2, "no"), request(3, "o-b0", 3, "y")]);
    assert_eq!((node.answered(), node.flight.len()), (vec![], 3));
    node.land(&mut ledger, 2);
    node.read(&ledger);
    assert_eq!(node.answered(), [(1, true, false), (2, false, false)]);
    node.settle(&mut ledger);
    assert_eq!(node.answered(), [(1, true, false), (2, false, false), (3, true, false)]);
    let values: Vec<_> = node.answers.iter().map(|(_, outcome, _)| outcome.clone()).collect();
    assert_eq!(values, ledger.outcomes(), "the answer is the record");
}

#[test]
fn a_duplicate_waits_for_the_original_and_gets_its_answer() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x"), request(2, "o-a0", 1, "x")]);
    node.local(vec![request(3, "o-a0", 1, "x")]);
    assert_eq!((node.answered(), node.flight.len()), (vec![], 1));
    node.settle(&mut ledger);
    assert_eq!(node.answered(), [(2, true, true), (3, true, true), (1, true, false)]);
    node.local(vec![request(4, "o-a0", 1, "x")]);
    assert_eq!(node.answered().last(), Some(&(4, true, true)), "after the acknowledgement at once");
    assert_eq!((ledger.outcomes().len(), node.flight.len()), (1, 0));
}

#[test]
fn another_command_under_a_used_id_is_refused_off_the_record_and_the_first_answer_stays() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x"), request(2, "o-a0", 1, "other")]);
    assert_eq!(node.answered(), [], "the refusal waits: the first may still be lost");
    node.settle(&mut ledger);
    node.local(vec![request(3, "o-a0", 1, "other"), request(4, "o-a0", 1, "x")]);
    assert_eq!(node.answered(), [(2, false, false), (1, true, false), (3, false, false), (4, true, true)]);
    for index in [0, 2] {
        let refusal = &node.answers[index].1;
        assert_eq!(code(refusal), Some(Code::IdempotentParameterMismatch));
        assert_eq!((refusal.revision, refusal.previous), (None, None));
    }
    assert_eq!((ledger.outcomes().len(), node.flight.len()), (1, 0));
}

#[test]
fn the_same_id_in_another_organisation_is_another_command() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x"), request(2, "o-b0", 1, "x")]);
    node.settle(&mut ledger);
    assert_eq!(node.answered(), [(1, true, false), (2, true, false)]);
    assert_eq!(ledger.outcomes().len(), 2);
}

#[test]
fn ids_are_forgotten_only_where_the_memory_covers_them() {
    let limits = Limits { recent_ids_max: 2, uncovered_ids_max: 5, ..config().limits };
    let shelf = |covered| Arc::new(Shelf { covered: Mutex::new(Offset(covered)), ..Shelf::default() });
    for (covered, kept, room) in
        [(0, 5, 0), (2, 4, config().limits.batch_commands_max), (100, 2, config().limits.batch_commands_max)]
    {
        let mut ledger = Ledger::default();
        let mut node = Node::with(1, Config { limits, ..config() }, shelf(covered), None);
        node.take_over(&mut ledger);
        for n in 1..=5 {
            node.local(vec![request(0, "o-a0", n, "x")]);
            node.settle(&mut ledger);
        }
        assert_eq!((node.core.recents.len(), node.core.room()), (kept, room), "covered up to {covered}");
    }
}

/// Found by the simulation: it looked at the memory only when it read something, and a writer without room reads nothing.
#[test]
fn a_writer_that_waits_for_the_memory_goes_on_when_that_has_caught_up() {
    let limits = Limits { recent_ids_max: 2, uncovered_ids_max: 5, ..config().limits };
    let shelf = Arc::new(Shelf::default());
    let mut node = Node::with(1, Config { limits, ..config() }, shelf.clone(), None);
    let mut ledger = Ledger::default();
    node.take_over(&mut ledger);
    node.local((0..5).map(|n| request(n, "o-a0", u128::from(n), "x")).collect());
    node.settle(&mut ledger);
    assert_eq!(node.core.room(), 0, "nothing more until the memory has some of it");
    *shelf.covered.lock().expect("no panic while held") = Offset(6);
    node.step(Input::Tick { now: node.now });
    assert!(node.core.room() > 0);
}

#[test]
fn a_forgotten_id_is_found_in_the_memory_and_a_broken_memory_decides_nothing() {
    let limits = Limits { recent_ids_max: 1, ..config().limits };
    let (mut first, mut ledger) = reigning();
    first.local(vec![request(0, "o-a0", 1, "x")]);
    first.settle(&mut ledger);
    let outcome = ledger.outcomes().remove(0);
    let key = (outcome.organization.clone(), outcome.command_id);
    let known =
        Known { offset: ledger.records[1].offset, digest: outcome.digest, value: Arc::clone(&ledger.records[1].value) };
    for broken in [false, true] {
        let outcomes = BTreeMap::from([(key.clone(), known.clone())]);
        let shelf = Arc::new(Shelf { outcomes, covered: Mutex::new(Offset(2)), broken, ..Shelf::default() });
        let mut ledger = ledger.clone();
        let mut node = Node::with(2, Config { limits, ..config() }, shelf.clone(), None);
        node.take_over(&mut ledger);
        node.local(vec![request(1, "o-a0", 8, "y"), request(2, "o-a0", 9, "z")]);
        node.settle(&mut ledger);
        assert!(shelf.asked.lock().expect("no panic while held").is_empty(), "new UUIDv7 ids need no look-up");
        node.answers.clear();
        node.local(vec![request(3, "o-a0", 1, "x")]);
        if broken {
            assert!(matches!(&node.end, Some(end @ End::Memory(_)) if end.then() == Then::TakeOver));
            assert!(node.flight.is_empty());
        } else {
            assert_eq!(node.answered(), [(3, true, true)]);
            assert_eq!(node.answers[0].1, outcome);
        }
    }
}

#[test]
fn a_lost_record_ends_the_incarnation_when_the_next_one_comes_and_by_time() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x"), request(2, "o-a0", 2, "y")]);
    node.flight.pop_front();
    node.settle(&mut ledger);
    assert_eq!(node.end, Some(End::Gap { seq: Seq(1), offset: Offset(1) }));
    assert_eq!(node.answered(), []);

    let (mut node, _) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x")]);
    node.step(Input::Tick { now: at(60 * SECOND) });
    assert_eq!(node.end, None);
    node.step(Input::Tick { now: at(61 * SECOND) });
    assert_eq!(node.end, Some(End::Unread(Duration::from_mins(1))));
}

#[test]
fn a_doubled_record_is_void_and_harms_nobody() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x"), request(2, "o-a0", 2, "y")]);
    let first = node.flight[0].clone();
    node.land(&mut ledger, 1);
    ledger.land(at(0), &first);
    node.settle(&mut ledger);
    assert_eq!((node.answered(), node.end.clone()), (vec![(1, true, false), (2, true, false)], None));
    assert_eq!(ledger.outcomes().len(), 2);
}

#[test]
fn a_record_of_our_epoch_that_is_not_ours_stops_the_partition() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x")]);
    node.flight[0].value = Arc::from(&b"{}"[..]);
    node.settle(&mut ledger);
    assert!(matches!(&node.end, Some(end @ End::NotOurs { offset: Offset(1) }) if end.then() == Then::Stop));
    assert_eq!(node.answered(), []);
}

#[test]
fn finishing_waits_for_what_is_in_flight_and_decides_nothing_more() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x")]);
    node.step(Input::Finish);
    assert_eq!((node.end.clone(), node.core.room()), (None, 0));
    let late = request(2, "o-a0", 2, "y");
    node.local(vec![late.clone()]);
    assert_eq!(node.other.last(), Some(&Effect::Return(vec![late])));
    node.settle(&mut ledger);
    assert_eq!((node.answered(), node.end), (vec![(1, true, false)], Some(End::Finished)));
}

#[test]
fn in_flight_outcomes_are_bounded() {
    let limits = Limits { in_flight_outcomes_max: 3, batch_commands_max: 10, ..config().limits };
    let mut ledger = Ledger::default();
    let mut node = Node::with(1, Config { limits, ..config() }, Arc::new(Shelf::default()), None);
    assert_eq!(node.core.room(), 0, "before its reign");
    node.take_over(&mut ledger);
    assert_eq!(node.core.room(), 2, "one place is for Passed");
    node.local(vec![request(1, "o-a0", 1, "x"), request(2, "o-a0", 2, "y")]);
    assert_eq!(node.core.room(), 0);
    node.settle(&mut ledger);
    assert_eq!(node.core.room(), 2);
}
