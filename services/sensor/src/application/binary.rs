//! Binary protocols told by their first messages: RDP, SMB, `MySQL` and `PostgreSQL`, and what they say about log-ins.
//!
//! RDP (MS-RDPBCGR §2.2.1.1): the X.224 request is in the clear, whether the log-in failed is not, so each connection that
//! names a user counts as one attempt. SMB (MS-CIFS §2.2.3.1, MS-SMB2 §2.2.1): the status of session setups. `MySQL` (client/server
//! protocol, connection phase): error 1045. `PostgreSQL` (protocol 3.0): SQLSTATE 28P01 and 28000.

use super::facts::Facts;
use super::text::contains;

/// Bytes of a segment that are looked at.
const LOOKED_AT: usize = 512;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Remote desktop.
    Rdp,
    /// SMB 1, 2 and 3.
    Smb,
    /// `MySQL` and its relatives.
    Mysql,
    /// `PostgreSQL`.
    Postgres,
}

impl Dialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rdp => "rdp",
            Self::Smb => "smb",
            Self::Mysql => "mysql",
            Self::Postgres => "postgresql",
        }
    }
}

/// A conversation in one of them.
#[derive(Debug)]
pub(super) struct Stream {
    dialect: Dialect,
    /// The log-in is over: nothing more is looked at.
    is_over: bool,
}

impl Stream {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, is_over: false }
    }

    /// Takes in a segment. False once nothing more is to be had.
    pub(super) fn take(&mut self, bytes: &[u8], facts: &mut Facts) -> bool {
        let head = &bytes[..bytes.len().min(LOOKED_AT)];
        match self.dialect {
            Dialect::Rdp => self.rdp(head, facts),
            Dialect::Smb => self.verdict(smb_login(head), false, facts),
            Dialect::Mysql => self.verdict(mysql_login(head), true, facts),
            Dialect::Postgres => self.verdict(postgres_login(head), true, facts),
        }
        !self.is_over
    }

    fn rdp(&mut self, head: &[u8], facts: &mut Facts) {
        // The request comes first; after the confirmation everything is encrypted.
        self.is_over = head.get(5) == Some(&0xd0);
        if head.get(5) == Some(&0xe0) && contains(head, b"cookie: mstshash=") {
            facts.login(self.dialect.name(), 1, 0);
        }
    }

    /// `has_failed`: what a message says about a log-in, if anything.
    fn verdict(&mut self, has_failed: Option<bool>, is_final: bool, facts: &mut Facts) {
        if let Some(has_failed) = has_failed {
            facts.login(self.dialect.name(), 1, u32::from(has_failed));
            self.is_over = is_final;
        }
    }
}

/// Statuses of MS-ERREF §2.3 that refuse a log-in: no such user, wrong password, restriction, hours, workstation, expired,
/// disabled, logon failure, locked out.
const REFUSALS: [u32; 9] = [
    0xc000_0064,
    0xc000_006a,
    0xc000_006e,
    0xc000_006f,
    0xc000_0070,
    0xc000_0071,
    0xc000_0072,
    0xc000_006d,
    0xc000_0234,
];

/// What a session setup's response says.
fn smb_login(head: &[u8]) -> Option<bool> {
    let message = head.get(4..)?;
    let number = |at: usize| message.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let (status, is_response) = match message.first_chunk::<4>()? {
        // Command 0x73; flags with the reply bit.
        [0xff, b'S', b'M', b'B'] if message.get(4) == Some(&0x73) => (number(5)?, message.get(9)? & 0x80 != 0),
        // Command 1; flags with the response bit.
        [0xfe, b'S', b'M', b'B'] if message.get(12..14) == Some(&[1, 0]) => (number(8)?, message.get(16)? & 1 != 0),
        _ => return None,
    };
    match status {
        _ if !is_response => None,
        0 => Some(false),
        status if REFUSALS.contains(&status) => Some(true),
        _ => None,
    }
}

/// What a server's answer to the log-in says: the greeting has number 0, the answer 2 or more.
fn mysql_login(head: &[u8]) -> Option<bool> {
    match head {
        // ERR with code 1045 (access denied), little-endian.
        [_, _, 0, 2..=255, 0xff, 0x15, 0x04, ..] => Some(true),
        [7..=255, 0, 0, 2..=255, 0x00, _, _, 0x02 | 0x00 | 0x03, ..] => Some(false),
        _ => None,
    }
}

/// What a server's message says.
fn postgres_login(head: &[u8]) -> Option<bool> {
    match head {
        [b'E', 0, 0, _, _, ..] if contains(head, b"\0C28P01\0") || contains(head, b"\0C28000\0") => Some(true),
        // AuthenticationOk.
        [b'R', 0, 0, 0, 8, 0, 0, 0, 0, ..] => Some(false),
        _ => None,
    }
}

