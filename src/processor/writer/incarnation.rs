//! One incarnation of a writer: from the snapshot to whatever ends it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::ahead::Ahead;
use super::{Handed, Parts, Shared, Status, Topic, report};
use crate::log::record::{Kind, Offset, Partition, SourceOffset};
use crate::log::{AppendError, Appender, CommandSource, Letter, ReadError, Reader};
use crate::processor::core::{Config, Core, Effect, End, Input, Report, Request, Sourced, Then, Ticket, may_begin_at};
use crate::processor::local::Answerer;
use crate::processor::submit::{Answer, SubmitError};

/// Records per read; the reader is asked again at once while there are more.
const READ_RECORDS_MAX: usize = 10_000;
/// How long an idle writer waits for commands before it looks around.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// How long it waits for its own records: on the embedded log they are there, on Kafka commands wait meanwhile.
const READ_BACK_WAIT_LOCAL: Duration = Duration::from_millis(20);
const READ_BACK_WAIT_TOPIC: Duration = Duration::from_millis(1);
/// While taking over: how long one read waits, and how many empty reads in a row mean the end of a log whose last
/// offsets hold no records.
const TAIL_WAIT: Duration = Duration::from_millis(200);
const TAIL_EMPTY_READS_MAX: u32 = 10;

/// Why an incarnation ended.
pub(super) enum Ended {
    Core(End),
    /// The log takes no records.
    NoAppender(AppendError),
    Append(AppendError),
    Letters(AppendError),
    Log(ReadError),
    Source(ReadError),
    /// The system gives no thread to read with.
    NoThread(io::Error),
    /// Asked to leave while it wrote nothing.
    Left,
    Panicked,
}

impl Ended {
    pub(super) const fn then(&self) -> Then {
        match self {
            Self::Core(end) => end.then(),
            Self::Left => Then::Leave,
            Self::Log(ReadError::Unreachable(_))
            // A topic that lost something: opening it anew says what, and what to do.
            | Self::Source(
                ReadError::Unreachable(_) | ReadError::AheadOfLog { .. } | ReadError::Truncated { .. },
            )
            | Self::NoAppender(_)
            | Self::Append(_)
            | Self::Letters(_)
            | Self::NoThread(_)
            | Self::Panicked => Then::TakeOver,
            Self::Log(_) | Self::Source(ReadError::Damaged(_)) => Then::Stop,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(end) => end.fmt(f),
            Self::NoAppender(error) | Self::Append(error) => error.fmt(f),
            Self::Letters(error) => write!(f, "forwards or dead letters: {error}"),
            Self::Log(error) => write!(f, "the events: {error}"),
            Self::Source(error) => write!(f, "the commands: {error}"),
            Self::NoThread(error) => write!(f, "the system gives no thread to read with: {error}"),
            Self::Left => f.write_str("asked to leave"),
            Self::Panicked => f.write_str("a defect in the writer (the panic is in the log)"),
        }
    }
}

pub(super) struct Incarnation<'a> {
    parts: &'a mut Parts,
    shared: &'a Shared,
    backlog: &'a mut VecDeque<Handed>,
    core: Core,
    reader: Box<dyn Reader>,
    appender: Box<dyn Appender>,
    source: Option<Ahead<Sourced>>,
    /// Where the log ended when this began.
    tail_end: Offset,
    tail_empty_reads: u32,
    rest_until: Option<Instant>,
    answers: HashMap<Ticket, Answerer>,
    next_ticket: u64,
    began: Instant,
}

