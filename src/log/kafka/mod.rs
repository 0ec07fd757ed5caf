//! The log on Kafka: `ipam.events` is the truth, `ipam.commands` is where commands come in, and
//! `ipam.commands.dead-letter` takes what nobody can decide.
//!
//! Nothing here relies on Kafka transactions, on group offsets or on the offsets in delivery reports (they are
//! invented for failed and repeated batches): that a record is in the log is known by reading it back. Clients
//! block and belong on threads of their own; librdkafka runs its own network threads beneath.

mod appender;
mod commands;
mod headers;
mod membership;
mod reader;
mod topics;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfig as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub use self::commands::{CommandProducer, KafkaOutbox};
pub use self::membership::{Membership, MembershipChange};
pub use self::topics::{Problem, TopicsError, check_topics, create_topics};
use super::record::{Offset, Partition, SourceOffset};
use super::{AppendError, Appender, CommandSource, Log, Outbox, ReadError, Reader};

/// How long a request for metadata or offsets may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of records under way in one producer; more block the appender.
const PRODUCER_QUEUE_KIB_MAX: u32 = 32 << 10;
/// The most bytes that one consumer fetches ahead.
const CONSUMER_QUEUE_KIB_MAX: u32 = 16 << 10;
/// The most bytes of a message with key and headers, by librdkafka's count. Above [`super::RECORD_BYTES_MAX`] and
/// below the topics' `max.message.bytes`.
const MESSAGE_BYTES_MAX: u32 = 1_040_000;
/// A batch is closed at this size, so that a big record does not fail its small neighbours at the topic's limit.
const BATCH_BYTES_MAX: u32 = 512 << 10;

/// Where Kafka is, and what its topics are called.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// What the topics' names begin with; `ipam` unless several ledgers share a cluster.
    pub prefix: String,
    /// After how long without a sign of life a processor's partitions go to others. At least 1 s, and within what
    /// the brokers allow (`group.min.session.timeout.ms`). A third of it is how long an append may stay unknown.
    pub session_timeout: Duration,
    /// Further settings for librdkafka, such as for TLS and SASL.
    pub properties: Vec<(String, String)>,
}

impl KafkaConfig {
    #[must_use]
    pub fn new(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            prefix: "ipam".to_owned(),
            session_timeout: Duration::from_secs(10),
            properties: Vec::new(),
        }
    }

    /// The topic of the truth.
    #[must_use]
    pub fn events_topic(&self) -> String {
        format!("{}.events", self.prefix)
    }

    /// The topic where commands come in.
    #[must_use]
    pub fn commands_topic(&self) -> String {
        format!("{}.commands", self.prefix)
    }

    /// The topic for what cannot be decided.
    #[must_use]
    pub fn dead_letter_topic(&self) -> String {
        format!("{}.commands.dead-letter", self.prefix)
    }

    /// The consumer group whose members share the partitions.
    #[must_use]
    pub fn group(&self) -> String {
        format!("{}.processors", self.prefix)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "ipam-ledger")
            .set("allow.auto.create.topics", "false")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.max.ms", "1000");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// A consumer of explicit offsets: it joins no group and commits nothing. `group.id` must be there to poll.
    #[must_use]
    pub fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", format!("{}.readers", self.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_uncommitted")
            .set("check.crcs", "true")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "50")
            .set("queued.max.messages.kbytes", CONSUMER_QUEUE_KIB_MAX.to_string());
        config
    }

    /// An idempotent producer whose deliveries are soon known to have failed.
    #[must_use]
    pub fn producer(&self) -> ClientConfig {
        let message_timeout = self.session_timeout / 3;
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.timeout.ms", message_timeout.as_millis().to_string())
            .set("retry.backoff.ms", "20")
            .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
            .set("batch.size", BATCH_BYTES_MAX.to_string())
            .set("queue.buffering.max.kbytes", PRODUCER_QUEUE_KIB_MAX.to_string());
        config
    }
}

/// The events log on Kafka. Clones are the same log.
#[derive(Clone)]
pub struct KafkaLog {
    config: Arc<KafkaConfig>,
    /// For metadata and offsets only.
    inquirer: Arc<BaseConsumer>,
}

