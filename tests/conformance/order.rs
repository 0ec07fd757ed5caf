//! Records come back as they went in: in order, without gaps, from any position.

use std::thread;
use std::time::{Duration, Instant};

use ipam_ledger::log::record::{Header, Kind, NewRecord, Offset, Partition, SourceOffset};
use ipam_ledger::log::{AppendError, RECORD_BYTES_MAX, ReadError};

use super::{AppendAndWait, Make, PATIENCE, ZERO, append, header, outcome, read, values};

pub fn records_are_read_in_the_order_of_their_appends(make: &Make) {
    let world = make(2);
    let log = world.log();
    let mut appender = log.appender(ZERO).expect("an appender");
    for batch in 0..20 {
        let records = (0..10).map(|index| outcome(1, index, &format!("{}", batch * 10 + index))).collect();
        appender.append(records).expect("an append");
    }
    append(&*log, Partition(1), vec![outcome(1, 1, "elsewhere")]);
    let records = read(&*log, ZERO, Offset(0), 200);
    assert_eq!(values(&records), (0..200).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(records.is_sorted_by(|a, b| a.offset < b.offset));
    assert_eq!(values(&read(&*log, Partition(1), Offset(0), 1)), ["elsewhere"]);
    assert_eq!(log.partitions().expect("a number"), 2);
}

pub fn a_record_comes_back_as_it_went_in(make: &Make) {
    let world = make(1);
    let log = world.log();
    let before = chrono::Utc::now().timestamp_micros();
    let sent = [
        NewRecord { header: header(Kind::EpochOpened, 1, 0), key: None, value: b"{}".as_slice().into() },
        outcome(u64::MAX, u64::MAX, "\u{0}\u{feff}ü"),
        NewRecord {
            header: Header { source: Some(SourceOffset(0)), ..header(Kind::Passed, 7, 0) },
            key: None,
            value: [].into(),
        },
        NewRecord { header: header(Kind::Outcome, 7, 1), key: None, value: [0, 255].into() },
    ];
    append(&*log, ZERO, sent.to_vec());
    let records = read(&*log, ZERO, Offset(0), sent.len());
    assert_eq!(records.len(), sent.len());
    for (record, sent) in records.iter().zip(sent) {
        assert_eq!((record.header, &record.value), (Some(sent.header), &sent.value));
        let late = record.appended_at.micros() - before;
        assert!(!world.has_real_clock() || (-2_000_000..60_000_000).contains(&late), "{late} µs");
    }
}

pub fn a_reader_starts_anywhere_up_to_the_end_and_not_behind_it(make: &Make) {
    let world = make(1);
    let log = world.log();
    assert_eq!(log.end(ZERO).expect("an end"), Offset(0));
    append(&*log, ZERO, (0..5).map(|index| outcome(1, index, &index.to_string())).collect());
    assert_eq!(log.end(ZERO).expect("an end"), Offset(5));
    assert_eq!(values(&read(&*log, ZERO, Offset(3), 2)), ["3", "4"]);
    let mut at_end = log.reader(ZERO, Offset(5)).expect("a reader at the end");
    assert!(at_end.read(10, Duration::from_millis(20)).expect("a read").is_empty());
    append(&*log, ZERO, vec![outcome(1, 5, "5")]);
    assert_eq!(values(&at_end.read(10, PATIENCE).expect("a read")), ["5"]);
    let error = log.reader(ZERO, Offset(8)).map(|_| ()).expect_err("beyond the end");
    assert!(
        matches!(error, ReadError::AheadOfLog { position: Offset(8), end: Offset(6) }),
        "a position behind the end is {error:?}"
    );
}

pub fn a_read_gives_no_more_than_asked(make: &Make) {
    let world = make(1);
    let log = world.log();
    append(&*log, ZERO, (0..7).map(|index| outcome(1, index, &index.to_string())).collect());
    let mut reader = log.reader(ZERO, Offset(0)).expect("a reader");
    let mut read = Vec::new();
    while read.len() < 7 {
        let records = reader.read(3, PATIENCE).expect("a read");
        assert!((1..=3).contains(&records.len()), "{} records", records.len());
        read.extend(records);
    }
    assert_eq!(values(&read), ["0", "1", "2", "3", "4", "5", "6"]);
}

pub fn a_reader_waits_for_the_next_record(make: &Make) {
    let world = make(1);
    let log = world.log();
    let mut reader = log.reader(ZERO, Offset(0)).expect("a reader");
    let begun = Instant::now();
    assert!(reader.read(10, Duration::from_millis(100)).expect("a read").is_empty());
    assert!(begun.elapsed() >= Duration::from_millis(80), "it did not wait");
    let mut appender = log.appender(ZERO).expect("an appender");
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        appender.append(vec![outcome(1, 1, "late")]).expect("an append");
        appender
    });
    let begun = Instant::now();
    let mut records = Vec::new();
    while records.is_empty() && begun.elapsed() < PATIENCE {
        records = reader.read(10, PATIENCE).expect("a read");
    }
    assert_eq!(values(&records), ["late"]);
    assert!(begun.elapsed() < PATIENCE / 2, "it slept over the record: {:?}", begun.elapsed());
    late.join().expect("the appender's thread");
}

