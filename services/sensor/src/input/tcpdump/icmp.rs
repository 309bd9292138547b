//! ICMP of both IP versions as tcpdump words it.

use weir_schemas::Host;

use super::ends::End;
use super::{protocols, services};
use crate::packet::{IcmpMessage, Quoted};

/// Bytes before the payload that the text's length includes.
const HEADER: u32 = 8;

/// The message of a line whose text after `ICMP ` is `text`. `dst` is its receiver.
pub(super) fn version4(text: &str, length: u32, dst: &Host) -> IcmpMessage {
    let (kind, code) = match text {
        _ if text.starts_with("echo request") => (8, 0),
        _ if text.starts_with("echo reply") => (0, 0),
        _ if text.starts_with("net ") && text.contains("unreachable") => (3, 0),
        _ if text.starts_with("host ") && text.contains("admin prohibited") => (3, 10),
        _ if text.starts_with("host ") && text.contains("unreachable") => (3, 1),
        _ if text.contains(" protocol ") && text.contains("unreachable") => (3, 2),
        _ if text.contains(" port ") && text.contains("unreachable") => (3, 3),
        _ if text.contains("need to frag") => (3, 4),
        _ if text.contains("unreachable") => (3, 1),
        _ if text.starts_with("source quench") => (4, 0),
        _ if text.starts_with("redirect") => (5, u8::from(text.contains("to host"))),
        _ if text.starts_with("router advertisement") => (9, 0),
        _ if text.starts_with("router solicitation") => (10, 0),
        _ if text.starts_with("time exceeded in-transit") => (11, 0),
        _ if text.starts_with("ip reassembly time exceeded") => (11, 1),
        _ if text.starts_with("parameter problem") => (12, 0),
        _ if text.starts_with("time stamp query") => (13, 0),
        _ if text.starts_with("time stamp reply") => (14, 0),
        _ if text.starts_with("address mask request") => (17, 0),
        _ if text.starts_with("address mask is") => (18, 0),
        // `type-#N`, as tcpdump prints what it does not know.
        _ => (text.strip_prefix("type-#").and_then(first_number).unwrap_or(255), 0),
    };
    let quoted = matches!(kind, 3..=5 | 11 | 12).then(|| quoted(text, dst, kind == 3)).flatten();
    IcmpMessage { kind, code, id: identifier(text), payload: length.saturating_sub(HEADER), quoted }
}

/// The message of a line whose text after `ICMP6, ` is `text`.
pub(super) fn version6(text: &str, length: u32, dst: &Host) -> IcmpMessage {
    let (kind, code) = match text {
        _ if text.starts_with("destination unreachable, unreachable route") => (1, 0),
        _ if text.starts_with("destination unreachable, unreachable prohibited") => (1, 1),
        _ if text.starts_with("destination unreachable, unreachable address") => (1, 3),
        _ if text.starts_with("destination unreachable") => (1, if text.contains(" port ") { 4 } else { 0 }),
        _ if text.starts_with("packet too big") => (2, 0),
        _ if text.starts_with("time exceeded in-transit") => (3, 0),
        _ if text.starts_with("ip reassembly time exceeded") => (3, 1),
        _ if text.starts_with("parameter problem") => (4, 0),
        _ if text.starts_with("echo request") => (128, 0),
        _ if text.starts_with("echo reply") => (129, 0),
        _ if text.starts_with("multicast listener query") => (130, 0),
        _ if text.starts_with("multicast listener report v2") => (143, 0),
        _ if text.starts_with("multicast listener report") => (131, 0),
        _ if text.starts_with("multicast listener done") => (132, 0),
        _ if text.starts_with("router solicitation") => (133, 0),
        _ if text.starts_with("router advertisement") => (134, 0),
        _ if text.starts_with("neighbor solicitation") => (135, 0),
        _ if text.starts_with("neighbor advertisement") => (136, 0),
        _ if text.starts_with("redirect") => (137, 0),
        _ => (text.strip_prefix("type-#").and_then(first_number).unwrap_or(255), 0),
    };
    let quoted = (1..=4).contains(&kind).then(|| quoted(text, dst, kind == 1)).flatten();
    IcmpMessage { kind, code, id: identifier(text), payload: length.saturating_sub(HEADER), quoted }
}

