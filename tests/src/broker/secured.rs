//! A node that asks its clients for TLS and a password (SCRAM-SHA-512), and is strict about who may do what.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cluster::{Cluster, SecuredListener};
use super::jars::scripts;
use super::ports::Port;
use super::run_directory::RunDirectory;
use super::{Broker, BrokerError, Nodes, Origin};

/// May do everything, by password too.
pub const ADMINISTRATOR: &str = "admin";

/// The password of a user of a secured broker.
pub fn password_of(user: &str) -> String {
    format!("{user}-secret")
}

/// A secured broker. Users come in at [`Secured::bootstrap`]; the harness itself at [`Secured::broker`], unasked.
#[derive(Debug)]
pub struct Secured {
    broker: Broker,
    port: Port,
    certificates: PathBuf,
}

impl Secured {
    /// Makes certificates, and starts a node that knows `users` and the administrator.
    pub(crate) fn start(users: &[&str]) -> Result<Self, BrokerError> {
        let directory = RunDirectory::create()?;
        let certificates = directory.path().join("certificates");
        make_certificates(&certificates)?;

        let port = Port::reserve()?;
        let mut format_arguments = Vec::new();
        for user in users.iter().chain(&[ADMINISTRATOR]) {
            let password = password_of(user);
            format_arguments.push("--add-scram".to_owned());
            format_arguments.push(format!("SCRAM-SHA-512=[name={user},password={password}]"));
        }
        let keys = certificates.join("server.pem");
        let keys = keys.display().to_string();
        let settings = [
            ("listener.name.sasl_ssl.ssl.keystore.type", "PEM"),
            ("listener.name.sasl_ssl.ssl.keystore.location", keys.as_str()),
            ("listener.name.sasl_ssl.sasl.enabled.mechanisms", "SCRAM-SHA-512"),
            (
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            ),
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
            // Who comes in by the harness's listener has no name.
            ("super.users", "User:ANONYMOUS;User:admin"),
        ];
        let listener = SecuredListener { port: port.number(), format_arguments };
        let cluster = Cluster::start_in(directory, Nodes::One, &settings, Some(&listener))?;
        Ok(Self { broker: Broker { origin: Origin::Cluster(cluster) }, port, certificates })
    }

    /// Where users come in, with TLS and a password. The certificate is for `127.0.0.1` and `localhost`.
    pub fn bootstrap(&self) -> String {
        self.port.address()
    }

    /// The same broker by its other listener, where the harness may do everything without being asked.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// PEM file of the authority that signed the broker's certificate.
    pub fn authority(&self) -> PathBuf {
        self.certificates.join("authority.pem")
    }

    /// PEM file of an authority that has nothing to do with it: who trusts this one alone must not connect.
    pub fn stranger(&self) -> PathBuf {
        self.certificates.join("stranger.pem")
    }
}

fn make_certificates(folder: &Path) -> Result<(), BrokerError> {
    let output = Command::new(scripts().join("make-certificates"))
        .arg(folder)
        .output()
        .map_err(|error| BrokerError::Environment(format!("tests/kafka/make-certificates does not run: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(BrokerError::Environment(format!("certificates could not be made ({}):\n{}", output.status, words.trim_end())))
}