impl<'a> Incarnation<'a> {
    pub(super) fn start(
        parts: &'a mut Parts,
        shared: &'a Shared,
        backlog: &'a mut VecDeque<Handed>,
    ) -> Result<Self, Ended> {
        let partition = parts.config.partition;
        let began = Instant::now();
        let tail_end = parts.log.end(partition).map_err(Ended::Log)?;
        // Before what may take long: a log that takes no records is asked often.
        let appender = parts.log.appender(partition).map_err(Ended::NoAppender)?;
        shared.set(Status::TakingOver);
        let restored = parts.memory.restore(partition);
        let core = Core::new(parts.config, parts.rules.clone(), parts.memory.clone(), restored);
        let reader = parts.log.reader(partition, core.position()).map_err(Ended::Log)?;
        // What the embedded log gives back lies in this process; one more change of thread would only delay answers.
        let reader = if parts.topic.is_some() { events_ahead(reader, partition)? } else { reader };
        Ok(Self {
            parts,
            shared,
            backlog,
            core,
            reader,
            appender,
            source: None,
            tail_end,
            tail_empty_reads: 0,
            rest_until: None,
            answers: HashMap::new(),
            next_ticket: 0,
            began,
        })
    }

    pub(super) fn run(mut self) -> Ended {
        let ended = loop {
            let went = match self.core.reign() {
                None => self.take_over(),
                Some(_) => self.write(),
            };
            if let Err(ended) = went.and_then(|()| self.look_around()) {
                break ended;
            }
        };
        self.parts.metrics.in_flight.store(0, Ordering::Relaxed);
        for (_, answer) in self.answers.drain().collect::<Vec<_>>() {
            // Whoever asked may be gone.
            let _ = answer.send(Err(SubmitError::Unknown(ended.to_string())));
        }
        ended
    }

    /// Reads on; claims the partition at the end of the log.
    fn take_over(&mut self) -> Result<(), Ended> {
        if self.shared.asked_to_leave() || self.shared.gives_way() {
            return Err(Ended::Left);
        }
        let resting = self.rest_until.is_some_and(|until| Instant::now() < until);
        let at_end = self.core.position() >= self.tail_end || self.tail_empty_reads >= TAIL_EMPTY_READS_MAX;
        if at_end && !resting && self.core.may_claim() {
            let (now, random) = (self.parts.clock.now(), Uuid::new_v4().as_u64_pair().0);
            self.step(Input::Claim { now, writer: Uuid::new_v4(), random })?;
        }
        if self.read(TAIL_WAIT)? == 0 {
            self.tail_empty_reads += 1;
        } else {
            self.tail_empty_reads = 0;
        }
        Ok(())
    }

    /// Decides what is ready and reads back what was decided.
    fn write(&mut self) -> Result<(), Ended> {
        let idle = self.core.in_flight() == 0;
        let room = self.core.room();
        let local = self.take_handed(room, idle && self.source.is_none());
        let mut decided = !local.is_empty();
        if decided {
            self.step(Input::Local { now: self.parts.clock.now(), requests: local })?;
        }
        let room = self.core.room();
        if let Some(source) = self.source.as_mut().filter(|_| room > 0) {
            let wait = if idle && !decided { IDLE_WAIT } else { Duration::ZERO };
            let records = source.take(room, wait).map_err(Ended::Source)?;
            if !records.is_empty() {
                decided = true;
                self.step(Input::Sourced { now: self.parts.clock.now(), records })?;
            }
        }
        match (self.core.in_flight(), &self.source) {
            // Nothing of ours to read: a look at what others write is due when there is time.
            (0, _) if decided => {}
            (0, _) => _ = self.read(Duration::ZERO)?,
            (_, None) => _ = self.read(READ_BACK_WAIT_LOCAL)?,
            // More commands may be there already: what was appended comes back meanwhile.
            (_, Some(_)) if decided => _ = self.read(Duration::ZERO)?,
            (_, Some(_)) => _ = self.read(READ_BACK_WAIT_TOPIC)?,
        }
        if room == 0 && self.core.in_flight() == 0 {
            // The memory is behind; it needs time.
            thread::sleep(super::LOOK_EVERY);
        }
        Ok(())
    }

