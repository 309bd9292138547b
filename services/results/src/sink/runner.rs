//! What moves a sink's position: a member of a group of the sink's own that reads anomalies, delivers them, and commits how
//! far it has come once they are safe.
//!
//! At least once: after a crash, or when partitions move to another member, what was delivered within the last second may
//! come again. While a sink fails nothing moves, reading stops at a bound, and the member stays in its group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_bus::Delivery;
use weir_bus::dead::{Origin, bytes_of, dead_letter};
use weir_bus::member::{Event, Member, MemberError, OffsetCommit, Remedy};
use weir_bus::topic::Topics;
use weir_bus::transaction::{Outcome, transact};
use weir_runtime::metrics::ResultsMetrics;

use super::held::Held;
use super::{Begin, ConfiguredSink};
use crate::wire;

/// Time between two commits: what a crash repeats at most.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Anomalies held before reading stops: some megabytes.
const MOST_HELD: usize = 2048;
/// Events taken at a time.
const MOST_EVENTS: usize = 512;
/// Pause after the first failure; it doubles with each one that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Pause after a call that may be made again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The consumer group of a lane's sink: its position outlives it under this name.
#[must_use]
pub fn group_of(lane: &str, sink_id: &str) -> String {
    format!("{lane}-results-sink-{sink_id}")
}

/// What a runner needs beside its sink.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// Topic of anomalies; the member's input.
    pub anomalies: String,
    /// Topic for what is no anomaly.
    pub dead: String,
    /// How long a commit may go without getting through.
    pub patience: Duration,
    /// Where deliveries are told.
    pub metrics: ResultsMetrics,
}

impl RunnerSettings {
    /// The topics of a lane, the process's metrics, and a minute's patience.
    #[must_use]
    pub fn new(topics: &Topics) -> Self {
        Self {
            anomalies: topics.anomalies(),
            dead: topics.dead(),
            patience: Duration::from_mins(1),
            metrics: ResultsMetrics::default(),
        }
    }
}

/// How a sink is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It took what it was given last.
    Working,
    /// It did not, and is tried again.
    Failing {
        /// Why, one line.
        reason: String,
        /// For how long.
        since: Duration,
    },
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkStep {
    /// Anomalies read.
    pub read: usize,
    /// Of these, left out by the filter.
    pub filtered: usize,
    /// What was read and is no anomaly.
    pub dead: usize,
    /// Anomalies delivered, read now or before.
    pub delivered: usize,
}

#[derive(Debug)]
struct Failure {
    reason: String,
    began: Duration,
    pause: Duration,
    next_attempt: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    /// Next offset to be read.
    next: i64,
    committed: Option<i64>,
}

/// Runs one sink over one member. Steps, not threads: whoever runs it gives it one.
pub struct SinkRunner<M> {
    member: M,
    sink: ConfiguredSink,
    settings: RunnerSettings,
    positions: BTreeMap<u32, Position>,
    /// Assigned, and not started yet.
    unstarted: BTreeSet<u32>,
    held: Held,
    /// Letters to be sent with the next commit, by the partition they come from.
    dead_letters: Vec<(u32, weir_bus::Message)>,
    failure: Option<Failure>,
    is_paused: bool,
    committed_at: Option<Duration>,
    events: Vec<Event>,
}

impl<M: Member> SinkRunner<M> {
    /// A runner over a member of the group [`group_of`] the sink's id, whose input is the topic of anomalies.
    pub fn new(member: M, sink: ConfiguredSink, settings: RunnerSettings) -> Self {
        Self {
            member,
            sink,
            settings,
            positions: BTreeMap::new(),
            unstarted: BTreeSet::new(),
            held: Held::default(),
            dead_letters: Vec::new(),
            failure: None,
            is_paused: false,
            committed_at: None,
            events: Vec::new(),
        }
    }

    /// The sink's id.
    pub fn id(&self) -> &str {
        &self.sink.id
    }

    /// Whether the service is unready while the sink fails.
    pub fn is_required(&self) -> bool {
        self.sink.required
    }

    /// How the sink is.
    pub fn health(&self) -> Health {
        match &self.failure {
            None => Health::Working,
            Some(failure) => {
                let since = self.member.now().saturating_sub(failure.began);
                Health::Failing { reason: failure.reason.clone(), since }
            }
        }
    }

    /// The member.
    pub fn member(&self) -> &M {
        &self.member
    }

    /// The sink, for a runner over another member; the position is in the group.
    pub fn into_sink(self) -> ConfiguredSink {
        self.sink
    }

    /// Partitions that are read.
    pub fn partitions(&self) -> usize {
        self.positions.len()
    }

