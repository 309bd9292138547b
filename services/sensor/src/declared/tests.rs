//! The declared path as a whole: halves joined, sources and outcomes found, shares in order.

use proptest::prelude::*;
use weir_schemas::flow::{VANTAGE_FORWARD, VANTAGE_REVERSE};
use weir_schemas::{End, EndReason, Flow, Host, Initiator, Micros, Outcome, PANE_US, SECOND_US, pane_start};

use super::{ConnState, DeclaredFlow, DeclaredTable, Measured};
use crate::flow::FlowConfig;

const START: Micros = 1_700_000_000 * SECOND_US;
const MS: Micros = 1000;
const CLIENT: (&str, u16) = ("10.0.0.9", 40000);
const SERVER: (&str, u16) = ("10.0.0.2", 80);
const S: u8 = 0x02;
const SA: u8 = 0x12;
const RA: u8 = 0x14;
const SAPF: u8 = 0x1b;

fn flow(at: Micros, duration: Micros, from: (&str, u16), to: (&str, u16), proto: u8) -> DeclaredFlow {
    let end = |(host, port)| End::new(Host::parse(host), port);
    let fwd = Measured { packets: 5, bytes: 1500, payload: None };
    DeclaredFlow { fwd, ..DeclaredFlow::new(end(from), end(to), proto, at, at + duration) }
}

fn half(at: Micros, from: (&str, u16), to: (&str, u16), flags: u8) -> DeclaredFlow {
    DeclaredFlow { flags_fwd: Some(flags), ..flow(at, 500 * MS, from, to, 6) }
}

/// Runs flows, in order of their start, through a table that has been warm for a while.
fn run(flows: Vec<DeclaredFlow>) -> Vec<Flow> {
    let mut table = DeclaredTable::new(FlowConfig { warm_up: 0, ..FlowConfig::default() });
    let mut records = Vec::new();
    for flow in flows {
        assert!(table.advance_part(flow.start, usize::MAX, &mut records));
        table.flow(Box::new(flow), &mut records);
    }
    assert!(table.advance_part(Micros::MAX, usize::MAX, &mut records));
    assert_eq!(table.least_unsent(), None);
    records
}

fn ends(flow: &Flow) -> (String, String) {
    let end = |end: &End| format!("{}:{}", end.host, end.port);
    (end(&flow.src), end(&flow.dst))
}

#[test]
fn two_halves_are_one_flow_whichever_comes_first() {
    let client = half(START, CLIENT, SERVER, SAPF);
    let server = DeclaredFlow {
        fwd: Measured { packets: 7, bytes: 9000, payload: Some(8000) },
        ..half(START + 20 * MS, SERVER, CLIENT, SAPF)
    };
    let late_client = DeclaredFlow { start: START + 20 * MS, ..client.clone() };
    let early_server = DeclaredFlow { start: START, ..server.clone() };
    // With equal times the ports decide, which is no evidence.
    for (flows, initiator, outcome) in [
        (vec![client.clone(), server], Initiator::Syn, Outcome::Completed),
        (vec![client, early_server.clone()], Initiator::Port, Outcome::None),
    ] {
        for order in [[0, 1], [1, 0]] {
            let records = run(order.map(|index| flows[index].clone()).to_vec());
            let [record] = records.as_slice() else { panic!("{records:?}") };
            assert_eq!(ends(record), ("10.0.0.9:40000".into(), "10.0.0.2:80".into()));
            assert_eq!((record.initiator, record.outcome), (initiator, outcome));
            assert_eq!((record.fwd.packets, record.rev.packets, record.rev.payload), (5, 7, 8000));
            assert_eq!(record.vantage, VANTAGE_FORWARD | VANTAGE_REVERSE);
            assert_eq!(record.end_reason, EndReason::Fin);
        }
    }
    // The end that sent its SYN first is the source, whatever its port.
    let [record] = run(vec![early_server, late_client]).try_into().unwrap();
    assert_eq!(ends(&record).0, "10.0.0.2:80");
}

