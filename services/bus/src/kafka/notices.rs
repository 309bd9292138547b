//! What clients say outside of calls: brokers that went away, refused passwords, failed deliveries.
//!
//! librdkafka repeats itself with every attempt to connect. Texts are kept once and counted, so that whoever reports them is not
//! flooded, and so that a call that merely timed out can name the cause.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

/// Different texts kept at a time; more are counted under the last one's place.
const MAX_TEXTS: usize = 16;

/// An error that old explains nothing that happens now.
const STALE: Duration = Duration::from_mins(1);

/// A text, and how often it came since it was last taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// One line.
    pub text: String,
    /// How often.
    pub times: u64,
}

/// An error that a client met on its own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Incident {
    pub(super) code: RDKafkaErrorCode,
    pub(super) text: String,
    when: Instant,
}

#[derive(Debug, Default)]
struct Kept {
    warnings: BTreeMap<String, u64>,
    /// The last error, and the last that says more than that no broker can be reached.
    last: Option<Incident>,
    telling: Option<Incident>,
}

/// Shared by the clients of one member or publisher. A client of librdkafka may call from threads of its own, hence the lock;
/// no record passes it.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<Kept>>);

impl Notices {
    /// What was said since the last time, each text once.
    pub fn take_warnings(&self) -> Vec<Warning> {
        let warnings = std::mem::take(&mut self.lock().warnings);
        warnings.into_iter().map(|(text, times)| Warning { text, times }).collect()
    }

    pub(super) fn warn(&self, text: String) {
        let mut kept = self.lock();
        if kept.warnings.len() >= MAX_TEXTS && !kept.warnings.contains_key(&text) {
            *kept.warnings.entry("further messages of the client are left out".to_owned()).or_default() += 1;
            return;
        }
        *kept.warnings.entry(text).or_default() += 1;
    }

    pub(super) fn met(&self, code: RDKafkaErrorCode, text: &str) {
        let incident = Incident { code, text: one_line(text), when: Instant::now() };
        self.warn(incident.text.clone());
        let mut kept = self.lock();
        if code != RDKafkaErrorCode::AllBrokersDown {
            kept.telling = Some(incident.clone());
        }
        kept.last = Some(incident);
    }

    /// The error that says most about why nothing works at present.
    pub(super) fn cause(&self) -> Option<Incident> {
        let kept = self.lock();
        let is_fresh = |incident: &&Incident| incident.when.elapsed() < STALE;
        kept.telling.iter().chain(&kept.last).find(is_fresh).cloned()
    }

    /// What was met before does not matter any more: it works.
    pub(super) fn recovered(&self) {
        let mut kept = self.lock();
        kept.telling = None;
        kept.last = None;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here can be left half done: after a panic elsewhere it is still what it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Notices {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // One set of properties serves consumers and producers: that each leaves the other's alone is meant so.
        if facility == "CONFWARN" && text.contains("will be ignored by this") {
            return;
        }
        // Errors of connections come a second time, as events.
        if matches!(level, RDKafkaLogLevel::Warning) {
            self.warn(one_line(text));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That a partition has no more for now comes this way too.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        self.met(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown), reason);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}
}

impl ConsumerContext for Notices {}

impl ProducerContext for Notices {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.met(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown), &format!("delivery: {error}"));
        }
    }
}

/// librdkafka's texts hold line breaks where OpenSSL's do.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_counted_and_texts_are_bounded() {
        let notices = Notices::default();
        for number in 0..100 {
            notices.met(RDKafkaErrorCode::BrokerTransportFailure, "broker:9092:\n  connection refused");
            notices.warn(format!("message {number}"));
        }
        let warnings = notices.take_warnings();
        assert!(warnings.len() <= MAX_TEXTS + 1, "{warnings:?}");
        let refused = Warning { text: "broker:9092: connection refused".to_owned(), times: 100 };
        assert!(warnings.contains(&refused), "{warnings:?}");
        assert_eq!(warnings.iter().map(|warning| warning.times).sum::<u64>(), 200);
        assert_eq!(notices.take_warnings(), []);
    }

    #[test]
    fn the_cause_is_what_says_more_than_that_nobody_answers() {
        let notices = Notices::default();
        assert_eq!(notices.cause(), None);
        notices.met(RDKafkaErrorCode::Authentication, "invalid credentials");
        notices.met(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        assert_eq!(notices.cause().map(|incident| incident.text), Some("invalid credentials".to_owned()));
        notices.recovered();
        notices.met(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        assert_eq!(notices.cause().map(|incident| incident.text), Some("1/1 brokers are down".to_owned()));
    }

    #[test]
    fn the_end_of_a_partition_is_no_news_and_explains_nothing() {
        let notices = Notices::default();
        let text = "Fetch from broker 1 reached end of partition at offset 7 (HighwaterMark 7)";
        ClientContext::error(&notices, KafkaError::Global(RDKafkaErrorCode::PartitionEOF), text);
        assert_eq!((notices.take_warnings(), notices.cause()), (Vec::new(), None));
        ClientContext::error(&notices, KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), "gone");
        assert_eq!(notices.take_warnings().len(), 1);
    }

    #[test]
    fn a_property_of_the_other_kind_of_client_is_no_news() {
        let notices = Notices::default();
        let text =
            "Configuration property linger.ms is a producer property and will be ignored by this consumer instance";
        notices.log(RDKafkaLogLevel::Warning, "CONFWARN", text);
        assert_eq!(notices.take_warnings(), []);
    }
}
