//! The tiny world: a log, a command topic, a clock and a group whose membership may lie, some nodes, and whoever uses
//! them. One step is one small thing that happens to one of them; the dice say which.
//!
//! The same plan gives the same run, byte for byte: no clock, no thread and no hash order has a part in it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ipam_ledger::audit;
use ipam_ledger::domain::id::OrganizationId;
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::log::Log;
use ipam_ledger::log::record::{Epoch, EpochOpened, Header, Kind, LedgerId, NewRecord, Offset, Partition, Record, Seq};
use ipam_ledger::log::simulated::SimulatedLog;
use ipam_ledger::processor::core::Limits;
use ipam_ledger::views::position::PositionError;
use ipam_ledger::views::table::Rows;
use uuid::Uuid;

use super::coverage::Coverage;
use super::disk::FAMILIES;
use super::faults::{Fault, Rates};
use super::node::{Life, Node};
use super::oracle::Oracle;
use super::plan::Plan;
use super::producers::Producers;
use super::projector::Projector;
use super::random::Random;
use super::topic::Topic;

const START: i64 = 1_767_225_600_000_000;
const SECOND: i64 = 1_000_000;
const ORGANIZATIONS: [&str; 5] = ["o-alpha", "o-beta", "o-gamma", "000000000002", "o-delta"];
/// A world that is not settled after so many rounds never will be.
const ROUNDS_MAX: u64 = 4_000;
/// Lines that are kept of what happened.
const TOLD_MAX: usize = 60;

pub struct World {
    pub plan: Plan,
    pub random: Random,
    pub rates: Rates,
    pub coverage: Coverage,
    pub oracle: Oracle,
    pub now: Timestamp,
    pub log: SimulatedLog,
    pub ledger: LedgerId,
    pub partitions: u32,
    pub limits: Limits,
    pub organizations: Vec<OrganizationId>,
    /// Appended and not landed, by partition.
    pub flights: Vec<VecDeque<Flight>>,
    /// The command topic, by partition.
    pub topic: Vec<Topic>,
    pub nodes: Vec<Node>,
    /// Which nodes believe that they own a partition.
    pub owners: Vec<BTreeSet<usize>>,
    pub producers: Producers,
    pub unreachable_until: Timestamp,
    /// No more faults: everybody gets done what is to be done.
    pub settling: bool,
    pub incarnations: u64,
    /// Steps done, those of settling included.
    pub done: u64,
    /// A hash over all that happened.
    pub print: u64,
    over: bool,
    told: Option<VecDeque<String>>,
}

/// A record on its way into the log.
#[derive(Clone)]
pub struct Flight {
    pub writer: u64,
    pub record: NewRecord,
}

impl World {
    pub fn new(plan: &Plan, tell: bool) -> Self {
        let mut random = Random::of_run(plan.seed);
        let rates = Rates::draw(plan, &mut random);
        let partitions = 1 + u32::try_from(random.below(3)).expect("small");
        let nodes = 1 + random.below(3);
        let organizations: Vec<OrganizationId> =
            ORGANIZATIONS.iter().take(1 + random.below(2)).map(|id| id.parse().expect("well formed")).collect();
        let mut organizations = organizations;
        if random.one_in(4) {
            organizations.push(ORGANIZATIONS[3].parse().expect("well formed"));
        }
        let small_records = random.one_in(8);
        let limits = Limits {
            record_bytes_max: if small_records { 1_600 } else { 900 * 1024 },
            in_flight_outcomes_max: 4 + random.below(12),
            batch_commands_max: 2 + random.below(6),
            recent_ids_max: 1 + random.below(12),
            recent_bytes_max: if random.one_in(3) { 4_000 } else { 1 << 20 },
            uncovered_ids_max: 20 + random.below(60),
            unknown_after: Duration::from_secs(3),
        };
        let now = Timestamp::from_micros(START);
        let owners = (0..partitions).map(|partition| BTreeSet::from([partition as usize % nodes])).collect();
        let count = partitions as usize;
        Self {
            oracle: Oracle::new(partitions, &organizations, small_records),
            log: SimulatedLog::new(partitions),
            ledger: Uuid::from_u128(u128::from(random.next())),
            plan: plan.clone(),
            rates,
            coverage: Coverage::default(),
            now,
            partitions,
            limits,
            organizations,
            flights: (0..count).map(|_| VecDeque::new()).collect(),
            topic: (0..count).map(|_| Topic::default()).collect(),
            nodes: (0..nodes).map(|_| Node::new(now)).collect(),
            owners,
            producers: Producers::default(),
            unreachable_until: now,
            settling: false,
            incarnations: 0,
            done: 0,
            print: 0,
            over: false,
            told: tell.then(VecDeque::new),
            random,
        }
    }

