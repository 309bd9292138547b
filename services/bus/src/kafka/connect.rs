//! The first contact with the brokers: whose fault it is when there is none, in one line.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::member;
use super::notices::{Incident, Notices};
use super::settings::{Settings, SettingsError};

/// One attempt; errors of connections are looked at after each.
const ATTEMPT: Duration = Duration::from_millis(500);

/// An error of the first broker asked is believed after this: another one may be in better order.
const OTHERS: Duration = Duration::from_secs(2);

/// A poll that does not wait at all ends at the first line of the client's log.
pub(super) const SERVE: Duration = Duration::from_millis(1);

/// Why there is no connection, as far as the client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFault {
    /// Input: the settings cannot be used.
    Settings,
    /// Environment: no broker answers. Trying again may help.
    Unreachable,
    /// Environment: brokers answer, and whoever of them would be asked is still starting. Trying again helps.
    Starting,
    /// Environment or input: a broker answers, and does not accept user or password.
    Authentication,
    /// Environment or input: the broker's certificate, or ours, is not accepted.
    Certificate,
    /// Environment: the user may not do what the service must.
    Authorization,
    /// Environment: the topic does not exist.
    Topic,
}

/// There is no connection that could be worked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ConnectError {
    /// Whose fault it is.
    pub fault: ConnectFault,
    /// One line: brokers, mechanism, cause, what to do.
    pub detail: String,
}

impl ConnectError {
    /// Whether the same again, later, may succeed without anybody changing anything.
    #[must_use]
    pub fn retry_helps(&self) -> bool {
        matches!(self.fault, ConnectFault::Unreachable | ConnectFault::Starting)
    }

    pub(super) fn new(fault: ConnectFault, settings: &Settings, cause: &str) -> Self {
        let brokers = format!("kafka at {} ({})", settings.bootstrap, settings.mechanism());
        let advice = match fault {
            ConnectFault::Settings => "mend [kafka] in the configuration",
            ConnectFault::Unreachable => "no broker answers; check kafka.bootstrap and the network, or try again later",
            ConnectFault::Starting => "the brokers are starting, or agree on who does what; try again later",
            ConnectFault::Authentication => "check user name and password; trying again does not help",
            ConnectFault::Certificate => "check ssl.ca.location and the certificates; trying again does not help",
            ConnectFault::Authorization => "grant what the service needs; trying again does not help",
            ConnectFault::Topic => "create it with `weir topics create`",
        };
        Self { fault, detail: format!("{brokers}: {cause}; {advice}") }
    }

    /// The client could not even be made.
    pub(super) fn creation(settings: &Settings, error: &KafkaError) -> Self {
        let text = error.to_string();
        let fault = if text.contains("ssl.") { ConnectFault::Certificate } else { ConnectFault::Settings };
        Self::new(fault, settings, &text)
    }
}

impl From<SettingsError> for ConnectError {
    fn from(error: SettingsError) -> Self {
        Self { fault: ConnectFault::Settings, detail: error.to_string() }
    }
}

/// What an error that a client met tells about the connection.
pub(super) fn fault_of(incident: &Incident) -> ConnectFault {
    match incident.code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => ConnectFault::Authentication,
        RDKafkaErrorCode::SSL => ConnectFault::Certificate,
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::GroupAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed
        | RDKafkaErrorCode::TransactionalIdAuthorizationFailed => ConnectFault::Authorization,
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => ConnectFault::Topic,
        code if is_starting(code) => ConnectFault::Starting,
        _ => ConnectFault::Unreachable,
    }
}

/// Groups and transactions have a coordinator among the brokers, which changes with them, and reads its log before it answers.
pub(super) fn is_starting(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::CoordinatorLoadInProgress
            | RDKafkaErrorCode::WaitingForCoordinator
    )
}

/// The error for a call that did not get through: what the clients met meanwhile says more than that time ran out.
pub(super) fn error_of(settings: &Settings, notices: &Notices, otherwise: &str) -> ConnectError {
    match notices.cause() {
        Some(incident) => ConnectError::new(fault_of(&incident), settings, &incident.text),
        None => ConnectError::new(ConnectFault::Unreachable, settings, otherwise),
    }
}

/// A client that is connected: it answers questions about topics, and sees the true ends of logs.
pub(super) fn watcher(
    settings: &Settings,
    notices: &Notices,
    patience: Duration,
) -> Result<BaseConsumer<Notices>, ConnectError> {
    settings.check()?;
    let watcher: BaseConsumer<Notices> = settings
        .watcher()
        .create_with_context(notices.clone())
        .map_err(|error| ConnectError::creation(settings, &error))?;
    let began = Instant::now();
    loop {
        // The cluster's id needs a connection that is through with TLS and SASL, and no permission on any topic.
        if watcher.client().fetch_cluster_id(ATTEMPT).is_some() {
            notices.recovered();
            return Ok(watcher);
        }
        serve(&watcher);
        let fault = notices.cause().map(|incident| fault_of(&incident));
        let hopeless = fault.is_some_and(|fault| !matches!(fault, ConnectFault::Unreachable | ConnectFault::Starting));
        if began.elapsed() >= patience || (hopeless && began.elapsed() >= OTHERS) {
            return Err(error_of(settings, notices, "no answer"));
        }
    }
}

/// How many partitions a topic has: brokers that are slow to answer are asked again until `patience` ends.
pub(super) fn partition_count(
    watcher: &BaseConsumer<Notices>,
    topic: &str,
    patience: Duration,
) -> Result<u32, KafkaError> {
    let deadline = Instant::now() + patience;
    loop {
        serve(watcher);
        match member::partition_count(watcher, topic) {
            Err(error) if is_unanswered(&error) && Instant::now() < deadline => {}
            found => return found,
        }
    }
}

/// Nobody answered in time; whoever does may say something else.
fn is_unanswered(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
        )
    )
}

/// Hands what an idle client has to say to its notices.
pub(super) fn serve(client: &BaseConsumer<Notices>) {
    while let Some(result) = client.poll(SERVE) {
        // An error went to the notices before it came here; there are no messages.
        drop(result);
    }
}
