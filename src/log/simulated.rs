//! A log in memory, for tests: everything that can go wrong with a real one, on request and never by itself.
//!
//! Deterministic: no clock, no randomness, no thread of its own. Appends land at once unless they are held; held
//! ones are in flight, as a paused or deposed writer's are, and land, are lost or doubled when the test says so.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::{Header, NewRecord, Offset, Partition, Record};
use super::{AppendError, Appender, Log, RECORD_BYTES_MAX, ReadError, Reader};
use crate::domain::time::Timestamp;

/// A log in memory and the handle that controls it. Clones are the same log.
#[derive(Clone, Debug)]
pub struct SimulatedLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    changed: Condvar,
}

#[derive(Debug)]
struct World {
    lanes: Vec<Lane>,
    now: Timestamp,
    reachable: bool,
}

/// One partition.
#[derive(Debug, Default)]
struct Lane {
    begin: u64,
    end: u64,
    records: VecDeque<Record>,
    /// Readers see nothing at or behind this offset.
    hidden_from: Option<u64>,
    holding: bool,
    in_flight: VecDeque<NewRecord>,
    next_append: Option<Failure>,
    next_check: Option<String>,
}

/// What the next append does instead of succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing of the batch lands, ever.
    Refused,
    /// The outcome is unknown. The first `landed` records of the batch land at once, the others never.
    Unknown { landed: usize },
    /// The outcome is unknown. The whole batch stays in flight.
    UnknownInFlight,
}

impl SimulatedLog {
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        let lanes = (0..partitions).map(|_| Lane::default()).collect();
        let now = Timestamp::from_micros(1_767_225_600_000_000);
        let world = World { lanes, now, reachable: true };
        Self { shared: Arc::new(Shared { world: Mutex::new(world), changed: Condvar::new() }) }
    }

    /// The log's clock from now on. It begins at 2026-01-01T00:00:00Z and does not move by itself.
    pub fn set_now(&self, now: Timestamp) {
        self.world().now = now;
    }

    /// While unreachable, every call fails.
    pub fn set_reachable(&self, reachable: bool) {
        self.world().reachable = reachable;
        self.shared.changed.notify_all();
    }

    /// From now on appends of any appender succeed and stay in flight.
    pub fn hold(&self, partition: Partition) {
        self.with(partition, |lane, _| lane.holding = true);
    }

    /// From now on appends land at once again. What is in flight stays there.
    pub fn unhold(&self, partition: Partition) {
        self.with(partition, |lane, _| lane.holding = false);
    }

    /// What is in flight, in the order in which it was appended.
    #[must_use]
    pub fn in_flight(&self, partition: Partition) -> Vec<NewRecord> {
        self.with(partition, |lane, _| lane.in_flight.iter().cloned().collect())
    }

    /// Lands the first `count` records in flight, or all there are; how many it were.
    pub fn land(&self, partition: Partition, count: usize) -> usize {
        self.with(partition, |lane, now| {
            let count = count.min(lane.in_flight.len());
            for record in lane.in_flight.drain(..count).collect::<Vec<_>>() {
                lane.land(Some(record.header), record.value, now);
            }
            count
        })
    }

    /// Lands the record at `index` of those in flight, before its elders.
    pub fn land_one(&self, partition: Partition, index: usize) -> bool {
        self.with(partition, |lane, now| {
            let Some(record) = lane.in_flight.remove(index) else { return false };
            lane.land(Some(record.header), record.value, now);
            true
        })
    }

    /// Lands the record at `index` of those in flight and keeps it in flight: it may land twice.
    pub fn land_copy(&self, partition: Partition, index: usize) -> bool {
        self.with(partition, |lane, now| {
            let Some(record) = lane.in_flight.get(index).cloned() else { return false };
            lane.land(Some(record.header), record.value, now);
            true
        })
    }

    /// The record at `index` of those in flight never lands.
    pub fn lose(&self, partition: Partition, index: usize) -> bool {
        self.with(partition, |lane, _| lane.in_flight.remove(index).is_some())
    }

    /// The next append of any appender of the partition fails so.
    pub fn fail_next_append(&self, partition: Partition, failure: Failure) {
        self.with(partition, |lane, _| lane.next_append = Some(failure));
    }

    /// The next check of any appender of the partition reports a delivery of unknown outcome.
    pub fn fail_next_check(&self, partition: Partition, reason: &str) {
        self.with(partition, |lane, _| lane.next_check = Some(reason.to_owned()));
    }

    /// Readers see nothing that lands from now on, until [`SimulatedLog::show`].
    pub fn hide(&self, partition: Partition) {
        self.with(partition, |lane, _| {
            lane.hidden_from.get_or_insert(lane.end);
        });
    }

    /// Readers see everything again.
    pub fn show(&self, partition: Partition) {
        self.with(partition, |lane, _| lane.hidden_from = None);
    }

    /// A record that no processor wrote lands.
    pub fn land_foreign(&self, partition: Partition, value: &[u8]) {
        self.with(partition, |lane, now| lane.land(None, Arc::from(value), now));
    }

    /// A record with these headers lands, whoever wrote it.
    pub fn land_record(&self, partition: Partition, header: Header, value: &[u8]) {
        self.with(partition, |lane, now| lane.land(Some(header), Arc::from(value), now));
    }

    /// `count` offsets are skipped, as Kafka does now and then.
    pub fn skip_offsets(&self, partition: Partition, count: u64) {
        self.with(partition, |lane, _| lane.end += count);
    }

    /// Deletes the records before `begin`, as a wrong retention does.
    pub fn truncate_front(&self, partition: Partition, begin: Offset) {
        self.with(partition, |lane, _| {
            lane.records.retain(|record| record.offset >= begin);
            lane.begin = lane.begin.max(begin.0);
            lane.end = lane.end.max(begin.0);
        });
    }

    /// Deletes the records at and behind `end`, as an unclean leader does. Their offsets are given out again.
    pub fn truncate_back(&self, partition: Partition, end: Offset) {
        self.with(partition, |lane, _| {
            lane.records.retain(|record| record.offset < end);
            lane.end = lane.end.min(end.0);
        });
    }

    /// Replaces the records of a partition by none, as deleting and creating the topic does. What is in flight stays.
    pub fn recreate(&self, partition: Partition) {
        self.with(partition, |lane, _| {
            lane.records.clear();
            (lane.begin, lane.end, lane.hidden_from) = (0, 0, None);
        });
    }

    /// All records that are in the log, hidden ones too.
    #[must_use]
    pub fn records(&self, partition: Partition) -> Vec<Record> {
        self.with(partition, |lane, _| lane.records.iter().cloned().collect())
    }

    fn with<T>(&self, partition: Partition, act: impl FnOnce(&mut Lane, Timestamp) -> T) -> T {
        let mut world = self.world();
        let now = world.now;
        let done = act(world.lane(partition).expect("the test names a partition of its log"), now);
        self.shared.changed.notify_all();
        done
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }
}

