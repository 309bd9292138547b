//! What probes are told: named checks that the services' threads set.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// The checks of a process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Health {
    checks: Arc<Mutex<Checks>>,
}

#[derive(Debug, Default)]
struct Checks {
    liveness: BTreeMap<String, State>,
    readiness: BTreeMap<String, State>,
}

/// None: in order. Else what is missing, one line.
type State = Option<String>;

#[derive(Clone, Copy, Debug)]
enum Probe {
    Liveness,
    Readiness,
}

/// Sets one check. Clones set the same one. Setting it takes a lock: do so when something changes, not per record.
#[derive(Clone, Debug)]
pub struct Check {
    health: Health,
    probe: Probe,
    name: String,
}

/// What a probe is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether all is in order.
    pub(super) is_good: bool,
    /// One line per check.
    pub(super) lines: String,
}

impl Health {
    /// A check of whether the process should be left running, in order until it is said to fail.
    #[must_use]
    pub fn liveness(&self, name: &str) -> Check {
        self.check(Probe::Liveness, name, None)
    }

    /// A check of whether the process does its work, failing until it is said to pass.
    #[must_use]
    pub fn readiness(&self, name: &str) -> Check {
        self.check(Probe::Readiness, name, Some("not reached yet".to_owned()))
    }

    fn check(&self, probe: Probe, name: &str, state: State) -> Check {
        let check = Check { health: self.clone(), probe, name: name.to_owned() };
        check.set(state);
        check
    }

    /// Whether the process is alive. Without a check it is: it answers.
    pub(super) fn alive(&self) -> Verdict {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut verdict = verdict(&checks.liveness);
        if checks.liveness.is_empty() {
            verdict.lines.push_str("ok\n");
        }
        verdict
    }

    /// Whether the process does its work. Without a check nobody knows.
    pub(super) fn ready(&self) -> Verdict {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        if checks.readiness.is_empty() {
            return Verdict { is_good: false, lines: "missing: start: not reached yet\n".to_owned() };
        }
        verdict(&checks.readiness)
    }
}

impl Check {
    /// All is in order.
    pub fn pass(&self) {
        self.set(None);
    }

    /// Something is not; `missing` says what, in one line.
    pub fn fail(&self, missing: impl Into<String>) {
        self.set(Some(missing.into()));
    }

    /// What was checked is no longer there, on purpose: a shard that ended, a sink that was removed.
    pub fn remove(self) {
        self.with_states(|states| states.remove(&self.name));
    }

    fn set(&self, state: State) {
        self.with_states(|states| states.insert(self.name.clone(), state));
    }

    fn with_states<T>(&self, change: impl FnOnce(&mut BTreeMap<String, State>) -> T) {
        let mut checks = self.health.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let states = match self.probe {
            Probe::Liveness => &mut checks.liveness,
            Probe::Readiness => &mut checks.readiness,
        };
        change(states);
    }
}

fn verdict(states: &BTreeMap<String, State>) -> Verdict {
    let mut lines = String::new();
    for (name, state) in states {
        let _ = match state {
            None => writeln!(lines, "ok: {name}"),
            Some(missing) => writeln!(lines, "missing: {name}: {}", in_one_line(missing)),
        };
    }
    Verdict { is_good: states.values().all(Option::is_none), lines }
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_a_check_fails_and_ready_once_all_pass() {
        let health = Health::default();
        assert_eq!(health.alive(), Verdict { is_good: true, lines: "ok\n".to_owned() });
        assert_eq!(health.ready(), Verdict { is_good: false, lines: "missing: start: not reached yet\n".to_owned() });
        let (assigned, restored) = (health.readiness("assigned"), health.readiness("restored"));
        assigned.clone().pass();
        restored.fail("3 of 12\npartitions");
        let expected = "ok: assigned\nmissing: restored: 3 of 12 partitions\n".to_owned();
        assert_eq!(health.ready(), Verdict { is_good: false, lines: expected });
        restored.pass();
        assert_eq!(health.ready(), Verdict { is_good: true, lines: "ok: assigned\nok: restored\n".to_owned() });

        let broker = health.clone().liveness("broker");
        assert!(health.alive().is_good);
        broker.fail("away");
        assert_eq!(health.alive(), Verdict { is_good: false, lines: "missing: broker: away\n".to_owned() });
        assert!(health.ready().is_good);
        broker.remove();
        assert!(health.alive().is_good);
    }
}
