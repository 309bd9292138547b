//! What sequence numbers, acknowledgements and windows tell of a TCP connection, direction by direction.
//!
//! A segment that does not advance its sequence is one sent again, or one that was overtaken; an ACK of what was never
//! seen is the capture's loss and not the path's. Definitions follow RFC 9293 and, where that leaves it to the observer
//! (how soon is overtaken, how many duplicates call for a fast retransmission), Wireshark's `tcp.analysis` fields as its
//! User's Guide defines them (7.5, TCP Analysis).

use weir_schemas::Micros;

use super::frames::{Frame, RecentFrames};
use crate::packet::TcpSegment;
use crate::packet::tcp_flag::{ACK, FIN, RST, SYN};

/// Overtaken segments arrive within a round trip of the one that overtook them, or this where none was measured.
const OVERTAKEN_WITHIN: Micros = 3_000;
/// How soon after a duplicate ACK a fast retransmission comes.
const FAST_WITHIN: Micros = 20_000;
/// Duplicate ACKs that call for one: three by RFC 5681, of which the capture may have missed one.
const DUPLICATES_BEFORE_FAST: u16 = 2;

/// Why a segment did not advance its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resent {
    /// Sent again after a timeout.
    Retransmission,
    /// Sent again since duplicate ACKs asked for it.
    Fast,
    /// Sent again though it had been acknowledged.
    Spurious,
    /// Not sent again: overtaken by a later one.
    OutOfOrder,
}

/// What one segment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) resent: Option<Resent>,
    pub(super) dup_ack: bool,
    pub(super) zero_window: bool,
    pub(super) window_probe: bool,
    pub(super) keepalive: bool,
    /// It acknowledges what was never seen.
    pub(super) ack_unseen: bool,
    pub(super) ts_backwards: bool,
    /// It answers a request after so many microseconds.
    pub(super) response: Option<u32>,
}

/// What the last segment of a direction was, as far as the answer to it depends on that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Ordinary,
    Keepalive,
    WindowProbe,
}

/// One direction.
#[derive(Clone, Debug, Default)]
struct Direction {
    /// Behind the highest byte seen.
    next: Option<u32>,
    next_time: Micros,
    /// Behind the highest byte seen without a hole before it: an ACK of more acknowledges what was not captured.
    known: Option<u32>,
    last_ack: Option<u32>,
    last_ack_time: Micros,
    window: Option<u32>,
    timestamp: Option<u32>,
    duplicate_acks: u16,
    /// Window scale of its SYN.
    scale: Option<u8>,
    last: Last,
    /// When its last payload was sent that has not been answered by payload.
    asked: Option<Micros>,
    recent: RecentFrames,
}

/// Both directions, by end of the key.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequences {
    directions: [Direction; 2],
    syn_time: Option<Micros>,
    round_trip: Option<Micros>,
}

impl Sequences {
    /// What is left of both directions when a flow ends: behind the highest byte seen of each.
    pub(super) fn ends(&self) -> [Option<u32>; 2] {
        [self.directions[0].next, self.directions[1].next]
    }

    /// The sequences of a flow that ended, and goes on.
    pub(super) fn continuing(ends: [Option<u32>; 2]) -> Self {
        let direction = |end| Direction { next: end, known: end, ..Direction::default() };
        Self { directions: ends.map(direction), ..Self::default() }
    }

    /// Whether this frame was captured before: it says nothing of the connection then.
    #[inline]
    pub(super) fn is_duplicate(&mut self, sender: usize, frame: Frame) -> bool {
        self.directions[sender].recent.is_known(frame)
    }

    /// Takes a segment in.
    #[inline]
    pub(super) fn segment(&mut self, sender: usize, segment: &TcpSegment, time: Micros) -> Findings {
        let mut findings = Findings::default();
        let (flags, seq) = (segment.flags, segment.seq);
        self.note_handshake(sender, segment, time);
        let window = self.scaled_window(sender, segment);
        let [first, second] = &mut self.directions;
        let (own, peer) = if sender == 0 { (first, second) } else { (second, first) };

        let mut kind = Last::Ordinary;
        let is_next = own.next == Some(seq);
        let is_probe = segment.payload == 1 && is_next && peer.window == Some(0);
        if is_probe {
            kind = Last::WindowProbe;
            findings.window_probe = true;
        } else {
            if flags & (SYN | FIN | RST) == 0 {
                findings.zero_window = window == 0;
                if segment.payload <= 1 && own.next.is_some_and(|next| seq == next.wrapping_sub(1)) {
                    kind = Last::Keepalive;
                    findings.keepalive = true;
                }
            }
            findings.dup_ack = repeats_ack(own, peer, segment, window, is_next);
        }

        // A RST without ACK acknowledges nothing; its field is zero as a rule.
        if flags & ACK != 0 {
            if own.last_ack != Some(segment.ack) {
                own.duplicate_acks = 0;
            }
            if findings.dup_ack {
                own.duplicate_acks = own.duplicate_acks.saturating_add(1);
            }
            // Said once, however often it is said again.
            findings.ack_unseen = own.last_ack != Some(segment.ack) && acknowledges_unseen(peer, segment.ack);
        }

        let occupies = segment.payload > 0 || flags & (SYN | FIN) != 0;
        if occupies && kind != Last::Keepalive {
            let overtaken_within = self.round_trip.unwrap_or(OVERTAKEN_WITHIN);
            findings.resent = resent(own, peer, segment, time, overtaken_within);
        }
        if findings.resent.is_none() {
            if let (Some(now), Some(before)) = (segment.timestamp, own.timestamp) {
                findings.ts_backwards = is_after(before, now);
            }
            own.timestamp = segment.timestamp.or(own.timestamp);
            if segment.payload > 0 && kind == Last::Ordinary {
                findings.response = peer.asked.take().and_then(|asked| u32::try_from(time - asked).ok());
                own.asked = Some(time);
            }
        }

        if kind != Last::WindowProbe {
            advance(own, segment, time);
        }
        own.window = Some(window);
        if flags & ACK != 0 {
            own.last_ack = Some(segment.ack);
            own.last_ack_time = time;
        }
        own.last = kind;
        findings
    }

