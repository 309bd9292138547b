//! One packet's text, verbose lines joined, to a packet.
//!
//! Where the text has no IP length it is the payload plus headers: 20 bytes of IPv4 or 40 of IPv6, 20 of TCP plus the
//! printed options, 8 of UDP or ICMP. IP options and extension headers are not known and not counted.

use std::net::Ipv4Addr;

use weir_schemas::Host;

use super::ends::{self, End};
use super::icmp::{self, leading_number};
use super::protocols;
use super::stamp::{self, Stamp};
use crate::decode::DecodeError;
use crate::packet::{ArpPacket, Body, Fragment, IpPacket, Packet, TcpSegment, Transport, UdpDatagram, tcp_flag};

/// A packet as its text tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct TextPacket {
    /// When, as printed.
    pub stamp: Stamp,
    /// What; its time is 0 until the day is known.
    pub packet: Packet,
    /// Bytes on the wire: with `-e` of the frame, else of the IP packet.
    pub wire: u32,
    /// Why the text is understood in part only.
    pub error: Option<DecodeError>,
}

/// The packet of a line that begins with a time; `None` for any other text.
#[must_use]
pub fn parse_line(text: &str) -> Option<TextPacket> {
    let (stamp, text) = stamp::parse(text)?;
    let mut packet = Packet::unread(0);
    let (family, text, frame_length) = link(text, &mut packet);
    let (body, error) = match family {
        Family::V4 => ip(text, 20),
        Family::V6 => ip(text, 40),
        Family::Arp => (arp(text, &packet).map_or(Body::Other, Body::Arp), None),
        Family::Other => (Body::Other, None),
    };
    let error = error.or((body == Body::Other && family != Family::Other).then_some(DecodeError::Text));
    packet.body = body;
    let wire = frame_length.unwrap_or(match &packet.body {
        Body::Ip(ip) => ip.length,
        Body::Arp(arp) => arp.length,
        Body::Other => 0,
    });
    Some(TextPacket { stamp, packet, wire, error })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Arp,
    Other,
}

/// The network layer's text and what `-e` and `-i any` print before it.
fn link<'a>(text: &'a str, packet: &mut Packet) -> (Family, &'a str, Option<u32>) {
    if let Some((before, after)) = text.split_once("ethertype ") {
        return link_with_addresses(before, after, packet);
    }
    // `-i any`: interface and direction come first.
    let mut rest = text;
    for _ in 0..4 {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "IP" => return (Family::V4, after, None),
            "IP6" => return (Family::V6, after, None),
            "ARP," | "arp" | "RARP," => return (Family::Arp, after, None),
            _ => rest = after.trim_start(),
        }
    }
    (Family::Other, text, None)
}

