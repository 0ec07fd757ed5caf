//! What a directory can suffer, and what opening it says then.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::log::record::{Epoch, Header, Kind, Seq};

const ZERO: Partition = Partition(0);

fn record(number: u64) -> NewRecord {
    let header = Header { kind: Kind::Outcome, epoch: Epoch(1), seq: Seq(number), source: None };
    NewRecord { header, key: None, value: Arc::from(number.to_string().as_bytes()) }
}

/// A directory with a log of `count` records, each appended for itself, and closed.
fn filled(count: u64) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let log = EmbeddedLog::open(directory.path(), 1).expect("a new log");
    let mut appender = log.appender(ZERO).expect("an appender");
    for number in 0..count {
        appender.append(vec![record(number)]).expect("an append");
    }
    directory
}

/// The values of all records, as far as they can be read.
pub(super) fn read_all(log: &EmbeddedLog) -> Result<Vec<String>, ReadError> {
    let end = log.end(ZERO)?;
    let mut reader = log.reader(ZERO, Offset(0))?;
    let mut values = Vec::new();
    while (values.len() as u64) < end.0 {
        let records = reader.read(1_000, Duration::ZERO)?;
        assert!(!records.is_empty(), "a reader stops before the end");
        values.extend(records.iter().map(|record| String::from_utf8_lossy(&record.value).into_owned()));
    }
    Ok(values)
}

fn numbers(count: u64) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

fn store_file(directory: &Path, fits: impl Fn(&str) -> bool) -> PathBuf {
    let entries = fs::read_dir(directory.join("records")).expect("the store");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&fits));
    files.sort();
    files.pop().expect("such a file")
}

fn is_wal(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "log")
}

fn is_table(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "sst")
}

fn open_error(directory: &Path) -> OpenError {
    EmbeddedLog::open(directory, 1).map(|_| ()).expect_err("it does not open")
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on() {
    let original = filled(5);
    let length = fs::metadata(store_file(original.path(), is_wal)).expect("a log file").len();
    for cut in [1, 2, 7, 20, 40, 41, 60, 120, length] {
        let torn = tempfile::tempdir().expect("a directory");
        copy(original.path(), torn.path());
        // After a power failure the mark may be older than what it marks; here it says nothing.
        fs::remove_file(torn.path().join(mark::FILE)).expect("removed");
        let file = store_file(torn.path(), is_wal);
        fs::File::options().write(true).open(&file).expect("the file").set_len(length - cut).expect("cut");
        let log = EmbeddedLog::open(torn.path(), 1).expect("a torn tail is no damage");
        let kept = log.end(ZERO).expect("an end").0;
        assert!(kept < 5, "{cut} bytes were cut and nothing is missing");
        assert_eq!(read_all(&log).expect("a prefix"), numbers(kept));
        log.appender(ZERO).expect("an appender").append(vec![record(kept)]).expect("an append");
        drop(log);
        let log = EmbeddedLog::open(torn.path(), 1).expect("the log");
        assert_eq!(read_all(&log).expect("all"), numbers(kept + 1));
    }
}

#[test]
fn every_flipped_bit_of_the_write_ahead_log_is_reported_and_nothing_is_changed() {
    let directory = filled(3);
    let file = store_file(directory.path(), is_wal);
    let sound = fs::read(&file).expect("the file");
    for bit in 0..sound.len() * 8 {
        let mut flipped = sound.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &flipped).expect("written");
        let error = open_error(directory.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "bit {bit}: {error:?}");
        assert!(fs::read(&file).expect("the file") == flipped, "bit {bit}: the file was changed");
    }
    fs::write(&file, sound).expect("written");
    let log = EmbeddedLog::open(directory.path(), 1).expect("the sound log");
    assert_eq!(read_all(&log).expect("all"), numbers(3));
}

#[test]
fn a_flipped_bit_in_a_table_is_reported_or_harmless() {
    let original = filled(200);
    // Opening moves the records from the write-ahead log to a table.
    drop(EmbeddedLog::open(original.path(), 1).expect("the log"));
    let table = fs::read(store_file(original.path(), is_table)).expect("a table");
    let mut reported = 0;
    for byte in (0..table.len()).step_by(table.len() / 60) {
        let directory = tempfile::tempdir().expect("a directory");
        copy(original.path(), directory.path());
        let file = store_file(directory.path(), is_table);
        let mut flipped = table.clone();
        flipped[byte] ^= 0x10;
        fs::write(&file, flipped).expect("written");
        match EmbeddedLog::open(directory.path(), 1) {
            Err(OpenError::Damaged { .. }) => reported += 1,
            Err(error) => panic!("byte {byte}: {error:?}"),
            Ok(log) => match read_all(&log) {
                Ok(values) => assert_eq!(values, numbers(200), "byte {byte}"),
                Err(ReadError::Damaged(_)) => reported += 1,
                Err(error) => panic!("byte {byte}: {error:?}"),
            },
        }
    }
    assert!(reported > 30, "only {reported} of 60 were noticed");
}

