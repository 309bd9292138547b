//! The application block of a flow record: what the payload said in the clear, one part per protocol.
//!
//! Texts are as on the wire, invalid UTF-8 replaced; the sensor bounds their length. A record holds what it saw, not
//! the flow so far.

use serde::Serialize;

use crate::host::Text;

/// What the payload told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct App {
    /// Application protocol: `dns`, `http`, `tls`, `ssh`, `ftp`, `irc`, …
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

/// DNS messages of one record (RFC 1035).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Dns {
    /// First question's name, without the trailing dot.
    pub query: String,
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
    /// Answer records in all responses.
    pub answers: u32,
    /// Octets of all responses.
    pub response_bytes: u64,
}

/// HTTP/1.x messages of one record (RFC 9112).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Http {
    /// First request's method.
    pub method: String,
    /// First request's Host field.
    pub host: String,
    /// First request's target.
    pub target: String,
    /// First request's User-Agent field.
    pub user_agent: String,
    /// First response's status code; absent while unanswered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Requests.
    pub requests: u32,
    /// Responses with a status of 400 or more.
    pub errors: u32,
}

/// A TLS handshake (RFC 8446).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tls {
    /// Negotiated version as on the wire (0x0304 is TLS 1.3); 0 while unknown.
    pub version: u16,
    /// Server name indication.
    pub server_name: String,
    /// First application protocol offered (ALPN).
    pub alpn: String,
    /// Fingerprint of the `ClientHello`.
    pub client_fingerprint: String,
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
    /// Identification string of the source.
    pub client: String,
    /// Identification string of the responder.
    pub server: String,
    /// Fingerprint of the source's key exchange offer.
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
}

/// An IRC session (RFC 2812).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Irc {
    /// Nickname.
    pub nick: String,
    /// First channel joined.
    pub channel: String,
    /// Commands sent by the source.
    pub commands: u32,
}
