//! DNS messages (RFC 1035), over UDP and behind a length over TCP; mDNS, LLMNR and `NetBIOS` names share the form.
//!
//! Only the header and the first question are read: names are bounded by 255 octets, compression by 16 jumps.

use std::fmt::Write as _;

use super::cursor::Cursor;
use super::facts::Facts;

/// Length of the header.
const HEADER: usize = 12;
/// RFC 1035 §2.3.4.
const LONGEST_NAME: usize = 255;
/// Beyond what any honest name needs; the bound on the work of one.
const MOST_JUMPS: usize = 16;

/// One message, as far as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The QR bit.
    pub is_response: bool,
    /// Operation code.
    pub opcode: u8,
    /// Response code, without its extension by EDNS.
    pub rcode: u8,
    /// Answer records, as the header says.
    pub answers: u16,
    /// The first question.
    pub question: Option<Question>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The labels in lower case, each behind its length, without the root's.
    pub name: Vec<u8>,
    /// Type number.
    pub kind: u16,
}

/// How sure one has to be before bytes are taken for DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A port says so already: the message need only hold together.
    Port,
    /// Nothing but the content says so.
    Content,
}

/// Reads a message; `None` where it is none, or damaged.
#[must_use]
pub fn parse(bytes: &[u8], trust: Trust) -> Option<Message> {
    let mut header = Cursor::new(bytes);
    header.number16()?;
    let flags = header.number16()?;
    let (questions, answers) = (header.number16()?, header.number16()?);
    let (authorities, additional) = (header.number16()?, header.number16()?);
    let is_response = flags & 0x8000 != 0;
    let opcode = (flags >> 11 & 0xf) as u8;
    let rcode = (flags & 0xf) as u8;
    // RFC 6895 §2.2: operations above 6 are unassigned.
    if opcode > 6 {
        return None;
    }
    if trust == Trust::Content {
        let ordinary = opcode == 0 && flags & 0x0040 == 0 && questions == 1;
        let fits = u32::from(answers) + u32::from(authorities) + u32::from(additional) <= bytes.len() as u32 / 11;
        let asks = is_response || (answers == 0 && authorities == 0 && rcode == 0 && flags & 0x0480 == 0);
        if !(ordinary && fits && asks) {
            return None;
        }
    }
    let question = if questions == 0 { None } else { Some(question(bytes)?) };
    if trust == Trust::Content && !question.as_ref().is_some_and(Question::is_believable) {
        return None;
    }
    Some(Message { is_response, opcode, rcode, answers, question })
}

fn question(bytes: &[u8]) -> Option<Question> {
    let (name, end) = name(bytes, HEADER)?;
    let mut rest = Cursor::new(bytes.get(end..)?);
    let kind = rest.number16()?;
    rest.number16()?;
    Some(Question { name, kind })
}

/// The name at `at` in lower case, and where what follows it begins.
fn name(bytes: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::new();
    let mut end = None;
    let mut jumps = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => return Some((name, end.unwrap_or(at + 1))),
            1..=63 => {
                let label = bytes.get(at + 1..at + 1 + length)?;
                if name.len() + 1 + length >= LONGEST_NAME {
                    return None;
                }
                name.push(length as u8);
                name.extend(label.iter().map(u8::to_ascii_lowercase));
                at += 1 + length;
            }
            // A pointer leads backwards (RFC 1035 §4.1.4).
            192.. => {
                let target = (length & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
                end.get_or_insert(at + 2);
                jumps += 1;
                if target >= at || jumps > MOST_JUMPS {
                    return None;
                }
                at = target;
            }
            _ => return None,
        }
    }
}

impl Question {
    /// Types and names that are met: what random bytes rarely are.
    fn is_believable(&self) -> bool {
        let printable = |byte: &u8| (0x20..0x7f).contains(byte) || *byte >= 0x80;
        (1..=512).contains(&self.kind) && self.labels().all(|label| label.iter().all(printable))
    }

