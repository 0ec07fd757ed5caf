//! Numbers about one writer, for `/metrics`: plain atomics that the writer's thread adds to and anybody reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::command::CommandBody;

/// Upper bounds of the append latency buckets, in microseconds; one more bucket counts what is above.
pub const LATENCY_BOUNDS_MICROS: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000];
/// Upper bounds of the batch size buckets, in commands; one more bucket counts what is above.
pub const BATCH_BOUNDS_COMMANDS: [u64; 8] = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384];
/// The command types, and one row more for types that do not exist.
const TYPES: usize = CommandBody::TYPES.len() + 1;

/// What a writer has done since its process started. Counters only grow.
#[derive(Debug, Default)]
pub struct WriterMetrics {
    accepted: [AtomicU64; TYPES],
    rejected: [AtomicU64; TYPES],
    /// Commands that had been decided before, answered or passed over.
    pub duplicates: AtomicU64,
    /// Command ids that came again with another command.
    pub mismatches: AtomicU64,
    /// Commands sent on to the partition that decides them.
    pub forwarded: AtomicU64,
    pub dead_letters: AtomicU64,
    /// Records of this partition without effect, seen by this writer.
    pub void_records: AtomicU64,
    /// Reigns that this writer opened.
    pub takeovers: AtomicU64,
    /// Incarnations that ended otherwise than by an orderly stop.
    pub restarts: AtomicU64,
    /// Outcomes appended and not yet read back, now.
    pub in_flight: AtomicU64,
    /// Commands per appended batch.
    pub batch_commands: Histogram<9>,
    /// From the decision to the acknowledgement, in microseconds, per batch.
    pub append_micros: Histogram<13>,
}

/// Counts per bucket, their number and their sum.
#[derive(Debug)]
pub struct Histogram<const BUCKETS: usize> {
    buckets: [AtomicU64; BUCKETS],
    count: AtomicU64,
    sum: AtomicU64,
}

impl<const BUCKETS: usize> Default for Histogram<BUCKETS> {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), count: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }
}

impl<const BUCKETS: usize> Histogram<BUCKETS> {
    fn observe(&self, bounds: &[u64], value: u64) {
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Observations per bucket (not cumulative); the last one has no upper bound.
    pub fn buckets(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|bucket| self.buckets.get(bucket).map_or(0, |count| count.load(Ordering::Relaxed)))
    }

    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

impl WriterMetrics {
    /// Acknowledged outcomes by command type: name, accepted, rejected. The last row, `unknown`, is for types that do not exist.
    pub fn commands(&self) -> impl Iterator<Item = (&'static str, u64, u64)> + '_ {
        let names = CommandBody::TYPES.iter().copied().chain(std::iter::once("unknown"));
        names.zip(&self.accepted).zip(&self.rejected).map(|((name, accepted), rejected)| {
            (name, accepted.load(Ordering::Relaxed), rejected.load(Ordering::Relaxed))
        })
    }

    pub(super) fn add(&self, tally: &Tally) {
        let add = |counter: &AtomicU64, more: u64| {
            if more > 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        };
        self.accepted.iter().zip(tally.accepted).for_each(|(counter, more)| add(counter, more));
        self.rejected.iter().zip(tally.rejected).for_each(|(counter, more)| add(counter, more));
        add(&self.duplicates, tally.duplicates);
        add(&self.mismatches, tally.mismatches);
        add(&self.void_records, tally.void_records);
    }

    pub(super) fn observe_batch(&self, commands: u64) {
        self.batch_commands.observe(&BATCH_BOUNDS_COMMANDS, commands);
    }

    pub(super) fn observe_append(&self, latency: Duration) {
        self.append_micros.observe(&LATENCY_BOUNDS_MICROS, u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }
}

/// What the core counted since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    accepted: [u64; TYPES],
    rejected: [u64; TYPES],
    pub duplicates: u64,
    pub mismatches: u64,
    pub void_records: u64,
}

/// A command type as a row of the tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TypeRow(u8);

impl TypeRow {
    pub(super) fn of(type_name: &str) -> Self {
        let row = CommandBody::TYPES.iter().position(|name| *name == type_name).unwrap_or(CommandBody::TYPES.len());
        Self(u8::try_from(row).expect("there are fewer than 256 command types"))
    }
}

impl Tally {
    pub(super) fn acknowledged(&mut self, row: TypeRow, accepted: bool) {
        let rows = if accepted { &mut self.accepted } else { &mut self.rejected };
        if let Some(count) = rows.get_mut(usize::from(row.0)) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_type_and_result() {
        let (metrics, mut tally) = (WriterMetrics::default(), Tally::default());
        tally.acknowledged(TypeRow::of("AllocateCidr"), true);
        tally.acknowledged(TypeRow::of("AllocateCidr"), false);
        tally.acknowledged(TypeRow::of("NoSuchType"), false);
        metrics.add(&tally);
        metrics.add(&tally);
        let of = |name| metrics.commands().find(|row| row.0 == name);
        assert_eq!(of("AllocateCidr"), Some(("AllocateCidr", 2, 2)));
        assert_eq!(of("unknown"), Some(("unknown", 0, 2)));
        assert_eq!(metrics.commands().count(), CommandBody::TYPES.len() + 1);
    }

    #[test]
    fn observations_fall_into_the_first_bucket_that_holds_them() {
        let metrics = WriterMetrics::default();
        for commands in [1, 2, 4, 20_000] {
            metrics.observe_batch(commands);
        }
        assert_eq!(metrics.batch_commands.buckets(), [1, 2, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((metrics.batch_commands.count(), metrics.batch_commands.sum()), (4, 20_007));
    }
}
