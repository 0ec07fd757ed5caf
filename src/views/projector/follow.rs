//! Reads one partition, admits and decodes its records, and hands them over in batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::domain::outcome::Outcome;
use crate::log::admission::{Admission, Verdict};
use crate::log::record::{Offset, Partition, Record};
use crate::log::{Log, ReadError, Reader, wire};
use crate::views::position::Position;

const RECORDS_PER_READ_MAX: usize = 1_000;
/// How long a read waits for the first record: also how long an orderly stop may wait for this thread.
const READ_WAIT: Duration = Duration::from_millis(100);
/// So many empty reads in a row mean that there is nothing more, where a log's end counts skipped offsets.
const EMPTY_READS_AT_THE_END: u32 = 30;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What one read gave.
#[derive(Debug)]
pub struct Batch {
    pub partition: Partition,
    pub items: Vec<Item>,
    /// Behind the last record read, when any was.
    pub position: Option<Position>,
    /// There is nothing more at the moment.
    pub at_end: bool,
    /// The partition has stopped, and why.
    pub stopped: Option<String>,
}

/// An admitted outcome.
#[derive(Debug)]
pub struct Item {
    pub outcome: Outcome,
    pub record: Record,
    /// The fold of all records up to this one, itself included.
    pub admission: Admission,
}

pub(super) struct Follower {
    pub log: Arc<dyn Log>,
    pub partition: Partition,
    pub admission: Admission,
    pub batches: Sender<Batch>,
    pub stop: Arc<AtomicBool>,
}

/// The batch cannot be handed over any more: the fold has ended.
struct Ended;

impl Follower {
    pub fn run(mut self) {
        let mut pause = PAUSE_MIN;
        while !self.stopping() {
            let error = match self.log.reader(self.partition, self.admission.next) {
                Ok(mut reader) => match self.follow(reader.as_mut(), &mut pause) {
                    Ok(Some(error)) => error,
                    Ok(None) | Err(Ended) => return,
                },
                Err(error) => error,
            };
            let ReadError::Unreachable(reason) = &error else {
                tracing::error!(partition = %self.partition, offset = %self.admission.next, %error, "the views have stopped");
                let _ = self.hand_over(Vec::new(), None, false, Some(error.to_string()));
                return;
            };
            tracing::warn!(partition = %self.partition, offset = %self.admission.next, reason, "the log cannot be reached");
            self.sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Follows until told to stop (`None`), or until reading fails.
    fn follow(&mut self, reader: &mut dyn Reader, pause: &mut Duration) -> Result<Option<ReadError>, Ended> {
        let mut empty_reads = 0;
        while !self.stopping() {
            match reader.read(RECORDS_PER_READ_MAX, READ_WAIT) {
                Ok(records) if records.is_empty() => {
                    empty_reads += 1;
                    if empty_reads == EMPTY_READS_AT_THE_END {
                        self.hand_over(Vec::new(), None, true, None)?;
                    }
                }
                Ok(records) => {
                    empty_reads = 0;
                    *pause = PAUSE_MIN;
                    if self.take(&records)? {
                        return Ok(None);
                    }
                }
                Err(error) => return Ok(Some(error)),
            }
        }
        Ok(None)
    }

    /// Admits, decodes and hands over. `true` when a record stops the partition.
    fn take(&mut self, records: &[Record]) -> Result<bool, Ended> {
        let batch = admit(self.partition, &mut self.admission, records);
        let stopped = batch.stopped.is_some();
        self.batches.send(batch).map_err(|_| Ended)?;
        Ok(stopped)
    }

    fn hand_over(
        &self,
        items: Vec<Item>,
        position: Option<Position>,
        at_end: bool,
        stopped: Option<String>,
    ) -> Result<(), Ended> {
        let batch = Batch { partition: self.partition, items, position, at_end, stopped };
        self.batches.send(batch).map_err(|_| Ended)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn sleep(&self, pause: Duration) {
        let mut left = pause;
        while !left.is_zero() && !self.stopping() {
            let step = left.min(READ_WAIT);
            thread::sleep(step);
            left -= step;
        }
    }
}

/// Admits and decodes the records behind `admission`. A record that is admitted and cannot be read stops the
/// partition before it.
pub fn admit(partition: Partition, admission: &mut Admission, records: &[Record]) -> Batch {
    let mut batch =
        Batch { partition, items: Vec::with_capacity(records.len()), position: None, at_end: false, stopped: None };
    let mut last = None;
    for record in records {
        let before = admission.clone();
        match admission.admit(record) {
            Verdict::Opened(opened) => {
                tracing::info!(%partition, offset = %record.offset, epoch = %opened.epoch, writer = %opened.writer,
                    "a reign is open");
            }
            Verdict::Passed(_) => {}
            Verdict::Void(reason) => {
                tracing::warn!(%partition, offset = %record.offset, %reason, void_count = admission.void_count,
                    "a record is void");
            }
            Verdict::Outcome(_) => match wire::decode_outcome(&record.value) {
                Ok(outcome) => {
                    batch.items.push(Item { outcome, record: record.clone(), admission: admission.clone() });
                }
                Err(error) => {
                    *admission = before;
                    batch.stopped = Some(unreadable(partition, record.offset, &error));
                    break;
                }
            },
        }
        last = Some(record);
    }
    batch.position = last.map(|record| Position::behind(record, admission.clone()));
    batch
}

fn unreadable(partition: Partition, offset: Offset, error: &wire::OutcomeError) -> String {
    let detail = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let reason = format!(
        "the record at offset {offset} of partition {partition} was admitted, but {error}{detail}; \
         a newer version of this program may be able to read it"
    );
    tracing::error!(%partition, %offset, reason, "the views have stopped");
    reason
}
