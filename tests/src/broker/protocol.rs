//! As much of Kafka's protocol as the harness asks for itself: a request, its answer, and the old encoding that both ends
//! still speak (<https://kafka.apache.org/protocol>). Java's tools can do the same, for two seconds a question.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::BrokerError;

/// A paused node accepts connections and says nothing: the next one is asked then.
const PATIENCE: Duration = Duration::from_secs(10);

/// No answer to the harness's questions comes near this.
const LONGEST_ANSWER: usize = 1 << 20;

/// The number and version that a request is sent with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api {
    /// Which request.
    pub key: i16,
    /// Version: one before the compact encodings of KIP-482.
    pub version: i16,
}

const METADATA: Api = Api { key: 3, version: 1 };
const API_VERSIONS: Api = Api { key: 18, version: 0 };

/// Fails unless a broker answers at one of the addresses.
pub(crate) fn require_answer(bootstrap: &str) -> Result<(), BrokerError> {
    ask(bootstrap, API_VERSIONS, &Request::default()).map(drop)
}

/// The numbers of the nodes that are up.
pub(crate) fn nodes(bootstrap: &str) -> Result<Vec<i32>, BrokerError> {
    let mut request = Request::default();
    // No topics: the answer names the nodes all the same.
    request.array(0);
    let mut answer = ask(bootstrap, METADATA, &request)?;
    let mut nodes = Vec::new();
    for _ in 0..answer.i32()? {
        nodes.push(answer.i32()?);
        let (_host, _port, _rack) = (answer.string()?, answer.i32()?, answer.string()?);
    }
    Ok(nodes)
}

/// The answer of the first of the addresses that gives one.
pub(crate) fn ask(bootstrap: &str, api: Api, request: &Request) -> Result<Answer, BrokerError> {
    let mut cause = "no address given".to_owned();
    for address in bootstrap.split(',') {
        match exchange(address.trim(), api, request) {
            Ok(answer) => return Ok(answer),
            Err(error) => cause = format!("{address}: {error}"),
        }
    }
    Err(BrokerError::Unreachable { bootstrap: bootstrap.to_owned(), cause })
}

fn exchange(address: &str, api: Api, request: &Request) -> std::io::Result<Answer> {
    let resolved = address.to_socket_addrs()?.next().ok_or_else(|| std::io::Error::other("resolves to nothing"))?;
    let mut stream = TcpStream::connect_timeout(&resolved, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;

    let mut message = Request::default();
    message.i16(api.key);
    message.i16(api.version);
    message.i32(0); // The correlation id: one question a connection.
    message.string("weir-tests");
    message.bytes.extend_from_slice(&request.bytes);
    let length = message.bytes.len() as i32;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&message.bytes)?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if !(4..=LONGEST_ANSWER).contains(&length) {
        return Err(std::io::Error::other("answers in another protocol than Kafka's"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(Answer { bytes, position: 4 })
}

/// A request's body, as it is written.
#[derive(Debug, Default)]
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Appends a byte.
    pub(crate) fn i8(&mut self, value: i8) {
        self.bytes.extend(value.to_be_bytes());
    }

    /// Appends two bytes.
    pub(crate) fn i16(&mut self, value: i16) {
        self.bytes.extend(value.to_be_bytes());
    }

    /// Appends four bytes.
    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.extend(value.to_be_bytes());
    }

    /// Appends an array's length; its elements follow.
    pub(crate) fn array(&mut self, length: usize) {
        self.i32(length as i32);
    }

    /// Appends a string.
    pub(crate) fn string(&mut self, value: &str) {
        self.i16(value.len() as i16);
        self.bytes.extend_from_slice(value.as_bytes());
    }
}

/// An answer's body, as it is read.
#[derive(Debug)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    position: usize,
}

impl Answer {
    /// The next two bytes.
    pub(crate) fn i16(&mut self) -> Result<i16, BrokerError> {
        self.take().map(i16::from_be_bytes)
    }

    /// The next four bytes.
    pub(crate) fn i32(&mut self) -> Result<i32, BrokerError> {
        self.take().map(i32::from_be_bytes)
    }

    /// The next string; empty where it is null.
    pub(crate) fn string(&mut self) -> Result<String, BrokerError> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        let Some(bytes) = self.bytes.get(self.position..self.position + length) else { return Err(cut_short()) };
        self.position += length;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], BrokerError> {
        let Some(bytes) = self.bytes[self.position..].first_chunk() else { return Err(cut_short()) };
        self.position += LENGTH;
        Ok(*bytes)
    }
}

fn cut_short() -> BrokerError {
    BrokerError::Bug("a broker's answer is shorter than its version says".to_owned())
}
