//! TCP options (RFC 9293 §3.2): the timestamp of every segment, and all that a SYN says about the stack that sent it.
//!
//! Names of oddities are those of p0f's signatures, whose README (section 5) defines them.

use crate::packet::{SynShape, quirk, tcp_flag};

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const TIMESTAMPS: u8 = 8;
/// The greatest shift that counts (RFC 7323 §2.3).
const GREATEST_SCALE: u8 = 14;

/// What the options say.
#[derive(Default)]
pub(super) struct Options {
    /// The sender's timestamp.
    pub(super) timestamp: Option<u32>,
    /// A length that contradicts its kind or runs over the header.
    pub(super) is_damaged: bool,
}

/// Reads the options of any segment. `shape` takes what a SYN's say.
#[inline]
pub(super) fn read(options: &[u8], shape: Option<&mut SynShape>) -> Options {
    // What almost every segment has, if it has any (RFC 7323, appendix A).
    if let (Some([NO_OPERATION, NO_OPERATION, TIMESTAMPS, 10, a, b, c, d]), None, 12) =
        (options.first_chunk::<8>(), &shape, options.len())
    {
        return Options { timestamp: Some(u32::from_be_bytes([*a, *b, *c, *d])), is_damaged: false };
    }
    if options.is_empty() {
        return Options::default();
    }
    read_each(options, shape)
}

fn read_each(options: &[u8], mut shape: Option<&mut SynShape>) -> Options {
    let mut found = Options::default();
    let mut rest = options;
    while let Some((&kind, after)) = rest.split_first() {
        if let Some(shape) = shape.as_deref_mut() {
            shape.note_kind(kind);
        }
        match kind {
            END => {
                if after.iter().any(|byte| *byte != 0) {
                    note(&mut shape, quirk::DATA_AFTER_OPTIONS);
                }
                break;
            }
            NO_OPERATION => {
                rest = after;
                continue;
            }
            _ => {}
        }
        let length = after.first().map_or(0, |length| usize::from(*length));
        let Some(data) = rest.get(2..length).filter(|data| fits(kind, data.len())) else {
            found.is_damaged = true;
            note(&mut shape, quirk::BAD_OPTIONS);
            break;
        };
        if let (TIMESTAMPS, Some([a, b, c, d])) = (kind, data.first_chunk()) {
            found.timestamp = Some(u32::from_be_bytes([*a, *b, *c, *d]));
        }
        if let Some(shape) = shape.as_deref_mut() {
            of_syn(shape, kind, data);
        }
        rest = &rest[length..];
    }
    found
}

/// Whether an option of this kind may have so much data; kinds without a fixed length may have any.
fn fits(kind: u8, length: usize) -> bool {
    match kind {
        MAXIMUM_SEGMENT_SIZE => length == 2,
        WINDOW_SCALE => length == 1,
        SACK_PERMITTED => length == 0,
        TIMESTAMPS => length == 8,
        _ => true,
    }
}

fn of_syn(shape: &mut SynShape, kind: u8, data: &[u8]) {
    match (kind, data) {
        (MAXIMUM_SEGMENT_SIZE, &[high, low]) => shape.mss = Some(u16::from_be_bytes([high, low])),
        (WINDOW_SCALE, &[scale]) => {
            shape.scale = Some(scale);
            if scale > GREATEST_SCALE {
                shape.quirks |= quirk::EXCESSIVE_SCALE;
            }
        }
        (SACK_PERMITTED, _) => shape.sack = true,
        (TIMESTAMPS, &[a, b, c, d, ref echoed @ ..]) => {
            shape.timestamps = true;
            if [a, b, c, d] == [0; 4] {
                shape.quirks |= quirk::OWN_TIMESTAMP_ZERO;
            }
            if !shape.is_answer && echoed.iter().any(|byte| *byte != 0) {
                shape.quirks |= quirk::PEER_TIMESTAMP;
            }
        }
        _ => {}
    }
}

fn note(shape: &mut Option<&mut SynShape>, bit: u32) {
    if let Some(shape) = shape {
        shape.quirks |= bit;
    }
}

/// The shape of a SYN or SYN-ACK from its header, without options and IP header.
pub(super) fn shape_of(flags: u8, seq: u32, ack: u32, urgent: u16) -> SynShape {
    let has = |bit: u8| flags & bit != 0;
    let is_answer = has(tcp_flag::ACK);
    let mut shape = SynShape { is_answer, ..SynShape::default() };
    let oddities = [
        (seq == 0, quirk::SEQUENCE_ZERO),
        (!is_answer && ack != 0, quirk::ACK_WITHOUT_FLAG),
        (is_answer && ack == 0, quirk::FLAG_WITHOUT_ACK),
        (!has(tcp_flag::URG) && urgent != 0, quirk::URGENT_WITHOUT_FLAG),
        (has(tcp_flag::URG), quirk::URGENT),
        (has(tcp_flag::PSH), quirk::PUSH),
        (has(tcp_flag::ECE) || has(tcp_flag::CWR), quirk::ECN),
    ];
    for (_, bit) in oddities.into_iter().filter(|(is_so, _)| *is_so) {
        shape.quirks |= bit;
    }
    shape
}
