//! Protocols of lines that say in the clear whether a log-in failed: FTP (RFC 959), SMTP (RFC 5321, RFC 4954), Telnet
//! (RFC 854) and IRC (RFC 2812).
//!
//! Each segment is looked at by itself, at most its first 512 bytes. A line that a segment cuts is looked at as it stands.

use weir_schemas::app::Irc;

use super::facts::Facts;
use super::text::{begins_with, contains, kept, lines};

/// Bytes of a segment that are looked at.
const LOOKED_AT: usize = 512;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// FTP.
    Ftp,
    /// SMTP.
    Smtp,
    /// Telnet.
    Telnet,
    /// IRC.
    Irc,
}

impl Dialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ftp => "ftp",
            Self::Smtp => "smtp",
            Self::Telnet => "telnet",
            Self::Irc => "irc",
        }
    }
}

/// A conversation in one of them.
#[derive(Debug)]
pub(super) struct Stream {
    dialect: Dialect,
    /// A password or a proof was sent and not answered yet.
    is_tried: bool,
}

impl Stream {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, is_tried: false }
    }

    /// Takes in a segment.
    pub(super) fn take(&mut self, bytes: &[u8], facts: &mut Facts) {
        let head = &bytes[..bytes.len().min(LOOKED_AT)];
        match self.dialect {
            Dialect::Telnet => self.telnet(head, facts),
            Dialect::Ftp => lines(head).for_each(|line| self.ftp(line, facts)),
            Dialect::Smtp => lines(head).for_each(|line| self.smtp(line, facts)),
            Dialect::Irc => lines(head).for_each(|line| irc(line, facts)),
        }
    }

    /// 530 refuses a password, and any command before one: only the answer to a password counts.
    fn ftp(&mut self, line: &[u8], facts: &mut Facts) {
        if begins_with(line, b"PASS ") {
            self.is_tried = true;
        } else if self.is_tried {
            self.answer(line, b"230", b"530", facts);
        }
    }

    fn smtp(&mut self, line: &[u8], facts: &mut Facts) {
        if begins_with(line, b"AUTH ") {
            self.is_tried = true;
        } else if self.is_tried {
            self.answer(line, b"235", b"535", facts);
        }
    }

    fn answer(&mut self, line: &[u8], accepted: &[u8], refused: &[u8], facts: &mut Facts) {
        let is_refused = line.starts_with(refused);
        if is_refused || line.starts_with(accepted) {
            self.is_tried = false;
            facts.login(self.dialect.name(), 1, u32::from(is_refused));
        }
    }

    /// What servers print; a prompt for a password begins an attempt.
    fn telnet(&mut self, bytes: &[u8], facts: &mut Facts) {
        const REFUSALS: [&[u8]; 5] =
            [b"login incorrect", b"login failed", b"authentication failed", b"access denied", b"bad password"];
        if self.is_tried && REFUSALS.iter().any(|refusal| contains(bytes, refusal)) {
            facts.login(self.dialect.name(), 0, 1);
            self.is_tried = false;
        }
        if contains(bytes, b"password:") {
            facts.login(self.dialect.name(), 1, 0);
            self.is_tried = true;
        }
    }
}

/// A line of a client has no prefix; a server's has one (RFC 2812 §2.3).
fn irc(line: &[u8], facts: &mut Facts) {
    if line.starts_with(b":") || begins_with(line, b"PING") || begins_with(line, b"NOTICE") {
        return;
    }
    let irc: &mut Irc = facts.irc.get_or_insert_default();
    irc.commands += 1;
    let word = |prefix: &[u8]| {
        let rest = line.get(prefix.len()..).filter(|_| begins_with(line, prefix))?;
        rest.split(|byte| matches!(byte, b' ' | b',')).next()
    };
    if let Some(nick) = word(b"NICK ").filter(|_| irc.nick.is_empty()) {
        irc.nick = kept(nick.strip_prefix(b":").unwrap_or(nick));
    }
    if let Some(channel) = word(b"JOIN ").filter(|_| irc.channel.is_empty()) {
        irc.channel = kept(channel.strip_prefix(b":").unwrap_or(channel));
    }
}

