//! What batches become: records, letters, `Passed`.

use super::*;
use crate::log::record::Kind;

#[test]
fn outcomes_are_chained_numbered_and_timed_per_organisation() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(0, "o-a0", 1, "x"), request(0, "o-b0", 2, "x"), request(0, "o-a0", 3, "no")]);
    node.now = at(-5 * SECOND);
    node.local(vec![request(0, "o-a0", 4, "x")]);
    node.settle(&mut ledger);
    let outcomes = ledger.outcomes();
    let row = |o: &Outcome| (o.organization.to_string(), o.revision.map_or(0, |r| r.0), o.decided_at.micros() - START);
    let rows: Vec<_> = outcomes.iter().map(row).collect();
    let expected = [("o-a0", 1, 0), ("o-b0", 1, 0), ("o-a0", 2, 1), ("o-a0", 3, 2)];
    assert_eq!(rows, expected.map(|(organization, revision, at)| (organization.to_owned(), revision, at)));
    let hash = |index: usize| Some(Digest::of(&ledger.records[index].value));
    let chain: Vec<_> = outcomes.iter().map(|outcome| outcome.previous).collect();
    assert_eq!(chain, [None, None, hash(1), hash(3)]);
}

#[test]
fn a_refusal_by_an_organisation_that_does_not_exist_has_no_revision_and_leaves_no_state() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "no")]);
    node.local(vec![request(2, "o-a0", 1, "no"), request(3, "o-a0", 2, "x")]);
    node.settle(&mut ledger);
    let revisions: Vec<_> = ledger.outcomes().iter().map(|o| (o.revision.map(|r| r.0), o.previous)).collect();
    assert_eq!(revisions, [(None, None), (Some(1), None)]);
    assert_eq!(node.answered(), [(2, false, true), (1, false, false), (3, true, false)]);
    let mut next = Node::new(2);
    next.take_over(&mut ledger);
}

#[test]
fn what_does_not_fit_into_a_record_is_refused_on_the_record() {
    let (mut node, mut ledger) = reigning();
    let mut with_reason = command("o-a0", 2, "x");
    let Decoded::Command(inner) = &mut with_reason else { unreachable!() };
    inner.reason = Some("because ".repeat(1_000));
    let mut with_name = command("o-b0", 4, "x");
    let Decoded::Command(inner) = &mut with_name else { unreachable!() };
    inner.principal.name = Some("n".repeat(10_000));
    node.local(vec![
        request(1, "o-a0", 1, "x"),
        Request { ticket: Some(Ticket(2)), decoded: with_reason },
        request(3, "o-a0", 3, "long"),
        Request { ticket: Some(Ticket(4)), decoded: with_name },
    ]);
    assert!(node.flight.iter().all(|record| record.value.len() <= 2_000));
    node.settle(&mut ledger);
    let outcomes = ledger.outcomes();
    let codes: Vec<_> = outcomes.iter().map(code).collect();
    assert_eq!(codes, [None, Some(Code::RecordTooLarge), Some(Code::RecordTooLarge), Some(Code::RecordTooLarge)]);
    let revisions: Vec<_> = outcomes.iter().map(|outcome| outcome.revision.map(|r| r.0)).collect();
    assert_eq!(revisions, [Some(1), Some(2), Some(3), None], "the last organisation does not exist");
    Node::new(2).take_over(&mut ledger);
}

#[test]
fn a_panic_in_decide_refuses_one_command_and_nothing_else() {
    let (mut node, mut ledger) = reigning();
    node.local(vec![request(1, "o-a0", 1, "x"), request(2, "o-a0", 2, "panic"), request(3, "o-a0", 3, "y")]);
    node.settle(&mut ledger);
    assert_eq!(node.answered(), [(1, true, false), (2, false, false), (3, true, false)]);
    assert_eq!(code(&node.answers[1].1), Some(Code::InternalError));
    assert_eq!(node.end, None);
    assert!(
        node.reports().iter().any(|report| matches!(report, Report::Panicked { message, .. } if message == "planted"))
    );
}

#[test]
fn a_panic_in_apply_is_recorded_and_the_state_built_anew() {
    let (mut node, mut ledger) = reigning();
    let rest = vec![request(3, "o-a0", 3, "y"), request(4, "o-a0", 4, "z")];
    let mut batch = vec![request(1, "o-a0", 1, "x"), request(2, "o-a0", 2, "panic late")];
    batch.extend(rest.clone());
    node.local(batch);
    assert_eq!((node.flight.len(), node.core.room()), (2, 0), "nothing is decided on a half-changed state");
    assert!(node.other.contains(&Effect::Return(rest.clone())));
    node.settle(&mut ledger);
    assert_eq!(node.answered(), [(1, true, false), (2, false, false)]);
    assert_eq!((code(&node.answers[1].1), node.end), (Some(Code::InternalError), Some(End::Rebuild)));
    let mut next = Node::new(2);
    next.take_over(&mut ledger);
    next.local(rest);
    next.settle(&mut ledger);
    assert_eq!(next.answered(), [(3, true, false), (4, true, false)]);
    let revisions: Vec<_> = ledger.outcomes().iter().map(|o| o.revision.map(|r| r.0)).collect();
    assert_eq!(revisions, [Some(1), Some(2), Some(3), Some(4)]);
}

