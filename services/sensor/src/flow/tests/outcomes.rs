//! What becomes of attempts: a table of exchanges.

use weir_schemas::{EndReason, Outcome};

use super::*;

#[test]
fn each_exchange_has_its_outcome() {
    let (c, s) = (CLIENT, SERVER);
    let t = START;
    let cases: Vec<(&str, Vec<Packet>, Outcome)> = vec![
        ("syn, silence", vec![tcp(t, c, s, SYN)], Outcome::Unanswered),
        ("syn, rst", vec![tcp(t, c, s, SYN), tcp(t + 1, s, c, RST | ACK)], Outcome::Refused),
        ("syn, syn-ack", vec![tcp(t, c, s, SYN), tcp(t + 1, s, c, SYN | ACK)], Outcome::HalfOpen),
        (
            "half-open scan",
            vec![tcp(t, c, s, SYN), tcp(t + 1, s, c, SYN | ACK), tcp(t + 2, c, s, RST)],
            Outcome::HalfOpen,
        ),
        ("handshake", vec![tcp(t, c, s, SYN), tcp(t + 1, s, c, SYN | ACK), tcp(t + 2, c, s, ACK)], Outcome::Completed),
        (
            "ack after the timeout",
            vec![tcp(t, c, s, SYN), tcp(t + 1, s, c, SYN | ACK), tcp(t + 3 * SECOND_US, c, s, ACK)],
            Outcome::HalfOpen,
        ),
        ("handshake, one way only", vec![tcp(t, c, s, SYN), tcp(t + 2, c, s, ACK)], Outcome::Completed),
        (
            "syn, port unreachable",
            vec![tcp(t, c, s, SYN), icmp_error(t + 1, "10.0.0.1", 3, 3, 6, c, s)],
            Outcome::Refused,
        ),
        (
            "syn, time exceeded",
            vec![tcp(t, c, s, SYN), icmp_error(t + 1, "10.0.0.1", 11, 0, 6, c, s)],
            Outcome::Expired,
        ),
        (
            "fragmentation needed is no refusal",
            vec![udp(t, c, s, None), icmp_error(t + 1, "10.0.0.1", 3, 4, 17, c, s)],
            Outcome::Unanswered,
        ),
        ("syn-ack alone", vec![tcp(t, s, c, SYN | ACK)], Outcome::None),
        ("midstream", vec![tcp(t, c, s, ACK | PSH), tcp(t + 1, s, c, ACK)], Outcome::None),
        ("null, rst", vec![tcp(t, c, s, 0), tcp(t + 1, s, c, RST | ACK)], Outcome::Refused),
        ("fin, rst", vec![tcp(t, c, s, FIN), tcp(t + 1, s, c, RST | ACK)], Outcome::Refused),
        ("xmas, silence", vec![tcp(t, c, s, FIN | PSH | URG)], Outcome::Unanswered),
        ("ack, rst", vec![tcp(t, c, s, ACK), tcp(t + 1, s, c, RST)], Outcome::Refused),
        ("ack, silence", vec![tcp(t, c, s, ACK)], Outcome::None),
        ("udp, silence", vec![udp(t, c, s, None)], Outcome::Unanswered),
        ("udp, answer", vec![udp(t, c, s, None), udp(t + 1, s, c, None)], Outcome::Completed),
        ("udp, unreachable", vec![udp(t, c, s, None), icmp_error(t + 1, SERVER.0, 3, 3, 17, c, s)], Outcome::Refused),
        ("dns answer alone", vec![udp(t, ("10.0.0.2", 53), c, Some(true))], Outcome::None),
        ("ping", vec![icmp(t, c.0, s.0, 8, 1), icmp(t + 1, s.0, c.0, 0, 1)], Outcome::Completed),
        ("ping, silence", vec![icmp(t, c.0, s.0, 8, 1)], Outcome::Unanswered),
        (
            "ping, expired",
            vec![icmp(t, c.0, s.0, 8, 1), icmp_error(t + 1, "10.0.0.1", 11, 0, 1, (c.0, 1), (s.0, 0))],
            Outcome::Expired,
        ),
        ("arp", vec![arp(t, 1, c.0, s.0), arp(t + 1, 2, s.0, c.0)], Outcome::Completed),
        ("arp, silence", vec![arp(t, 1, c.0, s.0)], Outcome::Unanswered),
    ];
    for (name, packets, expected) in cases {
        let mut later = packets.clone();
        // Once as the input ends, and once with time going on.
        later.push(udp(t + 20 * SECOND_US, ("192.0.2.1", 1), ("192.0.2.2", 2), None));
        for packets in [packets, later] {
            let records = run(&packets);
            assert_eq!(records[0].outcome, expected, "{name}");
            assert!(records[0].is_attempt() || records.iter().take(1).all(|record| record.outcome == Outcome::None));
        }
    }
}

