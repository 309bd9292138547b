//! A shard: one member, its transactions, and a task for each partition that the group gave it.
//!
//! One thread owns it and calls [`Shard::step`]. Tasks are pure, so what a crash or a lost partition leaves behind is the last
//! commit, and whoever comes next goes on from there (DESIGN §5, "Commit, rebalance, restore").

mod align;
mod report;
mod restore;
mod settings;
mod slot;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_schemas::Micros;

pub use report::{Report, Restored, Row, Weight};
pub use settings::{ShardSettings, Start};
pub use task::{Due, PartitionCounts, Place, Recovery, Refusal, ResetCause, Sealed, Task};

use crate::member::{Event, Member, MemberError, OffsetCommit, Remedy};
use crate::transaction::{Outcome, transact};
use crate::wire::AvroCodec;
use align::{Alignment, no_later};
use restore::Attempt;
use slot::{Restoring, Running, Slot};

/// Events taken per poll.
const POLL_AT_ONCE: usize = 256;

/// Pause before a partition's task is tried to be made again.
const RESTORE_PAUSE: Duration = Duration::from_millis(200);

/// Pause before a given-up transaction is tried again.
const TRANSACTION_PAUSE: Duration = Duration::from_millis(100);

/// How often partition counts are looked up, and the end of each state partition.
const REFRESH_EVERY: Duration = Duration::from_secs(30);

/// Why a shard stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Environment: somebody must act; started again, it would end alike.
    #[error("{0}")]
    Environment(String),
    /// Another member took this one's place; its tasks are dropped. Started again, it would take part again.
    #[error("another member took this one's place: {0}")]
    Fenced(String),
    /// Only a fresh process helps.
    #[error("{0}")]
    Restart(String),
    /// A repetition may help; [`Shard::step`] never returns it.
    #[error("{0}")]
    Passing(String),
}

impl From<MemberError> for ShardError {
    fn from(error: MemberError) -> Self {
        match error.remedy {
            Remedy::Retry | Remedy::Abort => Self::Passing(error.detail),
            Remedy::Leave => Self::Fenced(error.detail),
            Remedy::Restart => Self::Restart(error.detail),
        }
    }
}

