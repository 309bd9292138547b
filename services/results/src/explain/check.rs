//! What to look at next: one concrete check per detector, with a display filter that Wireshark and tshark take.

use std::net::IpAddr;

use weir_schemas::Finding;
use weir_schemas::finding::Party;

use crate::text;

/// One concrete check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What to look for. One sentence.
    pub say: String,
    /// Display filter (`tshark -r FILE -Y FILTER`), where the packets can be told by one.
    pub filter: Option<String>,
}

pub(super) fn check(finding: &Finding) -> Check {
    let (say, conditions) = match finding.reason.as_str() {
        "port_scan" => port_scan(finding),
        "host_sweep" => host_sweep(finding),
        "incomplete_handshakes" => (
            "List the SYNs that got no answer: one dead server is a fault, many targets are a scan.",
            vec![host("src", finding.source.as_ref()), host("dst", finding.target.as_ref()), Some(SYN_ONLY.to_owned())],
        ),
        "syn_flood" => (
            "See whether real clients still get a SYN-ACK, and whether the sources' TTLs differ: spoofed ones share a few.",
            vec![host("dst", finding.target.as_ref()), port(finding), Some(SYN_ONLY.to_owned())],
        ),
        "traffic_spike" => (
            "Find the conversation with most bytes in this window: a backup or a download explains many spikes.",
            vec![host("addr", finding.target.as_ref()), Some(within(finding))],
        ),
        _ => (
            "Follow the evidence flows by their Community ID, and the packets of this window.",
            vec![host("addr", finding.source.as_ref()), host("addr", finding.target.as_ref()), Some(within(finding))],
        ),
    };
    let conditions: Vec<String> = conditions.into_iter().flatten().collect();
    let filter = if conditions.is_empty() { None } else { Some(conditions.join(" && ")) };
    Check { say: say.to_owned(), filter }
}

const SYN_ONLY: &str = "tcp.flags.syn == 1 && tcp.flags.ack == 0";

fn port_scan(finding: &Finding) -> (&'static str, Vec<Option<String>>) {
    match finding.variant.as_str() {
        // The answers tell what the scan found out, and they are few.
        "" | "syn" | "connect" => (
            "Look at the ports that answered with a SYN-ACK: they are open, and the scanner knows.",
            vec![
                host("src", finding.target.as_ref()),
                host("dst", finding.source.as_ref()),
                Some("tcp.flags.syn == 1 && tcp.flags.ack == 1".to_owned()),
            ],
        ),
        variant => (
            "Look at which probes were answered, and whether the source connects to one of these ports later.",
            vec![host("src", finding.source.as_ref()), host("dst", finding.target.as_ref()), probe(variant)],
        ),
    }
}

fn host_sweep(finding: &Finding) -> (&'static str, Vec<Option<String>>) {
    let say = "See which hosts answered, and what the source did with those next.";
    let means = if finding.variant.is_empty() { &finding.discriminator } else { &finding.variant };
    let conditions = match (means.as_str(), finding.source.as_ref()) {
        ("arp", Some(Party { ip: Some(ip), .. })) if ip.parse::<IpAddr>().is_ok() => {
            vec![Some(format!("arp.opcode == 1 && arp.src.proto_ipv4 == {ip}"))]
        }
        (means, source) => vec![host("src", source), probe(means)],
    };
    (say, conditions)
}

/// The packets of one scan technique. Flag values: RFC 9293 §3.1 low byte.
fn probe(variant: &str) -> Option<String> {
    let filter = match variant {
        "syn" | "connect" | "tcp" => SYN_ONLY,
        "fin" => "tcp.flags == 0x001",
        "null" => "tcp.flags == 0x000",
        "xmas" => "tcp.flags == 0x029",
        "ack" => "tcp.flags == 0x010",
        "udp" => "udp",
        "arp" => "arp.opcode == 1",
        "icmp" => "icmp.type == 8 || icmpv6.type == 128",
        _ => return None,
    };
    Some(if filter.contains("||") { format!("({filter})") } else { filter.to_owned() })
}

/// `ip.src == 192.0.2.7`; the IPv6 field for an IPv6 address; the name field for a name.
fn host(end: &str, party: Option<&Party>) -> Option<String> {
    let party = party?;
    if let Some(address) = party.ip.as_ref().and_then(|ip| ip.parse::<IpAddr>().ok()) {
        let protocol = if address.is_ipv6() { "ipv6" } else { "ip" };
        return Some(format!("{protocol}.{end} == {address}"));
    }
    let field = match end {
        "addr" => "ip.host",
        "src" => "ip.src_host",
        _ => "ip.dst_host",
    };
    party.name.as_ref().map(|name| format!("{field} == {}", text::filter_string(name)))
}

/// `tcp.dstport == 443`: from the target, else from the discriminator.
fn port(finding: &Finding) -> Option<String> {
    let port = finding.target.as_ref().and_then(|target| target.port).or_else(|| finding.discriminator.parse().ok())?;
    Some(format!("tcp.dstport == {port}"))
}

/// The window, as seconds since 1970: the form that every version of the filter language takes alike.
fn within(finding: &Finding) -> String {
    let (start, end) = (seconds(finding.window.start), seconds(finding.window.end));
    format!("frame.time_epoch >= {start} && frame.time_epoch < {end}")
}

fn seconds(time: i64) -> String {
    // Negative times (before 1970) exist in no capture format; the filter then starts at 0.
    let time = time.max(0);
    match time % 1_000_000 {
        0 => format!("{}", time / 1_000_000),
        rest => format!("{}.{rest:06}", time / 1_000_000),
    }
}
