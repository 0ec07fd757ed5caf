//! A node on Kafka: a member of the group that shares the partitions, with full views of all of them.
//!
//! The group only says who writes what; that two writers never both count is the log's affair (design D7).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use crossbeam_channel::RecvTimeoutError;
use uuid::Uuid;

use super::memory::ViewsMemory;
use super::topic::TopicSubmit;
use super::{Node, NodeError, Writers};
use crate::log::Log;
use crate::log::kafka::{CommandProducer, KafkaConfig, KafkaLog, Membership, MembershipChange, check_topics};
use crate::log::partition::partition_of;
use crate::log::record::{LedgerId, Partition};
use crate::processor::core::{Config, Domain, Limits};
use crate::processor::metrics::WriterMetrics;
use crate::processor::writer::{Parts, SystemClock, Topic, Writer};
use crate::views::Views;
use crate::views::ledger::LEDGER;
use crate::views::position::Position;

/// How often the crew looks around when the group has no news.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often Kafka is tried at the start, and the pause between: leaders move while brokers come and go, and each try waits for
/// them, too.
const OPENING_TRIES_MAX: u32 = 3;
const OPENING_PAUSE: Duration = Duration::from_secs(1);
/// How long it waits before it joins again after its membership failed.
const REJOIN_PAUSE: Duration = Duration::from_secs(3);

/// Where Kafka is. Without `--kafka` the log is in the data directory.
#[derive(Args, Clone, Debug)]
pub struct KafkaFlags {
    /// Keep the log on Kafka: its brokers; the log is in the data directory when absent
    #[arg(long, env = "IPAM_KAFKA", value_name = "HOST:PORT[,HOST:PORT]")]
    kafka: Option<String>,
    /// What the topics' names begin with
    #[arg(long, env = "IPAM_TOPIC_PREFIX", value_name = "NAME", default_value = "ipam")]
    topic_prefix: String,
    /// A further setting for the Kafka client, such as for TLS and SASL; may be repeated
    #[arg(long = "kafka-property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
}

