//! IP fragments (RFC 791 §3.2, RFC 8200 §4.5): datagrams are put together as far as ports and payload's head need it, within
//! a budget that no sender can exceed.
//!
//! - UDP and ICMP count as they come, once the first fragment has told the ports; a later fragment that came before it waits
//!   for it. TCP waits for the whole segment, since none exists before: a SYN cut into pieces of eight bytes is a SYN.
//! - Payload counts and is read once its datagram is whole.
//! - What waits counts with the fragment that ends the wait. After [`LIFETIME`] it counts without ports, at the time of
//!   the next packet.
//! - Overlapping fragments spoil their datagram, in IPv6 (RFC 5722) and in IPv4 alike, where stacks disagree on what the
//!   bytes are: nothing is read out of it.
//! - Budget: [`Budget`]. A source has an eighth of it; beyond its share its own oldest datagram goes, beyond all of it the
//!   oldest of all. A datagram that was put together takes nothing any more.

mod datagram;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use datagram::HEAD_BYTES;
use datagram::{Added, Assembly};
use table::Table;
use weir_schemas::{Host, Micros, SECOND_US};

use super::ip;
use crate::packet::{Body, Fragment, IpPacket, Packet, Transport};

/// How long a datagram may take (RFC 791 proposes 15 s, RFC 8200 60 s; Linux uses 30 s).
pub(crate) const LIFETIME: Micros = 30 * SECOND_US;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// What the fragments of one datagram share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Datagram {
    /// Sender.
    pub(crate) source: Host,
    /// Receiver.
    pub(crate) destination: Host,
    /// Protocol; 0 for IPv6, whose later fragments need not say it.
    pub(crate) protocol: u8,
    /// Identification.
    pub(crate) id: u32,
}

impl Datagram {
    pub(crate) fn new(source: &Host, destination: &Host, protocol: u8, id: u32) -> Self {
        let protocol = if matches!(source, Host::V6(_)) { 0 } else { protocol };
        Self { source: source.clone(), destination: destination.clone(), protocol, id }
    }

    pub(crate) fn of(ip: &IpPacket, fragment: &Fragment) -> Self {
        Self::new(&ip.src, &ip.dst, fragment.protocol, fragment.id)
    }
}

/// What datagrams in progress may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Bytes.
    pub(crate) bytes: usize,
    /// Datagrams.
    pub(crate) datagrams: usize,
}

impl Budget {
    /// A datagram for each KiB.
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        Self { bytes, datagrams: bytes / 1024 }
    }
}

/// What was counted, in fragments but for `reassembled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentCounters {
    /// All that were seen.
    pub fragments: u64,
    /// Datagrams that were put together.
    pub reassembled: u64,
    /// First fragments too short for their transport header (RFC 1858 §3).
    pub tiny: u64,
    /// They overlap what came before with something else, and spoil their datagram.
    pub overlap: u64,
    /// No datagram has them: too long, empty, or cut at no multiple of eight bytes.
    pub damaged: u64,
    /// Datagrams that were not whole within 30 s.
    pub timeout: u64,
    /// Datagrams that left before, since the budget was used up.
    pub over_budget: u64,
}

impl FragmentCounters {
    /// What is wrong with fragments, by kind; without what never happened.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let kinds = [
            ("fragment_tiny", self.tiny),
            ("fragment_overlap", self.overlap),
            ("fragment_damaged", self.damaged),
            ("fragment_timeout", self.timeout),
            ("fragment_over_budget", self.over_budget),
        ];
        kinds.into_iter().filter(|(_, count)| *count > 0)
    }
}

/// Fragments that waited, and count with another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waited {
    /// How many.
    pub(crate) packets: u32,
    /// Their IP lengths together.
    pub(crate) bytes: u32,
}

/// What becomes of a fragment. `T` is whatever names the flow of a datagram.
#[derive(Debug, PartialEq)]
pub(crate) enum Fate<T> {
    /// It counts later.
    Waits,
    /// It counts now, to its datagram's flow where that is known.
    Counts { owner: Option<T>, waited: Waited },
    /// It counts now, and its datagram is whole: the packet as if it had never been cut, but for length.
    Whole { packet: Box<Packet>, owner: Option<T>, waited: Waited },
}