impl Log for SimulatedLog {
    fn partitions(&self) -> Result<u32, ReadError> {
        let mut world = self.world();
        world.reached().map_err(ReadError::Unreachable)?;
        Ok(u32::try_from(world.lanes.len()).expect("made from a u32"))
    }

    fn end(&self, partition: Partition) -> Result<Offset, ReadError> {
        Ok(Offset(self.world().reached_lane(partition).map_err(ReadError::Unreachable)?.visible_end()))
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn Reader>, ReadError> {
        self.world().reached_lane(partition).map_err(ReadError::Unreachable)?.check_position(from)?;
        Ok(Box::new(SimulatedReader { shared: Arc::clone(&self.shared), partition, next: from }))
    }

    fn appender(&self, partition: Partition) -> Result<Box<dyn Appender>, AppendError> {
        self.world().reached_lane(partition).map_err(AppendError::Refused)?;
        Ok(Box::new(SimulatedAppender { shared: Arc::clone(&self.shared), partition, finished: None }))
    }
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn reached(&mut self) -> Result<&mut Self, String> {
        if self.reachable { Ok(self) } else { Err("the simulated log is set to be unreachable".to_owned()) }
    }

    fn lane(&mut self, partition: Partition) -> Result<&mut Lane, String> {
        let index = usize::try_from(partition.0).unwrap_or(usize::MAX);
        self.lanes.get_mut(index).ok_or_else(|| format!("there is no partition {partition}"))
    }

    fn reached_lane(&mut self, partition: Partition) -> Result<&mut Lane, String> {
        self.reached()?.lane(partition)
    }
}

impl Lane {
    fn land(&mut self, header: Option<Header>, value: Arc<[u8]>, now: Timestamp) {
        self.records.push_back(Record { offset: Offset(self.end), appended_at: now, header, value });
        self.end += 1;
    }

