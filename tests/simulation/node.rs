//! A node: for each partition that it believes to own a writer, the real core, whose effects are carried out one by one; and
//! its views. Whatever goes wrong while an effect is carried out ends the incarnation, as in the real driver.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ipam_ledger::domain::digest::Digest;
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::log::record::{NewRecord, Offset, Partition, SourceOffset, WriterId};
use ipam_ledger::log::wire::Decoded;
use ipam_ledger::log::{Letter, Log};
use ipam_ledger::processor::core::{
    CLOCK_OFF_MAX, Config, Core, Domain, Effect, End, Input, Report, Request, Then, Ticket,
};
use ipam_ledger::processor::memory::Memory;
use uuid::Uuid;

use super::disk::SharedDisk;
use super::faults::Fault;
use super::oracle::exactly_once::Key;
use super::projector::{Projector, Stuck};
use super::world::{Flight, World};

/// So many empty reads in a row mean the end of a log whose last offsets hold no records, as in the real driver.
const TAIL_EMPTY_READS_MAX: u32 = 10;

pub struct Node {
    /// How far its clock is off, in microseconds.
    pub clock_off: i64,
    /// Since when it is off by so much.
    pub clock_since: Timestamp,
    /// When somebody mends it.
    pub clock_until: Timestamp,
    pub life: Life,
    pub disk: SharedDisk,
    pub projector: Option<Projector>,
    pub slots: BTreeMap<Partition, Slot>,
    /// Commands handed over in process, by partition.
    pub queues: BTreeMap<Partition, VecDeque<Handed>>,
    pub disk_full_until: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Up,
    Down {
        until: Timestamp,
    },
    /// It does nothing, and does not know it.
    Paused {
        until: Timestamp,
    },
}

/// A partition that the node writes, or is about to.
pub enum Slot {
    Writing(Box<Writer>),
    Pausing {
        until: Timestamp,
        /// The next incarnation reads the command topic from its beginning.
        begin_anew: bool,
    },
}

/// One incarnation.
pub struct Writer {
    id: u64,
    core: Core,
    tail_end: Offset,
    tail_empty_reads: u32,
    pending: VecDeque<Effect>,
    source: Option<SourceOffset>,
    rest_until: Timestamp,
    tickets: BTreeMap<Ticket, Handed>,
    next_ticket: u64,
    claim: Option<Claim>,
    finishing: bool,
    begin_anew: bool,
    /// What failed, of which it learns when it looks: a delivery, or reading a topic that is no more.
    pub failed: Option<&'static str>,
}

#[derive(Clone, Copy)]
struct Claim {
    writer: WriterId,
    at: Timestamp,
}

/// A command handed over in process.
#[derive(Clone)]
pub struct Handed {
    pub key: Key,
    pub digest: Digest,
    pub decoded: Decoded,
}

impl Node {
    pub fn new(now: Timestamp) -> Self {
        Self {
            clock_off: 0,
            clock_since: now,
            clock_until: now,
            life: Life::Down { until: now },
            disk: SharedDisk::new(),
            projector: None,
            slots: BTreeMap::new(),
            queues: BTreeMap::new(),
            disk_full_until: now,
        }
    }

    pub fn is_up(&self) -> bool {
        self.life == Life::Up
    }

    /// Whether a writer has nothing to do: neither a command nor, when it `owns` the partition, a beginning.
    pub fn is_idle(&self, partition: Partition, owns: bool) -> bool {
        let queued = self.queues.get(&partition).is_some_and(|queue| !queue.is_empty());
        let busy = match self.slots.get(&partition) {
            Some(Slot::Writing(writer)) => {
                !writer.pending.is_empty() || writer.core.in_flight() > 0 || writer.core.reign().is_none()
            }
            Some(Slot::Pausing { .. }) => true,
            None => owns,
        };
        !queued && !busy
    }

    /// For whoever wonders why nothing goes on.
    pub fn in_short(&self, partitions: u32) -> String {
        let slots = self.slots.iter().map(|(partition, slot)| match slot {
            Slot::Writing(writer) => {
                format!("{partition}: {:?}, {:?}, room {}", writer.core, writer.source, writer.core.room())
            }
            Slot::Pausing { .. } => format!("{partition}: pausing"),
        });
        let slots = slots.collect::<Vec<_>>();
        let next = |partition| self.projector.as_ref().map(|projector| projector.admission(partition).next.0);
        let views: Vec<_> = (0..partitions).map(|partition| next(Partition(partition))).collect();
        let queued: Vec<_> = self.queues.iter().map(|(partition, queue)| (partition.0, queue.len())).collect();
        format!("up: {}, writers {slots:?}, views at {views:?}, queued {queued:?}", self.is_up())
    }

