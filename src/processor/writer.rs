//! The thread that writes one partition: it carries out what the core wants, and nothing else.
//!
//! Crash-only (design D6): any failed or unknown delivery ends the incarnation; appender and state are
//! dropped and the partition is taken over anew, on the same path as at the first start. It never retries an append.

mod ahead;
mod incarnation;
mod report;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::incarnation::{Ended, Incarnation};
use super::core::{Config, End, Rules, Then};
use super::local::{Handed, Queue};
use super::memory::Memory;
use super::metrics::WriterMetrics;
use super::submit::SubmitError;
use crate::domain::time::Timestamp;
use crate::log::record::{Epoch, SourceOffset};
use crate::log::{CommandSource, Log, Outbox, ReadError};

/// What a writer writes with.
pub struct Parts {
    pub config: Config,
    pub log: Arc<dyn Log>,
    pub memory: Arc<dyn Memory>,
    pub rules: Arc<dyn Rules>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<WriterMetrics>,
    /// Commands from a topic.
    pub topic: Option<Topic>,
    /// Commands from this process.
    pub queue: Option<Queue>,
}

/// The command topic, as one partition's writer sees it.
pub struct Topic {
    pub open: OpenSource,
    pub outbox: Box<dyn Outbox>,
    /// An operator's decision: commands that expired undecided are lost; go on behind them.
    pub skip_expired: bool,
    /// An operator's decision: the topic was recreated; read it from its beginning where it is another one.
    pub recreated: bool,
    /// It is another one, as the last incarnation found.
    begin_anew: bool,
}

impl Topic {
    #[must_use]
    pub fn new(open: OpenSource, outbox: Box<dyn Outbox>) -> Self {
        Self { open, outbox, skip_expired: false, recreated: false, begin_anew: false }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("skip_expired", &self.skip_expired)
            .field("recreated", &self.recreated)
            .finish_non_exhaustive()
    }
}

/// Opens the partition of the command topic at an offset.
pub type OpenSource = Box<dyn FnMut(SourceOffset) -> Result<Box<dyn CommandSource>, ReadError> + Send>;

/// The time of day.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now().into()
    }
}

/// What a writer is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Reads the log and claims the partition; commands wait.
    TakingOver,
    Writing {
        epoch: Epoch,
    },
    /// An incarnation ended; the next one begins after a pause. Commands wait.
    Pausing {
        reason: String,
    },
    /// The log takes no records, and says why; it is asked again and again. Commands are refused meanwhile.
    Refusing {
        reason: String,
    },
    /// An operator has to decide; commands are refused.
    Stopped {
        reason: String,
    },
    /// It was asked to leave, and did.
    Left,
}

/// A running writer. Dropping it asks it to leave, without waiting.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    leave: AtomicBool,
    give_way: AtomicBool,
    status: Mutex<Status>,
}

impl Shared {
    fn asked_to_leave(&self) -> bool {
        self.leave.load(Ordering::Acquire)
    }

    fn gives_way(&self) -> bool {
        self.give_way.load(Ordering::Acquire)
    }