fn identifier(text: &str) -> u16 {
    text.split_once("id ").and_then(|(_, rest)| leading_number(rest)).and_then(|id| u16::try_from(id).ok()).unwrap_or(0)
}

fn first_number(text: &str) -> Option<u8> {
    leading_number(text).and_then(|number| u8::try_from(number).ok())
}

/// The number that `text` begins with.
pub(super) fn leading_number(text: &str) -> Option<u64> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// What an error quotes. In verbose text the quoted packet follows as a text of its own; else the line names at most
/// the receiver, the protocol and a port, and the quoted sender is who receives the error.
fn quoted(text: &str, dst: &Host, names_target: bool) -> Option<Box<Quoted>> {
    if let Some(quoted) = quoted_packet(text) {
        return Some(quoted);
    }
    if !names_target {
        return None;
    }
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|word| matches!(*word, "udp" | "tcp" | "protocol"));
    let nothing = |host: &str, proto, dst_port| Quoted {
        src: dst.clone(),
        dst: Host::parse(host),
        proto,
        src_port: 0,
        dst_port,
        icmp_kind: 0,
        icmp_code: 0,
    };
    if let Some(at) = at {
        let host = words.get(at.checked_sub(1)?)?;
        if words[at] == "protocol" {
            return Some(Box::new(nothing(host, words.get(at + 1)?.parse().ok()?, 0)));
        }
        let port = words.get(at + 2)?;
        let port = port.parse().ok().or_else(|| services::port(port)).unwrap_or(0);
        return Some(Box::new(nothing(host, protocols::number(words[at])?, port)));
    }
    // `host A unreachable`, `net A unreachable`, `unreachable route A`.
    let at = words.iter().position(|word| matches!(*word, "host" | "net" | "route" | "address" | "prohibited"))?;
    let host = words.get(at + 1)?;
    Some(Box::new(nothing(host, 0, 0)))
}

/// The quoted packet of `-v`: `(tos … proto UDP (17), length 60) a.b > c.d: …` after the message.
fn quoted_packet(text: &str) -> Option<Box<Quoted>> {
    let (_, quoted) = text.split_once("(tos ").or_else(|| text.split_once("hlim "))?;
    let (_, proto) = quoted.split_once("proto ").or_else(|| quoted.split_once("next-header "))?;
    let proto = leading_number(proto.split_once('(')?.1).and_then(|number| u8::try_from(number).ok())?;
    let (_, ends) = quoted.split_once(") ")?;
    let (src, dst) = ends.split_once(" > ")?;
    let src = src.rsplit(' ').next()?;
    let dst = dst.split(": ").next()?.trim_end_matches(':');
    if matches!(proto, 6 | 17) {
        let ((src, src_port), (dst, dst_port)) = (End(src).host_and_port(), End(dst).host_and_port());
        let (src_port, dst_port) = (src_port.unwrap_or(0), dst_port.unwrap_or(0));
        return Some(Box::new(Quoted { src, dst, proto, src_port, dst_port, icmp_kind: 0, icmp_code: 0 }));
    }
    let echo = matches!(proto, 1 | 58) && ends.contains("echo request");
    Some(Box::new(Quoted {
        src: End(src).host(),
        dst: End(dst).host(),
        proto,
        src_port: if echo { identifier(ends) } else { 0 },
        dst_port: 0,
        icmp_kind: match proto {
            1 if echo => 8,
            58 if echo => 128,
            _ => 0,
        },
        icmp_code: 0,
    }))
}
