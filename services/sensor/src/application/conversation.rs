//! One TCP conversation: its segments in order, what it speaks, and the reader of that.
//!
//! Until the protocol is known, what came is kept: at most 2 KiB of a direction and four segments in all. A segment sent
//! again is passed over. After a hole, readers of handshakes end, and readers of messages begin anew at the next segment
//! that begins one.

use super::facts::Facts;
use super::{binary, dns, http, lines, ssh, tls};

/// Most bytes of a direction that are kept while it is not known what it speaks.
const UNDECIDED: usize = 2048;
/// Segments with payload by which it must be known.
const MOST_SEGMENTS: usize = 4;

/// A segment with payload.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The end of the flow that sent it: 0 or 1.
    pub end: usize,
    /// The end that began the conversation, as far as is known.
    pub client: usize,
    /// Sequence number of its first byte.
    pub sequence: u32,
    /// Payload bytes on the wire.
    pub length: u32,
    /// Those of them that are at hand, from the first on.
    pub bytes: &'a [u8],
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its next segment is wanted.
    GoesOn,
    /// Nothing more will be told of it.
    Over,
}

/// Where a direction stands.
#[derive(Debug, Default)]
struct Direction {
    /// Sequence number that is due next.
    next: Option<u32>,
    /// The newest hole: from, to.
    hole: Option<(u32, u32)>,
}

/// What a segment is to its direction.
enum Place {
    /// Seen before.
    Old,
    /// The bytes from here on are new.
    New { skip: u32, after_hole: bool },
}

impl Direction {
    fn place(&mut self, sequence: u32, length: u32) -> Place {
        let end = sequence.wrapping_add(length);
        let Some(next) = self.next else {
            self.next = Some(end);
            return Place::New { skip: 0, after_hole: false };
        };
        let ahead = sequence.wrapping_sub(next).cast_signed();
        if ahead > 0 {
            self.hole = Some((next, sequence));
            self.next = Some(end);
            return Place::New { skip: 0, after_hole: true };
        }
        let skip = ahead.unsigned_abs();
        if skip < length {
            self.next = Some(end);
            return Place::New { skip, after_hole: false };
        }
        // Out of order rather than again: it fills the hole that it left.
        match self.hole {
            Some((from, to)) if sequence.wrapping_sub(from) < to.wrapping_sub(from) => {
                self.hole = Some((end, to)).filter(|_| to.wrapping_sub(end).cast_signed() > 0);
                Place::New { skip: 0, after_hole: true }
            }
            _ => Place::Old,
        }
    }
}

/// The reader of what is spoken.
#[derive(Debug)]
enum Reader {
    Dns(Box<[dns::Stream; 2]>),
    Http(http::Stream),
    Tls(tls::Stream),
    Ssh(Box<ssh::Stream>),
    Lines(lines::Stream),
    Binary(binary::Stream),
}

/// A segment that waits until the protocol is known: a part of the head of its direction.
#[derive(Debug)]
struct Piece {
    end: usize,
    /// Payload bytes on the wire.
    length: u32,
    /// Where it lies in the head.
    range: std::ops::Range<usize>,
}

/// What is kept of a conversation.
#[derive(Debug, Default)]
pub struct Conversation {
    directions: [Direction; 2],
    name: &'static str,
    reader: Option<Reader>,
    /// The first bytes of both directions, until they tell what is spoken.
    heads: [Vec<u8>; 2],
    /// What the heads consist of, in order of arrival.
    pieces: Vec<Piece>,
    segments: usize,
}

impl Conversation {
    /// What it speaks; empty while that is not known.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// One that was read before, as far as these bytes of its ends.
    #[must_use]
    pub fn continuing(due: [Option<u32>; 2]) -> Self {
        Self { directions: due.map(|next| Direction { next, hole: None }), ..Self::default() }
    }

    /// The sequence numbers that are due next, by end.
    #[must_use]
    pub fn due(&self) -> [Option<u32>; 2] {
        [self.directions[0].next, self.directions[1].next]
    }

