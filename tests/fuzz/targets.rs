//! The decoders that are fuzzed, and what each has to keep besides not panicking.

use weir_sensor::decode::LinkType;
use weir_sensor::input;

use crate::{applications, codecs, exports, fragments, promises};

/// What a decoder said to an input it did not break on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Understood: worth mutating further.
    Accepted,
    /// Refused in an orderly way.
    Refused,
}

/// A decoder under test.
pub struct Target {
    /// Name on the command line.
    pub name: &'static str,
    /// What it decodes.
    pub what: &'static str,
    /// Where its first inputs come from.
    pub seeds: Seeds,
    /// Runs it on one input; an error says which promise was broken.
    pub run: fn(&[u8]) -> Result<Answer, String>,
}

/// Where the first inputs of a target come from.
#[derive(Clone, Copy)]
pub enum Seeds {
    /// The files of this folder of the corpus.
    Folder(&'static str),
    /// Made here.
    Made(fn() -> Vec<Vec<u8>>),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    files("file", "pcap, pcapng, tcpdump text; plain or in gzip, zstd, zip", "file", read_file),
    files("pcapng", "pcapng alone", "pcapng", read_file),
    files("fragments", "IP fragments one after another, through the flow table", "fragments", fragments::packets),
    files("ethernet", "frames: Ethernet", "ethernet", |input| frame(LinkType::Ethernet, input)),
    files("raw", "frames: raw IP", "raw", |input| frame(LinkType::RawIp, input)),
    files("loopback", "frames: BSD loopback", "loopback", |input| frame(LinkType::Loopback, input)),
    files("cooked", "frames: Linux cooked v1", "cooked", |input| frame(LinkType::LinuxCooked, input)),
    files("cooked2", "frames: Linux cooked v2", "cooked2", |input| frame(LinkType::LinuxCooked2, input)),
    files("table", "tables of flows: logs and exports as text", "table", read_file),
    files("mapping", "mappings of tables", "mapping", mapping),
    files("tcpdump_line", "one line of tcpdump text", "tcpdump_line", tcpdump_line),
    files("netflow", "datagrams of NetFlow v5, v7, v9 and IPFIX, one after another", "netflow", exports::datagrams),
    files("sflow", "datagrams of sFlow v5, one after another", "sflow", exports::datagrams),
    files("dns", "DNS messages, over UDP and TCP", "dns", applications::dns),
    files("tls", "TLS records and hellos", "tls", applications::tls),
    files("quic", "QUIC: Initial packets, and the frames in them", "quic", applications::quic),
    files("http", "HTTP/1", "http", applications::http),
    files("application", "all other application protocols, in pieces", "application", applications::applications),
    files("config", "the configuration file", "config", promises::config),
    codec("record", "Avro: flow records and marks", codecs::record_seeds, codecs::record),
    codec("finding", "Avro: findings", codecs::finding_seeds, codecs::finding),
    codec("anomaly", "Avro: anomalies", codecs::anomaly_seeds, codecs::anomaly),
    codec("partial", "Avro: partials", codecs::partial_seeds, codecs::partial),
    codec("state", "Avro: state slots", codecs::state_seeds, codecs::state),
];

const fn files(
    name: &'static str,
    what: &'static str,
    folder: &'static str,
    run: fn(&[u8]) -> Result<Answer, String>,
) -> Target {
    Target { name, what, seeds: Seeds::Folder(folder), run }
}

const fn codec(
    name: &'static str,
    what: &'static str,
    seeds: fn() -> Vec<Vec<u8>>,
    run: fn(&[u8]) -> Result<Answer, String>,
) -> Target {
    Target { name, what, seeds: Seeds::Made(seeds), run }
}

/// As many packets and flows come out as were counted, in order of time, and whatever is said about the input is said in one
/// line each.
fn read_file(bytes: &[u8]) -> Result<Answer, String> {
    let summary = match input::read_bytes(bytes) {
        Ok(summary) => summary,
        Err(error) => return promises::one_line(&error).map(|()| Answer::Refused),
    };
    for warning in &summary.warnings {
        promises::one_line(&warning.message)?;
    }
    let (packets, flows) = (summary.counters.packets, summary.counters.flows);
    if summary.packets > packets || summary.flows != flows {
        return Err(format!("{} packets came out of {packets}, {} flows of {flows}", summary.packets, summary.flows));
    }
    if !summary.is_ordered {
        return Err("what came out was not in order of time".to_owned());
    }
    Ok(Answer::Accepted)
}

/// Whatever the first two bytes say was cut off, decoding ends; what was not cut decodes the same twice.
fn frame(link: LinkType, bytes: &[u8]) -> Result<Answer, String> {
    let cut = bytes.first().map_or(0, |byte| u32::from(*byte));
    let decode = |wire_length| weir_sensor::decode::decode_frame(link, 0, bytes, wire_length);
    // The result of a cut frame is not looked at: that it comes is the promise.
    let _ = decode(bytes.len() as u32 + cut);
    let (packet, error) = decode(bytes.len() as u32);
    promises::same(&decode(bytes.len() as u32), &(packet, error))?;
    Ok(if error.is_none() { Answer::Accepted } else { Answer::Refused })
}

/// What is wrong with a mapping is told in one line.
fn mapping(bytes: &[u8]) -> Result<Answer, String> {
    match input::Mapping::parse(&String::from_utf8_lossy(bytes)) {
        Ok(_) => Ok(Answer::Accepted),
        Err(error) => promises::one_line(&error).map(|()| Answer::Refused),
    }
}

/// A line is parsed the same twice, and reads like a file of one line.
fn tcpdump_line(bytes: &[u8]) -> Result<Answer, String> {
    let text = String::from_utf8_lossy(bytes);
    promises::same(&input::tcpdump::parse_line(&text), &input::tcpdump::parse_line(&text))?;
    let mut line = bytes.to_vec();
    line.push(b'\n');
    read_file(&line)
}
