//! When flows begin and end: retries, port reuse, timeouts, eviction, fragments, memory.

use weir_schemas::{EndReason, Outcome};

use super::*;

pub(super) fn attempts(records: &[Flow]) -> usize {
    records.iter().filter(|record| record.is_attempt()).count()
}

fn flows(records: &[Flow]) -> usize {
    let ids: std::collections::BTreeSet<_> = records.iter().map(|record| record.flow_id).collect();
    ids.len()
}

#[test]
fn a_syn_sent_again_is_no_second_attempt() {
    // Linux sends a SYN again after 1, 3, 7, 15 and 31 s (RFC 6298 back-off).
    let packets: Vec<_> =
        [0, 1, 3, 7, 15, 31].iter().map(|second| tcp(START + second * SECOND_US, CLIENT, SERVER, SYN)).collect();
    let records = run(&packets);
    assert_eq!((attempts(&records), flows(&records)), (1, 1));
    assert_eq!(records[0].outcome, Outcome::Unanswered);
    let indices: Vec<_> = records.iter().map(|record| record.export_index).collect();
    assert_eq!(indices, (0..records.len() as u32).collect::<Vec<_>>());
    assert_eq!(records.last().unwrap().fwd.total_packets, 6);
}

#[test]
fn a_new_syn_begins_a_new_flow_where_the_old_one_is_over() {
    let again = |sequence| tcp_with(START + 50 * MS, CLIENT, SERVER, SYN, sequence, 0);
    let syn = tcp(START, CLIENT, SERVER, SYN);
    let cases = vec![
        ("unanswered, same sequence", vec![syn.clone(), again(100)], 1),
        ("unanswered, other sequence", vec![syn.clone(), again(999)], 2),
        ("half-open, other sequence", vec![syn.clone(), tcp(START + 1, SERVER, CLIENT, SYN | ACK), again(999)], 1),
        ("reset, same sequence", vec![syn.clone(), tcp(START + 1, SERVER, CLIENT, RST), again(100)], 1),
        ("reset, other sequence", vec![syn.clone(), tcp(START + 1, SERVER, CLIENT, RST), again(999)], 2),
        ("unreachable", vec![syn.clone(), icmp_error(START + 1, "10.0.0.1", 3, 1, 6, CLIENT, SERVER), again(999)], 2),
        ("midstream", vec![tcp(START, CLIENT, SERVER, ACK), tcp(START + 1, SERVER, CLIENT, ACK), again(1)], 2),
    ];
    for (name, packets, expected) in cases {
        let records = run(&packets);
        assert_eq!(flows(&records), expected, "{name}");
    }
}

#[test]
fn flows_end_for_a_reason_that_is_counted() {
    let tick = |second| udp(START + second * SECOND_US, ("192.0.2.1", 1), ("192.0.2.2", 2), None);
    let mut packets = vec![
        tcp(START, CLIENT, SERVER, SYN),
        udp(START, ("10.0.0.3", 1000), ("10.0.0.4", 2000), None),
        udp(START + 1, ("10.0.0.4", 2000), ("10.0.0.3", 1000), None),
    ];
    packets.extend((1..70).map(tick));
    let (records, table) = run_with(FlowConfig { warm_up: 0, ..FlowConfig::default() }, &packets);
    let ended = table.counters().ended;
    assert_eq!(ended[EndReason::Unanswered as usize], 1);
    assert_eq!(ended[EndReason::Idle as usize], 1);
    assert_eq!(ended[EndReason::Shutdown as usize], 1);
    assert_eq!(records[0].end_reason, EndReason::Unanswered);
    assert_eq!(table.counters().active, 0);
    assert_eq!(table.least_unsent(), None);
}

#[test]
fn a_record_is_exported_when_its_flow_or_its_pane_ends() {
    let mut table = FlowTable::new(FlowConfig { warm_up: 0, ..FlowConfig::default() });
    let mut records = Vec::new();
    table.packet(&tcp(START, CLIENT, SERVER, SYN), &mut records);
    table.packet(&tcp(START + 1, SERVER, CLIENT, RST | ACK), &mut records);
    table.packet(&udp(START + 2, CLIENT, SERVER, None), &mut records);
    table.packet(&udp(START + 3, SERVER, CLIENT, None), &mut records);
    assert_eq!((records.len(), table.least_unsent()), (0, Some(START)));
    table.advance(START + 2 * SECOND_US, &mut records);
    assert_eq!((records.len(), records[0].end_reason), (1, EndReason::Rst));
    assert_eq!(table.least_unsent(), Some(START + 2));
    table.advance(START + 10 * SECOND_US, &mut records);
    assert_eq!((records.len(), records[1].end_reason), (2, EndReason::Active));
    assert_eq!(table.least_unsent(), None);
}

#[test]
fn a_flood_stays_within_the_table() {
    let config = FlowConfig { flow_table: 1000, warm_up: 0, ..FlowConfig::default() };
    let mut table = FlowTable::new(config);
    let mut records = Vec::new();
    for number in 0..20_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(0x0b00_0000 + number).to_string();
        table.packet(&tcp(START + Micros::from(number), (&address, 1234), SERVER, SYN), &mut records);
        assert!(table.counters().active <= 1000);
    }
    assert_eq!(table.counters().evicted, 19_000);
    table.finish(&mut records);
    assert_eq!(records.len(), 20_000);
    assert_eq!(attempts(&records), 20_000);
    // The longest idle goes first, so records come in the order of their packets.
    assert!(records.is_sorted_by_key(|record| record.event_time));
    assert_eq!(records[0].end_reason, EndReason::Evicted);
}

#[test]
fn later_fragments_follow_the_first() {
    let first = fragment(udp(START, CLIENT, SERVER, None), 7, 0);
    let later = |second, id| fragment(udp(START + second * SECOND_US, CLIENT, SERVER, None), id, 1480);
    let records = run(&[first.clone(), later(1, 7)]);
    assert_eq!((records.len(), records[0].fwd.packets, records[0].src.port), (1, 2, 40000));

    let unknown = run(&[later(0, 9)]);
    assert_eq!((unknown[0].src.port, unknown[0].dst.port, unknown[0].outcome), (0, 0, Outcome::None));

    let late = run(&[first, later(31, 7)]);
    assert_eq!((late.len(), late[1].src.port), (2, 0));
}
