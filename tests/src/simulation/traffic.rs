//! The flows that a pipeline's schedules read: what two sensors publish of a few minutes in which something of everything
//! happens, with some records that cannot be used.

use std::collections::BTreeMap;

use weir_bus::{Message, Topics, Value, key_of, partition_of_host};
use weir_engine::Profile;
use weir_engine::profile::{Overrides, ProfileError};
use weir_schemas::{
    Counts, End, EndReason, Flow, Host, Initiator, Mark, MarkStatus, Micros, Outcome, Record, SECOND_US, Tcp, TcpFlags,
};

use crate::chance::Chance;

/// First event time: 2026-01-01 00:00:00 UTC.
pub const EPOCH: Micros = 1_767_225_600 * SECOND_US;

/// How long the traffic of a variety lasts, and how dense it is.
struct Pace {
    seconds: i64,
    /// Seconds between two records of steady traffic.
    steady_every: usize,
    /// Time between two marks of a sensor.
    mark_every: Micros,
}

/// Every fourth variety is long and thin: tasks close panes enough to write their whole state anew, which they do every 90.
/// Others are shorter than what the site stage holds at a time.
#[must_use]
pub fn is_long(variety: u64) -> bool {
    variety % 4 == 3
}

impl Pace {
    fn of(variety: u64, chance: &mut Chance) -> Self {
        if is_long(variety) {
            return Self { seconds: chance.between(1_000, 1_100) as i64, steady_every: 10, mark_every: 10 * SECOND_US };
        }
        Self { seconds: chance.between(150, 200) as i64, steady_every: 5, mark_every: 2 * SECOND_US }
    }
}

/// A log that is to be published: messages in order, with their append times.
pub struct Traffic {
    /// Partitions of the flows topic.
    pub partitions: u32,
    /// Messages.
    pub messages: Vec<(Micros, Message)>,
    /// It lasts longer than the panes that the site stage holds at a time.
    pub is_long: bool,
}

/// Thresholds low enough that little traffic fires every detector.
///
/// # Errors
/// A detector or threshold is not called so any more.
pub fn profile() -> Result<Profile, ProfileError> {
    let thresholds: [(&str, &[(&str, f64)]); 5] = [
        ("port_scan", &[("ports_60s", 12.0), ("ports_5min", 16.0)]),
        ("host_sweep", &[("targets_60s", 12.0), ("targets_5min", 20.0)]),
        ("syn_flood", &[("rate", 1.0), ("min_syn", 40.0), ("burst_rate", 5.0)]),
        ("incomplete_handshakes", &[("min_attempts", 12.0)]),
        ("traffic_spike", &[("warm_up", 60.0), ("floor", 10_000.0)]),
    ];
    let overrides: Overrides = thresholds
        .into_iter()
        .map(|(detector, values)| {
            (detector.to_owned(), values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect())
        })
        .collect();
    Profile::named("simulation", Some(&overrides))
}

/// One attempt, seen by a sensor of both directions.
fn attempt(at: Micros, source: &str, target: &str, port: u16, outcome: Outcome) -> Flow {
    let is_answered = !matches!(outcome, Outcome::Unanswered);
    let name = format!("{source}>{target}:{port}@{at}");
    let flow_id = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut community_id = [0; 20];
    for (index, byte) in name.bytes().enumerate() {
        community_id[index % 20] = u8::wrapping_mul(community_id[index % 20], 31) ^ byte;
    }
    let answer = Counts { packets: 1, bytes: 40, payload: 0, total_packets: 1, total_bytes: 40, fragments: 0 };
    Flow {
        sensor: "east".into(),
        site: "lab".into(),
        boot: 1,
        seq: 0,
        input: "simulation".into(),
        sampling: 1,
        event_time: EPOCH + at,
        first_time: EPOCH + at,
        last_time: EPOCH + at,
        clock_offset_us: 0,
        src: End::new(Host::parse(source), 40_000),
        dst: End::new(Host::parse(target), port),
        proto: 6,
        icmp_type: None,
        icmp_code: None,
        vlan: Vec::new(),
        tunnel: None,
        initiator: Initiator::Syn,
        vantage: if is_answered { 3 } else { 1 },
        outcome,
        fwd: Counts { packets: 1, bytes: 60, payload: 0, total_packets: 1, total_bytes: 60, fragments: 0 },
        rev: if is_answered { answer } else { Counts::default() },
        flow_id,
        community_id,
        export_index: 0,
        end_reason: EndReason::Active,
        capture_drops: 0,
        tcp: Some(Box::new(Tcp { fwd: TcpFlags { syn: 1, ..TcpFlags::default() }, first_flags: 2, ..Tcp::default() })),
        app: None,
        link: None,
        timing: None,
        labels: Vec::new(),
    }
}

