//! The nouns of an explanation: hosts, techniques, and keys of the engine in plain words.

use weir_schemas::Finding;
use weir_schemas::finding::Party;

use crate::summary::names;
use crate::text;

/// A host, with its port where the finding is about one: `192.0.2.7`, `[2001:db8::80]:443`, `BP-Linux8`.
#[must_use]
pub fn party(party: &Party) -> String {
    let host = match (&party.ip, &party.name) {
        (Some(ip), _) => text::printable(ip),
        (None, Some(name)) => text::printable(name),
        (None, None) => "an unnamed host".to_owned(),
    };
    match party.port {
        None => host,
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
    }
}

/// The source of a finding; where there is none to name, how many it were as far as the detector tells.
#[must_use]
pub fn source(finding: &Finding) -> String {
    match (&finding.source, finding.variant.as_str()) {
        (Some(source), _) => party(source),
        (None, "many_sources") => "many sources".to_owned(),
        (None, "few_sources") => "few sources".to_owned(),
        (None, _) => "all sources".to_owned(),
    }
}

/// The target of a finding; for a scope without one, the scope.
#[must_use]
pub fn target(finding: &Finding) -> String {
    match (&finding.target, &finding.source) {
        (Some(target), _) => party(target),
        (None, Some(_)) => "several targets".to_owned(),
        (None, None) => format!("{} {}", finding.scope.kind.name(), text::printable(&finding.scope.key)),
    }
}

/// The target of a finding, or `otherwise`.
pub(super) fn target_or(finding: &Finding, otherwise: &str) -> String {
    finding.target.as_ref().map_or_else(|| otherwise.to_owned(), party)
}

/// A key of the engine as words: `distinct_ports` becomes `distinct ports`.
pub(crate) fn words(key: &str) -> String {
    text::printable(key).replace('_', " ")
}

/// A scan technique as people write it.
pub(super) fn technique(variant: &str) -> String {
    match variant {
        "syn" => "SYN".to_owned(),
        "connect" => "full connection (TCP connect)".to_owned(),
        "fin" => "FIN".to_owned(),
        "null" => "NULL (no TCP flag)".to_owned(),
        "xmas" => "XMAS (FIN, PSH, URG)".to_owned(),
        "ack" => "ACK".to_owned(),
        "udp" => "UDP".to_owned(),
        "arp" => "ARP".to_owned(),
        "icmp" => "ICMP".to_owned(),
        other => words(other),
    }
}

/// What a sweep went by: its protocol, from the variant or else the discriminator.
pub(super) fn means(finding: &Finding) -> Option<String> {
    let key = if finding.variant.is_empty() { &finding.discriminator } else { &finding.variant };
    match key.as_str() {
        "" => None,
        "tcp" | "syn" | "connect" => Some("TCP".to_owned()),
        other => Some(technique(other)),
    }
}

/// The responder's port that all evidence flows share, if they do: what a sweep asked for.
pub(super) fn evidence_port(finding: &Finding) -> Option<u16> {
    let mut ports = finding.evidence.flows.iter().map(|flow| flow.dst.rsplit_once(':')?.1.parse::<u16>().ok());
    let first = ports.next()?.filter(|port| *port != 0)?;
    ports.all(|port| port == Some(first)).then_some(first)
}

/// What IANA's registry calls a port: the name of the port, whatever stands behind it.
pub(super) fn registered(transport: &str, port: u16) -> String {
    let protocol = match transport {
        "TCP" => 6,
        "UDP" | "udp" => 17,
        _ => return String::new(),
    };
    names::port(protocol, port).map_or_else(String::new, |name| format!(", registered for {name}"))
}

/// Why a verdict is less than exact, in words.
pub(super) fn degraded(reason: &str) -> String {
    match reason {
        "forced" => "panes were closed early".to_owned(),
        "evicted" => "tables were full and small entries were let go".to_owned(),
        "dedupe" => "flows seen by several sensors may count twice".to_owned(),
        "rules_changed" => "the rules changed within the window".to_owned(),
        "engine_changed" => "the engine changed within the window".to_owned(),
        "replayed" => "it was found again in a replay".to_owned(),
        other => words(other),
    }
}
