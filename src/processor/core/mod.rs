//! The algorithm of one partition's writer, without I/O: an input in, effects out.
//!
//! No clock, no randomness, no threads: time, random numbers and writer ids are inputs, so a run can be
//! replayed and every crash between two effects tested. It is not the driver: `super::writer` carries
//! the effects out, in order, and ends the incarnation when one of them fails.
//!
//! Invariants (design D5–D8): it decides only in a reign that its own reader has seen valid; it answers only
//! what its own reader has folded as valid; a command id has one outcome; letters are out before any record with
//! a later source offset is appended. State with unacknowledged outcomes serves `decide` only.

mod deciding;
mod recent;
mod rules;
mod taking_over;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::deciding::mismatch;
use self::recent::{Key, Recents};
pub use self::rules::{Domain, Rules};
pub use self::taking_over::may_begin_at;
use super::memory::{Memory, MemoryError};
use super::metrics::{Tally, TypeRow};
use crate::domain::State;
use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId};
use crate::domain::time::Timestamp;
use crate::log::admission::{Admission, Void};
use crate::log::record::{Epoch, LedgerId, NewRecord, Offset, Partition, Record, Seq, SourceOffset, WriterId};
use crate::log::snapshot::PartitionSnapshot;
use crate::log::wire::{Decoded, Undecodable, decode_command};
use crate::log::{Letter, SourceRecord};

/// A clock further than this from the log's does not decide (design D4).
pub const CLOCK_OFF_MAX: Duration = Duration::from_mins(1);

/// What a writer is told about its partition.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub partition: Partition,
    /// The ledger's id, for a partition that nobody has opened yet; an opened one says its own.
    pub ledger: LedgerId,
    /// The number of partitions, for a partition that nobody has opened yet; an opened one says its own.
    pub partitions: u32,
    /// Which partition decides an organisation's commands, of so many (design D2).
    pub partition_of: fn(&OrganizationId, u32) -> Partition,
    pub limits: Limits,
}

/// Bounds on what a writer holds and writes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// An outcome's value may have so many bytes; a larger one becomes a recorded rejection.
    pub record_bytes_max: usize,
    /// Outcomes appended and not read back.
    pub in_flight_outcomes_max: usize,
    /// Commands decided and appended at once.
    pub batch_commands_max: usize,
    /// Decided ids kept in memory, when the memory behind it covers the older ones.
    pub recent_ids_max: usize,
    /// Bytes of outcomes kept in memory, under the same condition.
    pub recent_bytes_max: usize,
    /// Decided ids that the memory does not cover yet; at so many, nothing is decided until it catches up.
    pub uncovered_ids_max: usize,
    /// An append not read back after so long counts as unknown.
    pub unknown_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes_max: 900 * 1024,
            in_flight_outcomes_max: 20_000,
            batch_commands_max: 2_000,
            recent_ids_max: 100_000,
            recent_bytes_max: 64 << 20,
            uncovered_ids_max: 4_000_000,
            unknown_after: Duration::from_mins(1),
        }
    }
}

/// What happens to a writer.
#[derive(Debug)]
pub enum Input {
    /// Its reader gave these records.
    Read { now: Timestamp, records: Vec<Record> },
    /// Its reader is at the end, or it has rested: it may claim the partition as `writer`, an id that is random
    /// and new for every claim. `random` spreads the pause if it loses.
    Claim { now: Timestamp, writer: WriterId, random: u64 },
    /// These came from the command topic, in order. At most [`Core::room`].
    Sourced { now: Timestamp, records: Vec<Sourced> },
    /// These were handed over in process. At most [`Core::room`].
    Local { now: Timestamp, requests: Vec<Request> },
    /// Time has passed.
    Tick { now: Timestamp },
    /// Decide nothing more, and end when everything in flight is acknowledged.
    Finish,
}

/// Names what waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A record of the command topic, and what it says. That depends on its bytes alone, so whoever has a thread to
/// spare may work it out.
#[derive(Debug)]
pub struct Sourced {
    pub record: SourceRecord,
    pub decoded: Result<Decoded, Undecodable>,
}

impl From<SourceRecord> for Sourced {
    fn from(record: SourceRecord) -> Self {
        Self { decoded: decode_command(&record.value), record }
    }
}

/// A command handed over in process.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `None` when nobody waits.
    pub ticket: Option<Ticket>,
    pub decoded: Decoded,
}

/// What a writer wants done, in this order. When one cannot be done the incarnation is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send these and wait until they are acknowledged.
    Send(Vec<Letter>),
    /// Append these.
    Append(Vec<NewRecord>),
    /// Give the answer to a command.
    Answer { ticket: Ticket, value: Arc<[u8]>, repeated: bool },
    /// A command was handed to the wrong partition: it was not taken.
    Misrouted { ticket: Ticket, to: Partition },
    /// These were not decided; give them to the next incarnation.
    Return(Vec<Request>),
    /// Read commands from this offset on; from the first one when `None`. The command at the offset was decided
    /// already and comes along as proof that the topic is still the same.
    OpenSource { from: Option<SourceOffset> },
    /// Somebody was faster. Go on reading for so long, then claim again if the partition is still ours.
    Rest(Duration),
    /// Tell the operator.
    Report(Report),
    /// This incarnation is over; the last effect.
    End(End),
}

