//! One table row per rule of orientation.

use weir_schemas::{EndReason, Host, Initiator, Outcome};

use super::*;

#[test]
fn each_rule_names_the_source() {
    let dns = ("10.0.0.2", 53);
    let cases: Vec<(&str, Vec<Packet>, &str, Initiator)> = vec![
        ("1 syn", vec![tcp(START, CLIENT, SERVER, SYN)], CLIENT.0, Initiator::Syn),
        ("1 syn to a high port", vec![tcp(START, SERVER, CLIENT, SYN)], SERVER.0, Initiator::Syn),
        ("2 syn-ack", vec![tcp(START, CLIENT, SERVER, SYN | ACK)], SERVER.0, Initiator::SynAck),
        ("3 null", vec![tcp(START, SERVER, CLIENT, 0)], SERVER.0, Initiator::Probe),
        ("3 fin", vec![tcp(START, SERVER, CLIENT, FIN)], SERVER.0, Initiator::Probe),
        ("3 xmas", vec![tcp(START, SERVER, CLIENT, FIN | PSH | URG)], SERVER.0, Initiator::Probe),
        (
            "3 bare ack, reset",
            vec![tcp(START, CLIENT, ("10.0.0.2", 50000), ACK), tcp(START + 1, ("10.0.0.2", 50000), CLIENT, RST)],
            CLIENT.0,
            Initiator::Probe,
        ),
        (
            "not 3: a well-known port's ack, reset",
            vec![tcp(START, SERVER, CLIENT, ACK), tcp(START + 1, CLIENT, SERVER, RST)],
            CLIENT.0,
            Initiator::Port,
        ),
        ("4 dns query", vec![udp(START, CLIENT, dns, Some(false))], CLIENT.0, Initiator::FirstPacket),
        ("4 dns response", vec![udp(START, dns, CLIENT, Some(true))], CLIENT.0, Initiator::FirstPacket),
        ("4 echo", vec![icmp(START, CLIENT.0, SERVER.0, 8, 7)], CLIENT.0, Initiator::FirstPacket),
        ("4 echo reply", vec![icmp(START, SERVER.0, CLIENT.0, 0, 7)], CLIENT.0, Initiator::FirstPacket),
        ("4 arp request", vec![arp(START, 1, CLIENT.0, SERVER.0)], CLIENT.0, Initiator::FirstPacket),
        ("4 arp reply", vec![arp(START, 2, SERVER.0, CLIENT.0)], CLIENT.0, Initiator::FirstPacket),
        ("4 first packet", vec![udp(START, CLIENT, SERVER, None)], CLIENT.0, Initiator::FirstPacket),
        (
            "4 first packet between ports of no service",
            vec![udp(START, ("10.0.0.2", 40000), ("10.0.0.9", 60000), None)],
            "10.0.0.2",
            Initiator::FirstPacket,
        ),
        ("not 4: an answer from a service's port", vec![udp(START, SERVER, CLIENT, None)], CLIENT.0, Initiator::Port),
        ("5 well-known port", vec![tcp(START, SERVER, CLIENT, ACK | PSH)], CLIENT.0, Initiator::Port),
        (
            "5 shipped table",
            vec![tcp(START, ("10.0.0.9", 3306), ("10.0.0.2", 2000), ACK | PSH)],
            "10.0.0.2",
            Initiator::Port,
        ),
        ("6 higher port", vec![tcp(START, ("10.0.0.2", 40000), ("10.0.0.9", 40001), ACK)], "10.0.0.9", Initiator::Port),
        (
            "7 smaller address",
            vec![tcp(START, ("10.0.0.9", 40000), ("10.0.0.2", 40000), ACK)],
            "10.0.0.2",
            Initiator::Address,
        ),
    ];
    for (name, packets, expected, initiator) in cases {
        let records = run(&packets);
        assert_eq!(records.len(), 1, "{name}");
        assert_eq!((source(&records[0]).as_str(), records[0].initiator), (expected, initiator), "{name}");
    }
}

