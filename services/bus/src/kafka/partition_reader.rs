//! Reads one partition from an offset to the end of what is visible, on nobody's account: how state is loaded.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::connect::{self, ConnectError};
use super::decode;
use super::notices::Notices;
use super::remedy;
use super::settings::Settings;
use crate::Delivery;
use crate::member::MemberError;
use crate::wire::AvroCodec;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);

/// Where the reader stands: a call that goes on there needs no new request.
#[derive(Debug, PartialEq)]
struct Place {
    topic: String,
    partition: u32,
    next: i64,
}

/// A reader of committed records.
pub(super) struct PartitionReader {
    consumer: BaseConsumer<Notices>,
    place: Option<Place>,
    codec: AvroCodec,
}

impl PartitionReader {
    /// A reader that uses the permissions of `group`, and is no member of it.
    pub(super) fn open(settings: &Settings, group: &str, notices: &Notices) -> Result<Self, ConnectError> {
        let consumer = settings
            .reader(group)
            .create_with_context(notices.clone())
            .map_err(|error| ConnectError::creation(settings, &error))?;
        Ok(Self { consumer, place: None, codec: AvroCodec::default() })
    }

    /// Appends up to `max` records from `offset` on; true when what is visible now ends there.
    pub(super) fn read(
        &mut self,
        topic: &str,
        partition: u32,
        offset: i64,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<bool, MemberError> {
        let wanted = Place { topic: topic.to_owned(), partition, next: offset };
        if self.place.as_ref() != Some(&wanted) && !self.go_to(wanted)? {
            return Ok(true);
        }
        let before = into.len();
        let ended = self.collect(max, into);
        match ended {
            Ok(true) | Err(_) => self.rest()?,
            Ok(false) => {}
        }
        match ended {
            Err(error) if into.len() == before => Err(error),
            ended => Ok(ended.unwrap_or(false)),
        }
    }

    /// Hands what the client has to say to its notices.
    pub(super) fn serve(&self) {
        if self.place.is_none() {
            connect::serve(&self.consumer);
        }
    }

    /// Begins to fetch at a place; false where nothing is visible from there on.
    fn go_to(&mut self, wanted: Place) -> Result<bool, MemberError> {
        self.rest()?;
        let Place { topic, partition, next } = wanted;
        // Of a reader of committed records the broker says how far those go.
        let (start, visible_end) = self
            .consumer
            .fetch_watermarks(&topic, partition.cast_signed(), CALL)
            .map_err(|error| remedy::of_question(&format!("ask for the ends of {topic}/{partition}"), &error))?;
        if next >= visible_end {
            return Ok(false);
        }
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&topic, partition.cast_signed(), Offset::Offset(next.max(start)))
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| remedy::of_question(&format!("read {topic}/{partition}"), &error))?;
        self.place = Some(Place { topic, partition, next });
        Ok(true)
    }

    /// Fetches nothing: idle readers cost the broker nothing.
    fn rest(&mut self) -> Result<(), MemberError> {
        if self.place.take().is_none() {
            return Ok(());
        }
        self.consumer.unassign().map_err(|error| remedy::of_question("stop reading", &error))?;
        // What was fetched already is of no use, and the news of its end must not be taken for that of another partition.
        connect::serve(&self.consumer);
        Ok(())
    }

    fn collect(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<bool, MemberError> {
        let Some(place) = self.place.as_mut() else { return Ok(true) };
        let full = into.len() + max;
        let deadline = Instant::now() + CALL;
        while into.len() < full {
            match self.consumer.poll(deadline.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) if message.partition() == place.partition.cast_signed() => {
                    if message.offset() < place.next {
                        continue;
                    }
                    place.next = message.offset() + 1;
                    into.push(decode::delivery_of(&place.topic, &self.codec, &message));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) if partition == place.partition.cast_signed() => {
                    return Ok(true);
                }
                Some(Err(error)) => {
                    if let Some(error) = remedy::of_poll(&error) {
                        return Err(error);
                    }
                }
                Some(Ok(_)) | None => {}
            }
            if Instant::now() >= deadline {
                let Place { topic, partition, next } = place;
                return Err(MemberError::retry(format!("read {topic}/{partition} from offset {next}: no answer")));
            }
        }
        Ok(false)
    }
}
