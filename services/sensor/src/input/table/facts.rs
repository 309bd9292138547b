//! Application facts of a flow: those of its own row, and those of tables beside it, joined by its id.

use std::collections::HashMap;

use weir_schemas::app::{Dns, Http, Login, Ssh, Tls};
use weir_schemas::{App, Text};

use super::convert::short;
use super::mapping::Field;
use super::value;

/// Flows that facts are kept of at most.
const MOST_FLOWS: usize = 1_000_000;

/// What one row tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts(Option<Box<App>>);

/// Reads the facts of a row; `text` is the row's text of a field.
pub(super) fn facts_of(text: impl Fn(Field) -> Option<String>) -> Facts {
    let kept = |field| text(field).map(|text| short(&text).to_owned());
    let number = |field| text(field).and_then(|text| value::number(&text));
    let name = kept(Field::App);
    let dns = kept(Field::DnsQuery).map(|query| dns(&query, &text));
    let http = (kept(Field::HttpMethod), kept(Field::HttpHost), kept(Field::HttpTarget), number(Field::HttpStatus));
    let http = (http != (None, None, None, None)).then(|| {
        let (method, host, target, status) = http;
        let status = status.and_then(|status| u16::try_from(status).ok());
        Http {
            method: method.unwrap_or_default(),
            host: host.unwrap_or_default(),
            path_segment: target.as_deref().map_or_else(String::new, |target| first_segment(target).to_owned()),
            user_agent: kept(Field::HttpAgent).unwrap_or_default(),
            status,
            requests: 1,
            responses: u32::from(status.is_some()),
            errors: u32::from(status.is_some_and(|status| status >= 400)),
            denied: u32::from(matches!(status, Some(401 | 403 | 407))),
            paths: u32::from(target.is_some()),
            ..Http::default()
        }
    });
    let tls = (kept(Field::TlsVersion), kept(Field::TlsName), kept(Field::TlsFingerprint));
    let tls = (tls != (None, None, None)).then(|| {
        let (version, server_name, fingerprint) = tls;
        Tls {
            version: version.map_or(0, |version| tls_version(&version)),
            server_name: server_name.unwrap_or_default(),
            alpn: kept(Field::TlsAlpn).unwrap_or_default(),
            ja3: fingerprint.unwrap_or_default(),
            ..Tls::default()
        }
    });
    let ssh = (kept(Field::SshClient), kept(Field::SshServer));
    let ssh = (ssh != (None, None)).then(|| Ssh {
        client: ssh.0.unwrap_or_default(),
        server: ssh.1.unwrap_or_default(),
        client_fingerprint: kept(Field::SshFingerprint).unwrap_or_default(),
    });
    let login = number(Field::LoginAttempts).filter(|attempts| *attempts > 0).map(|attempts| {
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        let has_succeeded = text(Field::LoginSuccess).is_some_and(|text| matches!(text.as_str(), "T" | "true"));
        Login {
            attempts,
            failures: attempts - u32::from(has_succeeded),
            proto: name.as_deref().unwrap_or("").into(),
            estimated: true,
        }
    });
    let by_content = match (&dns, &http, &tls, &ssh) {
        (Some(_), ..) => "dns",
        (_, Some(_), ..) => "http",
        (_, _, Some(_), _) => "tls",
        (_, _, _, Some(_)) => "ssh",
        _ => "",
    };
    let name = match name.as_deref() {
        // Zeek's and Suricata's word for it.
        Some("ssl") => "tls",
        Some(name) => name,
        None => by_content,
    };
    if name.is_empty() {
        return Facts(None);
    }
    Facts(Some(Box::new(App { name: Text::from(name), dns, http, tls, ssh, login, irc: None })))
}

fn dns(query: &str, text: &impl Fn(Field) -> Option<String>) -> Dns {
    let rcode = text(Field::DnsRcode).and_then(|text| rcode(&text));
    // Zeek writes answers with commas between them, JSON tells their number.
    let answers = text(Field::DnsAnswers).map_or(0, |text| match value::number(&text) {
        Some(number) => u32::try_from(number).unwrap_or(u32::MAX),
        None => text.split(',').count() as u32,
    });
    Dns {
        query: query.trim_end_matches('.').to_owned(),
        query_type: text(Field::DnsType).and_then(|text| query_type(&text)).unwrap_or(0),
        rcode,
        queries: 1,
        responses: u32::from(rcode.is_some() || answers > 0),
        nxdomain: u32::from(rcode == Some(3)),
        answers,
        names: 1,
        longest_name: query.trim_end_matches('.').len().min(255) as u16,
        ..Dns::default()
    }
}

