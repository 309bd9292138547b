//! Publishes records without transactions, as sensors do: each once and in order per partition, within a bounded queue.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use weir_schemas::schema::Schema;

use super::connect::{self, ConnectError};
use super::notices::{Notices, Warning};
use super::remedy;
use super::settings::Settings;
use super::transactions;
use crate::codec::Codec;
use crate::wire::AvroCodec;
use crate::{Message, Topics, Value};

/// A full queue is looked at again after this.
const FULL_STEP: Duration = Duration::from_millis(5);

/// Environment, unless said otherwise: a record could not be handed over. It is the caller's still.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The queue stayed full: brokers take too long, or are away. The same again may help.
    #[error("publish to {topic}: the queue is full for {seconds} s, brokers do not keep up; waiting may help")]
    Full {
        /// Topic.
        topic: String,
        /// How long it was waited for, s.
        seconds: u64,
    },
    /// The record is too large for the topic, or of a partition that does not exist: another record may pass.
    #[error("publish to {topic}/{partition}: {reason}; this record cannot be published")]
    Record {
        /// Topic.
        topic: String,
        /// Partition.
        partition: u32,
        /// Why not.
        reason: String,
    },
    /// The user may not write there.
    #[error("publish to {topic}: {reason}; grant what the service needs, trying again does not help")]
    Forbidden {
        /// Topic.
        topic: String,
        /// Who refuses what.
        reason: String,
    },
    /// The order of records cannot be kept any more: only a new publisher helps.
    #[error("publish to {topic}: {reason}; restart")]
    Fatal {
        /// Topic.
        topic: String,
        /// Why.
        reason: String,
    },
    /// Records were still under way when the time to wait for them was over.
    #[error("{0} records were not delivered in time")]
    Undelivered(u64),
}

/// What became of the records handed over so far: what is in none of these is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In the log.
    pub delivered: u64,
    /// Given up, by the client's error.
    pub failed: BTreeMap<String, u64>,
    /// Still under way.
    pub in_flight: u64,
}

impl Counts {
    /// All that were given up.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

#[derive(Debug, Default)]
struct Tally {
    delivered: AtomicU64,
    /// Some record was given up because it is not ours to write.
    is_forbidden: AtomicBool,
    failed: Mutex<BTreeMap<String, u64>>,
}

/// Counts deliveries, on the client's own thread.
struct PublisherContext {
    notices: Notices,
    tally: Arc<Tally>,
}

impl ClientContext for PublisherContext {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, text: &str) {
        self.notices.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.notices.error(error, reason);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}
}

impl ProducerContext for PublisherContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, _)) = result else {
            self.tally.delivered.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if error.rdkafka_error_code().is_some_and(remedy::is_forbidden) {
            self.tally.is_forbidden.store(true, Ordering::Relaxed);
        }
        let code = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
        *self.tally.failed.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }
}

/// A publisher.
pub struct Publisher {
    producer: ThreadedProducer<PublisherContext>,
    watcher: BaseConsumer<Notices>,
    notices: Notices,
    tally: Arc<Tally>,
    codec: AvroCodec,
    patience: Duration,
}

impl Publisher {
    /// Connects. A full queue is waited for up to `patience`, as is the connection.
    ///
    /// # Errors
    /// The brokers could not be worked with.
    pub fn open(settings: &Settings, patience: Duration) -> Result<Self, ConnectError> {
        let notices = Notices::default();
        let watcher = connect::watcher(settings, &notices, patience)?;
        let tally = Arc::new(Tally::default());
        let context = PublisherContext { notices: notices.clone(), tally: Arc::clone(&tally) };
        let producer = settings
            .publisher()
            .create_with_context(context)
            .map_err(|error| ConnectError::creation(settings, &error))?;
        Ok(Self { producer, watcher, notices, tally, codec: AvroCodec::default(), patience })
    }

