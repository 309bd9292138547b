//! A connection before its sequences are followed: the first segment of each end, which is all that a flood's flows have.

use weir_schemas::Micros;

use super::entry::FlowEntry;
use super::frames::Frame;
use super::observe::SegmentSeen;
use super::sequence::{Findings, Resent, Sequences};
use crate::packet::tcp_flag::{FIN, RST, SYN};
use crate::packet::{SynShape, TcpSegment};

/// The first segment of an end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    time: Micros,
    frame: Frame,
    seq: u32,
    ack: u32,
    timestamp: Option<u32>,
    window: u16,
    flags: u8,
    scale: Option<u8>,
}

impl Opening {
    fn new(segment: &TcpSegment, frame: Frame, time: Micros) -> Self {
        Self {
            time,
            frame,
            seq: segment.seq,
            ack: segment.ack,
            timestamp: segment.timestamp,
            window: segment.window,
            flags: segment.flags,
            scale: segment.syn.and_then(|shape| shape.scale),
        }
    }

    /// The segment, as far as sequences depend on it.
    fn segment(&self) -> TcpSegment {
        let shape = SynShape { scale: self.scale, ..SynShape::default() };
        TcpSegment {
            flags: self.flags,
            seq: self.seq,
            ack: self.ack,
            window: self.window,
            timestamp: self.timestamp,
            syn: (self.flags & SYN != 0).then_some(shape),
            ..TcpSegment::default()
        }
    }
}

impl FlowEntry {
    /// What a segment sent by `sender` is to the sequences of its flow; `None` for a frame captured twice. To be asked
    /// before anything else of the flow notes the segment.
    #[inline]
    pub(super) fn follow(&mut self, sender: usize, segment: &SegmentSeen<'_>, time: Micros) -> Option<Findings> {
        let tcp = segment.tcp;
        let frame = Frame::new(segment.id, tcp.payload, tcp.checksum, tcp.seq, tcp.ack, time);
        if let Some(sequences) = &mut self.sequences {
            if sequences.is_duplicate(sender, frame) {
                return None;
            }
            return Some(sequences.segment(sender, tcp, time));
        }
        let opening = self.openings[sender];
        if opening.is_some_and(|opening| frame.repeats(opening.frame)) {
            return None;
        }

        let is_more_than_an_opening =
            tcp.payload > 0 || tcp.flags & FIN != 0 || (tcp.flags & (SYN | RST) == 0 && opening.is_some());
        if is_more_than_an_opening {
            return Some(self.follow_from_now_on(sender, tcp, frame, time));
        }
        if tcp.flags & RST != 0 {
            return Some(Findings::default());
        }
        let resent = match opening {
            Some(opening) if tcp.flags & SYN != 0 && tcp.seq == opening.seq => Some(Resent::Retransmission),
            Some(_) => None,
            None => {
                self.openings[sender] = Some(Opening::new(tcp, frame, time));
                // Its flow had ended, and goes on with the SYN that it began with.
                let is_syn_again = tcp.flags & SYN != 0
                    && self.syn_end == Some(sender as u8)
                    && self.syn_count > 0
                    && self.syn_sequence == tcp.seq;
                is_syn_again.then_some(Resent::Retransmission)
            }
        };
        Some(Findings { resent, ..Findings::default() })
    }

    fn follow_from_now_on(&mut self, sender: usize, segment: &TcpSegment, frame: Frame, time: Micros) -> Findings {
        let mut sequences = Box::<Sequences>::default();
        let mut openings = [(0, self.openings[0]), (1, self.openings[1])];
        openings.sort_by_key(|(_, opening)| opening.map_or(Micros::MAX, |opening| opening.time));
        for (end, opening) in openings {
            if let Some(opening) = opening {
                sequences.is_duplicate(end, opening.frame);
                sequences.segment(end, &opening.segment(), opening.time);
            }
        }
        sequences.is_duplicate(sender, frame);
        let findings = sequences.segment(sender, segment, time);
        self.sequences = Some(sequences);
        findings
    }
}