#[test]
fn a_cold_sensor_does_not_trust_the_first_packet() {
    let packets = [udp(START, CLIENT, SERVER, None), udp(START + 5 * SECOND_US, CLIENT, ("10.0.0.2", 81), None)];
    let (records, _) = run_with(FlowConfig::default(), &packets);
    assert_eq!(records[0].initiator, Initiator::Port);
    assert_eq!(records[0].outcome, Outcome::None);
    assert_eq!(records[1].initiator, Initiator::FirstPacket);
    assert_eq!(records[1].outcome, Outcome::Unanswered);
}

#[test]
fn stronger_evidence_within_the_first_record_wins() {
    let packets = [tcp(START, CLIENT, SERVER, SYN | ACK), tcp(START + 1, SERVER, CLIENT, SYN)];
    let records = run(&packets);
    assert_eq!(records.len(), 1);
    assert_eq!((source(&records[0]).as_str(), records[0].initiator), (SERVER.0, Initiator::Syn));
}

#[test]
fn contrary_evidence_after_the_first_export_ends_the_flow() {
    let mut packets = vec![tcp(START, SERVER, CLIENT, ACK | PSH)];
    packets.push(tcp(START + 11 * SECOND_US, CLIENT, SERVER, ACK | PSH));
    packets.push(tcp(START + 12 * SECOND_US, CLIENT, SERVER, SYN | ACK));
    let records = run(&packets);
    assert_eq!(records.len(), 3);
    assert_eq!((source(&records[0]).as_str(), records[0].initiator), (CLIENT.0, Initiator::Port));
    assert_eq!(records[1].end_reason, EndReason::Reoriented);
    assert_eq!((source(&records[2]).as_str(), records[2].initiator), (SERVER.0, Initiator::SynAck));
    assert_ne!(records[0].flow_id, records[2].flow_id);
}

#[test]
fn a_flow_that_resumes_keeps_its_source_for_ten_minutes() {
    let open = [
        udp(START, ("10.0.0.2", 50000), ("10.0.0.9", 60000), None),
        udp(START + MS, ("10.0.0.9", 60000), ("10.0.0.2", 50000), None),
    ];
    for (pause, expected, initiator) in [(500, "10.0.0.2", 4), (700, "10.0.0.9", 4)] {
        let mut packets = open.to_vec();
        packets.push(udp(START + pause * SECOND_US, ("10.0.0.9", 60000), ("10.0.0.2", 50000), None));
        let records = run(&packets);
        assert_eq!(records.len(), 2);
        assert_eq!(source(&records[1]), expected, "after {pause} s");
        assert_eq!(records[1].initiator as i32, initiator);
        // Resumed, it is no attempt; forgotten, it is one.
        assert_eq!(records[1].is_attempt(), pause == 700);
        assert_ne!(records[0].flow_id, records[1].flow_id);
    }
}

#[test]
fn names_stay_names() {
    let records = run(&[tcp(START, ("client.example", 40000), ("server.example", 80), SYN)]);
    assert_eq!(records[0].src.host, Host::Name("client.example".into()));
    assert_eq!(records[0].dst.host, Host::Name("server.example".into()));
}

#[test]
fn an_announcement_to_a_group_names_its_sender() {
    let records = run(&[icmp(START, "10.0.0.2", "224.0.0.1", 9, 0), arp(START, 1, "10.0.0.7", "10.0.0.7")]);
    assert_eq!(source(&records[0]), "10.0.0.2");
    assert_eq!(source(&records[1]), "10.0.0.7");
    assert!(records[1].link.as_ref().unwrap().gratuitous);
    assert_eq!(records[1].outcome, Outcome::None);
}

#[test]
fn answers_whose_requests_were_not_captured_are_no_attempts_of_the_server() {
    for number in 0..30 {
        let records = run(&[udp(START, ("10.0.0.2", 123), ("10.0.0.9", 33000 + number), None)]);
        assert_eq!((source(&records[0]).as_str(), records[0].initiator), ("10.0.0.9", Initiator::Port));
        assert_eq!(records[0].outcome, Outcome::None);
    }
}

