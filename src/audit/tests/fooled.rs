//! What once fooled the audit, or brought it down: each by the name of what went wrong.

use super::{ZERO, audit, encoded, history, laid_down, numbered, only, rechain};
use crate::audit::export::{export, verify_file};
use crate::audit::kept::Kept;
use crate::audit::report::{Kind, Place, Report};
use crate::audit::{Asked, home, verify};
use crate::domain::command::DeleteScope;
use crate::domain::event::{AllocationReleased, ClosedCidr, Event, ObservationRetracted};
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::kind::ResourceKind;
use crate::domain::outcome::{Decision, Outcome};
use crate::log::record::{Epoch, EpochOpened, Header, Kind as RecordKind, LedgerId, Offset, Partition, Seq};
use crate::log::simulated::SimulatedLog;
use crate::log::wire::{CommandRequest, encode_outcome};
use crate::views::testing::{Ledger, MANAGEMENT};

fn exported(outcomes: &[Outcome]) -> Vec<String> {
    let mut file = Vec::new();
    export(&numbered(&encoded(outcomes)), &lone(), &mut file).expect("there is a history");
    String::from_utf8(file).expect("text").lines().map(str::to_owned).collect()
}

fn checked(lines: &[String]) -> Report {
    let file = lines.join("\n");
    verify_file(|| Ok(file.as_bytes()), &Asked::default()).expect("it is an export").1
}

fn lone() -> OrganizationId {
    MANAGEMENT.parse().expect("a lone account")
}

/// From a pipe nothing comes a second time, and so no evidence.
#[test]
fn a_tampered_export_from_a_pipe_was_clean() {
    let mut lines = exported(&history());
    lines[6] = lines[6].replacen("tester", "taster", 1);
    let file = lines.join("\n");
    let mut reads = [file.as_bytes(), b""].into_iter();
    let read = verify_file(|| Ok(reads.next().expect("it is read twice")), &Asked::default());
    let report = read.expect("it is an export").1;
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Changed, 5), "{finding}");
}

#[test]
fn an_opening_that_names_no_partitions_ended_the_program() {
    let opened =
        EpochOpened { schema: 1, epoch: Epoch(1), writer: LedgerId::nil(), ledger: LedgerId::nil(), partitions: 0 };
    let header = |kind, seq| Header { kind, epoch: Epoch(1), seq: Seq(seq), source: None };
    let opening = (header(RecordKind::EpochOpened, 0), serde_json::to_vec(&opened).expect("plain data"));
    let log = laid_down(&[opening, (header(RecordKind::Outcome, 1), encode_outcome(&history()[0]))]);
    assert_eq!(home(&log, &lone()).expect("readable"), ZERO);
    let report = audit(&log);
    assert_eq!((only(&report).0, report.ledger), (Kind::Dropped, None));
}

#[test]
fn the_greatest_revision_of_all_ended_the_program() {
    for at in [0, 5, 11] {
        let mut outcomes = history();
        outcomes[at].revision = Some(Revision(u64::MAX));
        let report = audit(&numbered(&encoded(&outcomes)));
        let (kind, index, finding) = only(&report);
        assert_eq!((kind, index), (Kind::Changed, at as u64), "{finding}");
    }
}

#[test]
fn a_partition_of_another_ledger_was_clean() {
    let [one, other] = [0x1ed, 0x2ed].map(|id| Ledger::of(2, LedgerId::from_u128(id)).log);
    let spliced = |lanes: [&SimulatedLog; 2]| {
        let log = SimulatedLog::new(2);
        for (from, partition) in lanes.into_iter().zip([ZERO, Partition(1)]) {
            for record in from.records(partition) {
                log.land_record(partition, record.header.expect("a processor's"), &record.value);
            }
        }
        log
    };
    assert_eq!(audit(&spliced([&one, &one])).findings, []);
    let report = audit(&spliced([&one, &other]));
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!(finding.kind, Kind::Inserted, "{finding}");
    assert!(matches!(finding.place, Place::Log { partition: Partition(1), .. }), "{finding}");
    // And one that is not there at all.
    let log = SimulatedLog::new(1);
    one.records(ZERO).iter().for_each(|one| log.land_record(ZERO, one.header.expect("a processor's"), &one.value));
    let report = audit(&log);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!(finding.kind, Kind::Dropped);
    assert!(finding.problem.contains("has 2 partitions; this log holds 1"), "{finding}");
}

