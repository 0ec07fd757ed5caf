//! Claims, races, ghosts and the fold of the tail.

use super::*;
use crate::domain::RowKey;
use crate::domain::id::Revision;
use crate::log::admission::Verdict;
use crate::log::record::{EpochOpened, Header, Kind};
use crate::log::snapshot::OrganizationSnapshot;

/// What is wrong with a record, the record, and how it must end.
type Broken<'a> = (&'a str, Vec<u8>, fn(&End) -> bool);

#[test]
fn the_first_writer_opens_epoch_one_with_the_ledger_it_was_given() {
    let (node, ledger) = reigning();
    assert_eq!(node.core.reign(), Some(Epoch(1)));
    let opened: EpochOpened = serde_json::from_slice(&ledger.records[0].value).expect("an opening");
    assert_eq!((opened.ledger, opened.partitions, opened.writer), (Uuid::from_u128(77), 2, Uuid::from_u128(1)));
    assert!(node.other.contains(&Effect::OpenSource { from: None }));
}

#[test]
fn a_later_writer_keeps_the_ledger_and_the_partitions_of_the_first() {
    let (_, mut ledger) = reigning();
    let other = Config { ledger: Uuid::from_u128(78), partitions: 64, ..config() };
    let mut second = Node::with(2, other, Arc::new(Shelf::default()), None);
    second.take_over(&mut ledger);
    let opened: EpochOpened = serde_json::from_slice(&ledger.records[1].value).expect("an opening");
    assert_eq!((opened.epoch, opened.ledger, opened.partitions), (Epoch(2), Uuid::from_u128(77), 2));
}

#[test]
fn of_two_claims_the_first_in_the_log_wins_and_the_loser_rests_and_tries_again() {
    let mut ledger = Ledger::default();
    let (mut slow, mut fast) = (Node::new(1), Node::new(2));
    slow.claim();
    fast.claim();
    fast.settle(&mut ledger);
    slow.settle(&mut ledger);
    assert_eq!((fast.core.reign(), slow.core.reign()), (Some(Epoch(1)), None));
    assert_eq!(slow.end, None);
    let rest = slow.other.iter().find_map(|effect| if let Effect::Rest(rest) = effect { Some(*rest) } else { None });
    assert_eq!(rest, Some(Duration::from_millis(57)));
    slow.writer = 3;
    slow.claim();
    slow.settle(&mut ledger);
    assert_eq!(slow.core.reign(), Some(Epoch(2)));
    fast.read(&ledger);
    assert_eq!(fast.end, Some(End::Deposed { by: Epoch(2) }));
}

#[test]
fn three_claims_lost_within_a_minute_are_reported_and_pauses_grow() {
    for (gap_seconds, reported) in [(19, true), (31, false)] {
        let (mut ledger, mut loser) = (Ledger::default(), Node::new(1));
        for round in 0..3 {
            loser.now = at(round * gap_seconds * SECOND);
            loser.writer += 1;
            loser.claim();
            let mut winner = Node::new(100 + loser.writer);
            winner.now = loser.now;
            winner.take_over(&mut ledger);
            loser.settle(&mut ledger);
        }
        let two_groups = loser.reports().into_iter().any(|report| matches!(report, Report::TwoGroups { .. }));
        assert_eq!(two_groups, reported, "{gap_seconds} s apart");
        let rests: Vec<_> = loser.other.iter().filter(|effect| matches!(effect, Effect::Rest(_))).cloned().collect();
        if reported {
            assert_eq!(rests, [57, 107, 207].map(|millis| Effect::Rest(Duration::from_millis(millis))));
        }
    }
}

#[test]
fn what_a_ghost_still_appends_is_void_and_its_clients_get_no_answer() {
    let (mut ghost, mut ledger) = reigning();
    ghost.local(vec![request(1, "o-a0", 1, "x")]);
    let mut next = Node::new(2);
    next.take_over(&mut ledger);
    ghost.land(&mut ledger, 1);
    next.local(vec![request(2, "o-a0", 2, "y")]);
    next.settle(&mut ledger);
    ghost.read(&ledger);
    assert_eq!(ghost.end, Some(End::Deposed { by: Epoch(2) }));
    assert_eq!(ghost.answered(), []);
    assert_eq!(next.answered(), [(2, true, false)]);
    assert_eq!(ledger.outcomes().len(), 1);
    assert!(
        matches!(
            next.reports()[..],
            [.., Report::VoidRecords { count: 1, first: Offset(2), .. }, _]
                | [.., Report::VoidRecords { count: 1, first: Offset(2), .. }]
        ),
        "{:?}",
        next.reports()
    );
}

