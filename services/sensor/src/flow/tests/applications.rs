//! What payload tells, packet by packet: counts by slice, once each, and no text where texts are withheld.

use proptest::prelude::*;
use weir_schemas::app::App;
use weir_schemas::{EndReason, Flow, SECOND_US};

use super::*;

const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";
const RESOLVER: (&str, u16) = ("10.0.0.53", 53);

/// A segment with payload, all of it captured.
fn segment(time: Micros, from: (&str, u16), to: (&str, u16), seq: u32, payload: &[u8]) -> Packet {
    with_head(tcp_with(time, from, to, ACK | PSH, seq, payload.len() as u32), payload)
}

fn datagram(time: Micros, from: (&str, u16), to: (&str, u16), payload: &[u8]) -> Packet {
    let datagram = UdpDatagram { src_port: from.1, dst_port: to.1, payload: payload.len() as u32, dns_response: None };
    with_head(ip(time, from.0, to.0, 17, Transport::Udp(datagram)), payload)
}

fn with_head(mut packet: Packet, payload: &[u8]) -> Packet {
    if let Body::Ip(ip) = &mut packet.body {
        ip.head = Some(payload.into());
    }
    packet
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x.example\r\n\r\n").into_bytes()
}

fn app(flow: &Flow) -> App {
    flow.app.as_deref().cloned().unwrap_or_default()
}

#[test]
fn requests_count_in_the_record_of_their_pane_and_the_protocol_in_all() {
    let request = get("/a");
    let length = request.len() as u32;
    let records = run(&[
        segment(START, CLIENT, SERVER, 1, &request),
        segment(START + SECOND_US, CLIENT, SERVER, 1 + length, &request),
        tcp_with(START + 12 * SECOND_US, SERVER, CLIENT, ACK, 1, 0),
        segment(START + 22 * SECOND_US, CLIENT, SERVER, 1 + 2 * length, &request),
    ]);
    let told: Vec<_> =
        records.iter().map(|flow| (app(flow).name.to_string(), app(flow).http.map(|http| http.requests))).collect();
    assert_eq!(told, [("http".to_owned(), Some(2)), ("http".to_owned(), None), ("http".to_owned(), Some(1))]);
}

#[test]
fn a_segment_sent_again_or_captured_twice_counts_once() {
    let request = get("/a");
    let records = run(&[
        segment(START, CLIENT, SERVER, 1, &request),
        segment(START + 100, CLIENT, SERVER, 1, &request),
        segment(START + 300 * MS, CLIENT, SERVER, 1, &request),
    ]);
    assert_eq!(app(&records[0]).http.unwrap().requests, 1);
}

#[test]
fn a_request_sent_again_after_its_flow_had_ended_unanswered_counts_once() {
    let request = get("/a");
    let records = run(&[
        segment(START, CLIENT, SERVER, 1, &request),
        segment(START + 7 * SECOND_US, CLIENT, SERVER, 1, &request),
        segment(START + 8 * SECOND_US, CLIENT, SERVER, 1 + request.len() as u32, &request),
    ]);
    let requests: Vec<_> = records.iter().map(|flow| app(flow).http.map_or(0, |http| http.requests)).collect();
    assert_eq!((requests, records[0].flow_id), (vec![1, 1], records[1].flow_id));
}

#[test]
fn a_syn_with_payload_is_followed_by_what_comes_next() {
    let request = get("/a");
    let mut opening = segment(START, CLIENT, SERVER, 0, &request[..20]);
    if let Body::Ip(IpPacket { transport: Transport::Tcp(tcp), .. }) = &mut opening.body {
        tcp.flags = SYN;
    }
    let records = run(&[opening, segment(START + MS, CLIENT, SERVER, 21, &request[20..])]);
    assert_eq!(app(&records[0]).http.unwrap().host, "x.example");
}

#[test]
fn every_datagram_of_dns_counts() {
    let mut packets: Vec<_> =
        (0..40).map(|number| datagram(START + number * 100 * MS, CLIENT, RESOLVER, QUERY)).collect();
    packets.push(datagram(START + 5 * SECOND_US, RESOLVER, CLIENT, &[&QUERY[..2], b"\x81\x83", &QUERY[4..]].concat()));
    let records = run(&packets);
    let dns = app(&records[0]).dns.unwrap();
    assert_eq!((dns.queries, dns.responses, dns.nxdomain, &*dns.query), (40, 1, 1, "a.example"));
}

#[test]
fn a_conversation_that_was_not_understood_is_read_again_where_a_message_begins() {
    let noise = [0x55; 600];
    let mut packets: Vec<_> =
        (0..6).map(|number| segment(START + i64::from(number), SERVER, CLIENT, 1 + 600 * number, &noise)).collect();
    packets.push(segment(START + MS, CLIENT, SERVER, 1, &get("/late")));
    let (records, table) = run_with(FlowConfig { warm_up: 0, ..FlowConfig::default() }, &packets);
    assert_eq!(app(&records[0]).http.unwrap().path_segment, "late");
    assert_eq!(table.applications().get("unknown"), Some(&1));
    assert_eq!(table.applications().get("http"), Some(&1));
}