#[test]
fn a_manifest_that_says_other_things_of_the_ends_was_clean() {
    let good = exported(&history());
    let manifest: serde_json::Value = serde_json::from_str(&good[0]).expect("JSON");
    for (end, member, value) in [
        ("first", "hash", manifest["last"]["hash"].clone()),
        ("first", "decided_at", manifest["last"]["decided_at"].clone()),
        ("first", "revision", 2.into()),
        ("last", "decided_at", manifest["first"]["decided_at"].clone()),
    ] {
        let mut lines = good.clone();
        let mut manifest = manifest.clone();
        manifest[end][member] = value;
        lines[0] = manifest.to_string();
        let report = checked(&lines);
        let [finding] = report.findings.as_slice() else { panic!("{end} {member}: {:?}", report.findings) };
        assert_eq!((finding.kind, finding.place), (Kind::Changed, Place::File { line: 1 }), "{finding}");
    }
    // An export of nothing.
    let mut nothing = manifest.clone();
    (nothing["records"], nothing["last"]["revision"]) = (0.into(), 0.into());
    assert_eq!(checked(&[nothing.to_string()]).findings.len(), 1);
}

#[test]
fn a_rejection_of_nobody_could_stand_before_an_export() {
    let mut lines = exported(&history());
    let mut stranger = history()[9].clone();
    stranger.decision = Decision::Rejected(Box::new(crate::domain::rejection::Rejection::new(
        crate::domain::rejection::Code::DependencyViolation,
        "INV-P14",
        "no",
    )));
    (stranger.revision, stranger.previous) = (None, None);
    lines.insert(1, String::from_utf8(encode_outcome(&stranger)).expect("text"));
    lines[0] = lines[0].replacen("\"records\":12", "\"records\":13", 1);
    let report = checked(&lines);
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Inserted, 0), "{finding}");
}

/// The manifest tells that the last record is another, whatever is wrong with it.
#[test]
fn a_changed_last_line_was_called_as_it_was_written() {
    let good = exported(&history());
    for change in [
        // A block that lies in no CIDR of its pool; no outcome; one of a newer program; no JSON.
        &|line: &str| line.replacen("\"cidr\":\"10.", "\"cidr\":\"11.", 1),
        &|line: &str| line.replacen("\"principal\"", "\"principle\"", 1),
        &|line: &str| line.replacen("\"schema\":1", "\"schema\":2", 1),
        &|line: &str| line[..99].to_owned(),
    ] as [&dyn Fn(&str) -> String; 4]
    {
        let mut lines = good.clone();
        lines[12] = change(&good[12]);
        assert_ne!(lines, good);
        let report = checked(&lines);
        let (kind, index, finding) = only(&report);
        assert_eq!((kind, index), (Kind::Changed, 11), "{finding}");
        assert!(finding.problem.contains("the manifest"), "{finding}");
    }
}

#[test]
fn an_organisation_written_with_an_escape_was_another_when_asked_for_alone() {
    let mut values = encoded(&history());
    let escaped = String::from_utf8(values[11].clone()).expect("text").replacen(MANAGEMENT, "\\u003000000000001", 1);
    values[11] = escaped.into_bytes();
    let log = numbered(&values);
    let alone = verify(&log, &Asked { organization: Some(&lone()), ..Asked::default() }, &|_| {}).expect("readable");
    let whole = audit(&log);
    assert_eq!((alone.findings.as_slice(), &alone.heads), (&[][..], &whole.heads));
    assert_eq!(whole.heads[&lone()].revision, Revision(12));
    // Changed into what is no id, it is nobody's, and what comes behind says whose it was.
    let genuine = String::from_utf8(values[5].clone()).expect("text");
    for nobody in ["\u{1}", "g-aa"] {
        values[5] = genuine.replacen(MANAGEMENT, nobody, 1).into_bytes();
        let asked = Asked { organization: Some(&lone()), ..Asked::default() };
        let report = verify(&numbered(&values), &asked, &|_| {}).expect("readable");
        let (kind, index, finding) = only(&report);
        assert_eq!((kind, index), (Kind::Changed, 5), "{finding}");
    }
}

fn forged(at: usize, change: impl FnOnce(&mut Vec<Event>)) -> Report {
    let mut outcomes = history();
    let Decision::Accepted(events) = &mut outcomes[at].decision else { panic!("{at} is rejected") };
    change(events);
    rechain(&mut outcomes);
    let report = audit(&numbered(&encoded(&outcomes)));
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!(finding.revision, Some(Revision(at as u64 + 1)), "{finding}");
    report
}

/// Its space could be handed out again while the child pool still had it.
#[test]
fn what_a_child_pool_has_could_be_released_from_its_source() {
    let outcomes = history();
    let [Event::PoolCidrProvisioned(given)] = outcomes[4].events() else { panic!("{:?}", outcomes[4]) };
    let [Event::PoolCreated(child)] = outcomes[3].events() else { panic!("{:?}", outcomes[3]) };
    let released = AllocationReleased {
        pool: child.source_pool.expect("a child"),
        cidr: given.cidr,
        allocation: given.source_allocation.expect("a child's"),
        ..match outcomes[8].events() {
            [Event::AllocationReleased(released)] => released.clone(),
            other => panic!("{other:?}"),
        }
    };
    let report = forged(8, |events| *events = vec![released.into()]);
    assert!(report.findings[0].problem.contains("INV-C3 is broken"), "{}", report.findings[0]);
}