    /// How many partitions `topic` has at present.
    ///
    /// # Errors
    /// Environment: the topic does not exist, or no broker answers.
    pub fn partition_count(&self, topic: &str) -> Result<u32, PublishError> {
        connect::partition_count(&self.watcher, topic, self.patience)
            .map_err(|error| PublishError::Fatal { topic: topic.to_owned(), reason: error.to_string() })
    }

    /// Hands a record over; its delivery shows in [`Publisher::counts`]. Blocks while the queue is full.
    pub fn publish(&self, message: &Message) -> Result<(), PublishError> {
        let encoded;
        let payload = match &message.value {
            Value::Bytes(bytes) => bytes,
            value => {
                encoded = self.codec.encode(value);
                &encoded
            }
        };
        let mut record = BaseRecord::to(&message.topic)
            .partition(message.partition.cast_signed())
            .key(message.key.as_str())
            .payload(payload.as_slice());
        if !message.headers.is_empty() {
            record = record.headers(transactions::owned(&message.headers));
        }
        let Err((mut error, mut refused)) = self.producer.send(record) else { return Ok(()) };
        let deadline = Instant::now() + self.patience;
        while error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
            if Instant::now() >= deadline {
                return Err(PublishError::Full { topic: message.topic.clone(), seconds: self.patience.as_secs() });
            }
            self.producer.poll(FULL_STEP);
            match self.producer.send(refused) {
                Ok(()) => return Ok(()),
                Err(again) => (error, refused) = again,
            }
        }
        Err(self.refusal(message, &error))
    }

    /// Writes each schema to the lane's schemas, where a reader that does not know one looks it up: key = fingerprint in hex.
    /// Waits until they are there: what is written with them comes later.
    ///
    /// # Errors
    /// They are not there after the publisher's patience, or the topic is not ours to write.
    pub fn write_schemas(&self, topics: &Topics, schemas: &[Schema]) -> Result<(), PublishError> {
        let topic = topics.schemas();
        for schema in schemas {
            let value = Value::Bytes(schema.text.as_bytes().to_vec());
            self.publish(&Message::new(&topic, 0, format!("{:016x}", schema.fingerprint), value))?;
        }
        let flushed = self.flush(self.patience);
        if let Some(error) = self.fatal(&topic) {
            return Err(error);
        }
        flushed?;
        match self.counts().failed.first_key_value() {
            None => Ok(()),
            Some((reason, _)) if self.tally.is_forbidden.load(Ordering::Relaxed) => {
                Err(PublishError::Forbidden { topic, reason: reason.clone() })
            }
            Some(_) => Err(PublishError::Undelivered(self.counts().failures())),
        }
    }

    /// Waits until nothing is under way any more.
    ///
    /// # Errors
    /// Something still is after `patience`.
    pub fn flush(&self, patience: Duration) -> Result<(), PublishError> {
        self.producer.flush(patience).map_err(|_| PublishError::Undelivered(self.counts().in_flight))
    }

    /// What became of the records so far.
    pub fn counts(&self) -> Counts {
        Counts {
            delivered: self.tally.delivered.load(Ordering::Relaxed),
            failed: self.tally.failed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            in_flight: u64::try_from(self.producer.in_flight_count()).unwrap_or_default(),
        }
    }

    /// What the client met by itself since the last time, each text once.
    pub fn take_warnings(&self) -> Vec<Warning> {
        connect::serve(&self.watcher);
        self.notices.take_warnings()
    }

    /// Why the client takes no records any more, if it does not.
    fn fatal(&self, topic: &str) -> Option<PublishError> {
        let (code, reason) = self.producer.client().fatal_error()?;
        let topic = topic.to_owned();
        Some(if remedy::is_forbidden(code) {
            PublishError::Forbidden { topic, reason }
        } else {
            PublishError::Fatal { topic, reason }
        })
    }

    fn refusal(&self, message: &Message, error: &KafkaError) -> PublishError {
        let topic = message.topic.clone();
        if let Some(error) = self.fatal(&topic) {
            return error;
        }
        PublishError::Record { topic, partition: message.partition, reason: error.to_string() }
    }
}
