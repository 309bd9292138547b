//! Readers of application protocols: as conversations of segments, and datagram by datagram.

use std::fmt::Debug;

use weir_schemas::app::App;
use weir_sensor::application::dns::{self, Trust};
use weir_sensor::application::fingerprint::{ja3, ja4};
use weir_sensor::application::tls::{self, Carrier};
use weir_sensor::application::{Conversation, Exchange, Facts, Progress, Segment, quic};

use crate::promises;
use crate::targets::Answer;

/// Most bytes that one conversation may take while it is read: two heads of 2 KiB, as vectors grow, and the state of a reader.
const MOST_CONVERSATION: usize = 16 << 10;
/// Most bytes that the facts of one record may take.
const MOST_FACTS: usize = 8 << 10;
/// Longest text of a record, bytes: 255 of the wire, each escaped.
const LONGEST_TEXT: usize = 4 * 255;

/// A DNS message over UDP; the same as a stream over TCP.
pub fn dns(bytes: &[u8]) -> Result<Answer, String> {
    for trust in [Trust::Port, Trust::Content] {
        let Some(question) = dns::parse(bytes, trust).and_then(|message| message.question) else { continue };
        let (name, entropy) = (question.text(), question.entropy_millibits());
        if question.name.len() > 255 || entropy > 8000 || !name.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
            return Err(format!("no name of DNS is like this: {name:?}, entropy {entropy}"));
        }
    }
    let message = [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    streamed(&message)?;
    datagrams([40_000, 53], &[bytes])
}

/// A stream that begins with TLS records; the body of a hello.
pub fn tls(bytes: &[u8]) -> Result<Answer, String> {
    for length in [bytes.len(), bytes.len() + 100] {
        if let Some(hello) = tls::client_hello(bytes, length) {
            let (ja3, ja4) = (ja3(&hello), ja4(&hello, Carrier::Tcp));
            if ja3.len() != 32 || ja4.len() != 36 || !ja4.is_ascii() {
                return Err(format!("no fingerprints are like these: {ja3:?}, {ja4:?}"));
            }
        }
    }
    let _ = tls::server_hello(bytes);
    streamed(bytes)
}

/// A stream of HTTP.
pub fn http(bytes: &[u8]) -> Result<Answer, String> {
    streamed(bytes)
}

/// A datagram of QUIC, alone and twice; the same content as it is before it is encrypted.
pub fn quic(bytes: &[u8]) -> Result<Answer, String> {
    let mut facts = Facts::default();
    let mut stream = quic::Stream::default();
    stream.frames(bytes, &mut facts);
    kept(&facts, 0)?;
    let frames = if facts.name().is_empty() { Answer::Refused } else { Answer::Accepted };
    match datagrams([50_000, 443], &[bytes, bytes])? {
        Answer::Refused => Ok(frames),
        accepted @ Answer::Accepted => Ok(accepted),
    }
}

/// Everything else: pieces, each behind a byte (1: the other end; 2: bytes before it are lost; 4: its end was cut; 8: a datagram)
/// and its length in two bytes.
pub fn applications(mut bytes: &[u8]) -> Result<Answer, String> {
    let (mut segments, mut sent) = (Vec::new(), Vec::new());
    while let [flags, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (piece, after) = rest.split_at(length);
        if flags & 8 == 0 {
            segments.push((*flags, piece));
        } else {
            sent.push(piece);
        }
        bytes = after;
    }
    let ports = sent
        .first()
        .and_then(|piece| piece.last())
        .map_or(5000, |byte| [53, 123, 137, 5353, 161, 5000][usize::from(byte % 6)]);
    let told = [played(&segments)?, datagrams([40_000, ports], &sent)?];
    Ok(if told.contains(&Answer::Accepted) { Answer::Accepted } else { Answer::Refused })
}

/// Bytes as a client's stream and as a server's, in segments of several sizes.
fn streamed(bytes: &[u8]) -> Result<Answer, String> {
    let mut answer = Answer::Refused;
    for (end, size) in [(0, 1460), (1, 1460), (0, 7), (0, 100)] {
        let pieces: Vec<_> = bytes.chunks(size).map(|piece| (end, piece)).collect();
        if played(&pieces)? == Answer::Accepted {
            answer = Answer::Accepted;
        }
    }
    Ok(answer)
}