/// `aa:… > bb:…, ethertype 802.1Q (0x8100), length 78: vlan 5, p 0, ethertype IPv4 (0x0800), 10.0.0.1.80 > …`.
fn link_with_addresses<'a>(before: &str, after: &'a str, packet: &mut Packet) -> (Family, &'a str, Option<u32>) {
    let mut addresses = before.split([' ', ',']).filter_map(mac);
    packet.src_mac = addresses.next();
    packet.dst_mac = addresses.next();
    let (mut rest, mut frame_length, mut vlans) = (after, None, 0);
    loop {
        let name = rest.split([' ', ',']).next().unwrap_or_default();
        let tail = rest.split_once("), ").map_or("", |(_, tail)| tail);
        let tail = match tail.strip_prefix("length ") {
            Some(length) => {
                frame_length = frame_length.or(leading_number(length).and_then(|length| u32::try_from(length).ok()));
                length.split_once(": ").map_or("", |(_, tail)| tail)
            }
            None => tail,
        };
        match name {
            "IPv4" => return (Family::V4, tail.strip_prefix("IP ").unwrap_or(tail), frame_length),
            "IPv6" => return (Family::V6, tail.strip_prefix("IP6 ").unwrap_or(tail), frame_length),
            "ARP" => return (Family::Arp, tail, frame_length),
            _ => {}
        }
        let Some((tags, inner)) = tail.split_once("ethertype ") else {
            return (Family::Other, tail, frame_length);
        };
        for tag in tags.split("vlan ").skip(1) {
            if let Some(id) = leading_number(tag).filter(|id| (1..4096).contains(id))
                && vlans < packet.vlan.len()
            {
                packet.vlan[vlans] = id as u16;
                vlans += 1;
            }
        }
        rest = inner;
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut address {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(address)
}

/// What `-v` prints of the IP header.
#[derive(Default)]
struct Verbose {
    proto: Option<u8>,
    length: Option<u32>,
    /// Of it, what follows the IP header.
    upper_length: Option<u32>,
    ttl: u8,
    fragment: Option<Box<Fragment>>,
}

fn verbose(text: &str, header: u32) -> Verbose {
    let after = |key: &str| text.split_once(key).map(|(_, rest)| rest);
    let number = |key: &str| after(key).and_then(leading_number);
    let proto = after("proto ").or_else(|| after("next-header ")).and_then(|rest| rest.split_once('('));
    let proto = proto.and_then(|(_, rest)| leading_number(rest)).and_then(|proto| u8::try_from(proto).ok());
    let length = match number("payload length: ") {
        Some(payload) => Some(payload + u64::from(header)),
        None => number(", length "),
    };
    let (offset, more) = (number("offset ").unwrap_or(0), after("flags [").is_some_and(|rest| rest.starts_with('+')));
    // Text has none of the bytes.
    let fragment = Box::new(Fragment {
        id: number(", id ").unwrap_or(0) as u32,
        offset: offset as u16,
        more,
        protocol: proto.unwrap_or(0),
        length: length.and_then(|length| u32::try_from(length).ok()).unwrap_or(0).saturating_sub(header),
        data: Vec::new(),
    });
    Verbose {
        proto,
        length: length.and_then(|length| u32::try_from(length).ok()),
        upper_length: None,
        ttl: number("ttl ").or_else(|| number("hlim ")).unwrap_or(0) as u8,
        fragment: (more || offset != 0).then_some(fragment),
    }
}

/// The header options in their parentheses, which may hold others, and the text after them.
fn split_parentheses(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if at > 0 { Some((&text[1..at], text[at + 1..].trim_start())) } else { None };
        }
    }
    None
}

fn ip(text: &str, header: u32) -> (Body, Option<DecodeError>) {
    let (verbose, text) = match split_parentheses(text) {
        Some((options, rest)) => (verbose(options, header), rest),
        None => (Verbose::default(), text),
    };
    let Some((src, dst, rest)) = ends::split(text) else {
        return (Body::Other, Some(DecodeError::Text));
    };
    let later_fragment = verbose.fragment.as_ref().is_some_and(|fragment| fragment.offset != 0);
    let found =
        if later_fragment { without_ports(src, dst, rest, verbose.proto) } else { upper(src, dst, rest, &verbose) };
    let ip = IpPacket {
        src: found.src,
        dst: found.dst,
        proto: verbose.proto.filter(|_| matches!(found.transport, Transport::None)).unwrap_or(found.proto),
        length: verbose.length.unwrap_or(header.saturating_add(found.length)),
        ttl: verbose.ttl,
        id: 0,
        fragment: verbose.fragment,
        transport: found.transport,
        head: None,
    };
    (Body::Ip(ip), found.error)
}

/// What follows the IP header.
struct Upper {
    src: Host,
    dst: Host,
    proto: u8,
    transport: Transport,
    /// Bytes after the IP header.
    length: u32,
    error: Option<DecodeError>,
}