    /// Failed deliveries, time, and the wish to leave.
    fn look_around(&mut self) -> Result<(), Ended> {
        self.appender.check().map_err(Ended::Append)?;
        self.step(Input::Tick { now: self.parts.clock.now() })?;
        self.parts.metrics.in_flight.store(self.core.in_flight() as u64, Ordering::Relaxed);
        self.parts.metrics.add(&self.core.take_tally());
        let all_accepted_is_decided =
            self.backlog.is_empty() && self.parts.queue.as_ref().is_none_or(|queue| queue.receiver.is_empty());
        if self.shared.asked_to_leave() && all_accepted_is_decided && self.core.reign().is_some() {
            self.step(Input::Finish)?;
        }
        Ok(())
    }

    /// Commands handed over in process; with `wait`, waits for the first one.
    fn take_handed(&mut self, room: usize, wait: bool) -> Vec<Request> {
        if room == 0 {
            return Vec::new();
        }
        let mut taken: Vec<Handed> = self.backlog.drain(..room.min(self.backlog.len())).collect();
        if let Some(queue) = &self.parts.queue {
            taken.extend(queue.receiver.try_iter().take(room - taken.len()));
            if taken.is_empty() && wait && !self.shared.asked_to_leave() {
                match queue.receiver.recv_timeout(IDLE_WAIT) {
                    Ok(first) => {
                        taken.push(first);
                        taken.extend(queue.receiver.try_iter().take(room - 1));
                    }
                    Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
                    // Nobody can hand over anything any more.
                    Err(crossbeam_channel::RecvTimeoutError::Disconnected) => thread::sleep(super::LOOK_EVERY),
                }
            }
        } else if wait {
            thread::sleep(super::LOOK_EVERY);
        }
        taken.into_iter().map(|handed| self.request(handed)).collect()
    }

    fn request(&mut self, handed: Handed) -> Request {
        // It has left the queue: the next one may come in.
        drop(handed.place);
        let ticket = handed.answer.map(|answer| {
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            self.answers.insert(ticket, answer);
            ticket
        });
        Request { ticket, decoded: handed.decoded }
    }

    fn read(&mut self, wait: Duration) -> Result<usize, Ended> {
        let records = self.reader.read(READ_RECORDS_MAX, wait).map_err(Ended::Log)?;
        let count = records.len();
        if count > 0 {
            self.step(Input::Read { now: self.parts.clock.now(), records })?;
        }
        Ok(count)
    }