/// Segments of one conversation; what is said of them is the same twice.
fn played(segments: &[(u8, &[u8])]) -> Result<Answer, String> {
    let play = || {
        let (mut conversation, mut facts) = (Conversation::default(), Facts::default());
        let mut next = [1_u32; 2];
        let mut most = 0;
        for (flags, bytes) in segments {
            let end = usize::from(flags & 1);
            if flags & 2 != 0 {
                next[end] = next[end].wrapping_add(1000);
            }
            let length = bytes.len() as u32 + if flags & 4 == 0 { 0 } else { 100 };
            let segment = Segment { end, client: 0, sequence: next[end], length, bytes };
            next[end] = next[end].wrapping_add(length);
            let progress = conversation.segment(segment, &mut facts);
            most = most.max(conversation.memory());
            if progress == Progress::Over {
                break;
            }
        }
        (facts, most)
    };
    let ((facts, most), (again, _)) = (play(), play());
    kept(&facts, most)?;
    promises::same(&again.into_app(true), &facts.clone().into_app(true))?;
    Ok(answer_of(&facts))
}

fn datagrams(ports: [u16; 2], datagrams: &[&[u8]]) -> Result<Answer, String> {
    let (mut exchange, mut facts) = (Exchange::default(), Facts::default());
    for bytes in datagrams {
        let progress = exchange.datagram(ports, bytes, bytes.len() as u32, &mut facts);
        kept(&facts, exchange.memory())?;
        if progress == Progress::Over {
            break;
        }
    }
    Ok(answer_of(&facts))
}

fn answer_of(facts: &Facts) -> Answer {
    if facts.name().is_empty() { Answer::Refused } else { Answer::Accepted }
}

/// Memory is bounded, texts are bounded and printable, log-ins fail at most as often as they are tried, and what is withheld
/// is not there.
fn kept(facts: &Facts, memory: usize) -> Result<(), String> {
    if memory > MOST_CONVERSATION || facts.memory() > MOST_FACTS {
        return Err(format!("takes {memory} bytes, and {} of facts", facts.memory()));
    }
    let app = facts.clone().into_app(true);
    for text in texts(&app) {
        if text.len() > LONGEST_TEXT || text.chars().any(char::is_control) {
            return Err(format!("no text to print: {text:?}"));
        }
    }
    if app.login.as_ref().is_some_and(|login| login.failures > login.attempts) {
        return Err(format!("more failures than attempts: {:?}", app.login));
    }
    let withheld = facts.clone().into_app(false);
    let left: Vec<_> = texts(&withheld).into_iter().filter(|text| !text.is_empty()).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("not withheld: {}", shown(&left))) }
}

fn shown(value: &impl Debug) -> String {
    format!("{value:?}")
}

/// What strangers chose the words of.
fn texts(app: &App) -> Vec<&str> {
    let mut texts = Vec::new();
    if let Some(dns) = &app.dns {
        texts.push(dns.query.as_str());
    }
    if let Some(http) = &app.http {
        texts.extend([http.host.as_str(), &http.path_segment, &http.user_agent]);
    }
    if let Some(tls) = &app.tls {
        texts.push(tls.server_name.as_str());
    }
    if let Some(ssh) = &app.ssh {
        texts.extend([ssh.client.as_str(), &ssh.server]);
    }
    if let Some(irc) = &app.irc {
        texts.extend([irc.nick.as_str(), &irc.channel]);
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::TARGETS;

    #[test]
    fn every_seed_is_recognised() {
        for folder in ["dns", "tls", "quic", "http", "application"] {
            let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(folder);
            let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
            assert!(!files.is_empty());
            let target = TARGETS.iter().find(|target| target.name == folder).unwrap();
            for file in files {
                assert_eq!((target.run)(&std::fs::read(&file).unwrap()), Ok(Answer::Accepted), "{}", file.display());
            }
        }
    }
}
