//! One end of a conversation: an address, or a name where the input has no address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Shared immutable text: sensor ids, site names, host names. Cloning costs a counter, not a copy.
pub type Text = Arc<str>;

/// An address, or a name where the input has no address (tcpdump text without `-n`). A name is never resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