#[test]
fn flows_are_counted_by_what_they_speak() {
    let (_, table) = run_with(
        FlowConfig::default(),
        &[
            datagram(START, CLIENT, RESOLVER, QUERY),
            datagram(START, ("10.0.0.8", 5), ("10.0.0.9", 6), b"?"),
            segment(START + 1, CLIENT, SERVER, 1, &get("/")),
            segment(START + 2, CLIENT, SERVER, 90_000, &get("/")),
            tcp(START, CLIENT, ("10.0.0.4", 9), SYN),
        ],
    );
    let counted: Vec<_> = table.applications().iter().map(|(name, flows)| (*name, *flows)).collect();
    assert_eq!(counted, [("dns", 1), ("http", 1), ("unknown", 1)]);
}

#[test]
fn nothing_is_held_of_flows_that_have_ended() {
    let mut table = FlowTable::new(FlowConfig { flow_table: 50, ..FlowConfig::default() });
    let mut records = Vec::new();
    for number in 0..2000_u16 {
        let client = ("10.0.0.9", 10_000 + number);
        let time = START + i64::from(number) * 10 * MS;
        table.packet(&segment(time, client, SERVER, 1, b"HTTP"), &mut records);
        table.packet(&segment(time, client, RESOLVER, 1, &get("/")), &mut records);
    }
    assert!(table.read_memory() < 50 * 4096, "{}", table.read_memory());
    table.finish(&mut records);
    assert_eq!(table.read_memory(), 0);
    assert!(records.iter().any(|flow| flow.end_reason == EndReason::Evicted));
}

/// Every text that a protocol lets a stranger choose.
fn strangers_words(word: &str) -> Vec<Packet> {
    let label = [&[word.len() as u8][..], word.as_bytes()].concat();
    let query = [&QUERY[..12], &label, b"\x07example\0\0\x01\0\x01"].concat();
    let request = format!("GET /{word}/{word}?{word} HTTP/1.1\r\nHost: {word}.example\r\nUser-Agent: {word}\r\n\r\n");
    let texts: [(u16, Vec<u8>); 9] = [
        (80, request.into_bytes()),
        (80, format!("CONNECT {word}.example:443 HTTP/1.1\r\n\r\n").into_bytes()),
        (22, format!("SSH-2.0-{word}\r\n").into_bytes()),
        (21, format!("USER {word}\r\nPASS {word}\r\n").into_bytes()),
        (25, format!("EHLO {word}\r\nAUTH PLAIN {word}\r\n").into_bytes()),
        (6667, format!("NICK {word}\r\nUSER {word} 0 * :{word}\r\nJOIN #{word}\r\n").into_bytes()),
        (3389, [b"\x03\0\0\x2a\x25\xe0\0\0\0\0\0Cookie: mstshash=", word.as_bytes(), b"\r\n"].concat()),
        (443, crate::application::tls::tests::hello_naming(word)),
        (9999, [b"\x20\0\0\0".as_slice(), word.as_bytes()].concat()),
    ];
    let mut packets = Vec::new();
    for (number, (port, text)) in texts.iter().enumerate() {
        let client = ("10.0.0.9", 40_000 + number as u16);
        packets.push(segment(START + number as i64, client, ("10.0.0.2", *port), 1, text));
        packets.push(segment(START + 50 + number as i64, ("10.0.0.2", *port), client, 1, text));
    }
    packets.push(datagram(START + 100, CLIENT, RESOLVER, &query));
    packets
}

fn printed(records: &[Flow]) -> String {
    records.iter().map(|flow| serde_json::to_string(flow.app.as_deref().unwrap_or(&App::default())).unwrap()).collect()
}

proptest! {
    #[test]
    fn without_names_no_word_of_the_payload_is_in_a_record(word in "[a-z]{9,14}") {
        let packets = strangers_words(&word);
        let told = run(&packets);
        prop_assert!(printed(&told).matches(&word).count() >= 8, "{}", printed(&told));
        let (withheld, _) = run_with(FlowConfig { warm_up: 0, names: false, ..FlowConfig::default() }, &packets);
        prop_assert!(!printed(&withheld).contains(&word), "{}", printed(&withheld));
        let everything = format!("{withheld:?}");
        prop_assert!(!everything.contains(&word));
        let names = |records: &[Flow]| records.iter().map(|flow| app(flow).name).collect::<Vec<_>>();
        prop_assert_eq!(names(&told), names(&withheld));
    }

    /// Whatever the payload, counters of packets are those without it.
    #[test]
    fn payload_changes_nothing_but_the_application(payloads in proptest::collection::vec((any::<bool>(), prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..300), Just(get("/")), Just(QUERY.to_vec()),
    ]), 1..20)) {
        let mut packets = Vec::new();
        let mut next = [1_u32; 2];
        for (number, (is_forward, payload)) in payloads.iter().enumerate() {
            let (from, to, end) = if *is_forward { (CLIENT, SERVER, 0) } else { (SERVER, CLIENT, 1) };
            packets.push(segment(START + number as i64 * 700 * MS, from, to, next[end], payload));
            next[end] += payload.len() as u32;
        }
        let bare: Vec<_> = packets.iter().cloned().map(|mut packet| {
            if let Body::Ip(ip) = &mut packet.body {
                ip.head = None;
            }
            packet
        }).collect();
        let without_app: Vec<_> = run(&packets).into_iter().map(|flow| Flow { app: None, ..flow }).collect();
        prop_assert_eq!(without_app, run(&bare));
    }
}