    fn visible_end(&self) -> u64 {
        self.hidden_from.map_or(self.end, |hidden| hidden.min(self.end))
    }

    fn check_position(&self, position: Offset) -> Result<(), ReadError> {
        if position.0 > self.end {
            return Err(ReadError::AheadOfLog { position, end: Offset(self.end) });
        }
        if position.0 < self.begin {
            return Err(ReadError::Truncated { position, begin: Offset(self.begin) });
        }
        Ok(())
    }

    fn append(&mut self, batch: Vec<NewRecord>, now: Timestamp) -> Result<(), AppendError> {
        let unknown = || Err(AppendError::Unknown("the simulated log was told to leave it unknown".to_owned()));
        let (landed, answer) = match self.next_append.take() {
            None => (batch.len(), Ok(())),
            Some(Failure::Refused) => {
                return Err(AppendError::Refused("the simulated log was told to refuse".to_owned()));
            }
            Some(Failure::UnknownInFlight) => {
                self.in_flight.extend(batch);
                return unknown();
            }
            Some(Failure::Unknown { landed }) => (landed, unknown()),
        };
        for record in batch.into_iter().take(landed) {
            if self.holding {
                self.in_flight.push_back(record);
            } else {
                self.land(Some(record.header), record.value, now);
            }
        }
        answer
    }
}

struct SimulatedAppender {
    shared: Arc<Shared>,
    partition: Partition,
    finished: Option<String>,
}

impl Appender for SimulatedAppender {
    fn append(&mut self, records: Vec<NewRecord>) -> Result<(), AppendError> {
        if records.iter().any(|record| record.value.len() > RECORD_BYTES_MAX) {
            self.finished = Some("a record was too large".to_owned());
            return Err(AppendError::Refused(format!("a record has more than {RECORD_BYTES_MAX} bytes")));
        }
        self.act(|lane, now| lane.append(records, now))
    }

