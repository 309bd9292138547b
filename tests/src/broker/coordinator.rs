//! Which node coordinates a group, or a transactional id: the one to kill in tests of what happens then.

use std::thread;
use std::time::{Duration, Instant};

use super::BrokerError;
use super::protocol::{Api, Request, ask};

/// What is coordinated: groups and transactional ids are, each kind by the leaders of a topic of Kafka's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinated {
    /// A consumer group (`__consumer_offsets`).
    Group,
    /// A transactional id (`__transaction_state`).
    TransactionalId,
}

const FIND_COORDINATOR: Api = Api { key: 10, version: 2 };

/// While Kafka's own topic is made, or its leader elected.
const COORDINATOR_NOT_AVAILABLE: i16 = 15;

/// An election takes a session (3 s) and a little more.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks the broker, until it knows.
pub(crate) fn find(bootstrap: &str, whose: Coordinated, name: &str) -> Result<u32, BrokerError> {
    let mut request = Request::default();
    request.string(name);
    request.i8(match whose {
        Coordinated::Group => 0,
        Coordinated::TransactionalId => 1,
    });
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut answer = ask(bootstrap, FIND_COORDINATOR, &request)?;
        let _throttle_ms = answer.i32()?;
        let code = answer.i16()?;
        let message = answer.string()?;
        if code == 0 {
            return Ok(answer.i32()?.cast_unsigned());
        }
        if code != COORDINATOR_NOT_AVAILABLE || Instant::now() > deadline {
            let what = format!("name the coordinator of {name}");
            return Err(BrokerError::Refused { what, reason: format!("{message} (error {code})") });
        }
        // Kafka tells nobody when it knows: it is asked again.
        thread::park_timeout(Duration::from_millis(50));
    }
}
