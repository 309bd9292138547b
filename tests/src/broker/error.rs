//! What can go wrong with a broker, whose fault it is, and what to do.

use std::path::Path;

/// Errors of the harness. None is worth a retry except where it says so.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Environment: something is missing, or does not run here; says what to do.
    #[error("{0}")]
    Environment(String),
    /// Environment: a file of the run could not be written or read.
    #[error("{what}: {cause}; see that the build's target folder is writable and not full")]
    File {
        /// What was being done.
        what: String,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// Environment: a node did not get ready in time, or ended.
    #[error("node {node} {what}; its log {log} ends with\n{tail}")]
    NotReady {
        /// Which node.
        node: u32,
        /// How it failed.
        what: String,
        /// Its log file.
        log: String,
        /// The last lines of it.
        tail: String,
    },
    /// Environment: no broker answers there.
    #[error("no Kafka broker answers at {bootstrap} ({cause}); start it, or unset KAFKA_BOOTSTRAP")]
    Unreachable {
        /// The addresses tried.
        bootstrap: String,
        /// What the last of them said.
        cause: String,
    },
    /// Environment: the broker answered with an error. A retry may help while nodes come and go.
    #[error("the broker refused to {what}: {reason}")]
    Refused {
        /// What was asked.
        what: String,
        /// Its error.
        reason: String,
    },
    /// Bug: the harness was used for what it cannot do, or met what it does not understand.
    #[error("{0}; a bug in the test or its harness")]
    Bug(String),
}

impl BrokerError {
    /// For `map_err` at a file operation on `path`.
    pub(crate) fn file(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let what = format!("cannot {what} {}", path.display());
        move |cause| Self::File { what, cause }
    }
}