    /// The labels, from the host to the top.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        labels_of(&self.name)
    }

    /// The name as people write it, without the trailing dot (RFC 1035 §5.1, RFC 4343 §2.1); `.` is the root.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(&self.name)
    }

    /// The last two labels, likewise.
    #[must_use]
    pub fn domain_text(&self) -> String {
        text_of(self.domain())
    }

    /// Octets of the name without the root, as the text without escapes has.
    #[must_use]
    pub fn length(&self) -> u16 {
        self.name.len().saturating_sub(1) as u16
    }

    /// The last two labels as on the wire: mostly what somebody registered.
    #[must_use]
    pub fn domain(&self) -> &[u8] {
        let count = self.labels().count();
        let skipped: usize = self.labels().take(count.saturating_sub(2)).map(|label| label.len() + 1).sum();
        &self.name[skipped..]
    }

    /// Shannon entropy of the octets before the domain, thousandths of a bit per octet; 0 where there are none.
    #[must_use]
    pub fn entropy_millibits(&self) -> u32 {
        let mut counts = [0_u32; 256];
        let mut total = 0_u32;
        let count = self.labels().count();
        for byte in self.labels().take(count.saturating_sub(2)).flatten() {
            counts[usize::from(*byte)] += 1;
            total += 1;
        }
        if total == 0 {
            return 0;
        }
        let size = f64::from(total);
        let bits: f64 = counts
            .iter()
            .filter(|count| **count > 0)
            .map(|count| f64::from(*count) / size)
            .map(|share| -share * share.log2())
            .sum();
        (bits * 1000.0).round() as u32
    }
}

fn labels_of(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Cursor::new(name);
    std::iter::from_fn(move || rest.block8())
}

