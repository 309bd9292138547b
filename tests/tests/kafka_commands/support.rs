//! Lanes of topics, and the command called for them.

use std::sync::OnceLock;
use std::time::Duration;

use weir_bus::kafka::{Begin, Reader, Settings};
use weir_bus::{Delivery, Topics, Value};
use weir_schemas::Record;
use weir_tests::broker;

use crate::weir::{Finished, weir};

/// Longer than any broker takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Topics that no other test uses, on the shared broker.
pub struct Lane {
    pub topics: Topics,
    pub settings: Settings,
}

impl Lane {
    /// A lane without topics.
    pub fn empty(test: &str) -> Self {
        let settings = Settings::plain(broker::shared().bootstrap(), "weir-test");
        Self { topics: broker::topics(test), settings }
    }

    /// A lane with all topics, as for development.
    pub fn new(test: &str) -> Self {
        let lane = Self::empty(test);
        let created = lane.weir(&["topics", "create", "--dev", "--replication", "1"]);
        assert_eq!(created.status, Some(0), "{created:?}");
        lane
    }

    /// One lane for all tests that tell their sensors apart by name: topics are dear to a small broker.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Lane> = OnceLock::new();
        SHARED.get_or_init(|| Self::new("sensors"))
    }

    /// The flags that make the command use this lane.
    pub fn flags(&self) -> [String; 4] {
        let bootstrap = format!("kafka.bootstrap={}", self.settings.bootstrap);
        ["--set".to_owned(), bootstrap, "--set".to_owned(), format!("topics.prefix={}", self.topics.prefix)]
    }

    /// Runs the command in this lane.
    pub fn weir(&self, arguments: &[&str]) -> Finished {
        let flags = self.flags();
        weir(&arguments.iter().copied().chain(flags.iter().map(String::as_str)).collect::<Vec<_>>())
    }

    /// All that a topic holds, with its partitions.
    pub fn read(&self, topic: &str) -> Vec<(u32, Delivery)> {
        let mut reader = Reader::open(&self.settings, topic, Begin::Earliest, PATIENCE).unwrap();
        let mut read = Vec::new();
        while !reader.is_at_end() {
            read.extend(reader.poll(PATIENCE).unwrap());
        }
        read
    }

    /// The records and marks of one sensor, with their partitions.
    pub fn read_of(&self, sensor: &str) -> Vec<(u32, Delivery)> {
        let mut read = self.read(&self.topics.flows());
        read.retain(|(_, delivery)| match &delivery.value {
            Value::Record(Record::Flow(flow)) => *flow.sensor == *sensor,
            Value::Record(Record::Mark(mark)) => *mark.sensor == *sensor,
            other => panic!("{other:?}"),
        });
        read
    }
}
