//! What a signed checkpoint shows, and what it leaves out.

use super::{ZERO, encoded, history, numbered, only, rechain};
use crate::audit::checkpoint::{CheckpointError, PrivateKey, Statement};
use crate::audit::report::{Head, Kind, Report};
use crate::audit::{Asked, verify};
use crate::domain::digest::Digest;
use crate::domain::event::Event;
use crate::domain::id::Revision;
use crate::domain::outcome::Decision;
use crate::domain::time::Timestamp;
use crate::log::record::Offset;
use crate::log::simulated::SimulatedLog;

fn signed(log: &SimulatedLog) -> Statement {
    Statement::of(&super::audit(log), Timestamp::default()).expect("it is a log")
}

fn since(log: &SimulatedLog, checkpoint: &Statement) -> Report {
    let asked = Asked { checkpoint: Some(checkpoint), ..Asked::default() };
    verify(log, &asked, &|_| {}).expect("the log can be read")
}

#[test]
fn history_before_a_checkpoint_is_the_one_that_was_signed() {
    let good = encoded(&history());
    let checkpoint = signed(&numbered(&good[..8]));
    let report = since(&numbered(&good), &checkpoint);
    assert_eq!((report.findings.as_slice(), report.trusted, report.accepted), (&[][..], 8, 11));
    assert_eq!(since(&numbered(&good[..8]), &checkpoint).findings, [], "nothing new is no fault");

    // Rewritten with a whole chain: nothing but the checkpoint tells.
    let mut outcomes = history();
    outcomes[5].reason = Some("another".to_owned());
    rechain(&mut outcomes);
    let forged = numbered(&encoded(&outcomes));
    assert_eq!(super::audit(&forged).findings, []);
    let report = since(&forged, &checkpoint);
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Rewritten, 7), "{finding}");

    // Cut off, and written on differently.
    let report = since(&numbered(&good[..6]), &checkpoint);
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Dropped, 5), "{finding}");
    assert!(finding.problem.contains("revision 8 was signed"), "{finding}");

    // A record of nobody, with no effect: the histories are the same, the log is not.
    let log = numbered(&good[..7]);
    log.land_foreign(ZERO, b"?");
    let other = signed(&log);
    let report = since(&numbered(&good), &other);
    let (kind, _, finding) = only(&report);
    assert_eq!(kind, Kind::Rewritten, "{finding}");

    // What comes after is judged as ever.
    let mut outcomes = history();
    let Decision::Accepted(events) = &mut outcomes[11].decision else { panic!("an allocation") };
    let [Event::CidrAllocated(block)] = events.as_mut_slice() else { panic!("an allocation") };
    block.cidr = "10.0.0.0/20".parse().expect("a CIDR");
    rechain(&mut outcomes);
    let report = since(&numbered(&encoded(&outcomes)), &checkpoint);
    assert_eq!(report.findings, [], "the child pool is gone, so the block is free");
    let Decision::Accepted(events) = &mut outcomes[11].decision else { panic!("an allocation") };
    let [Event::CidrAllocated(block)] = events.as_mut_slice() else { panic!("an allocation") };
    block.cidr = "192.0.2.0/24".parse().expect("a CIDR");
    let report = since(&numbered(&encoded(&outcomes)), &checkpoint);
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Wrong, 11), "{finding}");
}

#[test]
fn decisions_before_a_checkpoint_are_not_judged_again() {
    // A ledger with a blemish that its auditors know of.
    let mut outcomes = history();
    outcomes[4].command_id = outcomes[2].command_id;
    rechain(&mut outcomes);
    let values = encoded(&outcomes);
    let log = numbered(&values);
    assert_eq!(only(&super::audit(&log)).0, Kind::Doubled);
    // Signed by hand: the program signs nothing in which something is wrong.
    let mut checkpoint = signed(&numbered(&values[..4]));
    for head in checkpoint.heads.values_mut() {
        *head = Head { revision: Revision(5), hash: Digest::of(&values[4]) };
    }
    let admission = checkpoint.admissions.get_mut(&ZERO).expect("one");
    admission.next = Offset(6);
    admission.reign.as_mut().expect("a reign").next_seq.0 = 6;
    let report = since(&log, &checkpoint);
    assert_eq!((report.findings.as_slice(), report.trusted), (&[][..], 5));
}

#[test]
fn signatures_are_checked() {
    let (key, other) = (PrivateKey::from_seed(&[7; 32]), PrivateKey::from_seed(&[8; 32]));
    let statement = signed(&numbered(&encoded(&history())));
    let text = statement.sign(&key);
    assert_eq!(Statement::read(&text, Some(&key.public())).expect("it is good"), statement);
    assert_eq!(Statement::read(&text, None).expect("it is whole"), statement);
    let wrong = Statement::read(&text, Some(&other.public()));
    assert!(matches!(wrong, Err(CheckpointError::OtherKey { .. })), "{wrong:?}");
    let changed = text.replacen("\"revision\":12", "\"revision\":13", 1);
    assert_ne!(changed, text);
    assert!(matches!(Statement::read(&changed, Some(&key.public())), Err(CheckpointError::Changed)));
    assert!(matches!(Statement::read(&changed, None), Err(CheckpointError::Changed)));
    let (first, _) = text.split_once('\n').expect("two lines");
    for bad in [
        "",
        "{}",
        first,
        &format!("{first}\n"),
        &text.replace("ed25519", "rsa"),
        &text.replace("checkpoint-1", "checkpoint-2"),
    ] {
        let read = Statement::read(bad, None);
        assert!(matches!(read, Err(CheckpointError::Malformed(_) | CheckpointError::Changed)), "{bad}: {read:?}");
    }
    let again = PrivateKey::from_pem(&key.to_pem()).expect("as it was written");
    assert_eq!(again.public().name(), key.public().name());
    let public = crate::audit::checkpoint::PublicKey::from_pem(&key.public().to_pem()).expect("as it was written");
    assert_eq!(public.name(), key.public().name());
    assert!(PrivateKey::from_pem(&key.public().to_pem()).is_err());
}
