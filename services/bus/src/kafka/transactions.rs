//! One producer's transactions, call by call, none of them longer than seconds.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::{Offset, TopicPartitionList};

use super::connect::{self, ConnectError, ConnectFault};
use super::notices::Notices;
use super::remedy;
use super::settings::Settings;
use crate::codec::Codec;
use crate::member::{MemberError, OffsetCommit, Remedy};
use crate::wire::AvroCodec;
use crate::{Headers, Message, Value};

/// How long one call may take: the caller's patience is longer.
const CALL: Duration = Duration::from_secs(5);

/// Waiting for deliveries in this step costs a commit a few milliseconds; the client's own flush waits in steps of 100. It is
/// slept, not polled: a poll spins through what is left of its time below one millisecond.
const DRAIN_STEP: Duration = Duration::from_millis(1);

/// How long a full queue or messages under way are waited for within one call.
const DRAIN: Duration = Duration::from_secs(2);

/// What was sent before an abort and is still under way is waited for this long: a broker that is away answers nothing.
const DRAIN_ABORT: Duration = Duration::from_millis(200);

/// A call that takes so much longer than it may will not end any more.
const HANG: Duration = Duration::from_secs(15);

/// How long a question to the coordinator may stay without an answer.
const QUESTION: Duration = Duration::from_secs(20);

/// A producer whose transactional id is registered: nobody else's transaction under that id can commit any more.
pub(super) struct Transactions {
    /// Shared with a call that never ends, where there is one.
    producer: Arc<BaseProducer<Notices>>,
    notices: Notices,
    codec: AvroCodec,
}