/// A datagram in progress.
#[derive(Debug)]
struct Entry<T> {
    owner: Option<T>,
    /// `None` once it is spoilt, and for what is not to be put together.
    assembly: Option<Assembly>,
    /// One of those that wait: the first fragment, if that has come.
    waiting: Option<Box<Packet>>,
    waited: Waited,
    /// How far the first fragment alone could be read.
    first: Option<Transport>,
    /// Protocol by the first fragment, which alone decides (RFC 8200 §4.5).
    protocol: u8,
    /// It was whole: what comes now was sent or captured twice.
    is_done: bool,
}

impl<T> Default for Entry<T> {
    fn default() -> Self {
        Self {
            owner: None,
            assembly: Some(Assembly::default()),
            waiting: None,
            waited: Waited::default(),
            first: None,
            protocol: 0,
            is_done: false,
        }
    }
}

impl<T> Entry<T> {
    fn memory(&self) -> usize {
        let assembly = self.assembly.as_ref().map_or(0, Assembly::memory);
        size_of::<Self>() + assembly + self.waiting.as_ref().map_or(0, |_| size_of::<Packet>())
    }
}

/// Fragments that gave up waiting: one packet that stands for all of them.
#[derive(Debug, PartialEq)]
pub(crate) struct GivenUp<T> {
    pub(crate) packet: Box<Packet>,
    pub(crate) owner: Option<T>,
    /// Those beside the packet itself.
    pub(crate) waited: Waited,
}

/// Puts datagrams together.
#[derive(Debug)]
pub(crate) struct Reassembler<T> {
    table: Table<Entry<T>>,
    given_up: Vec<GivenUp<T>>,
    counters: FragmentCounters,
}