    /// Bytes of memory it takes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let heads: usize = self.heads.iter().map(Vec::capacity).sum();
        let reader = match &self.reader {
            Some(Reader::Dns(streams)) => {
                size_of_val(streams.as_ref()) + streams.iter().map(dns::Stream::memory).sum::<usize>()
            }
            Some(Reader::Http(stream)) => stream.memory(),
            Some(Reader::Tls(stream)) => stream.memory(),
            Some(Reader::Ssh(stream)) => size_of_val(stream.as_ref()) + stream.memory(),
            Some(Reader::Lines(_) | Reader::Binary(_)) | None => 0,
        };
        size_of::<Self>() + heads + self.pieces.capacity() * size_of::<Piece>() + reader
    }

    /// Takes in a segment.
    pub fn segment(&mut self, segment: Segment<'_>, facts: &mut Facts) -> Progress {
        let Segment { end, client, sequence, length, bytes } = segment;
        let (skip, after_hole) = match self.directions[end].place(sequence, length) {
            Place::Old => return Progress::GoesOn,
            Place::New { skip, after_hole } => (skip, after_hole),
        };
        let bytes = bytes.get(skip as usize..).unwrap_or_default();
        let length = length - skip;
        if after_hole {
            self.lost(end, None, facts);
        }
        if self.reader.is_some() {
            facts.set_name(self.name);
            return self.read(end, bytes, length, facts);
        }
        self.keep(end, length, bytes);
        let Some((name, reader)) = self.recognise(client) else {
            if (bytes.len() as u32) < length {
                self.lost(end, None, facts);
            }
            return self.give_up();
        };
        self.name = name;
        self.reader = Some(reader);
        facts.set_name(name);
        let heads = std::mem::take(&mut self.heads);
        let mut progress = Progress::GoesOn;
        for Piece { end, length, range } in std::mem::take(&mut self.pieces) {
            progress = self.read(end, &heads[end][range], length, facts);
        }
        progress
    }

    fn keep(&mut self, end: usize, length: u32, bytes: &[u8]) {
        self.segments += 1;
        let head = &mut self.heads[end];
        let from = head.len();
        head.extend_from_slice(&bytes[..bytes.len().min(UNDECIDED - from.min(UNDECIDED))]);
        self.pieces.push(Piece { end, length, range: from..head.len() });
    }

    fn give_up(&mut self) -> Progress {
        let has_answer = [0, 1].iter().all(|end| self.pieces.iter().any(|piece| piece.end == *end));
        let is_long = self.heads.iter().any(|head| head.len() >= UNDECIDED);
        if self.segments >= MOST_SEGMENTS || is_long || (has_answer && self.segments >= 3) {
            self.heads = Default::default();
            self.pieces = Vec::new();
            return Progress::Over;
        }
        Progress::GoesOn
    }

    /// Finds out what is spoken, by the first bytes of either direction.
    fn recognise(&self, client: usize) -> Option<(&'static str, Reader)> {
        self.heads.iter().filter(|head| !head.is_empty()).find_map(|head| reader_of(head, client))
    }

    fn read(&mut self, end: usize, bytes: &[u8], length: u32, facts: &mut Facts) -> Progress {
        // STARTTLS and its like (RFC 2817, RFC 3207, RFC 4217), and what a proxy passes on: the name stays.
        if matches!(self.reader, Some(Reader::Http(_) | Reader::Lines(_) | Reader::Binary(_)))
            && tls::begins_handshake(bytes)
        {
            self.reader = Some(Reader::Tls(tls::Stream::default()));
        }
        let goes_on = match &mut self.reader {
            None => false,
            Some(Reader::Dns(streams)) => streams[end].take(bytes, facts),
            Some(Reader::Http(stream)) => {
                stream.take(end, bytes, facts);
                true
            }
            Some(Reader::Tls(stream)) => stream.take(end, bytes, facts),
            Some(Reader::Ssh(stream)) => stream.take(end, bytes, length, facts),
            Some(Reader::Lines(stream)) => {
                stream.take(bytes, facts);
                true
            }
            Some(Reader::Binary(stream)) => stream.take(bytes, facts),
        };
        let missing = length.saturating_sub(bytes.len() as u32);
        if missing > 0 {
            self.lost(end, Some(missing), facts);
        }
        if goes_on { Progress::GoesOn } else { Progress::Over }
    }

    /// Bytes of a direction are missing; how many, where only the end of a segment is.
    fn lost(&mut self, end: usize, missing: Option<u32>, facts: &mut Facts) {
        match &mut self.reader {
            Some(Reader::Dns(streams)) => streams[end].lost(missing),
            Some(Reader::Http(stream)) => stream.lost(end, facts),
            Some(Reader::Tls(stream)) => stream.lost(end, facts),
            Some(Reader::Ssh(stream)) => stream.lost(end),
            // These begin anew with each segment.
            Some(Reader::Lines(_) | Reader::Binary(_)) => {}
            None => {
                self.heads[end].clear();
                self.pieces.retain(|piece| piece.end != end);
            }
        }
    }
}

