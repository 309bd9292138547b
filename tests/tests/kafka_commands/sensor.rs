//! `weir sensor`: what stands in the topic is what the capture holds, numbered, keyed, marked, at its pace and in its time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use serde_json::Value as Json;
use weir_bus::kafka::{Begin, Reader};
use weir_bus::partition::{key_of, partition_of};
use weir_bus::{Delivery, Value};
use weir_runtime::TraceContext;
use weir_schemas::{Flow, Mark, Micros, Record, rfc3339, schema};
use weir_tests::services::until;

use crate::fixture::{pcap, syns};
use crate::support::{Lane, PATIENCE};
use crate::weir::{Finished, capture, weir};

/// TCP, ARP and IPv6, attempts and conversations.
const CAPTURES: [&str; 3] = ["scan_connect.pcap.gz", "sweep_arp.pcap.gz", "scan_ipv6.pcap.gz"];

/// One look for something that should be there soon.
const LOOK: Duration = Duration::from_millis(500);

fn now() -> Micros {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as Micros
}

fn sensor(lane: &Lane, arguments: &[&str]) -> Finished {
    let run = lane.weir(&[&["sensor", "--admin", "127.0.0.1:0"], arguments].concat());
    assert_eq!((run.status, run.output.as_str()), (Some(0), ""), "{run:?}");
    run
}

fn flows(read: &[(u32, Delivery)]) -> Vec<(u32, &Flow)> {
    let all = read.iter().map(|(partition, delivery)| (*partition, &delivery.value));
    all.filter_map(|(partition, value)| match value {
        Value::Record(Record::Flow(flow)) => Some((partition, &**flow)),
        _ => None,
    })
    .collect()
}

fn mark_of(delivery: &Delivery) -> Option<&Mark> {
    match &delivery.value {
        Value::Record(Record::Mark(mark)) => Some(mark),
        _ => None,
    }
}

/// What identifies a record and what it counts, as `weir flows` prints it.
fn essence(line: &Json) -> String {
    let fields =
        ["flow_id", "export_index", "event_time", "last_time", "src", "dst", "outcome", "initiator", "fwd", "rev"];
    let text = |field: &str| {
        let mut value = line[field].clone();
        value.sort_all_objects();
        value.to_string()
    };
    fields.map(text).join(" ")
}

fn essence_of(flow: &Flow) -> String {
    let end = |end: &weir_schemas::End| {
        let mut fields = serde_json::Map::new();
        fields.insert("ip".to_owned(), end.host.to_string().into());
        fields.insert("port".to_owned(), end.port.into());
        if let Some(mac) = end.mac {
            let octets: Vec<String> = mac.iter().map(|octet| format!("{octet:02x}")).collect();
            fields.insert("mac".to_owned(), octets.join(":").into());
        }
        Json::Object(fields)
    };
    essence(&serde_json::json!({
        "flow_id": format!("{:016x}", flow.flow_id),
        "export_index": flow.export_index,
        "event_time": rfc3339::format(flow.event_time),
        "last_time": rfc3339::format(flow.last_time),
        "src": end(&flow.src),
        "dst": end(&flow.dst),
        "outcome": flow.outcome.name(),
        "initiator": flow.initiator.name(),
        "fwd": flow.fwd,
        "rev": flow.rev,
    }))
}

#[test]
fn the_topic_holds_what_weir_flows_prints() {
    let lane = Lane::shared();
    let files: Vec<String> = CAPTURES.iter().map(|name| capture(name).to_str().unwrap().to_owned()).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let before = now();
    let run = sensor(lane, &[&["--sensor-id", "whole"], &files[..]].concat());
    let read = lane.read_of("whole");
    let records = flows(&read);

    let printed = weir(&[&["flows", "--sensor-id", "whole", "--format", "jsonl"], &files[..]].concat());
    let lines = printed.output.lines().map(|line| essence(&serde_json::from_str(line).unwrap()));
    let mut expected: Vec<String> = lines.collect();
    let mut found: Vec<String> = records.iter().map(|(_, flow)| essence_of(flow)).collect();
    expected.sort();
    found.sort();
    assert!(expected.len() > 1_000, "{}", expected.len());
    assert_eq!(found, expected);

    for (partition, flow) in &records {
        assert_eq!(*partition, partition_of(&key_of(&flow.src.host, 64), 12));
        assert!((before..=now()).contains(&flow.boot), "{}", flow.boot);
    }
    let marks = read.iter().filter(|(_, delivery)| mark_of(delivery).is_some()).count();
    let told = format!("{} records and {marks} marks for {}", records.len(), lane.topics.flows());
    assert!(run.complaint.contains(&told), "{told:?} not in {run:?}");
    let delivered = format!("delivered={} failed=0 unconfirmed=0", read.len());
    assert!(run.complaint.contains(&delivered), "{delivered:?} not in {run:?}");
}

