//! What keeps a run from its end.

use std::path::Path;

use weir_tests::broker::BrokerError;

/// Errors of a run. What a run finds out about the services is no error: see `verdict`.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Environment: something does not run here, or not in time.
    #[error("{0}")]
    Environment(String),
    /// The broker, or the way to it.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl Failure {
    /// For `map_err` at an operation on `path`.
    pub fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |error| Self::Environment(format!("{path}: {error}"))
    }

    /// For `map_err` at a question to the broker.
    pub fn of(what: &str) -> impl Fn(String) -> Self + use<> {
        let what = what.to_owned();
        move |error| Self::Environment(format!("{what}: {error}"))
    }
}
