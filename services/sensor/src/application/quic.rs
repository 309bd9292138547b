//! QUIC Initial packets of a client (RFC 9000 §17.2.2, RFC 9001 §5.2, RFC 9369): the `ClientHello` in them is encrypted with
//! keys that anyone can derive.
//!
//! The authentication tag is not checked: a capture may have cut it off, and what is no `ClientHello` after decryption is
//! taken for no QUIC. At most 4 KiB of CRYPTO data are kept, of at most four datagrams.

use aes::Aes128;
use aes::cipher::{BlockEncrypt as _, KeyInit as _};
use hkdf::Hkdf;
use sha2::Sha256;

use super::cursor::Cursor;
use super::facts::Facts;
use super::tls::{Carrier, client_hello, note_client};

/// RFC 9001 §5.2.
const SALT_1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f,
    0x0a,
];
/// RFC 9369 §3.3.1.
const SALT_2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e,
    0xd9,
];
const VERSION_1: u32 = 1;
/// RFC 9369 §3.1.
const VERSION_2: u32 = 0x6b33_43cf;

/// Most CRYPTO data that is kept.
const LONGEST_HELLO: usize = 4096;
/// Datagrams after which a hello that is not whole is given up.
const MOST_DATAGRAMS: u8 = 4;

/// The part of an Initial that is in the clear.
#[derive(Debug)]
struct Header<'a> {
    version: u32,
    destination: &'a [u8],
    /// Where the packet number begins.
    number_at: usize,
    /// Where the packet ends, if it was captured.
    end: usize,
}

/// Reads the header of an Initial.
fn header(datagram: &[u8]) -> Option<Header<'_>> {
    let mut rest = Cursor::new(datagram);
    let first = rest.number8()?;
    let version = rest.number32()?;
    let initial = match version {
        VERSION_1 => 0b00,
        // RFC 9369 §3.2.
        VERSION_2 => 0b01,
        _ => return None,
    };
    // Long header, fixed bit, type.
    if first & 0xc0 != 0xc0 || first >> 4 & 0b11 != initial {
        return None;
    }
    let destination = rest.block8()?;
    let source = rest.block8()?;
    if destination.len() > 20 || source.len() > 20 {
        return None;
    }
    let token = variable(&mut rest)?;
    rest.take(usize::try_from(token).ok()?)?;
    let length = usize::try_from(variable(&mut rest)?).ok()?;
    let number_at = datagram.len() - rest.rest().len();
    let end = number_at.saturating_add(length).min(datagram.len());
    Some(Header { version, destination, number_at, end })
}

/// An integer of variable length (RFC 9000 §16).
fn variable(rest: &mut Cursor<'_>) -> Option<u64> {
    let first = rest.number8()?;
    let more = (1_usize << (first >> 6)) - 1;
    let bytes = rest.take(more)?;
    Some(bytes.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)))
}

/// Whether a datagram begins like an Initial.
pub(super) fn is_initial(datagram: &[u8]) -> bool {
    header(datagram).is_some()
}

/// A client's keys.
struct Keys {
    key: [u8; 16],
    iv: [u8; 12],
    header: [u8; 16],
}

fn keys(version: u32, destination: &[u8]) -> Option<Keys> {
    let (salt, labels) = match version {
        VERSION_1 => (&SALT_1, ["quic key", "quic iv", "quic hp"]),
        _ => (&SALT_2, ["quicv2 key", "quicv2 iv", "quicv2 hp"]),
    };
    let initial = Hkdf::<Sha256>::new(Some(salt), destination);
    let mut secret = [0; 32];
    expand(&initial, "client in", &mut secret)?;
    let client = Hkdf::<Sha256>::from_prk(&secret).ok()?;
    let mut keys = Keys { key: [0; 16], iv: [0; 12], header: [0; 16] };
    expand(&client, labels[0], &mut keys.key)?;
    expand(&client, labels[1], &mut keys.iv)?;
    expand(&client, labels[2], &mut keys.header)?;
    Some(keys)
}

/// HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
fn expand(secret: &Hkdf<Sha256>, label: &str, out: &mut [u8]) -> Option<()> {
    let length = (out.len() as u16).to_be_bytes();
    let label_length = [6 + label.len() as u8];
    secret.expand_multi_info(&[&length, &label_length, b"tls13 ", label.as_bytes(), &[0]], out).ok()
}

