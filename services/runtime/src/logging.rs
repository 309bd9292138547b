//! Log lines on standard error: text for people, JSON for machines.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

use crate::config::{Log, LogFormat, LogLevel};

/// Bug: logging was started twice in one process.
#[derive(Debug, thiserror::Error)]
#[error("logging was started twice; this is a bug in Weir")]
pub struct LoggingError(#[from] SetGlobalDefaultError);

/// Sends the process's log lines to standard error. Once per process.
pub fn start(log: &Log) -> Result<(), LoggingError> {
    let subscriber = subscriber(log, std::io::stderr);
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

/// A subscriber that writes log lines to `writer`, for tests and for [`start`]. Lines carry no colour codes: they are
/// read by collectors as often as by people.
pub fn subscriber(
    log: &Log,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> Box<dyn tracing::Subscriber + Send + Sync> {
    let level = level(log.level);
    // The SDK tells of its own making as information; what goes wrong with it is told all the same.
    let targets = Targets::new().with_default(level).with_target("opentelemetry", level.min(LevelFilter::WARN));
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    match log.format {
        LogFormat::Text => Box::new(registry().with(targets).with(lines.compact())),
        LogFormat::Json => Box::new(registry().with(targets).with(lines.json().flatten_event(true))),
    }
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let log = Log { level: LogLevel::Warn, format };
        tracing::subscriber::with_default(subscriber(&log, move || writer.clone()), || {
            tracing::warn!(file = "a.pcap", offset = 24, "cut short");
            tracing::info!("not at this level");
        });
        String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_lines_hold_level_message_and_fields() {
        let text = logged(LogFormat::Text);
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in ["WARN", "cut short", "file=\"a.pcap\"", "offset=24"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn json_lines_are_json() {
        let line: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json)).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"cut short".into()));
        assert_eq!((&line["file"], &line["offset"]), (&"a.pcap".into(), &24.into()));
    }
}
