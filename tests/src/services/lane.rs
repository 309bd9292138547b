//! A lane of its own: topics under one prefix, and the command called for it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use weir_bus::kafka::{Begin, Reader, Settings};
use weir_bus::topic::{TOPICS, Topics};
use weir_bus::{Delivery, Value};

use super::{Ended, Operator, PATIENCE, Service, Verdict, accounts_of, canonical_of, until, until_some};

/// Who reads what: each has a group of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Detectors' first, which reads flow records.
    Source,
    /// Detectors' second, which reads partial aggregates.
    Site,
    /// Results, which reads findings.
    Results,
}

/// A lane.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its topics.
    pub topics: Topics,
    /// How the harness reaches the brokers.
    pub settings: Settings,
    binary: PathBuf,
    flags: Vec<String>,
}

impl Lane {
    /// A lane at brokers that ask for nothing, without topics yet; `binary` is the `weir` command.
    pub fn new(binary: &Path, bootstrap: &str, topics: Topics) -> Self {
        let lane = Self {
            settings: Settings::plain(bootstrap, "weir-test"),
            binary: binary.to_owned(),
            flags: Vec::new(),
            topics,
        };
        let prefix = lane.topics.prefix.clone();
        lane.with("kafka.bootstrap", bootstrap).with("topics.prefix", &prefix)
    }

