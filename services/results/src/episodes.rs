//! The anomalies of one run, each episode once in its last state, and whether anything was found.

use std::collections::BTreeMap;

use weir_schemas::{Anomaly, Micros, Severity};

/// Exit status of `analyze`: nothing was found.
pub const EXIT_NOTHING_FOUND: u8 = 0;
/// Exit status of `analyze`: an anomaly of at least the asked severity was found.
pub const EXIT_FOUND: u8 = 1;

/// One episode as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Its last revision.
    pub last: Anomaly,
    /// Highest severity of any revision.
    pub severity: Severity,
    /// Latest window end of any revision, µs.
    pub end: Micros,
}

impl Episode {
    /// From the episode's start to the end of its latest window, µs, never negative.
    #[must_use]
    pub fn length(&self) -> Micros {
        self.end.saturating_sub(self.last.episode_start).max(0)
    }
}

/// Gathers anomalies of at least one severity. Memory: one anomaly per episode.
#[derive(Clone, Debug)]
pub struct Episodes {
    at_least: Severity,
    by_id: BTreeMap<String, Episode>,
}

impl Episodes {
    /// Nothing gathered yet; revisions below `at_least` will be left out.
    #[must_use]
    pub fn new(at_least: Severity) -> Self {
        Self { at_least, by_id: BTreeMap::new() }
    }

    /// Takes one revision, in the order published. True if it is severe enough to be printed as a line of its own.
    pub fn add(&mut self, anomaly: &Anomaly) -> bool {
        let admitted = anomaly.severity >= self.at_least;
        match self.by_id.get_mut(&anomaly.id) {
            Some(episode) => {
                // A later revision below the severity still tells how the episode ended.
                episode.severity = episode.severity.max(anomaly.severity);
                episode.end = episode.end.max(anomaly.window.end);
                if anomaly.revision >= episode.last.revision {
                    episode.last = anomaly.clone();
                }
            }
            None if admitted => {
                let episode = Episode { last: anomaly.clone(), severity: anomaly.severity, end: anomaly.window.end };
                self.by_id.insert(anomaly.id.clone(), episode);
            }
            None => {}
        }
        admitted
    }

    /// The least severity gathered.
    #[must_use]
    pub fn at_least(&self) -> Severity {
        self.at_least
    }

    /// Most severe first, then earliest, then by detector and id: the same order in every run.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Episode> {
        let mut episodes: Vec<&Episode> = self.by_id.values().collect();
        episodes.sort_by(|a, b| {
            let by_severity = b.severity.cmp(&a.severity);
            by_severity
                .then_with(|| a.last.episode_start.cmp(&b.last.episode_start))
                .then_with(|| a.last.detector.cmp(&b.last.detector))
                .then_with(|| a.last.id.cmp(&b.last.id))
        });
        episodes
    }

    /// Episodes gathered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// [`EXIT_FOUND`] iff a revision of at least the severity was met, whatever the format; cannot-judge and warnings
    /// never count.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if self.is_empty() { EXIT_NOTHING_FOUND } else { EXIT_FOUND }
    }
}

#[cfg(test)]
mod tests {
    use weir_schemas::EpisodeState;

    use super::*;
    use crate::sample::{self, Sample};

    #[test]
    fn each_episode_is_kept_once_in_its_last_state() {
        let mut episodes = Episodes::new(Severity::Low);
        let mut closing = sample::port_scan().state(EpisodeState::Closed).later(60_000_000);
        closing.episode_start = sample::NOON;
        closing.revision = 2;
        assert!(episodes.add(&sample::port_scan()));
        assert!(episodes.add(&closing));
        let all = episodes.in_order();
        assert_eq!((all.len(), all[0].last.state), (1, EpisodeState::Closed));
        assert_eq!(all[0].length(), 70_000_000);
    }

    #[test]
    fn only_a_line_of_the_severity_counts_as_found() {
        let low = sample::port_scan().severity(Severity::Low);
        let mut episodes = Episodes::new(Severity::Medium);
        assert!(!episodes.add(&low));
        assert_eq!(episodes.exit_status(), EXIT_NOTHING_FOUND);
        assert!(episodes.add(&sample::port_scan().severity(Severity::Medium)));
        assert_eq!(episodes.exit_status(), EXIT_FOUND);
        assert!(!episodes.add(&low), "a milder revision is no line of its own");
        assert_eq!(episodes.in_order()[0].severity, Severity::Medium);
    }

    #[test]
    fn the_most_severe_comes_first() {
        let mut episodes = Episodes::new(Severity::Info);
        for (id, severity, later) in
            [("a", Severity::Low, 0), ("b", Severity::High, 5), ("c", Severity::High, 4), ("d", Severity::Info, 0)]
        {
            episodes.add(&sample::port_scan().id(id).severity(severity).later(later));
        }
        let order: Vec<&str> = episodes.in_order().into_iter().map(|episode| episode.last.id.as_str()).collect();
        assert_eq!(order, ["c", "b", "a", "d"]);
    }
}
