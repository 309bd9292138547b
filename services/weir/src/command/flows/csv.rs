//! Flow records as comma-separated values (RFC 4180, but lines end with a line feed): a header line, then a line each.
//!
//! An empty cell is a value that the record does not have. `fwd` is source to responder, `rev` the way back. Names from the
//! capture that a spreadsheet would take for a formula have an apostrophe before them (OWASP, "CSV Injection").

use std::fmt::Display;

use weir_results::text::printable_line;
use weir_schemas::{End, Flow, Link, Micros, Tcp, rfc3339};

use super::jsonl::mac_text;

/// A column: its heading, and its cell of a record.
type Column = (&'static str, fn(&Flow) -> String);

/// Every column, in the order of the file.
const COLUMNS: [Column; 67] = [
    ("sensor", |flow| text(&flow.sensor)),
    ("site", |flow| text(&flow.site)),
    ("boot", |flow| time(flow.boot)),
    ("seq", |flow| number(flow.seq)),
    ("input", |flow| text(&flow.input)),
    ("sampling", |flow| number(flow.sampling)),
    ("event_time", |flow| time(flow.event_time)),
    ("first_time", |flow| time(flow.first_time)),
    ("last_time", |flow| time(flow.last_time)),
    ("clock_offset_us", |flow| number(flow.clock_offset_us)),
    ("src_ip", |flow| optional(flow.src.host.ip())),
    ("src_name", |flow| name(&flow.src)),
    ("src_port", |flow| number(flow.src.port)),
    ("src_mac", |flow| optional(flow.src.mac.map(mac_text))),
    ("dst_ip", |flow| optional(flow.dst.host.ip())),
    ("dst_name", |flow| name(&flow.dst)),
    ("dst_port", |flow| number(flow.dst.port)),
    ("dst_mac", |flow| optional(flow.dst.mac.map(mac_text))),
    ("proto", |flow| number(flow.proto)),
    ("icmp_type", |flow| optional(flow.icmp_type)),
    ("icmp_code", |flow| optional(flow.icmp_code)),
    ("vlan", |flow| vlan(flow)),
    ("initiator", |flow| flow.initiator.name().to_owned()),
    ("vantage", |flow| number(flow.vantage)),
    ("outcome", |flow| flow.outcome.name().to_owned()),
    ("fwd_packets", |flow| number(flow.fwd.packets)),
    ("fwd_bytes", |flow| number(flow.fwd.bytes)),
    ("fwd_payload", |flow| number(flow.fwd.payload)),
    ("fwd_total_packets", |flow| number(flow.fwd.total_packets)),
    ("fwd_total_bytes", |flow| number(flow.fwd.total_bytes)),
    ("fwd_fragments", |flow| number(flow.fwd.fragments)),
    ("rev_packets", |flow| number(flow.rev.packets)),
    ("rev_bytes", |flow| number(flow.rev.bytes)),
    ("rev_payload", |flow| number(flow.rev.payload)),
    ("rev_total_packets", |flow| number(flow.rev.total_packets)),
    ("rev_total_bytes", |flow| number(flow.rev.total_bytes)),
    ("rev_fragments", |flow| number(flow.rev.fragments)),
    ("flow_id", |flow| format!("{:016x}", flow.flow_id)),
    ("community_id", |flow| flow.community_id_text()),
    ("export_index", |flow| number(flow.export_index)),
    ("end_reason", |flow| flow.end_reason.name().to_owned()),
    ("capture_drops", |flow| number(flow.capture_drops)),
    ("tcp_state", |flow| tcp(flow, |tcp| text(&tcp.state))),
    ("tcp_history", |flow| tcp(flow, |tcp| text(&tcp.history))),
    ("tcp_first_flags", |flow| tcp(flow, |tcp| number(tcp.first_flags))),
    ("syn_rtt_us", |flow| tcp(flow, |tcp| optional(tcp.syn_rtt_us))),
    ("ack_rtt_us", |flow| tcp(flow, |tcp| optional(tcp.ack_rtt_us))),
    ("fwd_syn", |flow| tcp(flow, |tcp| number(tcp.fwd.syn))),
    ("fwd_syn_ack", |flow| tcp(flow, |tcp| number(tcp.fwd.syn_ack))),
    ("fwd_ack", |flow| tcp(flow, |tcp| number(tcp.fwd.ack))),
    ("fwd_fin", |flow| tcp(flow, |tcp| number(tcp.fwd.fin))),
    ("fwd_rst", |flow| tcp(flow, |tcp| number(tcp.fwd.rst))),
    ("fwd_psh", |flow| tcp(flow, |tcp| number(tcp.fwd.psh))),
    ("fwd_urg", |flow| tcp(flow, |tcp| number(tcp.fwd.urg))),
    ("rev_syn", |flow| tcp(flow, |tcp| number(tcp.rev.syn))),
    ("rev_syn_ack", |flow| tcp(flow, |tcp| number(tcp.rev.syn_ack))),
    ("rev_ack", |flow| tcp(flow, |tcp| number(tcp.rev.ack))),
    ("rev_fin", |flow| tcp(flow, |tcp| number(tcp.rev.fin))),
    ("rev_rst", |flow| tcp(flow, |tcp| number(tcp.rev.rst))),
    ("rev_psh", |flow| tcp(flow, |tcp| number(tcp.rev.psh))),
    ("rev_urg", |flow| tcp(flow, |tcp| number(tcp.rev.urg))),
    ("retrans", |flow| tcp(flow, |tcp| number(tcp.retrans))),
    ("out_of_order", |flow| tcp(flow, |tcp| number(tcp.out_of_order))),
    ("arp_op", |flow| link(flow, |link| number(link.op))),
    ("arp_sender_mac", |flow| link(flow, |link| mac_text(link.sender_mac))),
    ("arp_target_mac", |flow| link(flow, |link| mac_text(link.target_mac))),
    ("app", |flow| flow.app.as_ref().map_or_else(String::new, |app| text(&app.name))),
];

/// The header line.
pub fn header() -> String {
    COLUMNS.map(|(heading, _)| heading).join(",") + "\n"
}

/// The line of a record, line feed included.
pub fn line(flow: &Flow) -> String {
    COLUMNS.map(|(_, cell)| cell(flow)).join(",") + "\n"
}

fn number(value: impl Display) -> String {
    value.to_string()
}

fn optional(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn time(time: Micros) -> String {
    rfc3339::format(time)
}

fn name(end: &End) -> String {
    end.host.name().or(end.name.as_ref()).map_or_else(String::new, |name| text(name))
}

fn vlan(flow: &Flow) -> String {
    flow.vlan.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")
}

fn tcp(flow: &Flow, cell: fn(&Tcp) -> String) -> String {
    flow.tcp.as_deref().map_or_else(String::new, cell)
}

fn link(flow: &Flow, cell: fn(&Link) -> String) -> String {
    flow.link.as_deref().map_or_else(String::new, cell)
}

/// A text of the capture: visible, quoted where the format needs it, never a formula.
fn text(text: &str) -> String {
    let mut safe = printable_line(text);
    if safe.starts_with(['=', '+', '-', '@']) {
        safe.insert(0, '\'');
    }
    if safe.contains([',', '"']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_harmless_cell() {
        let cases = [
            ("web.example", "web.example"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("-1+2", "'-1+2"),
            ("two\nlines", "two\\u{a}lines"),
        ];
        for (input, expected) in cases {
            assert_eq!(text(input), expected, "{input:?}");
        }
    }
}
