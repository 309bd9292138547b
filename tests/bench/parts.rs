//! One part of Weir alone, over one capture: the sensor into a null bus, or the engine over records that are in memory already.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use weir_bus::Value;
use weir_engine::{EngineConfig, Profile, SiteTask, SourceTask, StageTask, TaskIdentity};
use weir_schemas::{Micros, Record, SECOND_US};
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
    /// The capture.
    file: PathBuf,
    /// How often the engine judges the same records, each time from a fresh start.
    #[arg(long, default_value_t = 1)]
    repeat: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// Packets to records, which are dropped.
    Sensor,
    /// Decoded records through both stages, all detectors of the default profile on, with checkpoints.
    Engine,
}

/// As many packets or records as the services take between commits.
const STEP: usize = 4_096;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let measured = match arguments.part {
        Part::Sensor => sensor(arguments.file),
        Part::Engine => engine(arguments.file, arguments.repeat),
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