    /// Waits up to `wait` for anomalies, delivers what is due, and commits once a second.
    ///
    /// # Errors
    /// [`Remedy::Leave`] or [`Remedy::Restart`]: the member can do no more; another one goes on from the last commit.
    pub fn step(&mut self, wait: Duration) -> Result<SinkStep, MemberError> {
        let mut step = SinkStep::default();
        self.start_assigned()?;
        self.poll(wait, &mut step)?;
        self.deliver(&mut step);
        self.hold_back_or_go_on()?;
        let now = self.member.now();
        if self.committed_at.is_none_or(|committed_at| now >= committed_at + COMMIT_EVERY) {
            self.commit()?;
        }
        Ok(step)
    }

    /// Commits how far the sink has come; to be called before the runner is dropped. What it still gathers, or could not
    /// deliver, comes again to its successor.
    pub fn finish(&mut self) -> Result<(), MemberError> {
        self.commit()
    }

    /// Starts assigned partitions at their positions. One whose commit is still under way waits for the next step.
    fn start_assigned(&mut self) -> Result<(), MemberError> {
        if self.unstarted.is_empty() {
            return Ok(());
        }
        let partitions: Vec<u32> = self.unstarted.iter().copied().collect();
        let Some(committed) = self.again(|member| member.committed(&partitions))? else { return Ok(()) };
        for (partition, committed) in partitions.into_iter().zip(committed) {
            let committed = committed.map(|committed| committed.offset);
            let Some((start, end)) = self.bounds(partition)? else { return Ok(()) };
            let next = match (committed, self.sink.from) {
                // Before the log's start nothing is left to deliver, beyond its end nothing is yet: the log was made anew.
                (Some(offset), _) if offset <= end => offset.max(start),
                (Some(_), _) | (None, Begin::Earliest) => start,
                (None, Begin::Latest) => end,
            };
            if self.again(|member| member.start(partition, next))?.is_none() {
                return Ok(());
            }
            if self.is_paused {
                self.again(|member| member.pause(partition))?;
            }
            tracing::info!(sink = self.sink.id, partition, offset = next, ?committed, "sink reads a partition");
            self.unstarted.remove(&partition);
            self.positions.insert(partition, Position { next, committed });
        }
        Ok(())
    }

    fn bounds(&mut self, partition: u32) -> Result<Option<(i64, i64)>, MemberError> {
        let topic = self.settings.anomalies.clone();
        self.again(|member| member.bounds(&topic, partition))
    }

    fn poll(&mut self, wait: Duration, step: &mut SinkStep) -> Result<(), MemberError> {
        let now = self.member.now();
        let due_in = self.next_due().map_or(wait, |due| due.saturating_sub(now).min(wait));
        let mut events = std::mem::take(&mut self.events);
        self.again(|member| member.poll(due_in, MOST_EVENTS, &mut events))?;
        for event in events.drain(..) {
            match event {
                Event::Assigned(partitions) => self.unstarted.extend(partitions),
                Event::Revoked(partitions) => partitions.into_iter().for_each(|partition| self.forget(partition)),
                Event::Record { partition, delivery } => self.take(partition, delivery, step),
                Event::End { .. } => {}
                Event::OutOfRange { partition } => self.start_over(partition),
            }
        }
        self.events = events;
        Ok(())
    }

    /// Time of the next delivery that only waiting brings about.
    fn next_due(&self) -> Option<Duration> {
        let due = self.held.next_due(self.sink.sink.gathers_for())?;
        Some(self.failure.as_ref().map_or(due, |failure| due.max(failure.next_attempt)))
    }

    fn forget(&mut self, partition: u32) {
        self.unstarted.remove(&partition);
        self.positions.remove(&partition);
        self.held.forget(partition);
        self.dead_letters.retain(|(from, _)| *from != partition);
    }

    /// Retention overtook the sink: what is gone cannot be delivered.
    fn start_over(&mut self, partition: u32) {
        let Some(position) = self.positions.remove(&partition) else { return };
        tracing::warn!(
            sink = self.sink.id,
            partition,
            offset = position.next,
            "anomalies expired before the sink took them; it goes on with the oldest that are left"
        );
        self.unstarted.insert(partition);
    }

    fn take(&mut self, partition: u32, delivery: Delivery, step: &mut SinkStep) {
        let Some(position) = self.positions.get_mut(&partition) else { return };
        let Delivery { offset, key, value, .. } = delivery;
        position.next = offset + 1;
        step.read += 1;
        match wire::anomaly(value) {
            Ok(anomaly) if self.sink.filter.admits(&anomaly) => {
                self.held.push(partition, offset, self.member.now(), anomaly);
            }
            Ok(_) => step.filtered += 1,
            Err((value, reason)) => {
                step.dead += 1;
                let topic = self.settings.dead.clone();
                // Partition 0 is there in any case.
                let count = self.member.partition_count(&topic).unwrap_or(1);
                let origin = Origin { topic: &self.settings.anomalies, partition, offset };
                let reason = format!("sink {}: {reason}", self.sink.id);
                let letter = dead_letter(&topic, count, origin, &key, bytes_of(value), &reason);
                self.dead_letters.push((partition, letter));
                self.settings.metrics.deliveries(self.sink.id.clone(), "dead", 1);
            }
        }
    }