    /// The first round trip: the client's ACK after its SYN.
    #[inline]
    fn note_handshake(&mut self, sender: usize, segment: &TcpSegment, time: Micros) {
        if segment.flags & SYN != 0 {
            self.directions[sender].scale = segment.syn.and_then(|shape| shape.scale);
            if segment.flags & ACK == 0 {
                self.syn_time = Some(time);
            }
        } else if let Some(syn_time) = self.syn_time
            && segment.flags & ACK != 0
        {
            self.syn_time = None;
            self.round_trip = Some(time - syn_time).filter(|time| *time > 0);
        }
    }

    /// The window in bytes, where both SYNs said how it is scaled; a SYN's own is not scaled (RFC 7323 §2.2).
    #[inline]
    fn scaled_window(&self, sender: usize, segment: &TcpSegment) -> u32 {
        let window = u32::from(segment.window);
        match (self.directions[sender].scale, self.directions[1 - sender].scale) {
            (Some(scale), Some(_)) if segment.flags & SYN == 0 => window << scale.min(14),
            _ => window,
        }
    }
}

/// An ACK that says what the one before it said, and brings nothing; an answer to a keep-alive or probe is none.
#[inline]
fn repeats_ack(own: &Direction, peer: &Direction, segment: &TcpSegment, window: u32, is_next: bool) -> bool {
    segment.payload == 0
        && window != 0
        && is_next
        && segment.flags & (SYN | FIN | RST | ACK) == ACK
        && own.window == Some(window)
        && own.last_ack == Some(segment.ack)
        && peer.last != Last::Keepalive
}

#[inline]
fn acknowledges_unseen(peer: &mut Direction, ack: u32) -> bool {
    let (Some(known), Some(next)) = (peer.known, peer.next) else { return false };
    if !is_after(ack, known) {
        return false;
    }
    // The byte of a window probe may have been taken after all: then it was seen.
    let probed = peer.last == Last::WindowProbe && ack == next.wrapping_add(1);
    // What comes next is known again, whatever was missed before.
    peer.known = Some(next);
    if probed {
        (peer.next, peer.known) = (Some(ack), Some(ack));
    }
    !probed
}

/// Whether a segment with payload, SYN or FIN was sent again or overtaken.
#[inline]
fn resent(
    own: &Direction,
    peer: &Direction,
    segment: &TcpSegment,
    time: Micros,
    overtaken_within: Micros,
) -> Option<Resent> {
    let next = own.next?;
    let end = segment.seq.wrapping_add(segment.payload);
    if segment.payload > 0 && peer.last_ack.is_some_and(|acknowledged| !is_after(end, acknowledged)) {
        return Some(Resent::Spurious);
    }
    // More than a byte, and all but the first of them new: the first was a probe.
    let follows_probe = segment.payload > 1 && segment.seq == next.wrapping_sub(1);
    if !is_after(next, segment.seq) || follows_probe {
        return None;
    }
    let was_asked_for = peer.duplicate_acks >= DUPLICATES_BEFORE_FAST
        && peer.last_ack == Some(segment.seq)
        && time - peer.last_ack_time < FAST_WITHIN;
    if was_asked_for {
        return Some(Resent::Fast);
    }
    let is_soon = time - own.next_time < overtaken_within;
    let reaches_the_end = end.wrapping_add(u32::from(segment.flags & (SYN | FIN) != 0)) == next;
    Some(if is_soon && !reaches_the_end { Resent::OutOfOrder } else { Resent::Retransmission })
}

#[inline]
fn advance(own: &mut Direction, segment: &TcpSegment, time: Micros) {
    let length = segment.payload + u32::from(segment.flags & (SYN | FIN) != 0);
    let end = segment.seq.wrapping_add(length);
    if own.next.is_none_or(|next| is_after(end, next)) {
        own.next = Some(end);
        own.next_time = time;
    }
    if own.known.is_none_or(|known| known == segment.seq) {
        own.known = own.next;
    }
}

/// Whether `a` lies behind `b` in sequence space (RFC 9293 §3.4).
#[inline]
fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}