    pub fn has_effects(&self, partition: Partition) -> bool {
        matches!(self.slots.get(&partition), Some(Slot::Writing(writer)) if !writer.pending.is_empty())
    }

    /// Whoever reads this partition of the command topic is told that it is no more.
    pub fn lose_source(&mut self, partition: Partition) {
        if let Some(Slot::Writing(writer)) = self.slots.get_mut(&partition) {
            writer.failed = writer.source.map(|_| "source").or(writer.failed);
        }
    }

    pub fn writer_by_id(&mut self, id: u64) -> Option<&mut Writer> {
        self.slots.values_mut().find_map(|slot| match slot {
            Slot::Writing(writer) if writer.id == id => Some(&mut **writer),
            _ => None,
        })
    }
}

impl World {
    fn clock(&self, n: usize) -> Timestamp {
        self.now.plus_micros(self.nodes[n].clock_off)
    }

    /// One effect, or one input.
    pub fn writer_step(&mut self, n: usize, partition: Partition) {
        let owns = self.owners[partition.0 as usize].contains(&n);
        let now = self.now;
        let slot = self.nodes[n].slots.get_mut(&partition);
        match slot {
            None if owns => self.begin(n, partition, false),
            None => {}
            Some(Slot::Pausing { until, .. }) if now < *until => {}
            Some(Slot::Pausing { begin_anew: true, .. }) if owns => self.begin(n, partition, true),
            Some(Slot::Pausing { .. }) => drop(self.nodes[n].slots.remove(&partition)),
            Some(Slot::Writing(writer)) => match writer.pending.pop_front() {
                Some(effect) => {
                    if self.fault(Fault::CrashBetweenEffects) {
                        self.crash(n);
                    } else {
                        self.carry_out(n, partition, effect);
                    }
                }
                None => self.input(n, partition, owns),
            },
        }
    }

    fn begin(&mut self, n: usize, partition: Partition, begin_anew: bool) {
        let Ok(tail_end) = self.log.end(partition) else { return self.pause_writer(n, partition, "log") };
        let memory = self.nodes[n].disk.clone();
        let restored = memory.restore(partition);
        self.coverage.hit("way", if restored.is_some() { "started from a snapshot" } else { "started from nothing" });
        let config = Config {
            partition,
            ledger: self.ledger,
            partitions: self.partitions,
            partition_of: ipam_ledger::log::partition::partition_of,
            limits: self.limits,
        };
        self.incarnations += 1;
        let core = Core::new(config, Arc::new(Domain), Arc::new(memory), restored);
        self.tell(|| format!("node {n} begins {partition} at {}", core.position()));
        let writer = Writer {
            id: self.incarnations,
            core,
            tail_end,
            tail_empty_reads: 0,
            pending: VecDeque::new(),
            source: None,
            rest_until: self.now,
            tickets: BTreeMap::new(),
            next_ticket: 0,
            claim: None,
            finishing: false,
            begin_anew,
            failed: None,
        };
        self.nodes[n].slots.insert(partition, Slot::Writing(Box::new(writer)));
    }

    fn writer(&mut self, n: usize, partition: Partition) -> &mut Writer {
        match self.nodes[n].slots.get_mut(&partition) {
            Some(Slot::Writing(writer)) => writer,
            _ => panic!("node {n} writes {partition}"),
        }
    }

