//! What is read stays; what is gone is said to be gone.

use ipam_ledger::log::ReadError;
use ipam_ledger::log::record::{Offset, Partition};

use super::{Make, ZERO, append, outcome, read, values};

pub fn records_are_there_after_reopening(make: &Make) {
    let mut world = make(2);
    append(&*world.log(), ZERO, vec![outcome(1, 1, "a"), outcome(1, 2, "b")]);
    append(&*world.log(), Partition(1), vec![outcome(1, 1, "other")]);
    let before = read(&*world.log(), ZERO, Offset(0), 2);
    for _ in 0..2 {
        world.reopen();
        assert_eq!(read(&*world.log(), ZERO, Offset(0), 2), before);
        assert_eq!(world.log().end(ZERO).expect("an end"), Offset(2));
        assert_eq!(world.log().end(Partition(1)).expect("an end"), Offset(1));
    }
    append(&*world.log(), ZERO, vec![outcome(1, 3, "c")]);
    assert_eq!(values(&read(&*world.log(), ZERO, Offset(1), 2)), ["b", "c"]);
}

pub fn a_position_of_a_log_that_was_replaced_is_ahead(make: &Make) {
    let mut world = make(1);
    append(&*world.log(), ZERO, (0..9).map(|index| outcome(1, index, "old")).collect());
    world.replace();
    let log = world.log();
    append(&*log, ZERO, vec![outcome(1, 1, "new")]);
    let error = log.reader(ZERO, Offset(9)).map(|_| ()).expect_err("ahead of the log");
    assert!(matches!(error, ReadError::AheadOfLog { position: Offset(9), end: Offset(1) }), "{error:?}");
}

pub fn a_position_before_the_beginning_is_truncated(make: &Make) {
    let mut world = make(1);
    append(&*world.log(), ZERO, (0..6).map(|index| outcome(1, index, &index.to_string())).collect());
    if !world.delete_before(ZERO, Offset(4)) {
        return;
    }
    let log = world.log();
    for position in [0, 3].map(Offset) {
        let error = log.reader(ZERO, position).map(|_| ()).expect_err("truncated");
        assert!(matches!(error, ReadError::Truncated { begin: Offset(4), .. }), "{error:?}");
    }
    assert_eq!(values(&read(&*log, ZERO, Offset(4), 2)), ["4", "5"]);
}