#[test]
fn flags_tell_source_and_outcome() {
    let one = |flags| vec![half(START, CLIENT, SERVER, flags)];
    let answered = |flags, answer| {
        let answer = half(START + MS, SERVER, CLIENT, answer);
        vec![half(START, CLIENT, SERVER, flags), answer]
    };
    let cases = [
        ("SYN alone", one(S), Initiator::Syn, Outcome::Unanswered, "S0"),
        ("SYN, RST-ACK", answered(S, RA), Initiator::Syn, Outcome::Refused, "REJ"),
        ("SYN, SYN-ACK", answered(S, SA), Initiator::Syn, Outcome::HalfOpen, "OTH"),
        ("SYN and RST, SYN-ACK", answered(S | 0x04, SA), Initiator::Syn, Outcome::HalfOpen, "RSTO"),
        ("whole", answered(SAPF, SAPF), Initiator::Syn, Outcome::Completed, "SF"),
        ("a half without its beginning", one(0x18), Initiator::Port, Outcome::None, "OTH"),
        ("a half with SYN and ACK", one(SAPF), Initiator::Port, Outcome::None, "OTH"),
        ("FIN scan", one(0x01), Initiator::Probe, Outcome::Unanswered, "S0"),
        ("Xmas scan, refused", answered(0x29, RA), Initiator::Probe, Outcome::Refused, "REJ"),
    ];
    for (name, flows, initiator, outcome, state) in cases {
        let records = run(flows);
        let [record] = records.as_slice() else { panic!("{name}: {records:?}") };
        assert_eq!(ends(record).0, "10.0.0.9:40000", "{name}");
        let tcp = record.tcp.as_ref().unwrap();
        assert_eq!((record.initiator, record.outcome, &*tcp.state), (initiator, outcome, state), "{name}");
    }
    // All packets of a flow with SYN alone were SYNs; without flags there is no TCP block.
    assert_eq!(run(one(S))[0].tcp.as_ref().unwrap().fwd.syn, 5);
    assert_eq!(run(one(0))[0].tcp, None);
    // One packet of a thousand says nothing about the others.
    let sampled = DeclaredFlow { sampling: 1000, ..half(START, CLIENT, SERVER, S) };
    assert_eq!((run(vec![sampled.clone()])[0].outcome, run(vec![sampled])[0].sampling), (Outcome::None, 1000));
}

#[test]
fn states_tell_the_outcome() {
    let cases = [
        ("S0", "S", Outcome::Unanswered),
        ("REJ", "Sr", Outcome::Refused),
        ("RSTO", "ShR", Outcome::HalfOpen),
        ("RSTO", "ShAR", Outcome::Completed),
        ("S1", "Sh", Outcome::HalfOpen),
        ("S1", "ShADad", Outcome::Completed),
        ("SF", "ShADadFf", Outcome::Completed),
        ("RSTOS0", "SR", Outcome::Unanswered),
        ("OTH", "Dd", Outcome::None),
        ("RSTRH", "^hr", Outcome::None),
    ];
    for (state, history, outcome) in cases {
        let told = DeclaredFlow {
            rev: Some(Measured::default()),
            is_initiator_declared: true,
            is_whole: true,
            state: Some(ConnState { state: state.into(), history: history.into() }),
            ..flow(START, 0, SERVER, CLIENT, 6)
        };
        let [record] = run(vec![told]).try_into().unwrap();
        assert_eq!((ends(&record).0, record.initiator), ("10.0.0.2:80".into(), Initiator::Declared));
        let tcp = record.tcp.unwrap();
        assert_eq!((record.outcome, &*tcp.state, &*tcp.history), (outcome, state, history), "{state} {history}");
    }
}

#[test]
fn silence_is_an_outcome_where_answers_are_told() {
    let query = |at, port| flow(at, 0, ("10.0.0.9", port), ("10.0.0.2", 53), 17);
    let answer = |at, port| flow(at, 0, ("10.0.0.2", 53), ("10.0.0.9", port), 17);
    // An exporter that has told one direction only may know no other.
    assert_eq!(run(vec![query(START, 40000)])[0].outcome, Outcome::None);
    let records = run(vec![query(START, 40000), answer(START + MS, 40000), query(START + 9 * SECOND_US, 40001)]);
    let found: Vec<_> = records.iter().map(|record| (record.src.port, record.initiator, record.outcome)).collect();
    let first = Initiator::FirstPacket;
    assert_eq!(found, [(40000, first, Outcome::Completed), (40001, first, Outcome::Unanswered)]);
    // What comes from a service's port is an answer.
    let [record] = run(vec![answer(START, 40000)]).try_into().unwrap();
    assert_eq!((record.src.port, record.initiator, record.outcome), (40000, Initiator::Port, Outcome::None));
    assert_eq!((record.vantage, record.rev.packets), (VANTAGE_REVERSE, 5));
}

#[test]
fn icmp_types_tell_who_asks() {
    let echo = |at, from, to, kind| DeclaredFlow { icmp: Some((kind, 0)), ..flow(at, 0, (from, 0), (to, 771), 1) };
    let records = run(vec![echo(START, "10.0.0.9", "10.0.0.2", 0), echo(START + MS, "10.0.0.2", "10.0.0.9", 8)]);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(ends(record), ("10.0.0.2:0".into(), "10.0.0.9:0".into()));
    assert_eq!(record.initiator, Initiator::FirstPacket);
}