    fn set(&self, status: Status) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

impl Writer {
    /// Starts the thread; it takes the partition over and writes it until it is asked to leave.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(parts: Parts) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            leave: AtomicBool::new(false),
            give_way: AtomicBool::new(false),
            status: Mutex::new(Status::TakingOver),
        });
        let name = format!("writer-{}", parts.config.partition);
        let seat = Seat { parts, shared: Arc::clone(&shared), backlog: VecDeque::new() };
        let thread = thread::Builder::new().name(name).spawn(move || {
            let shared = Arc::clone(&seat.shared);
            if catch_unwind(AssertUnwindSafe(|| seat.run())).is_err() {
                let reason = "its thread was ended by a defect; restart this process".to_owned();
                shared.set(Status::Stopped { reason });
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub fn status(&self) -> Status {
        self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks it to answer what it has accepted and to leave; does not wait for that.
    pub fn ask_to_leave(&self) {
        self.shared.leave.store(true, Ordering::Release);
    }

    /// Whether it gives way: it then writes on until another writer has taken the partition over, or until anything else
    /// ends its reign, and leaves; it takes nothing over any more.
    pub fn give_way(&self, gives_way: bool) {
        self.shared.give_way.store(gives_way, Ordering::Release);
    }

    /// Asks it to leave and waits until it has.
    pub fn stop(mut self) {
        self.ask_to_leave();
        if let Some(thread) = self.thread.take() {
            // Its panics were caught and logged within.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.ask_to_leave();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Pauses between incarnations: the first one, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A reign that lasted this long was no failure to take over.
const STEADY: Duration = Duration::from_mins(1);
/// So many reigns lost to another writer in a row, none of them steady, mean two groups on one ledger.
const DEPOSED_REPORTED: u32 = 3;
/// How often a waiting writer looks whether it was asked to leave.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What outlives an incarnation.
struct Seat {
    parts: Parts,
    shared: Arc<Shared>,
    /// Accepted, and returned undecided by an incarnation that ended.
    backlog: VecDeque<Handed>,
}

impl Seat {
    fn run(mut self) {
        let (mut failures, mut deposed) = (0_u32, 0_u32);
        loop {
            let began = Instant::now();
            let ended = self.incarnation();
            let partition = self.parts.config.partition.0;
            if began.elapsed() >= STEADY {
                (failures, deposed) = (0, 0);
            }
            match self.then(&ended) {
                Then::Leave => break,
                Then::TakeOver | Then::Stop if self.shared.gives_way() => {
                    tracing::info!(partition, reason = %ended, "the writer has given way");
                    break;
                }
                Then::Stop => {
                    tracing::error!(partition, reason = %ended, "the partition stops until an operator decides");
                    self.refuse_until_left(&ended.to_string());
                    break;
                }
                Then::TakeOver => {
                    self.parts.metrics.restarts.fetch_add(1, Ordering::Relaxed);
                    failures += 1;
                    if matches!(ended, Ended::Core(End::Deposed { .. })) {
                        deposed += 1;
                    }
                    let pause = (PAUSE_FIRST * (1 << failures.saturating_sub(1).min(10))).min(PAUSE_MAX);
                    tracing::warn!(
                        partition, failures, deposed, pause_ms = pause.as_millis(), reason = %ended,
                        "the writer's incarnation ended; it takes over anew"
                    );
                    if deposed >= DEPOSED_REPORTED {
                        tracing::error!(partition, deposed, "two groups write one ledger: stop one of them");
                    }
                    let reason = ended.to_string();
                    if matches!(ended, Ended::NoAppender(_)) && self.parts.queue.is_some() {
                        self.shared.set(Status::Refusing { reason: reason.clone() });
                        self.pause(pause, |seat| seat.refuse_waiting(&reason));
                    } else {
                        self.shared.set(Status::Pausing { reason });
                        self.pause(pause, |_| ());
                    }
                }
            }
            if self.shared.asked_to_leave() || self.shared.gives_way() {
                break;
            }
        }
        self.refuse_waiting("the ledger is being stopped");
        self.shared.set(Status::Left);
    }

    /// What follows: where an operator has decided beforehand, the partition does not stop.
    fn then(&mut self, ended: &Ended) -> Then {
        match (&mut self.parts.topic, ended) {
            (Some(topic), Ended::Core(end)) if topic.recreated && end.is_of_another_source() => {
                tracing::error!(reason = %ended, "an operator decided to read the command topic from its beginning");
                topic.begin_anew = true;
                Then::TakeOver
            }
            _ => ended.then(),
        }
    }

    /// Takes over and writes until something ends it.
    fn incarnation(&mut self) -> Ended {
        let run = AssertUnwindSafe(|| match Incarnation::start(&mut self.parts, &self.shared, &mut self.backlog) {
            Ok(incarnation) => incarnation.run(),
            Err(ended) => ended,
        });
        // A defect of the machinery: whatever it was, nothing unacknowledged was answered.
        catch_unwind(run).unwrap_or(Ended::Panicked)
    }

    fn pause(&mut self, pause: Duration, meanwhile: impl Fn(&mut Self)) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.shared.asked_to_leave() {
            meanwhile(self);
            thread::sleep(LOOK_EVERY.min(pause));
        }
    }

    fn refuse_until_left(&mut self, reason: &str) {
        self.shared.set(Status::Stopped { reason: reason.to_owned() });
        while !self.shared.asked_to_leave() && !self.shared.gives_way() {
            self.refuse_waiting(reason);
            match &self.parts.queue {
                Some(queue) => {
                    if let Ok(handed) = queue.receiver.recv_timeout(LOOK_EVERY) {
                        refuse(handed, reason);
                    }
                }
                None => thread::sleep(LOOK_EVERY),
            }
        }
    }

    fn refuse_waiting(&mut self, reason: &str) {
        self.backlog.drain(..).for_each(|handed| refuse(handed, reason));
        if let Some(queue) = &self.parts.queue {
            queue.receiver.try_iter().for_each(|handed| refuse(handed, reason));
        }
    }
}

/// It was never given to a core, so it was not decided and will not be.
fn refuse(handed: Handed, reason: &str) {
    if let Some(answer) = handed.answer {
        // Whoever asked may be gone.
        let _ = answer.send(Err(SubmitError::Unavailable(reason.to_owned())));
    }
}
