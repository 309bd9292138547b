//! Sink `stdout`: one line per revision on standard output.

use std::io::Write;

use weir_schemas::Anomaly;

use super::options::Format;
use super::{DeliveryError, Sink};

/// Writes lines to where it is told.
pub(super) struct StdoutSink<W> {
    format: Format,
    out: W,
}

impl<W: Write> StdoutSink<W> {
    pub(super) fn new(format: Format, out: W) -> Self {
        Self { format, out }
    }
}

/// Writes text to standard output, or says what to look at.
pub(super) fn write_out(out: &mut impl Write, text: &str) -> Result<(), DeliveryError> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| DeliveryError(format!("cannot write to standard output: {error}; see who reads it")))
}

impl<W: Write + Send> Sink for StdoutSink<W> {
    fn deliver(&mut self, anomalies: &[&Anomaly]) -> Result<(), DeliveryError> {
        let mut text = String::new();
        for anomaly in anomalies {
            text.push_str(&self.format.line(anomaly));
            text.push('\n');
        }
        write_out(&mut self.out, &text)
    }
}
