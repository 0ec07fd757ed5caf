//! Which partitions this process owns: a member of a consumer group that subscribes to `ipam.commands` and reads
//! nothing of it. It hands out ownership only; that a deposed owner does no harm is the epoch's business (design D7).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::{KafkaConfig, explain};
use crate::log::ReadError;
use crate::log::record::Partition;

/// How often the group is served, and how soon a drop is noticed.
const POLL_WAIT: Duration = Duration::from_millis(100);

/// A member learns of a change of the group with its next heartbeat: that adds to the time of a takeover.
const HEARTBEATS_PER_SESSION: u32 = 10;

/// News from the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// These partitions, ascending, and no others are this process's from now on.
    Owned(Vec<Partition>),
    /// The membership has ended and has to be made anew; nothing is owned any more.
    Failed(String),
    /// Another process has joined under this member's name and put it out. To join again would put out the other one.
    Replaced(String),
}

/// A membership. Dropping it leaves the group in an orderly way; a static member keeps its place until the
/// session times out, so that a restart moves nothing.
pub struct Membership {
    changes: Receiver<MembershipChange>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Membership {
    /// Joins. `instance`: a name that is this process's across restarts, or `None` for a member without one.
    ///
    /// # Errors
    /// When librdkafka makes no consumer. Whether a broker answers shows later.
    pub fn join(config: &KafkaConfig, instance: Option<&str>) -> Result<Self, ReadError> {
        let session = config.session_timeout;
        let mut client = config.consumer();
        client
            .set("group.id", config.group())
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session.as_millis().to_string())
            .set("heartbeat.interval.ms", (session / HEARTBEATS_PER_SESSION).as_millis().to_string());
        if let Some(instance) = instance {
            client.set("group.instance.id", instance);
        }
        let failed = |error: KafkaError| ReadError::Unreachable(explain(config, &error));
        let (sender, changes) = crossbeam_channel::unbounded();
        let context = Owner { owned: Mutex::default(), changes: sender };
        let consumer: BaseConsumer<Owner> = BaseConsumer::from_config_and_context(&client, context).map_err(failed)?;
        consumer.subscribe(&[&config.commands_topic()]).map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let serve = Serve { consumer, stop: Arc::clone(&stop), config: config.clone() };
        let thread = thread::Builder::new().name("membership".to_owned()).spawn(move || serve.run());
        let thread = thread.map_err(|error| ReadError::Unreachable(format!("no thread: {error}")))?;
        Ok(Self { changes, stop, thread: Some(thread) })
    }

    /// The news, in order. It closes after [`MembershipChange::Failed`] and [`MembershipChange::Replaced`].
    #[must_use]
    pub fn changes(&self) -> &Receiver<MembershipChange> {
        &self.changes
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").finish_non_exhaustive()
    }
}

struct Serve {
    consumer: BaseConsumer<Owner>,
    stop: Arc<AtomicBool>,
    config: KafkaConfig,
}

impl Serve {
    fn run(self) {
        while !self.stop.load(Ordering::Relaxed) {
            match self.consumer.poll(POLL_WAIT) {
                // The partitions are paused; what slips through is read by the partition's own reader.
                Some(Ok(_)) | None => {}
                Some(Err(error @ KafkaError::MessageConsumptionFatal(code))) => {
                    let text = explain(&self.config, &error);
                    tracing::error!(error = text, "the membership of the group ended");
                    let is_replaced = code == RDKafkaErrorCode::FencedInstanceId;
                    let change = if is_replaced { MembershipChange::Replaced } else { MembershipChange::Failed };
                    self.consumer.context().tell(change(text));
                    return;
                }
                Some(Err(error)) => tracing::warn!(%error, "the membership of the group is held up"),
            }
        }
        // Dropping the consumer leaves the group.
    }
}

/// Keeps account of what is owned.
struct Owner {
    owned: Mutex<BTreeSet<Partition>>,
    changes: Sender<MembershipChange>,
}

impl Owner {
    fn change(&self, list: &TopicPartitionList, is_gain: bool) {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        for element in list.elements() {
            let partition = Partition(u32::try_from(element.partition()).unwrap_or_default());
            if is_gain {
                owned.insert(partition);
            } else {
                owned.remove(&partition);
            }
        }
        let all: Vec<_> = owned.iter().copied().collect();
        tracing::info!(owned = ?all.iter().map(|partition| partition.0).collect::<Vec<_>>(), "partitions owned");
        self.tell(MembershipChange::Owned(all));
    }

    fn tell(&self, change: MembershipChange) {
        // Nobody listens any more when the membership is being dropped.
        let _ = self.changes.send(change);
    }
}

impl ClientContext for Owner {}

impl ConsumerContext for Owner {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let is_gain = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let done = if is_gain {
            // Nothing is to be fetched: at the end, and paused.
            let ended = list.set_all_offsets(rdkafka::Offset::End);
            ended.and_then(|()| consumer.incremental_assign(list)).and_then(|()| consumer.pause(list))
        } else {
            consumer.incremental_unassign(list)
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a change of the group's partitions was not carried out");
        }
        self.change(list, is_gain);
    }
}