/// A share of a transfer, no attempt.
fn transfer(at: Micros, source: &str, target: &str, bytes: u64) -> Flow {
    let mut flow = attempt(at, source, target, 443, Outcome::None);
    flow.tcp = Some(Box::default());
    flow.fwd = Counts {
        packets: bytes / 1_000 + 1,
        bytes,
        payload: bytes,
        total_packets: 9,
        total_bytes: bytes,
        fragments: 0,
    };
    flow.export_index = 1;
    flow
}

/// What happens.
fn flows(chance: &mut Chance, pace: &Pace) -> Vec<Flow> {
    let seconds = pace.seconds;
    let mut flows = Vec::new();
    let failed = |chance: &mut Chance| if chance.percent(30) { Outcome::Unanswered } else { Outcome::Refused };
    // Two scans, one within a pane, one across many.
    for (source, step_ms, ports) in [("10.0.0.1", 150, 40_u16), ("10.0.0.2", 3_000, 30)] {
        let start = chance.between(5, 30) as i64 * SECOND_US;
        for port in 0..ports {
            let at = start + i64::from(port) * step_ms * 1_000;
            let outcome = failed(chance);
            flows.push(attempt(at, source, "10.1.0.1", 1_000 + port, outcome));
        }
    }
    let start = chance.between(10, 60) as i64 * SECOND_US;
    for target in 0..25_i64 {
        let outcome = failed(chance);
        flows.push(attempt(start + target * 700_000, "10.0.0.3", &format!("10.2.0.{target}"), 445, outcome));
    }
    // A client whose connections mostly fail, at hosts and ports of all sorts.
    let start = chance.between(10, 90) as i64 * SECOND_US;
    for number in 0..20_i64 {
        let outcome = if number % 5 == 0 { Outcome::Completed } else { Outcome::Unanswered };
        let (target, port) = (format!("10.3.0.{}", number % 5), 2_000 + (number % 3) as u16);
        flows.push(attempt(start + number * 900_000, "10.0.0.4", &target, port, outcome));
    }
    // A flood from many sources, so from all partitions.
    let start = chance.between(60, 100) as i64 * SECOND_US;
    for number in 0..90_i64 {
        let source = format!("172.16.{}.{}", number % 7, number);
        flows.push(attempt(start + number * 130_000, &source, "10.1.0.9", 80, Outcome::Unanswered));
    }
    // Steady traffic, then more of it.
    for second in (1..seconds).step_by(pace.steady_every) {
        let bytes = if second > seconds - 60 { 4_000_000 } else { 60_000 + chance.below(2_000) };
        flows.push(transfer(second * SECOND_US + 1, "10.0.0.5", "10.1.0.5", bytes));
        let browse = format!("10.0.1.{}", second % 4);
        flows.push(attempt(second * SECOND_US + 2, &browse, "10.1.0.7", 443, Outcome::Completed));
    }
    flows.retain(|flow| flow.event_time < EPOCH + seconds * SECOND_US);
    flows
}