    fn input(&mut self, n: usize, partition: Partition, owns: bool) {
        let clock = self.clock(n);
        let now = self.now;
        let choice = self.random.below(10);
        let writer = self.writer(n, partition);
        if let Some(failed) = writer.failed {
            return self.pause_writer(n, partition, failed);
        }
        if writer.core.reign().is_none() {
            if !owns {
                self.nodes[n].slots.remove(&partition);
                return;
            }
            let at_end = writer.core.position() >= writer.tail_end || writer.tail_empty_reads >= TAIL_EMPTY_READS_MAX;
            if at_end && now >= writer.rest_until && writer.core.may_claim() {
                let id = Uuid::from_u128(u128::from(self.random.next()) << 64 | u128::from(self.random.next()));
                let random = self.random.next();
                let writer = self.writer(n, partition);
                writer.claim = Some(Claim { writer: id, at: now });
                return self.give(n, partition, Input::Claim { now: clock, writer: id, random });
            }
            return if choice == 0 {
                self.give(n, partition, Input::Tick { now: clock });
            } else {
                self.read_on(n, partition);
            };
        }
        if !owns && !writer.finishing {
            writer.finishing = true;
            return self.give(n, partition, Input::Finish);
        }
        match choice {
            0 => self.take_handed(n, partition),
            1..=4 => self.take_sourced(n, partition),
            5 => self.give(n, partition, Input::Tick { now: clock }),
            _ => self.read_on(n, partition),
        }
    }

    fn give(&mut self, n: usize, partition: Partition, input: Input) {
        self.tell(|| format!("node {n} gives {partition} {}", input_in_short(&input)));
        let writer = self.writer(n, partition);
        let effects = writer.core.step(input);
        writer.pending.extend(effects);
    }

    fn read_on(&mut self, n: usize, partition: Partition) {
        let clock = self.clock(n);
        let records_max = if self.settling { 1_000 } else { 1 + self.random.below(8) };
        let position = self.writer(n, partition).core.position();
        let records =
            self.log.reader(partition, position).and_then(|mut reader| reader.read(records_max, Duration::ZERO));
        match records {
            Ok(records) if records.is_empty() => self.writer(n, partition).tail_empty_reads += 1,
            Ok(records) => self.give(n, partition, Input::Read { now: clock, records }),
            Err(_) => self.pause_writer(n, partition, "log"),
        }
    }

    fn take_handed(&mut self, n: usize, partition: Partition) {
        let now = self.clock(n);
        let room = self.writer(n, partition).core.room().min(1 + self.random.below(3));
        let queue = self.nodes[n].queues.entry(partition).or_default();
        let handed: Vec<_> = queue.drain(..room.min(queue.len())).collect();
        if handed.is_empty() {
            return;
        }
        let writer = self.writer(n, partition);
        let mut requests = Vec::new();
        for one in handed {
            let ticket = Ticket(writer.next_ticket);
            writer.next_ticket += 1;
            requests.push(Request { ticket: Some(ticket), decoded: one.decoded.clone() });
            writer.tickets.insert(ticket, one);
        }
        self.give(n, partition, Input::Local { now, requests });
    }

    fn take_sourced(&mut self, n: usize, partition: Partition) {
        let now = self.clock(n);
        let more = 2 + self.random.below(6);
        let begin = self.topic[partition.0 as usize].begin();
        let writer = self.writer(n, partition);
        let Some(source) = writer.source else { return };
        if source < begin {
            return self.pause_writer(n, partition, "source");
        }
        let room = writer.core.room().min(more);
        let records = self.topic[partition.0 as usize].from(source, room);
        let Some(last) = records.last() else { return };
        let next = last.offset.next();
        self.writer(n, partition).source = Some(next);
        let records = records.into_iter().map(Into::into).collect();
        self.give(n, partition, Input::Sourced { now, records });
    }

    fn carry_out(&mut self, n: usize, partition: Partition, effect: Effect) {
        self.tell(|| format!("node {n} carries out for {partition} {}", effect_in_short(&effect)));
        match effect {
            Effect::Append(records) => self.append(n, partition, records),
            Effect::Send(letters) => self.send_letters(n, partition, letters),
            Effect::Answer { ticket, value, repeated } => {
                // What was decided before may be known from the views, whose reader can be ahead of the writer's: of one
                // that is deposed and has not read so.
                let known = if repeated { self.nodes[n].disk.covered(partition) } else { Offset(0) };
                let writer = self.writer(n, partition);
                let position = writer.core.position().max(known);
                let handed = writer.tickets.remove(&ticket).expect("a ticket is answered once");
                let way = self.oracle.once.answered(&handed.key, handed.digest, &value, repeated, position);
                self.coverage.hit("way", way);
                if way == "answered with a mismatch" {
                    self.coverage.hit("code", "IdempotentParameterMismatch");
                }
            }
            Effect::Misrouted { ticket, to } => {
                let handed = self.writer(n, partition).tickets.remove(&ticket).expect("a ticket is answered once");
                assert_eq!(to, self.oracle.once.home_of(&handed.key.0), "who decides {:?}", handed.key);
                assert_ne!(to, partition, "it was misrouted");
                self.coverage.hit("way", "misrouted");
            }
            Effect::Return(requests) => {
                self.coverage.hit("way", "handed back");
                let writer = self.writer(n, partition);
                let tickets = requests.into_iter().rev().filter_map(|request| request.ticket);
                let back: Vec<_> = tickets.filter_map(|ticket| writer.tickets.remove(&ticket)).collect();
                let queue = self.nodes[n].queues.entry(partition).or_default();
                for handed in back {
                    queue.push_front(handed);
                }
            }
            Effect::OpenSource { from } => self.open_source(n, partition, from),
            Effect::Rest(pause) => {
                let micros = i64::try_from(pause.as_micros()).expect("seconds");
                self.writer(n, partition).rest_until = self.now.plus_micros(micros);
            }
            Effect::Report(report) => self.report(n, partition, &report),
            Effect::End(end) => self.ended(n, partition, &end),
        }
    }