#[test]
fn every_partition_is_numbered_without_gaps_marked_and_ended() {
    let lane = Lane::shared();
    sensor(lane, &["--sensor-id", "numbered", "--site", "berlin", capture("demo.pcap.zst").to_str().unwrap()]);
    let mut last = BTreeMap::<u32, u64>::new();
    let mut promised = BTreeMap::<u32, Micros>::new();
    let mut ended = BTreeSet::new();
    let mut traces = BTreeMap::<String, u32>::new();
    for (partition, delivery) in &lane.read_of("numbered") {
        assert!(!ended.contains(partition), "nothing comes after the end");
        let promise = promised.get(partition).copied().unwrap_or(Micros::MIN);
        let (site, seq) = match &delivery.value {
            Value::Record(Record::Flow(flow)) => {
                assert!(flow.event_time >= promise, "{} after {promise}", flow.event_time);
                (&flow.site, flow.seq)
            }
            Value::Record(Record::Mark(mark)) => {
                assert!(mark.t >= promise);
                promised.insert(*partition, mark.t);
                if mark.end {
                    ended.insert(*partition);
                }
                *traces.entry(TraceContext::of_headers(&delivery.headers).unwrap().trace_id()).or_default() += 1;
                (&mark.site, mark.seq)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(&**site, "berlin");
        assert_eq!(seq, last.insert(*partition, seq).unwrap_or(0) + 1);
    }
    assert_eq!(ended, (0..12).collect());
    // A mark for each second that has packets, and one trace for each round of them.
    assert!(traces.len() > 100 && traces.values().all(|marks| *marks == 12), "{}", traces.len());
    let schemas = lane.read(&lane.topics.schemas());
    let fingerprint = format!("{:016x}", schema::FLOW.fingerprint);
    assert!(!schemas.is_empty() && schemas.iter().all(|(_, delivery)| delivery.key == fingerprint), "{schemas:?}");
}

/// The keys as any client of Kafka sees them.
fn keys(lane: &Lane, topic: &str) -> Vec<(i32, Vec<u8>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &lane.settings.bootstrap)
        .set("group.id", "weir-test-keys")
        .create()
        .unwrap();
    let mut keys = Vec::new();
    for partition in 0..12 {
        let deadline = Instant::now() + PATIENCE;
        let (start, end) = loop {
            // Until the client has heard of the topic, it knows no partition of it.
            match consumer.fetch_watermarks(topic, partition, PATIENCE) {
                Ok(watermarks) => break watermarks,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(start)).unwrap();
        consumer.assign(&list).unwrap();
        let mut left = end - start;
        while left > 0 {
            assert!(Instant::now() < deadline, "{left} records of {topic}/{partition} do not come");
            // Otherwise the client had something else to do, or to say of its connections, which it mends by itself.
            let Some(Ok(message)) = consumer.poll(LOOK) else { continue };
            keys.push((partition, message.key().unwrap_or_default().to_vec()));
            left -= 1;
        }
    }
    keys
}

#[test]
fn keys_are_sources_in_their_partition() {
    let lane = Lane::new("keys");
    let file = lane_file(&pcap(&syns(300)));
    sensor(&lane, &["--sensor-id", "gate", file.path().to_str().unwrap()]);
    let mut sources = BTreeSet::new();
    for (partition, key) in keys(&lane, &lane.topics.flows()) {
        let key = String::from_utf8(key).unwrap();
        if key != "gate" {
            assert_eq!(partition.cast_unsigned(), partition_of(&key, 12), "{key}");
            sources.insert(key);
        }
    }
    assert_eq!(sources, syns(300).iter().map(|syn| syn.source.to_string()).collect());
}

/// A capture file that goes when it is dropped.
fn lane_file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn a_rebased_capture_is_of_now_and_keeps_its_distances() {
    // 2 s, 50 ms apart, one source each.
    let file = lane_file(&pcap(&syns(41)));
    let lane = Lane::shared();
    for (pace, is_first_now) in [("realtime", true), ("max", false), ("10x", false), ("20×", false)] {
        let before = now();
        sensor(lane, &["--sensor-id", pace, "--pace", pace, "--rebase", "now", file.path().to_str().unwrap()]);
        let after = now();
        let mut times: Vec<Micros> = Vec::new();
        for (_, delivery) in &lane.read_of(pace) {
            let Value::Record(Record::Flow(flow)) = &delivery.value else { continue };
            // Append times are whole milliseconds.
            assert!(flow.event_time <= delivery.append_time + 1_000, "{pace}: no record is ahead of its time");
            times.push(flow.event_time);
        }
        times.sort_unstable();
        assert_eq!(times.len(), 41, "{pace}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 50_000), "{pace}: {times:?}");
        let anchor = if is_first_now { times[0] } else { times[40] };
        assert!((before..=after).contains(&anchor), "{pace}: {before} {anchor} {after}");
    }
}

#[test]
fn without_rebasing_times_are_the_captures_and_standard_input_is_read() {
    let lane = Lane::shared();
    let flags = lane.flags();
    let arguments = ["sensor", "--admin", "127.0.0.1:0", "--sensor-id", "streamed", "--pace", "20x", "-"];
    let arguments: Vec<&str> = arguments.into_iter().chain(flags.iter().map(String::as_str)).collect();
    let run = crate::weir::weir_reading(&arguments, &pcap(&syns(41)));
    assert_eq!(run.status, Some(0), "{run:?}");
    let read = lane.read_of("streamed");
    let first = flows(&read).iter().map(|(_, flow)| flow.event_time).min();
    // 2026-01-05 09:00:00 UTC.
    assert_eq!(first, Some(1_767_603_600_000_000));
}

/// A replay under way.
struct Replay {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    /// `host:port` of health and metrics.
    admin: String,
}

impl Replay {
    fn start(lane: &Lane, arguments: &[&str]) -> Self {
        let binary = crate::weir::binary();
        let mut command = Command::new(binary);
        command.args(["sensor", "--admin", "127.0.0.1:0"]).args(arguments).args(lane.flags());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let admin = loop {
            assert_ne!(log.read_line(&mut seen).unwrap(), 0, "{seen}");
            if let Some((_, rest)) = seen.split_once("http://") {
                break rest.split('/').next().unwrap().to_owned();
            }
        };
        Self { child, log, admin }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn terminate(&mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        // A test that failed leaves nothing running; after one that did not, nobody is there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_ends_a_replay_with_end_marks_and_it_tells_of_itself_meanwhile() {
    let lane = Lane::shared();
    let demo = capture("demo.pcap.zst");
    let demo = demo.to_str().unwrap();
    let mut replay = Replay::start(lane, &["--sensor-id", "stopped", "--pace", "realtime", "--rebase", "now", demo]);
    let mut reader = Reader::open(&lane.settings, &lane.topics.flows(), Begin::Earliest, PATIENCE).unwrap();
    let mut marked = BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    while marked.len() < 12 {
        assert!(Instant::now() < deadline, "marks came to {marked:?} only");
        let Some((partition, delivery)) = reader.poll(LOOK).unwrap() else { continue };
        if mark_of(&delivery).is_some_and(|mark| &*mark.sensor == "stopped") {
            marked.insert(partition);
        }
    }
    assert!(replay.get("/readyz").starts_with("HTTP/1.0 200"), "{}", replay.get("/readyz"));
    // What was delivered is counted a moment after it can be read.
    let names = [
        "weir_sensor_packets_total",
        "weir_sensor_deliveries_total{outcome=\"delivered\"",
        "weir_sensor_mark_delay_seconds",
    ];
    until("the metrics are there", || {
        let metrics = replay.get("/metrics");
        names.iter().all(|name| metrics.lines().any(|line| line.starts_with(name)))
    });
    let (status, complaint) = replay.terminate();
    assert_eq!(status, Some(0), "{complaint}");
    assert!(complaint.contains("weir: interrupted after "), "{complaint}");
    let mut last = BTreeMap::new();
    for (partition, delivery) in lane.read_of("stopped") {
        last.insert(partition, delivery);
    }
    let ends = last.values().filter_map(mark_of).filter(|mark| mark.end).count();
    assert_eq!(ends, 12);
}
