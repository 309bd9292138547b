//! One part of Weir alone: the sensor into a null bus, the engine over a capture's records, or the detector over the encoded
//! records of the benchmark over Kafka, without Kafka.
#![forbid(unsafe_code)]

#[path = "kafka/population.rs"]
mod population;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use population::{Random, conversation, mark, spoofed};
use weir_bus::partition::DEFAULT_IPV6_PREFIX;
use weir_bus::wire::AvroCodec;
use weir_bus::{Batch, Bus, LocalBus, Message, Retention, Topics, Value, partition_of_host};
use weir_detector::{DetectorConfig, DetectorService};
use weir_engine::{EngineConfig, Profile, SiteTask, SourceTask, StageTask, TaskIdentity};
use weir_schemas::{Micros, PANE_US, Record, SECOND_US};
use weir_sensor::flow::FlowConfig;
use weir_sensor::input::{InputOptions, open};
use weir_sensor::sensor::{FileSensor, SensorConfig};

/// As in `weir` itself: services that take turns hand each other many small records; the system's allocator took an eighth of the engine's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures one part of Weir on one capture.
#[derive(Parser)]
struct Arguments {
    /// Which part.
    part: Part,
    /// The capture, for the sensor and the engine.
    #[arg(required_if_eq_any([("part", "sensor"), ("part", "engine")]))]
    file: Option<PathBuf>,
    /// How often the engine judges the same records, each time from a fresh start.
    #[arg(long, default_value_t = 1)]
    repeat: u32,
    /// The detector's records.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// A source of its own for each of them.
    #[arg(long)]
    spoofed: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// Packets to records, which are dropped.
    Sensor,
    /// Decoded records through both stages, all detectors of the default profile on, with checkpoints.
    Engine,
    /// The records of the benchmark over Kafka, encoded, in 12 partitions of the local bus, through both stages.
    Detector,
}