impl ShardError {
    fn few_state_partitions(settings: &ShardSettings, have: u32, need: u32) -> Self {
        let ShardSettings { input, state, .. } = settings;
        Self::Environment(format!(
            "topic {state} has {have} partitions, {input} has {need}: each needs its own; run `weir topics grow {state} {need}`"
        ))
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records taken.
    pub taken: usize,
    /// A transaction took place.
    pub committed: bool,
}

/// A shard.
pub struct Shard<M: Member, T: Task> {
    member: M,
    settings: ShardSettings,
    task_settings: T::Settings,
    codec: AvroCodec,
    slots: BTreeMap<u32, Slot<T>>,
    /// Assigned beyond what may be taken.
    refused: BTreeSet<u32>,
    was_assigned: bool,
    counts: PartitionCounts,
    input_count: u32,
    refreshed_at: Option<Duration>,
    alignment: Alignment,
    /// Records wait that may be taken.
    has_work: bool,
    /// No transaction before this.
    not_before: Duration,
    committed_at: Option<Duration>,
    /// What is due waits for this.
    commits_at: Option<Duration>,
    failing_since: Option<Duration>,
    events: Vec<Event>,
    reports: Vec<Report>,
}

impl<M: Member, T: Task> Shard<M, T> {
    /// A shard that owns nothing yet.
    pub fn new(member: M, settings: ShardSettings, task_settings: T::Settings) -> Self {
        Self {
            member,
            settings,
            task_settings,
            codec: AvroCodec::default(),
            slots: BTreeMap::new(),
            refused: BTreeSet::new(),
            was_assigned: false,
            counts: PartitionCounts::new(),
            input_count: 0,
            refreshed_at: None,
            alignment: Alignment::default(),
            has_work: false,
            not_before: Duration::ZERO,
            committed_at: None,
            commits_at: None,
            failing_since: None,
            events: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Restores, polls for up to `wait` where there is nothing else to do, takes records, commits what is due.
    ///
    /// # Errors
    /// Whatever a repetition does not mend, and what it has not mended for the settings' patience.
    pub fn step(&mut self, wait: Duration) -> Result<Progress, ShardError> {
        match self.attempt(wait) {
            Ok(progress) => Ok(progress),
            Err(ShardError::Passing(detail)) => {
                self.note_trouble(detail)?;
                Ok(Progress::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Commits what is at hand. For an orderly end: the successor then reads nothing twice.
    ///
    /// # Errors
    /// As [`Shard::step`]; nothing is lost by them.
    pub fn finish(&mut self) -> Result<(), ShardError> {
        for slot in self.slots.values_mut() {
            if let Slot::Running(running) = slot {
                running.owes_commit |= running.uncommitted > 0;
            }
        }
        self.committed_at = None;
        self.commit().map(drop)
    }

    /// What happened since the last call.
    pub fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// Whether the group has given what it gives, and all of it is restored.
    pub fn is_ready(&self) -> bool {
        self.was_assigned
            && self.slots.values().all(|slot| matches!(slot, Slot::Running(running) if running.is_caught_up()))
    }

    /// The tasks that take records, by partition.
    pub fn tasks(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().filter_map(|(partition, slot)| match slot {
            Slot::Running(running) => Some((*partition, &running.task)),
            Slot::Restoring(_) => None,
        })
    }

    /// Append time of the last record that each task took, µs.
    pub fn appended(&self) -> impl Iterator<Item = (u32, Micros)> {
        self.slots.iter().filter_map(|(partition, slot)| match slot {
            Slot::Running(running) => running.appended.map(|appended| (*partition, appended)),
            Slot::Restoring(_) => None,
        })
    }

    /// How many records each task is behind the end of its partition, to be asked every now and then.
    ///
    /// # Errors
    /// As the member's.
    pub fn lags(&mut self) -> Result<Vec<(u32, i64)>, MemberError> {
        let mut lags = Vec::new();
        for (partition, slot) in &mut self.slots {
            let Slot::Running(running) = slot else { continue };
            let (_, end) = self.member.bounds(&self.settings.input, *partition)?;
            lags.push((*partition, running.lag(end)));
        }
        Ok(lags)
    }

    /// The member.
    pub fn member(&self) -> &M {
        &self.member
    }

    /// The member, for what is none of the shard's business.
    pub fn member_mut(&mut self) -> &mut M {
        &mut self.member
    }

    fn attempt(&mut self, wait: Duration) -> Result<Progress, ShardError> {
        self.refresh()?;
        self.restore()?;
        self.poll(wait)?;
        let taken = self.take()?;
        let committed = self.commit()?;
        self.note_caught_up();
        if committed || !self.is_committing() {
            self.failing_since = None;
        }
        Ok(Progress { taken, committed })
    }

    /// A commit is under way that has not got through yet.
    fn is_committing(&self) -> bool {
        self.slots.values().any(|slot| matches!(slot, Slot::Running(running) if running.sealed.is_some()))
    }

    fn note_trouble(&mut self, detail: String) -> Result<(), ShardError> {
        let now = self.member.now();
        let since = *self.failing_since.get_or_insert(now);
        if now >= since + self.settings.patience {
            let seconds = self.settings.patience.as_secs();
            return Err(ShardError::Restart(format!("no progress for {seconds} s: {detail}")));
        }
        self.reports.push(Report::Trouble { detail });
        self.member.wait(TRANSACTION_PAUSE);
        Ok(())
    }

    /// Looks up the partition counts, at the start and every now and then.
    fn refresh(&mut self) -> Result<(), ShardError> {
        let now = self.member.now();
        if self.refreshed_at.is_some_and(|refreshed_at| now < refreshed_at + REFRESH_EVERY) {
            return Ok(());
        }
        let input_count = self.member.partition_count(&self.settings.input)?;
        let state_count = self.member.partition_count(&self.settings.state)?;
        if state_count < input_count {
            return Err(ShardError::few_state_partitions(&self.settings, state_count, input_count));
        }
        for topic in &self.settings.outputs {
            let count = self.member.partition_count(topic)?;
            self.counts.insert(topic.clone(), count);
        }
        if input_count != self.input_count {
            if self.input_count > 0 {
                self.reports.push(Report::Grown { partitions: input_count });
            }
            self.input_count = input_count;
            for slot in self.slots.values_mut() {
                if let Slot::Running(running) = slot {
                    running.task.set_partition_count(input_count);
                }
            }
        }
        self.refreshed_at = Some(now);
        Ok(())
    }

    /// One attempt for each partition that has no task yet.
    fn restore(&mut self) -> Result<(), ShardError> {
        let now = self.member.now();
        for (partition, slot) in &mut self.slots {
            let Slot::Restoring(restoring) = slot else { continue };
            if now < restoring.not_before {
                continue;
            }
            restoring.not_before = now + RESTORE_PAUSE;
            let attempt = restore::attempt::<M, T>(
                &mut self.member,
                &self.settings,
                &self.task_settings,
                *partition,
                restoring,
                &mut self.reports,
            )?;
            if let Attempt::Task { task, state_end, restored } = attempt {
                // What was decided without a commit to go by must not be decided otherwise next time.
                let owes_commit = !matches!(restored.row, Row::Normal);
                let running = Running::new(*task, restoring.since, now, state_end, owes_commit);
                self.reports.push(Report::Restored(restored));
                *slot = Slot::Running(Box::new(running));
            }
        }
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> Result<(), ShardError> {
        let mut wait = if self.has_work { Duration::ZERO } else { wait };
        if let Some(commits_at) = self.commits_at {
            wait = wait.min(commits_at.saturating_sub(self.member.now()));
        }
        let mut events = std::mem::take(&mut self.events);
        let polled = self.member.poll(wait, POLL_AT_ONCE, &mut events);
        for event in events.drain(..) {
            self.note(event);
        }
        self.events = events;
        self.has_work = false;
        Ok(polled?)
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Record { partition, delivery } => {
                if let Some(Slot::Running(running)) = self.slots.get_mut(&partition) {
                    running.is_at_end = false;
                    running.has_met_end = false;
                    running.pending.push_back(delivery);
                }
            }
            Event::End { partition } => {
                if let Some(Slot::Running(running)) = self.slots.get_mut(&partition) {
                    running.is_at_end = true;
                    running.has_met_end = true;
                }
            }
            Event::Assigned(partitions) => {
                self.was_assigned = true;
                if partitions.is_empty() {
                    return;
                }
                self.refreshed_at = None;
                self.refused.extend(&partitions);
                self.reports.push(Report::Assigned(partitions));
                self.admit();
            }
            Event::Revoked(partitions) => {
                for partition in &partitions {
                    self.slots.remove(partition);
                    self.refused.remove(partition);
                }
                self.reports.push(Report::Revoked(partitions));
                self.admit();
            }
            Event::OutOfRange { partition } => {
                if self.slots.remove(&partition).is_some() {
                    self.refused.insert(partition);
                    self.reports.push(Report::Overtaken { partition });
                    self.admit();
                }
            }
        }
    }

    /// Takes on what was assigned, as far as it may.
    fn admit(&mut self) {
        let since = self.member.now();
        let most = self.settings.max_partitions.map_or(usize::MAX, |most| most as usize);
        while self.slots.len() < most {
            let Some(partition) = self.refused.pop_first() else { return };
            let restoring = Restoring { since, told: None, not_before: Duration::ZERO };
            self.slots.insert(partition, Slot::Restoring(restoring));
        }
        if !self.refused.is_empty() {
            self.reports.push(Report::Refused(self.refused.iter().copied().collect()));
        }
    }

    /// Gives each task what was delivered for it.
    fn take(&mut self) -> Result<usize, ShardError> {
        let horizon = self.horizon()?;
        let mut taken = 0;
        for (partition, slot) in &mut self.slots {
            let Slot::Running(running) = slot else { continue };
            while running.sealed.is_none() && running.task.due() < Due::AtOnce {
                if let Some(horizon) = horizon
                    && running.task.watermark().is_some_and(|watermark| watermark > horizon)
                {
                    break;
                }
                let Some(mut delivery) = running.pending.pop_front() else { break };
                self.codec.open(&self.settings.input, &mut delivery);
                running.take(delivery);
                taken += 1;
            }
            let held = running.pending.len();
            if held >= self.settings.pending && !running.is_paused {
                self.member.pause(*partition)?;
                running.is_paused = true;
            } else if held <= self.settings.pending / 8 && running.is_paused {
                self.member.resume(*partition)?;
                running.is_paused = false;
            }
        }
        Ok(taken)
    }

    /// The event time that tasks may not pass for now; none where nothing holds them.
    fn horizon(&mut self) -> Result<Option<Micros>, ShardError> {
        let Some(ahead) = self.settings.ahead else { return Ok(None) };
        let now = self.member.now();
        let behind = self.member.time_of_day().saturating_sub(self.settings.behind);
        let mut is_behind = false;
        let mut slowest = Micros::MAX;
        for slot in self.slots.values() {
            let Slot::Running(running) = slot else {
                slowest = Micros::MIN;
                continue;
            };
            is_behind |= running.pending.front().is_some_and(|next| next.append_time < behind);
            if running.has_more() {
                slowest = slowest.min(no_later(running.task.watermark()));
            }
        }
        if !is_behind {
            return Ok(None);
        }
        let slots = &self.slots;
        self.alignment.look(&mut self.member, self.input_count, |partition| slots.contains_key(&partition))?;
        Ok(self.alignment.horizon(now, slowest, ahead, self.settings.ahead_patience))
    }

    /// Commits, in one transaction, whatever is due.
    fn commit(&mut self) -> Result<bool, ShardError> {
        let now = self.member.now();
        if now < self.not_before {
            return Ok(false);
        }
        self.commits_at = None;
        let (records, interval) = (self.settings.commit_records, self.settings.commit_interval);
        if !self.has_urgent()
            && let Some(commits_at) = self.committed_at.map(|at| at + self.settings.commit_pause)
            && now < commits_at
        {
            let is_due =
                |slot: &Slot<T>| matches!(slot, Slot::Running(running) if running.is_due(now, records, interval));
            self.commits_at = self.slots.values().any(is_due).then_some(commits_at);
            return Ok(false);
        }
        let mut due = Vec::new();
        for (partition, slot) in &mut self.slots {
            let Slot::Running(running) = slot else { continue };
            if !running.is_due(now, records, interval) {
                continue;
            }
            if running.sealed.is_none() {
                if now >= running.state_end_at + REFRESH_EVERY {
                    running.state_end = self.member.bounds(&self.settings.state, *partition)?.1;
                    running.state_end_at = now;
                }
                running.sealed = Some(running.task.seal(running.state_end, &self.counts));
            }
            due.push(*partition);
        }
        if due.is_empty() {
            return Ok(false);
        }
        self.publish(&due)
    }

    /// Whether a commit must not wait for others: outputs that are urgent, or one that has not got through yet.
    fn has_urgent(&self) -> bool {
        self.slots.values().any(|slot| match slot {
            Slot::Running(running) => running.sealed.is_some() || running.task.due() == Due::AtOnce,
            Slot::Restoring(_) => false,
        })
    }

    fn publish(&mut self, due: &[u32]) -> Result<bool, ShardError> {
        let began = self.member.now();
        let sealed: Vec<(u32, &Sealed)> = due
            .iter()
            .filter_map(|partition| match self.slots.get(partition) {
                Some(Slot::Running(running)) => running.sealed.as_ref().map(|sealed| (*partition, sealed)),
                _ => None,
            })
            .collect();
        let offsets: Vec<OffsetCommit> = sealed
            .iter()
            .map(|(partition, sealed)| OffsetCommit {
                partition: *partition,
                offset: sealed.offset,
                metadata: sealed.metadata.clone(),
            })
            .collect();
        let count = sealed.iter().map(|(_, sealed)| sealed.messages.len()).sum();
        let messages = sealed.iter().flat_map(|(_, sealed)| &sealed.messages);
        let outcome = transact(&mut self.member, messages, &offsets, self.settings.patience)?;
        let now = self.member.now();
        match outcome {
            Outcome::Committed => {
                for partition in due {
                    let Some(Slot::Running(running)) = self.slots.get_mut(partition) else { continue };
                    running.sealed = None;
                    running.uncommitted = 0;
                    running.owes_commit = false;
                    running.committed_at = now;
                    self.has_work |= !running.pending.is_empty();
                }
                self.committed_at = Some(now);
                let took = now.saturating_sub(began);
                self.reports.push(Report::Committed { partitions: due.to_vec(), messages: count, took });
                Ok(true)
            }
            Outcome::Aborted(error) => {
                self.not_before = now + TRANSACTION_PAUSE;
                self.reports.push(Report::Aborted { detail: error.detail.clone() });
                let since = *self.failing_since.get_or_insert(now);
                if now >= since + self.settings.patience {
                    return Err(ShardError::Restart(format!("no transaction got through: {error}")));
                }
                Ok(false)
            }
        }
    }

    fn note_caught_up(&mut self) {
        let now = self.member.now();
        for (partition, slot) in &mut self.slots {
            let Slot::Running(running) = slot else { continue };
            if running.replayed.is_some()
                && running.is_caught_up()
                && let Some(replayed) = running.replayed.take()
            {
                let took = now.saturating_sub(running.since);
                self.reports.push(Report::CaughtUp { partition: *partition, replayed, took });
            }
        }
    }
}