#[test]
fn pieces_of_a_conversation_share_its_id_and_one_attempt() {
    let minute = 60 * SECOND_US;
    let piece = |at, flags| DeclaredFlow { flags_fwd: Some(flags), ..flow(at, minute - SECOND_US, CLIENT, SERVER, 6) };
    let records = run(vec![piece(START, S), piece(START + minute, 0x18), piece(START + 2 * minute, 0x19)]);
    assert!(records.iter().all(|record| record.flow_id == records[0].flow_id));
    let indices: Vec<u32> = records.iter().map(|record| record.export_index).collect();
    assert_eq!(indices, (0..records.len() as u32).collect::<Vec<_>>());
    assert_eq!(records.iter().filter(|record| record.is_attempt()).count(), 1);
    assert_eq!(records.last().unwrap().fwd.total_packets, 15);

    // A SYN after a SYN is a new connection; after more than the idle timeout anything is.
    let again = run(vec![piece(START, SAPF), piece(START + minute, SAPF)]);
    assert_ne!(again[0].flow_id, again.last().unwrap().flow_id);
    let later = run(vec![piece(START, 0x18), piece(START + 3 * minute, 0x18)]);
    assert_ne!(later[0].flow_id, later.last().unwrap().flow_id);
    // But a SYN that nobody answered, sent again, is the same attempt.
    let retry = run(vec![half(START, CLIENT, SERVER, S), half(START + 7 * SECOND_US, CLIENT, SERVER, S)]);
    assert_eq!(retry[0].flow_id, retry[1].flow_id);
    assert_eq!(retry[1].outcome, Outcome::None);
}

#[test]
fn a_full_table_gives_up_no_volume() {
    let mut table = DeclaredTable::new(FlowConfig { flow_table: 10, ..FlowConfig::default() });
    let mut records = Vec::new();
    for port in 0..100 {
        let long = flow(START, 3600 * SECOND_US, ("10.0.0.9", 1000 + port), SERVER, 6);
        table.flow(Box::new(long), &mut records);
    }
    assert!(table.advance_part(Micros::MAX, usize::MAX, &mut records));
    assert_eq!(records.iter().map(|record| record.fwd.packets).sum::<u64>(), 500);
    assert_eq!(records.iter().map(|record| record.fwd.bytes).sum::<u64>(), 150_000);
    assert!(records.iter().all(|record| pane_start(record.last_time) == pane_start(record.event_time)));
    assert!(table.counters().evicted >= 90);
}

fn any_flow() -> impl Strategy<Value = DeclaredFlow> {
    let end = (0..4_u8, prop::sample::select(vec![53_u16, 80, 40000, 50000]));
    let flags = prop::option::of(prop::sample::select(vec![0, S, SA, RA, SAPF, 0x01, 0x10]));
    let rev = prop::option::of((0..50_u64, 0..50_000_u64));
    let volume = (0..50_u64, 0..50_000_u64);
    let times = (0..120 * SECOND_US, prop_oneof![Just(0), 0..90 * SECOND_US]);
    (end.clone(), end, prop::sample::select(vec![1_u8, 6, 17, 47]), times, volume, rev, flags, any::<bool>()).prop_map(
        |(from, to, proto, (at, duration), (packets, bytes), rev, flags, declared)| {
            let end = |(host, port): (u8, u16)| End::new(Host::parse(&format!("10.0.0.{host}")), port);
            let measured = |packets, bytes| Measured { packets, bytes, payload: None };
            DeclaredFlow {
                fwd: measured(packets, bytes),
                rev: rev.map(|(packets, bytes)| measured(packets, bytes)),
                flags_fwd: flags,
                is_initiator_declared: declared,
                ..DeclaredFlow::new(end(from), end(to), proto, START + at, START + at + duration)
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_is_lost_and_order_is_kept(flows in prop::collection::vec(any_flow(), 0..60)) {
        let mut flows = flows;
        flows.sort_by_key(|flow| flow.start);
        let bytes: u64 = flows.iter().map(|flow| flow.fwd.bytes + flow.rev.map_or(0, |rev| rev.bytes)).sum();
        let records = run(flows);
        prop_assert!(records.iter().map(|record| record.event_time).is_sorted());
        prop_assert_eq!(records.iter().map(|record| record.fwd.bytes + record.rev.bytes).sum::<u64>(), bytes);
        let mut totals = std::collections::BTreeMap::new();
        for record in &records {
            prop_assert!(record.first_time == record.event_time && record.event_time <= record.last_time);
            prop_assert_eq!(pane_start(record.event_time), pane_start(record.last_time));
            prop_assert!(record.fwd.packets + record.rev.packets > 0);
            prop_assert!(!record.is_attempt() || record.initiator.is_evidence());
            // The records of a flow count on from one another, and keep to their source.
            let key = (record.flow_id, ends(record));
            let (index, packets): &mut (u32, u64) = totals.entry(key).or_default();
            prop_assert_eq!(record.export_index, *index);
            prop_assert_eq!(record.fwd.total_packets, *packets + record.fwd.packets);
            (*index, *packets) = (*index + 1, record.fwd.total_packets);
        }
        prop_assert!(records.len() < 60 * (90 * SECOND_US / PANE_US + 2) as usize);
    }
}