    fn open_source(&mut self, n: usize, partition: Partition, from: Option<SourceOffset>) {
        let writer = self.writer(n, partition);
        let mut from = from;
        if std::mem::take(&mut writer.begin_anew) {
            writer.core.begin_source_anew();
            from = None;
            self.oracle.lanes[partition.0 as usize].begins_anew = true;
            self.coverage.hit("way", "a recreated topic from its beginning");
        }
        match self.topic[partition.0 as usize].open(from) {
            Ok(at) => {
                if from.is_some_and(|from| at > from.next()) {
                    self.coverage.hit("way", "behind expired commands");
                }
                self.writer(n, partition).source = Some(at);
            }
            Err(end) => self.ended(n, partition, &end),
        }
    }

    fn append(&mut self, n: usize, partition: Partition, records: Vec<NewRecord>) {
        if self.now < self.unreachable_until || self.fault(Fault::AppendRefused) {
            return self.pause_writer(n, partition, "append");
        }
        let unknown = self.fault(Fault::AppendUnknown);
        let some = if unknown { self.random.below(records.len() + 1) } else { records.len() };
        let writer = self.writer(n, partition).id;
        let flights = records.into_iter().take(some).map(|record| Flight { writer, record });
        self.flights[partition.0 as usize].extend(flights);
        if unknown {
            self.pause_writer(n, partition, "append");
        }
    }

    /// One letter at a time: whoever sends them may die between two.
    fn send_letters(&mut self, n: usize, partition: Partition, mut letters: Vec<Letter>) {
        if letters.is_empty() {
            return;
        }
        let letter = letters.remove(0);
        if !letters.is_empty() {
            self.writer(n, partition).pending.push_front(Effect::Send(letters));
        }
        let unknown = self.fault(Fault::LetterUnknown);
        if !unknown || self.random.one_in(2) {
            match letter {
                Letter::Forward { to, key, value } => self.put(to, key, value, true),
                Letter::Dead { from, offset, value, .. } => {
                    let why = self.oracle.once.buried(from, offset, &value);
                    self.coverage.hit("way", &format!("dead letter: {why}"));
                }
            }
        }
        if unknown {
            self.pause_writer(n, partition, "letters");
        }
    }

    fn report(&mut self, n: usize, partition: Partition, report: &Report) {
        let name = format!("{report:?}");
        self.coverage.hit("report", name.split([' ', '{']).next().unwrap_or_default());
        match report {
            Report::TookOver { epoch, resume, .. } => {
                let claim = self.writer(n, partition).claim.expect("it claimed");
                self.oracle.took_over(partition, *epoch, claim.writer, *resume);
                // The log took the opening after the claim; a clock that was off all the time by more than a minute and
                // that delay cannot have passed for right.
                let node = &self.nodes[n];
                let delay = self.now.micros().abs_diff(claim.at.micros());
                let minute = u64::try_from(CLOCK_OFF_MAX.as_micros()).expect("a minute");
                let off = node.clock_off.unsigned_abs();
                assert!(
                    node.clock_since > claim.at || off <= minute + delay,
                    "a clock that is {off} µs off decides (D4)"
                );
            }
            Report::VoidRecords { reason, .. } => {
                let name = format!("{reason:?}");
                self.coverage.hit("void", name.split([' ', '{']).next().unwrap_or_default());
            }
            Report::Panicked { message, .. } => panic!("a defect: {message}"),
            _ => {}
        }
    }