    fn check(&mut self) -> Result<(), AppendError> {
        self.act(|lane, _| lane.next_check.take().map_or(Ok(()), |reason| Err(AppendError::Unknown(reason))))
    }
}

impl SimulatedAppender {
    fn act(&mut self, act: impl FnOnce(&mut Lane, Timestamp) -> Result<(), AppendError>) -> Result<(), AppendError> {
        if let Some(reason) = &self.finished {
            return Err(AppendError::Refused(format!("this appender is finished: {reason}")));
        }
        let mut world = self.shared.world();
        let now = world.now;
        let done = match world.reached_lane(self.partition) {
            Ok(lane) => act(lane, now),
            Err(reason) => Err(AppendError::Unknown(reason)),
        };
        drop(world);
        if let Err(error) = &done {
            self.finished = Some(error.to_string());
        }
        self.shared.changed.notify_all();
        done
    }
}

struct SimulatedReader {
    shared: Arc<Shared>,
    partition: Partition,
    next: Offset,
}

impl Reader for SimulatedReader {
    fn read(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, ReadError> {
        let deadline = Instant::now().checked_add(wait);
        let mut world = self.shared.world();
        loop {
            let lane = world.reached_lane(self.partition).map_err(ReadError::Unreachable)?;
            lane.check_position(self.next)?;
            let end = Offset(lane.visible_end());
            let first = lane.records.partition_point(|record| record.offset < self.next);
            let ready = lane.records.range(first..).take_while(|record| record.offset < end);
            let records: Vec<_> = ready.take(records_max).cloned().collect();
            if let Some(last) = records.last() {
                self.next = last.offset.next();
                return Ok(records);
            }
            let left = deadline.map_or(wait, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(records);
            }
            world = self.shared.changed.wait_timeout(world, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::{Epoch, Kind, Seq};

    const ZERO: Partition = Partition(0);

    fn record(number: u64) -> NewRecord {
        let header = Header { kind: Kind::Outcome, epoch: Epoch(1), seq: Seq(number), source: None };
        NewRecord { header, key: None, value: Arc::from([]) }
    }

    fn try_append(log: &SimulatedLog, numbers: &[u64]) -> Result<(), AppendError> {
        log.appender(ZERO)?.append(numbers.iter().map(|&number| record(number)).collect())
    }

    /// The numbers that readers see.
    fn seen(log: &SimulatedLog) -> Vec<u64> {
        let mut reader = log.reader(ZERO, Offset(0)).expect("a reader");
        let records = reader.read(100, Duration::ZERO).expect("a read");
        records.iter().filter_map(|record| record.header).map(|header| header.seq.0).collect()
    }

    #[test]
    fn ghosts_land_when_they_are_told_to() {
        let log = SimulatedLog::new(1);
        log.hold(ZERO);
        try_append(&log, &[1, 2, 3, 4]).expect("in flight");
        log.unhold(ZERO);
        try_append(&log, &[5]).expect("landed");
        assert_eq!(seen(&log), [5]);
        assert!(log.land_one(ZERO, 2) && log.land_copy(ZERO, 0) && log.lose(ZERO, 1));
        assert_eq!(seen(&log), [5, 3, 1]);
        assert_eq!(log.in_flight(ZERO), [record(1), record(4)]);
        assert_eq!(log.land(ZERO, 9), 2);
        assert_eq!(seen(&log), [5, 3, 1, 1, 4]);
    }

    #[test]
    fn a_failed_append_ends_its_appender_whatever_landed() {
        for (failure, at_once, in_flight) in [
            (Failure::Refused, &[][..], 0),
            (Failure::Unknown { landed: 0 }, &[], 0),
            (Failure::Unknown { landed: 1 }, &[1], 0),
            (Failure::UnknownInFlight, &[], 2),
        ] {
            let log = SimulatedLog::new(1);
            let mut appender = log.appender(ZERO).expect("an appender");
            log.fail_next_append(ZERO, failure);
            let error = appender.append(vec![record(1), record(2)]).expect_err("it fails");
            assert_eq!(matches!(error, AppendError::Refused(_)), failure == Failure::Refused, "{failure:?}");
            assert!(matches!(appender.append(vec![record(3)]), Err(AppendError::Refused(_))), "{failure:?}");
            assert!(appender.check().is_err(), "{failure:?}");
            assert_eq!(seen(&log), at_once, "{failure:?}");
            assert_eq!(log.in_flight(ZERO).len(), in_flight, "{failure:?}");
            try_append(&log, &[9]).expect("another appender goes on");
        }
        let log = SimulatedLog::new(1);
        let mut appender = log.appender(ZERO).expect("an appender");
        log.fail_next_check(ZERO, "lost");
        assert!(matches!(appender.check(), Err(AppendError::Unknown(_))));
        assert!(appender.append(vec![record(1)]).is_err());
    }

    #[test]
    fn what_is_hidden_shows_later_and_what_is_cut_off_is_gone() {
        let log = SimulatedLog::new(1);
        try_append(&log, &[1, 2]).expect("landed");
        log.hide(ZERO);
        try_append(&log, &[3]).expect("landed");
        assert_eq!((seen(&log), log.end(ZERO).expect("an end")), (vec![1, 2], Offset(2)));
        log.show(ZERO);
        assert_eq!(seen(&log), [1, 2, 3]);
        let mut reader = log.reader(ZERO, Offset(3)).expect("a reader");
        log.truncate_back(ZERO, Offset(1));
        let error = reader.read(1, Duration::ZERO).expect_err("ahead of the log");
        assert!(matches!(error, ReadError::AheadOfLog { position: Offset(3), end: Offset(1) }), "{error:?}");
        log.skip_offsets(ZERO, 4);
        log.land_foreign(ZERO, b"?");
        log.land_record(ZERO, record(7).header, b"{}");
        assert_eq!(seen(&log), [1, 7]);
        assert_eq!(log.records(ZERO).iter().map(|record| record.offset.0).collect::<Vec<_>>(), [0, 5, 6]);
        log.set_reachable(false);
        assert!(matches!(log.end(ZERO), Err(ReadError::Unreachable(_))));
        assert!(matches!(try_append(&log, &[8]), Err(AppendError::Refused(_))));
    }
}
