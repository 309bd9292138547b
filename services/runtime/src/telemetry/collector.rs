//! The HTTP client that exporters send with: blocking, bounded, from the exporters' own threads.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

use crate::repeated::Repeated;

/// Time for one export, connection and answer included: the default of OTLP's exporters.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Between two lines about failures.
const QUIET: Duration = Duration::from_mins(1);

/// An answer is an empty message, or says what was rejected.
const MOST_ANSWER_BYTES: u64 = 64 << 10;

/// Sends to a collector and tells, at most once a minute, when that fails.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    agent: ureq::Agent,
    failures: Repeated,
}

impl Default for Collector {
    fn default() -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false);
        Self { agent: config.max_redirects(0).build().into(), failures: Repeated::every(QUIET) }
    }
}

impl Collector {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let (head, mut body) = self.agent.run(Request::from_parts(head, body.to_vec()))?.into_parts();
        let body = body.with_config().limit(MOST_ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(head, Bytes::from(body)))
    }

    fn tell(&self, endpoint: &str, error: &str) {
        if let Some(left_out) = self.failures.admit() {
            tracing::warn!(endpoint, error, left_out, "the collector does not take telemetry; the service goes on");
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let endpoint = request.uri().to_string();
        let result = self.send(request);
        match &result {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => self.tell(&endpoint, response.status().as_str()),
            Err(error) => self.tell(&endpoint, &error.to_string()),
        }
        result
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::Log;
    use crate::logging;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log lines of sending these requests.
    pub(in crate::telemetry) fn lines_of<const N: usize>(
        collector: &Collector,
        requests: [Request<Bytes>; N],
    ) -> Vec<String> {
        let memory = Memory::default();
        let writer = memory.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tracing::subscriber::with_default(logging::subscriber(&Log::default(), move || writer.clone()), || {
            for request in requests {
                let sent = runtime.block_on(collector.send_bytes(request));
                assert!(sent.is_err() || !sent.unwrap().status().is_success());
            }
        });
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}
