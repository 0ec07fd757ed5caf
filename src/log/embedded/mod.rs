//! The embedded log: one directory, one process, no server. Records lie in RocksDB under partition and offset.
//!
//! A batch is in the log when `RocksDB`'s write-ahead log has it on disk (fsync); only then is the end moved and
//! readers see it. Appenders of different partitions that meet share one fsync (RocksDB's group commit); the
//! appends of one partition follow one another. After a failed write nothing more is appended through this
//! handle: what of the batch reached the disk is known only after opening the log again.
//!
//! It does not compact, expire or delete records, and it does not decide which count (`admission` does).

mod directory;
mod encoding;
#[cfg(test)]
mod tests;
mod wal;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rocksdb::{DB, Direction, IteratorMode, ReadOptions, WriteBatch, WriteOptions};

use self::directory::Opened;
pub use self::directory::{FORMAT_VERSION, OpenError};
use self::encoding::{KEY_BYTES, key};
use super::record::{NewRecord, Offset, Partition, Record};
use super::{AppendError, Appender, Log, RECORD_BYTES_MAX, ReadError, Reader};
use crate::domain::time::Timestamp;

/// The most value bytes that one read gathers; one record more than that may exceed it.
const READ_BYTES_MAX: usize = 8 << 20;

/// A log in a directory of this machine. Clones are the same log.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
}

struct Shared {
    // Before `_claim`: the store is closed before the directory is given free.
    db: DB,
    lanes: Vec<Lane>,
    /// Why nothing is appended any more.
    finished: Mutex<Option<String>>,
    _claim: directory::Claim,
}

/// One partition.
struct Lane {
    /// Held while a batch is written: the appends of one partition follow one another.
    turn: Mutex<()>,
    /// The offset behind the last durable record.
    end: Mutex<u64>,
    grown: Condvar,
}

impl EmbeddedLog {
    /// Opens the log in `directory`, or makes one of `partitions` partitions where there is none yet.
    /// A write that was cut short by a crash was never acknowledged and is dropped.
    ///
    /// # Errors
    /// Each with what to do: see [`OpenError`].
    pub fn open(directory: &Path, partitions: u32) -> Result<Self, OpenError> {
        directory::open(directory, partitions).map(Self::of)
    }

    /// Opens the log that is in `directory` for reading, whether or not another process has it open for
    /// writing. It shows what was there at this moment; later records are not seen.
    ///
    /// # Errors
    /// Each with what to do: see [`OpenError`].
    pub fn open_read_only(directory: &Path) -> Result<Self, OpenError> {
        let opened = directory::open_read_only(directory)?;
        let log = Self::of(opened);
        *lock(&log.shared.finished) = Some("it was opened for reading only".to_owned());
        Ok(log)
    }

    fn of(opened: Opened) -> Self {
        let Opened { db, ends, claim } = opened;
        let lane = |end| Lane { turn: Mutex::new(()), end: Mutex::new(end), grown: Condvar::new() };
        let lanes = ends.into_iter().map(lane).collect();
        Self { shared: Arc::new(Shared { db, lanes, finished: Mutex::new(None), _claim: claim }) }
    }
}

impl Log for EmbeddedLog {
    fn partitions(&self) -> Result<u32, ReadError> {
        Ok(u32::try_from(self.shared.lanes.len()).expect("made from a u32"))
    }

    fn end(&self, partition: Partition) -> Result<Offset, ReadError> {
        let lane = self.shared.lane(partition).map_err(ReadError::Unreachable)?;
        Ok(Offset(*lock(&lane.end)))
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn Reader>, ReadError> {
        let end = self.end(partition)?;
        if from > end {
            return Err(ReadError::AheadOfLog { position: from, end });
        }
        Ok(Box::new(EmbeddedReader { shared: Arc::clone(&self.shared), partition, next: from.0 }))
    }

    fn appender(&self, partition: Partition) -> Result<Box<dyn Appender>, AppendError> {
        self.shared.lane(partition).map_err(AppendError::Refused)?;
        self.shared.still_open()?;
        Ok(Box::new(EmbeddedAppender { shared: Arc::clone(&self.shared), partition }))
    }
}

impl Shared {
    fn lane(&self, partition: Partition) -> Result<&Lane, String> {
        let index = usize::try_from(partition.0).unwrap_or(usize::MAX);
        let count = self.lanes.len();
        self.lanes.get(index).ok_or_else(|| format!("there is no partition {partition}; the log has {count}"))
    }

    fn still_open(&self) -> Result<(), AppendError> {
        match &*lock(&self.finished) {
            None => Ok(()),
            Some(reason) => Err(AppendError::Refused(format!("this log takes no records: {reason}"))),
        }
    }

