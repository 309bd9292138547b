//! Follows all partitions of a topic on nobody's account: what `weir tail` and tests look through.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use weir_schemas::Micros;

use super::connect::{self, ConnectError, ConnectFault};
use super::decode;
use super::member;
use super::notices::{Notices, Warning};
use super::remedy;
use super::settings::Settings;
use crate::Delivery;
use crate::member::MemberError;
use crate::wire::AvroCodec;

/// How long a question may take.
const CALL: Duration = Duration::from_secs(10);

/// Pause before a question that was not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// New partitions are looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

const MILLISECOND_US: Micros = 1_000;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At what is kept of the log.
    Earliest,
    /// At what comes from now on.
    End,
    /// At the first record appended at or after this time, µs.
    Time(Micros),
}

/// A follower of one topic. Sees committed records only.
pub struct Reader {
    consumer: BaseConsumer<Notices>,
    watcher: BaseConsumer<Notices>,
    notices: Notices,
    topic: String,
    codec: AvroCodec,
    /// For each partition, whether its end was met and nothing came since.
    ended: Vec<bool>,
    looked: Instant,
}

impl Reader {
    /// Begins to follow `topic`.
    ///
    /// # Errors
    /// The brokers could not be worked with, or the topic does not exist.
    pub fn open(settings: &Settings, topic: &str, begin: Begin, patience: Duration) -> Result<Self, ConnectError> {
        let notices = Notices::default();
        let watcher = connect::watcher(settings, &notices, patience)?;
        let failed = |error: &KafkaError| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                ConnectError::new(ConnectFault::Topic, settings, &format!("topic {topic} does not exist"))
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                ConnectError::new(ConnectFault::Authorization, settings, &format!("topic {topic} is not ours to read"))
            }
            _ => connect::error_of(settings, &notices, &format!("read {topic}: {error}")),
        };
        let consumer: BaseConsumer<Notices> = settings
            .follower()
            .create_with_context(notices.clone())
            .map_err(|error| ConnectError::creation(settings, &error))?;
        let count = connect::partition_count(&watcher, topic, patience).map_err(|error| failed(&error))?;
        let list = places_within(&consumer, topic, count, begin, patience).map_err(|error| failed(&error))?;
        consumer.incremental_assign(&list).map_err(|error| failed(&error))?;
        let ended = vec![false; count as usize];
        let (topic, codec) = (topic.to_owned(), AvroCodec::default());
        Ok(Self { consumer, watcher, notices, topic, codec, ended, looked: Instant::now() })
    }

    /// The next record and its partition, waited for up to `wait`; none too as soon as the last partition's end is met.
    ///
    /// # Errors
    /// Environment: the topic may not be read.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<(u32, Delivery)>, MemberError> {
        self.follow_growth()?;
        let deadline = Instant::now() + wait;
        loop {
            match self.consumer.poll(deadline.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => {
                    let partition = message.partition().cast_unsigned();
                    let delivery = decode::delivery_of(&self.topic, &self.codec, &message);
                    self.set_ended(partition, false);
                    return Ok(Some((partition, delivery)));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.set_ended(partition.cast_unsigned(), true);
                    if self.is_at_end() {
                        return Ok(None);
                    }
                }
                // A follower is no member of any group, and needs no permission on one.
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {}
                Some(Err(error)) => {
                    if let Some(error) = remedy::of_poll(&error) {
                        return Err(error);
                    }
                }
                None => {}
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// Whether all that is visible was delivered, as far as is known.
    pub fn is_at_end(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
    }

    /// What the clients met by themselves since the last time, each text once.
    pub fn take_warnings(&self) -> Vec<Warning> {
        connect::serve(&self.watcher);
        self.notices.take_warnings()
    }

    fn set_ended(&mut self, partition: u32, is: bool) {
        if let Some(ended) = self.ended.get_mut(partition as usize) {
            *ended = is;
        }
    }

    /// Follows partitions that the topic did not have before, from their beginning.
    fn follow_growth(&mut self) -> Result<(), MemberError> {
        if self.looked.elapsed() < LOOK_EVERY {
            return Ok(());
        }
        self.looked = Instant::now();
        connect::serve(&self.watcher);
        // Not answered: the next look will be.
        let Ok(count) = member::partition_count(&self.watcher, &self.topic) else { return Ok(()) };
        let known = self.ended.len() as u32;
        if count <= known {
            return Ok(());
        }
        places(&self.consumer, &self.topic, known..count, Begin::Earliest)
            .and_then(|list| self.consumer.incremental_assign(&list))
            .map_err(|error| remedy::of_question(&format!("follow {}", self.topic), &error))?;
        self.ended.resize(count as usize, false);
        Ok(())
    }
}

fn places(
    consumer: &BaseConsumer<Notices>,
    topic: &str,
    partitions: std::ops::Range<u32>,
    begin: Begin,
) -> Result<TopicPartitionList, KafkaError> {
    let offset = match begin {
        Begin::Earliest => Offset::Beginning,
        Begin::End => Offset::End,
        // The question for a time has the time in the offset's place, ms.
        Begin::Time(time) => Offset::Offset(time.div_euclid(MILLISECOND_US).max(0)),
    };
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(topic, partition.cast_signed(), offset)?;
    }
    if !matches!(begin, Begin::Time(_)) {
        return Ok(list);
    }
    let found = consumer.offsets_for_times(list, CALL)?;
    // Some partitions may have answered, and others not.
    for place in found.elements() {
        place.error()?;
    }
    Ok(found)
}

/// The places of all partitions. Brokers that are about to agree on leaders, as they are right after a topic was made, are
/// asked again until `patience` ends.
fn places_within(
    consumer: &BaseConsumer<Notices>,
    topic: &str,
    count: u32,
    begin: Begin,
    patience: Duration,
) -> Result<TopicPartitionList, KafkaError> {
    let deadline = Instant::now() + patience;
    loop {
        let found = places(consumer, topic, 0..count, begin);
        let Err(error) = &found else { return found };
        let is_forbidden = error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed);
        if is_forbidden || Instant::now() >= deadline {
            return found;
        }
        // Nothing is assigned yet: this lets time pass, and hears what the client has to say.
        drop(consumer.poll(ASK_AGAIN));
    }
}