impl<T: Copy> Reassembler<T> {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { table: Table::new(budget), given_up: Vec::new(), counters: FragmentCounters::default() }
    }

    pub(crate) fn counters(&self) -> FragmentCounters {
        self.counters
    }

    /// When something gives up waiting.
    #[inline]
    pub(crate) fn due(&self) -> Micros {
        self.table.first_deadline()
    }

    /// Takes a fragment in at `now`, which never goes back.
    pub(crate) fn take(&mut self, now: Micros, packet: &Packet, ip: &IpPacket, fragment: &Fragment) -> Fate<T> {
        self.counters.fragments += 1;
        let at_once = Fate::Counts { owner: None, waited: Waited::default() };
        let is_first = fragment.offset == 0;
        let least = match ip.proto {
            TCP => 20,
            UDP | ICMP => 8,
            ICMPV6 => 4,
            // Extension headers, which later fragments name in place of what follows them.
            0 | 43 | 51 | 60 | 135 | 139 | 140 => 0,
            // Its flow has no ports. If it is a tunnel's, the first fragment was opened, and has left word.
            _ => {
                let owner = self.table.get(&Datagram::of(ip, fragment)).and_then(|entry| entry.owner);
                return Fate::Counts { owner, waited: Waited::default() };
            }
        };
        if is_first && fragment.length < least {
            self.counters.tiny += 1;
        }

        let datagram = Datagram::of(ip, fragment);
        // An identification is used again: by the next datagram, or by the same one captured twice.
        if is_first && self.table.get(&datagram).is_some_and(|entry| entry.is_done) {
            self.table.remove(&datagram);
        }
        if !self.table.open(&datagram, now + LIFETIME) {
            self.counters.over_budget += 1;
            return at_once;
        }
        let Some(entry) = self.table.get_mut(&datagram) else { return at_once };
        let added = entry
            .assembly
            .as_mut()
            .map(|assembly| assembly.add(u32::from(fragment.offset), fragment.length, fragment.more, &fragment.data));
        match added {
            // A tunnel's, or spoilt before.
            None | Some(Added::New | Added::Again) => {}
            Some(fault) => {
                *(if fault == Added::Overlap { &mut self.counters.overlap } else { &mut self.counters.damaged }) += 1;
                entry.assembly = None;
            }
        }
        if is_first && added == Some(Added::New) {
            entry.protocol = fragment.protocol;
            entry.first = Some(ip.transport.clone()).filter(|transport| *transport != Transport::None);
        }
        let fate = Self::fate(entry, packet, ip, is_first);
        self.counters.reassembled += u64::from(matches!(fate, Fate::Whole { .. }));
        self.table.measure(&datagram, Entry::memory);
        self.shrink();
        fate
    }

    fn fate(entry: &mut Entry<T>, packet: &Packet, ip: &IpPacket, is_first: bool) -> Fate<T> {
        let owner = entry.owner;
        if let Some(assembly) = entry.assembly.as_ref().filter(|assembly| assembly.is_whole()) {
            let (head, length) = assembly.whole();
            let mut packet = Box::new(packet.clone());
            if let Body::Ip(whole) = &mut packet.body {
                (whole.proto, whole.transport, whole.head) = ip::reassembled(&ip.src, entry.protocol, head, length);
                // Text has no bytes, but perhaps ports.
                if let (Transport::None, Some(first)) = (&whole.transport, entry.first.take()) {
                    whole.transport = first;
                }
            }
            (entry.waiting, entry.assembly, entry.is_done) = (None, None, true);
            return Fate::Whole { packet, owner, waited: std::mem::take(&mut entry.waited) };
        }
        let has_ports = is_first && ip.transport != Transport::None;
        let counts_now = owner.is_some() || entry.assembly.is_none() || (has_ports && ip.proto != TCP);
        if counts_now {
            entry.waiting = None;
            return Fate::Counts { owner, waited: std::mem::take(&mut entry.waited) };
        }
        entry.waited.packets += 1;
        entry.waited.bytes = entry.waited.bytes.saturating_add(ip.length);
        if is_first || entry.waiting.is_none() {
            entry.waiting = Some(Box::new(without_data(packet)));
        }
        Fate::Waits
    }

    /// Leaves word of whose a datagram is, and returns what waited for that.
    pub(crate) fn own(&mut self, now: Micros, datagram: &Datagram, owner: T, is_tunnel: bool) -> Waited {
        if !self.table.open(datagram, now + LIFETIME) {
            return Waited::default();
        }
        let Some(entry) = self.table.get_mut(datagram) else { return Waited::default() };
        entry.owner = Some(owner);
        if is_tunnel {
            entry.assembly = None;
        }
        entry.waiting = None;
        let waited = std::mem::take(&mut entry.waited);
        self.table.measure(datagram, Entry::memory);
        self.shrink();
        waited
    }

    /// Ends what has waited long enough by `now`.
    #[cold]
    pub(crate) fn expire(&mut self, now: Micros) {
        while self.table.first_deadline() <= now {
            let Some(entry) = self.table.remove_first() else { return };
            self.counters.timeout += u64::from(entry.assembly.is_some());
            self.give_up(entry);
        }
    }

    /// What gave up waiting since the last call, in the order of its coming.
    pub(crate) fn take_given_up(&mut self) -> Vec<GivenUp<T>> {
        std::mem::take(&mut self.given_up)
    }

    /// Whether something gave up waiting.
    pub(crate) fn has_given_up(&self) -> bool {
        !self.given_up.is_empty()
    }

    fn shrink(&mut self) {
        while let Some(entry) = self.table.remove_excess() {
            self.counters.over_budget += u64::from(entry.assembly.is_some());
            self.give_up(entry);
        }
    }

    fn give_up(&mut self, mut entry: Entry<T>) {
        let Some(packet) = entry.waiting.take() else { return };
        let length = if let Body::Ip(ip) = &packet.body { ip.length } else { 0 };
        let waited = Waited {
            packets: entry.waited.packets.saturating_sub(1),
            bytes: entry.waited.bytes.saturating_sub(length),
        };
        self.given_up.push(GivenUp { packet, owner: entry.owner, waited });
    }
}

/// The packet, without the bytes that its assembly keeps.
fn without_data(packet: &Packet) -> Packet {
    let mut packet = packet.clone();
    if let Body::Ip(IpPacket { fragment: Some(fragment), head, .. }) = &mut packet.body {
        fragment.data = Vec::new();
        *head = None;
    }
    packet
}