    /// The same lane, with one more setting for every call.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.flags.extend(["--set".to_owned(), format!("{key}={value}")]);
        self
    }

    /// The same lane, with a configuration file for every call.
    #[must_use]
    pub fn configured(mut self, file: &Path) -> Self {
        self.flags.extend(["--config".to_owned(), file.display().to_string()]);
        self
    }

    /// Creates all topics; flow records in `partitions`.
    #[must_use]
    pub fn created(self, partitions: u32) -> Self {
        let topics: Vec<_> = TOPICS
            .iter()
            .map(|spec| {
                let is_flows = matches!(spec.suffix, "flows.v1" | "state.source.v1");
                let count = if is_flows { partitions } else { spec.partitions_development };
                (self.topics.named(spec.suffix), count, spec.settings.to_vec())
            })
            .collect();
        self.operator().create(&topics);
        self
    }

    /// Somebody with a client of their own.
    pub fn operator(&self) -> Operator {
        Operator::at(&self.settings.bootstrap)
    }

    /// A call of the command for this lane.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(&self.binary);
        // Settings of whoever runs the tests must not decide their outcome.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEIR_")) {
            command.env_remove(name);
        }
        command.args(arguments).args(&self.flags);
        command
    }

    /// Starts a service.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Service {
        let name = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
        let mut command = self.command(arguments);
        command.args(["--set", "admin.listen=127.0.0.1:0"]);
        Service::start(&name, command)
    }

    /// Runs the command to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ended {
        self.start(arguments).wait()
    }

    /// Starts a detector that judges what is there already, and waits until it is ready.
    pub fn detector(&self, name: &str) -> Service {
        self.supervised(&self.detector_arguments(name))
    }

    /// The arguments of [`Lane::detector`].
    pub fn detector_arguments(&self, name: &str) -> [String; 5] {
        let instance = format!("detector.instance={name}");
        ["detector", "--set", &instance, "--set", "detector.start=earliest"].map(str::to_owned)
    }

    /// Starts results, and waits until it is ready.
    pub fn results(&self, more: &[&str]) -> Service {
        self.supervised(&[&["results", "--set", "results.instance=r"], more].concat())
    }

    /// Starts a service, again where it says that this may help, until it is ready: as a supervisor would.
    fn supervised<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Service {
        until_some("a service is ready", || {
            let service = self.start(arguments);
            if service.gets_ready() {
                return Some(service);
            }
            let ended = service.wait();
            assert!(matches!(ended.status, Some(69 | 70)), "{ended:?}");
            None
        })
    }

    /// Publishes captures with a sensor, as fast as it goes.
    ///
    /// # Panics
    /// When the sensor does not end well.
    pub fn publish(&self, sensor: &str, captures: &[PathBuf]) {
        let mut arguments = vec![OsStr::new("sensor"), OsStr::new("--pace"), OsStr::new("max")];
        arguments.extend([OsStr::new("--sensor-id"), OsStr::new(sensor)]);
        arguments.extend(captures.iter().map(|capture| capture.as_os_str()));
        let ended = self.run(&arguments);
        assert_eq!(ended.status, Some(0), "{ended:?}");
    }

    /// What `weir analyze` says of the captures, sorted.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn analyze(&self, sensor: &str, captures: &[PathBuf]) -> Vec<Verdict> {
        let mut arguments =
            ["analyze", "--no-progress", "--format", "jsonl", "--severity", "info", "--sensor-id", sensor]
                .map(OsStr::new)
                .to_vec();
        arguments.extend(captures.iter().map(|capture| capture.as_os_str()));
        let ended = self.run(&arguments);
        assert!(matches!(ended.status, Some(0 | 1)), "{ended:?}");
        Verdict::of_lines(&ended.output)
    }

    /// A group of this lane.
    pub fn group(&self, stage: Stage) -> String {
        let lane = self.topics.prefix.trim_end_matches('.');
        match stage {
            Stage::Source => format!("{lane}-detector-source"),
            Stage::Site => format!("{lane}-detector-site"),
            Stage::Results => format!("{lane}-results"),
        }
    }

    /// What a stage reads.
    pub fn input(&self, stage: Stage) -> String {
        match stage {
            Stage::Source => self.topics.flows(),
            Stage::Site => self.topics.partials(),
            Stage::Results => self.topics.findings(),
        }
    }

    /// All that is visible of a topic, with its partitions.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn read(&self, topic: &str) -> Vec<(u32, Delivery)> {
        let mut reader = match Reader::open(&self.settings, topic, Begin::Earliest, PATIENCE) {
            Ok(reader) => reader,
            Err(error) => panic!("{topic}: {error}"),
        };
        let mut read = Vec::new();
        while !reader.is_at_end() {
            match reader.poll(PATIENCE) {
                Ok(next) => read.extend(next),
                Err(error) => panic!("{topic}: {error}"),
            }
        }
        read
    }

    /// The findings in canonical form, sorted, without what results adds.
    pub fn findings(&self) -> Vec<String> {
        let mut findings: Vec<String> = self
            .read(&self.topics.findings())
            .iter()
            .filter_map(|(_, delivery)| match &delivery.value {
                Value::Finding(finding) => Some(canonical_of(finding)),
                _ => None,
            })
            .collect();
        findings.sort();
        findings
    }

    /// The anomalies, sorted; each revision is there once, and none is missing.
    pub fn anomalies(&self) -> Vec<Verdict> {
        accounts_of(&self.read(&self.topics.anomalies()))
    }

    /// Waits until a stage has committed all that is visible of its input now.
    pub fn await_drained(&self, stage: Stage) {
        let topic = self.input(stage);
        let mut ends = BTreeMap::new();
        for (partition, delivery) in self.read(&topic) {
            ends.insert(partition, delivery.offset + 1);
        }
        let Some(count) = ends.keys().next_back().map(|last| last + 1) else { return };
        let positions = self.operator().positions(&self.group(stage), &topic, count);
        until(&format!("{} has taken all of {topic}: {ends:?}", self.group(stage)), || {
            let committed = positions.committed();
            ends.iter().all(|(partition, end)| committed[*partition as usize].is_some_and(|offset| offset >= *end))
        });
    }

    /// Waits until everything published so far is judged, numbered and published.
    pub fn await_verdicts(&self) {
        for stage in [Stage::Source, Stage::Site, Stage::Results] {
            self.await_drained(stage);
        }
    }
}
