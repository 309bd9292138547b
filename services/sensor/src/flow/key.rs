//! What makes two packets the same conversation: protocol and both ends, whichever sent. VLAN ids are no part of it.

use std::hash::Hasher;

use sha1::{Digest, Sha1};
use weir_schemas::Host;

/// Protocol number that stands for ARP in keys; beyond every IP protocol number.
pub(crate) const ARP: u16 = 0x100;

/// Both ends in ascending order: end 0 is the smaller (address, port).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey {
    /// Addresses; a name's is [`name_stand_in`].
    pub(crate) addresses: [u128; 2],
    /// Ports of the ends; for ICMP the class of its type and its identifier.
    pub(crate) ports: [u16; 2],
    /// IP protocol number, or [`ARP`].
    pub(crate) protocol: u16,
    /// What the addresses are.
    pub(crate) families: [Family; 2],
}

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Family {
    V4,
    V6,
    Name,
}

impl FlowKey {
    /// The key of a packet from `sender` to `receiver`, and which end sent it.
    #[inline]
    pub(crate) fn of_ends(protocol: u16, sender: (&Host, u16), receiver: (&Host, u16)) -> (Self, usize) {
        let (from_family, from) = parts(sender.0);
        let (to_family, to) = parts(receiver.0);
        let from = (from_family, from, sender.1);
        let to = (to_family, to, receiver.1);
        let sender_end = usize::from(from > to);
        let (low, high) = if sender_end == 0 { (from, to) } else { (to, from) };
        let key = Self { addresses: [low.1, high.1], ports: [low.2, high.2], protocol, families: [low.0, high.0] };
        (key, sender_end)
    }

    /// A hash of the key; only the index uses it, so it may differ between runs.
    pub(crate) fn hash(&self, mut hasher: impl Hasher) -> u64 {
        hasher.write_u128(self.addresses[0]);
        hasher.write_u128(self.addresses[1]);
        hasher.write_u64(
            u64::from(self.ports[0])
                | u64::from(self.ports[1]) << 16
                | u64::from(self.protocol) << 32
                | (self.families[0] as u64) << 48
                | (self.families[1] as u64) << 56,
        );
        hasher.finish()
    }
}

#[inline]
fn parts(host: &Host) -> (Family, u128) {
    match host {
        Host::V4(address) => (Family::V4, u128::from(address.to_bits())),
        Host::V6(address) => (Family::V6, address.to_bits()),
        Host::Name(name) => (Family::Name, name_stand_in(name)),
    }
}

/// What stands for the address of a host that only has a name: the first 16 bytes of the name's SHA-1.
pub(crate) fn name_stand_in(name: &str) -> u128 {
    let digest = Sha1::digest(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(bytes)
}
