//! Exports: what is in them, and that each kind of tampering with the file is named as what it is.

use super::{encoded, history, numbered, only};
use crate::audit::Asked;
use crate::audit::checkpoint::Statement;
use crate::audit::export::{ExportError, Manifest, export, verify_file};
use crate::audit::report::{Kind, Report};
use crate::domain::digest::Digest;
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::time::Timestamp;
use crate::log::simulated::SimulatedLog;
use crate::views::testing::MANAGEMENT;

fn organization() -> OrganizationId {
    MANAGEMENT.parse().expect("a lone account")
}

fn exported(log: &SimulatedLog) -> Vec<String> {
    let mut file = Vec::new();
    export(log, &organization(), &mut file).expect("there is a history");
    String::from_utf8(file).expect("text").lines().map(str::to_owned).collect()
}

fn checked(lines: &[String]) -> (Manifest, Report) {
    let file = lines.join("\n") + "\n";
    verify_file(|| Ok(file.as_bytes()), &Asked::default()).expect("it is an export")
}

#[test]
fn an_export_holds_the_bytes_of_the_log() {
    let values = encoded(&history());
    let log = numbered(&values);
    let lines = exported(&log);
    assert_eq!(lines.len(), 13);
    for (line, value) in lines[1..].iter().zip(&values) {
        assert_eq!(line.as_bytes(), value);
    }
    let (manifest, report) = checked(&lines);
    assert_eq!(report.findings, []);
    assert_eq!((manifest.records, manifest.first.revision, manifest.last.revision), (12, Revision(1), Revision(12)));
    assert_eq!(manifest.last.hash, Digest::of(&values[11]));
    assert_eq!((report.records, report.accepted, report.rejected), (12, 11, 1));
    assert_eq!(report.heads, super::audit(&log).heads);
    let nobody = "o-nobody".parse().expect("an id");
    assert!(matches!(export(&log, &nobody, &mut Vec::new()), Err(ExportError::NoHistory(_))));
}

#[test]
fn a_value_that_is_not_one_line_keeps_its_bytes() {
    let mut values = encoded(&history());
    // As another program may write it.
    let last = String::from_utf8(values[11].clone()).expect("text").replacen('{', "{\n ", 1);
    values[11] = last.into_bytes();
    let lines = exported(&numbered(&values));
    assert!(lines[12].starts_with("\"hex:7b0a20"), "{}", lines[12]);
    let (manifest, report) = checked(&lines);
    assert_eq!((report.findings.as_slice(), manifest.last.hash), (&[][..], Digest::of(&values[11])));
}

#[test]
fn every_kind_of_tampering_is_named_as_what_it_is() {
    let good = exported(&numbered(&encoded(&history())));
    let tampered = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = good.clone();
        change(&mut lines);
        lines
    };
    let edited = |line: usize| {
        tampered(&|lines| {
            let before = lines[line].clone();
            lines[line] = before.replacen("\"proof\":\"none\"", "\"name\":\"eve\",\"proof\":\"none\"", 1).replacen(
                "\"name\":\"tester\",",
                "",
                1,
            );
            assert_ne!(lines[line], before);
        })
    };
    for (what, lines, kind, index) in [
        ("changed", edited(6), Kind::Changed, 5),
        ("the last changed", edited(12), Kind::Changed, 11),
        ("dropped", tampered(&|lines| drop(lines.remove(6))), Kind::Dropped, 5),
        ("the last dropped", tampered(&|lines| drop(lines.pop())), Kind::Dropped, 10),
        ("swapped", tampered(&|lines| lines.swap(6, 7)), Kind::Swapped, 5),
        ("doubled", tampered(&|lines| lines.insert(7, lines[6].clone())), Kind::Doubled, 6),
        ("the last doubled", tampered(&|lines| lines.push(lines[12].clone())), Kind::Doubled, 12),
        (
            "inserted",
            tampered(&|lines| lines.insert(7, lines[6].replace("\"name\":\"tester\"", "\"name\":\"eve\""))),
            Kind::Inserted,
            6,
        ),
        (
            "inserted of another organisation",
            tampered(&|lines| lines.insert(7, lines[6].replace("000000000001", "000000000009"))),
            Kind::Inserted,
            6,
        ),
        ("cut short", tampered(&|lines| lines[6].truncate(200)), Kind::Changed, 5),
    ] {
        let (_, report) = checked(&lines);
        let (found, at, finding) = only(&report);
        assert_eq!((found, at), (kind, index), "{what}: {finding}");
    }
    // The manifest itself.
    let lines = tampered(&|lines| lines[0] = lines[0].replacen("\"records\":12", "\"records\":13", 1));
    let (_, report) = checked(&lines);
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    for bad in [&good[1..], &[]] {
        let file = bad.join("\n");
        assert!(matches!(verify_file(|| Ok(file.as_bytes()), &Asked::default()), Err(ExportError::Malformed(_))));
    }
}

#[test]
fn a_checkpoint_shows_that_an_export_was_not_rewritten() {
    let values = encoded(&history());
    let checkpoint = Statement::of(&super::audit(&numbered(&values[..8])), Timestamp::default()).expect("it is a log");
    let against = |lines: &[String]| {
        let file = lines.join("\n") + "\n";
        verify_file(|| Ok(file.as_bytes()), &Asked { checkpoint: Some(&checkpoint), ..Asked::default() })
            .expect("it is an export")
            .1
    };
    let good = exported(&numbered(&values));
    let report = against(&good);
    assert_eq!((report.findings.as_slice(), report.trusted), (&[][..], 8));
    let mut outcomes = history();
    outcomes[5].reason = Some("another".to_owned());
    super::rechain(&mut outcomes);
    let rewritten = exported(&numbered(&encoded(&outcomes)));
    assert_eq!(checked(&rewritten).1.findings, []);
    let report = against(&rewritten);
    assert_eq!(only(&report).0, Kind::Rewritten);
    let short = exported(&numbered(&values[..6]));
    assert_eq!(checked(&short).1.findings, []);
    let report = against(&short);
    assert_eq!(only(&report).0, Kind::Dropped);
}

#[test]
fn whoever_kept_a_command_can_tell_that_a_record_answers_it() {
    use crate::audit::kept::Kept;
    use crate::log::wire::{CommandRequest, Decoded, decode_command};
    // The digest on record is that of the command as it was sent.
    let mut outcomes = history();
    let first = outcomes[0].clone();
    let body = crate::domain::command::DeleteScope { scope: "ipam-scope-0123456789abcdef0".parse().expect("an id") };
    let command = CommandRequest::new(first.command_id, first.organization, first.principal, body.into()).encode();
    let Ok(Decoded::Command(decoded)) = decode_command(&command) else { panic!("a command") };
    let mut kept = Kept::default();
    kept.add(&command).expect("it names its sender");
    assert!(kept.add(b"{}").is_err());
    assert_eq!(kept.count(), 1);
    let asked = Asked { commands: Some(&kept), ..Asked::default() };
    let audit = |outcomes: &[crate::domain::outcome::Outcome]| {
        crate::audit::verify(&numbered(&encoded(outcomes)), &asked, &|_| {}).expect("the log can be read")
    };
    let report = audit(&outcomes);
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Wrong, 0), "{finding}");
    assert!(finding.problem.contains("the one that was kept has"), "{finding}");
    outcomes[0].digest = decoded.digest;
    super::rechain(&mut outcomes);
    let report = audit(&outcomes);
    assert_eq!((report.findings.as_slice(), report.proved), (&[][..], 1));
}