fn text_of(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for label in labels_of(name) {
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label {
            match byte {
                b'.' | b'\\' => {
                    text.push('\\');
                    text.push(char::from(*byte));
                }
                0x21..=0x7e => text.push(char::from(*byte)),
                // Writing to a String cannot fail.
                _ => _ = write!(text, "\\{byte:03}"),
            }
        }
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

/// One direction of DNS over TCP (RFC 1035 §4.2.2, RFC 7766).
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// What of the current message has come, length included.
    pending: Vec<u8>,
    /// Bytes of the current message that need not be looked at.
    skip: usize,
    /// Bytes were lost: the next message is taken for one only if its content says so.
    is_adrift: bool,
}

/// Bytes of a message that are looked at: its length, its header, the longest name, type and class.
const LOOKED_AT: usize = 2 + HEADER + LONGEST_NAME + 1 + 4;

impl Stream {
    /// Takes in what follows in the stream. False where it is no DNS.
    pub(super) fn take(&mut self, bytes: &[u8], facts: &mut Facts) -> bool {
        let mut rest = Cursor::new(bytes);
        loop {
            let passed = rest.take_up_to(self.skip).len();
            self.skip -= passed;
            if rest.is_empty() {
                return true;
            }
            let wanted = LOOKED_AT - self.pending.len().min(LOOKED_AT);
            let piece = Cursor::new(rest.rest()).take_up_to(wanted);
            self.pending.extend_from_slice(piece);
            let Some(length) = Cursor::new(&self.pending).number16().map(usize::from) else { return true };
            let whole = 2 + length;
            if self.pending.len() < whole.min(LOOKED_AT) {
                return true;
            }
            // What was taken over the end of this message belongs to the next one.
            let before = self.pending.len() - piece.len();
            let looked = whole.min(self.pending.len());
            let trust = if self.is_adrift { Trust::Content } else { Trust::Port };
            let Some(message) = parse(&self.pending[2..looked], trust) else { return false };
            self.is_adrift = false;
            facts.dns_message("dns", &message, length as u32);
            self.pending.clear();
            rest.take_up_to(looked.saturating_sub(before));
            self.skip = whole - looked;
        }
    }

    /// Bytes are missing: the rest of a segment of which `missing` were not captured, or nobody knows how many.
    pub(super) fn lost(&mut self, missing: Option<u32>) {
        if let Some(missing) = missing.map(|missing| missing as usize).filter(|missing| *missing <= self.skip) {
            self.skip -= missing;
            return;
        }
        *self = Self { is_adrift: true, ..Self::default() };
    }

    /// Bytes of memory it takes beside itself.
    pub(super) fn memory(&self) -> usize {
        self.pending.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A query for `name`, or its answer.
    fn message(name: &str, kind: u16, flags: u16, answers: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34];
        for number in [flags, 1, answers, 0, 0] {
            bytes.extend(number.to_be_bytes());
        }
        for label in name.split('.') {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(std::iter::repeat_n(0_u8, usize::from(answers) * 16));
        bytes
    }

    #[test]
    fn queries_and_answers_are_read() {
        let query = parse(&message("WWW.Example.com", 28, 0x0100, 0), Trust::Content).unwrap();
        let question = query.question.unwrap();
        assert_eq!((query.is_response, query.rcode, question.kind), (false, 0, 28));
        assert_eq!((question.text().as_str(), question.length()), ("www.example.com", 15));
        assert_eq!(question.domain(), b"\x07example\x03com");

        let answer = parse(&message("nowhere.test", 1, 0x8183, 0), Trust::Content).unwrap();
        assert_eq!((answer.is_response, answer.rcode, answer.answers), (true, 3, 0));
        assert_eq!(parse(&message("a.test", 1, 0x8180, 3), Trust::Content).unwrap().answers, 3);
    }

    #[test]
    fn entropy_is_of_what_stands_before_the_domain() {
        let entropy = |name: &str| {
            parse(&message(name, 1, 0x0100, 0), Trust::Content).unwrap().question.unwrap().entropy_millibits()
        };
        let table = [("example.com", 0), ("aaaa.example.com", 0), ("ab.example.com", 1000), ("abcd.example.com", 2000)];
        for (name, expected) in table {
            assert_eq!(entropy(name), expected, "{name}");
        }
    }

    #[test]
    fn strange_octets_are_escaped() {
        let mut bytes = message("ab.c", 16, 0x0100, 0);
        bytes[13] = b'.';
        bytes[14] = 0x07;
        let question = parse(&bytes, Trust::Port).unwrap().question.unwrap();
        assert_eq!(question.text(), "\\.\\007.c");
        assert_eq!(parse(&bytes, Trust::Content), None, "control characters are no names of hosts");
    }

    #[test]
    fn what_is_no_dns_is_none() {
        let good = message("a.test", 1, 0x0100, 0);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let table: [(&str, Vec<u8>); 7] = [
            ("empty", Vec::new()),
            ("cut in the header", good[..11].to_vec()),
            ("cut in the name", good[..14].to_vec()),
            ("operation 15", with(2, 0x79)),
            ("a name that points at itself", [&good[..12], &[0xc0, 12, 0, 1, 0, 1]].concat()),
            ("a label of 64 octets", with(12, 64)),
            ("a thousand answers in 24 bytes", with(6, 4)),
        ];
        for (what, bytes) in table {
            assert_eq!(parse(&bytes, Trust::Content), None, "{what}");
        }
    }

    #[test]
    fn messages_over_tcp_are_counted_wherever_segments_end() {
        let query = message("www.example.com", 1, 0x0100, 0);
        // Longer than what is looked at, so that the rest is passed over.
        let answer = message("www.example.com", 1, 0x8180, 40);
        let mut bytes = Vec::new();
        for message in [&query, &answer, &query] {
            bytes.extend((message.len() as u16).to_be_bytes());
            bytes.extend(message);
        }
        for step in [1, 2, 3, 7, 100, 5000] {
            let (mut stream, mut facts) = (Stream::default(), Facts::default());
            assert!(bytes.chunks(step).all(|chunk| stream.take(chunk, &mut facts)));
            let dns = facts.into_app(true).dns.unwrap();
            assert_eq!((dns.queries, dns.responses, dns.answers, dns.names), (2, 1, 40, 1), "steps of {step}");
            assert_eq!(dns.response_bytes, answer.len() as u64);
        }
    }

    #[test]
    fn after_a_loss_only_a_message_is_taken_for_one() {
        let query = message("www.example.com", 1, 0x0100, 0);
        let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
        let (mut stream, mut facts) = (Stream::default(), Facts::default());
        stream.lost(None);
        assert!(stream.take(&framed, &mut facts));
        stream.lost(None);
        assert!(!stream.take(&[0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &mut facts));
        assert_eq!(facts.into_app(true).dns.unwrap().queries, 1);

        // The end of a long answer was not captured, and the next message begins with the next segment.
        let answer = message("www.example.com", 1, 0x8180, 40);
        let whole = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
        let (mut stream, mut facts) = (Stream::default(), Facts::default());
        assert!(stream.take(&whole[..400], &mut facts));
        stream.lost(Some(whole.len() as u32 - 400));
        assert!(stream.take(&framed, &mut facts) && !stream.is_adrift);
        assert_eq!(facts.into_app(true).dns.unwrap().queries, 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            for trust in [Trust::Port, Trust::Content] {
                if let Some(question) = parse(&bytes, trust).and_then(|message| message.question) {
                    prop_assert!(question.name.len() < LONGEST_NAME);
                    prop_assert!(question.entropy_millibits() <= 8000);
                    prop_assert!(question.name.ends_with(question.domain()));
                }
            }
            let (mut stream, mut facts) = (Stream::default(), Facts::default());
            stream.take(&bytes, &mut facts);
            prop_assert!(stream.pending.len() <= LOOKED_AT);
        }

        #[test]
        fn names_come_back_as_they_were(labels in proptest::collection::vec("[a-z0-9-]{1,20}", 1..8)) {
            let name = labels.join(".");
            let read = parse(&message(&name, 1, 0x0100, 0), Trust::Content).unwrap();
            prop_assert_eq!(read.question.unwrap().text(), name);
        }
    }
}
