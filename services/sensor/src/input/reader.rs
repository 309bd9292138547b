//! What the readers of all formats have in common: one record after another, in file order.

use std::io;

use weir_schemas::Micros;

use super::Observed;
use crate::decode::DecodeError;
use crate::packet::{Body, InputCounters, Packet};

/// The longest packet that is believed; libpcap's `MAXIMUM_SNAPLEN`. More is a damaged length field.
pub(super) const LONGEST_PACKET: u32 = 262_144;

/// The end of the year 9999: later times are damage, and would overflow what is computed with them.
pub(super) const LATEST_TIME: Micros = 253_402_300_799_999_999;

/// Records, blocks or lines in a row that bring no packet data. More is a small file that unpacks into an endless one: an
/// honest capture has a packet between its descriptions, and a hex dump of the longest packet has 16,384 lines.
const MOST_IDLE: u32 = 65_536;

/// How long a reader goes on without getting anything.
#[derive(Debug, Default)]
pub(super) struct Patience(u32);

impl Patience {
    /// Notes a record, and whether it brought something; false once there were too many in a row that did not.
    #[inline]
    pub(super) fn lasts(&mut self, brought_something: bool) -> bool {
        self.0 = if brought_something { 0 } else { self.0 + 1 };
        self.0 <= MOST_IDLE
    }
}

/// Where and why reading stopped before the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) offset: u64,
    pub(super) message: String,
}

/// A reader of one format.
pub(super) trait RecordReader {
    /// The name of the format.
    fn kind(&self) -> &str;

    /// The next packet or flow in file order, decoded and counted.
    fn next(&mut self, counters: &mut InputCounters) -> Option<Observed>;

    /// Likewise, with a look at the frame of a packet as far as it was captured; of captures only.
    fn next_with(&mut self, counters: &mut InputCounters, _see: &mut dyn FnMut(&Packet, &[u8])) -> Option<Observed> {
        self.next(counters)
    }

    /// Time and offset of the next packet or flow, which is not decoded and not counted.
    fn next_time(&mut self) -> Option<(Micros, u64)>;

    /// Goes to the beginning (0) or to a packet or flow whose offset [`Self::next_time`] gave.
    fn seek(&mut self, offset: u64) -> io::Result<()>;

    /// Whether [`Self::next`] goes by time, once [`Self::next_time`] has gone to the end and [`Self::seek`] back.
    fn sorts_itself(&self) -> bool {
        false
    }

    /// Why the reader stopped, if not at the end of the input.
    fn take_fault(&mut self) -> Option<Fault>;

    /// Packets that the capture says were dropped, as far as it was read.
    fn drops(&self) -> u64 {
        0
    }

    /// A link type that cannot be decoded, if there is no interface with one that can.
    fn unreadable_link(&self) -> Option<u32> {
        None
    }

    /// The records are small, and better sorted in memory than looked up one by one.
    fn is_kept_in_memory(&self) -> bool {
        false
    }

    /// What had to be assumed to read the input.
    fn assumption(&self) -> Option<String> {
        None
    }
}

/// A time of the input within the range that can be computed with.
#[inline]
pub(super) fn believable_time(time: Micros) -> Micros {
    time.clamp(0, LATEST_TIME)
}

/// Counts one packet that was read.
#[inline]
pub(super) fn count(
    counters: &mut InputCounters,
    packet: &Packet,
    error: Option<DecodeError>,
    captured: u32,
    wire: u32,
) {
    counters.packets += 1;
    counters.bytes += u64::from(wire);
    counters.truncated += u64::from(captured < wire);
    match error {
        Some(error) => *counters.decode_errors.entry(error.kind()).or_default() += 1,
        None => counters.other += u64::from(matches!(packet.body, Body::Other)),
    }
}
