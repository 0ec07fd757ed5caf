//! Commands on Kafka: read by the processors, sent by the nodes, passed on when they landed elsewhere.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::config::FromClientConfig as _;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Header as KafkaHeader, Headers as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, FutureProducer, FutureRecord};

use super::appender::Courier;
use super::reader::RawReader;
use super::{KafkaConfig, explain, number};
use crate::domain::id::OrganizationId;
use crate::log::partition::partition_of;
use crate::log::record::{Offset, SourceOffset};
use crate::log::{AppendError, CommandSource, Letter, Outbox, RECORD_BYTES_MAX, ReadError, SourceRecord};

/// Says that a processor put the command here; it is not forwarded again.
const FORWARDED: &str = "ipam-forwarded";
const REASON: &str = "ipam-reason";
const SOURCE_PARTITION: &str = "ipam-source-partition";
const SOURCE_OFFSET: &str = "ipam-source-offset";

/// Reads `ipam.commands`.
pub(super) struct KafkaCommandSource {
    raw: RawReader,
}

impl KafkaCommandSource {
    pub(super) fn new(raw: RawReader) -> Self {
        Self { raw }
    }
}

impl CommandSource for KafkaCommandSource {
    fn read(&mut self, records_max: usize, wait: Duration) -> Result<Vec<SourceRecord>, ReadError> {
        self.raw.read(records_max, wait, source_record)
    }

    fn end(&self) -> SourceOffset {
        SourceOffset(self.raw.end().0)
    }
}

fn source_record(offset: Offset, message: &BorrowedMessage<'_>) -> SourceRecord {
    SourceRecord {
        offset: SourceOffset(offset.0),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().unwrap_or_default().to_vec(),
        forwarded: message.headers().is_some_and(|headers| headers.iter().any(|header| header.key == FORWARDED)),
    }
}

/// Sends misrouted commands where they belong and undecodable ones to the dead-letter topic.
#[derive(Debug)]
pub struct KafkaOutbox {
    config: Arc<KafkaConfig>,
    courier: Courier,
}

impl KafkaOutbox {
    /// # Errors
    /// When librdkafka makes no producer.
    pub fn new(config: &Arc<KafkaConfig>) -> Result<Self, AppendError> {
        Ok(Self { config: Arc::clone(config), courier: Courier::new(config)? })
    }

    fn hand_over(&mut self, letter: &Letter) -> Result<(), AppendError> {
        let topic = match letter {
            Letter::Forward { .. } => self.config.commands_topic(),
            Letter::Dead { .. } => self.config.dead_letter_topic(),
        };
        let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic);
        let headers = match letter {
            Letter::Forward { to, .. } => {
                message = message.partition(number(*to));
                OwnedHeaders::new().insert(KafkaHeader { key: FORWARDED, value: Some("1") })
            }
            Letter::Dead { from, offset, reason, .. } => OwnedHeaders::new()
                .insert(KafkaHeader { key: REASON, value: Some(reason) })
                .insert(KafkaHeader { key: SOURCE_PARTITION, value: Some(&from.to_string()) })
                .insert(KafkaHeader { key: SOURCE_OFFSET, value: Some(&offset.to_string()) }),
        };
        let (Letter::Forward { key, value, .. } | Letter::Dead { key, value, .. }) = letter;
        message.key = key.as_deref();
        self.courier.send(message.payload(value).headers(headers))
    }
}

impl Outbox for KafkaOutbox {
    fn send(&mut self, letters: Vec<Letter>) -> Result<(), AppendError> {
        let sent = letters.iter().try_for_each(|letter| self.hand_over(letter)).and_then(|()| self.courier.settle());
        if sent.is_err() {
            // A failed producer stays failed; the letters are sent again with a new one.
            self.courier = Courier::new(&self.config)?;
        }
        sent
    }
}

/// Sends commands to `ipam.commands`, each to the partition that decides it. Clones share one producer.
#[derive(Clone)]
pub struct CommandProducer {
    producer: FutureProducer,
    config: Arc<KafkaConfig>,
    topic: Arc<str>,
    partitions: u32,
}

impl CommandProducer {
    /// `partitions` is the ledger's number of partitions.
    ///
    /// # Errors
    /// When librdkafka makes no producer.
    pub fn new(config: &KafkaConfig, partitions: u32) -> Result<Self, AppendError> {
        let producer = FutureProducer::from_config(&config.producer());
        let producer = producer.map_err(|error| AppendError::Refused(explain(config, &error)))?;
        let topic = Arc::from(config.commands_topic());
        Ok(Self { producer, config: Arc::new(config.clone()), topic, partitions })
    }

    /// Hands a command over; the future resolves when the brokers have it, or it is unknown whether they do.
    /// Does not block.
    ///
    /// # Errors
    /// [`AppendError::Refused`] when the command is too large or too many are under way: it will not be sent.
    pub fn send(
        &self,
        organization: &OrganizationId,
        command: &[u8],
    ) -> Result<impl Future<Output = Result<(), AppendError>> + Send + use<>, AppendError> {
        if command.len() > RECORD_BYTES_MAX {
            let bytes = command.len();
            return Err(AppendError::Refused(format!("the command has {bytes} bytes; at most {RECORD_BYTES_MAX} fit")));
        }
        let partition = partition_of(organization, self.partitions);
        let record =
            FutureRecord::to(&self.topic).partition(number(partition)).key(organization.as_str()).payload(command);
        let delivery = self.producer.send_result(record).map_err(|(error, _)| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => {
                AppendError::Refused("too many commands are on their way to Kafka; try again later".to_owned())
            }
            _ => AppendError::Refused(explain(&self.config, &error)),
        })?;
        let config = Arc::clone(&self.config);
        Ok(async move {
            match delivery.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err((error, _))) => Err(AppendError::Unknown(explain(&config, &error))),
                Err(_) => Err(AppendError::Unknown("the producer was closed".to_owned())),
            }
        })
    }
}

impl fmt::Debug for CommandProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandProducer").field("topic", &self.topic).finish_non_exhaustive()
    }
}
