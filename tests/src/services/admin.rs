//! What an operator does to topics and groups behind the services' backs.

use std::fmt::Debug;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{PATIENCE, until};

/// A topic to be made: name, partitions, settings.
pub type NewLog = (String, u32, Vec<(&'static str, &'static str)>);

/// Somebody with a client of their own.
#[derive(Clone, Debug)]
pub struct Operator {
    bootstrap: String,
}

impl Operator {
    /// At these brokers.
    pub fn at(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned() }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    fn client(&self) -> AdminClient<DefaultClientContext> {
        done("make an admin client", self.config().create())
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        done("make a consumer", self.config().set("group.id", group).set("enable.auto.commit", "false").create())
    }

    /// Creates topics: name, partitions, settings. Returns when all of them can be used.
    pub fn create(&self, topics: &[NewLog]) {
        let bare = |(name, partitions, settings): &NewLog| (name.clone(), *partitions, settings.clone());
        let owned: Vec<_> = topics.iter().map(bare).collect();
        let new: Vec<NewTopic<'_>> = owned
            .iter()
            .map(|(name, partitions, settings)| {
                let topic = NewTopic::new(name, partitions.cast_signed(), TopicReplication::Fixed(1));
                settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
            })
            .collect();
        let results =
            done("create topics", pollster::block_on(self.client().create_topics(&new, &AdminOptions::new())));
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let watcher = self.consumer("nobody");
        for (name, partitions, _) in &owned {
            until(&format!("{name} is there"), || Self::partitions(&watcher, name) == *partitions);
        }
    }

    fn partitions(watcher: &BaseConsumer, topic: &str) -> u32 {
        let metadata = done("ask for metadata", watcher.fetch_metadata(Some(topic), PATIENCE));
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        found.map_or(0, |found| found.partitions().iter().filter(|partition| partition.leader() >= 0).count() as u32)
    }

    /// Deletes a topic. Returns when it is gone.
    pub fn delete_topic(&self, topic: &str) {
        let results =
            done("delete a topic", pollster::block_on(self.client().delete_topics(&[topic], &AdminOptions::new())));
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let watcher = self.consumer("nobody");
        until(&format!("{topic} is gone"), || Self::partitions(&watcher, topic) == 0);
    }

    /// Deletes a group. Tried again while it has members that are about to leave.
    pub fn delete_group(&self, group: &str) {
        until(&format!("group {group} is deleted"), || {
            let deleted = pollster::block_on(self.client().delete_groups(&[group], &AdminOptions::new()));
            done("delete a group", deleted).iter().all(Result::is_ok)
        });
    }

    /// Sets a group's offset in every partition, without metadata, as Kafka's own tool does.
    pub fn reset_group(&self, group: &str, topic: &str, partitions: u32, offset: i64) {
        let consumer = self.consumer(group);
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            done("name a partition", list.add_partition_offset(topic, partition.cast_signed(), Offset::Offset(offset)));
        }
        // Refused while the group has members that are about to leave.
        until(&format!("the offsets of {group} are set"), || consumer.commit(&list, CommitMode::Sync).is_ok());
    }

    /// The positions of a group in a topic of so many partitions, to be looked at over and over.
    pub fn positions(&self, group: &str, topic: &str, partitions: u32) -> Positions {
        Positions { consumer: self.consumer(group), topic: topic.to_owned(), partitions }
    }

    /// First offset of a partition, and one past its last.
    pub fn bounds(&self, topic: &str, partition: u32) -> (i64, i64) {
        done("ask for bounds", self.consumer("nobody").fetch_watermarks(topic, partition.cast_signed(), PATIENCE))
    }

    /// Lets retention take what is before `offset`.
    pub fn delete_before(&self, topic: &str, partition: u32, offset: i64) {
        let mut list = TopicPartitionList::new();
        done("name a partition", list.add_partition_offset(topic, partition.cast_signed(), Offset::Offset(offset)));
        let deleted = pollster::block_on(self.client().delete_records(&list, &AdminOptions::new()));
        assert!(done("delete records", deleted).elements().iter().all(|element| element.error().is_ok()));
    }

    /// Publishes bytes as they are; none is a tombstone.
    pub fn publish_raw(&self, topic: &str, partition: u32, values: &[Option<&[u8]>]) {
        let producer: BaseProducer = done("make a producer", self.config().create());
        for value in values {
            let record = BaseRecord::<str, [u8]>::to(topic).partition(partition.cast_signed()).key("poison");
            let record = value.iter().fold(record, |record, value| record.payload(value));
            done("publish", producer.send(record).map_err(|(error, _)| error));
        }
        done("publish", producer.flush(PATIENCE));
    }
}

/// A group's positions in a topic.
pub struct Positions {
    consumer: BaseConsumer,
    topic: String,
    partitions: u32,
}

impl Positions {
    /// What the group has committed, by partition; none where it has not, or nobody who knows has answered.
    pub fn committed(&self) -> Vec<Option<i64>> {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition(&self.topic, partition.cast_signed());
        }
        // A coordinator may be on the move: it is asked again.
        let list = self.consumer.committed_offsets(list, PATIENCE).unwrap_or_default();
        let offset = |partition: u32| match list.find_partition(&self.topic, partition.cast_signed())?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        (0..self.partitions).map(offset).collect()
    }
}

fn done<T, E: Debug>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("could not {what}: {error:?}"),
    }
}
