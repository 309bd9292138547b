//! Fills `weir.flows.v1` with flow records for the benchmarks over Kafka, as fast as the broker takes them.
//!
//! Sources: Zipf (s = 1) over a population, and one record in a hundred from scanners, ten of them at a time; or, with
//! `--spoofed`, each record from a source of its own towards one server. Event time runs over the given minutes up to now.
#![forbid(unsafe_code)]

mod population;

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use weir_bus::kafka::{Publisher, Settings};
use weir_bus::partition::DEFAULT_IPV6_PREFIX;
use weir_bus::{Message, Topics, Value, key_of, partition_of_host};
use weir_schemas::{Mark, Micros, PANE_US, Record, SECOND_US};

use population::{Random, conversation, mark, spoofed};

/// Fills the topic of flow records.
#[derive(Parser)]
struct Arguments {
    /// Brokers.
    #[arg(long, default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// What topic names begin with.
    #[arg(long, default_value = "weir.")]
    prefix: String,
    /// Flow records; marks come on top.
    #[arg(long, default_value_t = 5_000_000)]
    records: u64,
    /// Minutes of event time.
    #[arg(long, default_value_t = 10)]
    minutes: i64,
    /// Sources of the skewed population.
    #[arg(long, default_value_t = 100_000)]
    sources: u32,
    /// Every record from a source of its own: a flood of SYNs without answers.
    #[arg(long)]
    spoofed: bool,
    /// Event time runs with the clock, this many records a second; without it everything goes out at once.
    #[arg(long)]
    rate: Option<u64>,
}

const PATIENCE: Duration = Duration::from_mins(1);
fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("weir-bench-preload: {error}");
            ExitCode::from(2)
        }
    }
}

fn now() -> Micros {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as Micros
}

fn run(arguments: &Arguments) -> Result<String, Box<dyn std::error::Error>> {
    let settings = Settings::plain(&arguments.bootstrap, "weir-bench-preload");
    let publisher = Publisher::open(&settings, PATIENCE)?;
    let topic = Topics::new(&arguments.prefix).flows();
    let partitions = publisher.partition_count(&topic)?;
    let began = Instant::now();
    let boot = now();
    let span = match arguments.rate {
        Some(rate) => (arguments.records * SECOND_US as u64 / rate.max(1)) as Micros,
        None => arguments.minutes * 60 * SECOND_US,
    };
    let first = if arguments.rate.is_some() { boot } else { boot - span };
    let mut random = Random(1);
    let mut sequences = vec![0_u64; partitions as usize];
    let mut bytes = 0_u64;
    let mut next_mark = first;
    for number in 0..arguments.records {
        let event_time = first + (i128::from(span) * i128::from(number) / i128::from(arguments.records)) as Micros;
        if arguments.rate.is_some() {
            let ahead = event_time - now();
            if ahead > 0 {
                // Paced by the clock: nothing else is to be waited for.
                #[allow(clippy::disallowed_methods)]
                std::thread::sleep(Duration::from_micros(ahead as u64));
            }
        }
        while next_mark <= event_time {
            for (partition, sequence) in sequences.iter_mut().enumerate() {
                *sequence += 1;
                publisher.publish(&message_of(&topic, partition as u32, mark(boot, *sequence, next_mark, false)))?;
            }
            next_mark += SECOND_US;
        }
        let mut flow = if arguments.spoofed {
            spoofed(number, event_time)
        } else {
            conversation(&mut random, arguments.sources, number, event_time, first)
        };
        let partition = partition_of_host(&flow.src.host, DEFAULT_IPV6_PREFIX, partitions);
        let sequence = &mut sequences[partition as usize];
        *sequence += 1;
        (flow.boot, flow.seq) = (boot, *sequence);
        let key = key_of(&flow.src.host, DEFAULT_IPV6_PREFIX);
        let mut encoded = Vec::with_capacity(256);
        weir_schemas::codec::encode_record(&Record::Flow(Box::new(flow)), &mut encoded);
        bytes += encoded.len() as u64;
        publisher.publish(&Message::new(topic.clone(), partition, key, Value::Bytes(encoded)))?;
    }
    for (partition, sequence) in sequences.iter_mut().enumerate() {
        *sequence += 1;
        publisher.publish(&message_of(
            &topic,
            partition as u32,
            mark(boot, *sequence, first + span + PANE_US, false),
        ))?;
        *sequence += 1;
        publisher.publish(&message_of(
            &topic,
            partition as u32,
            mark(boot, *sequence, first + span + PANE_US, true),
        ))?;
    }
    publisher.flush(PATIENCE)?;
    let counts = publisher.counts();
    Ok(format!(
        "records={} bytes_per_record={:.0} delivered={} failed={} partitions={partitions} event_seconds={} seconds={:.1}",
        arguments.records,
        bytes as f64 / arguments.records.max(1) as f64,
        counts.delivered,
        counts.failures(),
        span / SECOND_US,
        began.elapsed().as_secs_f64()
    ))
}

fn message_of(topic: &str, partition: u32, mark: Mark) -> Message {
    Message::new(topic, partition, "bench", Value::Record(Record::Mark(Box::new(mark))))
}
