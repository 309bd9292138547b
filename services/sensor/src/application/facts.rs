//! What one record gathers of its application, and its form in the schema.

use weir_schemas::app::{App, Dns, DnsType, Http, Irc, Login, Ssh, Tls};

use super::dns::Message;
use super::text::hash;

/// Distinct texts of one record that are told apart.
const MOST_DISTINCT: usize = 64;
/// DNS types of one record that are told apart.
const MOST_TYPES: usize = 8;

/// Protocols of the IANA registry (TLS Application-Layer Protocol Negotiation Protocol IDs) that are met.
const REGISTERED_ALPN: [&str; 18] = [
    "h2", "http/1.1", "http/1.0", "http/0.9", "h2c", "h3", "spdy/1", "spdy/2", "spdy/3", "dot", "doq", "ftp", "imap",
    "pop3", "mqtt", "smb", "irc", "webrtc",
];

/// Facts of one record; empty at first.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    name: &'static str,
    pub(super) dns: Option<Box<Dns>>,
    pub(super) http: Option<Box<Http>>,
    pub(super) tls: Option<Box<Tls>>,
    pub(super) ssh: Option<Box<Ssh>>,
    pub(super) login: Option<Box<Login>>,
    pub(super) irc: Option<Box<Irc>>,
    /// Hashes of names or paths seen in this record.
    distinct: Vec<u64>,
}

impl Facts {
    /// The application protocol; empty where nothing was recognised.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Names the application protocol. The first name stays.
    pub fn set_name(&mut self, name: &'static str) {
        if self.name.is_empty() {
            self.name = name;
        }
    }

    /// Whether nothing has been told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.name.is_empty() && self.dns.is_none() && self.login.is_none() && self.tls.is_none()
    }

    /// Bytes of memory they take, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let dns = self
            .dns
            .as_ref()
            .map_or(0, |dns| size_of::<Dns>() + dns.query.capacity() + dns.types.capacity() * size_of::<DnsType>());
        let http = self.http.as_ref().map_or(0, |http| {
            let texts = [&http.method, &http.host, &http.path_segment, &http.user_agent];
            size_of::<Http>() + texts.map(String::capacity).iter().sum::<usize>()
        });
        let tls = self.tls.as_ref().map_or(0, |tls| {
            size_of::<Tls>()
                + [&tls.server_name, &tls.alpn, &tls.ja3, &tls.ja4].map(String::capacity).iter().sum::<usize>()
        });
        let ssh = self.ssh.as_ref().map_or(0, |ssh| {
            size_of::<Ssh>()
                + [&ssh.client, &ssh.server, &ssh.client_fingerprint].map(String::capacity).iter().sum::<usize>()
        });
        let login = self.login.as_ref().map_or(0, |_| size_of::<Login>());
        let irc = self.irc.as_ref().map_or(0, |irc| size_of::<Irc>() + irc.nick.capacity() + irc.channel.capacity());
        size_of::<Self>() + dns + http + tls + ssh + login + irc + self.distinct.capacity() * size_of::<u64>()
    }

    /// Notes a text by its hash; how many different ones there were, up to a bound.
    pub(super) fn note_distinct(&mut self, hash: u64) -> u32 {
        if self.distinct.len() < MOST_DISTINCT && !self.distinct.contains(&hash) {
            self.distinct.push(hash);
        }
        self.distinct.len() as u32
    }

    /// Takes in a DNS message of `length` octets.
    pub(super) fn dns_message(&mut self, name: &'static str, message: &Message, length: u32) {
        self.set_name(name);
        let mut dns = self.dns.take().unwrap_or_default();
        if let Some(question) = &message.question {
            if dns.query_hash == 0 {
                dns.query = question.text();
                // Of the texts, so that the name is known again in a TLS hello or an HTTP request.
                dns.query_hash = hash(dns.query.as_bytes());
                dns.domain_hash = hash(question.domain_text().as_bytes());
                dns.query_type = question.kind;
            }
            dns.names = self.note_distinct(hash(&question.name));
            dns.longest_name = dns.longest_name.max(question.length());
            let place = dns.types.iter().position(|seen| seen.query_type == question.kind);
            if place.is_none() && dns.types.len() < MOST_TYPES {
                dns.types.push(DnsType { query_type: question.kind, queries: 0, bytes: 0 });
            }
            if let Some(seen) = dns.types.iter_mut().find(|seen| seen.query_type == question.kind) {
                seen.queries += u32::from(!message.is_response);
                seen.bytes += u64::from(length);
            }
        }
        if message.is_response {
            dns.responses += 1;
            dns.rcode.get_or_insert(message.rcode);
            dns.nxdomain += u32::from(message.rcode == 3);
            dns.failures += u32::from(!matches!(message.rcode, 0 | 3));
            dns.answers = dns.answers.saturating_add(u32::from(message.answers));
            dns.response_bytes += u64::from(length);
        } else {
            dns.queries += 1;
            dns.query_bytes += u64::from(length);
            let entropy = message.question.as_ref().map_or(0, super::dns::Question::entropy_millibits);
            dns.entropy_millibits += u64::from(entropy);
        }
        self.dns = Some(dns);
    }

    /// Counts a log-in that was tried.
    pub(super) fn login(&mut self, protocol: &'static str, attempts: u32, failures: u32) {
        let login = self.login.get_or_insert_default();
        login.attempts = login.attempts.saturating_add(attempts);
        login.failures = login.failures.saturating_add(failures);
        if login.proto.is_empty() {
            login.proto = protocol.into();
        }
    }

    /// The block of the record. Without `names`, every text that came from the payload is left out; hashes, lengths,
    /// fingerprints, counts and what our own tables call it stay.
    #[must_use]
    pub fn into_app(self, names: bool) -> App {
        let mut app = App {
            name: self.name.into(),
            dns: self.dns.map(|dns| *dns),
            http: self.http.map(|http| *http),
            tls: self.tls.map(|tls| *tls),
            ssh: self.ssh.map(|ssh| *ssh),
            login: self.login.map(|login| *login),
            irc: self.irc.map(|irc| *irc),
        };
        if !names {
            withhold(&mut app);
        }
        app
    }
}