#[test]
fn the_ghosts_last_records_before_the_new_reign_are_folded_and_their_commands_not_repeated() {
    let (mut old, mut ledger) = reigning();
    old.local(vec![request(1, "o-a0", 1, "x"), request(2, "o-a0", 2, "y")]);
    let mut next = Node::new(2);
    next.read(&ledger);
    next.claim();
    // Both land before the claim does.
    old.land(&mut ledger, 2);
    next.settle(&mut ledger);
    next.local(vec![request(3, "o-a0", 2, "y"), request(4, "o-a0", 3, "z")]);
    next.settle(&mut ledger);
    assert_eq!(next.answered(), [(3, true, true), (4, true, false)]);
    let revisions: Vec<_> = ledger.outcomes().iter().map(|outcome| outcome.revision.map(|r| r.0)).collect();
    assert_eq!(revisions, [Some(1), Some(2), Some(3)]);
}

#[test]
fn a_clock_a_minute_off_does_not_decide() {
    for (off, decides) in [(59, true), (-59, true), (62, false), (-62, false)] {
        let (mut node, mut ledger) = (Node::new(1), Ledger::default());
        node.claim();
        let opening = node.flight.pop_front().expect("claimed");
        ledger.land(at(off * SECOND), &opening);
        node.now = at(SECOND);
        node.read(&ledger);
        assert_eq!(node.core.reign().is_some(), decides, "{off} s off");
        assert_eq!(matches!(node.end, Some(End::ClockOff { .. })), !decides, "{off} s off");
    }
}

#[test]
fn a_claim_that_took_long_to_land_is_no_sign_of_a_wrong_clock() {
    let (mut node, mut ledger) = (Node::new(1), Ledger::default());
    node.claim();
    node.now = at(200 * SECOND);
    node.settle(&mut ledger);
    assert_eq!(node.core.reign(), Some(Epoch(1)));
}

#[test]
fn an_admitted_record_that_cannot_be_read_or_applied_stops_the_partition_naming_it() {
    let outcome = |value: Vec<u8>| NewRecord {
        header: Header { kind: Kind::Outcome, epoch: Epoch(1), seq: Seq(2), source: None },
        key: None,
        value: value.into(),
    };
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x")]);
    node.settle(&mut ledger);
    let good = ledger.outcomes().remove(0);
    let chain = Some(Digest::of(&ledger.records[1].value));
    let encode = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut next = good.clone();
        (next.revision, next.previous) = (next.revision.map(Revision::next), chain);
        next.decided_at = next.decided_at.plus_micros(1);
        let mut json = serde_json::to_value(next).expect("JSON");
        change(&mut json);
        serde_json::to_vec(&json).expect("JSON")
    };
    let unreadable = |end: &End| matches!(end, End::Unreadable { offset: Offset(2), .. });
    let unfoldable = |end: &End| matches!(end, End::Unfoldable { offset: Offset(2), .. });
    let cases: [Broken<'_>; 5] = [
        ("schema", encode(&|json| json["schema"] = 9.into()), unreadable),
        (
            "event type",
            encode(&|json| json["decision"] = serde_json::json!({"accepted": [{"type": "Later", "data": {}}]})),
            unreadable,
        ),
        ("not JSON", b"{".to_vec(), unreadable),
        ("chain", encode(&|json| json["previous"] = serde_json::Value::Null), unfoldable),
        ("revision", encode(&|json| json["revision"] = 7.into()), unfoldable),
    ];
    for (name, value, expected) in cases {
        let mut ledger = ledger.clone();
        ledger.land(at(0), &outcome(value));
        let mut next = Node::new(2);
        next.read(&ledger);
        let end = next.end.unwrap_or_else(|| panic!("{name}: it went on"));
        assert!(expected(&end), "{name}: {end}");
        assert_eq!(end.then(), Then::Stop, "{name}");
        assert!(next.flight.is_empty(), "{name}: it opens nothing");
    }
    let mut sound = ledger.clone();
    sound.land(at(0), &outcome(encode(&|_| {})));
    let mut next = Node::new(2);
    next.take_over(&mut sound);
}

#[test]
fn an_opening_that_is_void_for_another_reason_than_the_epoch_stops() {
    let (mut node, mut ledger) = (Node::new(1), Ledger::default());
    node.claim();
    // Between its read and its claim somebody opened the partition for another ledger.
    let other = Config { ledger: Uuid::from_u128(99), ..config() };
    let mut stranger = Node::with(9, other, Arc::new(Shelf::default()), None);
    stranger.take_over(&mut ledger);
    let mut second = Node::new(1);
    second.claim();
    second.flight[0].header.epoch = Epoch(2);
    let mut opened: EpochOpened = serde_json::from_slice(&second.flight[0].value).expect("an opening");
    opened.epoch = Epoch(2);
    second.flight[0].value = serde_json::to_vec(&opened).expect("JSON").into();
    second.settle(&mut ledger);
    assert!(matches!(&second.end, Some(end @ End::OtherLedger(_)) if end.then() == Then::Stop), "{:?}", second.end);
}

