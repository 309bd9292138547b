//! The two ends of a line: `host.port > host.port`. A name stays a name.

use std::net::{Ipv4Addr, Ipv6Addr};

use weir_schemas::Host;

use super::services;

/// One end as printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a>(pub(super) &'a str);

impl<'a> End<'a> {
    /// The host of a line without ports.
    pub(super) fn host(self) -> Host {
        // Some exports fill the place of a missing port.
        Host::parse(self.0.strip_suffix(".N/A").unwrap_or(self.0))
    }

    /// Host and port of a line with ports; the port is `None` where its name is not known.
    pub(super) fn host_and_port(self) -> (Host, Option<u16>) {
        match self.split() {
            Some((host, port)) => (Host::parse(host), port_number(port)),
            None => (self.host(), None),
        }
    }

    /// Whether the end certainly has a port: a number after an address, or a number or known service after a name.
    pub(super) fn has_port(self) -> bool {
        self.split().is_some_and(|(_, port)| port_number(port).is_some())
    }

    fn split(self) -> Option<(&'a str, &'a str)> {
        let whole = self.0.parse::<Ipv4Addr>().is_ok() || self.0.parse::<Ipv6Addr>().is_ok();
        if whole { None } else { self.0.rsplit_once('.').filter(|(host, _)| !host.is_empty()) }
    }
}

fn port_number(text: &str) -> Option<u16> {
    text.parse().ok().or_else(|| services::port(text))
}

/// The ends of `SRC > DST: REST`, and the rest.
pub(super) fn split(text: &str) -> Option<(End<'_>, End<'_>, &str)> {
    let (src, after) = text.split_once(" > ")?;
    let (dst, rest) = after.split_once(": ").or_else(|| Some((after.strip_suffix(':')?, "")))?;
    let src = src.rsplit(' ').next().unwrap_or(src);
    if src.is_empty() || dst.is_empty() || dst.contains(' ') {
        return None;
    }
    Some((End(src), End(dst), rest))
}