/// What operators want to see in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    TookOver {
        epoch: Epoch,
        tail_records: u64,
        resume: Option<SourceOffset>,
        claims_lost: usize,
    },
    ClaimLost {
        epoch: Epoch,
        claims_lost: usize,
    },
    /// Claims were lost three times within a minute.
    TwoGroups {
        claims_lost: usize,
    },
    /// Void records among those just read.
    VoidRecords {
        count: u64,
        first: Offset,
        reason: Void,
    },
    /// A batch of outcomes was acknowledged: so many records, decided at that time.
    Acknowledged {
        records: u64,
        decided_at: Timestamp,
    },
    /// A defect was recorded as the outcome of a command.
    Panicked {
        organization: OrganizationId,
        command: CommandId,
        message: String,
    },
}

/// Why an incarnation is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    #[error("everything accepted is answered")]
    Finished,
    #[error("epoch {by} was opened by another writer")]
    Deposed { by: Epoch },
    #[error("an outcome could not be applied; the state is built anew")]
    Rebuild,
    #[error("an append was not read back within {0:?}: it is unknown whether it is in the log")]
    Unread(Duration),
    #[error("record {seq} of our epoch is missing before offset {offset}: it is unknown whether it was appended")]
    Gap { seq: Seq, offset: Offset },
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error("our clock is {off_seconds} s off the log's, more than the 60 s allowed: mend the clock")]
    ClockOff { off_seconds: i64 },
    #[error("the record at offset {offset} is of our epoch but not ours")]
    NotOurs { offset: Offset },
    #[error("our opening of the partition is void: {0}")]
    OtherLedger(Void),
    #[error(
        "the record at offset {offset} is admitted but cannot be read: {error}; is this program older than the ledger?"
    )]
    Unreadable { offset: Offset, error: String },
    #[error("the record at offset {offset} does not follow from the organisation's history: {error}")]
    Unfoldable { offset: Offset, error: String },
    #[error(
        "the record at source offset {offset} is not the one that was dealt with ({detail}); was the command topic \
         recreated? `--recreated-commands` reads it from its beginning"
    )]
    OtherSource { offset: SourceOffset, detail: String },
    #[error(
        "the command topic ends at {end}, and commands up to source offset {offset} were dealt with; was it recreated? \
         `--recreated-commands` reads it from its beginning"
    )]
    SourceEnds { offset: SourceOffset, end: SourceOffset },
    #[error(
        "commands from source offset {from} to before {begin} expired undecided; `--skip-expired-commands` goes on \
         behind them"
    )]
    SourceExpired { from: SourceOffset, begin: SourceOffset },
}

/// What follows the end of an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing: it was asked to leave.
    Leave,
    /// Take over anew.
    TakeOver,
    /// An operator decides; until then nothing is opened, decided or answered.
    Stop,
}

impl End {
    /// The command topic is not the one of before.
    #[must_use]
    pub const fn is_of_another_source(&self) -> bool {
        matches!(self, Self::OtherSource { .. } | Self::SourceEnds { .. })
    }

    #[must_use]
    pub const fn then(&self) -> Then {
        match self {
            Self::Finished => Then::Leave,
            Self::Deposed { .. }
            | Self::Rebuild
            | Self::Unread(_)
            | Self::Gap { .. }
            | Self::Memory(_)
            | Self::ClockOff { .. } => Then::TakeOver,
            Self::NotOurs { .. }
            | Self::OtherLedger(_)
            | Self::Unreadable { .. }
            | Self::Unfoldable { .. }
            | Self::OtherSource { .. }
            | Self::SourceEnds { .. }
            | Self::SourceExpired { .. } => Then::Stop,
        }
    }
}

/// One incarnation of a partition's writer.
pub struct Core {
    config: Config,
    rules: Arc<dyn Rules>,
    memory: Arc<dyn Memory>,
    admission: Admission,
    phase: Phase,
    /// Set when nothing more is decided: how it ends once nothing is in flight.
    leaving: Option<End>,
    streams: HashMap<OrganizationId, Stream>,
    recents: Recents,
    in_flight: VecDeque<InFlight>,
    next_seq: Seq,
    /// The last command of the topic that was dealt with, acknowledged or not.
    source: Option<SourceOffset>,
    /// The last command of the tail that came from the topic: where it was, its id and its digest.
    decided_at_source: Option<(SourceOffset, CommandId, Digest)>,
    tail_records: u64,
    claims_lost: VecDeque<Timestamp>,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Reads what others wrote.
    Following,
    /// Has appended its `EpochOpened` and reads on up to it.
    Claiming {
        writer: WriterId,
        since: Timestamp,
        random: u64,
    },
    Reigning {
        epoch: Epoch,
    },
    Ended,
}

/// One organisation: its state and the hash of its last outcome, unacknowledged ones included.
struct Stream {
    state: State,
    chain: Option<Digest>,
}

