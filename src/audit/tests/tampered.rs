//! Copies of a log that were tampered with, each in one way: each is named as what it is, at its place.

use super::{ZERO, audit, copied, encoded, history, laid_down, numbered, only};
use crate::audit::report::{Kind, Place, VoidKind};
use crate::audit::{Asked, verify};
use crate::domain::digest::Digest;
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::outcome::Outcome;
use crate::log::record::{Epoch, EpochOpened, Header, Kind as RecordKind, LedgerId, Seq};
use crate::log::simulated::SimulatedLog;
use crate::log::wire::encode_outcome;
use crate::views::testing::Ledger;

#[test]
fn a_log_as_it_was_written_is_clean() {
    let report = audit(&numbered(&encoded(&history())));
    assert_eq!(report.findings, []);
    assert_eq!((report.records, report.accepted, report.rejected), (13, 11, 1));
    assert_eq!(report.heads.values().map(|head| head.revision.0).collect::<Vec<_>>(), [12]);
    assert!(report.void.is_empty());
}

fn changed(at: usize, change: impl Fn(&mut Outcome)) -> Vec<Vec<u8>> {
    let mut outcomes = history();
    change(&mut outcomes[at]);
    encoded(&outcomes)
}

/// The good values, with one of them another.
fn replaced(at: usize, value: &[u8]) -> Vec<Vec<u8>> {
    let mut values = encoded(&history());
    values[at] = value.to_vec();
    values
}

fn moved(from: usize, to: usize) -> Vec<Vec<u8>> {
    let mut values = encoded(&history());
    let value = values.remove(from);
    values.insert(to, value);
    values
}

fn with(at: usize, value: Vec<u8>) -> Vec<Vec<u8>> {
    let mut values = encoded(&history());
    values.insert(at, value);
    values
}

/// A record that was never written, modelled on one that was.
fn stranger(at: usize, change: impl Fn(&mut Outcome)) -> Vec<u8> {
    let mut outcome = history()[at].clone();
    outcome.command_id = uuid::Uuid::from_u128(99);
    change(&mut outcome);
    encode_outcome(&outcome)
}

/// What was done, the values, what it is, to which outcome, and what is said.
type Tampered = (&'static str, Vec<Vec<u8>>, Kind, u64, &'static str);

/// Whoever numbers the records anew, so that all count, is found by the chain.
#[test]
fn every_kind_of_tampering_is_named_as_what_it_is() {
    let good = encoded(&history());
    let cut = |at: usize, value: &[u8]| value[..at].to_vec();
    let table: Vec<Tampered> = vec![
        ("another reason", changed(5, |one| one.reason = Some("another".into())), Kind::Changed, 5, "revision 7 names"),
        (
            "the first record",
            changed(0, |one| one.reason = Some("another".into())),
            Kind::Changed,
            0,
            "revision 2 names",
        ),
        (
            "the hash that it names",
            changed(5, |one| one.previous = Some(Digest::of(b""))),
            Kind::Changed,
            5,
            "that the record before it does not have",
        ),
        (
            "a hash where none belongs",
            changed(0, |one| one.previous = Some(Digest::of(b""))),
            Kind::Changed,
            0,
            "the first",
        ),
        ("its revision, up", changed(5, |one| one.revision = Some(Revision(9))), Kind::Changed, 5, "says revision 9"),
        ("its revision, down", changed(5, |one| one.revision = Some(Revision(2))), Kind::Changed, 5, "says revision 2"),
        ("no revision any more", changed(5, |one| one.revision = None), Kind::Changed, 5, "revision 6 is missing"),
        ("cut short", replaced(5, &cut(200, &good[5])), Kind::Changed, 5, "cannot be read"),
        ("a flipped bit in a name", replaced(5, &flipped(&good[5])), Kind::Changed, 5, "cannot be read"),
        ("dropped", [&good[..5], &good[6..]].concat(), Kind::Dropped, 5, "revision 6 is missing before it"),
        ("the first dropped", good[1..].to_vec(), Kind::Dropped, 0, "revision 1 is missing before it"),
        ("three dropped", [&good[..5], &good[8..]].concat(), Kind::Dropped, 5, "revisions 6 to 8 are missing"),
        ("swapped", moved(5, 6), Kind::Swapped, 5, "stands before revision 6"),
        ("moved further", moved(9, 3), Kind::Swapped, 3, "stands before revision 4"),
        ("doubled", with(6, good[5].clone()), Kind::Doubled, 6, "the same bytes stand at"),
        ("doubled later", with(9, good[5].clone()), Kind::Doubled, 9, "the same bytes stand at"),
        ("doubled early", with(3, good[8].clone()), Kind::Doubled, 3, "in its place again at"),
        ("inserted behind the genuine one", with(6, stranger(5, |_| {})), Kind::Inserted, 6, "fit without this one"),
        (
            "inserted before the genuine one",
            with(
                5,
                stranger(9, |one| {
                    let genuine = &history()[5];
                    (one.revision, one.previous, one.decided_at) =
                        (genuine.revision, genuine.previous, genuine.decided_at);
                }),
            ),
            Kind::Inserted,
            5,
            "revision 7 names that one",
        ),
        (
            "inserted from nowhere",
            with(5, stranger(9, |one| (one.revision, one.previous) = (Some(Revision(40)), Some(Digest::of(b""))))),
            Kind::Inserted,
            5,
            "no record before or after it belongs to it",
        ),
        (
            "inserted without a revision",
            with(5, stranger(9, |one| one.revision = None)),
            Kind::Inserted,
            5,
            "no revision",
        ),
    ];
    for (what, values, kind, index, problem) in table {
        let report = audit(&numbered(&values));
        let (found, at, finding) = only(&report);
        assert_eq!((found, at), (kind, index), "{what}: {finding}");
        assert!(finding.problem.contains(problem), "{what}: {finding}");
        let of_unattached = what.contains("no revision") || what.contains("without a revision");
        assert!(finding.revision.is_some() || of_unattached, "{what}: {finding}");
        assert!(report.heads.is_empty(), "{what}: a history in which something is wrong has no head");
    }
}

