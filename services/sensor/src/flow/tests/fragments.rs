//! Fragments count to the flow of their datagram.

use super::lifetimes::attempts;
use super::*;
use crate::decode::{LinkType, decode_frame};

/// The fragments of a SYN, eight bytes of data in each, as scanners send them to hide its flags.
fn syn_in_pieces(time: Micros, id: u8) -> Vec<Packet> {
    let segment = [0x9c, 0x40, 0, 80, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, SYN, 4, 0, 0, 0, 0, 0];
    let pieces = segment.chunks(8).enumerate().map(|(number, data)| {
        let (length, more) = (20 + data.len() as u8, if number < 2 { 0x20 } else { 0 });
        let header = [0x45, 0, 0, length, 0, id, more, number as u8, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let bytes = [header.as_slice(), data].concat();
        *decode_frame(LinkType::RawIp, time + number as Micros, &bytes, bytes.len() as u32).0
    });
    pieces.collect()
}

#[test]
fn a_syn_in_pieces_is_an_attempt() {
    let mut packets = syn_in_pieces(START, 1);
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let ordered: Vec<Packet> = order.iter().map(|&place: &usize| packets[place].clone()).collect();
        let records = run(&ordered);
        assert_eq!((records.len(), attempts(&records)), (1, 1), "{order:?}");
        let record = &records[0];
        assert_eq!((record.fwd.packets, record.fwd.bytes, record.dst.port), (3, 80, 80), "{order:?}");
        assert_eq!((record.fwd.fragments, record.rev.fragments), (3, 0), "{order:?}");
        assert_eq!(record.tcp.as_ref().unwrap().fwd.syn, 1);
    }
    // Without its last piece it is nothing that can be told, and counts nevertheless.
    packets.pop();
    let records = run(&packets);
    assert_eq!((records.len(), attempts(&records)), (1, 0));
    assert_eq!((records[0].fwd.packets, records[0].fwd.bytes, records[0].dst.port), (2, 56, 0));
}

#[test]
fn what_gives_up_waiting_is_not_late() {
    let mut packets = syn_in_pieces(START, 1);
    packets.pop();
    let other = udp(START + 45 * SECOND_US, CLIENT, SERVER, None);
    packets.push(other.clone());
    let records = run(&packets);
    let hidden = records.iter().find(|record| record.proto == 6).unwrap();
    assert_eq!((hidden.event_time, hidden.fwd.packets, hidden.fwd.fragments), (other.time, 2, 2));
    let whole = records.iter().find(|record| record.proto == 17).unwrap();
    assert_eq!((whole.fwd.packets, whole.fwd.fragments), (1, 0));
}

#[test]
fn without_memory_for_fragments_they_count_without_ports() {
    let config = FlowConfig { warm_up: 0, fragment_memory: 0, ..FlowConfig::default() };
    let (records, table) = run_with(config, &syn_in_pieces(START, 1));
    assert_eq!((records.len(), records[0].fwd.packets, records[0].dst.port), (1, 3, 0));
    assert_eq!(table.counters().fragments.fragments, 3);
}