#[test]
fn a_flipped_bit_in_the_manifest_is_reported() {
    let directory = filled(3);
    drop(EmbeddedLog::open(directory.path(), 1).expect("the log"));
    let file = store_file(directory.path(), |name| name.starts_with("MANIFEST"));
    let sound = fs::read(&file).expect("the manifest");
    for byte in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[byte] ^= 1 << (byte % 8);
        fs::write(&file, &flipped).expect("written");
        let error = open_error(directory.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "byte {byte}: {error:?}");
    }
}

/// Its end was then taken for the log's: the writer went on at offset 0 or wherever the tables ended.
#[test]
fn a_write_ahead_log_that_is_gone_empty_or_cut_between_records_is_damage() {
    let original = filled(5);
    let name = store_file(original.path(), is_wal).file_name().expect("a name").to_owned();
    let whole = fs::read(original.path().join("records").join(&name)).expect("the file");
    let third = wal_record_at(&whole, 3);
    for cut in [None, Some(0), Some(third)] {
        let directory = tempfile::tempdir().expect("a directory");
        copy(original.path(), directory.path());
        let file = directory.path().join("records").join(&name);
        match cut {
            None => fs::remove_file(&file).expect("removed"),
            Some(length) => fs::write(&file, &whole[..length]).expect("written"),
        }
        let text = open_error(directory.path()).to_string();
        let kept = if cut == Some(third) { 3 } else { 0 };
        assert!(text.contains(&format!("ends at offset {kept}, but 5 records")), "{cut:?}: {text}");
        assert!(text.contains("backup"), "{cut:?}: {text}");
        let read = EmbeddedLog::open_read_only(directory.path()).map(|_| ()).expect_err("nor to be read");
        assert!(matches!(read, OpenError::Damaged { .. }), "{cut:?}: {read:?}");
        // As the message says, for who has no other copy.
        fs::remove_file(directory.path().join(mark::FILE)).expect("removed");
        let log = EmbeddedLog::open(directory.path(), 1).expect("the loss is accepted");
        assert_eq!(read_all(&log).expect("what is left"), numbers(kept));
    }
}

/// Where the record of this number begins: each here is a write of its own.
fn wal_record_at(wal: &[u8], number: usize) -> usize {
    (0..number).fold(0, |at, _| at + 7 + usize::from(u16::from_le_bytes([wal[at + 4], wal[at + 5]])))
}

/// The views knew what it held, so that nobody read it: records went on behind a hole.
#[test]
fn a_write_ahead_log_that_is_gone_before_another_is_damage() {
    let directory = filled(3);
    let first = store_file(directory.path(), is_wal);
    drop(EmbeddedLog::open(directory.path(), 1).expect("the log"));
    assert!(!first.exists(), "its records are in a table now");
    let before = tempfile::tempdir().expect("a directory");
    copy(directory.path(), before.path());
    let log = EmbeddedLog::open(directory.path(), 1).expect("the log");
    let mut appender = log.appender(ZERO).expect("an appender");
    for number in 3..6 {
        appender.append(vec![record(number)]).expect("an append");
    }
    drop((appender, log));
    let log = EmbeddedLog::open(directory.path(), 1).expect("the log");
    log.appender(ZERO).expect("an appender").append(vec![record(6)]).expect("an append");
    drop(log);
    // The tables of before, with the write-ahead log of after: what was written between the two is gone.
    let wal = store_file(directory.path(), is_wal);
    fs::copy(&wal, before.path().join("records").join(wal.file_name().expect("a name"))).expect("copied");
    fs::remove_file(before.path().join(mark::FILE)).expect("even without a mark");
    let text = open_error(before.path()).to_string();
    assert!(text.contains("begins with offset 6 of partition 0, and 5 is missing"), "{text}");
}

#[test]
fn a_directory_in_use_is_refused_naming_the_process() {
    let directory = filled(1);
    let log = EmbeddedLog::open(directory.path(), 1).expect("the log");
    let text = open_error(directory.path()).to_string();
    assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
    drop(log);
    EmbeddedLog::open(directory.path(), 1).expect("free again");
}