#[test]
fn the_last_record_has_nobody_who_vouches_for_it() {
    // Still what it may be; a checkpoint or an export tells.
    let report = audit(&numbered(&changed(11, |one| one.reason = Some("another".into()))));
    assert_eq!(report.findings, []);
    let report = audit(&numbered(&changed(11, |one| one.previous = Some(Digest::of(b"")))));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Changed, 10));
    assert!(finding.problem.contains("it may be that one"), "{finding}");
}

/// A copy that keeps the headers: what is missing from a reign makes the rest of it void, as a lost append does.
#[test]
fn a_copy_with_its_headers_is_named_as_what_it_is() {
    let good = copied(&encoded(&history()));
    let dropped = [&good[..6], &good[7..]].concat();
    let swapped = {
        let mut records = good.clone();
        records.swap(6, 7);
        records
    };
    let changed = {
        let mut records = good.clone();
        let value = changed(5, |one| one.reason = Some("another".into()));
        records[6].1.clone_from(&value[5]);
        records
    };
    // A record that takes the number of a genuine one, which is void then.
    let inserted = {
        let mut records = good.clone();
        let value = stranger(9, |one| {
            let genuine = &history()[5];
            (one.revision, one.previous, one.decided_at) = (genuine.revision, genuine.previous, genuine.decided_at);
        });
        records.insert(6, (good[6].0, value));
        records
    };
    for (what, records, kind, index, revision, problem) in [
        ("dropped", dropped, Kind::Dropped, 5, Some(6), "number 6 of epoch 1 is missing"),
        ("swapped", swapped, Kind::Swapped, 5, Some(7), "number 7 of epoch 1 stands before number 6"),
        ("changed", changed, Kind::Changed, 5, Some(6), ""),
        ("inserted", inserted, Kind::Inserted, 5, Some(6), "names another as revision 6"),
    ] {
        let report = audit(&laid_down(&records));
        let (found, at, finding) = only(&report);
        assert_eq!((found, at), (kind, index), "{what}: {finding}");
        assert_eq!(finding.revision.map(|revision| revision.0), revision, "{what}: {finding}");
        assert!(finding.problem.contains(problem), "{what}: {finding}");
    }
    // A doubled record has the number of its original: it is void, and counted as what it is.
    let doubled = [&good[..7], &good[6..]].concat();
    let report = audit(&laid_down(&doubled));
    assert_eq!((report.findings.as_slice(), report.void.get(&VoidKind::Repeated)), (&[][..], Some(&1)));
}

