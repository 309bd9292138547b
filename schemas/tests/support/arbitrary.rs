//! Arbitrary partials and state slots, and the pieces that all strategies share.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use weir_schemas::partial::{
    DistinctSet, PartialCounts, PartialFlow, PartialSensor, ReceiverCounts, ResponderCounts, SiteCounts,
};
use weir_schemas::{Host, Partial, PartialBody, StateEntry, Text};

/// Text of up to 12 characters of any script; rarely long enough for a length of two bytes.
pub fn any_string() -> impl Strategy<Value = String> {
    prop_oneof![8 => ".{0,12}", 1 => "[a-z]{60,80}"]
}

pub fn any_text() -> impl Strategy<Value = Text> {
    any_string().prop_map(Text::from)
}

/// Mostly small numbers, as on the wire, and all others.
pub fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![0..300_u64, any::<u64>()]
}

pub fn any_host() -> impl Strategy<Value = Host> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Host::V4(Ipv4Addr::from(bits))),
        any::<u128>().prop_map(|bits| Host::V6(Ipv6Addr::from(bits))),
        any_text().prop_map(Host::Name),
    ]
}

fn any_sensors() -> impl Strategy<Value = Vec<PartialSensor>> {
    let sensor =
        (any_text(), any::<u8>(), any_count()).prop_map(|(id, vantage, loss)| PartialSensor { id, vantage, loss });
    vec(sensor, 0..3)
}

fn any_set() -> impl Strategy<Value = DistinctSet> {
    prop_oneof![
        vec(any::<u64>(), 0..20).prop_map(DistinctSet::Exact),
        vec(any::<u8>(), 0..300).prop_map(DistinctSet::Registers),
    ]
}

prop_compose! {
    fn any_partial_flow()(
        flow_id: u64,
        community_id: [u8; 20],
        ends in (any_host(), any::<u16>(), any_host(), any::<u16>()),
        proto: u8,
        first_time: i64,
        packets in any_count(),
        bytes in any_count(),
        outcome: u8,
    ) -> PartialFlow {
        let (src, src_port, dst, dst_port) = ends;
        PartialFlow { flow_id, community_id, src, src_port, dst, dst_port, proto, first_time, packets, bytes, outcome }
    }
}

prop_compose! {
    fn any_receiver()(host in any_host(), n in proptest::array::uniform3(any_count()), sensor_set: u32) -> ReceiverCounts {
        let [packets, bytes, unsolicited_packets] = n;
        ReceiverCounts { host, packets, bytes, unsolicited_packets, sensor_set }
    }
}

prop_compose! {
    fn any_responder()(
        host in any_host(),
        port: u16,
        n in proptest::array::uniform6(any_count()),
        sources in any_set(),
        flows in vec(any_partial_flow(), 0..4),
        sensor_set: u32,
    ) -> ResponderCounts {
        let [syn, attempts, completed, half_open, refused, unanswered] = n;
        ResponderCounts {
            host, port, syn, attempts, completed, half_open, refused, unanswered, sources, flows, sensor_set,
        }
    }
}

prop_compose! {
    fn any_site()(site in any_text(), n in proptest::array::uniform3(any_count()), sensor_set: u32) -> SiteCounts {
        let [packets, bytes, flows] = n;
        SiteCounts { site, packets, bytes, flows, sensor_set }
    }
}

prop_compose! {
    fn any_counts()(
        sensor_sets in vec(any_sensors(), 0..3),
        errors in proptest::array::uniform2(any_count()),
        receivers in vec(any_receiver(), 0..4),
        responders in vec(any_responder(), 0..3),
        sites in vec(any_site(), 0..3),
    ) -> PartialCounts {
        let [receivers_error, responders_error] = errors;
        PartialCounts { sensor_sets, receivers_error, responders_error, receivers, responders, sites }
    }
}

fn any_body() -> impl Strategy<Value = PartialBody> {
    let marker = (any::<bool>(), any::<bool>(), vec(any_string(), 0..3), any::<i64>()).prop_map(
        |(ended, complete, degraded, generation)| PartialBody::Marker { ended, complete, degraded, generation },
    );
    prop_oneof![any_counts().prop_map(PartialBody::Counts), marker]
}

prop_compose! {
    pub fn any_partial()(
        v: u32,
        partition: u32,
        partition_count: u32,
        pane: i64,
        rules_hash: u64,
        body in any_body(),
    ) -> Partial {
        Partial { v, partition, partition_count, pane, rules_hash, body }
    }
}

prop_compose! {
    pub fn any_state()(
        v: u32,
        epoch: u64,
        table in any_string(),
        slot: u32,
        body in vec(any::<u8>(), 0..300),
    ) -> StateEntry {
        StateEntry { v, epoch, table, slot, body }
    }
}

/// An absent or present value, each as often.
pub fn maybe<S: Strategy>(strategy: S) -> impl Strategy<Value = Option<S::Value>> {
    option::of(strategy)
}