    /// All steps of the plan, and then whatever it takes until everything is settled and can be judged.
    pub fn run(&mut self) {
        for step in 0..self.plan.steps {
            if !self.plan.skips(step) {
                self.random = Random::of_step(self.plan.seed, step);
                self.step();
            }
            if self.over {
                return;
            }
        }
        self.settle();
    }

    /// What happened last, when it is told.
    pub fn told(&self) -> Vec<String> {
        self.told.iter().flatten().cloned().collect()
    }

    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            if told.len() == TOLD_MAX {
                told.pop_front();
            }
            let mut line = format!("{} {}", self.done, line());
            line.truncate(line.char_indices().nth(600).map_or(line.len(), |(end, _)| end));
            told.push_back(line);
        }
    }

    /// Whether a fault that could happen here does.
    pub fn fault(&mut self, fault: Fault) -> bool {
        let happens = self.random.per_mille(self.rates.of(fault)) && !self.settling;
        if happens {
            self.coverage.hit("fault", fault.name());
            self.tell(|| format!("fault {}", fault.name()));
        }
        happens
    }

    pub fn hash(&mut self, number: u64) {
        self.print = (self.print ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    fn step(&mut self) {
        self.done += 1;
        let pause = if self.random.one_in(100) { SECOND } else { self.random.between(1_000, 30_000) };
        self.now = self.now.plus_micros(pause);
        self.wake();
        match self.random.below(1_000) {
            0..100 => self.produce(),
            100..116 => self.observe(),
            116..670 => self.write(),
            670..800 => self.land(),
            800..890 => self.fold(),
            890..915 => self.flush(),
            915..940 => self.query(),
            _ => self.trouble(),
        }
    }

    /// Nodes that have slept or been dead for long enough.
    fn wake(&mut self) {
        self.log.set_reachable(self.now >= self.unreachable_until);
        for n in 0..self.nodes.len() {
            let node = &mut self.nodes[n];
            if node.clock_off != 0 && self.now >= node.clock_until {
                (node.clock_off, node.clock_since) = (0, self.now);
            }
            match self.nodes[n].life {
                Life::Down { until } if self.now >= until => self.start(n),
                Life::Paused { until } if self.now >= until => self.nodes[n].life = Life::Up,
                _ => {}
            }
        }
    }

    /// One thing for one writer; effects that wait come first more often than not.
    fn write(&mut self) {
        let mut choices = Vec::new();
        for (n, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_up()) {
            for partition in (0..self.partitions).map(Partition) {
                if self.owners[partition.0 as usize].contains(&n) || node.slots.contains_key(&partition) {
                    choices.push((n, partition));
                }
            }
        }
        let busy: Vec<_> = choices.iter().copied().filter(|(n, p)| self.nodes[*n].has_effects(*p)).collect();
        let choices = if busy.is_empty() || self.random.one_in(3) { choices } else { busy };
        if let Some((n, partition)) = self.random.of(&choices).copied() {
            self.writer_step(n, partition);
        }
    }

    // --- The log.

    /// Some records that are on their way land, or not.
    fn land(&mut self) {
        if self.now < self.unreachable_until {
            return;
        }
        let partition = self.random.below(self.flights.len());
        let flights = &self.flights[partition];
        let Some(first) = self.random.of(&flights.iter().map(|flight| flight.writer).collect::<Vec<_>>()).copied()
        else {
            return;
        };
        let index = flights.iter().position(|flight| flight.writer == first).expect("it is among them");
        let count = 1 + self.random.below(4);
        for _ in 0..count {
            let waiting = self.flights[partition].len();
            let index =
                if waiting > 1 && self.fault(Fault::RecordOvertakes) { self.random.below(waiting) } else { index };
            let Some(flight) = self.flights[partition].remove(index) else { return };
            if self.fault(Fault::RecordLost) {
                let learns = self.random.one_in(2);
                if let Some(writer) = self.nodes.iter_mut().find_map(|node| node.writer_by_id(flight.writer)) {
                    writer.failed = learns.then_some("append").or(writer.failed);
                }
                continue;
            }
            if self.fault(Fault::RecordDoubled) {
                let at = self.random.below(self.flights[partition].len() + 1);
                self.flights[partition].insert(at, flight.clone());
            }
            self.landed(Partition(partition as u32), Some(flight.record.header), &flight.record.value);
        }
    }

    /// A record is in the log now.
    pub fn landed(&mut self, partition: Partition, header: Option<Header>, value: &Arc<[u8]>) {
        self.log.set_now(self.now);
        match header {
            Some(header) => self.log.land_record(partition, header, value),
            None => self.log.land_foreign(partition, value),
        }
        let end = self.log.end(partition).expect("records land only in a log that can be reached");
        let record = Record { offset: Offset(end.0 - 1), appended_at: self.now, header, value: Arc::clone(value) };
        self.tell(|| format!("landed in {partition} at {}: {header:?}", record.offset));
        self.hash(record.offset.0 << 8 | u64::from(partition.0));
        value.iter().take(1_000).for_each(|byte| self.hash(u64::from(*byte)));
        self.oracle.landed(partition, &record, &mut self.coverage);
    }

    /// A record is in the command topic now, behind others while the topic of before had the very same one in its place.
    pub fn put(&mut self, partition: Partition, key: Option<Vec<u8>>, value: Vec<u8>, forwarded: bool) {
        while self.topic[partition.0 as usize].had(&value) {
            let other = format!("not {:x}", self.random.below(usize::MAX));
            self.put(partition, None, other.into_bytes(), false);
        }
        let record = self.topic[partition.0 as usize].put(key, value, forwarded);
        self.oracle.once.put(partition, &record);
    }

    // --- Nodes.

    fn up(&mut self) -> Option<usize> {
        let up: Vec<_> = (0..self.nodes.len()).filter(|n| self.nodes[*n].is_up()).collect();
        self.random.of(&up).copied()
    }

    fn fold(&mut self) {
        if let Some(n) = self.up() {
            self.project(n);
        }
    }

    fn flush(&mut self) {
        let family = FAMILIES[self.random.below(FAMILIES.len())];
        if let Some(n) = self.up().filter(|n| self.now >= self.nodes[*n].disk_full_until) {
            self.nodes[n].disk.lock().flush(family);
        }
    }

    /// All that is not durable is gone. What was handed to the log may be gone, too, or still land.
    pub fn crash(&mut self, n: usize) {
        self.tell(|| format!("node {n} crashes"));
        let until = self.now.plus_micros(self.random.between(10_000, SECOND / 2));
        let node = &mut self.nodes[n];
        node.disk.lock().crash();
        let positions = FAMILIES.map(|family| node.disk.lock().positions(family));
        if positions[0] != positions[1] {
            self.coverage.hit("way", "views at different places");
        }
        node.projector = None;
        node.slots.clear();
        node.queues.clear();
        node.life = Life::Down { until };
    }

    /// A start: the views' positions are compared with the log, and what does not fit is refused.
    fn start(&mut self, n: usize) {
        let disk = self.nodes[n].disk.clone();
        if self.now < self.unreachable_until {
            return;
        }
        let has_snapshot = FAMILIES.iter().any(|family| !disk.lock().positions(family).is_empty());
        let mut refuses = None;
        if has_snapshot && !self.settling {
            if self.fault(Fault::SnapshotLost) {
                disk.lock().clear();
            } else if self.fault(Fault::SnapshotMoved) {
                self.move_position(n, 0);
                refuses = Some("OtherRecord");
            } else if self.fault(Fault::SnapshotAhead) {
                self.move_position(n, 1_000_000);
                refuses = Some("AheadOfLog");
            } else if self.fault(Fault::SnapshotUnreadable) {
                self.garble(n);
            }
        }
        match Projector::start(&self.log, &disk, self.partitions) {
            Ok(projector) => {
                assert_eq!(refuses, None, "a view store that does not fit the log is taken for right (D11)");
                self.coverage.hit("position", "fits");
                self.nodes[n].projector = Some(projector);
                self.nodes[n].life = Life::Up;
            }
            Err(error) => {
                let name = position_error(&error);
                self.coverage.hit("position", name);
                assert_eq!(refuses, Some(name), "a node refuses its own views: {error}");
                // An operator has the views built anew.
                disk.lock().clear();
            }
        }
    }

    /// A position of one family is another one than was written.
    fn move_position(&mut self, n: usize, by: u64) {
        let mut disk = self.nodes[n].disk.lock();
        let mut found = Vec::new();
        for family in FAMILIES {
            let mut see = |key: &[u8], value: &[u8]| {
                found.push((family, key.to_vec(), value.to_vec()));
                std::ops::ControlFlow::Continue(())
            };
            disk.rows(family).scan(&[1], &[2], &mut see).expect("memory can be read");
        }
        let (family, key, value) = self.random.of(&found).cloned().expect("there is a position");
        let mut position: serde_json::Value = serde_json::from_slice(&value).expect("JSON");
        if by > 0 {
            position["offset"] = (position["offset"].as_u64().expect("a number") + by).into();
        } else {
            position["record"] = "0".repeat(64).into();
        }
        disk.damage(family, key, serde_json::to_vec(&position).expect("JSON"));
    }

    /// A row of the stored state cannot be read: whoever starts from it must find out. An operator has the views built anew.
    fn garble(&mut self, n: usize) {
        let mut disk = self.nodes[n].disk.lock();
        let ledger = FAMILIES[1];
        let mut found = None;
        let mut see = |key: &[u8], _: &[u8]| {
            found = Some(key.to_vec());
            std::ops::ControlFlow::Break(())
        };
        disk.rows(ledger).scan(&[0x11], &[0x12], &mut see).expect("memory can be read");
        if let Some(key) = found {
            disk.damage(ledger, key, b"{".to_vec());
            let unreadable = (0..self.partitions).any(|partition| disk.ledger().restore(Partition(partition)).is_err());
            assert!(unreadable, "a snapshot with a row that cannot be read is taken for right (D10)");
        }
        disk.clear();
    }

    // --- Trouble.

    fn trouble(&mut self) {
        const KINDS: [Fault; 17] = [
            Fault::Crash,
            Fault::Pause,
            Fault::ClockJump,
            Fault::ClockOff,
            Fault::DiskFull,
            Fault::Rebalance,
            Fault::LogUnreachable,
            Fault::OffsetsSkipped,
            Fault::ForeignRecord,
            Fault::ForeignLedger,
            Fault::ForeignPartitions,
            Fault::BotchedOpening,
            Fault::LogTruncated,
            Fault::LogReplaced,
            Fault::Rebalance,
            Fault::CommandsExpire,
            Fault::CommandsRecreated,
        ];
        let kind = KINDS[self.random.below(KINDS.len())];
        let partition = Partition(u32::try_from(self.random.below(self.flights.len())).expect("small"));
        let n = self.random.below(self.nodes.len());
        let reachable = self.now >= self.unreachable_until;
        // A log that nobody opened yet has nothing to lose.
        let opened = reachable && !self.oracle.lane(partition).openings.is_empty();
        let possible = match kind {
            Fault::Crash | Fault::Pause => self.nodes[n].is_up(),
            Fault::Rebalance => self.nodes.len() > 1,
            Fault::CommandsExpire => !self.topic[partition.0 as usize].is_another,
            Fault::CommandsRecreated => self.may_recreate(),
            Fault::ForeignRecord
            | Fault::ForeignLedger
            | Fault::ForeignPartitions
            | Fault::BotchedOpening
            | Fault::OffsetsSkipped => opened,
            Fault::LogTruncated | Fault::LogReplaced => opened && self.end(partition).0 > 10,
            _ => true,
        };
        if !possible || !self.fault(kind) {
            return;
        }
        match kind {
            Fault::Crash => self.crash(n),
            Fault::Pause => {
                let until = self.now.plus_micros(self.random.between(SECOND / 5, 2 * SECOND));
                self.nodes[n].life = Life::Paused { until };
            }
            Fault::ClockJump => self.set_clock(n, 25 * SECOND),
            Fault::ClockOff => self.set_clock(n, 300 * SECOND),
            Fault::DiskFull => self.nodes[n].disk_full_until = self.now.plus_micros(SECOND / 2),
            Fault::Rebalance => self.rebalance(partition, n),
            Fault::LogUnreachable => {
                self.unreachable_until = self.now.plus_micros(self.random.between(SECOND / 50, SECOND / 3));
                self.log.set_reachable(false);
            }
            Fault::OffsetsSkipped => self.log.skip_offsets(partition, 1),
            Fault::LogTruncated => self.lose_the_end(partition),
            Fault::LogReplaced => self.replace_log(partition),
            Fault::CommandsExpire => self.expire_commands(partition),
            Fault::CommandsRecreated => self.recreate_commands(),
            other => self.foreign(other, partition),
        }
    }

    fn end(&self, partition: Partition) -> Offset {
        self.oracle.end(partition)
    }

    fn set_clock(&mut self, n: usize, by: i64) {
        let mended = self.now.plus_micros(self.random.between(SECOND / 2, 4 * SECOND));
        let node = &mut self.nodes[n];
        (node.clock_off, node.clock_since, node.clock_until) = (self.random.between(-by, by), self.now, mended);
    }

    fn rebalance(&mut self, partition: Partition, to: usize) {
        let lies = self.fault(Fault::TwoOwners);
        let owners = &mut self.owners[partition.0 as usize];
        if !lies {
            owners.clear();
        }
        owners.insert(to);
    }

    /// Records that no writer of this ledger appended.
    fn foreign(&mut self, fault: Fault, partition: Partition) {
        let epoch = Epoch(self.oracle.lane(partition).openings.len() as u64 + 1);
        let mut header = Header { kind: Kind::EpochOpened, epoch, seq: Seq(0), source: None };
        let mut opened = EpochOpened {
            schema: 1,
            epoch,
            writer: Uuid::from_u128(u128::from(self.random.next())),
            ledger: self.ledger,
            partitions: self.partitions,
        };
        match fault {
            Fault::ForeignLedger => opened.ledger = Uuid::from_u128(1),
            Fault::ForeignPartitions => opened.partitions += 1,
            Fault::BotchedOpening if self.random.one_in(2) => header.seq = Seq(1),
            Fault::BotchedOpening => header.epoch = epoch.next(),
            _ => {
                let value: Arc<[u8]> = Arc::from(self.random.bytes::<12>());
                return self.landed(partition, None, &value);
            }
        }
        let value = serde_json::to_vec(&opened).expect("plain data");
        self.landed(partition, Some(header), &Arc::from(value));
    }

    /// The log loses its last records, and others take their place. The run ends with every node's start.
    fn lose_the_end(&mut self, partition: Partition) {
        let records = self.oracle.lane(partition).records.clone();
        let kept = self.random.below(records.len());
        let cut = records[kept].offset;
        self.log.truncate_back(partition, cut);
        let mut remaining = records[..kept].to_vec();
        if self.random.one_in(2) {
            // Other records stand where the lost ones did.
            for lost in &records[kept..] {
                let value: Arc<[u8]> = Arc::from(self.random.bytes::<8>());
                self.log.land_foreign(partition, &value);
                remaining.push(Record { offset: lost.offset, appended_at: self.now, header: None, value });
            }
        }
        self.all_start(partition, &remaining, false);
    }

    /// Another ledger's log stands there.
    fn replace_log(&mut self, partition: Partition) {
        let records = self.oracle.lane(partition).records.clone();
        self.log.recreate(partition);
        let mut remaining = Vec::new();
        let same_ledger = self.random.one_in(2);
        let ledger = if same_ledger { self.ledger } else { Uuid::from_u128(7) };
        let opened =
            EpochOpened { schema: 1, epoch: Epoch(1), writer: Uuid::from_u128(8), ledger, partitions: self.partitions };
        let header = Header { kind: Kind::EpochOpened, epoch: Epoch(1), seq: Seq(0), source: None };
        let value: Arc<[u8]> = Arc::from(serde_json::to_vec(&opened).expect("plain data"));
        self.log.land_record(partition, header, &value);
        remaining.push(Record { offset: Offset(0), appended_at: self.now, header: Some(header), value });
        if self.random.one_in(2) {
            // As long as the old one, with the very records of the old one where that goes unnoticed by their place alone.
            for record in records.iter().skip(1) {
                let at = self.log.end(partition).expect("it can be reached");
                self.log.skip_offsets(partition, record.offset.0.saturating_sub(at.0));
                match record.header {
                    Some(header) => self.log.land_record(partition, header, &record.value),
                    None => self.log.land_foreign(partition, &record.value),
                }
                remaining.push(record.clone());
            }
        }
        self.all_start(partition, &remaining, !same_ledger);
    }

    /// Every node starts over a changed log: those whose views are not of it must refuse.
    fn all_start(&mut self, partition: Partition, remaining: &[Record], other_ledger: bool) {
        for n in 0..self.nodes.len() {
            let disk = self.nodes[n].disk.clone();
            disk.lock().crash();
            let mut fits = true;
            for family in FAMILIES {
                let Some(position) = disk.lock().positions(family).remove(&partition) else { continue };
                let before = self.oracle.lane(partition).records.iter().find(|one| one.offset == position.offset);
                let before = before.expect("a view stands at a record that landed");
                let there = remaining.iter().find(|one| one.offset == position.offset);
                let same = there.is_some_and(|there| (there.header, &there.value) == (before.header, &before.value));
                fits &= same && (!other_ledger || position.ledger().is_none());
            }
            match Projector::start(&self.log, &disk, self.partitions) {
                Ok(_) => assert!(fits, "node {n} goes on over a log that is not the one of its views (D11)"),
                Err(error) => {
                    assert!(!fits, "node {n} refuses the log of its views: {error}");
                    self.coverage.hit("position", position_error(&error));
                    self.coverage.hit("way", "refused another log");
                }
            }
        }
        self.over = true;
    }

    // --- The end.

    /// No more faults. Everything that was sent is dealt with, and judged.
    fn settle(&mut self) {
        self.settling = true;
        self.random = Random::of_step(self.plan.seed, u64::MAX);
        self.tell(|| "no more faults".to_owned());
        for partition in 0..self.owners.len() {
            let one = self.random.below(self.nodes.len());
            self.owners[partition] = BTreeSet::from([one]);
            // What was handed to a node that does not write is not known to be decided, and never will be.
            for (_, node) in self.nodes.iter_mut().enumerate().filter(|(n, _)| *n != one) {
                node.queues.remove(&Partition(partition as u32));
            }
        }
        for node in &mut self.nodes {
            (node.clock_off, node.clock_since, node.disk_full_until) = (0, self.now, self.now);
        }
        self.unreachable_until = self.now;
        self.log.set_reachable(true);
        for partition in (0..self.partitions).map(Partition) {
            // A log whose last offsets hold no records shows its end to nobody: one more record does.
            if self.log.end(partition).is_ok_and(|end| end > self.end(partition)) {
                self.landed(partition, None, &Arc::from(*b"more"));
            }
        }
        for _ in 0..ROUNDS_MAX {
            self.done += 1;
            self.now = self.now.plus_micros(50_000);
            self.wake();
            for n in 0..self.nodes.len() {
                for partition in (0..self.partitions).map(Partition) {
                    if self.nodes[n].is_up() {
                        self.writer_step(n, partition);
                    }
                }
                if self.nodes[n].is_up() {
                    self.project(n);
                }
            }
            self.land();
            if self.is_settled() {
                self.coverage.hit("way", "settled");
                return self.judge();
            }
        }
        let sources: Vec<_> = self.oracle.lanes.iter().map(|lane| lane.source).collect();
        let topic: Vec<_> = self.topic.iter().map(Topic::len).collect();
        let ends: Vec<_> = (0..self.partitions).map(|partition| self.end(Partition(partition)).0).collect();
        let nodes: Vec<_> = self.nodes.iter().map(|node| node.in_short(self.partitions)).collect();
        panic!(
            "it never settles: commands dealt with up to {sources:?} of {topic:?}; records up to {ends:?}; {nodes:#?}"
        );
    }

    fn is_settled(&self) -> bool {
        let idle = |(n, node): (usize, &Node)| {
            let mut owners = (0..).map(Partition).zip(&self.owners);
            owners.all(|(partition, owners)| node.is_idle(partition, owners.contains(&n)))
        };
        let quiet = self.flights.iter().all(VecDeque::is_empty)
            && self.nodes.iter().all(Node::is_up)
            && self.nodes.iter().enumerate().all(idle);
        quiet
            && (0..self.partitions).map(Partition).all(|partition| {
                let topic = &self.topic[partition.0 as usize];
                let source = self.oracle.lane(partition).source;
                let all_dealt_with =
                    if topic.disturbed { self.oracle.once.lost(partition).is_none() } else { source == topic.last() };
                let end = self.end(partition);
                let at_end = |node: &Node| {
                    node.projector.as_ref().is_some_and(|projector| projector.admission(partition).next == end)
                };
                all_dealt_with && self.nodes.iter().all(at_end)
            })
    }

    fn judge(&mut self) {
        self.oracle.once.none_lost();
        if self.nodes.iter().any(|node| node.disk.lock().old_ids_found > 0) {
            self.coverage.hit("way", "id forgotten and known");
        }
        for n in 0..self.nodes.len() {
            let projector = self.nodes[n].projector.as_ref().expect("it is up");
            for partition in (0..self.partitions).map(Partition) {
                let voids = projector.admission(partition).void_count;
                assert_eq!(voids, self.oracle.lane(partition).voids, "void records of {partition} as node {n} counts");
            }
        }
        self.same_as_the_fold();
        self.same_as_the_model();
        self.ask_everything();
        let report = audit::verify(&self.log, &audit::Asked::default(), &|_| {}).expect("the log can be read");
        assert!(report.findings.is_empty(), "the auditor finds {:#?}", report.findings);
        let heads: Vec<_> = report.heads.iter().map(|(id, head)| (id.clone(), head.revision)).collect();
        let known = self.oracle.histories.iter().filter(|(_, history)| !history.pasts.is_empty());
        let known: Vec<_> = known.map(|(id, history)| (id.clone(), history.revision())).collect();
        assert_eq!(heads, known, "the auditor sees every history whole");
        for (id, _) in known {
            if id.lone_account().is_some() {
                self.coverage.hit("way", "lone account");
            }
        }
    }

    /// What a node would start from holds what the model holds.
    fn same_as_the_model(&self) {
        let disk = self.nodes[0].disk.lock();
        for partition in (0..self.partitions).map(Partition) {
            let restored = disk.ledger().restore(partition).expect("memory can be read");
            for organization in restored.into_iter().flat_map(|restored| restored.organizations) {
                super::oracle::views::stored(&self.oracle.world(&organization.id), &organization.rows);
            }
        }
    }

    /// Every node's rows are those of a fold from nothing.
    fn same_as_the_fold(&mut self) {
        let disk = super::disk::SharedDisk::new();
        let mut anew = Projector::start(&self.log, &disk, self.partitions).expect("nothing fits everything");
        let every: Vec<_> = (0..self.partitions).map(Partition).collect();
        while anew.read(&self.log, &disk, &every, 100_000, false).is_ok_and(|count| count > 0) {}
        for (n, node) in self.nodes.iter().enumerate() {
            for family in FAMILIES {
                let (node, anew) = (node.disk.lock(), disk.lock());
                let (rows, expected) = (node.rows(family), anew.rows(family));
                let same = rows == expected;
                assert!(same, "node {n}: the view {family} is not the fold of the log: {}", difference(rows, expected));
            }
        }
        self.coverage.hit("way", "view equals the fold");
    }
}

fn difference(rows: &dyn Rows, expected: &dyn Rows) -> String {
    let all = |rows: &dyn Rows| {
        let mut all = Vec::new();
        let mut see = |key: &[u8], value: &[u8]| {
            all.push((String::from_utf8_lossy(key).into_owned(), String::from_utf8_lossy(value).into_owned()));
            std::ops::ControlFlow::Continue(())
        };
        rows.scan(&[0], &[0xff], &mut see).expect("memory can be read");
        all
    };
    let (rows, expected) = (all(rows), all(expected));
    let first = rows.iter().find(|row| !expected.contains(row));
    let missing = expected.iter().find(|row| !rows.contains(row));
    format!("it has {first:?}, and not {missing:?}")
}

fn position_error(error: &PositionError) -> &'static str {
    match error {
        PositionError::OtherLedger { .. } => "OtherLedger",
        PositionError::AheadOfLog { .. } => "AheadOfLog",
        PositionError::OtherRecord { .. } => "OtherRecord",
        PositionError::NotShown { .. } => "NotShown",
        PositionError::Log(_) => "Log",
    }
}