pub fn partitions_are_appended_to_side_by_side(make: &Make) {
    let world = make(4);
    let log = world.log();
    let threads = (0..4).map(Partition).map(|partition| {
        let mut appender = log.appender(partition).expect("an appender");
        thread::spawn(move || {
            for batch in 0..25 {
                let records = vec![outcome(1, batch, &format!("{partition}-{batch}")); 4];
                appender.append(records).expect("an append");
            }
            appender
        })
    });
    // Dropping an appender would abandon what is under way.
    let appenders: Vec<_> = threads.collect::<Vec<_>>().into_iter().map(std::thread::JoinHandle::join).collect();
    for partition in (0..4).map(Partition) {
        let expected: Vec<_> = (0..100).map(|index| format!("{partition}-{}", index / 4)).collect();
        assert_eq!(values(&read(&*log, partition, Offset(0), 100)), expected);
    }
    for appender in appenders {
        appender.expect("the appender's thread").check().expect("a check");
    }
}

pub fn big_records_go_through_among_small_ones(make: &Make) {
    let world = make(1);
    let log = world.log();
    let big = "x".repeat(900 << 10);
    let biggest = "y".repeat(RECORD_BYTES_MAX);
    let records: Vec<_> =
        ["a", &big, "b", &big, &biggest, "c"].iter().zip(1..).map(|(value, seq)| outcome(1, seq, value)).collect();
    let mut appender = log.appender(ZERO).expect("an appender");
    appender.append_and_wait(&*log, ZERO, records.clone());
    let found = read(&*log, ZERO, Offset(0), records.len());
    for (found, sent) in found.iter().zip(&records) {
        assert!(found.value == sent.value, "a record of {} bytes came back changed", sent.value.len());
    }
    let too_big = outcome(1, 7, &"z".repeat(RECORD_BYTES_MAX + 1));
    let error = appender.append(vec![too_big]).expect_err("too big");
    assert!(matches!(error, AppendError::Refused(_)), "{error:?}");
    append(&*log, ZERO, vec![outcome(1, 7, "d")]);
    assert_eq!(values(&read(&*log, ZERO, Offset(6), 1)), ["d"]);
}

pub fn a_partition_that_is_not_there_is_said_so(make: &Make) {
    let world = make(1);
    let log = world.log();
    let beyond = Partition(7);
    assert!(matches!(log.end(beyond), Err(ReadError::Unreachable(_))));
    assert!(matches!(log.reader(beyond, Offset(0)).map(|_| ()), Err(ReadError::Unreachable(_))));
    assert!(matches!(log.appender(beyond).map(|_| ()), Err(AppendError::Refused(_))));
}