    fn ended(&mut self, n: usize, partition: Partition, end: &End) {
        let name = format!("{end:?}");
        let name = name.split([' ', '{', '(']).next().unwrap_or_default().to_owned();
        match end.then() {
            Then::Leave => {
                self.coverage.hit("end", &name);
                self.nodes[n].slots.remove(&partition);
            }
            Then::TakeOver => self.pause_writer(n, partition, &name),
            Then::Stop => {
                let begin_anew = self.operator_decides(partition, end);
                self.pause(n, partition, &name, begin_anew);
            }
        }
    }

    /// The incarnation is over; the next one begins after a pause.
    fn pause_writer(&mut self, n: usize, partition: Partition, why: &str) {
        self.pause(n, partition, why, false);
    }

    fn pause(&mut self, n: usize, partition: Partition, why: &str, begin_anew: bool) {
        self.coverage.hit("end", why);
        self.tell(|| format!("node {n} ends its incarnation of {partition}: {why}"));
        let pause = self.random.between(5_000, 100_000);
        self.nodes[n].slots.insert(partition, Slot::Pausing { until: self.now.plus_micros(pause), begin_anew });
    }

    /// Folds on. The views must stand where the log does at their position.
    pub fn project(&mut self, n: usize) {
        let every: Vec<Partition> = (0..self.partitions).map(Partition).collect();
        let some = self.random.below(every.len());
        let read = if self.settling || self.random.one_in(4) { &every[..] } else { &every[some..=some] };
        let records_max = if self.settling { 1_000 } else { 1 + self.random.below(12) };
        let full = self.now < self.nodes[n].disk_full_until;
        let Node { projector: Some(projector), disk, .. } = &mut self.nodes[n] else { return };
        match projector.read(&self.log, disk, read, records_max, full) {
            Ok(0) | Err(Stuck::Log) => {}
            Ok(count) => {
                let disk = disk.lock();
                for partition in read {
                    // After a crash the other view may be behind: its own position is the one that the rows are of.
                    let next = disk.ledger().covered(*partition).expect("memory can be read");
                    for (id, history) in &self.oracle.histories {
                        if self.oracle.once.home_of(id) == *partition {
                            super::oracle::views::head(
                                disk.rows(ipam_ledger::views::ledger::LEDGER),
                                id,
                                history,
                                next,
                            );
                        }
                    }
                }
                drop(disk);
                self.tell(|| format!("node {n} folds {count} records of {read:?}"));
            }
            // The views have stopped: somebody makes room and starts the node again.
            Err(Stuck::DiskFull) => self.crash(n),
        }
    }
}

fn input_in_short(input: &Input) -> String {
    match input {
        Input::Read { records, .. } => {
            format!("records {:?}", records.iter().map(|record| record.offset.0).collect::<Vec<_>>())
        }
        Input::Sourced { records, .. } => {
            format!("commands {:?}", records.iter().map(|sourced| sourced.record.offset.0).collect::<Vec<_>>())
        }
        Input::Local { requests, .. } => {
            format!(
                "requests {:?}",
                requests.iter().filter_map(|one| one.ticket).map(|ticket| ticket.0).collect::<Vec<_>>()
            )
        }
        other => format!("{other:?}"),
    }
}

fn effect_in_short(effect: &Effect) -> String {
    match effect {
        Effect::Append(records) => {
            let header = |record: &NewRecord| {
                let header = record.header;
                format!(
                    "{:?} {}.{} of {:?}",
                    header.kind,
                    header.epoch,
                    header.seq,
                    header.source.map(|source| source.0)
                )
            };
            format!("Append {:?}", records.iter().map(header).collect::<Vec<_>>())
        }
        Effect::Send(letters) => {
            let letter = |letter: &Letter| match letter {
                Letter::Forward { to, .. } => format!("forward to {to}"),
                Letter::Dead { offset, reason, .. } => format!("dead letter of {}: {reason}", offset.0),
            };
            format!("Send {:?}", letters.iter().map(letter).collect::<Vec<_>>())
        }
        Effect::Answer { ticket, repeated, value } => {
            format!("Answer {} (repeated: {repeated}) {}", ticket.0, String::from_utf8_lossy(value))
        }
        other => format!("{other:?}"),
    }
}
