//! Admission and takeover through a log: whatever deposed writers append, all readers agree on what counts.

use ipam_ledger::log::admission::{Verdict, Void};
use ipam_ledger::log::record::{Epoch, Seq, SourceOffset};
use uuid::Uuid;

use super::{AppendAndWait, Make, ZERO, append, fold, opening, outcome, passed};

const LEDGER: Uuid = Uuid::from_u128(1);

fn is_valid(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Void(_))
}

pub fn a_reign_is_opened_and_followed(make: &Make) {
    let world = make(1);
    let log = world.log();
    let writer = Uuid::from_u128(10);
    append(&*log, ZERO, vec![opening(1, writer, LEDGER), outcome(1, 1, "{}"), passed(1, 2, 150), outcome(1, 3, "{}")]);
    let (admission, verdicts) = fold(&*log, 4);
    assert!(verdicts.iter().all(is_valid), "{verdicts:?}");
    let reign = admission.reign.expect("a reign");
    assert_eq!((reign.epoch, reign.writer, reign.next_seq), (Epoch(1), writer, Seq(4)));
    assert_eq!(admission.source, Some(SourceOffset(103)));
    assert_eq!(admission.next, log.end(ZERO).expect("an end"));
}

pub fn what_a_deposed_writer_appends_is_void(make: &Make) {
    let world = make(1);
    let log = world.log();
    let mut old = log.appender(ZERO).expect("an appender");
    let mut new = log.appender(ZERO).expect("an appender");
    old.append_and_wait(&*log, ZERO, vec![opening(1, Uuid::from_u128(10), LEDGER), outcome(1, 1, "old 1")]);
    new.append_and_wait(&*log, ZERO, vec![opening(2, Uuid::from_u128(20), LEDGER)]);
    old.append_and_wait(&*log, ZERO, vec![outcome(1, 2, "ghost 2"), outcome(1, 3, "ghost 3")]);
    new.append_and_wait(&*log, ZERO, vec![outcome(2, 1, "new 1")]);
    old.append_and_wait(&*log, ZERO, vec![outcome(1, 4, "ghost 4")]);
    new.append_and_wait(&*log, ZERO, vec![outcome(2, 2, "new 2")]);
    let (admission, verdicts) = fold(&*log, 8);
    assert_eq!(verdicts.iter().map(is_valid).collect::<Vec<_>>(), [true, true, true, false, false, true, false, true]);
    assert_eq!(verdicts[3], Verdict::Void(Void::EpochNotOpen { open: Some(Epoch(2)), found: Epoch(1) }));
    assert_eq!(admission.void_count, 3);
    assert_eq!(fold(&*log, 8).0, admission, "two readers disagree");
}

pub fn of_two_that_take_over_at_once_the_first_in_the_log_reigns(make: &Make) {
    let world = make(1);
    let log = world.log();
    let mut one = log.appender(ZERO).expect("an appender");
    let mut two = log.appender(ZERO).expect("an appender");
    append(&*log, ZERO, vec![opening(1, Uuid::from_u128(5), LEDGER)]);
    one.append(vec![opening(2, Uuid::from_u128(10), LEDGER)]).expect("an append");
    two.append(vec![opening(2, Uuid::from_u128(20), LEDGER)]).expect("an append");
    let (admission, verdicts) = fold(&*log, 3);
    let Verdict::Opened(winner) = verdicts[1] else { panic!("{verdicts:?}") };
    assert_eq!(verdicts[2], Verdict::Void(Void::EpochNotNext { expected: Epoch(3), found: Epoch(2) }));
    let reign = admission.reign.expect("a reign");
    assert_eq!(reign.writer, winner.writer);
    assert_ne!(reign.writer, Uuid::from_u128(5));
}

pub fn a_gap_or_a_doubled_record_is_void(make: &Make) {
    let world = make(1);
    let log = world.log();
    let records = vec![
        opening(1, Uuid::from_u128(10), LEDGER),
        outcome(1, 1, "1"),
        outcome(1, 1, "1 again"),
        outcome(1, 3, "3, 2 was lost"),
        outcome(1, 2, "2"),
    ];
    append(&*log, ZERO, records);
    let (_, verdicts) = fold(&*log, 5);
    assert_eq!(verdicts.iter().map(is_valid).collect::<Vec<_>>(), [true, true, false, false, true]);
    assert_eq!(verdicts[3], Verdict::Void(Void::SeqNotNext { expected: Seq(2), found: Seq(3) }));
}

pub fn another_ledger_cannot_take_over(make: &Make) {
    let world = make(1);
    let log = world.log();
    let stranger = Uuid::from_u128(2);
    append(&*log, ZERO, vec![opening(1, Uuid::from_u128(10), LEDGER), opening(2, Uuid::from_u128(20), stranger)]);
    append(&*log, ZERO, vec![outcome(2, 1, "{}"), outcome(1, 1, "{}")]);
    let (admission, verdicts) = fold(&*log, 4);
    assert_eq!(verdicts[1], Verdict::Void(Void::OtherLedger { expected: LEDGER, found: stranger }));
    assert_eq!(verdicts.iter().map(is_valid).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(admission.reign.expect("a reign").ledger, LEDGER);
}
