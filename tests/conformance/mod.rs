//! What every log does, whichever it is. `World` is one log and what a test may do to it from outside.

pub mod durability;
pub mod order;
pub mod reigns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ipam_ledger::log::admission::{Admission, Verdict};
use ipam_ledger::log::record::{
    Epoch, EpochOpened, Header, Kind, NewRecord, Offset, Partition, Record, Seq, SourceOffset,
};
use ipam_ledger::log::{Appender, Log};
use uuid::Uuid;

/// Long enough for a busy machine; nothing waits so long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const ZERO: Partition = Partition(0);

/// A fresh log and what can be done to it.
pub trait World {
    fn log(&self) -> Arc<dyn Log>;
    /// Closes and opens the log.
    fn reopen(&mut self);
    /// Deletes the records before the offset; `false` where a log never loses its beginning.
    fn delete_before(&mut self, partition: Partition, begin: Offset) -> bool;
    /// Puts a new, empty log in the place of this one.
    fn replace(&mut self);
    /// Whether the log's clock is that of the world.
    fn has_real_clock(&self) -> bool {
        true
    }
}

/// Makes a fresh log of so many partitions.
pub type Make = dyn Fn(u32) -> Box<dyn World>;

pub fn header(kind: Kind, epoch: u64, seq: u64) -> Header {
    Header { kind, epoch: Epoch(epoch), seq: Seq(seq), source: None }
}

pub fn outcome(epoch: u64, seq: u64, value: &str) -> NewRecord {
    let header = Header { source: Some(SourceOffset(seq.saturating_add(100))), ..header(Kind::Outcome, epoch, seq) };
    NewRecord { header, key: Some("o-a1b2c3d4e5".parse().expect("an id")), value: Arc::from(value.as_bytes()) }
}

pub fn passed(epoch: u64, seq: u64, source: u64) -> NewRecord {
    let header = Header { source: Some(SourceOffset(source)), ..header(Kind::Passed, epoch, seq) };
    NewRecord { header, key: None, value: Arc::from([]) }
}

pub fn opening(epoch: u64, writer: Uuid, ledger: Uuid) -> NewRecord {
    let opened = EpochOpened { schema: 1, epoch: Epoch(epoch), writer, ledger, partitions: 1 };
    let value = serde_json::to_vec(&opened).expect("plain data");
    NewRecord { header: header(Kind::EpochOpened, epoch, 0), key: None, value: Arc::from(value) }
}

pub fn append(log: &dyn Log, partition: Partition, records: Vec<NewRecord>) {
    log.appender(partition).expect("an appender").append_and_wait(log, partition, records);
}

/// Appends and waits until it is in the log.
pub trait AppendAndWait {
    fn append_and_wait(&mut self, log: &dyn Log, partition: Partition, records: Vec<NewRecord>);
}

impl AppendAndWait for Box<dyn Appender> {
    fn append_and_wait(&mut self, log: &dyn Log, partition: Partition, records: Vec<NewRecord>) {
        let count = records.len();
        let end = log.end(partition).expect("an end");
        self.append(records).expect("an append");
        read(log, partition, end, count);
        self.check().expect("a check");
    }
}

/// Reads at least `count` records from `from` on.
pub fn read(log: &dyn Log, partition: Partition, from: Offset, count: usize) -> Vec<Record> {
    let mut reader = log.reader(partition, from).expect("a reader");
    let mut records = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while records.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} records came", records.len());
        records.extend(reader.read(1_000, Duration::from_millis(200)).expect("a read"));
    }
    records
}

pub fn values(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(&record.value).into_owned()).collect()
}

/// Folds the whole partition: what counts and what does not.
pub fn fold(log: &dyn Log, count: usize) -> (Admission, Vec<Verdict>) {
    let mut admission = Admission::default();
    let records = read(log, ZERO, Offset(0), count);
    let verdicts = records.iter().map(|record| admission.admit(record)).collect();
    (admission, verdicts)
}
