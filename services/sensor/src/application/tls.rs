//! TLS handshakes in the clear: `ClientHello`, `ServerHello` and alerts (RFC 8446 §4.1, §5.1, §6; RFC 6066 §3; RFC 7301).

use weir_schemas::app::Tls;

use super::cursor::Cursor;
use super::facts::Facts;
use super::fingerprint::{is_grease, ja3, ja4};
use super::text::{hash, kept};

/// Most bytes of a direction that are looked at. Hellos of browsers with a key share of ML-KEM (draft-ietf-tls-ecdhe-mlkem: 1,216
/// bytes) and encrypted hellos take over 2 KiB, and of a cut one there is no fingerprint.
const LOOKED_AT: usize = 4096;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const SUPPORTED_VERSIONS: u16 = 43;

/// How the hello was carried; the first letter of a JA4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// TLS records over TCP.
    Tcp,
    /// CRYPTO frames in QUIC.
    Quic,
}

/// What a `ClientHello` offers, in its order, GREASE (RFC 8701) included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The version field; 0x0303 since TLS 1.3.
    pub legacy_version: u16,
    /// Cipher suites.
    pub ciphers: Vec<u16>,
    /// Types of the extensions.
    pub extensions: Vec<u16>,
    /// Supported groups.
    pub groups: Vec<u16>,
    /// Formats of points.
    pub point_formats: Vec<u8>,
    /// Signature algorithms.
    pub signature_algorithms: Vec<u16>,
    /// Supported versions.
    pub versions: Vec<u16>,
    /// Server name.
    pub server_name: Vec<u8>,
    /// First application protocol.
    pub alpn: Vec<u8>,
    /// All of it was there: fingerprints mean something.
    pub is_whole: bool,
}

impl ClientHello {
    /// The highest version on offer.
    #[must_use]
    pub fn version(&self) -> u16 {
        let offered = self.versions.iter().copied().filter(|version| !is_grease(*version)).max();
        offered.unwrap_or(self.legacy_version)
    }
}

/// Reads the body of a `ClientHello`; its end may be missing.
#[must_use]
pub fn client_hello(body: &[u8], length: usize) -> Option<ClientHello> {
    let mut rest = Cursor::new(body);
    let mut hello = ClientHello { legacy_version: rest.number16()?, ..ClientHello::default() };
    // SSL 3.0 to TLS 1.3; DTLS has other numbers.
    if hello.legacy_version >> 8 != 3 {
        return None;
    }
    rest.take(32)?;
    if rest.block8()?.len() > 32 {
        return None;
    }
    hello.ciphers = numbers(rest.block16()?);
    rest.block8()?;
    let is_cut = body.len() < length;
    if rest.is_empty() {
        hello.is_whole = !is_cut;
        return Some(hello);
    }
    let size = usize::from(rest.number16()?);
    let mut extensions = Cursor::new(rest.take_up_to(size));
    while !extensions.is_empty() {
        let (Some(kind), Some(data)) = (extensions.number16(), extensions.block16()) else {
            // Within the whole message that is damage, in a part of it the end.
            return is_cut.then_some(hello);
        };
        hello.extensions.push(kind);
        extension(kind, data, &mut hello);
    }
    hello.is_whole = !is_cut;
    Some(hello)
}

fn extension(kind: u16, data: &[u8], hello: &mut ClientHello) {
    let mut rest = Cursor::new(data);
    match kind {
        0 => hello.server_name = server_name(rest).unwrap_or_default().to_vec(),
        10 => hello.groups = numbers(rest.block16().unwrap_or_default()),
        11 => hello.point_formats = rest.block8().unwrap_or_default().to_vec(),
        13 => hello.signature_algorithms = numbers(rest.block16().unwrap_or_default()),
        16 => {
            let first = rest.block16().and_then(|list| Cursor::new(list).block8());
            hello.alpn = first.unwrap_or_default().to_vec();
        }
        SUPPORTED_VERSIONS => hello.versions = numbers(rest.block8().unwrap_or_default()),
        _ => {}
    }
}

