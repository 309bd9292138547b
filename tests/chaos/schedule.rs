//! What is done to whom, and when: all of it follows from the seed.

use std::collections::VecDeque;
use std::time::Duration;

use weir_bus::member::FaultPoint;
use weir_tests::chance::Chance;

use crate::process::Fault;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Length of the captures.
    pub seconds: u64,
    /// Deaths of detectors at each point of a commit.
    pub per_point: usize,
    /// Deaths of detectors at any time.
    pub at_random: usize,
    /// Deaths of results at any time; as many again at points of its commits.
    pub results: usize,
    /// One is stopped for longer than its session lasts, one leaves for good, one joins.
    pub with_changes: bool,
    /// The coordinators' brokers die.
    pub with_brokers: bool,
}

/// The points, each in its turn.
pub const POINTS: [FaultPoint; 4] =
    [FaultPoint::AfterBegin, FaultPoint::AfterSend, FaultPoint::AfterOffsets, FaultPoint::BeforeCommit];

/// Something that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// SIGKILL to some detector.
    KillDetector,
    /// SIGKILL to results.
    KillResults,
    /// SIGSTOP to a detector.
    Stop,
    /// SIGCONT to it.
    Continue,
    /// A detector is killed, and the next one stops by itself at this point, with its transaction open.
    StopInCommit(FaultPoint),
    /// A fourth detector starts.
    Join,
    /// A detector ends in order, and does not come back.
    Leave,
    /// The broker that coordinates the source stage's group dies.
    KillGroupCoordinator,
    /// The broker that coordinates a detector's transactions dies.
    KillTransactionCoordinator,
    /// A broker that died comes back.
    RestartBroker,
}

/// Longer than a session (6 s) and a transaction (10 s) last: others have taken over everything by then.
pub const STOPPED: Duration = Duration::from_secs(14);

/// How long a broker stays away.
const BROKER_AWAY: Duration = Duration::from_secs(10);

/// The plan of a run.
#[derive(Debug)]
pub struct Schedule {
    /// When, since the sensors began; in order.
    pub deeds: VecDeque<(Duration, Deed)>,
    faults: VecDeque<FaultPoint>,
    results_faults: VecDeque<FaultPoint>,
    chance: Chance,
}

impl Schedule {
    /// The plan that follows from `seed`.
    pub fn new(extent: Extent, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut faults: Vec<FaultPoint> = POINTS.iter().flat_map(|point| vec![*point; extent.per_point]).collect();
        for last in (1..faults.len()).rev() {
            faults.swap(last, chance.index(last + 1));
        }
        let at = |share: u64| Duration::from_millis(extent.seconds * share);
        let mut deeds = Vec::new();
        for _ in 0..extent.at_random {
            deeds.push((at(chance.between(80, 940)), Deed::KillDetector));
        }
        for _ in 0..extent.results {
            deeds.push((at(chance.between(200, 940)), Deed::KillResults));
        }
        if extent.with_changes {
            deeds.push((at(300), Deed::Stop));
            deeds.push((at(300) + STOPPED, Deed::Continue));
            deeds.push((at(120), Deed::StopInCommit(FaultPoint::AfterSend)));
            deeds.push((at(700), Deed::StopInCommit(FaultPoint::BeforeCommit)));
            deeds.push((at(500), Deed::Join));
            deeds.push((at(600), Deed::Leave));
        }
        if extent.with_brokers {
            for (share, deed) in [(250, Deed::KillGroupCoordinator), (600, Deed::KillTransactionCoordinator)] {
                deeds.push((at(share), deed));
                deeds.push((at(share) + BROKER_AWAY, Deed::RestartBroker));
            }
        }
        deeds.sort_by_key(|(time, _)| *time);
        let results_faults = (0..extent.results).map(|number| POINTS[(number + 1) % POINTS.len()]).collect();
        Self { deeds: deeds.into(), faults: faults.into(), results_faults, chance }
    }

    /// What the next detector to start dies of, if there is still something: late in a run soon, otherwise some time.
    pub fn next_fault(&mut self, is_late: bool) -> Option<Fault> {
        let point = self.faults.pop_front()?;
        Some(Fault { point, pass: if is_late { 2 } else { self.chance.between(3, 14) }, stops: false })
    }

    /// The same for results.
    pub fn next_results_fault(&mut self) -> Option<Fault> {
        let point = self.results_faults.pop_front()?;
        Some(Fault { point, pass: self.chance.between(2, 6), stops: false })
    }

    /// A process died of something else before its fault: another one is to die of it.
    pub fn give_back(&mut self, fault: Fault) {
        self.faults.push_front(fault.point);
    }

    /// The same for results.
    pub fn give_back_results(&mut self, fault: Fault) {
        self.results_faults.push_front(fault.point);
    }

    /// Whether every point has had its deaths, but for those that running processes carry.
    pub fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// One of `count`.
    pub fn choose(&mut self, count: usize) -> usize {
        self.chance.index(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent =
        Extent { seconds: 100, per_point: 3, at_random: 8, results: 2, with_changes: true, with_brokers: true };

    #[test]
    fn a_plan_follows_from_its_seed_and_holds_every_point() {
        let mut plan = Schedule::new(EXTENT, 5);
        assert_eq!(plan.deeds, Schedule::new(EXTENT, 5).deeds);
        assert_ne!(plan.deeds, Schedule::new(EXTENT, 6).deeds);
        assert!(plan.deeds.iter().is_sorted_by_key(|(time, _)| *time));
        assert!(plan.deeds.iter().all(|(time, _)| *time < Duration::from_secs(EXTENT.seconds)));
        assert_eq!(plan.deeds.iter().filter(|(_, deed)| *deed == Deed::KillDetector).count(), EXTENT.at_random);

        let mut faults = Vec::new();
        while let Some(fault) = plan.next_fault(false) {
            faults.push(fault.point);
        }
        assert_eq!(faults.len(), POINTS.len() * EXTENT.per_point);
        for point in POINTS {
            assert_eq!(faults.iter().filter(|fault| **fault == point).count(), EXTENT.per_point);
        }
    }

    #[test]
    fn a_death_that_did_not_come_about_is_planned_again() {
        let mut plan = Schedule::new(EXTENT, 5);
        let fault = plan.next_fault(false).unwrap();
        let left = plan.faults.len();
        plan.give_back(fault);
        assert_eq!(plan.next_fault(true), Some(Fault { point: fault.point, pass: 2, stops: false }));
        assert_eq!(plan.faults.len(), left);
    }
}