fn upper(src: End<'_>, dst: End<'_>, rest: &str, verbose: &Verbose) -> Upper {
    // A hop-by-hop extension header is named before what follows it.
    let rest = rest.strip_prefix("HBH ").unwrap_or(rest);
    let rest = match split_checksum(rest) {
        Some((checksum, after)) if checksum.contains("sum") || checksum.contains("cksum") => after,
        _ => rest,
    };
    if let Some(flags) = rest.strip_prefix("Flags [") {
        return tcp(src, dst, flags);
    }
    let version6 = rest.strip_prefix("ICMP6, ");
    if let Some(message) = version6.or_else(|| rest.strip_prefix("ICMP ")).or_else(|| rest.strip_prefix("icmp: ")) {
        let length = length_of(message, 0);
        let (src, dst) = (src.host(), dst.host());
        let (proto, message) = match version6 {
            Some(_) => (58, icmp::version6(message, length, &dst)),
            None => (1, icmp::version4(message, length, &dst)),
        };
        return Upper { src, dst, proto, transport: Transport::Icmp(message), length, error: None };
    }
    let named = protocols::number(rest);
    let is_udp = verbose.proto == Some(17) || (verbose.proto.is_none() && (named == Some(17) || named.is_none()));
    if is_udp && (rest.starts_with("UDP") || (src.has_port() && dst.has_port())) {
        return udp(src, dst, rest, verbose);
    }
    without_ports(src, dst, rest, named)
}

fn without_ports(src: End<'_>, dst: End<'_>, rest: &str, proto: Option<u8>) -> Upper {
    let error = proto.is_none().then_some(DecodeError::Text);
    // 255 is reserved (RFC 3232): no protocol has it.
    let proto = proto.unwrap_or(255);
    // `-q` prints ports of TCP without its flags: the ends are known, the segment is not.
    let (src, dst) = if matches!(proto, 6 | 17) && src.has_port() && dst.has_port() {
        (src.host_and_port().0, dst.host_and_port().0)
    } else {
        (src.host(), dst.host())
    };
    Upper { src, dst, proto, transport: Transport::None, length: length_of(rest, 0), error }
}

/// `S.], seq 1:2, ack 3, win 4, options [nop,nop,TS val 1 ecr 2], length 5: HTTP`.
fn tcp(src: End<'_>, dst: End<'_>, text: &str) -> Upper {
    let (letters, fields) = text.split_once(']').unwrap_or((text, ""));
    let flags = match letters {
        "none" => 0,
        _ => letters.chars().fold(0, |flags, letter| flags | flag(letter)),
    };
    let (fields, options) = match fields.split_once("options [") {
        Some((before, after)) => {
            let (options, after) = after.split_once(']').unwrap_or((after, ""));
            ([before, after], options)
        }
        None => ([fields, ""], ""),
    };
    let number = |key: &str| {
        let after = fields.iter().find_map(|part| part.split_once(key).map(|(_, rest)| rest))?;
        leading_number(after)
    };
    let payload = number("length ").and_then(|length| u32::try_from(length).ok()).unwrap_or(0);
    let ((src, src_port), (dst, dst_port)) = (src.host_and_port(), dst.host_and_port());
    let error = (src_port.is_none() || dst_port.is_none()).then_some(DecodeError::Text);
    let segment = TcpSegment {
        src_port: src_port.unwrap_or(0),
        dst_port: dst_port.unwrap_or(0),
        flags,
        seq: number("seq ").unwrap_or(0) as u32,
        ack: number("ack ").unwrap_or(0) as u32,
        window: number("win ").unwrap_or(0) as u16,
        payload,
        ..TcpSegment::default()
    };
    let length = payload.saturating_add(20 + options_length(options));
    Upper { src, dst, proto: 6, transport: Transport::Tcp(segment), length, error }
}

fn flag(letter: char) -> u8 {
    match letter {
        'F' => tcp_flag::FIN,
        'S' => tcp_flag::SYN,
        'R' => tcp_flag::RST,
        'P' => tcp_flag::PSH,
        '.' => tcp_flag::ACK,
        'U' => tcp_flag::URG,
        'E' => tcp_flag::ECE,
        'W' => tcp_flag::CWR,
        _ => 0,
    }
}

