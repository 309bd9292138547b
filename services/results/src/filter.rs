//! Which anomalies somebody wants: the same words for sinks (`filter`) and for `weir tail`.
//!
//! `severity>=high detector=port_scan,syn_flood source=10.0.0.0/8 state=opened`: terms between spaces, all of which must
//! hold; values between commas, one of which must.

use std::net::IpAddr;
use std::str::FromStr;

use weir_runtime::config::Network;
use weir_schemas::{Anomaly, EpisodeState, Severity};

const SEVERITIES: [Severity; 5] = [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
const STATES: [EpisodeState; 3] = [EpisodeState::Opened, EpisodeState::Updated, EpisodeState::Closed];

/// A source that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Network(Network),
    Name(String),
}

/// What an anomaly must be. The default admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    least: Option<Severity>,
    detectors: Vec<String>,
    sources: Vec<Source>,
    states: Vec<EpisodeState>,
}

/// Input: a filter that cannot be read; one line that says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(String);

impl Filter {
    /// Only this severity and above: `low`, …
    pub fn at_least(mut self, word: &str) -> Result<Self, FilterError> {
        self.least = Some(one_of(word, &SEVERITIES, Severity::name, "severity")?);
        Ok(self)
    }

    /// Only these detectors, by id, with commas between them.
    pub fn detectors(mut self, list: &str) -> Result<Self, FilterError> {
        self.detectors.extend(items(list, "detector")?.map(str::to_owned));
        Ok(self)
    }

    /// Only these sources, with commas between them: addresses, networks (`10.0.0.0/8`), names.
    pub fn sources(mut self, list: &str) -> Result<Self, FilterError> {
        for item in items(list, "source")? {
            let source = match item.parse() {
                Ok(network) => Source::Network(network),
                Err(()) if item.contains('/') => {
                    let example = "one with its host bits zero, as in 10.0.0.0/8";
                    return Err(FilterError(format!("\"{}\" is no network; write {example}", item.escape_debug())));
                }
                Err(()) => Source::Name(item.to_owned()),
            };
            self.sources.push(source);
        }
        Ok(self)
    }

    /// Only these states, with commas between them.
    pub fn states(mut self, list: &str) -> Result<Self, FilterError> {
        for item in items(list, "state")? {
            self.states.push(one_of(item, &STATES, EpisodeState::name, "state")?);
        }
        Ok(self)
    }

    /// Whether the anomaly is wanted.
    #[must_use]
    pub fn admits(&self, anomaly: &Anomaly) -> bool {
        self.least.is_none_or(|least| anomaly.severity >= least)
            && (self.detectors.is_empty() || self.detectors.contains(&anomaly.detector))
            && (self.states.is_empty() || self.states.contains(&anomaly.state))
            && (self.sources.is_empty() || self.sources.iter().any(|source| is_from(anomaly, source)))
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for term in text.split_whitespace() {
            filter = match term.split_once('=') {
                Some(("severity>", word)) => filter.at_least(word)?,
                Some(("detector", list)) => filter.detectors(list)?,
                Some(("source", list)) => filter.sources(list)?,
                Some(("state", list)) => filter.states(list)?,
                _ => {
                    return Err(FilterError(format!(
                        "\"{}\" is no term of a filter; write severity>=high, detector=port_scan, source=10.0.0.0/8 or \
                         state=opened, with spaces between terms and commas between values",
                        term.escape_debug()
                    )));
                }
            };
        }
        Ok(filter)
    }
}

fn is_from(anomaly: &Anomaly, wanted: &Source) -> bool {
    let Some(source) = &anomaly.source else { return false };
    match wanted {
        Source::Network(network) => {
            let address = source.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
            address.is_some_and(|address| network.contains(address))
        }
        Source::Name(name) => source.name.as_ref() == Some(name) || source.ip.as_ref() == Some(name),
    }
}

fn items<'a>(list: &'a str, what: &str) -> Result<impl Iterator<Item = &'a str>, FilterError> {
    if list.split(',').any(str::is_empty) {
        return Err(FilterError(format!("a {what} is missing in \"{}\"", list.escape_debug())));
    }
    Ok(list.split(','))
}

fn one_of<T: Copy>(word: &str, known: &[T], name: impl Fn(T) -> &'static str, what: &str) -> Result<T, FilterError> {
    let found = known.iter().copied().find(|value| name(*value) == word);
    found.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|value| name(*value)).collect();
        FilterError(format!("\"{}\" is no {what}; write one of {}", word.escape_debug(), names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use weir_schemas::finding::Party;

    use super::*;
    use crate::sample::{self, Sample};

    #[test]
    fn every_term_must_hold_and_one_of_its_values() {
        let scan = sample::port_scan();
        let named = Party { name: Some("BP-Linux8".to_owned()), ..Party::default() };
        let named = Anomaly { source: Some(named), ..sample::port_scan() };
        let cases = [
            ("", &scan, true),
            ("severity>=high", &scan, true),
            ("severity>=critical", &scan, false),
            ("detector=syn_flood,port_scan", &scan, true),
            ("detector=syn_flood", &scan, false),
            ("source=192.0.2.7", &scan, true),
            ("source=192.0.2.0/24", &scan, true),
            ("source=10.0.0.0/8,192.0.2.6", &scan, false),
            ("source=::/0", &scan, false),
            ("source=BP-Linux8", &named, true),
            ("source=BP-Linux8", &scan, false),
            ("source=0.0.0.0/0", &sample::syn_flood(), false),
            ("state=opened", &scan, true),
            ("state=updated,closed", &scan, false),
            ("severity>=low  detector=port_scan state=opened", &scan, true),
            ("severity>=low detector=host_sweep", &scan, false),
        ];
        for (text, anomaly, expected) in cases {
            assert_eq!(text.parse::<Filter>().unwrap().admits(anomaly), expected, "{text}");
        }
        assert!(!"severity>=low".parse::<Filter>().unwrap().admits(&scan.severity(Severity::Info)));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let cases = [
            ("severity>=terrible", "\"terrible\" is no severity; write one of info, low, medium, high, critical"),
            ("severity=high", "\"severity=high\" is no term of a filter; write severity>=high,"),
            ("state=gone", "\"gone\" is no state; write one of opened, updated, closed"),
            ("source=10.0.0.1/8", "\"10.0.0.1/8\" is no network; write one with its host bits zero"),
            ("detector=a,,b", "a detector is missing in \"a,,b\""),
            ("high", "\"high\" is no term"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Filter>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
