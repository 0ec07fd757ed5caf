//! The embedded log: one directory, one process, no server. Records lie in RocksDB under partition and offset.
//!
//! A batch is in the log when `RocksDB`'s write-ahead log has it on disk (fsync); only then is the end moved and
//! readers see it. Appenders of different partitions that meet share one fsync (RocksDB's group commit); the
//! appends of one partition follow one another. After a failed write nothing more is appended to the open store:
//! what of the batch reached the disk is known only after opening it again. On a full disk that happens in this process,
//! as soon as there is room; after any other failure, and after a failed fsync above all, at the next start.
//!
//! It does not compact, expire or delete records, and it does not decide which count (`admission` does).

#[cfg(test)]
mod damage;
mod directory;
mod encoding;
mod mark;
#[cfg(test)]
mod tests;
mod wal;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use rocksdb::{DB, Direction, IteratorMode, ReadOptions, WriteBatch, WriteOptions};

use self::directory::Opened;
pub use self::directory::{FORMAT_VERSION, OpenError, create_durably};
use self::encoding::{KEY_BYTES, key};
use self::mark::Mark;
use super::no_room::NoRoom;
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
    directory: PathBuf,
    // Before `_claim`: the store is closed before the directory is given free.
    /// `None` while it is closed to be opened again.
    store: RwLock<Option<DB>>,
    lanes: Vec<Lane>,
    /// `None` of a log that is only read.
    mark: Option<Mark>,
    finished: Mutex<Option<Finished>>,
    _claim: directory::Claim,
}

/// Why nothing is appended.
enum Finished {
    /// Until there is room: the store is then opened again.
    Full(String),
    /// For as long as this process runs.
    ForGood(String),
}

impl Finished {
    fn reason(&self) -> &str {
        let (Self::Full(reason) | Self::ForGood(reason)) = self;
        reason
    }
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
        directory::open(directory, partitions).map(|opened| Self::of(directory, opened))
    }

    /// Opens the log that is in `directory` for reading, whether or not another process has it open for
    /// writing. It shows what was there at this moment; later records are not seen.
    ///
    /// # Errors
    /// Each with what to do: see [`OpenError`].
    pub fn open_read_only(directory: &Path) -> Result<Self, OpenError> {
        let opened = directory::open_read_only(directory)?;
        let log = Self::of(directory, opened);
        *lock(&log.shared.finished) = Some(Finished::ForGood("it was opened for reading only".to_owned()));
        Ok(log)
    }

    fn of(directory: &Path, opened: Opened) -> Self {
        let Opened { db, ends, mark, claim } = opened;
        let lane = |end| Lane { turn: Mutex::new(()), end: Mutex::new(end), grown: Condvar::new() };
        let lanes = ends.into_iter().map(lane).collect();
        let shared = Shared {
            directory: directory.to_owned(),
            store: RwLock::new(Some(db)),
            lanes,
            mark,
            finished: Mutex::new(None),
            _claim: claim,
        };
        Self { shared: Arc::new(shared) }
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
        self.shared.recover()?;
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
            Some(finished) => Err(refused(finished.reason())),
        }
    }

    /// After the disk was full: closes the store and opens it again, on the path of every start, when there is room.
    fn recover(&self) -> Result<(), AppendError> {
        let mut finished = lock(&self.finished);
        match &*finished {
            None => return Ok(()),
            Some(Finished::ForGood(reason)) => return Err(refused(reason)),
            Some(Finished::Full(reason)) if !directory::has_room(&self.directory) => return Err(refused(reason)),
            Some(Finished::Full(_)) => {}
        }
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        // Closed first: it holds the lock that keeps a second process out.
        drop(store.take());
        let partitions = u32::try_from(self.lanes.len()).expect("made from a u32");
        let (db, ends) = directory::reopen(&self.directory, partitions).map_err(|error| refused(&error.to_string()))?;
        for (lane, found) in self.lanes.iter().zip(ends) {
            let mut end = lock(&lane.end);
            if found < *end {
                let reason = format!("records that were durable are gone: it ends at {found}, not at {end}");
                *finished = Some(Finished::ForGood(reason.clone()));
                return Err(refused(&reason));
            }
            // What of the failed write reached the disk is in the log now, and whoever wrote it reads it.
            *end = found;
            lane.grown.notify_all();
        }
        *store = Some(db);
        *finished = None;
        tracing::info!("there is room again: the embedded log was opened anew and takes records");
        Ok(())
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
        let written = match &*self.store() {
            Some(db) => db.write_opt(batch, &durable),
            None => return Err(refused("it is closed")),
        };
        if let Err(error) = written {
            // The bytes may have reached the disk or not, and RocksDB writes no more: only a fresh opening tells.
            tracing::error!(%partition, offset = begin, records = records.len(), %error, "the embedded log failed");
            let finished = match no_room_to_append(&error) {
                Some((what, advice)) => {
                    Finished::Full(format!("{what} ({error}); {advice}, nothing else is to be done"))
                }
                None => {
                    Finished::ForGood(format!("a write failed ({error}); make sure the disk is sound, then restart"))
                }
            };
            let reason = finished.reason().to_owned();
            *lock(&self.finished) = Some(finished);
            return Err(AppendError::Unknown(reason));
        }
        if let Some(mark) = &self.mark {
            mark.advance(partition.0, end);
        }
        *lock(&lane.end) = end;
        lane.grown.notify_all();
        Ok(())
    }
}

impl Shared {
    fn store(&self) -> RwLockReadGuard<'_, Option<DB>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(reason: &str) -> AppendError {
    AppendError::Refused(format!("this log takes no records: {reason}"))
}

/// Where the bytes found no room: what that is, and what gives them some. A full disk that shows at the fsync is a failed
/// fsync, and not meant here: what the kernel still holds of the file may differ from what the disk has, and nobody can tell.
fn no_room_to_append(error: &rocksdb::Error) -> Option<(&'static str, &'static str)> {
    if !error.to_string().contains("While appending") {
        return None;
    }
    Some(match NoRoom::of_rocksdb(error)? {
        NoRoom::Disk => ("the disk is full", "free some space on it"),
        NoRoom::File => ("a file may grow no further", "raise this process's limit on it (ulimit -f)"),
    })
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
        let store = self.shared.store();
        let db = store.as_ref().ok_or_else(|| ReadError::Unreachable("the log is being opened again".to_owned()))?;
        for row in db.iterator_opt(IteratorMode::From(&from, Direction::Forward), options) {
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
        f.debug_struct("EmbeddedLog").field("directory", &self.directory).finish_non_exhaustive()
    }
}
