//! What the broker holds: positions of groups, ends of logs, findings, anomalies, and what the tasks counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{Offset, error::KafkaError};
use weir_bus::kafka::{Begin, Reader, Settings};
use weir_bus::{Delivery, Topics, Value};
use weir_engine::Counters;
use weir_schemas::{Finding, Record};

use crate::failure::Failure;

/// How long a question may take.
const CALL: Duration = Duration::from_secs(20);

/// How long a topic may take to be read.
const READ: Duration = Duration::from_mins(2);

/// A finding, and when it was written, µs since 1970 UTC.
pub struct Written {
    pub finding: Finding,
    pub at: i64,
}

/// What is known of a broker.
pub struct Ledger {
    settings: Settings,
}

impl Ledger {
    pub fn new(bootstrap: &str) -> Self {
        Self { settings: Settings::plain(bootstrap, "weir-chaos") }
    }

    /// Whether a group has read all that its topic holds, and no transaction stands open in it.
    pub fn is_read(&self, group: &str, topic: &str) -> Result<bool, Failure> {
        let ends = self.ends(topic, "read_uncommitted")?;
        if self.ends(topic, "read_committed")? != ends {
            return Ok(false);
        }
        let committed = self.committed(group, topic, ends.len())?;
        // A log's end counts the marks of transactions, which no reader sees: what is behind the commit must be only those.
        let behind: Vec<u32> = (0..ends.len() as u32)
            .filter(|partition| committed.get(partition).copied().unwrap_or(0) < ends[*partition as usize])
            .collect();
        if behind.is_empty() {
            return Ok(true);
        }
        let mut last = BTreeMap::new();
        for (partition, delivery) in self.read(topic)? {
            last.insert(partition, delivery.offset);
        }
        let is_read = |partition: &u32| {
            last.get(partition).is_none_or(|last| committed.get(partition).is_some_and(|committed| committed > last))
        };
        Ok(behind.iter().all(is_read))
    }

    /// Records in each partition.
    pub fn sizes(&self, topic: &str) -> Result<BTreeMap<u32, u64>, Failure> {
        let mut sizes = BTreeMap::new();
        for (partition, _) in self.read(topic)? {
            *sizes.entry(partition).or_default() += 1;
        }
        Ok(sizes)
    }

    /// Addresses that began a conversation.
    pub fn sources(&self, topics: &Topics) -> Result<usize, Failure> {
        let mut sources = BTreeSet::new();
        for (_, delivery) in self.read(&topics.flows())? {
            if let Value::Record(Record::Flow(flow)) = delivery.value {
                sources.insert(flow.src.host.to_string());
            }
        }
        Ok(sources.len())
    }

    /// All findings, or anomalies, of a topic, in the order of each partition.
    pub fn findings(&self, topic: &str) -> Result<Vec<Written>, Failure> {
        let mut findings = Vec::new();
        for (partition, delivery) in self.read(topic)? {
            let at = delivery.append_time;
            match delivery.value {
                Value::Finding(finding) | Value::Anomaly(finding) => findings.push(Written { finding: *finding, at }),
                _ => {
                    let offset = delivery.offset;
                    return Err(Failure::Environment(format!("{topic}/{partition} holds no finding at {offset}")));
                }
            }
        }
        Ok(findings)
    }

    /// What the newest head of each state partition has counted.
    pub fn counters(&self, topic: &str) -> Result<BTreeMap<u32, Counters>, Failure> {
        let mut counters = BTreeMap::new();
        for (partition, delivery) in self.read(topic)? {
            let Value::State(entry) = delivery.value else { continue };
            if entry.table == "head" {
                let counted = weir_engine::task::counters_of(&entry);
                counters.insert(partition, counted.map_err(|error| Failure::Environment(error.to_string()))?);
            }
        }
        Ok(counters)
    }

    /// All that is committed in a topic.
    fn read(&self, topic: &str) -> Result<Vec<(u32, Delivery)>, Failure> {
        let failed = Failure::of(&format!("read {topic}"));
        let mut reader =
            Reader::open(&self.settings, topic, Begin::Earliest, CALL).map_err(|error| failed(error.to_string()))?;
        let deadline = Instant::now() + READ;
        let mut deliveries = Vec::new();
        while !reader.is_at_end() {
            deliveries.extend(reader.poll(CALL).map_err(|error| failed(error.to_string()))?);
            if Instant::now() > deadline {
                return Err(failed(format!("not at its end after {} s", READ.as_secs())));
            }
        }
        Ok(deliveries)
    }

    /// One past the last offset of each partition, for readers of this isolation.
    fn ends(&self, topic: &str, isolation: &str) -> Result<Vec<i64>, Failure> {
        let failed = |error: KafkaError| Failure::of(&format!("look at {topic}"))(error.to_string());
        let consumer = self.consumer("weir-chaos", isolation).map_err(failed)?;
        let metadata = consumer.fetch_metadata(Some(topic), CALL).map_err(failed)?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let end = |partition: usize| consumer.fetch_watermarks(topic, partition as i32, CALL).map(|(_, end)| end);
        (0..count).map(end).collect::<Result<_, _>>().map_err(failed)
    }

    fn committed(&self, group: &str, topic: &str, partitions: usize) -> Result<BTreeMap<u32, i64>, Failure> {
        let failed = |error: KafkaError| Failure::of(&format!("ask for the commits of {group}"))(error.to_string());
        let consumer = self.consumer(group, "read_committed").map_err(failed)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions as i32 - 1);
        let found = consumer.committed_offsets(list, CALL).map_err(failed)?;
        let committed = |offset: Offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
        Ok(found
            .elements()
            .iter()
            .filter_map(|element| Some((element.partition().cast_unsigned(), committed(element.offset())?)))
            .collect())
    }

    fn consumer(&self, group: &str, isolation: &str) -> Result<BaseConsumer, KafkaError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.settings.bootstrap);
        config.set("group.id", group).set("isolation.level", isolation).set("enable.auto.commit", "false");
        config.create()
    }
}