#[test]
fn an_error_about_an_answer_does_not_make_the_server_the_source() {
    let service = ("10.0.0.2", 123);
    // The client's socket is closed when the answer comes.
    let late = [
        udp(START, CLIENT, service, None),
        udp(START + MS, service, CLIENT, None),
        icmp_error(START + 2 * MS, CLIENT.0, 3, 3, 17, service, CLIENT),
    ];
    let records = run(&late);
    assert_eq!(records.len(), 1);
    assert_eq!((source(&records[0]).as_str(), records[0].initiator), (CLIENT.0, Initiator::FirstPacket));
    assert_eq!(records[0].outcome, Outcome::Completed);

    // A download seen from its middle, whose segments are too long for a link (RFC 1191).
    let download = [
        tcp_with(START, SERVER, CLIENT, ACK, 100, 1460),
        icmp_error(START + MS, "10.0.0.254", 3, 4, 6, SERVER, CLIENT),
        tcp_with(START + 11 * SECOND_US, SERVER, CLIENT, ACK, 100, 1400),
    ];
    for record in run(&download) {
        assert_eq!((source(&record).as_str(), record.initiator), (CLIENT.0, Initiator::Port));
        assert_ne!(record.end_reason, EndReason::Reoriented);
    }

    // Errors alone: of a scan of services, and of answers to a spoofed source.
    let alone = |from, to| run(&[icmp_error(START, "10.0.0.254", 3, 3, 17, from, to)]).remove(0);
    let scanned = alone(CLIENT, service);
    assert_eq!((source(&scanned).as_str(), scanned.initiator), (CLIENT.0, Initiator::FirstPacket));
    let answered = alone(service, CLIENT);
    assert_eq!((source(&answered).as_str(), answered.initiator), (CLIENT.0, Initiator::Port));
    for record in [scanned, answered] {
        assert_eq!(record.outcome, Outcome::None);
    }
}

#[test]
fn what_trails_a_closed_connection_is_no_probe() {
    let opened = |then: &[Packet]| {
        let mut packets = vec![
            tcp(START, CLIENT, SERVER, SYN),
            tcp(START + MS, SERVER, CLIENT, SYN | ACK),
            tcp(START + 2 * MS, CLIENT, SERVER, ACK),
            tcp(START + 3 * MS, CLIENT, SERVER, FIN | ACK),
            tcp(START + 4 * MS, SERVER, CLIENT, FIN | ACK),
        ];
        packets.extend_from_slice(then);
        run(&packets)
    };
    let later = START + 5 * SECOND_US;
    for flags in [FIN | ACK, FIN, RST, RST | ACK, ACK, ACK | PSH, 0] {
        let records = opened(&[tcp(later, SERVER, CLIENT, flags), tcp(later + MS, CLIENT, SERVER, RST)]);
        assert_eq!(records.iter().filter(|record| record.is_attempt()).count(), 1, "flags {flags:#x}");
        assert!(records.iter().all(|record| source(record) == CLIENT.0), "flags {flags:#x}");
    }
}

#[test]
fn both_ends_open_at_once() {
    let (one, other) = (("10.0.0.2", 40000), ("10.0.0.9", 50000));
    let records = run(&[
        tcp_with(START, one, other, SYN, 100, 0),
        tcp_with(START + 1, other, one, SYN, 900, 0),
        tcp_with(START + MS, one, other, SYN | ACK, 100, 0),
        tcp_with(START + MS + 1, other, one, SYN | ACK, 900, 0),
        tcp_with(START + 2 * MS, one, other, ACK, 101, 10),
    ]);
    assert_eq!(records.len(), 1);
    assert_eq!((source(&records[0]).as_str(), records[0].initiator), (one.0, Initiator::Syn));
    assert_eq!(records[0].outcome, Outcome::Completed);
}

#[test]
fn other_bits_beside_the_syn_do_not_hide_it() {
    const ECE: u8 = 0x40;
    const CWR: u8 = 0x80;
    for flags in [SYN | ECE | CWR, SYN | FIN, SYN | PSH | URG] {
        let records = run(&[tcp(START, CLIENT, SERVER, flags), tcp(START + MS, SERVER, CLIENT, RST | ACK)]);
        assert_eq!((source(&records[0]).as_str(), records[0].initiator), (CLIENT.0, Initiator::Syn));
        assert_eq!(records[0].outcome, Outcome::Refused);
        assert_eq!(records[0].tcp.as_ref().unwrap().first_flags, flags);
    }
}
