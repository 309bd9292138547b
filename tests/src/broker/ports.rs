//! Ports that are free, and stay so while a node is down.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

use super::BrokerError;

/// Below the ports that Linux gives to outgoing connections (32768 and up), or a client's connection could take the port of
/// a killed node before it is started again.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that is ours while this lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Locked: other test processes look for another one.
    _lock: File,
}

impl Port {
    /// A port that nobody listens on and no other test process holds.
    pub(crate) fn reserve() -> Result<Self, BrokerError> {
        let folder = std::env::temp_dir().join("weir-test-ports");
        std::fs::create_dir_all(&folder).map_err(BrokerError::file("create", &folder))?;
        // Processes begin at different places, so that they seldom meet.
        let begin = (std::process::id() % u32::from(COUNT)) as u16;
        for step in 0..COUNT {
            let number = FIRST + (begin + step) % COUNT;
            let path = folder.join(number.to_string());
            let lock = File::create(&path).map_err(BrokerError::file("create", &path))?;
            let is_free = lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
            if is_free {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(BrokerError::Environment(format!("no port from {FIRST} on is free; end what listens there")))
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Its address, as Kafka writes it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}