/// The first name of type 0, which is the only type there is (RFC 6066 §3).
fn server_name(mut rest: Cursor<'_>) -> Option<&[u8]> {
    let mut list = Cursor::new(rest.block16()?);
    (list.number8()? == 0).then(|| list.block16()).flatten()
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

/// Version and cipher suite that a `ServerHello` chooses.
#[must_use]
pub fn server_hello(body: &[u8]) -> Option<(u16, u16)> {
    let mut rest = Cursor::new(body);
    let legacy_version = rest.number16()?;
    if legacy_version >> 8 != 3 {
        return None;
    }
    rest.take(32)?;
    rest.block8()?;
    let cipher = rest.number16()?;
    rest.number8()?;
    let size = usize::from(rest.number16().unwrap_or(0));
    let mut extensions = Cursor::new(rest.take_up_to(size));
    let mut version = legacy_version;
    while let (Some(kind), Some(data)) = (extensions.number16(), extensions.block16()) {
        if kind == SUPPORTED_VERSIONS {
            version = Cursor::new(data).number16().unwrap_or(version);
        }
    }
    Some((version, cipher))
}

/// Tells what a `ClientHello` offers.
pub(super) fn note_client(hello: &ClientHello, carrier: Carrier, facts: &mut Facts) {
    let tls: &mut Tls = facts.tls.get_or_insert_default();
    tls.offered_version = hello.version();
    tls.server_name = kept(&hello.server_name).to_ascii_lowercase();
    tls.server_name_hash = if hello.server_name.is_empty() { 0 } else { hash(&hello.server_name) };
    tls.alpn = kept(&hello.alpn);
    if hello.is_whole {
        tls.ja3 = ja3(hello);
        tls.ja4 = ja4(hello, carrier);
    }
}

/// Whether bytes begin like TLS records of a handshake.
pub(super) fn begins_handshake(bytes: &[u8]) -> bool {
    matches!(bytes, [HANDSHAKE, 3, 0..=4, _, _, CLIENT_HELLO | SERVER_HELLO, ..])
}

/// What one direction has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Its hello is not whole yet.
    Hello,
    /// Nothing more is expected in the clear, but perhaps an alert.
    Over,
}

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    heads: [Vec<u8>; 2],
    reading: [Reading; 2],
}

impl Default for Stream {
    fn default() -> Self {
        Self { heads: [Vec::new(), Vec::new()], reading: [Reading::Hello; 2] }
    }
}

impl Stream {
    /// Takes in what `end` sends. False once both directions have come to their end.
    pub(super) fn take(&mut self, end: usize, bytes: &[u8], facts: &mut Facts) -> bool {
        if self.reading[end] == Reading::Hello {
            let head = &mut self.heads[end];
            let room = LOOKED_AT - head.len().min(LOOKED_AT);
            head.extend_from_slice(&bytes[..bytes.len().min(room)]);
            let is_full = head.len() >= LOOKED_AT;
            if read_records(head, is_full, facts) || is_full {
                self.reading[end] = Reading::Over;
                self.heads[end] = Vec::new();
            }
        }
        self.reading != [Reading::Over; 2]
    }

    /// Bytes of memory it takes beside itself.
    pub(super) fn memory(&self) -> usize {
        self.heads.iter().map(Vec::capacity).sum()
    }

    /// Bytes are missing in what `end` sends: what came before them is all that can be told.
    pub(super) fn lost(&mut self, end: usize, facts: &mut Facts) {
        let head = std::mem::take(&mut self.heads[end]);
        read_records(&head, true, facts);
        self.reading[end] = Reading::Over;
    }
}

