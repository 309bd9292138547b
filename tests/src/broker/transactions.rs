//! What Kafka's own tool, `kafka-transactions`, says of transactions.

use super::BrokerError;
use super::jars::run_tool;
use super::protocol::nodes;

const TOOL: &str = "org.apache.kafka.tools.TransactionsCommand";

/// A transactional id as its coordinator knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTransaction {
    /// Transactional id.
    pub id: String,
    /// Node that coordinates it.
    pub coordinator: u32,
    /// Producer id.
    pub producer: i64,
    /// State, in Kafka's words: `Empty`, `Ongoing`, `PrepareCommit`, `CompleteCommit`, …
    pub state: String,
}

impl ListedTransaction {
    /// Whether it is begun, and neither committed nor aborted to the end.
    pub fn is_open(&self) -> bool {
        self.state == "Ongoing" || self.state.starts_with("Prepare")
    }
}

/// See [`super::Broker::transactions`].
pub(crate) fn list(bootstrap: &str) -> Result<Vec<ListedTransaction>, BrokerError> {
    let said = run_tool(TOOL, &["--bootstrap-server", bootstrap, "list"])?;
    let mut lines = said.lines();
    match lines.next() {
        Some(header) if header.starts_with("TransactionalId") => lines.map(parse_listed).collect(),
        _ => Err(BrokerError::Bug(format!("kafka-transactions list said {said:?}"))),
    }
}

/// `TransactionalId  Coordinator  ProducerId  TransactionState`
fn parse_listed(line: &str) -> Result<ListedTransaction, BrokerError> {
    let unknown = || BrokerError::Bug(format!("kafka-transactions list has the line {line:?}"));
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [id, coordinator, producer, state] = fields[..] else { return Err(unknown()) };
    Ok(ListedTransaction {
        id: id.to_owned(),
        coordinator: coordinator.parse().map_err(|_| unknown())?,
        producer: producer.parse().map_err(|_| unknown())?,
        state: state.to_owned(),
    })
}

/// See [`super::Broker::find_hanging_transactions`].
pub(crate) fn find_hanging(bootstrap: &str) -> Result<Vec<String>, BrokerError> {
    let mut hanging = Vec::new();
    for node in nodes(bootstrap)? {
        let node = node.to_string();
        // Zero minutes: however short a transaction has been open, it is looked into.
        let options = ["--broker-id", &node, "--max-transaction-timeout", "0"];
        let arguments = [&["--bootstrap-server", bootstrap, "find-hanging"], &options[..]].concat();
        let said = run_tool(TOOL, &arguments)?;
        let mut lines = said.lines();
        match lines.next() {
            Some(header) if header.starts_with("Topic") => hanging.extend(lines.map(str::to_owned)),
            _ => return Err(BrokerError::Bug(format!("kafka-transactions find-hanging said {said:?}"))),
        }
    }
    Ok(hanging)
}