    fn deliver(&mut self, step: &mut SinkStep) {
        let now = self.member.now();
        if self.failure.as_ref().is_some_and(|failure| now < failure.next_attempt) {
            return;
        }
        let due = self.held.due(now, self.sink.sink.gathers_for());
        if due.is_empty() {
            return;
        }
        let anomalies = self.held.anomalies(&due);
        let outcome = self.sink.sink.deliver(&anomalies);
        let took = self.member.now().saturating_sub(now);
        let metrics = &self.settings.metrics;
        metrics.delivery_duration(self.sink.id.clone(), took);
        let count = due.len();
        match outcome {
            Ok(()) => {
                metrics.deliveries(self.sink.id.clone(), "ok", count as u64);
                step.delivered += count;
                self.held.remove(&due);
                self.recovered(now);
            }
            Err(error) => {
                metrics.deliveries(self.sink.id.clone(), "failed", count as u64);
                self.failed(now, error.0, count);
            }
        }
    }

    /// Logged once, not with each attempt: an outage is one event.
    fn failed(&mut self, now: Duration, reason: String, waiting: usize) {
        let pause = match &self.failure {
            None => FIRST_PAUSE,
            Some(failure) => (failure.pause * 2).min(LONGEST_PAUSE),
        };
        if self.failure.as_ref().is_none_or(|failure| failure.reason != reason) {
            tracing::warn!(sink = self.sink.id, waiting, "sink fails and is retried: {reason}");
        }
        let began = self.failure.as_ref().map_or(now, |failure| failure.began);
        self.failure = Some(Failure { reason, began, pause, next_attempt: now + pause });
    }

    fn recovered(&mut self, now: Duration) {
        if let Some(failure) = self.failure.take() {
            let seconds = now.saturating_sub(failure.began).as_secs();
            tracing::info!(sink = self.sink.id, seconds, "sink works again, nothing was lost");
        }
    }

    /// Stops reading while too much is held, and goes on when half of it is gone.
    fn hold_back_or_go_on(&mut self) -> Result<(), MemberError> {
        let is_full = self.held.len() >= MOST_HELD;
        let has_room = self.held.len() <= MOST_HELD / 2;
        if is_full == self.is_paused || (self.is_paused && !has_room) {
            return Ok(());
        }
        let partitions: Vec<u32> = self.positions.keys().copied().collect();
        for partition in partitions {
            let done = self.again(|member| if is_full { member.pause(partition) } else { member.resume(partition) })?;
            if done.is_none() {
                // Both may be asked for again: the next step does all of them.
                return Ok(());
            }
        }
        self.is_paused = is_full;
        Ok(())
    }

    /// Commits how far everything is safe, with the letters of what was not to be delivered.
    fn commit(&mut self) -> Result<(), MemberError> {
        let offsets: Vec<OffsetCommit> = self
            .positions
            .iter()
            .filter_map(|(partition, position)| {
                let offset = self.held.first(*partition).unwrap_or(position.next);
                let commit = OffsetCommit { partition: *partition, offset, metadata: String::new() };
                (position.committed != Some(offset)).then_some(commit)
            })
            .collect();
        if offsets.is_empty() {
            return Ok(());
        }
        // A letter goes out once the position passes its record: before that it would go out again after a crash.
        let is_passed = |partition: u32, letter: &weir_bus::Message| {
            let passed = offsets.iter().find(|commit| commit.partition == partition);
            passed.is_some_and(|commit| origin_offset(letter).is_some_and(|offset| offset < commit.offset))
        };
        let (letters, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.dead_letters)
            .into_iter()
            .partition(|(partition, letter)| is_passed(*partition, letter));
        let messages = letters.iter().map(|(_, letter)| letter);
        let outcome = transact(&mut self.member, messages, &offsets, self.settings.patience);
        self.dead_letters = rest;
        match outcome? {
            Outcome::Committed => {
                self.committed_at = Some(self.member.now());
                for commit in offsets {
                    if let Some(position) = self.positions.get_mut(&commit.partition) {
                        position.committed = Some(commit.offset);
                    }
                }
            }
            Outcome::Aborted(error) => {
                tracing::debug!(sink = self.sink.id, "commit aborted, comes again: {error}");
                self.dead_letters.extend(letters);
            }
        }
        Ok(())
    }

    /// A call that may be made again with the next step; none if that is to be.
    fn again<T>(&mut self, call: impl FnOnce(&mut M) -> Result<T, MemberError>) -> Result<Option<T>, MemberError> {
        match call(&mut self.member) {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.remedy, Remedy::Retry | Remedy::Abort) => {
                tracing::debug!(sink = self.sink.id, "comes again: {error}");
                self.member.wait(RETRY_AFTER);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The offset of the record that a dead letter was made of.
fn origin_offset(letter: &weir_bus::Message) -> Option<i64> {
    let (_, value) = letter.headers.iter().find(|(name, _)| name == weir_bus::dead::SOURCE_OFFSET)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
