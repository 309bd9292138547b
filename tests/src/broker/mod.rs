//! A real Kafka broker for tests: `KAFKA_BOOTSTRAP` names one that runs already, `WEIR_TEST_BROKER=docker` asks for a
//! container, and otherwise Apache Kafka's jars are fetched once and run with Java.
//!
//! Most tests use [`shared`] and [`topics`]. Those that kill, pause or secure a broker start [one of their own](Broker::start).
//! Whatever was started dies with the test process, however that one ends.

mod access;
mod cluster;
mod container;
mod coordinator;
mod error;
mod jars;
mod node;
mod ports;
mod protocol;
mod run_directory;
mod secured;
mod transactions;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub use access::{AccessRule, Operation, Pattern, Resource};
pub use coordinator::Coordinated;
pub use error::BrokerError;
pub use secured::{ADMINISTRATOR, Secured, password_of};
pub use transactions::ListedTransaction;
use weir_bus::Topics;

use cluster::Cluster;
use container::Container;

/// How many nodes a cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// One: every topic has one replica.
    One,
    /// Three: every topic has three replicas, two of which must be in sync.
    Three,
}

/// A broker, or a cluster of them. Ends when dropped, where it was started here.
#[derive(Debug)]
pub struct Broker {
    origin: Origin,
}

/// Where a broker comes from.
#[derive(Debug)]
enum Origin {
    /// Runs already; not ours to end.
    External(String),
    /// A container, held by a helper process.
    Container(Container),
    /// Processes of ours.
    Cluster(Cluster),
}

/// The broker that all tests of this process share: one node, started by the first who asks.
///
/// # Panics
/// When there is no broker to be had: every test that needs one fails, with what to do about it.
pub fn shared() -> &'static Broker {
    static SHARED: OnceLock<Result<Broker, BrokerError>> = OnceLock::new();
    match SHARED.get_or_init(Broker::from_environment) {
        Ok(broker) => broker,
        Err(error) => panic!("no broker for the tests: {error}"),
    }
}

/// Topic names that no other test has used, of this run or an earlier one. The prefix serves for groups and transactional
/// ids as well; `test` makes it readable.
pub fn topics(test: &str) -> Topics {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = TAKEN.fetch_add(1, Ordering::Relaxed);
    Topics::new(&format!("{test}-{:x}-{:x}-{number}.", std::process::id(), since_1970.as_micros()))
}

impl Broker {
    /// The broker that the environment asks for, of one node where one is started.
    fn from_environment() -> Result<Self, BrokerError> {
        if let Ok(bootstrap) = std::env::var("KAFKA_BOOTSTRAP") {
            protocol::require_answer(&bootstrap)?;
            return Ok(Self { origin: Origin::External(bootstrap) });
        }
        match std::env::var("WEIR_TEST_BROKER").as_deref() {
            Err(_) | Ok("jars") => Self::start(Nodes::One),
            Ok("docker") => Ok(Self { origin: Origin::Container(Container::start()?) }),
            Ok(other) => Err(BrokerError::Environment(format!(
                "WEIR_TEST_BROKER is {other:?}; it may be `jars` (the default) or `docker`"
            ))),
        }
    }

    /// A cluster of its own, from the jars: the one kind whose nodes can be killed.
    pub fn start(nodes: Nodes) -> Result<Self, BrokerError> {
        Self::start_with(nodes, &[])
    }

    /// The same with broker settings, in Kafka's words, that win over the harness's own.
    pub fn start_with(nodes: Nodes, settings: &[(&str, &str)]) -> Result<Self, BrokerError> {
        Ok(Self { origin: Origin::Cluster(Cluster::start(nodes, settings)?) })
    }

    /// One node that asks its clients for TLS and a password, and is strict about who may do what.
    /// `users` are known to it, each with [`password_of`] it, and may do nothing yet.
    pub fn secured(users: &[&str]) -> Result<Secured, BrokerError> {
        Secured::start(users)
    }

    /// Addresses for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        match &self.origin {
            Origin::External(bootstrap) => bootstrap,
            Origin::Container(container) => container.bootstrap(),
            Origin::Cluster(cluster) => cluster.bootstrap(),
        }
    }

    /// Kills a node (1 is the first) with SIGKILL. Returns when it is gone.
    pub fn kill_node(&self, node: u32) -> Result<(), BrokerError> {
        self.cluster()?.kill(node)
    }

    /// Starts a killed node again, at its old address and with its data. Returns when it is ready.
    pub fn restart_node(&self, node: u32) -> Result<(), BrokerError> {
        self.cluster()?.restart(node)
    }

    /// Stops a node's process where it stands (SIGSTOP): it holds its connections and answers nothing.
    pub fn pause_node(&self, node: u32) -> Result<(), BrokerError> {
        self.cluster()?.pause(node)
    }

    /// Lets a paused node go on (SIGCONT).
    pub fn continue_node(&self, node: u32) -> Result<(), BrokerError> {
        self.cluster()?.resume(node)
    }

    /// The node (1 is the first) that coordinates a group, or a transactional id. Kafka's own topic for that is made at the
    /// first question.
    pub fn coordinator_of(&self, whose: Coordinated, name: &str) -> Result<u32, BrokerError> {
        coordinator::find(self.bootstrap(), whose, name)
    }

    /// Transactions that stand open in some partition while no coordinator knows of them, as Kafka's own tool reports them: a
    /// line each. Readers of committed records never get past one.
    pub fn find_hanging_transactions(&self) -> Result<Vec<String>, BrokerError> {
        transactions::find_hanging(self.bootstrap())
    }

    /// Every transactional id that the coordinators know, as Kafka's own tool lists them.
    pub fn transactions(&self) -> Result<Vec<ListedTransaction>, BrokerError> {
        transactions::list(self.bootstrap())
    }

    /// Allows what `rules` say, all at once. Needs a broker that asks: [`Broker::secured`].
    pub fn allow(&self, rules: &[AccessRule]) -> Result<(), BrokerError> {
        access::allow(self.bootstrap(), rules)
    }

    fn cluster(&self) -> Result<&Cluster, BrokerError> {
        match &self.origin {
            Origin::Cluster(cluster) => Ok(cluster),
            Origin::External(_) | Origin::Container(_) => Err(BrokerError::Bug(
                "only nodes that were started from the jars can be killed or paused; use Broker::start".to_owned(),
            )),
        }
    }
}
