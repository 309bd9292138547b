//! Protocols of datagrams, told by content. NTP has too little of it: its port must agree as well. Forms that several
//! protocols share (DNS and its kin) are told apart by port.

use super::conversation::Progress;
use super::cursor::Cursor;
use super::dns::{self, Trust};
use super::facts::Facts;
use super::quic;
use super::text::begins_with;

/// Datagrams by which it must be known what is spoken.
const MOST_DATAGRAMS: u8 = 4;

/// A conversation of datagrams, as far as it depends on those before.
#[derive(Debug)]
pub enum Exchange {
    /// So many were not understood.
    Unknown(u8),
    /// DNS: each is a message.
    Dns,
    /// The beginning of QUIC.
    Quic(Box<quic::Stream>),
}

impl Default for Exchange {
    fn default() -> Self {
        Self::Unknown(0)
    }
}

impl Exchange {
    /// Bytes of memory it takes beside itself, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        match self {
            Self::Unknown(_) | Self::Dns => 0,
            Self::Quic(stream) => size_of_val(stream.as_ref()) + stream.memory(),
        }
    }

    /// Takes in a datagram of `length` octets; `ports` are those of the ends. What is recognised, `facts` name.
    pub fn datagram(&mut self, ports: [u16; 2], bytes: &[u8], length: u32, facts: &mut Facts) -> Progress {
        if let Self::Quic(stream) = self {
            return if stream.take(bytes, facts) { Progress::GoesOn } else { Progress::Over };
        }
        match read(ports, bytes, length, facts) {
            // Kin of DNS are named only.
            Some(Datagram::Dns(name)) if name != "dns" => Progress::Over,
            Some(Datagram::Dns(_)) => {
                *self = Self::Dns;
                Progress::GoesOn
            }
            Some(Datagram::Quic) if !matches!(self, Self::Dns) => {
                let mut stream = Box::<quic::Stream>::default();
                let goes_on = stream.take(bytes, facts);
                *self = Self::Quic(stream);
                if goes_on { Progress::GoesOn } else { Progress::Over }
            }
            Some(Datagram::Named(_)) if !matches!(self, Self::Dns) => Progress::Over,
            _ => match self {
                Self::Unknown(count) if *count + 1 >= MOST_DATAGRAMS => Progress::Over,
                Self::Unknown(count) => {
                    *count += 1;
                    Progress::GoesOn
                }
                Self::Dns | Self::Quic(_) => Progress::GoesOn,
            },
        }
    }
}

/// What a datagram was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datagram {
    /// DNS or one of its kin: each datagram is to be read.
    Dns(&'static str),
    /// The beginning of QUIC.
    Quic,
    /// Something that is named only.
    Named(&'static str),
}

/// What the ports say of the form of DNS.
fn dns_name(ports: [u16; 2]) -> (&'static str, Trust) {
    let at = |port: u16| ports.contains(&port);
    match () {
        () if at(53) => ("dns", Trust::Port),
        () if at(5353) => ("mdns", Trust::Port),
        () if at(5355) => ("llmnr", Trust::Port),
        () if at(137) => ("netbios_ns", Trust::Port),
        () => ("dns", Trust::Content),
    }
}

/// Reads a datagram of `length` octets and says what it is.
pub(super) fn read(ports: [u16; 2], bytes: &[u8], length: u32, facts: &mut Facts) -> Option<Datagram> {
    let (name, trust) = dns_name(ports);
    if let Some(message) = dns::parse(bytes, trust) {
        // Counts are of DNS: the others ask everyone at once, and their answers come from anyone.
        if name == "dns" {
            facts.dns_message(name, &message, length);
        } else {
            facts.set_name(name);
        }
        return Some(Datagram::Dns(name));
    }
    if quic::is_initial(bytes) {
        return Some(Datagram::Quic);
    }
    let name = name_of(ports, bytes)?;
    facts.set_name(name);
    Some(Datagram::Named(name))
}

fn name_of(ports: [u16; 2], bytes: &[u8]) -> Option<&'static str> {
    let is = [
        ("ssdp", is_ssdp as fn(&[u8]) -> bool),
        ("dhcp", is_dhcp),
        ("memcached", is_memcached),
        ("snmp", is_snmp),
        ("cldap", is_cldap),
    ];
    if let Some((name, _)) = is.iter().find(|(_, is)| is(bytes)) {
        return Some(name);
    }
    if !ports.contains(&123) {
        return None;
    }
    ntp(bytes)
}

/// RFC 5905 §7.3: version 1 to 4. Modes 6 and 7 control and query servers, and are what amplifies.
fn ntp(bytes: &[u8]) -> Option<&'static str> {
    let first = *bytes.first()?;
    if !(1..=4).contains(&(first >> 3 & 7)) {
        return None;
    }
    match first & 7 {
        1..=5 if bytes.len() >= 48 => Some("ntp"),
        6 if bytes.len() >= 12 => Some("ntp_control"),
        7 if bytes.len() >= 8 => Some("ntp_private"),
        _ => None,
    }
}

/// `UPnP` Device Architecture 1.1 §1.
fn is_ssdp(bytes: &[u8]) -> bool {
    begins_with(bytes, b"M-SEARCH * HTTP/1.1") || begins_with(bytes, b"NOTIFY * HTTP/1.1") || {
        let head = &bytes[..bytes.len().min(512)];
        begins_with(head, b"HTTP/1.1 200 OK") && super::text::contains(head, b"\nst:")
    }
}

/// RFC 2131 §2: the magic cookie behind the fixed part.
fn is_dhcp(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(1 | 2)) && bytes.get(236..240) == Some(&[0x63, 0x82, 0x53, 0x63])
}

