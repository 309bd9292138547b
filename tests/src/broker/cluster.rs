//! One node, or three that replicate each other.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::node::{Launch, Node};
use super::ports::Port;
use super::run_directory::RunDirectory;
use super::{BrokerError, Nodes};

/// Nodes, and the folder with their data and logs. They end before the folder is anybody's to remove.
#[derive(Debug)]
pub(crate) struct Cluster {
    bootstrap: String,
    nodes: Vec<Mutex<Node>>,
    _directory: RunDirectory,
}

/// What a listener for clients with TLS and a password adds to a node.
#[derive(Debug)]
pub(crate) struct SecuredListener {
    /// Its port.
    pub port: u16,
    /// For Kafka's storage tool: the users.
    pub format_arguments: Vec<String>,
}

impl Cluster {
    /// Starts the nodes and waits until all are ready.
    pub(crate) fn start(nodes: Nodes, settings: &[(&str, &str)]) -> Result<Self, BrokerError> {
        Self::start_in(RunDirectory::create()?, nodes, settings, None)
    }

    /// The same in a folder that is there, with a listener for passwords on each node.
    pub(crate) fn start_in(
        directory: RunDirectory,
        nodes: Nodes,
        settings: &[(&str, &str)],
        secured: Option<&SecuredListener>,
    ) -> Result<Self, BrokerError> {
        let count = match nodes {
            Nodes::One => 1,
            Nodes::Three => 3,
        };
        let properties = write_settings(&directory, settings)?;
        let mut ports = Vec::new();
        for _ in 0..count {
            ports.push((Port::reserve()?, Port::reserve()?));
        }
        let voters = voters_of(&ports);
        let addresses: Vec<String> = ports.iter().map(|(port, _)| port.address()).collect();

        let mut launched = Vec::new();
        for (id, (port, controller_port)) in (1..).zip(ports) {
            let mut node = Node::new(Launch {
                id,
                port,
                controller_port,
                secured_port: secured.map(|listener| listener.port),
                voters: voters.clone(),
                data: directory.path().join(format!("node-{id}")),
                properties: properties.clone(),
                format_arguments: secured.map(|listener| listener.format_arguments.clone()).unwrap_or_default(),
            });
            node.launch()?;
            launched.push(node);
        }
        // All must run before one gets ready: they elect a leader among them.
        for node in &mut launched {
            node.await_readiness()?;
        }
        let nodes = launched.into_iter().map(Mutex::new).collect();
        Ok(Self { bootstrap: addresses.join(","), nodes, _directory: directory })
    }

    /// Addresses of all nodes, up or down.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// See [`super::Broker::kill_node`].
    pub(crate) fn kill(&self, node: u32) -> Result<(), BrokerError> {
        self.node(node)?.kill()
    }

    /// See [`super::Broker::restart_node`].
    pub(crate) fn restart(&self, node: u32) -> Result<(), BrokerError> {
        let mut node = self.node(node)?;
        node.launch()?;
        node.await_readiness()
    }

    /// See [`super::Broker::pause_node`].
    pub(crate) fn pause(&self, node: u32) -> Result<(), BrokerError> {
        self.node(node)?.pause()
    }

    /// See [`super::Broker::continue_node`].
    pub(crate) fn resume(&self, node: u32) -> Result<(), BrokerError> {
        self.node(node)?.resume()
    }

    fn node(&self, number: u32) -> Result<MutexGuard<'_, Node>, BrokerError> {
        let found = (number as usize).checked_sub(1).and_then(|index| self.nodes.get(index));
        let Some(node) = found else {
            return Err(BrokerError::Bug(format!("there is no node {number} among {}", self.nodes.len())));
        };
        // A panic of another test leaves a node as whole as it was.
        Ok(node.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn write_settings(directory: &RunDirectory, settings: &[(&str, &str)]) -> Result<PathBuf, BrokerError> {
    let path = directory.path().join("settings.properties");
    let lines: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    std::fs::write(&path, lines.concat()).map_err(BrokerError::file("write", &path))?;
    Ok(path)
}

/// None for a node alone.
fn voters_of(ports: &[(Port, Port)]) -> Option<String> {
    if ports.len() == 1 {
        return None;
    }
    let voters: Vec<String> =
        (1..).zip(ports).map(|(id, (_, controller)): (u32, _)| format!("{id}@{}", controller.address())).collect();
    Some(voters.join(","))
}
