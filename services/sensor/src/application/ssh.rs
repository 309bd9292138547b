//! SSH (RFC 4253): identification strings, HASSH of the client's key exchange offer, and an estimate of failed log-ins.
//!
//! After NEWKEYS everything is encrypted, so log-ins are estimated: a server answers each refused attempt with one message
//! of the same size (`USERAUTH_FAILURE`, RFC 4252 §5.1), the first of them answers the probe `none` that clients begin with,
//! and the answer to an accepted one (one byte) is smaller. Each answer as large as the one before it is one failure; a
//! smaller one after that ends the log-in. Limits: a client that does not begin with `none` is counted one failure short; a
//! server that delays or changes its list of methods is not counted; a single accepted attempt is not told from a refused probe;
//! answers that share a segment with others are missed; compression would vary the sizes. At most 32 answers are looked at.

use weir_schemas::app::Ssh;

use super::cursor::Cursor;
use super::facts::Facts;
use super::fingerprint::md5_hex;
use super::text::kept;

/// Most bytes of a direction that are kept.
const LOOKED_AT: usize = 2048;
/// RFC 4253 §4.2.
const LONGEST_BANNER: usize = 255;
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;
/// Answers of a server that are looked at.
const MOST_ANSWERS: u8 = 32;
/// Sizes that a refusal may have: cipher blocks and a tag around a list of methods.
const REFUSAL: std::ops::RangeInclusive<u32> = 36..=160;

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Stream {
    heads: [Vec<u8>; 2],
    /// What is in the clear has been read.
    is_encrypted: [bool; 2],
    /// Which direction is the client's, once its side is known.
    client: Option<usize>,
    is_told: [bool; 2],
    answers: Answers,
}

/// The sizes of what the server answers.
#[derive(Debug, Default)]
struct Answers {
    /// Sum of the server's segments since the client spoke.
    current: u32,
    last: u32,
    has_repeated: bool,
    seen: u8,
}

impl Stream {
    /// Takes in a segment of `length` bytes, as much of it as was captured. False once nothing more is to be had.
    pub(super) fn take(&mut self, end: usize, bytes: &[u8], length: u32, facts: &mut Facts) -> bool {
        if self.is_encrypted == [true; 2] {
            return self.encrypted(end, length, facts);
        }
        if self.is_encrypted[end] {
            return true;
        }
        let head = &mut self.heads[end];
        let room = LOOKED_AT - head.len().min(LOOKED_AT);
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.read(end, facts);
        if self.is_encrypted[end] || self.heads[end].len() >= LOOKED_AT {
            self.is_encrypted[end] = true;
            self.heads[end] = Vec::new();
        }
        true
    }

    /// Bytes of memory it takes beside itself.
    pub(super) fn memory(&self) -> usize {
        self.heads.iter().map(Vec::capacity).sum()
    }

    /// Bytes are missing: what is in the clear is given up.
    pub(super) fn lost(&mut self, end: usize) {
        self.heads[end] = Vec::new();
        self.is_encrypted[end] = true;
    }

    /// Reads identification and packets in the clear, from the beginning.
    fn read(&mut self, end: usize, facts: &mut Facts) {
        let head = &self.heads[end];
        let Some(line) = head.iter().position(|byte| *byte == b'\n') else {
            self.is_encrypted[end] = head.len() > LONGEST_BANNER;
            return;
        };
        let banner = head[..line].strip_suffix(b"\r").unwrap_or(&head[..line]);
        let mut rest = Cursor::new(&head[line + 1..]);
        let mut hassh = None;
        let mut is_over = false;
        while let Some(packet) = packet(&mut rest) {
            match packet.first() {
                Some(&KEXINIT) => hassh = lists(packet),
                Some(&NEWKEYS) => is_over = true,
                // Key exchange messages; anything else is encrypted already.
                Some(30..=49 | 1..=4 | 7) => {}
                _ => is_over = true,
            }
            if is_over {
                break;
            }
        }
        self.is_encrypted[end] = is_over;
        if self.is_told[end] && hassh.is_none() {
            return;
        }
        self.is_told[end] = true;
        let banner = kept(banner);
        let ssh: &mut Ssh = facts.ssh.get_or_insert_default();
        // Until the table says otherwise the first to speak is not known to be either; the sides are told by `client`.
        if self.client == Some(end) {
            ssh.client = banner;
            if let Some(lists) = hassh {
                ssh.client_fingerprint = md5_hex(lists.as_bytes());
            }
        } else {
            ssh.server = banner;
        }
    }