    fn step(&mut self, input: Input) -> Result<(), Ended> {
        let effects = self.core.step(input);
        effects.into_iter().try_for_each(|effect| self.carry_out(effect))
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Ended> {
        match effect {
            Effect::Append(records) => {
                let commands = records.iter().filter(|record| record.header.kind == Kind::Outcome).count();
                if commands > 0 {
                    self.parts.metrics.observe_batch(commands as u64);
                }
                self.appender.append(records).map_err(Ended::Append)?;
            }
            Effect::Answer { ticket, value, repeated } => {
                let partition = self.parts.config.partition;
                self.answer(ticket, Ok(Answer { partition, value, repeated }));
            }
            Effect::Misrouted { ticket, to } => {
                let text = format!("partition {to} decides this organisation's commands");
                self.answer(ticket, Err(SubmitError::Unavailable(text)));
            }
            Effect::Return(requests) => {
                for Request { ticket, decoded } in requests {
                    let answer = ticket.and_then(|ticket| self.answers.remove(&ticket));
                    self.backlog.push_back(Handed { decoded, answer, place: None });
                }
            }
            Effect::Send(letters) => self.send(letters)?,
            Effect::OpenSource { from } => self.open_source(from)?,
            Effect::Rest(pause) => self.rest_until = Some(Instant::now() + pause),
            Effect::Report(told) => self.report(&told),
            Effect::End(end) => return Err(Ended::Core(end)),
        }
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, answer: Result<Answer, SubmitError>) {
        if let Some(waiting) = self.answers.remove(&ticket) {
            // Whoever asked may be gone.
            let _ = waiting.send(answer);
        }
    }

    fn send(&mut self, letters: Vec<Letter>) -> Result<(), Ended> {
        let Some(topic) = &mut self.parts.topic else { return Ok(()) };
        report::letters(self.parts.config.partition, &letters);
        let dead = letters.iter().filter(|letter| matches!(letter, Letter::Dead { .. })).count();
        let metrics = &self.parts.metrics;
        metrics.dead_letters.fetch_add(dead as u64, Ordering::Relaxed);
        metrics.forwarded.fetch_add((letters.len() - dead) as u64, Ordering::Relaxed);
        topic.outbox.send(letters).map_err(Ended::Letters)
    }

    fn open_source(&mut self, from: Option<SourceOffset>) -> Result<(), Ended> {
        let Some(topic) = &mut self.parts.topic else { return Ok(()) };
        let mut from = from;
        if std::mem::take(&mut topic.begin_anew) {
            self.core.begin_source_anew();
            from = None;
        }
        self.source = Some(commands_ahead(open(topic, from)?, &self.parts.config)?);
        Ok(())
    }

    fn report(&mut self, told: &Report) {
        let partition = self.parts.config.partition;
        match told {
            Report::TookOver { epoch, .. } => {
                self.shared.set(Status::Writing { epoch: *epoch });
                self.parts.metrics.takeovers.fetch_add(1, Ordering::Relaxed);
            }
            Report::Acknowledged { decided_at, .. } => {
                let micros = self.parts.clock.now().micros().abs_diff(decided_at.micros());
                self.parts.metrics.observe_append(Duration::from_micros(micros));
            }
            _ => {}
        }
        report::tell(partition, told, self.parts.clock.now(), self.began.elapsed());
    }
}

/// Reads records beside the writer.
fn events_ahead(mut reader: Box<dyn Reader>, partition: Partition) -> Result<Box<dyn Reader>, Ended> {
    let read = move || reader.read(READ_RECORDS_MAX, IDLE_WAIT);
    Ok(Box::new(Ahead::start(format!("events-{partition}"), read).map_err(Ended::NoThread)?))
}

/// Reads and decodes commands beside the writer.
fn commands_ahead(mut source: Box<dyn CommandSource>, config: &Config) -> Result<Ahead<Sourced>, Ended> {
    let records_max = config.limits.batch_commands_max;
    let read = move || Ok(source.read(records_max, IDLE_WAIT)?.into_iter().map(Sourced::from).collect());
    Ahead::start(format!("commands-{}", config.partition), read).map_err(Ended::NoThread)
}

/// Opens the command topic at the last command dealt with, or behind it when that one alone has expired.
fn open(topic: &mut Topic, from: Option<SourceOffset>) -> Result<Box<dyn CommandSource>, Ended> {
    let at = from.unwrap_or_default();
    match (topic.open)(at) {
        Ok(source) => match (from, source.end()) {
            (Some(dealt_with), end) if end <= dealt_with => {
                Err(Ended::Core(End::SourceEnds { offset: dealt_with, end }))
            }
            _ => Ok(source),
        },
        Err(ReadError::Truncated { begin, .. }) => {
            let begin = SourceOffset(begin.0);
            may_begin_at(begin, from, topic.skip_expired).map_err(Ended::Core)?;
            let first_undecided = from.map_or(SourceOffset(0), SourceOffset::next);
            if begin > first_undecided {
                let from = first_undecided.0;
                tracing::error!(from, begin = begin.0, "commands expired undecided; an operator decided to go on");
            }
            (topic.open)(begin).map_err(Ended::Source)
        }
        Err(ReadError::AheadOfLog { end, .. }) => {
            Err(Ended::Core(End::SourceEnds { offset: at, end: SourceOffset(end.0) }))
        }
        Err(error) => Err(Ended::Source(error)),
    }
}