/// The frames of an Initial, decrypted.
fn decrypt(datagram: &[u8]) -> Option<Vec<u8>> {
    let header = header(datagram)?;
    let keys = keys(header.version, header.destination)?;

    // Header protection (RFC 9001 §5.4).
    let sample = datagram.get(header.number_at + 4..header.number_at + 20)?;
    let mut mask = aes::Block::clone_from_slice(sample);
    Aes128::new(&keys.header.into()).encrypt_block(&mut mask);
    let number_length = usize::from((datagram[0] ^ mask[0] & 0x0f) & 0x03) + 1;
    let number = datagram.get(header.number_at..header.number_at + number_length)?;
    let mut nonce = keys.iv;
    for (place, (byte, mask)) in nonce[12 - number_length..].iter_mut().zip(number.iter().zip(&mask[1..])) {
        *place ^= byte ^ mask;
    }

    let mut payload = datagram.get(header.number_at + number_length..header.end)?.to_vec();
    apply_counter_mode(&keys.key, &nonce, &mut payload);
    // Where the tag was captured it is no frame; what it decrypts to is noise behind the padding.
    payload.truncate(payload.len().saturating_sub(16).max(payload.len().min(16)));
    Some(payload)
}

/// The stream cipher inside AES-GCM: blocks count from 2, because 1 belongs to the tag (NIST SP 800-38D §7.1).
fn apply_counter_mode(key: &[u8; 16], nonce: &[u8; 12], data: &mut [u8]) {
    let cipher = Aes128::new(key.into());
    for (number, chunk) in data.chunks_mut(16).enumerate() {
        let mut block = [0; 16];
        block[..12].copy_from_slice(nonce);
        block[12..].copy_from_slice(&(number as u32 + 2).to_be_bytes());
        let mut block = aes::Block::from(block);
        cipher.encrypt_block(&mut block);
        for (byte, stream) in chunk.iter_mut().zip(block) {
            *byte ^= stream;
        }
    }
}

/// A client's hello, gathered from its Initials.
#[derive(Debug, Default)]
pub struct Stream {
    /// CRYPTO data by offset.
    data: Vec<u8>,
    /// Which parts of it have come: ends of disjoint ranges.
    ranges: Vec<(usize, usize)>,
    datagrams: u8,
}

impl Stream {
    /// Takes in a datagram. False once nothing more is to be had from the flow.
    pub(super) fn take(&mut self, datagram: &[u8], facts: &mut Facts) -> bool {
        match decrypt(datagram) {
            Some(frames) => self.frames(&frames, facts),
            None => true,
        }
    }

    /// Takes in the frames of a datagram, decrypted. False as `take`.
    pub fn frames(&mut self, frames: &[u8], facts: &mut Facts) -> bool {
        self.datagrams = self.datagrams.saturating_add(1);
        if !self.read_frames(frames) && self.ranges.is_empty() {
            // A server's Initial, or no QUIC at all.
            return self.datagrams < MOST_DATAGRAMS;
        }
        if self.tell(false, facts) {
            return false;
        }
        let goes_on = self.datagrams < MOST_DATAGRAMS && self.data.len() < LONGEST_HELLO;
        if !goes_on {
            self.tell(true, facts);
        }
        goes_on
    }

    /// Bytes of memory it takes beside itself.
    pub(super) fn memory(&self) -> usize {
        self.data.capacity() + self.ranges.capacity() * size_of::<(usize, usize)>()
    }

    /// Reads the frames that an Initial may have (RFC 9000 §12.4). False where there is another one.
    fn read_frames(&mut self, frames: &[u8]) -> bool {
        let mut rest = Cursor::new(frames);
        while let Some(kind) = rest.number8() {
            let read = match kind {
                // PADDING, PING.
                0 | 1 => Some(()),
                2 | 3 => acknowledgement(&mut rest, kind == 3),
                6 => self.crypto(&mut rest),
                _ => None,
            };
            if read.is_none() {
                return false;
            }
        }
        true
    }

