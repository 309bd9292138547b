//! A flow record as one line of JSON: the fields of the Avro schema under the same names, numbers of a code as its word,
//! addresses, times and ids as text. What a record does not have is left out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;
use weir_results::text;
use weir_schemas::{App, Counts, End, Flow, Link, Micros, Tcp, Timing, Tunnel, rfc3339};

/// A record, borrowed.
#[derive(Serialize)]
struct FlowLine<'a> {
    kind: &'static str,
    sensor: &'a str,
    site: &'a str,
    #[serde(serialize_with = "as_time")]
    boot: Micros,
    seq: u64,
    input: &'a str,
    sampling: u32,
    #[serde(serialize_with = "as_time")]
    event_time: Micros,
    #[serde(serialize_with = "as_time")]
    first_time: Micros,
    #[serde(serialize_with = "as_time")]
    last_time: Micros,
    clock_offset_us: i64,
    src: EndLine<'a>,
    dst: EndLine<'a>,
    proto: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u8>,
    vlan: &'a [u16],
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<TunnelLine<'a>>,
    initiator: &'static str,
    vantage: u8,
    outcome: &'static str,
    fwd: Counts,
    rev: Counts,
    flow_id: String,
    community_id: String,
    export_index: u32,
    end_reason: &'static str,
    capture_drops: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<&'a Tcp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<LinkLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a App>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timing: Option<&'a Timing>,
    labels: BTreeMap<&'a str, &'a str>,
}

/// One end: an address, or a name where the input had no address.
#[derive(Serialize)]
struct EndLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asn: Option<u32>,
}

#[derive(Serialize)]
struct TunnelLine<'a> {
    kind: &'a str,
    outer_src: String,
    outer_dst: String,
    id: u32,
}

#[derive(Serialize)]
struct LinkLine {
    kind: &'static str,
    op: u16,
    sender_mac: String,
    target_mac: String,
    gratuitous: bool,
}

/// The line of a record, line feed included.
pub fn line(flow: &Flow) -> String {
    let line = FlowLine {
        kind: "flow",
        sensor: &flow.sensor,
        site: &flow.site,
        boot: flow.boot,
        seq: flow.seq,
        input: &flow.input,
        sampling: flow.sampling,
        event_time: flow.event_time,
        first_time: flow.first_time,
        last_time: flow.last_time,
        clock_offset_us: flow.clock_offset_us,
        src: end(&flow.src),
        dst: end(&flow.dst),
        proto: flow.proto,
        icmp_type: flow.icmp_type,
        icmp_code: flow.icmp_code,
        vlan: &flow.vlan,
        tunnel: flow.tunnel.as_deref().map(tunnel),
        initiator: flow.initiator.name(),
        vantage: flow.vantage,
        outcome: flow.outcome.name(),
        fwd: flow.fwd,
        rev: flow.rev,
        flow_id: format!("{:016x}", flow.flow_id),
        community_id: flow.community_id_text(),
        export_index: flow.export_index,
        end_reason: flow.end_reason.name(),
        capture_drops: flow.capture_drops,
        tcp: flow.tcp.as_deref(),
        link: flow.link.as_deref().map(link),
        app: flow.app.as_deref(),
        timing: flow.timing.as_deref(),
        labels: flow.labels.iter().map(|(name, value)| (&**name, &**value)).collect(),
    };
    // Numbers, texts and maps keyed by text: nothing in it can fail to become JSON.
    text::json_line(&serde_json::to_string(&line).unwrap_or_default()) + "\n"
}

fn end(end: &End) -> EndLine<'_> {
    EndLine {
        ip: end.host.ip(),
        port: end.port,
        mac: end.mac.map(mac_text),
        name: end.host.name().or(end.name.as_ref()).map(|name| &**name),
        country: end.country.as_deref(),
        asn: end.asn,
    }
}

fn tunnel(tunnel: &Tunnel) -> TunnelLine<'_> {
    let (outer_src, outer_dst) = (tunnel.outer_src.to_string(), tunnel.outer_dst.to_string());
    TunnelLine { kind: &tunnel.kind, outer_src, outer_dst, id: tunnel.id }
}

fn link(link: &Link) -> LinkLine {
    LinkLine {
        kind: "arp",
        op: link.op,
        sender_mac: mac_text(link.sender_mac),
        target_mac: mac_text(link.target_mac),
        gratuitous: link.gratuitous,
    }
}

/// `02:00:00:00:00:66`.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

// serde passes the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn as_time<S: serde::Serializer>(time: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339::format(*time))
}