impl KafkaLog {
    /// # Errors
    /// When the settings are not such as librdkafka takes. Whether a broker answers shows at the first question.
    pub fn new(config: KafkaConfig) -> Result<Self, ReadError> {
        let mut client = config.client();
        // Where the log ends is asked with this as well: a foreign open transaction would hide what is behind its begin.
        client.set("enable.auto.commit", "false").set("isolation.level", "read_uncommitted");
        let inquirer = BaseConsumer::from_config(&client).map_err(|error| unreachable(&config, &error))?;
        Ok(Self { config: Arc::new(config), inquirer: Arc::new(inquirer) })
    }

    /// Reads `ipam.commands` from an explicit offset. [`ReadError::Truncated`] when commands from there on expired.
    ///
    /// # Errors
    /// As [`Log::reader`].
    pub fn command_source(
        &self,
        partition: Partition,
        from: SourceOffset,
    ) -> Result<Box<dyn CommandSource>, ReadError> {
        let topic = self.config.commands_topic();
        let raw = reader::RawReader::new(self, topic, partition, Offset(from.0))?;
        Ok(Box::new(commands::KafkaCommandSource::new(raw)))
    }

    /// Where misrouted and undecodable commands go.
    ///
    /// # Errors
    /// When librdkafka makes no producer.
    pub fn outbox(&self) -> Result<Box<dyn Outbox>, AppendError> {
        Ok(Box::new(KafkaOutbox::new(&self.config)?))
    }

    #[must_use]
    pub fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// The number of partitions of a topic.
    fn partitions_of(&self, topic: &str) -> Result<u32, ReadError> {
        let metadata = self.inquirer.fetch_metadata(Some(topic), REQUEST_TIMEOUT);
        let metadata = metadata.map_err(|error| unreachable(&self.config, &error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        let count = found.map_or(0, |found| found.partitions().len());
        if count == 0 {
            return Err(missing(topic));
        }
        Ok(u32::try_from(count).expect("Kafka counts partitions in 32 bits"))
    }

    /// The first offset of a partition and the one behind its last.
    fn watermarks(&self, topic: &str, partition: Partition) -> Result<(Offset, Offset), ReadError> {
        let count = self.partitions_of(topic)?;
        if partition.0 >= count {
            let text = format!("topic {topic} has no partition {partition}; it has {count}");
            return Err(ReadError::Unreachable(text));
        }
        let (low, high) = self
            .inquirer
            .fetch_watermarks(topic, number(partition), REQUEST_TIMEOUT)
            .map_err(|error| unreachable(&self.config, &error))?;
        Ok((offset(low), offset(high)))
    }
}

impl Log for KafkaLog {
    fn partitions(&self) -> Result<u32, ReadError> {
        self.partitions_of(&self.config.events_topic())
    }

    fn end(&self, partition: Partition) -> Result<Offset, ReadError> {
        Ok(self.watermarks(&self.config.events_topic(), partition)?.1)
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn Reader>, ReadError> {
        let raw = reader::RawReader::new(self, self.config.events_topic(), partition, from)?;
        Ok(Box::new(reader::KafkaReader::new(raw)))
    }

    fn appender(&self, partition: Partition) -> Result<Box<dyn Appender>, AppendError> {
        let count = self.partitions().map_err(|error| AppendError::Refused(error.to_string()))?;
        if partition.0 >= count {
            return Err(AppendError::Refused(format!("there is no partition {partition}; there are {count}")));
        }
        Ok(Box::new(appender::KafkaAppender::new(&self.config, partition)?))
    }
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("config", &self.config).finish_non_exhaustive()
    }
}

fn number(partition: Partition) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

fn offset(number: i64) -> Offset {
    Offset(u64::try_from(number).unwrap_or_default())
}

fn unreachable(config: &KafkaConfig, error: &KafkaError) -> ReadError {
    ReadError::Unreachable(explain(config, error))
}

fn missing(topic: &str) -> ReadError {
    ReadError::Unreachable(format!("topic {topic} does not exist; `ipam topics create` makes it"))
}

/// The error, and what to do.
fn explain(config: &KafkaConfig, error: &KafkaError) -> String {
    let bootstrap = &config.bootstrap;
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::Resolve,
        ) => format!("no Kafka broker answers at {bootstrap} ({error}); check the address, and that Kafka runs there"),
        _ => format!("Kafka at {bootstrap} says: {error}"),
    }
}