/// A record that was appended and not read back.
struct InFlight {
    seq: Seq,
    appended_at: Timestamp,
    value: Arc<[u8]>,
    /// `None` for `Passed`.
    decided: Option<Decided>,
}

struct Decided {
    key: Key,
    row: TypeRow,
    accepted: bool,
    ticket: Option<Ticket>,
    /// Those who asked again before the acknowledgement.
    waiters: Vec<Waiter>,
}

struct Waiter {
    ticket: Ticket,
    /// The answer, when it is not the outcome itself.
    instead: Option<Arc<[u8]>>,
}

impl Core {
    /// A writer at the position of the snapshot, or before the first record.
    #[must_use]
    pub fn new(
        config: Config,
        rules: Arc<dyn Rules>,
        memory: Arc<dyn Memory>,
        restored: Option<PartitionSnapshot>,
    ) -> Self {
        let (recents, admission, organizations) = match restored {
            None => (Recents::new(), Admission::default(), Vec::new()),
            Some(restored) => {
                (Recents::behind_snapshot(restored.newest_command), restored.admission, restored.organizations)
            }
        };
        let streams = organizations
            .into_iter()
            .map(|row| {
                let state = State::restore(row.id.clone(), row.rows);
                (row.id, Stream { state, chain: Some(row.chain) })
            })
            .collect();
        Self {
            config,
            rules,
            memory,
            source: admission.source,
            admission,
            phase: Phase::Following,
            leaving: None,
            streams,
            recents,
            in_flight: VecDeque::new(),
            next_seq: Seq(0),
            decided_at_source: None,
            tail_records: 0,
            claims_lost: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    /// Takes one input; gives what is to be done, in order.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.phase == Phase::Ended {
            return effects;
        }
        let went = match input {
            Input::Read { now, records } => self.read(now, &records, &mut effects),
            Input::Claim { now, writer, random } => {
                self.claim(now, writer, random, &mut effects);
                Ok(())
            }
            Input::Sourced { now, records } => self.decide_sourced(now, records, &mut effects),
            Input::Local { now, requests } => self.decide_local(now, requests, &mut effects),
            Input::Tick { now } => self.tick(now),
            Input::Finish => {
                self.leaving.get_or_insert(End::Finished);
                Ok(())
            }
        };
        let end = match went {
            Err(end) => Some(end),
            Ok(()) if self.in_flight.is_empty() => self.leaving.take(),
            Ok(()) => None,
        };
        if let Some(end) = end {
            self.phase = Phase::Ended;
            effects.push(Effect::End(end));
        }
        effects
    }

    /// How many more commands may be given now.
    #[must_use]
    pub fn room(&self) -> usize {
        let deciding = matches!(self.phase, Phase::Reigning { .. }) && self.leaving.is_none();
        if !deciding || self.recents.len() >= self.config.limits.uncovered_ids_max {
            return 0;
        }
        // One place is kept for the `Passed` that may end a batch.
        let places = self.config.limits.in_flight_outcomes_max.saturating_sub(self.in_flight.len() + 1);
        places.min(self.config.limits.batch_commands_max)
    }

    /// Where its reader goes on.
    #[must_use]
    pub const fn position(&self) -> Offset {
        self.admission.next
    }

    /// The epoch that it writes in; `None` while it takes over.
    #[must_use]
    pub const fn reign(&self) -> Option<Epoch> {
        match self.phase {
            Phase::Reigning { epoch } => Some(epoch),
            _ => None,
        }
    }

    /// It has claimed nothing, or lost its claim: it may claim.
    #[must_use]
    pub fn may_claim(&self) -> bool {
        self.phase == Phase::Following
    }

    /// Records appended and not read back.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The command topic is another one than before, and an operator decided to read it from its beginning: nothing of
    /// it was dealt with. What was decided before keeps its outcome, by its id.
    pub fn begin_source_anew(&mut self) {
        self.source = None;
        self.decided_at_source = None;
    }

    /// What was counted since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// The number of partitions of this ledger: that of the first valid `EpochOpened` (design D2).
    fn partitions(&self) -> u32 {
        self.admission.reign.map_or(self.config.partitions, |reign| reign.partitions)
    }

    /// Leaves old ids to the memory, as far as that has them.
    fn forget(&mut self) {
        if self.recents.is_over(&self.config.limits) {
            let covered = self.memory.covered(self.config.partition);
            self.recents.forget(&self.config.limits, covered);
        }
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), End> {
        // The memory may have caught up while there was nothing to read: a writer that waits for it goes on.
        self.forget();
        let since = match self.phase {
            Phase::Claiming { since, .. } => Some(since),
            _ => self.in_flight.front().map(|oldest| oldest.appended_at),
        };
        let limit = self.config.limits.unknown_after;
        match since {
            Some(since) if apart(since, now) > limit => Err(End::Unread(limit)),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("partition", &self.config.partition)
            .field("phase", &self.phase)
            .field("position", &self.admission.next)
            .field("in_flight", &self.in_flight.len())
            .finish_non_exhaustive()
    }
}

/// The time between two instants, either way round.
fn apart(one: Timestamp, other: Timestamp) -> Duration {
    Duration::from_micros(one.micros().abs_diff(other.micros()))
}
