//! Reads one partition of a topic from an explicit offset, with a consumer of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfig as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, TopicPartitionList};

use super::{KafkaLog, headers, missing, number, offset, unreachable};
use crate::domain::time::Timestamp;
use crate::log::record::{Offset, Partition, Record};
use crate::log::{ReadError, Reader};

/// The most value bytes that one read gathers; one record more than that may exceed it.
const READ_BYTES_MAX: usize = 8 << 20;

/// What [`KafkaReader`] and the command source share.
pub(super) struct RawReader {
    log: KafkaLog,
    topic: String,
    partition: Partition,
    consumer: BaseConsumer,
    next: Offset,
    end: Offset,
}

impl RawReader {
    pub(super) fn new(log: &KafkaLog, topic: String, partition: Partition, from: Offset) -> Result<Self, ReadError> {
        let (begin, end) = log.watermarks(&topic, partition)?;
        check_position(from, (begin, end))?;
        let failed = |error: KafkaError| unreachable(&log.config, &error);
        let consumer = BaseConsumer::from_config(&log.config.consumer()).map_err(failed)?;
        let mut assignment = TopicPartitionList::new();
        let start = rdkafka::Offset::Offset(i64::try_from(from.0).unwrap_or(i64::MAX));
        assignment.add_partition_offset(&topic, number(partition), start).map_err(failed)?;
        consumer.assign(&assignment).map_err(failed)?;
        Ok(Self { log: log.clone(), topic, partition, consumer, next: from, end })
    }

    /// The offset behind the last record that the partition had when reading began.
    pub(super) const fn end(&self) -> Offset {
        self.end
    }

    /// Gathers what `take` makes of the messages, at most `records_max`; waits up to `wait` for the first.
    pub(super) fn read<T>(
        &mut self,
        records_max: usize,
        wait: Duration,
        take: impl Fn(Offset, &BorrowedMessage<'_>) -> T,
    ) -> Result<Vec<T>, ReadError> {
        let deadline = Instant::now().checked_add(wait);
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < records_max && bytes < READ_BYTES_MAX {
            let left = if taken.is_empty() {
                deadline.map_or(wait, |deadline| deadline.saturating_duration_since(Instant::now()))
            } else {
                Duration::ZERO
            };
            match self.consumer.poll(left) {
                Some(Ok(message)) => {
                    let at = offset(message.offset());
                    if at < self.next {
                        continue;
                    }
                    self.next = at.next();
                    bytes += message.payload_len();
                    taken.push(take(at, &message));
                }
                // What was taken is given out first; the error comes again.
                Some(Err(_)) if !taken.is_empty() => break,
                Some(Err(error)) => self.judge(&error)?,
                None if left.is_zero() => break,
                None => {}
            }
        }
        Ok(taken)
    }

    /// Which errors end the reading. librdkafka mends lost connections by itself and only tells of them.
    fn judge(&self, error: &KafkaError) -> Result<(), ReadError> {
        match error {
            KafkaError::MessageConsumption(code) | KafkaError::MessageConsumptionFatal(code) => match code {
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                    check_position(self.next, self.log.watermarks(&self.topic, self.partition)?)?;
                    Err(ReadError::Damaged(format!(
                        "{} gives no record at offset {} of partition {}: was the topic recreated?",
                        self.topic, self.next, self.partition
                    )))
                }
                RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage => Err(ReadError::Damaged(format!(
                    "a record of {} at or behind offset {} of partition {} does not match its checksum; compare the \
                     replicas, and let a sound one lead",
                    self.topic, self.next, self.partition
                ))),
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition => Err(missing(&self.topic)),
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed => {
                    Err(unreachable(&self.log.config, error))
                }
                _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                    Err(unreachable(&self.log.config, error))
                }
                _ => {
                    tracing::warn!(topic = self.topic, partition = %self.partition, %error, "reading is held up");
                    Ok(())
                }
            },
            _ => Err(unreachable(&self.log.config, error)),
        }
    }
}

fn check_position(position: Offset, (begin, end): (Offset, Offset)) -> Result<(), ReadError> {
    if position > end {
        return Err(ReadError::AheadOfLog { position, end });
    }
    if position < begin {
        return Err(ReadError::Truncated { position, begin });
    }
    Ok(())
}

/// Reads `ipam.events`.
pub(super) struct KafkaReader {
    raw: RawReader,
}

impl KafkaReader {
    pub(super) fn new(raw: RawReader) -> Self {
        Self { raw }
    }
}

impl Reader for KafkaReader {
    fn read(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, ReadError> {
        self.raw.read(records_max, wait, record)
    }
}

fn record(offset: Offset, message: &BorrowedMessage<'_>) -> Record {
    let millis = message.timestamp().to_millis().unwrap_or_default();
    Record {
        offset,
        appended_at: Timestamp::default().plus_micros(millis.saturating_mul(1_000)),
        header: message.headers().and_then(headers::read),
        value: Arc::from(message.payload().unwrap_or_default()),
    }
}