    /// Says which direction is the client's.
    pub(super) fn set_client(&mut self, end: usize) {
        self.client = Some(end);
    }

    fn encrypted(&mut self, end: usize, length: u32, facts: &mut Facts) -> bool {
        let answers = &mut self.answers;
        if self.client == Some(end) {
            if answers.current > 0 {
                answers.last = std::mem::take(&mut answers.current);
                answers.seen = answers.seen.saturating_add(1);
            }
            return answers.seen < MOST_ANSWERS;
        }
        // What follows in the same answer makes it larger, and no verdict any more.
        let is_first = answers.current == 0;
        answers.current = answers.current.saturating_add(length);
        if is_first && length == answers.last && REFUSAL.contains(&length) {
            answers.has_repeated = true;
            facts.login("ssh", 1, 1);
        } else if is_first && answers.has_repeated && length < answers.last {
            facts.login("ssh", 1, 0);
            answers.seen = MOST_ANSWERS;
        }
        if let Some(login) = &mut facts.login {
            login.estimated = true;
        }
        answers.seen < MOST_ANSWERS
    }
}

/// The payload of the next packet in the clear (RFC 4253 §6).
fn packet<'a>(rest: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(rest.number32()?).ok()?;
    let mut packet = Cursor::new(rest.take(length)?);
    let padding = usize::from(packet.number8()?);
    let size = packet.rest().len().checked_sub(padding)?;
    packet.take(size)
}

