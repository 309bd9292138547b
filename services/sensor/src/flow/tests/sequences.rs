//! What sequences tell: a table of connections that begin alike.

use weir_schemas::Tcp;

use super::*;
use crate::packet::SynShape;

/// A segment with numbers of its own, and an IP identification no other has.
#[derive(Clone, Copy)]
struct Sent {
    time: Micros,
    from_client: bool,
    flags: u8,
    seq: u32,
    ack: u32,
    payload: u32,
    window: u16,
}

/// 20 ms after the handshake began the client asks with 100 bytes; `time` counts from there, in milliseconds.
fn client(time: Micros, seq: u32, ack: u32, payload: u32) -> Sent {
    let time = START + (20 + time) * MS;
    Sent { time, from_client: true, flags: ACK, seq: 1001 + seq, ack: 5001 + ack, payload, window: 1024 }
}

fn server(time: Micros, seq: u32, ack: u32, payload: u32) -> Sent {
    let time = START + (20 + time) * MS;
    Sent { time, from_client: false, flags: ACK, seq: 5001 + seq, ack: 1001 + ack, payload, window: 2048 }
}

fn packet(number: usize, sent: Sent) -> Packet {
    let (from, to) = if sent.from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    let mut packet = tcp_with(sent.time, from, to, sent.flags, sent.seq, sent.payload);
    let Body::Ip(ip) = &mut packet.body else { unreachable!("tcp_with makes IP packets") };
    ip.id = number as u16;
    let Transport::Tcp(segment) = &mut ip.transport else { unreachable!("tcp_with makes segments") };
    (segment.ack, segment.window) = (sent.ack, sent.window);
    packet
}

fn handshake() -> Vec<Sent> {
    let syn = Sent { time: START, flags: SYN, seq: 1000, ack: 0, ..client(0, 0, 0, 0) };
    let syn_ack = Sent { time: START + 10 * MS, flags: SYN | ACK, seq: 5000, ..server(0, 0, 0, 0) };
    vec![syn, syn_ack, Sent { time: START + 12 * MS, ..client(0, 0, 0, 0) }, client(0, 0, 0, 100)]
}

/// The TCP block of a connection that goes on with these.
fn told(rest: &[Sent]) -> Tcp {
    let packets: Vec<_> =
        handshake().iter().chain(rest).enumerate().map(|(number, sent)| packet(number, *sent)).collect();
    let records = run(&packets);
    assert_eq!(records.len(), 1);
    (**records[0].tcp.as_ref().unwrap()).clone()
}

/// Retransmissions, fast and spurious ones, out of order, duplicate ACKs, zero windows, probes, keep-alives, ACKs of
/// what was not captured.
fn counts(tcp: &Tcp) -> [u32; 9] {
    [
        tcp.retrans,
        tcp.fast_retrans,
        tcp.spurious_retrans,
        tcp.out_of_order,
        tcp.dup_ack,
        tcp.zero_window,
        tcp.window_probe,
        tcp.keepalive,
        tcp.ack_unseen,
    ]
}

