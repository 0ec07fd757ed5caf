//! Appends to one partition of `ipam.events` with an idempotent producer of its own.
//!
//! After any failed or unknown delivery the appender is finished: librdkafka would go on with the next record, and
//! the "failed" one may be in the log all the same.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::ToBytes;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::{KafkaConfig, explain, headers, number};
use crate::domain::id::OrganizationId;
use crate::log::record::{NewRecord, Partition};
use crate::log::{AppendError, Appender, RECORD_BYTES_MAX};

/// How long one look for delivery reports waits while the producer's queue is full.
const FULL_QUEUE_WAIT: Duration = Duration::from_millis(2);

/// A producer that counts deliveries and keeps the first failure.
pub(super) struct Courier {
    producer: BaseProducer<Deliveries>,
    config: Arc<KafkaConfig>,
    handed_over: u64,
}

/// What the producer's callbacks leave behind.
#[derive(Default)]
pub(super) struct Deliveries {
    arrived: AtomicU64,
    failure: Mutex<Option<KafkaError>>,
}

impl Deliveries {
    fn fail(&self, error: KafkaError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn failure(&self) -> Option<KafkaError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka producer");
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.fail(error);
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): ()) {
        match delivery {
            Ok(_) => {
                self.arrived.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => self.fail(error.clone()),
        }
    }
}

impl Courier {
    pub(super) fn new(config: &Arc<KafkaConfig>) -> Result<Self, AppendError> {
        let producer = BaseProducer::from_config_and_context(&config.producer(), Deliveries::default());
        let producer = producer.map_err(|error| AppendError::Refused(explain(config, &error)))?;
        Ok(Self { producer, config: Arc::clone(config), handed_over: 0 })
    }

    /// Hands one record over; blocks while too much is under way.
    pub(super) fn send<K, P>(&mut self, record: BaseRecord<'_, K, P>) -> Result<(), AppendError>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let deadline = Instant::now() + self.config.session_timeout;
        let mut record = record;
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.handed_over += 1;
                    return Ok(());
                }
                Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    if Instant::now() > deadline {
                        return Err(self.unknown(&error));
                    }
                    record = back;
                    self.producer.poll(FULL_QUEUE_WAIT);
                    self.failed()?;
                }
                Err((error, _)) => return Err(self.unknown(&error)),
            }
        }
    }

    /// Serves the delivery reports that are there.
    pub(super) fn check(&mut self) -> Result<(), AppendError> {
        loop {
            let before = self.arrived();
            self.producer.poll(Duration::ZERO);
            self.failed()?;
            if self.arrived() == before {
                return Ok(());
            }
        }
    }

    /// Blocks until the brokers have acknowledged everything.
    pub(super) fn settle(&mut self) -> Result<(), AppendError> {
        // Every message is delivered or fails within its time-out; a second one is for a machine that stood still.
        let deadline = Instant::now() + self.config.session_timeout * 2;
        while self.arrived() < self.handed_over {
            self.producer.poll(Duration::from_millis(1));
            self.failed()?;
            if Instant::now() > deadline {
                return Err(AppendError::Unknown("the brokers did not answer in time".to_owned()));
            }
        }
        Ok(())
    }

    fn arrived(&self) -> u64 {
        self.producer.context().arrived.load(Ordering::Relaxed)
    }

    fn failed(&self) -> Result<(), AppendError> {
        self.producer.context().failure().map_or(Ok(()), |error| Err(self.unknown(&error)))
    }

    fn unknown(&self, error: &KafkaError) -> AppendError {
        AppendError::Unknown(explain(&self.config, error))
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").field("config", &self.config).finish_non_exhaustive()
    }
}

pub(super) struct KafkaAppender {
    courier: Courier,
    topic: String,
    partition: Partition,
    finished: Option<String>,
}

impl KafkaAppender {
    pub(super) fn new(config: &Arc<KafkaConfig>, partition: Partition) -> Result<Self, AppendError> {
        Ok(Self { courier: Courier::new(config)?, topic: config.events_topic(), partition, finished: None })
    }

    fn hand_over(&mut self, records: &[NewRecord]) -> Result<(), AppendError> {
        if let Some(large) = records.iter().find(|record| record.value.len() > RECORD_BYTES_MAX) {
            let bytes = large.value.len();
            return Err(AppendError::Refused(format!("a record has {bytes} bytes; at most {RECORD_BYTES_MAX} fit")));
        }
        for record in records {
            let key = record.key.as_ref().map(OrganizationId::as_str);
            let mut message: BaseRecord<'_, str, [u8]> = BaseRecord::to(&self.topic)
                .partition(number(self.partition))
                .payload(&*record.value)
                .headers(headers::write(record.header));
            message.key = key;
            self.courier.send(message)?;
        }
        self.courier.check()
    }

    fn act(&mut self, act: impl FnOnce(&mut Self) -> Result<(), AppendError>) -> Result<(), AppendError> {
        if let Some(reason) = &self.finished {
            return Err(AppendError::Refused(format!("this appender is finished: {reason}")));
        }
        let done = act(self);
        if let Err(error) = &done {
            self.finished = Some(error.to_string());
        }
        done
    }
}

impl Appender for KafkaAppender {
    fn append(&mut self, records: Vec<NewRecord>) -> Result<(), AppendError> {
        self.act(|appender| appender.hand_over(&records))
    }

    fn check(&mut self) -> Result<(), AppendError> {
        self.act(|appender| appender.courier.check())
    }
}
