//! The transaction coordinator: who has a transactional id, what its transaction writes to, and how it ends (KIP-98).

use std::collections::BTreeSet;

use super::cluster::{Happening, State};
use super::log::TransactionNumber;

/// How long a transaction may stay open, µs (`transaction.timeout.ms`).
const TRANSACTION_TIMEOUT: u64 = 10_000_000;

/// What a transaction writes to: each gets a marker of its own, at a time of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A partition.
    Partition(String, u32),
    /// The offsets of a group.
    Offsets(String),
}

/// A transaction that takes writes.
#[derive(Debug)]
pub(super) struct Ongoing {
    pub(super) number: TransactionNumber,
    pub(super) targets: BTreeSet<Target>,
}

/// What the transaction coordinator knows of one transactional id.
#[derive(Debug, Default)]
pub(super) struct Producing {
    pub(super) epoch: u32,
    pub(super) ongoing: Option<Ongoing>,
    /// Markers of the last transaction that have not arrived.
    pub(super) markers_left: usize,
    /// How the last transaction of this epoch ended, so that the same question gets the same answer.
    pub(super) last_ended: Option<bool>,
    /// The coordinator, not another producer, moved to this epoch.
    pub(super) timed_out: bool,
}

/// Why the transaction coordinator refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Another producer has the id now.
    Fenced,
    /// The transaction was open for too long, and is aborted.
    TimedOut,
    /// Markers of the last transaction are still on their way.
    Busy,
}

impl State {
    /// A producer takes the id: whoever had it is fenced, what it left open aborted. Returns the epoch.
    pub(super) fn take_id(&mut self, id: &str) -> u32 {
        let producing = self.producers.entry(id.to_owned()).or_default();
        producing.epoch += 1;
        producing.timed_out = false;
        producing.last_ended = None;
        let epoch = producing.epoch;
        self.end_ongoing(id, false);
        epoch
    }

    /// A producer whose transaction timed out goes on under a new epoch, unless another one has the id by now.
    pub(super) fn renew_epoch(&mut self, id: &str, epoch: u32) -> Result<u32, Denied> {
        match self.producers.get(id) {
            Some(producing) if producing.epoch == epoch + 1 && producing.timed_out => Ok(self.take_id(id)),
            _ => Err(Denied::Fenced),
        }
    }

    /// Whether markers of the id's last transaction are on their way.
    pub(super) fn is_busy(&self, id: &str) -> bool {
        self.producers.get(id).is_some_and(|producing| producing.markers_left > 0)
    }

    fn check(&self, id: &str, epoch: u32) -> Result<(), Denied> {
        let producing = self.producers.get(id);
        match producing {
            Some(producing) if producing.epoch == epoch => Ok(()),
            Some(producing) if producing.epoch == epoch + 1 && producing.timed_out => Err(Denied::TimedOut),
            _ => Err(Denied::Fenced),
        }
    }

    /// Adds a target to the producer's transaction, which begins with the first.
    pub(super) fn enlist(&mut self, id: &str, epoch: u32, target: Target) -> Result<TransactionNumber, Denied> {
        self.check(id, epoch)?;
        if self.is_busy(id) {
            return Err(Denied::Busy);
        }
        let number = self.next_number + 1;
        let timeout = self.now + TRANSACTION_TIMEOUT;
        let Some(producing) = self.producers.get_mut(id) else { return Err(Denied::Fenced) };
        producing.last_ended = None;
        if let Some(ongoing) = &mut producing.ongoing {
            ongoing.targets.insert(target);
            return Ok(ongoing.number);
        }
        producing.ongoing = Some(Ongoing { number, targets: [target].into() });
        self.next_number = number;
        self.schedule(timeout, Happening::Timeout { id: id.to_owned(), transaction: number });
        Ok(number)
    }

    /// Ends the producer's transaction: decided at once, visible when the markers arrive.
    pub(super) fn end_transaction(&mut self, id: &str, epoch: u32, commit: bool) -> Result<(), Denied> {
        self.check(id, epoch)?;
        let Some(producing) = self.producers.get_mut(id) else { return Err(Denied::Fenced) };
        if producing.ongoing.is_none() {
            return match producing.last_ended {
                Some(last) if last != commit => {
                    self.bug(&format!("{id} is asked for commit={commit} after the opposite"))
                }
                _ => Ok(()),
            };
        }
        producing.last_ended = Some(commit);
        self.end_ongoing(id, commit);
        Ok(())
    }

    pub(super) fn end_ongoing(&mut self, id: &str, commit: bool) {
        let Some(ongoing) = self.producers.get_mut(id).and_then(|producing| producing.ongoing.take()) else { return };
        self.note(|| format!("{id} #{} is to end, commit={commit}", ongoing.number));
        for target in ongoing.targets {
            let at = self.now + self.marker_delay();
            let (id, transaction) = (id.to_owned(), ongoing.number);
            if let Some(producing) = self.producers.get_mut(&id) {
                producing.markers_left += 1;
            }
            self.schedule(at, Happening::Marker { id, transaction, commit, target });
        }
    }

    fn marker_delay(&mut self) -> u64 {
        if self.chance.below(10_000) >= self.faults.late_markers {
            return self.chance.below(3_000);
        }
        // Mostly a little late, sometimes very.
        let most = if self.chance.percent(80) { self.faults.latest_marker / 50 } else { self.faults.latest_marker };
        self.chance.below(most.max(1))
    }
}
