//! The server as clients see it, polite, slow and hostile ones.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;

use super::server::Limits;
use super::*;
use crate::metrics::{DetectorMetrics, SCOPE};
use crate::telemetry::Exposition;

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// All that the server sends to these bytes.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    // A server that has seen enough closes: what it has not read comes back as an error here, its answer was sent before.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// Status line, headers, body.
fn get(address: SocketAddr, path: &str) -> (String, String, String) {
    let answer = exchange(address, format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    (status.to_owned(), headers.to_lowercase(), body.to_owned())
}

#[test]
fn probes_are_told_what_is_missing() {
    let health = Health::default();
    let server = AdminServer::start(local(), Pages { health: health.clone(), ..Pages::default() }).unwrap();
    assert_ne!(server.address().port(), 0);
    let told = |path| {
        let (status, _, body) = get(server.address(), path);
        (status, body)
    };
    let ok = "HTTP/1.1 200 OK".to_owned();
    let unavailable = "HTTP/1.1 503 Service Unavailable".to_owned();
    assert_eq!(told("/healthz"), (ok.clone(), "ok\n".to_owned()));
    assert_eq!(told("/readyz"), (unavailable.clone(), "missing: start: not reached yet\n".to_owned()));
    let restored = health.readiness("restored");
    assert_eq!(told("/readyz"), (unavailable.clone(), "missing: restored: not reached yet\n".to_owned()));
    restored.pass();
    assert_eq!(told("/readyz?verbose"), (ok.clone(), "ok: restored\n".to_owned()));
    health.liveness("shard 0").fail("gone");
    assert_eq!(told("/healthz"), (unavailable, "missing: shard 0: gone\n".to_owned()));
    let (status, body) = told("/");
    assert!(status == ok && body.contains("/metrics"), "{body}");
    assert_eq!(told("/nothing").0, "HTTP/1.1 404 Not Found");
}

#[test]
fn metrics_are_served_as_prometheus_reads_them() {
    let (exposition, reader) = Exposition::new().unwrap();
    let provider = opentelemetry_sdk::metrics::SdkMeterProvider::builder().with_reader(reader).build();
    DetectorMetrics::new(&provider.meter(SCOPE)).commits("source", 3);
    let pages = Pages { metrics: exposition, ..Pages::default() };
    let server = AdminServer::start(local(), pages).unwrap();
    let (status, headers, body) = get(server.address(), "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(headers.contains("content-type: text/plain; version=0.0.4"), "{headers}");
    assert!(body.contains("\nweir_detector_commits_total{stage=\"source\"} 3\n"), "{body}");
}

#[test]
fn other_methods_are_refused_and_head_has_no_body() {
    let server = AdminServer::start(local(), Pages::default()).unwrap();
    let answer = exchange(server.address(), b"POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi");
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    let answer = exchange(server.address(), b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn hostile_requests_get_an_error_and_harm_nobody() {
    let server = AdminServer::start(local(), Pages::default()).unwrap();
    let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20));
    let long_header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(1_000));
    let garbage = "\u{0}\u{1}\u{2}\r\n\r\n".to_owned();
    for request in [long_path, long_header, many_headers, garbage] {
        let answer = exchange(server.address(), request.as_bytes());
        // A reset may overtake the answer; it is never a success.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(get(server.address(), "/healthz").0, "HTTP/1.1 200 OK");
}

#[test]
fn a_client_that_says_nothing_is_let_go_and_others_are_served_meanwhile() {
    let limits = Limits { connections: 2, head: Duration::from_millis(100), ..Limits::default() };
    let server = AdminServer::start_with(local(), Pages::default(), limits).unwrap();
    // More silent clients than there is room for: each is let go in its turn.
    let mut silent: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    silent[0].write_all(b"GET / HT").unwrap();
    assert_eq!(get(server.address(), "/healthz").0, "HTTP/1.1 200 OK");
    for stream in &mut silent {
        let mut answer = Vec::new();
        // Blocks until the server closes.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");
    }
}

#[test]
fn a_port_in_use_is_the_environments_fault_and_a_server_that_ended_frees_its_own() {
    let server = AdminServer::start(local(), Pages::default()).unwrap();
    let address = server.address();
    let error = AdminServer::start(address, Pages::default()).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("admin.listen: cannot listen on {address}: Address already in use"))
            && error.lines().count() == 1,
        "{error}"
    );
    drop(server);
    assert_eq!(AdminServer::start(address, Pages::default()).unwrap().address(), address);
}