/// What a HASSH is the MD5 of: key exchange, ciphers, MACs and compression of the client, as offered.
fn lists(packet: &[u8]) -> Option<String> {
    let mut rest = Cursor::new(packet);
    rest.take(1 + 16)?;
    let mut names = [""; 8];
    for name in &mut names {
        let length = usize::try_from(rest.number32()?).ok()?;
        *name = std::str::from_utf8(rest.take(length)?).ok()?;
    }
    // kex, host keys, ciphers ×2, MACs ×2, compression ×2: each with the client's first.
    let [exchange, _, cipher, _, mac, _, compression, _] = names;
    Some(format!("{exchange};{cipher};{mac};{compression}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet_of(payload: &[u8]) -> Vec<u8> {
        let padding = 8 - (payload.len() + 5) % 8 + 4;
        let length = (1 + payload.len() + padding) as u32;
        [&length.to_be_bytes()[..], &[padding as u8], payload, &vec![0; padding]].concat()
    }

    fn offer() -> Vec<u8> {
        let mut payload = vec![KEXINIT];
        payload.extend([5; 16]);
        let names = [
            "curve25519-sha256",
            "ssh-ed25519",
            "aes128-ctr",
            "aes256-ctr",
            "hmac-sha1",
            "hmac-sha2",
            "none",
            "zlib",
            "",
            "",
        ];
        for name in names {
            payload.extend((name.len() as u32).to_be_bytes());
            payload.extend(name.as_bytes());
        }
        payload.extend([0; 5]);
        packet_of(&payload)
    }

    /// A connection up to its encryption.
    fn handshake() -> (Stream, Facts) {
        let (mut stream, mut facts) = (Stream::default(), Facts::default());
        stream.set_client(0);
        let newkeys = packet_of(&[NEWKEYS]);
        for (end, bytes) in [
            (1, b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
            (0, [b"SSH-2.0-libssh_0.10.6\r\n", offer().as_slice()].concat()),
            (1, offer()),
            (0, packet_of(&[30, 1, 2])),
            (1, [packet_of(&[31, 1, 2]), newkeys.clone()].concat()),
            (0, newkeys),
        ] {
            assert!(stream.take(end, &bytes, bytes.len() as u32, &mut facts));
        }
        (stream, facts)
    }

    #[test]
    fn the_handshake_is_told() {
        let ssh = handshake().1.into_app(true).ssh.unwrap();
        assert_eq!((&*ssh.client, &*ssh.server), ("SSH-2.0-libssh_0.10.6", "SSH-2.0-OpenSSH_9.6"));
        assert_eq!(ssh.client_fingerprint, md5_hex(b"curve25519-sha256;aes128-ctr;hmac-sha1;none"));
    }

    /// Example 1 in the README of HASSH: Cyberduck 6.7.1.
    #[test]
    fn hassh_is_the_published_one() {
        let offered = concat!(
            "curve25519-sha256@libssh.org,diffie-hellman-group-exchange-sha256,ecdh-sha2-nistp521,ecdh-sha2-nistp384,",
            "ecdh-sha2-nistp256,diffie-hellman-group-exchange-sha1,diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,",
            "diffie-hellman-group14-sha256,diffie-hellman-group15-sha512,diffie-hellman-group16-sha512,",
            "diffie-hellman-group17-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256@ssh.com,",
            "diffie-hellman-group15-sha256,diffie-hellman-group15-sha256@ssh.com,diffie-hellman-group15-sha384@ssh.com,",
            "diffie-hellman-group16-sha256,diffie-hellman-group16-sha384@ssh.com,diffie-hellman-group16-sha512@ssh.com,",
            "diffie-hellman-group18-sha512@ssh.com;",
            "aes128-cbc,aes128-ctr,aes192-cbc,aes192-ctr,aes256-cbc,aes256-ctr,blowfish-cbc,blowfish-ctr,cast128-cbc,",
            "cast128-ctr,idea-cbc,idea-ctr,serpent128-cbc,serpent128-ctr,serpent192-cbc,serpent192-ctr,serpent256-cbc,",
            "serpent256-ctr,3des-cbc,3des-ctr,twofish128-cbc,twofish128-ctr,twofish192-cbc,twofish192-ctr,twofish256-cbc,",
            "twofish256-ctr,twofish-cbc,arcfour,arcfour128,arcfour256;",
            "hmac-sha1,hmac-sha1-96,hmac-md5,hmac-md5-96,hmac-sha2-256,hmac-sha2-512;zlib@openssh.com,zlib,none",
        );
        let [exchange, cipher, mac, compression] = offered.split(';').collect::<Vec<_>>()[..] else { unreachable!() };
        let mut payload = vec![KEXINIT];
        payload.extend([5; 16]);
        for name in [exchange, "ssh-rsa", cipher, "server", mac, "server", compression, "server", "", ""] {
            payload.extend((name.len() as u32).to_be_bytes());
            payload.extend(name.as_bytes());
        }
        assert_eq!(md5_hex(lists(&payload).unwrap().as_bytes()), "8a8ae540028bf433cd68356c1b9e8d5b");
    }

    #[test]
    fn refused_log_ins_are_estimated_by_their_answers() {
        // Sizes of the server's answers with chacha20-poly1305: service, `none`, then passwords.
        let table: [(&[u32], u32, u32); 5] = [
            (&[44, 52], 0, 0),
            (&[44, 52, 28], 0, 0),
            (&[44, 52, 52], 1, 1),
            (&[44, 52, 52, 52, 28, 52, 52], 3, 2),
            (&[44, 52, 52, 52, 52, 52, 52], 5, 5),
        ];
        for (sizes, attempts, failures) in table {
            let (mut stream, mut facts) = handshake();
            let mut goes_on = true;
            for size in sizes {
                if goes_on {
                    goes_on = stream.take(0, &[], 68, &mut facts) && stream.take(1, &[], *size, &mut facts);
                }
            }
            let login = facts.into_app(true).login.unwrap_or_default();
            assert_eq!((login.attempts, login.failures), (attempts, failures), "{sizes:?}");
            assert_eq!(login.estimated, attempts > 0);
        }
    }

    proptest! {
        #[test]
        fn any_segments_are_answered(
            segments in proptest::collection::vec((0..2_usize, proptest::collection::vec(any::<u8>(), 0..900)), 0..10))
        {
            let (mut stream, mut facts) = (Stream::default(), Facts::default());
            stream.set_client(0);
            stream.take(0, b"SSH-2.0-x\r\n", 11, &mut facts);
            for (end, bytes) in &segments {
                stream.take(*end, bytes, bytes.len() as u32, &mut facts);
                prop_assert!(stream.heads.iter().all(|head| head.len() <= LOOKED_AT));
            }
        }
    }
}