/// The first segment of the path of a target or a URL.
fn first_segment(target: &str) -> &str {
    let path = target.split_once("://").map_or(target, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    path.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or_default()
}

/// RFC 1035 §4.1.1, RFC 6895 §2.3.
fn rcode(text: &str) -> Option<u8> {
    const NAMES: [&str; 11] = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
        "NOTZONE",
    ];
    let by_name = NAMES.iter().position(|name| name.eq_ignore_ascii_case(text)).map(|code| code as u8);
    by_name.or_else(|| value::number(text).and_then(|code| u8::try_from(code).ok()))
}

/// IANA, "Resource Record (RR) TYPEs".
fn query_type(text: &str) -> Option<u16> {
    let number = match text.to_ascii_uppercase().as_str() {
        "A" => 1,
        "NS" => 2,
        "CNAME" => 5,
        "SOA" => 6,
        "NULL" => 10,
        "PTR" => 12,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "SRV" => 33,
        "NAPTR" => 35,
        "DS" => 43,
        "DNSKEY" => 48,
        "SVCB" => 64,
        "HTTPS" => 65,
        "ANY" | "*" => 255,
        _ => return value::number(text).and_then(|number| u16::try_from(number).ok()),
    };
    Some(number)
}

/// RFC 8446 §4.2.1 and its predecessors: Zeek writes `TLSv12`, Suricata `TLS 1.2`.
fn tls_version(text: &str) -> u16 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    match (digits.as_str(), text.contains("SSL")) {
        ("3" | "30", true) => 0x0300,
        ("1" | "10", false) => 0x0301,
        ("11", false) => 0x0302,
        ("12", false) => 0x0303,
        ("13", false) => 0x0304,
        _ => 0,
    }
}

impl Facts {
    pub(super) fn into_app(self) -> Option<Box<App>> {
        self.0
    }
}

/// Facts by the id of their flow.
#[derive(Debug, Default)]
pub(super) struct FactTable {
    facts: HashMap<String, Box<App>>,
    /// Facts of flows that came when the table was full.
    pub(super) refused: u64,
}

impl FactTable {
    pub(super) fn add(&mut self, id: String, facts: Facts) {
        let Some(app) = facts.into_app() else { return };
        if self.facts.len() >= MOST_FLOWS && !self.facts.contains_key(&id) {
            self.refused += 1;
            return;
        }
        match self.facts.entry(id) {
            std::collections::hash_map::Entry::Occupied(mut known) => merge(known.get_mut(), *app),
            std::collections::hash_map::Entry::Vacant(place) => _ = place.insert(app),
        }
    }

    /// What is known of a flow beside its own row.
    pub(super) fn complete(&self, id: &str, app: &mut Option<Box<App>>) {
        let Some(known) = self.facts.get(id) else { return };
        let own = app.take();
        let mut known = known.clone();
        if let Some(own) = own {
            known.name = own.name.clone();
            merge(&mut known, *own);
        }
        *app = Some(known);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }
}

/// Adds what another row tells of the same flow; the first row's texts stay.
fn merge(known: &mut App, more: App) {
    match (&mut known.dns, more.dns) {
        (Some(known), Some(more)) => {
            known.queries += more.queries;
            known.responses += more.responses;
            known.nxdomain += more.nxdomain;
            known.answers = known.answers.saturating_add(more.answers);
            known.rcode = known.rcode.or(more.rcode);
        }
        (known, more) => *known = known.take().or(more),
    }
    match (&mut known.http, more.http) {
        (Some(known), Some(more)) => {
            known.requests += more.requests;
            known.errors += more.errors;
        }
        (known, more) => *known = known.take().or(more),
    }
    known.tls = known.tls.take().or(more.tls);
    known.ssh = known.ssh.take().or(more.ssh);
    known.login = known.login.take().or(more.login);
}
