//! One end of a conversation: an address, or a name where the input has no address.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Shared immutable text: sensor ids, site names, host names. Cloning costs a counter, not a copy.
pub type Text = Arc<str>;

/// An address, or a name where the input has no address (tcpdump text without `-n`). A name is never resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Host {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// A name as the input printed it.
    Name(Text),
}

impl Host {
    /// The host that `text` names: an address if it parses as one, else a name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        text.parse::<IpAddr>().map_or_else(|_| Self::Name(text.into()), Self::from)
    }

    /// The address, if the input had one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
            Self::Name(_) => None,
        }
    }

    /// The name, if that is all the input had.
    #[must_use]
    pub fn name(&self) -> Option<&Text> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }
}

impl Ord for Host {
    /// IPv4, IPv6, names; addresses as the numbers they are, which orders like their octets and compares in one step.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::V4(left), Self::V4(right)) => u32::from(*left).cmp(&u32::from(*right)),
            (Self::V6(left), Self::V6(right)) => u128::from(*left).cmp(&u128::from(*right)),
            (Self::Name(left), Self::Name(right)) => left.cmp(right),
            (Self::V4(_), _) | (Self::V6(_), Self::Name(_)) => Ordering::Less,
            (Self::V6(_) | Self::Name(_), _) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Host {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Host {
    /// One or two words per address: hosts are what hot tables are keyed by. Kinds differ in the high bits of the first.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::V4(address) => state.write_u64(u64::from(u32::from(*address))),
            Self::V6(address) => {
                let bits = u128::from(*address);
                state.write_u64((bits >> 64) as u64 ^ (1 << 63));
                state.write_u64(bits as u64);
            }
            Self::Name(name) => {
                state.write_u64(1 << 62);
                state.write(name.as_bytes());
            }
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

impl fmt::Display for Host {
    /// An address as RFC 5952 text, or the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_in_order_of_kind_then_octets() {
        let texts = ["1.2.3.4", "9.0.0.0", "10.0.0.1", "200.1.1.1", "::1", "2001:db8::1", "fe80::1", "a", "b.example"];
        let hosts: Vec<Host> = texts.iter().map(|text| Host::parse(text)).collect();
        for (left_place, left) in hosts.iter().enumerate() {
            for (right_place, right) in hosts.iter().enumerate() {
                assert_eq!(left.cmp(right), left_place.cmp(&right_place), "{left} {right}");
            }
        }
    }
}