/// The traffic of a variety: the same number gives the same.
#[must_use]
pub fn traffic(variety: u64) -> Traffic {
    let chance = &mut Chance::new(variety ^ 0x07af_f1c0);
    let partitions = chance.between(1, 4) as u32;
    let pace = Pace::of(variety, chance);
    let seconds = pace.seconds;
    let mut log: Vec<(Micros, u32, Option<Record>)> = Vec::new();
    for flow in flows(chance, &pace) {
        let partition = partition_of_host(&flow.src.host, 64, partitions);
        let at = flow.event_time + 300_000;
        // Some flows are seen at both ends of the site, some by one sensor only.
        let (east, west) = match chance.below(4) {
            0 => (false, true),
            1 => (true, true),
            _ => (true, false),
        };
        if east {
            log.push((at, partition, Some(Record::Flow(Box::new(flow.clone())))));
        }
        if west {
            let flow = Flow { sensor: "west".into(), flow_id: flow.flow_id ^ 1, ..flow };
            log.push((at + 40_000, partition, Some(Record::Flow(Box::new(flow)))));
        }
    }
    let mut t = 0;
    while t <= seconds * SECOND_US {
        let end = t + pace.mark_every > seconds * SECOND_US;
        for sensor in ["east", "west"] {
            for partition in 0..partitions {
                let (boot, seq, status) = (1, 0, MarkStatus::default());
                let mark = Mark { sensor: sensor.into(), site: "lab".into(), boot, seq, t: EPOCH + t, end, status };
                log.push((EPOCH + t + 500_000, partition, Some(Record::Mark(Box::new(mark)))));
            }
        }
        t += pace.mark_every;
    }
    // Bytes that are no record, often enough that a replay begins or ends with one.
    for _ in 0..40 {
        let at = EPOCH + chance.below(seconds as u64) as i64 * SECOND_US;
        log.push((at, chance.below(u64::from(partitions)) as u32, None));
    }
    log.sort_by_key(|(at, _, _)| *at);
    let mut messages = number(log);
    damage(chance, &mut messages);
    Traffic { partitions, messages, is_long: is_long(variety) }
}

/// Gives every record its sequence number, and makes messages of them.
fn number(log: Vec<(Micros, u32, Option<Record>)>) -> Vec<(Micros, Message)> {
    let topic = Topics::default().flows();
    let mut seqs: BTreeMap<(String, u32), u64> = BTreeMap::new();
    let mut messages = Vec::new();
    for (at, partition, record) in log {
        let mut next = |sensor: &str| {
            let seq = seqs.entry((sensor.to_owned(), partition)).or_default();
            *seq += 1;
            *seq
        };
        let message = match record {
            Some(Record::Flow(mut flow)) => {
                flow.seq = next(&flow.sensor);
                let key = key_of(&flow.src.host, 64);
                Message::new(&topic, partition, key, Value::Record(Record::Flow(flow)))
            }
            Some(Record::Mark(mut mark)) => {
                mark.seq = next(&mark.sensor);
                let key = mark.sensor.to_string();
                Message::new(&topic, partition, key, Value::Record(Record::Mark(mark)))
            }
            None => Message::new(&topic, partition, "nobody", Value::Bytes(vec![0xff; 3])),
        };
        messages.push((at, message));
    }
    messages
}

/// Some records come twice, some too late, some from a clock that is ahead: some of each.
fn damage(chance: &mut Chance, messages: &mut Vec<(Micros, Message)>) {
    for number in 0..12 {
        let (from, flow) = loop {
            let from = chance.index(messages.len());
            if let Value::Record(Record::Flow(flow)) = &messages[from].1.value {
                break (from, flow.clone());
            }
        };
        let to = (from + 1 + chance.index(40)).min(messages.len() - 1);
        let by = match number % 3 {
            0 => 0,
            1 => -60 * SECOND_US,
            _ => 30 * SECOND_US,
        };
        // What is moved is of another boot, so that its number is nobody's.
        let boot = if by == 0 { flow.boot } else { 0 };
        let (event_time, first_time, last_time) = (flow.event_time + by, flow.first_time + by, flow.last_time + by);
        let value = Value::Record(Record::Flow(Box::new(Flow { boot, event_time, first_time, last_time, ..*flow })));
        let message = Message { value, ..messages[from].1.clone() };
        messages.insert(to + 1, (messages[to].0, message));
    }
}