/// The same, where a later reign goes on from what was dropped: then it was no lost append.
#[test]
fn what_a_later_reign_builds_on_was_there() {
    let reopened = |values: &[Vec<u8>], at: usize| {
        let mut records = copied(values);
        let (header, opening) = records[0].clone();
        let mut opened: EpochOpened = serde_json::from_slice(&opening).expect("an opening");
        opened.epoch = Epoch(2);
        let opening = serde_json::to_vec(&opened).expect("plain data");
        records.insert(at, (Header { epoch: Epoch(2), ..header }, opening));
        for ((header, _), seq) in records[at + 1..].iter_mut().zip(1..) {
            *header = Header { epoch: Epoch(2), seq: Seq(seq), ..*header };
        }
        records
    };
    let good = reopened(&encoded(&history()), 9);
    assert_eq!(audit(&laid_down(&good)).findings, []);
    let dropped = [&good[..6], &good[7..]].concat();
    let report = audit(&laid_down(&dropped));
    let (kind, _, finding) = only(&report);
    assert_eq!(kind, Kind::Dropped, "{finding}");
    assert!(finding.problem.contains("revisions 6 to 8 are missing"), "{finding}");
    let swapped = {
        let mut records = good.clone();
        records.swap(6, 7);
        records
    };
    let report = audit(&laid_down(&swapped));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Swapped, 5), "{finding}");

    // An opening that was dropped makes all of its reign void.
    let unopened = [&good[..9], &good[10..]].concat();
    let report = audit(&laid_down(&unopened));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Dropped, 8), "{finding}");
    assert!(finding.problem.contains("the opening of its reign is not there"), "{finding}");
}

#[test]
fn ghosts_and_lost_appends_are_legal() {
    let mut ledger = Ledger::new(1);
    for value in encoded(&history()) {
        ledger.append_value(ZERO, value);
    }
    let log = &ledger.log;
    let last = log.records(ZERO).last().and_then(|record| record.header).expect("a processor's");
    // A record of this reign was lost, the one after it arrived; the writer ended, and the next took over.
    log.land_record(ZERO, Header { seq: Seq(last.seq.0 + 2), ..last }, &stranger(11, |_| {}));
    open(log, 2);
    log.land_record(ZERO, last, b"of a deposed writer");
    log.land_foreign(ZERO, b"of somebody");
    open(log, 2);
    let report = audit(log);
    assert_eq!(report.findings, []);
    let count = |kind| report.void.get(&kind).copied();
    let kinds = [VoidKind::CutOff, VoidKind::Deposed, VoidKind::Foreign, VoidKind::LateOpening].map(count);
    assert_eq!(kinds, [Some(1); 4]);
    assert_eq!(report.heads.len(), 1);
}

fn open(log: &SimulatedLog, epoch: u64) {
    let opened = EpochOpened {
        schema: 1,
        epoch: Epoch(epoch),
        writer: uuid::Uuid::from_u128(7),
        ledger: LedgerId::from_u128(0x1ed),
        partitions: 1,
    };
    let header = Header { kind: RecordKind::EpochOpened, epoch: Epoch(epoch), seq: Seq(0), source: None };
    log.land_record(ZERO, header, &serde_json::to_vec(&opened).expect("plain data"));
}

#[test]
fn organisations_are_judged_each_for_itself() {
    let mut ledger = Ledger::new(1);
    let ids: Vec<OrganizationId> = ["o-aa", "o-ab"].map(|id| id.parse().expect("an id")).into();
    for id in &ids {
        ledger.organization(id.as_str());
    }
    let outcomes: Vec<_> = ledger.outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    let mut values = encoded(&outcomes);
    values.remove(2);
    let log = numbered(&values);
    let report = audit(&log);
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index, &finding.organization), (Kind::Dropped, 2, &Some(ids[0].clone())));
    assert_eq!(report.heads.keys().collect::<Vec<_>>(), [&ids[1]]);
    let one = |id| verify(&log, &Asked { organization: Some(id), ..Asked::default() }, &|_| {}).expect("readable");
    assert_eq!(one(&ids[1]).findings, []);
    assert_eq!(one(&ids[1]).accepted, 5);
    assert_eq!(one(&ids[0]).findings, report.findings);
}

#[test]
fn a_record_of_a_newer_program_is_not_taken_for_a_changed_one() {
    let mut outcomes = history();
    outcomes[8].schema = 2;
    super::rechain(&mut outcomes);
    let report = audit(&numbered(&encoded(&outcomes)));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index, finding.revision), (Kind::Unreadable, 8, Some(Revision(9))));
    assert!(finding.problem.contains("schema 2"), "{finding}");
    // No JSON at all, and still what its writer wrote.
    let mut values = encoded(&history());
    values[11] = b"?".to_vec();
    let report = audit(&numbered(&values));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index, finding.revision), (Kind::Unreadable, 11, None), "{finding}");
    assert!(matches!(finding.place, Place::Log { .. }));
}

fn flipped(value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    let name = value.windows(9).position(|part| part == b"principal").expect("a principal");
    value[name] ^= 1;
    value
}