/// Bytes of the printed options (RFC 9293 §3.2, RFC 7323, RFC 2018), to a multiple of four; at most 40 fit a header.
fn options_length(options: &str) -> u32 {
    let length: u32 = options
        .split(',')
        .filter_map(|option| option.split(' ').next())
        .map(|name| match name {
            "" => 0,
            "nop" | "eol" => 1,
            "wscale" => 3,
            "mss" => 4,
            "TS" => 10,
            "sack" => 2 + 8 * options.matches('{').count() as u32,
            "md5" => 18,
            _ => 2,
        })
        .sum();
    length.next_multiple_of(4).min(40)
}

fn udp(src: End<'_>, dst: End<'_>, rest: &str, verbose: &Verbose) -> Upper {
    // The IP header knows best, except of a first fragment, whose text gives the whole datagram.
    let payload = match verbose.upper_length {
        Some(length) => length.saturating_sub(8),
        None => length_of(rest, trailing_length(rest)),
    };
    let ((src, src_port), (dst, dst_port)) = (src.host_and_port(), dst.host_and_port());
    let error = (src_port.is_none() || dst_port.is_none()).then_some(DecodeError::Text);
    let (src_port, dst_port) = (src_port.unwrap_or(0), dst_port.unwrap_or(0));
    let is_dns = src_port == 53 || dst_port == 53;
    let dns_response = if is_dns { dns_response(rest) } else { None };
    let datagram = UdpDatagram { src_port, dst_port, payload, dns_response };
    Upper { src, dst, proto: 17, transport: Transport::Udp(datagram), length: payload.saturating_add(8), error }
}

/// `[udp sum ok] …`, `[bad udp cksum …] …` and `[icmp6 sum ok] …` of `-v`.
fn split_checksum(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('[')?.split_once("] ")
}

/// `12 1/0/0 A …` and `12 NXDomain 0/1/0` are responses, `12+ A? …` is a query. Answers count as three numbers.
fn dns_response(text: &str) -> Option<bool> {
    leading_number(text)?;
    let is_counts = |word: &str| {
        let mut numbers = word.split('/');
        let three = [numbers.next(), numbers.next(), numbers.next()];
        numbers.next().is_none()
            && three
                .iter()
                .all(|part| part.is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())))
    };
    if text.split([' ', ',']).any(is_counts) {
        return Some(true);
    }
    text.contains('?').then_some(false)
}

/// The number after the first `length `; `fallback` without one.
fn length_of(text: &str, fallback: u32) -> u32 {
    let number = text.find("length ").and_then(|at| leading_number(&text[at + 7..]));
    number.and_then(|length| u32::try_from(length).ok()).unwrap_or(fallback)
}

/// `… (46)`: what tcpdump prints for DNS.
fn trailing_length(text: &str) -> u32 {
    let inner = text.trim_end().strip_suffix(')').and_then(|text| text.rsplit_once('(')).map(|(_, inner)| inner);
    inner.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// `Request who-has A (mac) tell B, length 28` and `Reply A is-at MAC, length 28`.
fn arp(text: &str, packet: &Packet) -> Option<ArpPacket> {
    // The text's length includes padding of the link layer.
    let length = 28;
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let after = |key: &str| words.iter().position(|word| *word == key).and_then(|at| words.get(at + 1)).copied();
    if let (Some(target), Some(sender)) = (after("who-has"), after("tell")) {
        return Some(ArpPacket {
            op: 1,
            sender_mac: packet.src_mac.unwrap_or_default(),
            sender: Host::parse(sender),
            target_mac: [0; 6],
            target: Host::parse(target),
            length,
        });
    }
    let sender_mac = mac(after("is-at")?)?;
    let at = words.iter().position(|word| *word == "is-at")?;
    Some(ArpPacket {
        op: 2,
        sender_mac,
        sender: Host::parse(words.get(at.checked_sub(1)?)?),
        target_mac: packet.dst_mac.unwrap_or_default(),
        // The text does not say whom a reply answers.
        target: Host::V4(Ipv4Addr::UNSPECIFIED),
        length,
    })
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