#[test]
fn attempt_and_outcome_stand_in_the_record_of_the_first_packet() {
    // The answer comes in the next pane.
    let end = START + 10 * SECOND_US;
    let packets = [
        tcp(end - MS, CLIENT, SERVER, SYN),
        tcp(end + MS, SERVER, CLIENT, SYN | ACK),
        tcp(end + 2 * MS, CLIENT, SERVER, ACK),
    ];
    let records = run(&packets);
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].event_time, records[0].outcome), (end - MS, Outcome::Completed));
    assert_eq!((records[1].event_time, records[1].outcome), (end + MS, Outcome::None));
    let (first, second) = (records[0].tcp.as_ref().unwrap(), records[1].tcp.as_ref().unwrap());
    assert_eq!((&*first.state, first.history.as_str(), first.syn_rtt_us), ("S0", "S", None));
    assert_eq!((&*second.state, second.history.as_str()), ("S1", "ShA"));
    assert_eq!((second.syn_rtt_us, second.ack_rtt_us), (Some(2000), Some(1000)));
    assert_eq!(records[0].flow_id, records[1].flow_id);
    assert_eq!((records[0].export_index, records[1].export_index), (0, 1));
}

#[test]
fn a_whole_connection_is_told_in_zeeks_words() {
    let (c, s) = (CLIENT, SERVER);
    let close = |flags| vec![tcp_with(START + 9, c, s, flags, 0, 0), tcp_with(START + 10, s, c, FIN | ACK, 0, 0)];
    let mut packets = vec![
        tcp(START, c, s, SYN),
        tcp(START + 30 * MS, s, c, SYN | ACK),
        tcp(START + 31 * MS, c, s, ACK),
        tcp_with(START + 32 * MS, c, s, ACK | PSH, 101, 200),
        tcp_with(START + 33 * MS, s, c, ACK | PSH, 101, 900),
    ];
    packets.extend(close(FIN | ACK).into_iter().map(|mut packet| {
        packet.time += 40 * MS;
        packet
    }));
    packets.push(tcp(START + 60 * MS, c, s, ACK));
    let records = run(&packets);
    assert_eq!(records.len(), 1);
    let tcp = records[0].tcp.as_ref().unwrap();
    assert_eq!((&*tcp.state, tcp.history.as_str()), ("SF", "ShADdFf"));
    assert_eq!(records[0].end_reason, EndReason::Fin);
    assert_eq!((tcp.fwd.syn, tcp.rev.syn_ack, tcp.fwd.fin, tcp.rev.fin), (1, 1, 1, 1));
    assert_eq!((records[0].fwd.packets, records[0].rev.packets), (5, 3));
    assert_eq!((records[0].fwd.payload, records[0].rev.payload), (200, 900));
    assert_eq!(records[0].vantage, 3);
}

#[test]
fn scans_make_one_attempt_a_port() {
    for (flags, expected) in [(SYN, Outcome::Refused), (FIN, Outcome::Refused), (0, Outcome::Refused)] {
        let packets: Vec<_> = (1..=200_u16)
            .flat_map(|port| {
                let time = START + Micros::from(port) * MS;
                let target = ("10.0.0.2", port);
                [tcp(time, CLIENT, target, flags), tcp(time + 10, target, CLIENT, RST | ACK)]
            })
            .collect();
        let records = run(&packets);
        assert_eq!(records.len(), 200);
        for record in &records {
            assert_eq!((source(record).as_str(), record.outcome), (CLIENT.0, expected));
            assert_eq!(record.tcp.as_ref().unwrap().first_flags, flags);
        }
    }
}

#[test]
fn a_syn_sent_again_after_its_reset_is_no_second_attempt() {
    // Windows insists after a RST: the same SYN, half a second later; the table may have ended the flow by then.
    for pause in [500 * MS, 3 * SECOND_US] {
        let mut packets = Vec::new();
        for number in 0..5 {
            packets.push(tcp_with(START + number * pause, CLIENT, SERVER, SYN, 7, 0));
            packets.push(tcp(START + number * pause + MS, SERVER, CLIENT, RST | ACK));
        }
        let records = run(&packets);
        let attempts: Vec<_> = records.iter().filter(|record| record.is_attempt()).collect();
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].outcome, Outcome::Refused);
        assert!(records.iter().all(|record| record.flow_id == records[0].flow_id));
        let syns: u32 = records.iter().map(|record| record.tcp.as_ref().unwrap().fwd.syn).sum();
        assert_eq!(syns, 5);
    }

    // Another sequence number is another attempt: the port is used again.
    let reused = [
        tcp_with(START, CLIENT, SERVER, SYN, 7, 0),
        tcp(START + MS, SERVER, CLIENT, RST | ACK),
        tcp_with(START + 500 * MS, CLIENT, SERVER, SYN, 8, 0),
        tcp(START + 501 * MS, SERVER, CLIENT, RST | ACK),
    ];
    assert_eq!(run(&reused).iter().filter(|record| record.is_attempt()).count(), 2);
}
