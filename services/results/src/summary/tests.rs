use proptest::prelude::*;

use super::*;
use crate::flows::{arp, connection, flow, lone_syn};

#[test]
fn totals_protocols_and_flags_add_up() {
    let mut summary = CaptureSummary::default();
    summary.add(&connection("192.0.2.7", ("198.51.100.9", 443), 1_000_000));
    summary.add(&lone_syn("192.0.2.7", ("198.51.100.9", 22), 500_000));
    summary.add(&flow(17, ("192.0.2.7", 5353), ("192.0.2.53", 53), 2_000_000, (1, 60), (1, 200)));
    summary.add(&arp("192.0.2.7", "192.0.2.1", 3_000_000));

    assert_eq!(summary.total(), Volume { packets: 16, bytes: 13_556, flows: 4 });
    assert_eq!(summary.span(), Some((500_000, 4_500_000)));
    let names: Vec<String> = summary.protocols().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["TCP", "ARP", "UDP"]);
    let expected = FlagTotals { syn: 2, syn_ack: 1, ack: 10, fin: 2, rst: 0, psh: 3, urg: 0 };
    assert_eq!(summary.flags(), expected);
    assert_eq!(summary.ports(1).rows[0].0, (6, 443));
    assert_eq!(summary.ports(1).more, 2);
}

#[test]
fn a_slice_is_no_new_flow_and_no_new_attempt() {
    let first = connection("192.0.2.7", ("198.51.100.9", 443), 0);
    let slice = Flow {
        export_index: 1,
        outcome: Outcome::None,
        event_time: 10_000_000,
        last_time: 19_000_000,
        ..first.clone()
    };
    let mut summary = CaptureSummary::default();
    summary.add(&first);
    summary.add(&slice);
    assert_eq!(summary.total().flows, 1);
    assert_eq!(summary.destinations(1).rows[0].1.attempts, 1);
    let conversation = summary.conversations(1).rows[0].1;
    assert_eq!((conversation.flows, conversation.first, conversation.last), (1, Some(0), 19_000_000));
}

#[test]
fn attempts_stand_at_their_destination_syn_and_syn_ack_apart() {
    let mut summary = CaptureSummary::default();
    for port in 1..=9 {
        summary.add(&lone_syn("192.0.2.7", ("198.51.100.9", port), 0));
    }
    summary.add(&connection("192.0.2.7", ("198.51.100.9", 443), 0));
    let expected = Attempts { syn: 10, syn_ack: 1, attempts: 10, completed: 1 };
    assert_eq!(summary.destinations(5).rows, [(Host::parse("198.51.100.9"), expected)]);
}

#[test]
fn one_sided_views_are_told_from_silence() {
    let only_answers = Flow { vantage: VANTAGE_REVERSE, ..connection("192.0.2.7", ("198.51.100.9", 443), 0) };
    let only_requests = Flow { vantage: VANTAGE_FORWARD, ..connection("192.0.2.7", ("198.51.100.9", 443), 0) };
    let mut summary = CaptureSummary::default();
    for flow in [only_answers, only_requests, lone_syn("192.0.2.7", ("198.51.100.9", 1), 0)] {
        summary.add(&flow);
    }
    summary.add(&connection("192.0.2.7", ("198.51.100.9", 443), 0));
    assert_eq!(summary.one_sided(), (2, 4));
}

proptest! {
    #[test]
    fn totals_stay_exact_whatever_the_tables_forget(
        pairs in prop::collection::vec((0_u8..40, 0_u8..40, 1_u64..9, 0_u64..9), 1..300),
    ) {
        let mut summary = CaptureSummary::with_capacity(8);
        for (a, b, sent, received) in &pairs {
            let (src, dst) = (format!("192.0.2.{a}"), format!("198.51.100.{b}"));
            summary.add(&flow(17, (&src, 9), (&dst, 53), 0, (*sent, sent * 100), (*received, received * 100)));
        }
        let packets: u64 = pairs.iter().map(|(_, _, sent, received)| sent + received).sum();
        prop_assert_eq!(summary.total(), Volume { packets, bytes: packets * 100, flows: pairs.len() as u64 });
        prop_assert_eq!(summary.protocols(), vec![("UDP".to_owned(), summary.total())]);
        prop_assert!(summary.hosts(100).rows.len() <= 8);
        prop_assert!(summary.conversations(100).rows.len() <= 8);
    }
}
