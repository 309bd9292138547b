//! Fills `weir.flows.v1` with flow records for the benchmarks over Kafka, as fast as the broker takes them.
//!
//! Sources: Zipf (s = 1) over a population, and one record in a hundred from scanners, ten of them at a time; or, with
//! `--spoofed`, each record from a source of its own towards one server. Event time runs over the given minutes up to now.
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use weir_bus::kafka::{Publisher, Settings};
use weir_bus::partition::DEFAULT_IPV6_PREFIX;
use weir_bus::{Message, Topics, Value, key_of, partition_of_host};
use weir_schemas::flow::{VANTAGE_FORWARD, VANTAGE_REVERSE};
use weir_schemas::{
    Counts, End, EndReason, Flow, Host, Initiator, Mark, MarkStatus, Micros, Outcome, PANE_US, Record, SECOND_US, Tcp,
    TcpFlags, pane_start,
};

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
const SCANNERS: u64 = 1_000;
const SERVERS: u64 = 4_096;

/// `SplitMix64`: the same records for the same arguments.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Rank 0.. of a Zipf distribution with s = 1, by the inverse of its continuous form.
    fn zipf(&mut self, count: u32) -> u32 {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = (f64::from(count).ln() * uniform).exp() - 1.0;
        (rank as u32).min(count - 1)
    }
}

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
                publisher.publish(&mark(&topic, partition as u32, boot, *sequence, next_mark, false))?;
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
        publisher.publish(&mark(&topic, partition as u32, boot, *sequence, first + span + PANE_US, false))?;
        *sequence += 1;
        publisher.publish(&mark(&topic, partition as u32, boot, *sequence, first + span + PANE_US, true))?;
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

fn mark(topic: &str, partition: u32, boot: Micros, seq: u64, t: Micros, end: bool) -> Message {
    let status = MarkStatus::default();
    let mark = Mark { sensor: "bench".into(), site: "local".into(), boot, seq, t, end, status };
    Message::new(topic, partition, "bench", Value::Record(Record::Mark(Box::new(mark))))
}

fn conversation(random: &mut Random, sources: u32, number: u64, event_time: Micros, first: Micros) -> Flow {
    if random.below(100) == 0 {
        // Ten scanners at a time, each for ten seconds.
        let turn = ((event_time - first) / (10 * SECOND_US)) as u64;
        let scanner = (turn * 10 + random.below(10)) % SCANNERS;
        let source = Ipv4Addr::from_bits(0xc612_0000 + scanner as u32);
        let target = Ipv4Addr::from_bits(0x0a00_0000 + (scanner % SERVERS) as u32);
        let port = 1 + random.below(1_024) as u16;
        return flow(source, target, port, number, event_time, Outcome::Refused, false);
    }
    let source = Ipv4Addr::from_bits(0x0b00_0000 + random.zipf(sources));
    let target = Ipv4Addr::from_bits(0x0a00_0000 + random.below(SERVERS) as u32);
    let port = [443, 443, 80, 53, 22, 8_443][random.below(6) as usize];
    flow(source, target, port, number, event_time, Outcome::Completed, true)
}

fn spoofed(number: u64, event_time: Micros) -> Flow {
    // A multiplication by an odd number is a permutation: no source comes twice.
    let source = Ipv4Addr::from_bits((number as u32).wrapping_mul(0x9e37_79b1) | 1 << 31);
    flow(source, Ipv4Addr::new(10, 0, 0, 1), 80, number, event_time, Outcome::Unanswered, false)
}

fn flow(
    source: Ipv4Addr,
    target: Ipv4Addr,
    port: u16,
    number: u64,
    event_time: Micros,
    outcome: Outcome,
    is_whole: bool,
) -> Flow {
    let counts = |packets: u64, bytes: u64| Counts {
        packets,
        bytes,
        payload: bytes.saturating_sub(packets * 40),
        total_packets: packets,
        total_bytes: bytes,
    };
    let mut community_id = [0_u8; 20];
    community_id[..8].copy_from_slice(&number.to_be_bytes());
    let last_time = (event_time + 20_000).min(pane_start(event_time) + PANE_US - 1);
    let (forward, reverse) =
        if is_whole { (counts(8, 1_200), counts(10, 9_000)) } else { (counts(1, 60), counts(0, 0)) };
    let flags = if is_whole {
        (
            TcpFlags { syn: 1, ack: 7, fin: 1, psh: 2, ..TcpFlags::default() },
            TcpFlags { syn_ack: 1, ack: 9, fin: 1, ..TcpFlags::default() },
        )
    } else {
        (TcpFlags { syn: 1, ..TcpFlags::default() }, TcpFlags::default())
    };
    let tcp = Tcp { fwd: flags.0, rev: flags.1, first_flags: 2, ..Tcp::default() };
    Flow {
        sensor: "bench".into(),
        site: "local".into(),
        boot: 0,
        seq: 0,
        input: "pcap".into(),
        sampling: 1,
        event_time,
        first_time: event_time,
        last_time,
        clock_offset_us: 0,
        src: End::new(Host::V4(source), 32_768 + (number % 28_000) as u16),
        dst: End::new(Host::V4(target), port),
        proto: 6,
        icmp_type: None,
        icmp_code: None,
        vlan: Vec::new(),
        tunnel: None,
        initiator: Initiator::Syn,
        vantage: if is_whole { VANTAGE_FORWARD | VANTAGE_REVERSE } else { VANTAGE_FORWARD },
        outcome,
        fwd: forward,
        rev: reverse,
        flow_id: number,
        community_id,
        export_index: 0,
        end_reason: if is_whole { EndReason::Fin } else { EndReason::Unanswered },
        capture_drops: 0,
        tcp: Some(Box::new(tcp)),
        link: None,
        app: None,
        timing: None,
        labels: Vec::new(),
    }
}