impl Transactions {
    /// Registers `transactional_id`, which fences its former holder and aborts what that one left open.
    pub(super) fn open(
        settings: &Settings,
        transactional_id: &str,
        notices: &Notices,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        let make = || -> Result<BaseProducer<Notices>, ConnectError> {
            let config = settings.transactional(transactional_id);
            config.create_with_context(notices.clone()).map_err(|error| ConnectError::creation(settings, &error))
        };
        let mut producer = make()?;
        let deadline = Instant::now() + patience;
        loop {
            let Err(error) = producer.init_transactions(CALL) else { break };
            producer.poll(connect::SERVE);
            let code = error.rdkafka_error_code();
            if code == Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) {
                let cause = format!("transactional id {transactional_id}: {error}");
                return Err(ConnectError::new(ConnectFault::Authorization, settings, &cause));
            }
            let is_retriable = matches!(&error, KafkaError::Transaction(error) if error.is_retriable());
            let is_starting = code.is_some_and(connect::is_starting);
            if !(is_retriable || is_starting) || Instant::now() >= deadline {
                let text = error.to_string();
                return Err(if is_starting {
                    ConnectError::new(ConnectFault::Starting, settings, &text)
                } else {
                    connect::error_of(settings, notices, &text)
                });
            }
            // Not at once again: the coordinator may need a moment to load.
            producer.poll(Duration::from_millis(100));
            if !is_retriable {
                // The client takes the same call again only after what it holds for retriable itself.
                producer = make()?;
            }
        }
        Ok(Self { producer: Arc::new(producer), notices: notices.clone(), codec: AvroCodec::default() })
    }

    /// Serves what the producer has to say, for all of `duration`.
    pub(super) fn serve(&self, duration: Duration) {
        self.producer.poll(duration);
    }

    pub(super) fn begin(&self) -> Result<(), MemberError> {
        self.producer.begin_transaction().map_err(|error| self.error("begin a transaction", &error))
    }

    pub(super) fn send(&self, message: &Message) -> Result<(), MemberError> {
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
            record = record.headers(owned(&message.headers));
        }
        let deadline = Instant::now() + DRAIN;
        loop {
            let Err((error, refused)) = self.producer.send(record) else { return Ok(()) };
            let code = error.rdkafka_error_code();
            if code != Some(RDKafkaErrorCode::QueueFull) {
                return Err(self.send_error(message, &error));
            }
            if Instant::now() >= deadline {
                return Err(MemberError::retry("the producer's queue is full: brokers take too long"));
            }
            self.producer.poll(DRAIN_STEP);
            record = refused;
        }
    }

    pub(super) fn send_offsets(
        &self,
        topic: &str,
        offsets: &[OffsetCommit],
        member: ConsumerGroupMetadata,
    ) -> Result<(), MemberError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for commit in offsets {
            let mut element = list.add_partition(topic, commit.partition.cast_signed());
            element.set_metadata(&commit.metadata);
            element
                .set_offset(Offset::Offset(commit.offset))
                .map_err(|error| MemberError::restart(format!("offset {} is none: {error}", commit.offset)))?;
        }
        // On a thread of its own, left behind where it hangs: the call forgets its time while it waits for a coordinator that
        // went away (librdkafka #5456, #5511).
        let (answered, answer) = mpsc::channel();
        let producer = Arc::clone(&self.producer);
        std::thread::spawn(move || {
            // Nobody may be waiting any more.
            let _ = answered.send(producer.send_offsets_to_transaction(&list, &member, CALL));
        });
        match answer.recv_timeout(HANG) {
            Ok(answer) => answer.map_err(|error| self.error("send offsets to the transaction", &error)),
            Err(_) => Err(MemberError::restart("send offsets to the transaction: the client hangs")),
        }
    }

    pub(super) fn commit(&self) -> Result<(), MemberError> {
        if !self.drain(DRAIN) {
            let count = self.producer.in_flight_count();
            return Err(MemberError::retry(format!("commit: {count} messages are still under way")));
        }
        self.producer.commit_transaction(CALL).map_err(|error| self.error("commit", &error))
    }

    pub(super) fn abort(&self) -> Result<(), MemberError> {
        // Deliveries are events, which the client's own wait inside the abort does not serve.
        self.producer.purge(PurgeConfig::default().queue());
        self.drain(DRAIN_ABORT);
        self.producer.abort_transaction(CALL).map_err(|error| self.error("abort", &error))
    }

    /// Asks whether the transactional id is still this producer's, by a transaction that is given up whatever the answer: the
    /// coordinator refuses it to all but the last who registered, before it asks the group.
    ///
    /// # Errors
    /// [`Remedy::Leave`]: it is another's. [`Remedy::Restart`]: there is no answer, or none that helps.
    pub(super) fn require_ours(
        &self,
        topic: &str,
        member: impl Fn() -> Option<ConsumerGroupMetadata>,
    ) -> Result<(), MemberError> {
        let any = OffsetCommit { partition: 0, offset: 0, metadata: String::new() };
        let deadline = Instant::now() + QUESTION;
        self.begin()?;
        let answer = self.insist(deadline, || match member() {
            Some(member) => self.send_offsets(topic, std::slice::from_ref(&any), member),
            None => Ok(()),
        });
        match answer {
            Err(error) if error.remedy != Remedy::Abort => Err(error),
            Ok(()) | Err(_) => self.insist(deadline, || self.abort()),
        }
    }

    /// The same call until it gets through, does not help, or it is too late.
    fn insist(&self, deadline: Instant, call: impl Fn() -> Result<(), MemberError>) -> Result<(), MemberError> {
        loop {
            match call() {
                Err(error) if error.remedy == Remedy::Retry && Instant::now() < deadline => {
                    self.serve(Duration::from_millis(100));
                }
                Err(error) if error.remedy == Remedy::Retry => return Err(MemberError::restart(error.detail)),
                result => return result,
            }
        }
    }

    /// Serves deliveries until none is under way; false where that takes longer than `patience`.
    fn drain(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.producer.in_flight_count() > 0 {
            let before = self.producer.in_flight_count();
            self.producer.poll(Duration::ZERO);
            if self.producer.in_flight_count() < before {
                continue;
            }
            if Instant::now() >= deadline {
                return false;
            }
            // There is no event to wait for: the client's poll spins.
            #[allow(clippy::disallowed_methods)]
            std::thread::sleep(DRAIN_STEP);
        }
        true
    }

    fn send_error(&self, message: &Message, error: &KafkaError) -> MemberError {
        let what = format!("send to {}/{}", message.topic, message.partition);
        // The transaction failed by a message before this one: the client takes no more until it is aborted.
        let remedy = match (self.producer.client().fatal_error(), error.rdkafka_error_code()) {
            (Some(_), _) => return self.error(&what, error),
            (None, Some(RDKafkaErrorCode::State | RDKafkaErrorCode::PurgeQueue)) => Remedy::Abort,
            _ => Remedy::Restart,
        };
        MemberError { remedy, detail: format!("{what}: {error}") }
    }

    /// The error with what the client met meanwhile, and whether the producer can be used at all.
    fn error(&self, what: &str, error: &KafkaError) -> MemberError {
        let mut explained = remedy::of_transaction(what, error);
        if let Some((code, text)) = self.producer.client().fatal_error() {
            let fenced = matches!(
                code,
                RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch
            );
            explained.remedy = if fenced { Remedy::Leave } else { Remedy::Restart };
            explained.detail = format!("{what}: {text}");
        } else if let Some(incident) = self.notices.cause() {
            explained.detail = format!("{} ({})", explained.detail, incident.text);
        }
        explained
    }
}

pub(super) fn owned(headers: &Headers) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(empty, |owned, (key, value)| owned.insert(Header { key, value: Some(value.as_slice()) }))
}