    /// Writes a batch durably and shows it to readers.
    fn append(&self, partition: Partition, records: &[NewRecord]) -> Result<(), AppendError> {
        if let Some(large) = records.iter().find(|record| record.value.len() > RECORD_BYTES_MAX) {
            let bytes = large.value.len();
            return Err(AppendError::Refused(format!("a record has {bytes} bytes; at most {RECORD_BYTES_MAX} fit")));
        }
        let lane = self.lane(partition).map_err(AppendError::Refused)?;
        let _turn = lock(&lane.turn);
        self.still_open()?;
        let begin = *lock(&lane.end);
        let appended_at = Timestamp::from(chrono::Utc::now());
        let mut batch = WriteBatch::default();
        let mut end = begin;
        for record in records {
            batch.put(key(partition, end), encoding::encode(record, appended_at));
            end += 1;
        }
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        if let Err(error) = self.db.write_opt(batch, &durable) {
            // The bytes may have reached the disk or not, and RocksDB may write no more: only a fresh start tells.
            let reason = format!("a write failed ({error}); make sure the disk is sound and not full, then restart");
            *lock(&self.finished) = Some(reason.clone());
            tracing::error!(%partition, offset = begin, records = records.len(), %error, "the embedded log failed");
            return Err(AppendError::Unknown(reason));
        }
        *lock(&lane.end) = end;
        lane.grown.notify_all();
        Ok(())
    }
}

struct EmbeddedAppender {
    shared: Arc<Shared>,
    partition: Partition,
}

impl Appender for EmbeddedAppender {
    fn append(&mut self, records: Vec<NewRecord>) -> Result<(), AppendError> {
        if records.is_empty() {
            return self.check();
        }
        self.shared.append(self.partition, &records)
    }

    fn check(&mut self) -> Result<(), AppendError> {
        self.shared.still_open()
    }
}

struct EmbeddedReader {
    shared: Arc<Shared>,
    partition: Partition,
    next: u64,
}

impl Reader for EmbeddedReader {
    fn read(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, ReadError> {
        let end = self.wait_for_more(wait)?;
        let count = usize::try_from(end - self.next).unwrap_or(usize::MAX).min(records_max);
        let mut records = Vec::with_capacity(count.min(4_096));
        if count == 0 {
            return Ok(records);
        }
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        options.set_iterate_upper_bound(key(self.partition, end));
        let from = key(self.partition, self.next);
        let mut bytes = 0;
        for row in self.shared.db.iterator_opt(IteratorMode::From(&from, Direction::Forward), options) {
            let (found, value) = row.map_err(|error| self.damaged(error.as_ref()))?;
            if *found != key(self.partition, self.next) {
                return Err(self.damaged(&format!("the record is missing, the next key is {found:02x?}")));
            }
            let record = encoding::decode(Offset(self.next), &value).map_err(|what| self.damaged(what))?;
            bytes += value.len();
            records.push(record);
            self.next += 1;
            if records.len() == count || bytes >= READ_BYTES_MAX {
                return Ok(records);
            }
        }
        Err(self.damaged("the record is missing"))
    }
}

impl EmbeddedReader {
    /// Waits up to `wait` for a record at `next`; the end of what is durable.
    fn wait_for_more(&self, wait: Duration) -> Result<u64, ReadError> {
        let lane = self.shared.lane(self.partition).map_err(ReadError::Unreachable)?;
        let deadline = Instant::now().checked_add(wait);
        let mut end = lock(&lane.end);
        while *end <= self.next {
            let left = deadline.map_or(wait, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            end = lane.grown.wait_timeout(end, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(*end)
    }

    fn damaged(&self, detail: &str) -> ReadError {
        ReadError::Damaged(format!(
            "partition {} cannot be read at offset {}: {detail}. Stop the server, keep a copy of the directory, and \
             restore it from a backup; what lies before this offset can still be read",
            self.partition, self.next
        ))
    }
}

/// The offset behind the last record of each partition.
fn ends(db: &DB, partitions: u32) -> Result<Vec<u64>, String> {
    (0..partitions).map(|partition| end(db, Partition(partition))).collect()
}

fn end(db: &DB, partition: Partition) -> Result<u64, String> {
    let last = key(partition, u64::MAX);
    match db.iterator(IteratorMode::From(&last, Direction::Reverse)).next() {
        None => Ok(0),
        Some(Err(error)) => Err(error.to_string()),
        Some(Ok((found, _))) => match encoding::offset_of(&found) {
            Some((of, offset)) if of == partition => Ok(offset + 1),
            Some(_) => Ok(0),
            None => Err(format!("a key of {} bytes where all have {KEY_BYTES}", found.len())),
        },
    }
}

/// A panic elsewhere leaves these values whole: each is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLog").field("path", &self.db.path()).finish_non_exhaustive()
    }
}