/// As many packets or records as the services take between commits.
const STEP: usize = 4_096;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let file = arguments.file.unwrap_or_default();
    let measured = match arguments.part {
        Part::Sensor => sensor(file),
        Part::Engine => engine(file, arguments.repeat),
        Part::Detector => detector(arguments.records, arguments.spoofed),
    };
    match measured {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("weir-bench-parts: {error}");
            ExitCode::from(2)
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn file_sensor(file: PathBuf) -> Result<FileSensor, Failure> {
    let config = SensorConfig {
        flow: FlowConfig::default(),
        topic: "weir.flows.v1".to_owned(),
        partitions: 1,
        ipv6_prefix: 64,
        mark_interval: SECOND_US,
    };
    Ok(FileSensor::new(open(&[file], &InputOptions::default())?, config))
}

fn sensor(file: PathBuf) -> Result<String, Failure> {
    let began = Instant::now();
    let mut sensor = file_sensor(file)?;
    let mut records = 0;
    loop {
        let step = sensor.step(STEP);
        records += step.messages.len();
        if step.ended {
            break;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let packets = sensor.input_counters().packets;
    Ok(format!(
        "packets={packets} records={records} seconds={seconds:.4} packets_per_second={:.0}",
        packets as f64 / seconds
    ))
}

fn engine(file: PathBuf, repeat: u32) -> Result<String, Failure> {
    let mut sensor = file_sensor(file)?;
    let mut records: Vec<Record> = Vec::new();
    loop {
        let step = sensor.step(STEP);
        records.extend(step.messages.into_iter().filter_map(|message| match message.value {
            Value::Record(record) => Some(record),
            _ => None,
        }));
        if step.ended {
            break;
        }
    }
    let profile = Arc::new(Profile::named("default", None)?);
    let began = Instant::now();
    let (mut findings, mut partials) = (0, 0);
    for _ in 0..repeat.max(1) {
        (findings, partials) = judge(&records, &profile);
    }
    let seconds = began.elapsed().as_secs_f64();
    let count = records.len() * repeat.max(1) as usize;
    Ok(format!(
        "records={count} partials={partials} findings={findings} seconds={seconds:.4} records_per_second={:.0}",
        count as f64 / seconds
    ))
}

/// Both stages over the records; returns how many findings and partials there were.
fn judge(records: &[Record], profile: &Arc<Profile>) -> (usize, i64) {
    let identity = |topic: &str| TaskIdentity { topic: topic.to_owned(), partition: 0, partition_count: 1 };
    let mut source = SourceTask::new(identity("weir.flows.v1"), EngineConfig::default(), Arc::clone(profile), 0);
    let mut site = SiteTask::new(identity("weir.partials.v1"), EngineConfig::default(), Arc::clone(profile), 0);

    let (mut findings, mut partials, mut state) = (0, 0_i64, 0_i64);
    // Append time of the local bus: the newest event time.
    let mut append_time = Micros::MIN;
    for (batch_number, batch) in records.chunks(STEP).enumerate() {
        for (index, record) in batch.iter().enumerate() {
            append_time = append_time.max(match record {
                Record::Flow(flow) => flow.event_time,
                Record::Mark(mark) => mark.t,
            });
            source.apply((batch_number * STEP + index) as i64, append_time, record);
        }
        let commit = source.checkpoint(state);
        state += commit.state.len() as i64;
        findings += commit.outbox.findings.len();
        for partial in &commit.outbox.partials {
            site.apply(partials, append_time, partial);
            partials += 1;
        }
        findings += site.checkpoint(0).outbox.findings.len();
    }
    (findings, partials)
}

/// As in the benchmark over Kafka: partitions, sources, and minutes of event time for 5 M records.
const PARTITIONS: u32 = 12;
const SOURCES: u32 = 100_000;
const RECORDS_PER_SECOND: u64 = 5_000_000 / 600;

fn detector(records: u64, is_spoofed: bool) -> Result<String, Failure> {
    let topics = Topics::new("weir.");
    let mut bus = LocalBus::with_codec(Box::<AvroCodec>::default());
    let inputs = [topics.flows(), topics.state_source()];
    let others = [topics.partials(), topics.state_site(), topics.findings(), topics.dead()];
    for (topic, partitions) in
        inputs.iter().map(|topic| (topic, PARTITIONS)).chain(others.iter().map(|topic| (topic, 2)))
    {
        bus.create(topic, partitions, Retention::UntilRead)?;
    }
    // A multiple of the pane, so that every run has the same panes.
    let first = 1_000_000 * PANE_US;
    fill(&mut bus, &topics.flows(), records, is_spoofed, first)?;
    let profile = Arc::new(Profile::named("default", None)?);
    // As many at a time as a shard polls.
    let config = DetectorConfig { batch: 256, ..DetectorConfig::new(topics, profile) };
    let mut service = DetectorService::restore(&config, &mut bus)?;
    let began = cpu_seconds()?;
    while service.step(&mut bus)? > 0 {}
    let seconds = cpu_seconds()? - began;
    let counters = service.source_counters();
    let (read, closed) = (counters.read(), counters.panes_closed);
    let findings: u64 = counters.findings.values().chain(service.site_counters().findings.values()).sum();
    Ok(format!(
        "records={read} panes={closed} evicted={} findings={findings} cpu_seconds={seconds:.4} records_per_cpu_second={:.0}",
        counters.evicted,
        read as f64 / seconds
    ))
}

/// Time that this thread has had of a core, which others on the machine change less than the clock's.
fn cpu_seconds() -> Result<f64, Failure> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = statistics.split_whitespace().next().ok_or("no time in schedstat")?;
    Ok(nanoseconds.parse::<f64>()? / 1e9)
}

/// Appends the records, and a mark each second.
fn fill(bus: &mut LocalBus, topic: &str, records: u64, is_spoofed: bool, first: Micros) -> Result<(), Failure> {
    let mut random = Random(1);
    let mut sequences = vec![0_u64; PARTITIONS as usize];
    let mut send = |partition: u32, record: &mut dyn FnMut(u64) -> Record| {
        let sequence = &mut sequences[partition as usize];
        *sequence += 1;
        let message = Message::new(topic, partition, "", Value::Record(record(*sequence)));
        bus.append(Batch { messages: vec![message], offsets: Vec::new() })
    };
    let span = (records * SECOND_US as u64 / RECORDS_PER_SECOND) as Micros;
    let mut next_mark = first;
    for number in 0..records {
        let event_time = first + (number * SECOND_US as u64 / RECORDS_PER_SECOND) as Micros;
        while next_mark <= event_time {
            for partition in 0..PARTITIONS {
                send(partition, &mut |seq| Record::Mark(Box::new(mark(first, seq, next_mark, false))))?;
            }
            next_mark += SECOND_US;
        }
        let flow = if is_spoofed {
            spoofed(number, event_time)
        } else {
            conversation(&mut random, SOURCES, number, event_time, first)
        };
        let partition = partition_of_host(&flow.src.host, DEFAULT_IPV6_PREFIX, PARTITIONS);
        let mut flow = Box::new(flow);
        flow.boot = first;
        send(partition, &mut |seq| {
            flow.seq = seq;
            Record::Flow(flow.clone())
        })?;
    }
    for partition in 0..PARTITIONS {
        send(partition, &mut |seq| Record::Mark(Box::new(mark(first, seq, first + span + PANE_US, false))))?;
        send(partition, &mut |seq| Record::Mark(Box::new(mark(first, seq, first + span + PANE_US, true))))?;
    }
    Ok(())
}