/// Which dialect the first bytes of a direction speak, where they say so.
pub(super) fn recognise(bytes: &[u8]) -> Option<Dialect> {
    let head = &bytes[..bytes.len().min(LOOKED_AT)];
    // IAC WILL, WONT, DO or DONT, and an option that is assigned.
    if let [0xff, 0xfb..=0xfe, 0..=49, ..] = head {
        return Some(Dialect::Telnet);
    }
    // Asked of every conversation that is not known yet: most others are told by their first byte.
    let first = head.first()?.to_ascii_uppercase();
    if !matches!(first, b'2' | b':' | b'A' | b'C' | b'E' | b'F' | b'H' | b'N' | b'P' | b'S' | b'U') {
        return None;
    }
    let is = |words: &[&[u8]]| words.iter().any(|word| begins_with(head, word));
    let word = |number: usize| lines(head).next()?.split(|byte| *byte == b' ').nth(number);
    if is(&[b"220"]) {
        // Both greet alike; the text mostly says which it is, else the client's first word does.
        return match () {
            () if contains(head, b"smtp") => Some(Dialect::Smtp),
            () if contains(head, b"ftp") => Some(Dialect::Ftp),
            () => None,
        };
    }
    if is(&[b"EHLO ", b"HELO "]) {
        return Some(Dialect::Smtp);
    }
    let is_irc_user = is(&[b"USER "]) && word(4).is_some();
    let is_irc_pass = is(&[b"PASS "]) && lines(head).any(|line| begins_with(line, b"NICK "));
    let is_numeric = first == b':' && matches!(word(1), Some(b"NOTICE" | b"001" | b"020"));
    if is_irc_user || is_irc_pass || is_numeric || is(&[b"NICK ", b"CAP LS", b"NOTICE AUTH"]) {
        return Some(Dialect::Irc);
    }
    is(&[b"USER ", b"AUTH TLS", b"AUTH SSL", b"FEAT", b"SYST"]).then_some(Dialect::Ftp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_schemas::app::Login;

    use super::*;

    fn told(dialect: Dialect, segments: &[&[u8]]) -> Facts {
        let (mut stream, mut facts) = (Stream::new(dialect), Facts::default());
        for bytes in segments {
            stream.take(bytes, &mut facts);
        }
        facts
    }

    #[test]
    fn dialects_are_told_by_content() {
        let table: [(&[u8], Option<Dialect>); 15] = [
            (b"220 (vsFTPd 3.0.5)\r\n", Some(Dialect::Ftp)),
            (b"220 mail.example ESMTP Postfix\r\n", Some(Dialect::Smtp)),
            (b"220 welcome\r\n", None),
            (b"USER anonymous\r\n", Some(Dialect::Ftp)),
            (b"AUTH TLS\r\n", Some(Dialect::Ftp)),
            (b"EHLO host\r\n", Some(Dialect::Smtp)),
            (&[0xff, 0xfd, 0x18, 0xff, 0xfd, 0x20], Some(Dialect::Telnet)),
            (&[0xff, 0xd8, 0xff, 0xe0], None),
            (b"NICK bot1\r\nUSER a b c :d\r\n", Some(Dialect::Irc)),
            (b"PASS x\r\nNICK bot1\r\n", Some(Dialect::Irc)),
            (b"USER a 8 * :real name\r\n", Some(Dialect::Irc)),
            (b"CAP LS 302\r\n", Some(Dialect::Irc)),
            (b":irc.example NOTICE * :*** Looking up\r\n", Some(Dialect::Irc)),
            (b"hello\r\n", None),
            (b"", None),
        ];
        for (bytes, dialect) in table {
            assert_eq!(recognise(bytes), dialect, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn failed_log_ins_are_counted_where_the_protocol_says_so() {
        let table: [(Dialect, &[&[u8]], u32, u32); 6] = [
            (
                Dialect::Ftp,
                &[b"USER a\r\n", b"331 x\r\n", b"PASS a\r\n", b"530 No.\r\n", b"PASS b\r\n", b"530-No\r\n530 no\r\n"],
                2,
                2,
            ),
            (Dialect::Ftp, &[b"LIST\r\n", b"530 Log in first.\r\n", b"USER a\r\nPASS b\r\n", b"230 Hello\r\n"], 1, 0),
            (Dialect::Smtp, &[b"AUTH LOGIN\r\n", b"334 VXNlcm5hbWU6\r\n", b"eA==\r\n", b"535 5.7.8 no\r\n"], 1, 1),
            (Dialect::Smtp, &[b"MAIL FROM:<a>\r\n", b"535 odd\r\n"], 0, 0),
            (Dialect::Telnet, &[b"Password: ", b"\r\n", b"\r\nLogin incorrect\r\nlogin: ", b"Password: "], 2, 1),
            (Dialect::Telnet, &[b"the words Login incorrect alone"], 0, 0),
        ];
        for (dialect, segments, attempts, failures) in table {
            let login = told(dialect, segments).into_app(true).login.unwrap_or_default();
            let proto = if attempts == 0 { "" } else { dialect.name() };
            assert_eq!(login, Login { attempts, failures, proto: proto.into(), estimated: false }, "{dialect:?}");
        }
    }

    #[test]
    fn irc_tells_nick_and_channel() {
        let segments: [&[u8]; 3] =
            [b"NICK bot1\r\nUSER a b c :d\r\n", b":srv 001 bot1 :hi\r\nPING :x\r\n", b"JOIN #a,#b key\r\n"];
        let irc = told(Dialect::Irc, &segments).into_app(true).irc;
        assert_eq!(irc, Some(Irc { nick: "bot1".into(), channel: "#a".into(), commands: 3 }));
    }

    proptest! {
        #[test]
        fn any_segments_are_answered(
            dialect in prop_oneof![Just(Dialect::Ftp), Just(Dialect::Smtp), Just(Dialect::Telnet), Just(Dialect::Irc)],
            segments in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..700), 0..8),
        ) {
            let login = told(dialect, &segments.iter().map(Vec::as_slice).collect::<Vec<_>>()).into_app(true).login;
            let login = login.unwrap_or_default();
            prop_assert!(login.failures <= login.attempts);
            for bytes in &segments {
                let _ = recognise(bytes);
            }
        }
    }
}
