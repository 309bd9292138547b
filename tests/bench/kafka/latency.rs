//! How long after what led to them findings can be read: follows flow records and findings side by side.
//!
//! Source stage: from the append time of the record that a finding names as its last, which is the record that crossed the
//! threshold (told early) or the mark that closed the pane. Site stage: from the append time of the last partition's first mark
//! that promises the end of the finding's window. To the moment at which a reader of committed records has the finding.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use weir_bus::kafka::{Begin, Reader, Settings};
use weir_bus::{Topics, Value};
use weir_schemas::{Finding, Micros, Record};

/// Measures how soon findings can be read.
#[derive(Parser)]
struct Arguments {
    /// Brokers.
    #[arg(long, default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// What topic names begin with.
    #[arg(long, default_value = "weir.")]
    prefix: String,
    /// How long to follow.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Findings of the first seconds are left out: caches are cold, and all hosts are new.
    #[arg(long, default_value_t = 20)]
    warm_up: u64,
}

const PATIENCE: Duration = Duration::from_mins(1);

/// What is waited for at a time.
const STEP: Duration = Duration::from_millis(1);

/// A record as far as it matters: when it was appended, and whether it was a mark.
#[derive(Clone, Copy)]
struct Appended {
    time: Micros,
    is_mark: bool,
}

#[derive(Default)]
struct Log {
    /// By partition and offset.
    records: BTreeMap<(u32, i64), Appended>,
    /// By partition: promised times, ascending, with the append time of their marks.
    promises: BTreeMap<u32, Vec<(Micros, Micros)>>,
}

impl Log {
    /// When the last of the partitions was promised `time`.
    fn promised(&self, time: Micros) -> Option<Micros> {
        let first = |marks: &Vec<(Micros, Micros)>| {
            marks.get(marks.partition_point(|(promised, _)| *promised < time)).map(|(_, appended)| *appended)
        };
        self.promises.values().map(first).collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-bench-latency: {error}");
            ExitCode::from(2)
        }
    }
}

fn now() -> Micros {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as Micros
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::plain(&arguments.bootstrap, "weir-bench-latency");
    let topics = Topics::new(&arguments.prefix);
    let mut findings = Reader::open(&settings, &topics.findings(), Begin::End, PATIENCE)?;
    let mut flows = Reader::open(&settings, &topics.flows(), Begin::End, PATIENCE)?;
    println!("following");
    let began = Instant::now();
    let mut log = Log::default();
    let mut read: Vec<(Micros, Box<Finding>)> = Vec::new();
    let is_warm = || began.elapsed() >= Duration::from_secs(arguments.warm_up);
    while began.elapsed() < Duration::from_secs(arguments.seconds) {
        while let Some((_, delivery)) = findings.poll(Duration::ZERO)? {
            let at = now();
            if let Value::Finding(finding) = delivery.value
                && is_warm()
            {
                read.push((at, finding));
            }
        }
        // So many at most, so that findings are looked for every few milliseconds.
        for _ in 0..256 {
            let Some((partition, delivery)) = flows.poll(STEP)? else { break };
            let Value::Record(record) = &delivery.value else { continue };
            let is_mark = matches!(record, Record::Mark(_));
            let time = delivery.append_time;
            log.records.insert((partition, delivery.offset), Appended { time, is_mark });
            if let Record::Mark(mark) = record {
                log.promises.entry(partition).or_default().push((mark.t, time));
            }
        }
    }
    report(&topics.flows(), &log, &read);
    Ok(())
}

fn report(flows: &str, log: &Log, read: &[(Micros, Box<Finding>)]) {
    let mut latencies: BTreeMap<&str, Vec<Micros>> = BTreeMap::new();
    let mut unknown = 0;
    for (at, finding) in read {
        let provenance = &finding.provenance;
        let is_source_stage = provenance.topic == flows;
        let cause = if is_source_stage {
            log.records.get(&(provenance.partition, provenance.last_offset)).copied()
        } else {
            log.promised(finding.window.end).map(|time| Appended { time, is_mark: true })
        };
        let Some(cause) = cause else {
            unknown += 1;
            continue;
        };
        let what = match (is_source_stage, cause.is_mark) {
            (true, false) => "record to early opened",
            (true, true) => "last mark to findings, source stage",
            (false, _) => "last mark to findings, site stage",
        };
        latencies.entry(what).or_default().push(at - cause.time);
    }
    for (what, mut values) in latencies {
        values.sort_unstable();
        let at = |share: usize| values[(values.len() * share / 100).min(values.len() - 1)] / 1_000;
        let max = values[values.len() - 1] / 1_000;
        println!("{what:<36} p50 {} ms  p99 {} ms  max {max} ms  ({} findings)", at(50), at(99), values.len());
    }
    println!("findings whose cause was not read: {unknown}");
}
