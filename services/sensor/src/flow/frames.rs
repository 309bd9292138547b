//! Frames captured twice: a mirrored port gives what comes in and what goes out, an `any` interface each hop of a packet.

use weir_schemas::Micros;

/// How far apart both captures of a frame are at most.
const WITHIN: u32 = 1_000;
/// Frames of one direction that may lie between both.
const DEPTH: usize = 4;

/// What tells a frame from any other that is sent within a millisecond: IP identification and length, and of TCP all
/// that differs when something is sent again. The hop limit is left out, since a router may lie between both captures.
/// Without identification (IPv6, and RSTs of Linux) only payload tells: several bare ACKs or RSTs may well be alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// 0 for a frame that cannot be told from its like.
    digest: u32,
    /// Microseconds, as many as fit: enough to tell a millisecond from an hour.
    time: u32,
}

impl Frame {
    #[inline]
    pub(super) fn new(id: u16, payload: u32, checksum: u16, sequence: u32, acknowledgement: u32, time: Micros) -> Self {
        let header = u64::from(id) << 48 | u64::from(checksum) << 32 | u64::from(payload);
        let numbers = u64::from(sequence) << 32 | u64::from(acknowledgement);
        // A multiplicative hash (Knuth, volume 3, 6.4): equal frames have equal digests, and four of them are compared.
        let mixed = header.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ numbers.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        let is_distinct = id != 0 || payload > 0;
        let digest = if is_distinct { (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 | 1 } else { 0 };
        Self { digest, time: time as u32 }
    }

    /// Whether `self` is `before` once more.
    #[inline]
    pub(super) fn repeats(self, before: Self) -> bool {
        self.digest != 0 && self.digest == before.digest && self.time.wrapping_sub(before.time) <= WITHIN
    }
}

/// The last frames of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentFrames {
    frames: [Option<Frame>; DEPTH],
    next: u8,
}

impl RecentFrames {
    /// Whether the frame is among them; if not, it is from now on.
    #[inline]
    pub(super) fn is_known(&mut self, frame: Frame) -> bool {
        if self.frames.iter().flatten().any(|before| frame.repeats(*before)) {
            return true;
        }
        let place = usize::from(self.next) % DEPTH;
        self.frames[place] = Some(frame);
        self.next = self.next.wrapping_add(1);
        false
    }
}
