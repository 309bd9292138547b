//! Publishes a traffic's messages, where it is long only a little ahead of those who read it.

use std::rc::Rc;

use weir_schemas::{CommitMetadata, Micros, SECOND_US};

use super::cluster::Cluster;
use super::traffic::{EPOCH, Traffic};

/// How far publishing may be ahead of the slowest partition that is read, event time. The site stage holds panes of four
/// minutes: where some member is away for long, others that read a longer backlog would close them without its part.
const AHEAD: Micros = 150 * SECOND_US;

/// A log that is being published.
pub(super) struct Publisher {
    traffic: Rc<Traffic>,
    /// Group that reads the flows.
    group: String,
    /// The first message that is not published.
    next: usize,
    /// Where the slowest partition has been, event time.
    reached: Micros,
}

impl Publisher {
    pub(super) fn new(traffic: Rc<Traffic>, group: String) -> Self {
        Self { traffic, group, next: 0, reached: EPOCH }
    }

    /// Publishes up to `most` messages.
    pub(super) fn publish(&mut self, cluster: &Cluster, most: usize) {
        if self.is_done() {
            return;
        }
        self.reached = self.reached.max(self.slowest(cluster));
        for _ in 0..most {
            let Some((at, message)) = self.traffic.messages.get(self.next) else { return };
            if *at > self.reached + AHEAD && self.traffic.is_long {
                return;
            }
            self.next += 1;
            cluster.append(message.clone(), *at);
        }
    }

    /// Whether all of it is published.
    pub(super) fn is_done(&self) -> bool {
        self.next == self.traffic.messages.len()
    }

    /// Event time of the slowest partition that has not read all that is published; of what is published last, where all have.
    fn slowest(&self, cluster: &Cluster) -> Micros {
        let flows = &self.traffic.messages[0].1.topic;
        let of = |partition| {
            let Some(committed) = cluster.committed_offset(&self.group, partition) else { return Some(EPOCH) };
            let (_, end) = cluster.bounds(flows, partition);
            if committed.offset >= end {
                return None;
            }
            let commit = CommitMetadata::parse(&committed.metadata);
            Some(commit.and_then(|commit| commit.watermark).unwrap_or(EPOCH))
        };
        let published = &self.traffic.messages[..self.next];
        let newest = published.last().map_or(EPOCH, |(at, _)| *at);
        (0..self.traffic.partitions).filter_map(of).min().unwrap_or(newest)
    }
}