/// The frame header of memcached's UDP protocol (doc/protocol.txt), then a command or an answer.
fn is_memcached(bytes: &[u8]) -> bool {
    const WORDS: [&[u8]; 9] =
        [b"stats", b"get ", b"gets ", b"set ", b"STAT ", b"VALUE ", b"END\r\n", b"STORED", b"ERROR"];
    let [_, _, 0, _, 0, 1..=255, 0, 0, text @ ..] = bytes else { return false };
    WORDS.iter().any(|word| text.starts_with(word))
}

/// The inside of an ASN.1 SEQUENCE (X.690 §8.1), which may be cut.
fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = Cursor::new(bytes);
    if rest.number8()? != 0x30 {
        return None;
    }
    match rest.number8()? {
        0..=0x7f => {}
        length @ 0x81..=0x84 => _ = rest.take(usize::from(length & 0x7f))?,
        _ => return None,
    }
    Some(rest.rest())
}

/// RFC 3416, RFC 3412: a version, then a community or a header.
fn is_snmp(bytes: &[u8]) -> bool {
    matches!(sequence(bytes), Some([2, 1, 0 | 1, 4, ..] | [2, 1, 3, 0x30, ..]))
}

/// RFC 4511 §4.1.1 over UDP: a message id, then a search or its result.
fn is_cldap(bytes: &[u8]) -> bool {
    match sequence(bytes) {
        Some([2, length @ 1..=4, rest @ ..]) => {
            matches!(rest.get(usize::from(*length)), Some(0x63..=0x65))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What, ports, bytes, verdict.
    type Case = (&'static str, [u16; 2], Vec<u8>, Option<Datagram>);

    #[test]
    fn datagrams_are_told_by_content() {
        let ntp = |first: u8| [&[first][..], &[0; 47]].concat();
        let mut dhcp = vec![1; 240];
        dhcp[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        let table: [Case; 14] = [
            ("ntp", [50_000, 123], ntp(0x23), Some(Datagram::Named("ntp"))),
            ("ntp elsewhere", [50_000, 9999], ntp(0x23), None),
            ("monlist", [50_000, 123], vec![0x17, 0, 3, 0x2a, 0, 0, 0, 0], Some(Datagram::Named("ntp_private"))),
            ("ntp control", [123, 123], [&[0x16][..], &[2; 11]].concat(), Some(Datagram::Named("ntp_control"))),
            ("ssdp", [1900, 1900], b"M-SEARCH * HTTP/1.1\r\n".to_vec(), Some(Datagram::Named("ssdp"))),
            ("ssdp answer", [1900, 5], b"HTTP/1.1 200 OK\r\nST: x\r\n".to_vec(), Some(Datagram::Named("ssdp"))),
            ("snmp", [5, 161], b"\x30\x26\x02\x01\x01\x04\x06public".to_vec(), Some(Datagram::Named("snmp"))),
            (
                "cldap",
                [5, 389],
                b"\x30\x84\x00\x00\x00\x2d\x02\x01\x01\x63\x84".to_vec(),
                Some(Datagram::Named("cldap")),
            ),
            ("memcached", [5, 11211], b"\0\x01\0\0\0\x01\0\0stats\r\n".to_vec(), Some(Datagram::Named("memcached"))),
            ("dhcp", [68, 67], dhcp, Some(Datagram::Named("dhcp"))),
            ("noise", [5, 6], vec![0x5a; 100], None),
            ("zeros", [5, 6], vec![0; 100], None),
            ("nothing", [53, 53], Vec::new(), None),
            ("a letter", [123, 1900], vec![b'x'], None),
        ];
        for (what, ports, bytes, expected) in table {
            let mut facts = Facts::default();
            assert_eq!(read(ports, &bytes, bytes.len() as u32, &mut facts), expected, "{what}");
        }
    }

    const QUERY: &[u8] = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";

    #[test]
    fn every_message_of_dns_counts_and_noise_is_given_up() {
        let (mut exchange, mut facts) = (Exchange::default(), Facts::default());
        for _ in 0..1000 {
            assert_eq!(exchange.datagram([40_000, 53], QUERY, QUERY.len() as u32, &mut facts), Progress::GoesOn);
        }
        assert_eq!(facts.into_app(true).dns.unwrap().queries, 1000);

        let (mut exchange, mut facts) = (Exchange::default(), Facts::default());
        let given_up = (1..10).find(|_| exchange.datagram([5, 6], &[0x5a; 50], 50, &mut facts) == Progress::Over);
        assert_eq!((given_up, facts.name()), (Some(4), ""));
    }

    #[test]
    fn kin_of_dns_are_not_mistaken_for_it() {
        let query = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x05_http\x04_tcp\x05local\0\0\x0c\0\x01";
        for (port, name, counted) in [(53, "dns", 1), (5353, "mdns", 0), (5355, "llmnr", 0), (9953, "dns", 1)] {
            let mut facts = Facts::default();
            read([40_000, port], query, query.len() as u32, &mut facts);
            let app = facts.into_app(true);
            assert_eq!((&*app.name, app.dns.map_or(0, |dns| dns.queries)), (name, counted));
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300), ports: [u16; 2]) {
            let (mut exchange, mut facts) = (Exchange::default(), Facts::default());
            for _ in 0..3 {
                exchange.datagram(ports, &bytes, bytes.len() as u32, &mut facts);
            }
        }

        /// Floods of random bytes have no application.
        #[test]
        fn noise_is_no_dns(bytes in proptest::collection::vec(any::<u8>(), 12..300)) {
            prop_assert_eq!(dns::parse(&bytes, Trust::Content), None);
        }
    }
}