#[test]
fn a_cascade_could_empty_pools_that_stay() {
    let outcomes = history();
    let [Event::PoolCreated(top)] = outcomes[1].events() else { panic!("{:?}", outcomes[1]) };
    let all = ClosedCidr { pool: top.pool, cidr: "10.0.0.0/8".parse().expect("a CIDR"), allocations: 2 };
    let report = forged(10, |events| {
        let [Event::PoolDeleted(gone)] = events.as_mut_slice() else { panic!("{events:?}") };
        gone.closed.push(all);
    });
    assert!(report.findings[0].problem.contains("which stays"), "{}", report.findings[0]);
    let report = forged(10, |events| {
        let [Event::PoolDeleted(gone)] = events.as_mut_slice() else { panic!("{events:?}") };
        gone.pool = "ipam-pool-0123456789abcdef0".parse().expect("an id");
    });
    assert!(report.findings[0].problem.contains("does not exist"), "{}", report.findings[0]);
}

/// Cut off at the front and hashed anew.
#[test]
fn a_history_could_begin_in_its_middle() {
    let mut ledger = Ledger::new(1);
    ledger.organization("o-aa");
    let decided: Vec<_> = ledger.outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    let mut outcomes = decided[1..].to_vec();
    rechain(&mut outcomes);
    let report = audit(&numbered(&encoded(&outcomes)));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Wrong, 0), "{finding}");
    assert!(finding.problem.contains("INV-O2 is broken"), "{finding}");

    let rejected = history().iter().position(|outcome| outcome.events().is_empty()).expect("a rejection");
    let mut outcomes = history()[rejected..=rejected].to_vec();
    rechain(&mut outcomes);
    let report = audit(&numbered(&encoded(&outcomes)));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Wrong, 0), "{finding}");

    // Accepted, and of no history.
    let mut outcomes = history()[..1].to_vec();
    outcomes[0].revision = None;
    outcomes[0].decision = Decision::Accepted(Vec::new());
    let report = audit(&numbered(&encoded(&outcomes)));
    assert_eq!(only(&report).0, Kind::Inserted);
}

/// What is missing is nobody's: all that follows is there, and has no effect.
#[test]
fn a_dropped_record_of_nobody_was_said_to_be_the_next_of_somebody() {
    let mut stranger = history()[9].clone();
    stranger.organization = "o-nobody".parse().expect("an id");
    stranger.decision = history().into_iter().find(|one| one.events().is_empty()).expect("a rejection").decision;
    (stranger.revision, stranger.previous) = (None, None);
    let mut values = encoded(&history());
    values.insert(5, encode_outcome(&stranger));
    let mut records = super::copied(&values);
    records.remove(6);
    let log = laid_down(&records);
    for organization in [None, Some(lone())] {
        let asked = Asked { organization: organization.as_ref(), ..Asked::default() };
        let report = verify(&log, &asked, &|_| {}).expect("readable");
        let (kind, index, finding) = only(&report);
        assert_eq!((kind, index, &finding.organization), (Kind::Dropped, 5, &None), "{finding}");
    }
}

#[test]
fn a_newer_rejection_of_nobody_was_called_inserted() {
    let mut newer = history()[9].clone();
    (newer.schema, newer.revision, newer.previous) = (2, None, None);
    let report = audit(&numbered(&encoded(&[newer])));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Unreadable, 0), "{finding}");
}

#[test]
fn two_records_that_cannot_be_read_were_taken_for_one_another() {
    let mut ledger = Ledger::new(1);
    for id in ["o-aa", "o-ab"] {
        ledger.organization(id);
    }
    let decided: Vec<_> = ledger.outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    let mut order: Vec<_> = [0, 5, 1, 6, 2, 7].map(|at: usize| decided[at].clone()).into();
    // No JSON any more, and still what their writer wrote: what comes behind names them, the second's first.
    let values = [b"?1".to_vec(), b"?2".to_vec()];
    order[4].previous = Some(crate::domain::digest::Digest::of(&values[0]));
    order[5].previous = Some(crate::domain::digest::Digest::of(&values[1]));
    order.swap(4, 5);
    let mut all = encoded(&order);
    all[2..4].clone_from_slice(&values);
    let report = audit(&numbered(&all));
    let found: Vec<_> =
        report.findings.iter().map(|one| (one.kind, one.organization.as_ref().map(OrganizationId::as_str))).collect();
    assert_eq!(found, [(Kind::Unreadable, Some("o-aa")), (Kind::Unreadable, Some("o-ab"))], "{:?}", report.findings);

    // Asked for one alone: the other's may be its, for nobody can read whose it is; but its own says so.
    let order: Vec<_> = [0, 5, 1, 6, 2, 7].map(|at: usize| decided[at].clone()).into();
    let mut all = encoded(&order);
    let broken = |value: &[u8], from, to| String::from_utf8_lossy(value).replacen(from, to, 1).into_bytes();
    all[2] = broken(&all[2], "organization", "orGanization");
    all[3] = broken(&all[3], "\"type\"", "type\"");
    let alone = "o-ab".parse().expect("an organisation");
    let asked = Asked { organization: Some(&alone), ..Asked::default() };
    let report = verify(&numbered(&all), &asked, &|_| {}).expect("readable");
    let found = report.findings.iter().find(|one| one.organization.as_ref() == Some(&alone)).expect("something");
    assert_eq!((found.kind, found.place), (Kind::Changed, Place::Log { partition: ZERO, offset: Offset(4) }));
}

