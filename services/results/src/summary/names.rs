//! Names of protocols and of ports, as IANA registers them. A port's name is the name of a port: it tells what usually
//! stands there, not which protocol was spoken.
//! Source: IANA Protocol Numbers; IANA Service Name and Transport Protocol Port Number Registry.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The keyword of an IP protocol number.
#[must_use]
pub fn protocol(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "HOPOPT",
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPv4",
        6 => "TCP",
        8 => "EGP",
        17 => "UDP",
        27 => "RDP",
        33 => "DCCP",
        41 => "IPv6",
        43 => "IPv6-Route",
        44 => "IPv6-Frag",
        46 => "RSVP",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "IPv6-ICMP",
        59 => "IPv6-NoNxt",
        60 => "IPv6-Opts",
        88 => "EIGRP",
        89 => "OSPFIGP",
        94 => "IPIP",
        103 => "PIM",
        112 => "VRRP",
        115 => "L2TP",
        132 => "SCTP",
        136 => "UDPLite",
        137 => "MPLS-in-IP",
        _ => return None,
    })
}

/// The registry, made by `tests/lab/ports.py`.
const PORTS: &str = include_str!("ports.tsv");

/// Names by protocol number and port.
static NAMES: LazyLock<HashMap<(u8, u16), &'static str>> =
    LazyLock::new(|| PORTS.lines().flat_map(names_of_line).collect());

/// The service name that is registered for a port of TCP (6), UDP (17) or SCTP (132).
#[must_use]
pub fn port(protocol: u8, port: u16) -> Option<&'static str> {
    NAMES.get(&(protocol, port)).copied()
}

/// `113<tab>tcp ident<tab>udp auth`: a port, and a name for each group of transports.
fn names_of_line(line: &'static str) -> Vec<((u8, u16), &'static str)> {
    let mut fields = line.split('\t');
    let Some(port) = fields.next().and_then(|port| port.parse().ok()) else { return Vec::new() };
    let mut names = Vec::new();
    for (transports, name) in fields.filter_map(|field| field.split_once(' ')) {
        for transport in transports.split('+') {
            let protocol = match transport {
                "tcp" => 6,
                "udp" => 17,
                _ => 132,
            };
            names.push(((protocol, port), name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_registry_is_read() {
        let lines = PORTS.lines().filter(|line| !line.starts_with('#'));
        for line in lines {
            assert!(!names_of_line(line).is_empty(), "{line}");
            assert!(line.split('\t').skip(1).all(|field| {
                field.split_once(' ').is_some_and(|(transports, _)| {
                    transports.split('+').all(|transport| ["tcp", "udp", "sctp"].contains(&transport))
                })
            }));
        }
    }

    #[test]
    fn a_ports_name_depends_on_its_transport() {
        let cases = [
            (6, 22, Some("ssh")),
            (17, 53, Some("domain")),
            (6, 514, Some("shell")),
            (17, 514, Some("syslog")),
            (6, 465, Some("submissions")),
            (132, 2905, Some("m3ua")),
            (6, 6063, Some("x11")),
            (6, 0, None),
            (1, 22, None),
            (6, 65_000, None),
        ];
        for (protocol, number, name) in cases {
            assert_eq!(port(protocol, number), name, "{protocol}/{number}");
        }
    }
}