#[test]
fn each_disturbance_is_told_for_what_it_is() {
    let full = |sent: Sent| Sent { window: 0, ..sent };
    // Three segments of the server, the first of them lost on the way to where it is captured or beyond.
    let gap = [server(1, 100, 100, 100), server(2, 200, 100, 100)];
    let acks = [client(3, 100, 0, 0), client(4, 100, 0, 0), client(5, 100, 0, 0)];
    let cases: Vec<(&str, Vec<Sent>, [u32; 9])> = vec![
        ("nothing", vec![server(1, 0, 100, 50), client(2, 100, 50, 0)], [0; 9]),
        ("a timeout", vec![client(300, 0, 0, 100)], [1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("acknowledged before", vec![server(1, 0, 100, 0), client(300, 0, 0, 100)], [0, 0, 1, 0, 0, 0, 0, 0, 0]),
        ("overtaken", vec![gap[0], server(2, 0, 100, 100)], [0, 0, 0, 1, 0, 0, 0, 0, 0]),
        (
            "asked for, and sent only after a timeout",
            [&gap[..], &acks, &[server(30, 0, 100, 100)]].concat(),
            // All three repeat the ACK that came with the request.
            [1, 0, 0, 0, 3, 0, 0, 0, 0],
        ),
        (
            "asked for, and sent at once",
            [&gap[..], &acks, &[server(20, 0, 100, 100)]].concat(),
            [0, 1, 0, 0, 3, 0, 0, 0, 0],
        ),
        (
            "an update of the window",
            vec![client(1, 100, 0, 0), full(client(2, 100, 0, 0))],
            [0, 0, 0, 0, 1, 1, 0, 0, 0],
        ),
        (
            "a probe and its answer",
            vec![full(server(1, 0, 100, 0)), client(200, 100, 0, 1), full(server(201, 0, 100, 0))],
            [0, 0, 0, 0, 0, 2, 1, 0, 0],
        ),
        (
            "a keep-alive and its answer",
            vec![server(1, 0, 100, 0), client(5000, 99, 0, 1), server(5001, 0, 100, 0), client(9000, 99, 0, 0)],
            [0, 0, 0, 0, 0, 0, 0, 2, 0],
        ),
        ("lost by the capture", vec![server(1, 0, 900, 0), server(2, 0, 900, 0)], [0, 0, 0, 0, 1, 0, 0, 0, 1]),
        ("lost by the path", vec![client(1, 200, 0, 100), client(300, 100, 0, 100)], [1, 0, 0, 0, 0, 0, 0, 0, 0]),
    ];
    for (name, rest, expected) in cases {
        assert_eq!(counts(&told(&rest)), expected, "{name}");
    }
}

#[test]
fn numbers_may_wrap() {
    let near = |sent: &Sent| {
        let base =
            if sent.from_client { (u32::MAX - 1050, u32::MAX - 5020) } else { (u32::MAX - 5020, u32::MAX - 1050) };
        let ack = if sent.flags & ACK == 0 { 0 } else { sent.ack.wrapping_add(base.1) };
        Sent { seq: sent.seq.wrapping_add(base.0), ack, ..*sent }
    };
    let rest = [server(1, 0, 100, 100), client(2, 100, 100, 100), server(3, 100, 200, 0), client(400, 100, 100, 100)];
    let sent: Vec<_> = handshake().iter().chain(&rest).map(near).collect();
    let packets: Vec<_> = sent.iter().enumerate().map(|(number, sent)| packet(number, *sent)).collect();
    let records = run(&packets);
    assert_eq!(counts(records[0].tcp.as_ref().unwrap()), [0, 0, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn round_trips_and_answers_are_measured() {
    let tcp =
        told(&[server(7, 0, 100, 500), client(8, 100, 500, 40), client(9, 140, 500, 60), server(19, 500, 200, 9)]);
    assert_eq!((tcp.syn_rtt_us, tcp.ack_rtt_us), (Some(10_000), Some(2_000)));
    // From the end of what was asked.
    assert_eq!((tcp.response.n, tcp.response.sum_us, tcp.response.max_us), (2, 17_000, 10_000));
}

#[test]
fn windows_and_hop_limits_are_summed() {
    let mut packets: Vec<_> = handshake().iter().enumerate().map(|(number, sent)| packet(number, *sent)).collect();
    if let Body::Ip(ip) = &mut packets[3].body {
        ip.ttl = 60;
    }
    let records = run(&packets);
    let tcp = records[0].tcp.as_ref().unwrap();
    assert_eq!((tcp.fwd_ttl.min, tcp.fwd_ttl.max, tcp.fwd_ttl.sum, tcp.fwd_ttl.changes), (60, 64, 188, 1));
    assert_eq!((tcp.rev_ttl.min, tcp.rev_ttl.changes), (64, 0));
    assert_eq!((tcp.fwd_window.min, tcp.fwd_window.max, tcp.fwd_window.sum), (1024, 1024, 3072));
    assert_eq!(tcp.rev_window.sumsq, 2048 * 2048);
}

#[test]
fn a_frame_captured_twice_is_no_loss() {
    let rest = [server(1, 0, 100, 500), client(2, 100, 500, 0), client(3, 100, 500, 0)];
    let sent: Vec<_> = handshake().into_iter().chain(rest).collect();
    let mut packets = Vec::new();
    for (number, sent) in sent.into_iter().enumerate() {
        let first = packet(number + 1, sent);
        let mut again = first.clone();
        again.time += 400;
        // The other port of the switch: a hop later, perhaps.
        if let Body::Ip(ip) = &mut again.body {
            ip.ttl -= 1;
        }
        packets.extend([first, again]);
    }
    let records = run(&packets);
    let tcp = records[0].tcp.as_ref().unwrap();
    // The last ACK says once more what the one before it said, and is another frame.
    assert_eq!(counts(tcp), [0, 0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(tcp.duplicate_frame, 7);
    assert_eq!((tcp.syn_rtt_us, tcp.ack_rtt_us), (Some(10_000), Some(2_000)));
    assert_eq!(records[0].fwd.packets + records[0].rev.packets, 14);

    // RSTs without identification are as many as were sent.
    let refusal = Sent { flags: RST, ack: 0, ..server(1, 0, 0, 0) };
    let packets: Vec<_> = [handshake(), vec![refusal, refusal]].concat().iter().map(|sent| packet(0, *sent)).collect();
    assert_eq!(run(&packets)[0].tcp.as_ref().unwrap().duplicate_frame, 0);

    // Later than a millisecond it is sent again, whatever its identification says.
    let late = Sent { time: START + 500 * MS, ..handshake()[3] };
    let packets = [handshake(), vec![late]].concat();
    let packets: Vec<_> = packets.iter().map(|sent| packet(7, *sent)).collect();
    assert_eq!(run(&packets)[0].tcp.as_ref().unwrap().retrans, 1);
}

#[test]
fn syns_sent_again_are_counted_without_more() {
    let syn = handshake()[0];
    let again = |seconds: Micros| Sent { time: START + seconds * SECOND_US, ..syn };
    let packets: Vec<_> = [syn, again(1), again(2), again(5)].iter().enumerate().map(|(n, s)| packet(n, *s)).collect();
    let records = run(&packets);
    let resent: u32 = records.iter().map(|record| record.tcp.as_ref().unwrap().retrans).sum();
    assert_eq!(resent, 3);
}

/// A flow that one end alone spoke in ends after three seconds of silence; what it sent then is known when it goes on.
#[test]
fn what_is_sent_again_after_a_long_silence_is_a_retransmission() {
    let question = client(0, 0, 0, 100);
    let again = |seconds: Micros| Sent { time: question.time + seconds * SECOND_US, ..question };
    let next = Sent { time: question.time + 30 * SECOND_US, ..client(0, 100, 0, 100) };
    let packets: Vec<_> =
        [question, again(1), again(6), again(20), next].iter().enumerate().map(|(n, s)| packet(n, *s)).collect();
    let records = run(&packets);
    let resent: u32 = records.iter().map(|record| record.tcp.as_ref().unwrap().retrans).sum();
    assert_eq!(resent, 3);
}

#[test]
fn an_ack_of_what_was_not_captured_is_told_once() {
    let tcp =
        told(&[server(1, 0, 100, 500), client(2, 100, 900, 0), client(3, 100, 900, 100), client(4, 200, 1400, 0)]);
    assert_eq!(tcp.ack_unseen, 2);
}

#[test]
fn timestamps_that_go_back_are_counted() {
    let stamped = |number: usize, sent: Sent, timestamp: u32| {
        let mut packet = packet(number + 1, sent);
        if let Body::Ip(IpPacket { transport: Transport::Tcp(segment), .. }) = &mut packet.body {
            segment.timestamp = Some(timestamp);
            segment.syn = (sent.flags & SYN != 0).then(SynShape::default);
        }
        packet
    };
    let mut packets: Vec<_> = handshake().into_iter().enumerate().map(|(n, sent)| stamped(n, sent, 100)).collect();
    packets.push(stamped(7, client(1, 100, 0, 100), 101));
    packets.push(stamped(8, client(2, 200, 0, 100), 90));
    // Sent again: its old stamp is its own.
    packets.push(stamped(9, client(300, 100, 0, 100), 50));
    assert_eq!(run(&packets)[0].tcp.as_ref().unwrap().ts_backwards, 1);
}
