//! What a collector receives, and what happens without one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use opentelemetry::trace::SpanKind;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue as WireKeyValue};
use prost::Message as _;

use super::*;
use crate::metrics::{DetectorMetrics, EngineMetrics, ResultsMetrics, SensorMetrics};
use crate::trace::TraceContext;

/// One request as the collector got it.
struct Received {
    path: String,
    content_type: String,
    body: Vec<u8>,
}

/// A collector that answers every request with `status`, until the process ends.
fn collector(status: &'static str) -> (SocketAddr, Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let (mut length, mut content_type) = (0, String::new());
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                match line.trim_end().to_lowercase().split_once(": ") {
                    None => break,
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    Some(("content-type", value)) => value.clone_into(&mut content_type),
                    Some(_) => {}
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            if sender.send(Received { path, content_type, body }).is_err() {
                return;
            }
        }
    });
    (address, received)
}

fn telemetry(address: SocketAddr, service: &str) -> Telemetry {
    let endpoints = Endpoints::resolve(Some(&format!("http://{address}")), |_| None).unwrap();
    Telemetry::new(&endpoints, &Identity { service: service.to_owned(), instance: "host-1".to_owned() }).unwrap()
}

fn attribute(attributes: &[WireKeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.clone();
    match value {
        Some(AnyValue { value: Some(Value::StringValue(text)), .. }) => Some(text),
        _ => None,
    }
}

#[test]
fn metrics_reach_the_collector_with_who_tells() {
    let (address, received) = collector("200 OK");
    let telemetry = telemetry(address, "weir-detector");
    DetectorMetrics::new(&telemetry.meter()).recoveries("source", "normal", 2);
    drop(telemetry);
    let request = received.recv().unwrap();
    assert_eq!((request.path.as_str(), request.content_type.as_str()), ("/v1/metrics", "application/x-protobuf"));
    let export = ExportMetricsServiceRequest::decode(request.body.as_slice()).unwrap();
    let of_resource = &export.resource_metrics[0];
    let attributes = &of_resource.resource.as_ref().unwrap().attributes;
    for (name, value) in [
        ("service.name", "weir-detector"),
        ("service.instance.id", "host-1"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(attribute(attributes, name).as_deref(), Some(value), "{name}");
    }
    let names: Vec<&str> = of_resource.scope_metrics[0].metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["weir.detector.recoveries"]);
}

#[test]
fn spans_of_three_services_form_one_trace() {
    let (address, received) = collector("200 OK");
    let services = ["weir-sensor", "weir-detector", "weir-results"].map(|service| telemetry(address, service));
    let [sensor, detector, results] = &services;
    // What each service reads is the header that the one before wrote.
    let header = |context: TraceContext| TraceContext::of_headers(&[context.header()]).unwrap();
    let mark = sensor.tracer().span("sensor.mark", SpanKind::Producer, None).context();
    let mut commit = detector.tracer().span("detector.commit", SpanKind::Consumer, Some(&header(mark)));
    commit.note("partition", "3");
    let commit_context = commit.context();
    drop(commit);
    let mut publish = results.tracer().span("results.publish", SpanKind::Producer, Some(&header(commit_context)));
    publish.fail("a sink is away");
    let publish_context = publish.context();
    drop(publish);
    drop(services);

    let mut spans = Vec::new();
    while spans.len() < 3 {
        let request = received.recv().unwrap();
        if request.path == "/v1/traces" {
            let export = ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap();
            spans.extend(export.resource_spans.into_iter().flat_map(|spans| spans.scope_spans).flat_map(|it| it.spans));
        }
    }
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let seen: Vec<(&str, String, String, String)> = spans
        .iter()
        .map(|span| (span.name.as_str(), hex(&span.trace_id), hex(&span.parent_span_id), hex(&span.span_id)))
        .collect();
    let expected = [
        ("sensor.mark", mark.trace_id(), String::new(), mark.span_id()),
        ("detector.commit", mark.trace_id(), mark.span_id(), commit_context.span_id()),
        ("results.publish", mark.trace_id(), commit_context.span_id(), publish_context.span_id()),
    ];
    assert_eq!(seen, expected);
    assert_eq!(attribute(&spans[1].attributes, "partition").as_deref(), Some("3"));
    assert_eq!(spans[2].status.as_ref().unwrap().message, "a sink is away");
}

#[test]
fn what_a_parent_did_not_sample_is_passed_on_and_not_recorded() {
    let (address, received) = collector("200 OK");
    let telemetry = telemetry(address, "weir-results");
    let parent: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().unwrap();
    let context = telemetry.tracer().span("results.publish", SpanKind::Producer, Some(&parent)).context();
    assert_eq!((context.trace_id(), context.is_sampled()), (parent.trace_id(), false));
    ResultsMetrics::new(&telemetry.meter()).anomalies("opened", 1);
    drop(telemetry);
    // Spans are exported before metrics: had there been one, it would come first.
    assert_eq!(received.recv().unwrap().path, "/v1/metrics");
}

#[test]
fn a_collector_that_refuses_or_is_away_stops_nothing_and_is_told_once() {
    let (refusing, received) = collector("400 Bad Request");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [refusing, free] {
        let client = Collector::default();
        let request = || {
            let body = opentelemetry_http::Bytes::from_static(b"x");
            opentelemetry_http::Request::post(format!("http://{address}/v1/metrics")).body(body).unwrap()
        };
        let lines = collector::tests::lines_of(&client, [request(), request(), request()]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("the collector does not take telemetry"), "{lines:?}");
        let telemetry = telemetry(address, "weir-sensor");
        SensorMetrics::new(&telemetry.meter()).packets(1);
        assert!(telemetry.exposition().text().unwrap().contains("weir_sensor_packets_total 1"));
        drop(telemetry);
    }
    assert_eq!(received.iter().take(3).filter(|request| request.body == b"x").count(), 3);
}

/// What `/metrics` shows of each kind of instrument. `promtool check metrics` accepts the file.
#[test]
fn the_exposition_is_the_golden_one() {
    let endpoints = Endpoints::default();
    let identity = Identity { service: "weir-detector".to_owned(), instance: "host-1".to_owned() };
    let telemetry = Telemetry::new(&endpoints, &identity).unwrap();
    let meter = telemetry.meter();
    let detector = DetectorMetrics::new(&meter);
    detector.records("source", "counted", 41);
    detector.consumer_lag("source", "7", 12.0);
    detector.partitions_owned("source", 4.0);
    detector.state_bytes("site", 1024.0);
    detector.commit_duration("source", Duration::from_millis(30));
    EngineMetrics::new(&meter).findings("a \"quoted\" name\\", "high", 1);
    SensorMetrics::new(&meter).bytes(1500);
    let text = telemetry.exposition().text().unwrap();
    let text = text.replace(concat!("\"", env!("CARGO_PKG_VERSION"), "\""), "\"VERSION\"");
    assert_eq!(text, include_str!("exposition.golden"), "{text}");
}
