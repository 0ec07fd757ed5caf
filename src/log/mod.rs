//! The log: an ordered, durable sequence of records per partition, and nothing else.
//!
//! Two homes, `embedded` and `kafka`, and `simulated` for tests; one conformance suite for all. The
//! log does not know what a pool is, and it does not decide what is valid: that is [`admission`], which
//! every reader runs. Readers see durable records only. Nothing here is async: readers and appenders
//! block, and belong on threads of their own.

pub mod admission;
#[cfg(test)]
pub(crate) mod dice;
pub mod embedded;
pub mod kafka;
pub mod no_room;
pub mod partition;
pub mod record;
pub mod simulated;
pub mod snapshot;
pub mod wire;

use std::time::Duration;

use record::{NewRecord, Offset, Partition, Record, SourceOffset};

/// The most bytes that a record's value may have. Below Kafka's default limit for a batch of one record
/// (`max.message.bytes`, 1,048,588), which counts key and headers too.
pub const RECORD_BYTES_MAX: usize = 1_000_000;

/// The events log: the truth.
pub trait Log: Send + Sync {
    /// How many partitions there are now. The number that counts is the one in the first valid `EpochOpened`.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn partitions(&self) -> Result<u32, ReadError>;

    /// Where the partition ends now: the offset that the next record gets. For "has it caught up" and for
    /// replays that stop; never for deciding who writes.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn end(&self, partition: Partition) -> Result<Offset, ReadError>;

    /// A reader that starts at `from`. `from` may be the end of the log; beyond it is [`ReadError::AheadOfLog`].
    ///
    /// # Errors
    /// When the log cannot be reached, or `from` is not in it.
    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn Reader>, ReadError>;

    /// A fresh appender. Dropping it abandons what it has not delivered.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn appender(&self, partition: Partition) -> Result<Box<dyn Appender>, AppendError>;
}

/// Reads one partition's durable records, in order, without gaps.
pub trait Reader: Send {
    /// The next records, at most `records_max`. Waits up to `wait` for the first; empty when none came.
    ///
    /// # Errors
    /// When the log cannot be read, or what is read cannot be the log that was opened.
    fn read(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, ReadError>;
}

/// Appends to one partition, in order. That a record is in the log is known by reading it back.
pub trait Appender: Send {
    /// Hands records over, in order. May block while too much is under way (back pressure).
    ///
    /// # Errors
    /// After any error this appender is finished: drop it.
    fn append(&mut self, records: Vec<NewRecord>) -> Result<(), AppendError>;

    /// Learns of deliveries that failed since the last call.
    ///
    /// # Errors
    /// As [`Appender::append`].
    fn check(&mut self) -> Result<(), AppendError>;
}

/// Why records were not appended, or not known to be.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing of the batch is in the log, and nothing of it will be.
    #[error("the log refused the records: {0}")]
    Refused(String),
    /// Some or all of the batch may be in the log, or may still get there.
    #[error("it is unknown whether the records were appended: {0}")]
    Unknown(String),
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the log cannot be reached: {0}")]
    Unreachable(String),
    /// The position is beyond the end: this is another log, or the log lost records.
    #[error("position {position} is ahead of the log, which ends at {end}")]
    AheadOfLog { position: Offset, end: Offset },
    /// The log begins behind the position: records were deleted.
    #[error("position {position} is no longer in the log, which begins at {begin}")]
    Truncated { position: Offset, begin: Offset },
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

/// Where commands come from when they are not handed over in process: `ipam.commands` on Kafka.
pub trait CommandSource: Send {
    /// The next commands, at most `records_max`. Waits up to `wait` for the first; empty when none came.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn read(&mut self, records_max: usize, wait: Duration) -> Result<Vec<SourceRecord>, ReadError>;

    /// The offset behind the last command that there was when reading began.
    fn end(&self) -> SourceOffset;
}

/// One record of `ipam.commands`, as it came.
#[derive(Clone, Debug)]
pub struct SourceRecord {
    pub offset: SourceOffset,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    /// Set by a processor that forwarded the command here; never forwarded again.
    pub forwarded: bool,
}

/// Where processors send what is not theirs to decide. Blocks until the broker has acknowledged all.
pub trait Outbox: Send {
    /// Sends misrouted commands to the partitions that decide them, marked as forwarded, and
    /// undecodable records to the dead-letter topic.
    ///
    /// # Errors
    /// When any of it is not known to have arrived: sending it again is harmless.
    fn send(&mut self, letters: Vec<Letter>) -> Result<(), AppendError>;
}

/// Something for the [`Outbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Letter {
    /// To the partition of the command topic that decides it.
    Forward { to: Partition, key: Option<Vec<u8>>, value: Vec<u8> },
    /// To the dead-letter topic, with the reason and where it came from.
    Dead { from: Partition, offset: SourceOffset, reason: String, key: Option<Vec<u8>>, value: Vec<u8> },
}