    fn crypto(&mut self, rest: &mut Cursor<'_>) -> Option<()> {
        let offset = usize::try_from(variable(rest)?).ok()?;
        let length = usize::try_from(variable(rest)?).ok()?;
        // A cut datagram ends in the middle of a frame.
        let data = rest.take_up_to(length);
        let end = offset.saturating_add(data.len()).min(LONGEST_HELLO);
        if offset >= end || self.ranges.len() >= 64 {
            return Some(());
        }
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data[offset..end].copy_from_slice(&data[..end - offset]);
        self.ranges.push((offset, end));
        Some(())
    }

    /// How much has come from the beginning without a hole.
    fn contiguous(&mut self) -> usize {
        self.ranges.sort_unstable();
        self.ranges.iter().fold(0, |reached, &(from, to)| if from <= reached { reached.max(to) } else { reached })
    }

    /// Tells the hello if it is whole, or as far as it has come. True where it has been told, or is none.
    fn tell(&mut self, is_last: bool, facts: &mut Facts) -> bool {
        let reached = self.contiguous();
        let mut rest = Cursor::new(&self.data[..reached]);
        let (Some(kind), Some(length)) = (rest.number8(), rest.number24()) else { return false };
        if kind != 1 {
            return true;
        }
        let length = length as usize;
        let body = rest.take_up_to(length);
        if body.len() < length && !is_last {
            return false;
        }
        if let Some(hello) = client_hello(body, length) {
            facts.set_name("quic");
            note_client(&hello, Carrier::Quic, facts);
        }
        true
    }
}