/// Reads the records from the beginning of a direction. True once nothing more is to be had from it. `is_last`: no more
/// bytes will come.
fn read_records(bytes: &[u8], is_last: bool, facts: &mut Facts) -> bool {
    let mut rest = Cursor::new(bytes);
    let mut message = Vec::new();
    while let (Some(kind), Some(version), Some(length)) = (rest.number8(), rest.number16(), rest.number16()) {
        if version >> 8 != 3 {
            return true;
        }
        let fragment = rest.take_up_to(usize::from(length));
        let is_whole = fragment.len() == usize::from(length);
        match kind {
            HANDSHAKE => message.extend_from_slice(fragment),
            ALERT => {
                // Two bytes are in the clear; encrypted ones are longer.
                if let (2, [_, description]) = (length, fragment) {
                    facts.tls.get_or_insert_default().alert = Some(*description);
                }
                return is_whole;
            }
            // Encryption begins, or it is no TLS.
            _ => return true,
        }
        if read_message(&message, false, facts) {
            return true;
        }
        if !is_whole {
            break;
        }
    }
    is_last && read_message(&message, true, facts)
}

/// Reads the first handshake message. True once it has been read, or can't be.
fn read_message(message: &[u8], is_last: bool, facts: &mut Facts) -> bool {
    let mut rest = Cursor::new(message);
    let (Some(kind), Some(length)) = (rest.number8(), rest.number24()) else { return is_last };
    let length = length as usize;
    let body = rest.take_up_to(length);
    if body.len() < length && !is_last {
        return false;
    }
    match kind {
        CLIENT_HELLO => {
            if let Some(hello) = client_hello(body, length) {
                note_client(&hello, Carrier::Tcp, facts);
            }
        }
        SERVER_HELLO => {
            if let Some((version, cipher)) = server_hello(body) {
                let tls = facts.tls.get_or_insert_default();
                tls.version = version;
                tls.cipher = Some(cipher);
            }
        }
        _ => {}
    }
    true
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A block behind its length.
    fn block16(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
    }

    fn list(numbers: &[u16]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    /// The body of a `ClientHello`.
    pub(in crate::application) fn hello_body(version: u16, ciphers: &[u16], extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.push(0);
        body.extend(block16(&list(ciphers)));
        body.extend([1, 0]);
        if !extensions.is_empty() {
            let all: Vec<u8> = extensions
                .iter()
                .flat_map(|(kind, data)| [kind.to_be_bytes().to_vec(), block16(data)].concat())
                .collect();
            body.extend(block16(&all));
        }
        body
    }

    /// Extensions as Chrome 100 or so sends them: the `ClientHello` of the example in the specification of JA4.
    pub(in crate::application) fn browser() -> (Vec<u16>, Vec<(u16, Vec<u8>)>) {
        let ciphers = vec![
            0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
            0x009d, 0x002f, 0x0035,
        ];
        let name = [&[0][..], &block16(b"Shop.example")].concat();
        let alpn = [&[2][..], b"h2", &[8], b"http/1.1"].concat();
        let algorithms = list(&[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]);
        let versions = list(&[0x2a2a, 0x0304, 0x0303]);
        let extensions = vec![
            (0x3a3a, Vec::new()),
            (0x001b, vec![2, 0, 2]),
            (0x0000, block16(&name)),
            (0x0033, vec![0; 43]),
            (0x0010, block16(&alpn)),
            (0x4469, vec![0; 5]),
            (0x0017, Vec::new()),
            (0x002d, vec![1, 1]),
            (0x000d, block16(&algorithms)),
            (0x0005, vec![1, 0, 0, 0, 0]),
            (0x0023, Vec::new()),
            (0x0012, Vec::new()),
            (0x002b, [&[6][..], &versions].concat()),
            (0xff01, vec![0]),
            (0x000b, vec![1, 0]),
            (0x000a, block16(&list(&[0x4a4a, 0x001d, 0x0017, 0x0018]))),
            (0x0015, vec![0; 100]),
        ];
        (ciphers, extensions)
    }

    fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat()
    }

    /// The message in records of at most `size` bytes.
    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &block16(part)].concat()).collect()
    }

    pub(in crate::application) fn hello_record() -> Vec<u8> {
        let (ciphers, extensions) = browser();
        records(&handshake(1, &hello_body(0x0303, &ciphers, &extensions)), 16_384)
    }

    /// A hello that names `word` as server and as application protocol.
    pub(crate) fn hello_naming(word: &str) -> Vec<u8> {
        let name = [&[0][..], &block16(word.as_bytes())].concat();
        let alpn = [&[word.len() as u8][..], word.as_bytes()].concat();
        let extensions = [(0x0000, block16(&name)), (0x0010, block16(&alpn))];
        records(&handshake(1, &hello_body(0x0303, &[0x1301], &extensions)), 16_384)
    }

    fn server_record() -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([9; 32]);
        body.extend([0, 0x13, 0x02, 0]);
        body.extend(block16(&[&[0, 43][..], &block16(&[3, 4])].concat()));
        records(&handshake(2, &body), 16_384)
    }

    #[test]
    fn a_handshake_is_told() {
        let (mut stream, mut facts) = (Stream::default(), Facts::default());
        assert!(stream.take(0, &hello_record(), &mut facts));
        assert!(!stream.take(1, &server_record(), &mut facts), "both have come to their end");
        let tls = facts.into_app(true).tls.unwrap();
        assert_eq!((tls.version, tls.offered_version, tls.cipher, tls.alert), (0x0304, 0x0304, Some(0x1302), None));
        assert_eq!((&*tls.server_name, &*tls.alpn), ("shop.example", "h2"));
        assert_eq!(tls.ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!(tls.server_name_hash, hash(b"shop.example"));
    }

    #[test]
    fn segments_and_records_may_end_anywhere() {
        let (ciphers, extensions) = browser();
        let message = handshake(1, &hello_body(0x0303, &ciphers, &extensions));
        for (size, step) in [(16_384, 1), (16_384, 100), (50, 7), (4, 64)] {
            let (mut stream, mut facts) = (Stream::default(), Facts::default());
            for part in records(&message, size).chunks(step) {
                stream.take(0, part, &mut facts);
            }
            let tls = facts.into_app(true).tls.unwrap_or_default();
            assert_eq!(tls.ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1", "records of {size}, segments of {step}");
        }
    }

    #[test]
    fn of_a_cut_hello_the_name_is_told_but_no_fingerprint() {
        let record = hello_record();
        let (mut stream, mut facts) = (Stream::default(), Facts::default());
        stream.take(0, &record[..record.len() - 50], &mut facts);
        stream.lost(0, &mut facts);
        let tls = facts.into_app(true).tls.unwrap();
        assert_eq!((&*tls.server_name, &*tls.ja3, &*tls.ja4), ("shop.example", "", ""));
    }

    #[test]
    fn an_alert_in_the_clear_is_told() {
        let (mut stream, mut facts) = (Stream::default(), Facts::default());
        stream.take(0, &hello_record(), &mut facts);
        stream.take(1, &[21, 3, 3, 0, 2, 2, 40], &mut facts);
        assert_eq!(facts.into_app(true).tls.unwrap().alert, Some(40));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600), length in 0..5000_usize) {
            if let Some(hello) = client_hello(&bytes, length) {
                prop_assert_eq!(ja3(&hello).len(), 32);
                prop_assert_eq!(ja4(&hello, Carrier::Tcp).len(), 36);
            }
            let _ = server_hello(&bytes);
            let (mut stream, mut facts) = (Stream::default(), Facts::default());
            stream.take(0, &bytes, &mut facts);
            stream.take(1, &hello_record(), &mut facts);
            stream.take(0, &bytes, &mut facts);
            stream.lost(0, &mut facts);
        }

        #[test]
        fn damaged_hellos_are_answered(at in 0..300_usize, byte: u8) {
            let mut record = hello_record();
            let place = at % record.len();
            record[place] = byte;
            let (mut stream, mut facts) = (Stream::default(), Facts::default());
            stream.take(0, &record, &mut facts);
            stream.lost(0, &mut facts);
        }
    }
}