/// The reader of a direction that begins with `head`.
fn reader_of(head: &[u8], client: usize) -> Option<(&'static str, Reader)> {
    if tls::begins_handshake(head) {
        return Some(("tls", Reader::Tls(tls::Stream::default())));
    }
    if http::begins_message(head) {
        return Some(("http", Reader::Http(http::Stream::default())));
    }
    if head.starts_with(b"SSH-") {
        let mut stream = Box::<ssh::Stream>::default();
        stream.set_client(client);
        return Some(("ssh", Reader::Ssh(stream)));
    }
    if let Some(dialect) = binary::recognise(head) {
        return Some((dialect.name(), Reader::Binary(binary::Stream::new(dialect))));
    }
    if let Some(dialect) = lines::recognise(head) {
        return Some((dialect.name(), Reader::Lines(lines::Stream::new(dialect))));
    }
    let message = head.get(2..)?;
    let length = usize::from(u16::from_be_bytes([head[0], head[1]]));
    let is_dns = length >= 17 && dns::parse(&message[..message.len().min(length)], dns::Trust::Content).is_some();
    is_dns.then(|| ("dns", Reader::Dns(Box::default())))
}

/// Whether a segment in the middle of a conversation that is not known begins a message of HTTP.
#[must_use]
pub fn begins_anew(bytes: &[u8]) -> bool {
    http::begins_message(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x.example\r\n\r\n";

    /// End, sequence number, bytes.
    type Sent<'a> = (usize, u32, &'a [u8]);

    /// Plays segments.
    fn play(segments: &[Sent<'_>]) -> (Conversation, Facts, Progress) {
        let (mut conversation, mut facts) = (Conversation::default(), Facts::default());
        let mut progress = Progress::GoesOn;
        for &(end, sequence, bytes) in segments {
            let segment = Segment { end, client: 0, sequence, length: bytes.len() as u32, bytes };
            progress = conversation.segment(segment, &mut facts);
        }
        (conversation, facts, progress)
    }

    #[test]
    fn what_is_spoken_is_told_by_either_direction() {
        let mysql = b"\x4a\x00\x00\x00\x0a8.0.36\x00\x09\x00\x00\x00";
        let query = b"\0\x1c\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";
        let table: [(&str, &[Sent<'_>]); 8] = [
            ("http", &[(0, 1, GET)]),
            ("ssh", &[(1, 1, b"SSH-2.0-OpenSSH_9.6\r\n")]),
            ("mysql", &[(1, 1, mysql)]),
            ("ftp", &[(1, 1, b"220 welcome\r\n"), (0, 1, b"USER a\r\n")]),
            ("smtp", &[(1, 1, b"220 welcome\r\n"), (0, 1, b"EHLO a\r\n")]),
            ("irc", &[(0, 1, b"NICK a\r\n"), (0, 9, b"USER a b c :d\r\n")]),
            ("dns", &[(0, 1, query)]),
            ("", &[(0, 1, b"\x01\x02\x03"), (1, 1, b"\x04")]),
        ];
        for (name, segments) in table {
            let (conversation, facts, _) = play(segments);
            assert_eq!((conversation.name(), facts.name()), (name, name));
        }
    }

    #[test]
    fn tls_that_another_protocol_asked_for_is_told() {
        let hello = super::super::tls::tests::hello_record();
        let begun = b"CONNECT x.example:443 HTTP/1.1\r\n\r\n";
        let (conversation, facts, _) =
            play(&[(0, 1, begun), (1, 1, b"HTTP/1.1 200 OK\r\n\r\n"), (0, 1 + begun.len() as u32, &hello)]);
        let app = facts.into_app(true);
        assert_eq!((conversation.name(), app.http.unwrap().requests), ("http", 1));
        assert_eq!(app.tls.unwrap().server_name, "shop.example");
    }

    #[test]
    fn segments_sent_again_count_once_and_late_ones_too() {
        let length = GET.len() as u32;
        let start = u32::MAX - 10;
        let at = |number: u32| start.wrapping_add(number * length);
        let (_, facts, _) =
            play(&[(0, at(0), GET), (0, at(0), GET), (0, at(2), GET), (0, at(1), GET), (0, at(1), GET)]);
        assert_eq!(facts.into_app(true).http.unwrap().requests, 3);
    }

    #[test]
    fn what_is_not_understood_is_given_up_soon() {
        let noise = [0x55; 900];
        let (conversation, _, progress) = play(&[(0, 1, &noise), (0, 901, &noise), (0, 1801, &noise)]);
        assert_eq!((progress, conversation.heads.concat().len()), (Progress::Over, 0));
    }

    /// Callers may go on after it is over.
    #[test]
    fn long_conversations_stay_small() {
        let (mut conversation, mut facts) = (Conversation::default(), Facts::default());
        for sequence in 0..1000 {
            conversation.segment(Segment { end: 0, client: 0, sequence, length: 1, bytes: b"x" }, &mut facts);
        }
        assert!(conversation.memory() < 4096, "{}", conversation.memory());
    }

    #[test]
    fn a_cut_segment_ends_what_follows_from_it() {
        // A hello cut by the snap length, then another segment of its direction: its bytes do not follow.
        let hello = super::super::tls::tests::hello_record();
        let (mut conversation, mut facts) = (Conversation::default(), Facts::default());
        let cut = Segment { end: 0, client: 0, sequence: 1, length: hello.len() as u32, bytes: &hello[..150] };
        conversation.segment(cut, &mut facts);
        let next = Segment {
            end: 0,
            client: 0,
            sequence: 1 + hello.len() as u32,
            length: 400,
            bytes: &hello[100..500.min(hello.len())],
        };
        conversation.segment(next, &mut facts);
        let tls = facts.into_app(true).tls.unwrap();
        assert_eq!((&*tls.server_name, &*tls.ja4), ("shop.example", ""));
    }

    proptest! {
        #[test]
        fn any_segments_are_answered_within_bounds(segments in proptest::collection::vec(
            (0..2_usize, any::<u32>(), prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..1500),
                Just(GET.to_vec()),
                Just(b"220 x FTP\r\n".to_vec()),
                Just(b"SSH-2.0-x\r\n".to_vec()),
                Just(super::super::tls::tests::hello_record()),
            ], 0..3_u32), 0..12))
        {
            let (mut conversation, mut facts) = (Conversation::default(), Facts::default());
            for (end, sequence, bytes, cut) in &segments {
                let segment = Segment { end: *end, client: 0, sequence: *sequence, length: bytes.len() as u32 + cut, bytes };
                conversation.segment(segment, &mut facts);
                prop_assert!(conversation.heads.iter().all(|head| head.len() <= UNDECIDED));
                prop_assert!(conversation.memory() < 16 << 10);
            }
        }
    }
}
