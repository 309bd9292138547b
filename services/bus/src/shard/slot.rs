//! What a shard holds for one partition.

use std::collections::VecDeque;
use std::time::Duration;

use weir_schemas::Micros;

use crate::Delivery;
use crate::shard::task::{Due, Sealed, Task};

pub(super) enum Slot<T> {
    Restoring(Restoring),
    Running(Box<Running<T>>),
}

/// A partition whose task is still to be made.
pub(super) struct Restoring {
    /// When the group gave the partition.
    pub(super) since: Duration,
    /// The newest epoch that was told of while waiting; 0 for none.
    pub(super) told: Option<u64>,
    /// No attempt before this.
    pub(super) not_before: Duration,
}

/// A partition whose task takes records.
pub(super) struct Running<T> {
    pub(super) task: T,
    /// Delivered, and not yet taken.
    pub(super) pending: VecDeque<Delivery>,
    /// The log's end was met, and nothing came since.
    pub(super) is_at_end: bool,
    /// The log's end was met after the last record delivered, taken or not.
    pub(super) has_met_end: bool,
    /// The log's end when it was last asked for and everything delivered was taken.
    drained_to: Option<i64>,
    pub(super) is_paused: bool,
    /// The commit under way; nothing is taken before it has taken place.
    pub(super) sealed: Option<Sealed>,
    /// Records taken since the last commit.
    pub(super) uncommitted: usize,
    /// A commit is owed though nothing was taken: what was decided at the restore must last.
    pub(super) owes_commit: bool,
    pub(super) committed_at: Duration,
    /// An offset of the state partition that the next commit's entries cannot stand before, and when it was looked up.
    pub(super) state_end: i64,
    pub(super) state_end_at: Duration,
    /// When the group gave the partition.
    pub(super) since: Duration,
    /// Records read again; none any more once that is over.
    pub(super) replayed: Option<u64>,
    /// Append time of the last record taken.
    pub(super) appended: Option<Micros>,
}

impl<T: Task> Running<T> {
    pub(super) fn new(task: T, since: Duration, now: Duration, state_end: i64, owes_commit: bool) -> Self {
        Self {
            task,
            pending: VecDeque::new(),
            is_at_end: false,
            has_met_end: false,
            drained_to: None,
            is_paused: false,
            sealed: None,
            uncommitted: 0,
            owes_commit,
            committed_at: now,
            state_end,
            state_end_at: now,
            since,
            replayed: Some(0),
            appended: None,
        }
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, delivery: Delivery) {
        self.uncommitted += 1;
        self.is_at_end = false;
        self.appended = Some(delivery.append_time);
        if self.task.is_replaying()
            && let Some(replayed) = &mut self.replayed
        {
            *replayed += 1;
        }
        self.task.take(delivery);
    }

    /// Records between where the task stands and `end`, where its log ends now.
    ///
    /// The last offsets of a log that transactions wrote are their markers, which are delivered to nobody (KIP-98). So an end
    /// that has been met, and stands where it stood when it was last asked for, has nothing before it.
    pub(super) fn lag(&mut self, end: i64) -> i64 {
        let is_drained = self.has_met_end && self.pending.is_empty();
        let before = std::mem::replace(&mut self.drained_to, is_drained.then_some(end));
        if before == Some(end) && is_drained {
            return 0;
        }
        (end - self.task.position()).max(0)
    }

    /// Whether it still counts among those that others wait for: it has records, or has not met its end.
    pub(super) fn has_more(&self) -> bool {
        !self.pending.is_empty() || !self.is_at_end
    }

    /// Whether it has read again all that there is to read again.
    pub(super) fn is_caught_up(&self) -> bool {
        !self.task.is_replaying() || (self.is_at_end && self.pending.is_empty())
    }

    /// Whether a commit is due.
    pub(super) fn is_due(&self, now: Duration, records: usize, interval: Duration) -> bool {
        if self.sealed.is_some() {
            return true;
        }
        if self.task.is_replaying() {
            return false;
        }
        let is_stale = self.uncommitted > 0 && now >= self.committed_at + interval;
        self.task.due() > Due::Nothing || self.uncommitted >= records || self.owes_commit || is_stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;
    use crate::shard::{PartitionCounts, Place, Recovery, Refusal};

    /// A task that only counts.
    struct Reader(i64);

    impl Task for Reader {
        type Settings = ();

        fn recover((): &(), _place: Place, _recovery: Recovery) -> Result<Self, Refusal> {
            Ok(Self(0))
        }

        fn position(&self) -> i64 {
            self.0
        }

        fn take(&mut self, delivery: Delivery) {
            self.0 = delivery.offset + 1;
        }

        fn is_replaying(&self) -> bool {
            false
        }

        fn due(&self) -> Due {
            Due::Nothing
        }

        fn watermark(&self) -> Option<Micros> {
            None
        }

        fn set_partition_count(&mut self, _count: u32) {}

        fn seal(&mut self, _state_end: i64, _counts: &PartitionCounts) -> Sealed {
            Sealed::default()
        }
    }

    fn record(offset: i64) -> Delivery {
        let value = Value::Bytes(Vec::new());
        Delivery { offset, append_time: 0, key: String::new(), value, headers: Vec::new() }
    }

    #[test]
    fn markers_after_the_last_record_are_no_lag_and_records_are() {
        let mut running = Running::new(Reader(0), Duration::ZERO, Duration::ZERO, 0, false);
        assert_eq!((running.lag(5), running.lag(5)), (5, 5), "the end was not met");
        running.take(record(3));
        running.has_met_end = true;
        // Offset 4 is a marker, which one look cannot tell from a record that is about to be delivered.
        assert_eq!((running.lag(5), running.lag(5), running.lag(5)), (1, 0, 0));
        assert_eq!((running.lag(8), running.lag(9)), (4, 5), "more is there, and comes");
        running.pending.push_back(record(5));
        assert_eq!((running.lag(9), running.lag(9)), (5, 5), "what is delivered is not yet taken");
    }
}