/// A writer that goes on from a snapshot of all of this ledger, whose outcomes are all of `o-a0`.
fn behind_snapshot(writer: u128, ledger: &Ledger) -> (Node, Arc<Shelf>) {
    let mut shelf = Shelf { covered: Mutex::new(Offset(ledger.records.len() as u64)), ..Shelf::default() };
    let mut admission = Admission::default();
    let mut state = State::new("o-a0".parse().expect("well formed"));
    let mut chain = None;
    for record in &ledger.records {
        if let Verdict::Outcome(_) = admission.admit(record) {
            let outcome = decode_outcome(&record.value).expect("written by the core");
            advance(&mut state, outcome.moment().expect("accepted"), &[]);
            chain = Some(Digest::of(&record.value));
            let known = Known { offset: record.offset, digest: outcome.digest, value: Arc::clone(&record.value) };
            shelf.outcomes.insert((outcome.organization, outcome.command_id), known);
        }
    }
    let newest_command = shelf.outcomes.keys().map(|(_, id)| *id).max();
    let organizations = chain.map(|chain| OrganizationSnapshot {
        id: state.id().clone(),
        rows: state.row(&RowKey::Organization).into_iter().collect(),
        chain,
    });
    let restored = PartitionSnapshot { admission, organizations: organizations.into_iter().collect(), newest_command };
    let shelf = Arc::new(shelf);
    (Node::with(writer, config(), shelf.clone(), Some(restored)), shelf)
}

#[test]
fn goes_on_from_a_snapshot() {
    let (mut node, mut ledger) = reigning();
    node.sourced(vec![sourced(0, "o-a0", 1, "x"), sourced(1, "o-a0", 2, "y")]);
    node.settle(&mut ledger);
    let (mut next, shelf) = behind_snapshot(2, &ledger);
    assert_eq!(next.core.position(), Offset(3));
    next.take_over(&mut ledger);
    assert!(next.other.contains(&Effect::OpenSource { from: Some(SourceOffset(1)) }));
    // The command at the resume offset comes along and is known; then an old id, and a new one.
    next.sourced(vec![sourced(1, "o-a0", 2, "y"), sourced(2, "o-a0", 1, "x"), sourced(3, "o-a0", 3, "z")]);
    next.settle(&mut ledger);
    assert_eq!(next.end, None);
    let outcomes = ledger.outcomes();
    assert_eq!(outcomes.len(), 3);
    assert_eq!(outcomes[2].previous, Some(Digest::of(&ledger.records[2].value)));
    // The new UUIDv7 needed no look-up.
    assert_eq!(*shelf.asked.lock().expect("no panic while held"), [id(2), id(1)]);
}

/// Whatever was dealt with last, and whether its record is in the tail or before the snapshot: what stands there now must be the
/// same, else the topic is another one.
#[test]
fn another_record_at_the_resume_offset_stops_the_partition() {
    let ours = sourced(1, "o-a0", 2, "y");
    let theirs = sourced(1, "o-b1", 9, "x");
    let garbage = SourceRecord { value: b"not JSON".to_vec(), key: None, ..ours.clone() };
    let (new, reused) = (sourced(1, "o-a0", 5, "y"), sourced(1, "o-a0", 2, "other"));
    let known = sourced(1, "o-a0", 1, "x");
    let others = [
        ("new", new),
        ("an id used twice", reused),
        ("another that was decided", known.clone()),
        ("another partition's", sourced(1, "o-b1", 8, "x")),
        ("unreadable", SourceRecord { value: b"[]".to_vec(), ..ours.clone() }),
    ];
    for (left, was) in
        [("ours", &ours), ("another partition's", &theirs), ("unreadable", &garbage), ("repeated", &known)]
    {
        let (mut node, mut ledger) = reigning();
        node.sourced(vec![sourced(0, "o-a0", 1, "x"), was.clone()]);
        node.settle(&mut ledger);
        let same = [("the same", was.clone())];
        for (now, record) in same.iter().chain(others.iter().filter(|(_, other)| other.value != was.value)) {
            for from_snapshot in [false, true] {
                let mut ledger = ledger.clone();
                let mut next = if from_snapshot { behind_snapshot(2, &ledger).0 } else { Node::new(2) };
                next.take_over(&mut ledger);
                next.sourced(vec![record.clone(), sourced(2, "o-a0", 7, "z")]);
                let name = format!("{left} was there, now {now}; from a snapshot: {from_snapshot}: {:?}", next.end);
                let goes_on = *now == "the same";
                assert_eq!(next.end.is_none(), goes_on, "{name}");
                assert_eq!(next.flight.is_empty(), !goes_on, "{name}");
                assert!(
                    goes_on || matches!(next.end, Some(End::OtherSource { offset: SourceOffset(1), .. })),
                    "{name}"
                );
            }
        }
    }
}