#[test]
fn another_version_or_number_of_partitions_is_refused() {
    let directory = filled(1);
    let error = EmbeddedLog::open(directory.path(), 3).map(|_| ()).expect_err("other partitions");
    assert!(matches!(error, OpenError::OtherPartitions { found: 1, asked: 3, .. }), "{error:?}");
    for (format, is_expected) in [
        ("ipam embedded log\nversion 2\nanything\n", (|e| matches!(e, OpenError::OtherVersion { .. })) as fn(&_) -> _),
        ("ipam embedded log\nversion 1\n", |e| matches!(e, OpenError::Damaged { .. })),
        ("ipam embedded log\nversion 1\npartitions x\n", |e| matches!(e, OpenError::Damaged { .. })),
        ("\u{0}", |e| matches!(e, OpenError::Damaged { .. })),
    ] {
        fs::write(directory.path().join("FORMAT"), format).expect("written");
        let error = open_error(directory.path());
        assert!(is_expected(&error), "{format:?}: {error:?}");
    }
}

#[test]
fn what_is_no_log_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("thesis.txt"), "precious").expect("written");
    assert!(matches!(open_error(directory.path()), OpenError::NotALog { .. }));
    let error = EmbeddedLog::open_read_only(directory.path()).map(|_| ()).expect_err("no log");
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
    assert!(!directory.path().join("records").exists());
    let error = open_error(&directory.path().join("thesis.txt"));
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
    let error = open_error(Path::new("/sys/ipam-embedded-log"));
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
}

#[test]
fn records_that_went_missing_are_not_replaced_by_none() {
    let directory = filled(1);
    fs::remove_dir_all(directory.path().join("records")).expect("removed");
    assert!(matches!(open_error(directory.path()), OpenError::Damaged { .. }));
    let directory = filled(1);
    fs::remove_file(directory.path().join("FORMAT")).expect("removed");
    assert!(matches!(open_error(directory.path()), OpenError::Damaged { .. }));
}

#[test]
fn it_can_be_read_while_another_writes() {
    let directory = filled(2);
    let log = EmbeddedLog::open(directory.path(), 1).expect("the log");
    let mut appender = log.appender(ZERO).expect("an appender");
    appender.append(vec![record(2)]).expect("an append");
    let reading = EmbeddedLog::open_read_only(directory.path()).expect("a second reader");
    assert_eq!(read_all(&reading).expect("all"), numbers(3));
    assert!(matches!(reading.appender(ZERO).map(|_| ()), Err(AppendError::Refused(_))));
    appender.append(vec![record(3)]).expect("the writer goes on");
    assert_eq!(read_all(&reading).expect("as it was"), numbers(3));
    assert_eq!(read_all(&log).expect("all"), numbers(4));
}

/// Needs the right to mount a small file system; says so where it is missing.
#[test]
fn a_full_disk_ends_the_log_and_loses_nothing_that_was_acknowledged() {
    let mount = tempfile::tempdir().expect("a directory");
    let disk = mount.path().to_str().expect("a plain path");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: it takes root to mount a small disk");
        return;
    }
    let directory = mount.path().join("log");
    let log = EmbeddedLog::open(&directory, 1).expect("a new log");
    let mut appender = log.appender(ZERO).expect("an appender");
    let mut count = 0;
    let error = loop {
        let mut record = record(count);
        record.value = Arc::from(format!("{count} {}", "x".repeat(10_000)).as_bytes());
        match appender.append(vec![record]) {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
    };
    let later = appender.append(vec![record(0)]);
    let afresh = log.appender(ZERO).map(|_| ());
    let readable = read_all(&log).map(|values| values.len() as u64);
    drop((appender, log));
    fs::write(mount.path().join("filler"), vec![0; 1 << 20]).expect_err("it fills the disk to the brim");
    let full = EmbeddedLog::open(&mount.path().join("other"), 1).map(|_| ());
    fs::remove_file(mount.path().join("filler")).expect("removed");
    let unmounted = Command::new("umount").args(["--lazy", disk]).status();
    assert!(unmounted.is_ok_and(|status| status.success()), "the small disk stays mounted at {disk}");
    assert!(count > 10, "{count}");
    assert!(matches!(error, AppendError::Unknown(_)), "{error:?}");
    assert!(matches!(later, Err(AppendError::Refused(_))), "{later:?}");
    assert!(matches!(afresh, Err(AppendError::Refused(_))), "{afresh:?}");
    assert_eq!(readable.expect("what was acknowledged"), count);
    assert!(matches!(full, Err(OpenError::DiskFull { .. })), "{full:?}");
}