fn withhold(app: &mut App) {
    if let Some(dns) = &mut app.dns {
        dns.query.clear();
    }
    if let Some(http) = &mut app.http {
        http.host.clear();
        http.path_segment.clear();
        http.user_agent.clear();
    }
    if let Some(tls) = &mut app.tls {
        tls.server_name.clear();
        // Anyone may send any text there; registered names tell nothing of anybody.
        if !REGISTERED_ALPN.contains(&tls.alpn.as_str()) {
            tls.alpn.clear();
        }
    }
    if let Some(ssh) = &mut app.ssh {
        ssh.client.clear();
        ssh.server.clear();
    }
    if let Some(irc) = &mut app.irc {
        irc.nick.clear();
        irc.channel.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::dns::Question;

    #[test]
    fn names_are_withheld_and_what_counts_stays() {
        let question = Question { name: b"\x04host\x07example\x03com".to_vec(), kind: 1 };
        let message = Message { is_response: false, opcode: 0, rcode: 0, answers: 0, question: Some(question) };
        let mut facts = Facts::default();
        facts.dns_message("dns", &message, 34);
        facts.http = Some(Box::new(Http {
            host: "a".into(),
            host_hash: 5,
            path_segment: "b".into(),
            user_agent: "curl/8".into(),
            agent_family: "curl".into(),
            ..Http::default()
        }));
        facts.tls = Some(Box::new(Tls { server_name: "c".into(), ja4: "t".into(), ..Tls::default() }));
        facts.ssh = Some(Box::new(Ssh {
            client: "SSH-2.0-a".into(),
            server: "SSH-2.0-b".into(),
            client_fingerprint: "f".into(),
        }));
        facts.irc = Some(Box::new(Irc { nick: "n".into(), channel: "#c".into(), commands: 2 }));

        let told = facts.clone().into_app(true);
        let hashes = told.dns.as_ref().map(|dns| (dns.query_hash, dns.domain_hash));
        assert_eq!(hashes, Some((hash(b"host.example.com"), hash(b"example.com"))));
        assert_eq!(told.dns.as_ref().map(|dns| dns.query.as_str()), Some("host.example.com"));
        let app = facts.into_app(false);
        let text = serde_json::to_string(&app).unwrap();
        assert!(!text.contains("example") && !text.contains("curl/8"), "{text}");
        assert_eq!(app.ssh, Some(Ssh { client_fingerprint: "f".into(), ..Ssh::default() }));
        let (dns, http, tls) = (app.dns.unwrap(), app.http.unwrap(), app.tls.unwrap());
        assert_eq!((dns.query_hash != 0, dns.longest_name, dns.names, dns.query_bytes), (true, 16, 1, 34));
        assert_eq!((http.host.as_str(), http.host_hash, &*http.agent_family), ("", 5, "curl"));
        assert_eq!((tls.server_name.as_str(), tls.ja4.as_str()), ("", "t"));
        assert_eq!(app.irc, Some(Irc { commands: 2, ..Irc::default() }));
    }

    #[test]
    fn what_is_told_apart_is_bounded() {
        let mut facts = Facts::default();
        for number in 0..1000_u16 {
            let name = [&[4_u8][..], format!("{number:04}").as_bytes()].concat();
            let question = Question { name, kind: number };
            let message = Message { is_response: false, opcode: 0, rcode: 0, answers: 0, question: Some(question) };
            facts.dns_message("dns", &message, 30);
        }
        let dns = facts.into_app(true).dns.unwrap();
        assert_eq!((dns.queries, dns.names, dns.types.len()), (1000, 64, MOST_TYPES));
    }
}