impl KafkaFlags {
    /// `None` for the embedded log.
    pub fn config(&self) -> Option<KafkaConfig> {
        let mut config = KafkaConfig::new(self.kafka.as_ref()?);
        config.prefix.clone_from(&self.topic_prefix);
        config.properties.clone_from(&self.properties);
        Some(config)
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is written NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// How this process takes part in the group.
#[derive(Args, Clone, Debug, Default)]
pub struct MemberFlags {
    /// A name that is this process's across restarts: a restart within the session time-out then moves nothing
    #[arg(long, env = "IPAM_MEMBER", value_name = "NAME", requires = "kafka")]
    member: Option<String>,
    /// Commands that expired on the topic before anybody decided them are lost: go on behind them
    #[arg(long, requires = "kafka")]
    skip_expired_commands: bool,
    /// The command topic was recreated: read it from its beginning where it is not the one of before
    #[arg(long, requires = "kafka")]
    recreated_commands: bool,
}

/// Opens a node on Kafka; its views are in `data`.
///
/// # Errors
/// When no broker answers, the topics are wrong, or the views cannot be opened; each says what to do.
pub fn open_kafka(data: &Path, config: &KafkaConfig, member: &MemberFlags) -> Result<Node, NodeError> {
    let mut tries = 1;
    loop {
        match open(data, config, member) {
            Err(error) if error.is_unreachable() && tries < OPENING_TRIES_MAX => {
                tracing::warn!(%error, tries, tries_max = OPENING_TRIES_MAX, "Kafka does not answer; trying again");
                tries += 1;
                thread::sleep(OPENING_PAUSE);
            }
            opened => return opened,
        }
    }
}

fn open(data: &Path, config: &KafkaConfig, member: &MemberFlags) -> Result<Node, NodeError> {
    let problems = check_topics(config).map_err(|error| NodeError::Kafka(error.to_string()))?;
    if !problems.is_empty() {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        return Err(NodeError::Topics(problems.join("\n  ")));
    }
    fs::create_dir_all(data).map_err(|error| NodeError::Directory { path: data.to_owned(), error })?;
    let kafka = KafkaLog::new(config.clone())?;
    let log: Arc<dyn Log> = Arc::new(kafka.clone());
    let partitions = log.partitions()?;
    let producer = CommandProducer::new(config, partitions).map_err(|error| NodeError::Kafka(error.to_string()))?;
    let (views, projector) = Views::open(&data.join("views"), Arc::clone(&log))?;
    let writer_metrics: Vec<_> =
        (0..partitions).map(|partition| (Partition(partition), Arc::<WriterMetrics>::default())).collect();
    let writers = Writers::default();
    let crew = Crew {
        kafka,
        views: views.clone(),
        writers: writers.clone(),
        metrics: writer_metrics.iter().cloned().collect(),
        partitions,
        member: member.clone(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let thread = thread::Builder::new().name("crew".to_owned()).spawn(move || crew.run(&stopping));
    Ok(Node {
        submit: Some(Arc::new(TopicSubmit { producer, views: views.clone() })),
        log,
        views,
        projector: Some(projector),
        writers,
        writer_metrics,
        crew: Some((stop, thread.map_err(NodeError::Thread)?)),
    })
}

/// What follows the end of a membership.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    JoinAgain,
    StayOut,
}

/// Starts and stops writers as the group says.
struct Crew {
    kafka: KafkaLog,
    views: Views,
    writers: Writers,
    metrics: BTreeMap<Partition, Arc<WriterMetrics>>,
    partitions: u32,
    member: MemberFlags,
}

impl Crew {
    fn run(self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            match Membership::join(self.kafka.config(), self.member.member.as_deref()) {
                Ok(membership) if self.follow(&membership, stop) == Then::StayOut => return self.stay_out(),
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "cannot join the group"),
            }
            // A failed membership owns nothing.
            self.writers.keep(&[]);
            if !stop.load(Ordering::Relaxed) {
                thread::sleep(REJOIN_PAUSE);
            }
        }
    }

    /// Two processes of one name would put each other out for ever: the one that came first gives way, and says so.
    fn stay_out(&self) {
        let name = self.member.member.as_deref().unwrap_or_default();
        let reason = format!(
            "another process has joined the group as --member {name}: this one writes nothing any more, but answers \
             queries. Give every process a name of its own, or stop the other one; then restart this one"
        );
        tracing::error!(member = name, reason, "this process was put out of the group");
        self.writers.put_out(reason);
    }

    fn follow(&self, membership: &Membership, stop: &AtomicBool) -> Then {
        let mut owned: Vec<Partition> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            match membership.changes().recv_timeout(LOOK_EVERY) {
                Ok(MembershipChange::Owned(partitions)) => {
                    tracing::info!(partitions = ?partitions.iter().map(|p| p.0).collect::<Vec<_>>(), "the group gave us partitions");
                    self.writers.keep(&partitions);
                    owned = partitions;
                }
                Ok(MembershipChange::Replaced(_)) => return Then::StayOut,
                Ok(MembershipChange::Failed(_)) | Err(RecvTimeoutError::Disconnected) => return Then::JoinAgain,
                Err(RecvTimeoutError::Timeout) => {}
            }
            for partition in &owned {
                self.man(*partition);
            }
        }
        // What was accepted is answered before the partitions go to others.
        self.writers.stop();
        Then::JoinAgain
    }

    /// Starts the writer of an owned partition, unless it runs or its ledger is not known yet.
    fn man(&self, partition: Partition) {
        if self.writers.has(partition) {
            return;
        }
        let Some(ledger) = self.ledger(partition) else { return };
        let kafka = self.kafka.clone();
        let outbox = match self.kafka.outbox() {
            Ok(outbox) => outbox,
            Err(error) => return tracing::error!(%partition, %error, "cannot make a producer"),
        };
        let mut topic = Topic::new(Box::new(move |from| kafka.command_source(partition, from)), outbox);
        topic.skip_expired = self.member.skip_expired_commands;
        topic.recreated = self.member.recreated_commands;
        let started = Writer::start(Parts {
            config: Config { partition, ledger, partitions: self.partitions, partition_of, limits: Limits::default() },
            log: Arc::new(self.kafka.clone()),
            memory: Arc::new(ViewsMemory(self.views.clone())),
            rules: Arc::new(Domain),
            clock: Arc::new(SystemClock),
            metrics: self.metrics.get(&partition).cloned().unwrap_or_default(),
            topic: Some(topic),
            queue: None,
        });
        match started {
            Ok(writer) => self.writers.add(partition, writer),
            Err(error) => tracing::error!(%partition, %error, "no thread for a writer"),
        }
    }

    /// The ledger's id: the one in partition 0, which its first writer chooses. The others wait for it.
    fn ledger(&self, partition: Partition) -> Option<LedgerId> {
        let known = self.views.positions(LEDGER).ok()?.get(&Partition(0)).and_then(Position::ledger);
        known.or_else(|| (partition == Partition(0)).then(Uuid::new_v4))
    }
}
