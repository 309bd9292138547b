//! Catching up together: partitions that are behind wait for the slowest one of the group.
//!
//! The stage that follows merges the panes of all partitions and keeps a bounded number of them open. A backlog that one
//! member reads minutes of event time before another would close them without the others' part. Waiting changes when a
//! record is taken, never what becomes of it.

use std::time::Duration;

use weir_schemas::{CommitMetadata, Micros};

use crate::member::{Member, MemberError};

/// How often the group's commits are looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is known of the slowest partition.
#[derive(Debug, Default)]
pub(super) struct Alignment {
    /// Least watermark among partitions of other members; none before the first look.
    others: Option<Micros>,
    looked_at: Option<Duration>,
    slowest: Option<Micros>,
    slowest_since: Duration,
}

impl Alignment {
    /// Looks up how far partitions that are not `mine` have come, unless that was done a moment ago.
    pub(super) fn look<M: Member>(
        &mut self,
        member: &mut M,
        partition_count: u32,
        mine: impl Fn(u32) -> bool,
    ) -> Result<(), MemberError> {
        let now = member.now();
        if self.looked_at.is_some_and(|looked_at| now < looked_at + LOOK_EVERY) {
            return Ok(());
        }
        self.looked_at = Some(now);
        let others: Vec<u32> = (0..partition_count).filter(|partition| !mine(*partition)).collect();
        if others.is_empty() {
            self.others = Some(Micros::MAX);
            return Ok(());
        }
        let committed = member.committed(&others)?;
        let watermark = |commit: Option<crate::member::Committed>| {
            commit.and_then(|commit| CommitMetadata::parse(&commit.metadata)).and_then(|commit| commit.watermark)
        };
        self.others = committed.into_iter().map(watermark).map(no_later).min();
        Ok(())
    }

    /// The event time up to which a partition may have come, given the watermark of the slowest of the member's own; none
    /// where nothing holds it.
    pub(super) fn horizon(&mut self, now: Duration, own: Micros, ahead: Micros, patience: Duration) -> Option<Micros> {
        let slowest = own.min(self.others.unwrap_or(Micros::MAX));
        if self.slowest != Some(slowest) {
            self.slowest = Some(slowest);
            self.slowest_since = now;
        }
        if now > self.slowest_since + patience {
            return None;
        }
        Some(slowest.saturating_add(ahead))
    }
}

/// A partition that has not come anywhere yet is behind all others.
pub(super) fn no_later(watermark: Option<Micros>) -> Micros {
    watermark.unwrap_or(Micros::MIN)
}