/// Which dialect the first bytes of a direction speak.
pub(super) fn recognise(bytes: &[u8]) -> Option<Dialect> {
    match bytes {
        // TPKT (RFC 1006), then an X.224 connection request or confirmation that fills it.
        [3, 0, 0, length, header, 0xe0 | 0xd0, 0, 0, ..] if u16::from(*length) == u16::from(*header) + 5 => {
            Some(Dialect::Rdp)
        }
        [0, 0 | 1, _, _, 0xff | 0xfe, b'S', b'M', b'B', ..] => Some(Dialect::Smb),
        // Protocol 10 and a version that begins with a digit.
        [_, 0, 0, 0, 10, b'1'..=b'9', b'.' | b'0'..=b'9', ..] => Some(Dialect::Mysql),
        // StartupMessage of 3.0 with its first parameter; SSLRequest; GSSENCRequest.
        [0, 0, _, _, 0, 3, 0, 0, b'u' | b'd' | b'a' | b'c' | b'o', ..]
        | [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f | 0x30] => Some(Dialect::Postgres),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RDP: &[u8] = b"\x03\x00\x00\x26\x21\xe0\x00\x00\x00\x00\x00Cookie: mstshash=admin\r\n\x01\x00\x08\x00\x03";
    const GREETING: &[u8] = b"\x4a\x00\x00\x00\x0a8.0.36\x00\x09\x00\x00\x00";
    const STARTUP: &[u8] = b"\x00\x00\x00\x20\x00\x03\x00\x00user\x00eve\x00database\x00d\x00\x00";

    fn smb1(command: u8, status: u32, flags: u8) -> Vec<u8> {
        [b"\x00\x00\x00\x30\xffSMB", &[command][..], &status.to_le_bytes(), &[flags], &[0; 30]].concat()
    }

    fn smb2(command: u8, status: u32, flags: u8) -> Vec<u8> {
        [b"\x00\x00\x00\x49\xfeSMB\x40\x00\x01\x00", &status.to_le_bytes()[..], &[command, 0, 1, 0, flags], &[0; 50]]
            .concat()
    }

    #[test]
    fn dialects_are_told_by_content() {
        let table: [(&[u8], Option<Dialect>); 9] = [
            (RDP, Some(Dialect::Rdp)),
            (&smb1(0x72, 0, 0), Some(Dialect::Smb)),
            (&smb2(0, 0, 0), Some(Dialect::Smb)),
            (GREETING, Some(Dialect::Mysql)),
            (STARTUP, Some(Dialect::Postgres)),
            (&[0, 0, 0, 8, 4, 210, 22, 47], Some(Dialect::Postgres)),
            (b"\x03\x00\x00\x26\x20\xe0\x00\x00", None),
            (b"", None),
            (&[0; 40], None),
        ];
        for (bytes, dialect) in table {
            assert_eq!(recognise(bytes), dialect, "{bytes:02x?}");
        }
    }

    #[test]
    fn log_ins_are_counted_as_the_protocol_says() {
        let ok = b"\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00".to_vec();
        let denied = b"\x48\x00\x00\x02\xff\x15\x04#28000Access denied".to_vec();
        let refused = b"E\x00\x00\x00\x60SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0".to_vec();
        let let_in = b"R\x00\x00\x00\x08\x00\x00\x00\x00".to_vec();
        let table: [(Dialect, Vec<Vec<u8>>, u32, u32); 9] = [
            (Dialect::Rdp, vec![RDP.to_vec()], 1, 0),
            (Dialect::Smb, vec![smb1(0x73, 0xc000_006d, 0x98)], 1, 1),
            (Dialect::Smb, vec![smb2(1, 0xc000_0016, 1), smb2(1, 0xc000_006d, 1), smb2(1, 0, 1)], 2, 1),
            (Dialect::Smb, vec![smb2(1, 0, 0), smb2(3, 0xc000_006d, 1)], 0, 0),
            (Dialect::Mysql, vec![GREETING.to_vec(), denied], 1, 1),
            (Dialect::Mysql, vec![GREETING.to_vec(), ok], 1, 0),
            (Dialect::Postgres, vec![STARTUP.to_vec(), refused], 1, 1),
            (Dialect::Postgres, vec![let_in], 1, 0),
            (Dialect::Postgres, vec![STARTUP.to_vec()], 0, 0),
        ];
        for (dialect, segments, attempts, failures) in table {
            let (mut stream, mut facts) = (Stream::new(dialect), Facts::default());
            for bytes in &segments {
                stream.take(bytes, &mut facts);
            }
            let login = facts.into_app(true).login.unwrap_or_default();
            assert_eq!((login.attempts, login.failures), (attempts, failures), "{dialect:?} {segments:02x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            recognise(&bytes);
            for dialect in [Dialect::Rdp, Dialect::Smb, Dialect::Mysql, Dialect::Postgres] {
                Stream::new(dialect).take(&bytes, &mut Facts::default());
            }
        }
    }
}
