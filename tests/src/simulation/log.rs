//! One partition's log: records and control records by offset, open transactions, and what readers of committed records see.

use std::collections::{BTreeMap, BTreeSet};

use weir_bus::{Delivery, Message};
use weir_schemas::Micros;

/// Names one transaction: (producer, epoch) and which of its transactions, in one number.
pub(super) type TransactionNumber = u64;

/// What stands at an offset.
#[derive(Clone, Debug)]
enum Entry {
    /// A record, and the transaction it belongs to.
    Record { transaction: Option<TransactionNumber>, delivery: Delivery },
    /// A marker that ends a transaction in this partition, or what the cleaner left of a record: nobody is told of either.
    Nothing,
}

/// A partition.
#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    /// First offset that retention has left.
    start: i64,
    entries: Vec<Entry>,
    /// First offset of each transaction whose marker has not arrived.
    open: BTreeMap<TransactionNumber, i64>,
    aborted: BTreeSet<TransactionNumber>,
}

impl PartitionLog {
    /// First offset in the log.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// One past the last offset, unfinished transactions included.
    pub(super) fn end(&self) -> i64 {
        self.entries.len() as i64
    }

    /// One past the last offset that readers of committed records see: the first record of the first open transaction.
    pub(super) fn stable_end(&self) -> i64 {
        self.open.values().copied().min().unwrap_or(self.end())
    }

    /// Appends a record.
    pub(super) fn append(&mut self, message: Message, append_time: Micros, transaction: Option<TransactionNumber>) {
        let offset = self.end();
        if let Some(transaction) = transaction {
            self.open.entry(transaction).or_insert(offset);
        }
        let Message { key, value, headers, .. } = message;
        let delivery = Delivery { offset, append_time, key, value, headers };
        self.entries.push(Entry::Record { transaction, delivery });
    }

    /// Appends the marker of a transaction.
    pub(super) fn mark(&mut self, transaction: TransactionNumber, commit: bool) {
        self.open.remove(&transaction);
        if !commit {
            self.aborted.insert(transaction);
        }
        self.entries.push(Entry::Nothing);
    }

    /// Where readers stop: of committed records, or of any.
    pub(super) fn end_for(&self, reads_uncommitted: bool) -> i64 {
        if reads_uncommitted { self.end() } else { self.stable_end() }
    }

    /// Up to `max` records from `offset` on and before `end`; returns the offset after the last one looked at. Records of
    /// aborted transactions are left out, unless `end` lies beyond what is stable: then the reader asks for all there is.
    pub(super) fn read_until(&self, end: i64, offset: i64, max: usize, into: &mut Vec<Delivery>) -> i64 {
        let reads_all = end > self.stable_end();
        let mut next = offset.max(self.start);
        let first = into.len();
        while next < end && into.len() - first < max {
            if let Some(Entry::Record { transaction, delivery }) = self.entries.get(next as usize)
                && (reads_all || transaction.is_none_or(|transaction| !self.aborted.contains(&transaction)))
            {
                into.push(delivery.clone());
            }
            next += 1;
        }
        next
    }

    /// Committed records from `offset` on.
    pub(super) fn committed_from(&self, offset: i64) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        self.read_until(self.stable_end(), offset, usize::MAX, &mut deliveries);
        deliveries
    }

    /// Offset of the last committed record.
    pub(super) fn last_committed(&self) -> Option<i64> {
        let is_committed = |offset: &i64| match self.entries.get(*offset as usize) {
            Some(Entry::Record { transaction, .. }) => {
                transaction.is_none_or(|transaction| !self.aborted.contains(&transaction))
            }
            _ => false,
        };
        (self.start..self.stable_end()).rev().find(is_committed)
    }

    /// Retention removes what stands before `start`.
    pub(super) fn truncate(&mut self, start: i64) {
        self.start = self.start.max(start.min(self.stable_end()));
    }

    /// The cleaner removes records that a later committed one of the same key replaces, below the first open transaction.
    pub(super) fn compact(&mut self) {
        let mut seen = BTreeSet::new();
        for offset in (self.start..self.stable_end()).rev() {
            let Some(entry) = self.entries.get_mut(offset as usize) else { continue };
            let Entry::Record { transaction, delivery } = entry else { continue };
            let is_aborted = transaction.is_some_and(|transaction| self.aborted.contains(&transaction));
            if is_aborted || !seen.insert(delivery.key.clone()) {
                *entry = Entry::Nothing;
            }
        }
    }

    /// All records are gone, as after somebody emptied the topic.
    pub(super) fn empty(&mut self) {
        self.start = self.stable_end();
    }
}

#[cfg(test)]
mod tests {
    use weir_bus::Value;

    use super::*;

    fn message(key: &str) -> Message {
        Message::new("t", 0, key, Value::Bytes(Vec::new()))
    }

    fn keys(log: &PartitionLog) -> Vec<String> {
        log.committed_from(0).into_iter().map(|delivery| delivery.key).collect()
    }

    #[test]
    fn an_open_transaction_hides_whatever_follows_it() {
        let mut log = PartitionLog::default();
        log.append(message("before"), 0, None);
        log.append(message("a1"), 0, Some(1));
        log.append(message("b1"), 0, Some(2));
        log.append(message("after"), 0, None);
        log.mark(2, true);
        assert_eq!((log.stable_end(), log.end()), (1, 5));
        assert_eq!(keys(&log), ["before"]);
        log.mark(1, false);
        assert_eq!(keys(&log), ["before", "b1", "after"], "what was aborted is never seen");
        assert_eq!(log.stable_end(), 6);
    }

    #[test]
    fn the_cleaner_keeps_the_newest_of_each_key_and_what_is_open() {
        let mut log = PartitionLog::default();
        log.append(message("x"), 0, None);
        log.append(message("y"), 0, None);
        log.append(message("x"), 0, None);
        log.append(message("y"), 0, Some(1));
        log.compact();
        let offsets: Vec<i64> = log.committed_from(0).iter().map(|delivery| delivery.offset).collect();
        assert_eq!(offsets, [1, 2], "an open y replaces nothing");
        log.mark(1, true);
        log.compact();
        assert_eq!(keys(&log), ["x", "y"]);
    }

    #[test]
    fn retention_never_passes_what_is_open() {
        let mut log = PartitionLog::default();
        log.append(message("a"), 0, None);
        log.append(message("b"), 0, Some(1));
        log.truncate(2);
        assert_eq!(log.start(), 1);
    }
}
