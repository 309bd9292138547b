//! Properties over arbitrary packets.

use std::collections::BTreeMap;

use proptest::prelude::*;
use weir_schemas::pane_start;

use super::*;

fn any_packet() -> impl Strategy<Value = (Micros, Packet)> {
    let host = prop::sample::select(vec!["10.0.0.1", "10.0.0.2", "2001:db8::1", "name.example"]);
    let port = prop::sample::select(vec![53_u16, 80, 3306, 40000, 50000]);
    // Gaps from none to past the idle timeout.
    let gap = prop_oneof![6 => 0..100_000_i64, 3 => 0..4_000_000_i64, 1 => 0..90_000_000_i64];
    (gap, host.clone(), host, port.clone(), port, 0_u8..10, any::<u8>(), 0_u32..3).prop_map(
        |(gap, from, to, from_port, to_port, kind, flags, number)| {
            let (from_end, to_end) = ((from, from_port), (to, to_port));
            let packet = match kind {
                0..=4 => tcp_with(0, from_end, to_end, flags & 0x3f, number, number * 10),
                5 => udp(0, from_end, to_end, None),
                6 => udp(0, from_end, to_end, Some(flags & 1 == 0)),
                7 => icmp(0, from, to, flags % 20, number as u16),
                8 => icmp_error(0, "10.0.0.7", 3, flags % 16, if flags & 1 == 0 { 6 } else { 17 }, from_end, to_end),
                _ if flags & 1 == 0 => fragment(udp(0, from_end, to_end, None), number, u16::from(flags & 2) * 740),
                _ => arp(0, 1 + u16::from(flags & 2) / 2, from, to),
            };
            (gap, packet)
        },
    )
}

/// Packets in order of time, some gaps apart.
fn any_capture() -> impl Strategy<Value = Vec<Packet>> {
    prop::collection::vec(any_packet(), 1..300).prop_map(|packets| {
        let mut time = START;
        packets
            .into_iter()
            .map(|(gap, mut packet)| {
                time += gap;
                packet.time = time;
                packet
            })
            .collect()
    })
}

fn check(config: FlowConfig, packets: &[Packet]) -> Result<Vec<Flow>, TestCaseError> {
    let limit = config.flow_table as u64;
    let mut table = FlowTable::new(config);
    let mut records = Vec::new();
    let mut promised = Micros::MIN;
    for packet in packets {
        let sent = records.len();
        table.advance(packet.time, &mut records);
        prop_assert!(records[sent..].iter().all(|record: &Flow| record.event_time >= promised));
        promised = promised.max(table.least_unsent().unwrap_or(packet.time).min(packet.time));
        let sent = records.len();
        table.packet(packet, &mut records);
        prop_assert!(records[sent..].iter().all(|record| record.event_time >= promised));
        prop_assert!(table.counters().active <= limit);
    }
    table.finish(&mut records);
    prop_assert!(records.iter().rev().take(1).all(|record| record.event_time >= promised));

    let counters = table.counters();
    let sum = |count: fn(&Flow) -> u64| records.iter().map(count).sum::<u64>();
    prop_assert_eq!(sum(|record| record.fwd.packets + record.rev.packets), packets.len() as u64);
    prop_assert_eq!(sum(|record| record.fwd.bytes + record.rev.bytes), counters.bytes);
    prop_assert_eq!(counters.packets, packets.len() as u64);
    prop_assert_eq!(counters.exported, records.len() as u64);
    prop_assert_eq!((counters.active, table.least_unsent()), (0, None));

    prop_assert!(records.is_sorted_by_key(|record| pane_start(record.event_time)));
    let mut next_index = BTreeMap::new();
    for record in &records {
        prop_assert!(record.first_time >= pane_start(record.event_time));
        prop_assert!(record.last_time < pane_start(record.event_time) + weir_schemas::PANE_US);
        prop_assert!(record.fwd.packets + record.rev.packets > 0);
        // Two flows of the same ends that begin in the same microsecond share an id; both begin at index 0.
        let index = next_index.entry((record.flow_id, record.community_id)).or_insert(0);
        prop_assert!(record.export_index == *index || record.export_index == 0);
        *index = record.export_index + 1;
        prop_assert!(!record.is_attempt() || record.export_index == 0 && record.initiator.is_evidence());
        // What makes it an attempt was sent by the source. It stands in the pane of the flow's first packet, which may lie before:
        // an answer can overtake its SYN across the grid.
        let shows_attempt = |slice: &Flow| {
            let syns = slice.tcp.as_ref().map_or(0, |tcp| tcp.fwd.syn);
            slice.fwd.packets > 0 && (slice.initiator != weir_schemas::Initiator::Syn || syns > 0)
        };
        let of_flow = |slice: &&Flow| (slice.flow_id, slice.community_id) == (record.flow_id, record.community_id);
        prop_assert!(!record.is_attempt() || records.iter().filter(of_flow).any(shows_attempt), "{record:?}");
    }
    Ok(records)
}

proptest! {
    #[test]
    fn nothing_is_lost_and_order_holds(packets in any_capture(), warm_up in prop::bool::ANY) {
        let warm_up = if warm_up { 0 } else { 5 * SECOND_US };
        check(FlowConfig { warm_up, ..FlowConfig::default() }, &packets)?;
    }

    #[test]
    fn a_small_table_loses_nothing_either(packets in any_capture(), flow_table in 1_usize..6) {
        check(FlowConfig { warm_up: 0, flow_table, ..FlowConfig::default() }, &packets)?;
    }

    #[test]
    fn long_timeouts_keep_the_order(packets in any_capture(), seconds in 1_i64..40) {
        check(FlowConfig { warm_up: 0, unanswered_timeout: seconds * SECOND_US, ..FlowConfig::default() }, &packets)?;
    }

    /// When the clock is moved between packets, and how often, makes no difference: steps are of any size.
    #[test]
    fn steps_make_no_difference(packets in any_capture(), steps in prop::collection::vec(0_i64..3_000_000, 300)) {
        let config = FlowConfig { warm_up: 0, ..FlowConfig::default() };
        let whole = run_with(config.clone(), &packets).0;
        let mut table = FlowTable::new(config);
        let mut stepped = Vec::new();
        for (index, packet) in packets.iter().enumerate() {
            table.packet(packet, &mut stepped);
            let next = packets.get(index + 1).map_or(packet.time, |next| next.time);
            table.advance((packet.time + steps[index]).min(next), &mut stepped);
        }
        table.finish(&mut stepped);
        prop_assert_eq!(whole, stepped);
    }

    /// Out of order, nothing is lost, and what was promised is exact for everything still in the table.
    #[test]
    fn disorder_loses_nothing(packets in any_capture(), keys in prop::collection::vec(any::<u32>(), 300)) {
        let mut shuffled: Vec<_> = keys.into_iter().zip(packets).collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let mut table = FlowTable::new(FlowConfig { warm_up: 0, ..FlowConfig::default() });
        let mut records = Vec::new();
        for (_, packet) in &shuffled {
            table.packet(packet, &mut records);
        }
        // Fragments that wait for their first one count at the time of the newest packet, should that never come.
        let newest = shuffled.iter().map(|(_, packet)| packet.time).max().unwrap_or(Micros::MIN);
        let least = table.least_unsent().unwrap_or(newest);
        let sent = records.len();
        table.finish(&mut records);
        prop_assert!(records[sent..].iter().all(|record| record.event_time >= least));
        let total: u64 = records.iter().map(|record| record.fwd.packets + record.rev.packets).sum();
        prop_assert_eq!(total, shuffled.len() as u64);
    }
}
