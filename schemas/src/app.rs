//! The application block of a flow record: what the payload said in the clear, one part per protocol.
//!
//! Texts are as on the wire, invalid UTF-8 replaced; the sensor bounds their length. A record holds what it saw, not
//! the flow so far. Hashes are FNV-1a of 64 bits; they let equal texts be recognised, and keep nothing secret.

use serde::Serialize;

use crate::host::Text;

/// What the payload told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct App {
    /// Application protocol: `dns`, `http`, `tls`, `quic`, `ssh`, `ftp`, `irc`, …
    pub name: Text,
    /// DNS messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// HTTP/1.x messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// A TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// An SSH handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Ssh>,
    /// Login attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// An IRC session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub irc: Option<Irc>,
}

/// DNS messages of one record (RFC 1035). Names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Dns {
    /// First question's name, without the trailing dot; empty where names are withheld.
    pub query: String,
    /// Hash of the first question's name, also where the name is withheld; 0 without a question.
    pub query_hash: u64,
    /// Hash of the last two labels of that name.
    pub domain_hash: u64,
    /// First question's type number.
    pub query_type: u16,
    /// RCODE of the first response; absent while unanswered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rcode: Option<u8>,
    /// Queries.
    pub queries: u32,
    /// Responses.
    pub responses: u32,
    /// Responses with RCODE 3 (NXDOMAIN).
    pub nxdomain: u32,
    /// Responses with an RCODE that is neither 0 nor 3.
    pub failures: u32,
    /// Answer records in all responses.
    pub answers: u32,
    /// Distinct names asked for, counted up to 64.
    pub names: u32,
    /// Longest name asked for, octets.
    pub longest_name: u16,
    /// Shannon entropy of the octets before the last two labels, summed over all queries, thousandths of a bit per octet.
    pub entropy_millibits: u64,
    /// Octets of all queries.
    pub query_bytes: u64,
    /// Octets of all responses.
    pub response_bytes: u64,
    /// The same by type; the first eight types of the record.
    pub types: Vec<DnsType>,
}

/// Messages about one type of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DnsType {
    /// Type number.
    pub query_type: u16,
    /// Queries.
    pub queries: u32,
    /// Octets of queries and responses.
    pub bytes: u64,
}

/// HTTP/1.x messages of one record (RFC 9112).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Http {
    /// First request's method.
    pub method: String,
    /// First request's Host field, or the authority of its target; empty where names are withheld.
    pub host: String,
    /// Hash of that host, also where it is withheld; 0 without one.
    pub host_hash: u64,
    /// First segment of the first request's path; empty for the root, and where names are withheld.
    pub path_segment: String,
    /// Hash of the first request's path without its query; 0 without one.
    pub path_hash: u64,
    /// First request's User-Agent field; empty where names are withheld.
    pub user_agent: String,
    /// Family of that agent, from a table of ours: `firefox`, `curl`, …; `other`; empty without one.
    pub agent_family: Text,
    /// First response's status code; absent while unanswered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Requests.
    pub requests: u32,
    /// Responses.
    pub responses: u32,
    /// Responses with a status of 400 or more.
    pub errors: u32,
    /// Responses with status 401, 403 or 407.
    pub denied: u32,
    /// Distinct paths requested, counted up to 64.
    pub paths: u32,
}

/// A TLS handshake (RFC 8446), over TCP or in QUIC.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tls {
    /// Negotiated version as on the wire (0x0304 is TLS 1.3); 0 while unknown.
    pub version: u16,
    /// Highest version that the client offers; 0 while unknown.
    pub offered_version: u16,
    /// Server name indication; empty where names are withheld.
    pub server_name: String,
    /// Hash of that name, also where it is withheld; 0 without one.
    pub server_name_hash: u64,
    /// First application protocol offered (ALPN).
    pub alpn: String,
    /// JA3 of the `ClientHello`: 32 hex digits; empty while unknown.
    pub ja3: String,
    /// JA4 of the `ClientHello`; empty while unknown.
    pub ja4: String,
    /// Cipher suite chosen; absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher: Option<u16>,
    /// Alert description that ended it; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<u8>,
}

/// An SSH handshake (RFC 4253).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ssh {
    /// Identification string of the client.
    pub client: String,
    /// Identification string of the server.
    pub server: String,
    /// HASSH of the client's key exchange offer: 32 hex digits; empty while unknown.
    pub client_fingerprint: String,
}

/// Login attempts of one record.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Login {
    /// Attempts.
    pub attempts: u32,
    /// Attempts refused.
    pub failures: u32,
    /// Protocol: `ssh`, `ftp`, `telnet`, …
    pub proto: Text,
    /// The protocol does not say it in the clear: told by the sizes of encrypted packets.
    pub estimated: bool,
}

/// An IRC session (RFC 2812).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Irc {
    /// Nickname; empty where names are withheld.
    pub nick: String,
    /// First channel joined; empty where names are withheld.
    pub channel: String,
    /// Commands sent by the client.
    pub commands: u32,
}
