//! A lane of its own for each test, and the command called for it.

use std::time::Duration;

use weir_bus::kafka::{Begin, Reader, Settings};
use weir_bus::{Delivery, Topics};
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
}