/// Passes over an ACK frame (RFC 9000 §19.3).
fn acknowledgement(rest: &mut Cursor<'_>, has_counts: bool) -> Option<()> {
    variable(rest)?;
    variable(rest)?;
    let ranges = variable(rest)?;
    variable(rest)?;
    for _ in 0..ranges.min(64) {
        variable(rest)?;
        variable(rest)?;
    }
    if has_counts {
        for _ in 0..3 {
            variable(rest)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::text::hex;
    use super::super::tls::tests::{browser, hello_body};
    use super::*;

    const CONNECTION: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 9001 appendix A.1, RFC 9369 appendix A.1.
    #[test]
    fn keys_are_the_published_ones() {
        let table = [
            (
                VERSION_1,
                "1f369613dd76d5467730efcbe3b1a22d",
                "fa044b2f42a3fd3b46fb255c",
                "9f50449e04a0e810283a1e9933adedd2",
            ),
            (
                VERSION_2,
                "8b1a0bc121284290a29e0971b5cd045d",
                "91f73e2351d8fa91660e909f",
                "45b95e15235d6f45a6b19cbcb0294ba9",
            ),
        ];
        for (version, key, iv, header) in table {
            let keys = keys(version, &CONNECTION).unwrap();
            assert_eq!((hex(&keys.key), hex(&keys.iv), hex(&keys.header)), (key.into(), iv.into(), header.into()));
        }
    }

    /// The first 320 bytes of the packet in RFC 9001 appendix A.2; the rest of its 1200 bytes is padding and the tag.
    #[test]
    fn the_published_packet_is_read() {
        let packet = unhex(concat!(
            "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c",
            "0bab7df5976d27cd449f63300099f3991c260ec4c60d17b31f8429157bb35a1282a643a8d2262cad67500cadb8e7378c",
            "8eb7539ec4d4905fed1bee1fc8aafba17c750e2c7ace01e6005f80fcb7df621230c83711b39343fa028cea7f7fb5ff89",
            "eac2308249a02252155e2347b63d58c5457afd84d05dfffdb20392844ae812154682e9cf012f9021a6f0be17ddd0c208",
            "4dce25ff9b06cde535d0f920a2db1bf362c23e596d11a4f5a6cf3948838a3aec4e15daf8500a6ef69ec4e3feb6b1d98e",
            "610ac8b7ec3faf6ad760b7bad1db4ba3485e8a94dc250ae3fdb41ed15fb6a8e5eba0fc3dd60bc8e30c5c4287e53805db",
            "059ae0648db2f64264ed5e39be2e20d82df566da8dd5998ccabdae053060ae6c",
        ));
        assert_eq!(packet.len(), 320);
        let mut facts = Facts::default();
        assert!(!Stream::default().take(&packet, &mut facts), "the hello is whole");
        let app = facts.into_app(true);
        let tls = app.tls.unwrap();
        assert_eq!((&*app.name, &*tls.server_name, &*tls.alpn), ("quic", "example.com", "alpn"));
        assert_eq!(tls.offered_version, 0x0304);
        assert_eq!(tls.ja4, "q13d0211an_62ed6f6ca7ad_4d634acda6c0");
    }

    /// An Initial with these frames.
    fn initial(version: u32, frames: &[u8]) -> Vec<u8> {
        let kind = if version == VERSION_1 { 0xc3 } else { 0xd3 };
        let mut packet = vec![kind];
        packet.extend(version.to_be_bytes());
        packet.push(8);
        packet.extend(CONNECTION);
        packet.extend([0, 0]);
        let mut payload = frames.to_vec();
        payload.resize(payload.len().max(1100), 0);
        let length = 4 + payload.len() + 16;
        packet.extend((0x4000 | length as u16).to_be_bytes());
        let number_at = packet.len();
        packet.extend([0, 0, 0, 7]);

        let keys = keys(version, &CONNECTION).unwrap();
        let mut nonce = keys.iv;
        nonce[11] ^= 7;
        apply_counter_mode(&keys.key, &nonce, &mut payload);
        packet.extend(&payload);
        packet.extend([0xee; 16]);
        let mut mask = aes::Block::clone_from_slice(&packet[number_at + 4..number_at + 20]);
        Aes128::new(&keys.header.into()).encrypt_block(&mut mask);
        packet[0] ^= mask[0] & 0x0f;
        for at in 0..4 {
            packet[number_at + at] ^= mask[1 + at];
        }
        packet
    }

    fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
        let mut frame = vec![6];
        frame.extend((0x4000 | offset as u16).to_be_bytes());
        frame.extend((0x4000 | data.len() as u16).to_be_bytes());
        frame.extend(data);
        frame
    }

    fn hello() -> Vec<u8> {
        let (ciphers, extensions) = browser();
        let body = hello_body(0x0303, &ciphers, &extensions);
        [&[1], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
    }

    #[test]
    fn hellos_in_pieces_and_over_datagrams_are_put_together() {
        let hello = hello();
        let (head, tail) = hello.split_at(90);
        for version in [VERSION_1, VERSION_2] {
            let jumbled = [crypto(90, tail), vec![1, 0, 0], crypto(0, head)].concat();
            let mut facts = Facts::default();
            assert!(!Stream::default().take(&initial(version, &jumbled), &mut facts));
            assert_eq!(facts.into_app(true).tls.unwrap().ja4, "q13d1516h2_8daaf6152771_e5627efa2ab1");

            let (mut stream, mut facts) = (Stream::default(), Facts::default());
            assert!(stream.take(&initial(version, &crypto(90, tail)), &mut facts));
            assert!(!stream.take(&initial(version, &crypto(0, head)), &mut facts));
            assert_eq!(facts.into_app(true).tls.unwrap().server_name, "shop.example");
        }
    }

    #[test]
    fn other_datagrams_are_passed_over() {
        let good = initial(VERSION_1, &crypto(0, &hello()));
        let mut other_version = good.clone();
        other_version[4] = 9;
        assert!(!is_initial(&other_version) && !is_initial(b"") && !is_initial(&[0x45; 40]));
        let mut wrong_keys = good;
        wrong_keys[7] ^= 1;
        let mut facts = Facts::default();
        Stream::default().take(&wrong_keys, &mut facts);
        assert_eq!(facts.name(), "", "what does not decrypt to a hello is no QUIC");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(frames in proptest::collection::vec(any::<u8>(), 0..300), cut in 0..1200_usize) {
            let packet = initial(VERSION_1, &[crypto(0, &[1, 0]), frames.clone()].concat());
            let (mut stream, mut facts) = (Stream::default(), Facts::default());
            stream.take(&packet[..cut.min(packet.len())], &mut facts);
            stream.take(&packet, &mut facts);
            stream.take(&frames, &mut facts);
            prop_assert!(stream.data.len() <= LONGEST_HELLO);
        }
    }
}