fn asked_for(first: &Outcome, scope: &str) -> Vec<u8> {
    let body = DeleteScope { scope: scope.parse().expect("an id") };
    CommandRequest::new(first.command_id, first.organization.clone(), first.principal.clone(), body.into()).encode()
}

fn digest_of(command: &[u8]) -> crate::domain::digest::Digest {
    match crate::log::wire::decode_command(command) {
        Ok(crate::log::wire::Decoded::Command(command)) => command.digest,
        other => panic!("{other:?}"),
    }
}

/// The second command of an id is refused without a record: it accuses nobody.
#[test]
fn an_id_used_again_accused_the_record_of_its_first_command() {
    let mut outcomes = history();
    let commands =
        ["ipam-scope-0123456789abcdef0", "ipam-scope-0123456789abcdef1"].map(|id| asked_for(&outcomes[0], id));
    outcomes[0].digest = digest_of(&commands[0]);
    rechain(&mut outcomes);
    let mut kept = Kept::default();
    for command in &commands {
        kept.add(command).expect("it names its sender");
    }
    assert_eq!(kept.count(), 2);
    let asked = Asked { commands: Some(&kept), ..Asked::default() };
    let report = verify(&numbered(&encoded(&outcomes)), &asked, &|_| {}).expect("readable");
    assert_eq!((report.findings.as_slice(), report.proved), (&[][..], 1));
}

#[test]
fn a_rejection_of_nobody_was_not_held_against_the_command_that_was_kept() {
    let mut outcome = history().into_iter().find(|outcome| outcome.events().is_empty()).expect("a rejection");
    (outcome.revision, outcome.previous) = (None, None);
    let command = asked_for(&outcome, "ipam-scope-0123456789abcdef0");
    let mut kept = Kept::default();
    kept.add(&command).expect("it names its sender");
    let asked = Asked { commands: Some(&kept), ..Asked::default() };
    let audited = |outcome: &Outcome| {
        verify(&numbered(&encoded(std::slice::from_ref(outcome))), &asked, &|_| {}).expect("readable")
    };
    let report = audited(&outcome);
    assert_eq!((only(&report).0, report.proved), (Kind::Wrong, 0));
    outcome.digest = digest_of(&command);
    let report = audited(&outcome);
    assert_eq!((report.findings.as_slice(), report.proved), (&[][..], 1));
}

/// What first does not fit can stand behind a record that was changed: its follower shows that, wherever it is now.
#[test]
fn a_changed_record_before_others_out_of_place_went_unnamed() {
    let mut outcomes = history();
    outcomes[5].principal.name = Some("taster".to_owned());
    let values = encoded(&outcomes);
    let mut swapped = values.clone();
    swapped.swap(6, 7);
    let mut doubled = values.clone();
    doubled.insert(6, values[3].clone());
    for values in [swapped, doubled] {
        let report = audit(&numbered(&values));
        let (kind, index, finding) = only(&report);
        assert_eq!((kind, index), (Kind::Changed, 5), "{finding}");
    }
    let mut stranger = values.clone();
    stranger.insert(6, encoded(&history())[5].clone());
    let report = audit(&numbered(&stranger));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Inserted, 5), "the genuine one is still there: {finding}");
}

#[test]
fn a_withdrawal_of_what_nobody_had_observed_was_clean() {
    let mut outcomes = history();
    let observed_at = outcomes[2].decided_at;
    let id = "vpc-1".to_owned();
    let withdrawn = ObservationRetracted { kind: ResourceKind::Vpc, id, observed_at, revision: Revision(3) };
    outcomes[8].decision = Decision::Accepted(vec![withdrawn.into()]);
    rechain(&mut outcomes);
    let report = audit(&numbered(&encoded(&outcomes)));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Wrong, 8), "{finding}");
    assert!(finding.problem.starts_with("it withdraws an observation of vpc vpc-1"), "{finding}");
}
