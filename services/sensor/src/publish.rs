//! From records to messages: partition by source, number, and promise by marks.

use weir_bus::partition::{key_of, partition_of_host};
use weir_bus::{Message, Value};
use weir_schemas::{Flow, Mark, MarkStatus, Micros, Record, Text};

/// Where records go.
#[derive(Clone, Debug)]
pub struct PublishConfig {
    /// Topic, prefix included.
    pub topic: String,
    /// Its partitions, at least 1.
    pub partitions: u32,
    /// IPv6 prefix length that keys are cut to.
    pub ipv6_prefix: u8,
    /// Sensor id.
    pub sensor: Text,
    /// Site name.
    pub site: Text,
    /// Start time of the sensor, µs.
    pub boot: Micros,
}

/// Numbers records and marks per partition.
#[derive(Debug)]
pub struct Publisher {
    config: PublishConfig,
    /// The last number given, by partition.
    sequences: Vec<u64>,
    promised: Micros,
}

impl Publisher {
    /// A publisher that has sent nothing.
    #[must_use]
    pub fn new(config: PublishConfig) -> Self {
        let partitions = config.partitions.max(1);
        Self {
            sequences: vec![0; partitions as usize],
            promised: Micros::MIN,
            config: PublishConfig { partitions, ..config },
        }
    }

    /// The greatest T that a mark has promised.
    #[must_use]
    pub fn promised(&self) -> Micros {
        self.promised
    }

    /// Appends the message of a record.
    pub fn record(&mut self, mut flow: Flow, messages: &mut Vec<Message>) {
        let partition = partition_of_host(&flow.src.host, self.config.ipv6_prefix, self.config.partitions);
        flow.seq = self.next_sequence(partition);
        let key = key_of(&flow.src.host, self.config.ipv6_prefix);
        messages.push(self.message(partition, key, Record::Flow(Box::new(flow))));
    }

    /// Appends a mark for every partition. T never goes back.
    pub fn mark(&mut self, least_unsent: Micros, end: bool, status: MarkStatus, messages: &mut Vec<Message>) {
        self.promised = self.promised.max(least_unsent);
        for partition in 0..self.config.partitions {
            let mark = Mark {
                sensor: self.config.sensor.clone(),
                site: self.config.site.clone(),
                boot: self.config.boot,
                seq: self.next_sequence(partition),
                t: self.promised,
                end,
                status,
            };
            messages.push(self.message(partition, self.config.sensor.to_string(), Record::Mark(Box::new(mark))));
        }
    }

    fn next_sequence(&mut self, partition: u32) -> u64 {
        let sequence = &mut self.sequences[partition as usize];
        *sequence += 1;
        *sequence
    }

    fn message(&self, partition: u32, key: String, record: Record) -> Message {
        Message::new(self.config.topic.clone(), partition, key, Value::Record(record))
    }
}
