//! What the detector's tests share: records on a bus as a sensor publishes them, and a detector run over it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use weir_bus::local::{LocalBus, Retention};
use weir_bus::topic::Topics;
use weir_bus::wire::AvroCodec;
use weir_bus::{Batch, Bus, BusError, Delivery, Message, Value, key_of, partition_of_host};
use weir_detector::{DetectorConfig, DetectorError, DetectorService};
use weir_engine::{Counters, EngineConfig, Profile};
use weir_schemas::{Finding, Flow, Mark, MarkStatus, Micros, Record, SECOND_US};

/// How a run is laid out. None of it may change what is found.
#[derive(Clone, Debug)]
pub struct Layout {
    pub partitions: u32,
    pub partials: u32,
    /// Messages appended before the detector takes its turn.
    pub chunk: usize,
    /// Records the detector reads per partition and step.
    pub batch: usize,
    pub encode: bool,
    pub profile: &'static str,
    pub engine: EngineConfig,
}

impl Layout {
    pub fn of(partitions: u32, partials: u32) -> Self {
        let engine = EngineConfig::default();
        Self { partitions, partials, chunk: 2_000, batch: 4_096, encode: false, profile: "default", engine }
    }

    fn config(&self) -> DetectorConfig {
        let profile = Arc::new(Profile::named(self.profile, None).unwrap());
        DetectorConfig {
            batch: self.batch,
            engine: self.engine.clone(),
            ..DetectorConfig::new(Topics::default(), profile)
        }
    }

    fn bus(&self) -> LocalBus {
        let mut bus = if self.encode { LocalBus::with_codec(Box::<AvroCodec>::default()) } else { LocalBus::new() };
        let topics = Topics::default();
        let sizes = [
            (topics.flows(), self.partitions),
            (topics.state_source(), self.partitions),
            (topics.partials(), self.partials),
            (topics.state_site(), self.partials),
            (topics.findings(), 1),
            (topics.dead(), 1),
        ];
        for (topic, partitions) in sizes {
            bus.create(&topic, partitions, Retention::All).unwrap();
        }
        bus
    }
}

/// What a run published and counted.
#[derive(Debug)]
pub struct Ran {
    /// Canonical findings as text, sorted.
    pub findings: Vec<String>,
    /// The same, as they are.
    pub raw: Vec<Finding>,
    pub source: Counters,
    pub site: Counters,
    /// Keys of dead letters, sorted.
    pub dead: Vec<String>,
}

/// What a sensor publishes of these flows: sorted by time, numbered per partition, a mark each second to every partition.
pub fn published(mut flows: Vec<Flow>, partitions: u32) -> Vec<Message> {
    flows.sort_by_key(|flow| (flow.event_time, flow.flow_id));
    let topic = Topics::default().flows();
    let mut seqs = vec![0_u64; partitions as usize];
    let mut messages = Vec::new();
    let mark_all = |t: Micros, end: bool, seqs: &mut Vec<u64>, messages: &mut Vec<Message>| {
        for partition in 0..partitions {
            let seq = &mut seqs[partition as usize];
            *seq += 1;
            let (sensor, site, status) = ("s1".into(), "lab".into(), MarkStatus::default());
            let mark = Mark { sensor, site, boot: 1, seq: *seq, t, end, status };
            let value = Value::Record(Record::Mark(Box::new(mark)));
            messages.push(Message::new(topic.clone(), partition, "s1", value));
        }
    };
    let mut next_mark = flows[0].event_time;
    let last = flows[flows.len() - 1].event_time;
    for mut flow in flows {
        while next_mark <= flow.event_time {
            mark_all(next_mark, false, &mut seqs, &mut messages);
            next_mark += SECOND_US;
        }
        let partition = partition_of_host(&flow.src.host, 64, partitions);
        seqs[partition as usize] += 1;
        flow.seq = seqs[partition as usize];
        let key = key_of(&flow.src.host, 64);
        let value = Value::Record(Record::Flow(Box::new(flow)));
        messages.push(Message::new(topic.clone(), partition, key, value));
    }
    mark_all(last + 1, true, &mut seqs, &mut messages);
    messages
}

/// A bus whose appends fail when they are told to.
struct Failing {
    bus: LocalBus,
    appends: usize,
    fail_at: Vec<usize>,
}

impl Bus for Failing {
    fn partition_count(&self, topic: &str) -> Result<u32, BusError> {
        self.bus.partition_count(topic)
    }

    fn offsets(&self, topic: &str, partition: u32) -> Result<(i64, i64), BusError> {
        self.bus.offsets(topic, partition)
    }

    fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<Option<(i64, String)>, BusError> {
        self.bus.committed(group, topic, partition)
    }

    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        offset: i64,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<(), BusError> {
        self.bus.read(topic, partition, offset, max, into)
    }

    fn append(&mut self, batch: Batch) -> Result<(), BusError> {
        self.appends += 1;
        if self.fail_at.contains(&self.appends) {
            return Err(BusError::UnknownTopic("the broker went away".to_owned()));
        }
        self.bus.append(batch)
    }
}

/// Runs a detector over the messages; it dies with every append of its own that `fail_at` names, and is restored.
pub fn run_with_failures(layout: &Layout, messages: Vec<Message>, fail_at: Vec<usize>) -> Ran {
    let config = layout.config();
    let mut bus = Failing { bus: layout.bus(), appends: 0, fail_at };
    let mut service = DetectorService::restore(&config, &mut bus).unwrap();
    let mut messages = messages.into_iter().peekable();
    while messages.peek().is_some() {
        let messages = messages.by_ref().take(layout.chunk).collect();
        bus.bus.append(Batch { messages, offsets: Vec::new() }).unwrap();
        loop {
            match service.step(&mut bus) {
                Ok(0) => break,
                Ok(_) => {}
                Err(DetectorError::Bus(_)) => service = DetectorService::restore(&config, &mut bus).unwrap(),
                Err(error) => panic!("{error}"),
            }
        }
    }
    let topics = Topics::default();
    let raw: Vec<Finding> = (all_of(&mut bus.bus, &topics.findings()).into_iter())
        .map(|delivery| match delivery.value {
            Value::Finding(finding) => *finding,
            other => panic!("{other:?} is no finding"),
        })
        .collect();
    let mut findings: Vec<String> = raw.iter().map(canonical_text).collect();
    findings.sort();
    let mut dead: Vec<String> = all_of(&mut bus.bus, &topics.dead()).into_iter().map(|letter| letter.key).collect();
    dead.sort();
    Ran { findings, raw, source: service.source_counters(), site: service.site_counters(), dead }
}

/// Runs a detector over the messages.
pub fn run(layout: &Layout, messages: Vec<Message>) -> Ran {
    run_with_failures(layout, messages, Vec::new())
}

fn all_of(bus: &mut LocalBus, topic: &str) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    let (start, _) = bus.offsets(topic, 0).unwrap();
    bus.read(topic, 0, start, usize::MAX, &mut deliveries).unwrap();
    deliveries
}

/// A finding without its provenance, as text.
pub fn canonical_text(finding: &Finding) -> String {
    weir_schemas::json::canonical(finding)
}