#[test]
fn a_panic_in_apply_of_the_first_outcome_leaves_no_organisation() {
    let (mut node, mut ledger) = reigning();
    node.sourced(vec![sourced(0, "o-a0", 1, "panic late"), sourced(1, "o-a0", 2, "x")]);
    node.settle(&mut ledger);
    assert_eq!(node.end, Some(End::Rebuild));
    let mut next = Node::new(2);
    next.take_over(&mut ledger);
    assert!(next.other.contains(&Effect::OpenSource { from: Some(SourceOffset(0)) }));
    next.sourced(vec![sourced(0, "o-a0", 1, "panic late"), sourced(1, "o-a0", 2, "x")]);
    next.settle(&mut ledger);
    let rows: Vec<_> = ledger.outcomes().iter().map(|o| (code(o), o.revision.map(|r| r.0))).collect();
    assert_eq!(rows, [(Some(Code::InternalError), None), (None, Some(1))]);
}

#[test]
fn a_command_handed_to_the_wrong_partition_is_not_taken() {
    let (mut node, _) = reigning();
    node.local(vec![request(1, "o-a1", 1, "x")]);
    assert_eq!(node.other.last(), Some(&Effect::Misrouted { ticket: Ticket(1), to: Partition(1) }));
    assert!(node.flight.is_empty());
}

/// A batch, the records it becomes with their source offsets, and its letters: `F`orwards and `D`ead ones.
type Case = (&'static str, Vec<SourceRecord>, Vec<(Kind, u64)>, &'static str);

/// What one batch from the topic becomes.
#[test]
fn batches_from_the_topic() {
    use Kind::{Outcome, Passed};
    let ours = |offset, n| sourced(offset, "o-a0", n, "x");
    let theirs = |offset| sourced(offset, "o-a1", 50 + u128::from(offset), "x");
    let forwarded = |offset| SourceRecord { forwarded: true, ..theirs(offset) };
    let garbage = |offset| SourceRecord { value: b"not JSON".to_vec(), ..ours(offset, 1) };
    let reused = |offset, n| sourced(offset, "o-a0", n, "other");
    let cases: Vec<Case> = vec![
        ("outcomes", vec![ours(0, 1), ours(1, 2)], vec![(Outcome, 0), (Outcome, 1)], ""),
        ("gaps in the offsets", vec![ours(3, 1), ours(8, 2)], vec![(Outcome, 3), (Outcome, 8)], ""),
        ("a duplicate in the middle", vec![ours(0, 1), ours(1, 1), ours(2, 2)], vec![(Outcome, 0), (Outcome, 2)], ""),
        ("a duplicate at the end", vec![ours(0, 1), ours(1, 1)], vec![(Outcome, 0), (Passed, 1)], ""),
        ("another partition's", vec![theirs(0)], vec![(Passed, 0)], "F"),
        ("another partition's, then ours", vec![theirs(0), ours(1, 1)], vec![(Outcome, 1)], "F"),
        ("forwarded and still wrong", vec![forwarded(0)], vec![(Passed, 0)], "D"),
        ("unreadable", vec![ours(0, 1), garbage(1)], vec![(Outcome, 0), (Passed, 1)], "D"),
        ("an id used twice", vec![ours(0, 1), reused(1, 1)], vec![(Outcome, 0), (Passed, 1)], "D"),
        (
            "all of it",
            vec![garbage(0), theirs(1), forwarded(2), ours(3, 1), ours(4, 1)],
            vec![(Outcome, 3), (Passed, 4)],
            "DFD",
        ),
        ("already dealt with", vec![ours(0, 1), ours(0, 1)], vec![(Outcome, 0)], ""),
    ];
    for (name, records, appended, letters) in cases {
        let (mut node, mut ledger) = reigning();
        let records = records.into_iter().map(Into::into).collect();
        let effects = node.core.step(Input::Sourced { now: at(0), records });
        let order: Vec<_> = effects
            .iter()
            .map(|effect| match effect {
                Effect::Send(_) => "send",
                Effect::Append(_) => "append",
                other => panic!("{name}: {other:?}"),
            })
            .collect();
        let expected_order: &[_] = if letters.is_empty() { &["append"] } else { &["send", "append"] };
        assert_eq!(order, expected_order, "{name}: letters go before any record");
        for effect in effects {
            match effect {
                Effect::Send(sent) => node.sent = sent,
                Effect::Append(records) => node.flight.extend(records),
                _ => {}
            }
        }
        let got: Vec<_> = node.flight.iter().map(|r| (r.header.kind, r.header.source.map_or(99, |s| s.0))).collect();
        assert_eq!(got, appended, "{name}");
        let got: String =
            node.sent.iter().map(|l| if matches!(l, Letter::Forward { .. }) { 'F' } else { 'D' }).collect();
        assert_eq!(got, letters, "{name}");
        node.settle(&mut ledger);
        assert_eq!((node.core.in_flight(), node.end), (0, None), "{name}");
    }
}

#[test]
fn letters_carry_what_came_and_why() {
    let (mut node, _) = reigning();
    let theirs = sourced(0, "o-a1", 1, "x");
    let garbage = SourceRecord { value: vec![0xff], key: None, ..sourced(1, "o-a0", 1, "x") };
    node.sourced(vec![theirs.clone(), garbage]);
    assert_eq!(node.sent[0], Letter::Forward { to: Partition(1), key: theirs.key, value: theirs.value });
    let Letter::Dead { from, offset, reason, key, value } = &node.sent[1] else { panic!("{:?}", node.sent[1]) };
    assert_eq!((*from, *offset, key, &value[..]), (Partition(0), SourceOffset(1), &None, &[0xff][..]));
    assert!(!reason.is_empty());
}
