//! From what a group has committed, and what the state partition holds, to a task: the table of offsets.

use weir_schemas::{CommitMetadata, StateEntry};

use crate::member::{Member, MemberError};
use crate::shard::report::{Report, Restored, Row};
use crate::shard::settings::{ShardSettings, Start};
use crate::shard::task::{Place, Recovery, Refusal, ResetCause, Task};
use crate::shard::{ShardError, slot::Restoring};
use crate::{Delivery, Value};

/// Entries read of the state partition at a time.
const READ_AT_ONCE: usize = 4_096;

/// What an attempt came to.
pub(super) enum Attempt<T> {
    /// The task, and where its state partition ends.
    Task { task: Box<T>, state_end: i64, restored: Restored },
    /// Not yet; another attempt is to be made.
    NotYet,
}

/// What was decided, with what is to be told of it.
struct Decision {
    recovery: Recovery,
    row: Row,
    detail: String,
    epoch: u64,
    offset: i64,
}

/// The state partition as it is visible now.
struct State {
    entries: Vec<StateEntry>,
    end: i64,
    poison: usize,
}

impl State {
    fn newest_head(&self) -> Option<u64> {
        self.entries.iter().rev().find(|entry| entry.table == "head").map(|entry| entry.epoch)
    }

    /// The entries through the newest head: what follows it belongs to a commit that is not whole yet.
    fn through_head(mut self) -> Vec<StateEntry> {
        let last = self.entries.iter().rposition(|entry| entry.table == "head");
        self.entries.truncate(last.map_or(0, |last| last + 1));
        self.entries
    }
}

/// One attempt to make the task of a partition. Errors that a repetition may mend are [`Attempt::NotYet`] to the caller.
pub(super) fn attempt<M: Member, T: Task>(
    member: &mut M,
    settings: &ShardSettings,
    task_settings: &T::Settings,
    partition: u32,
    restoring: &mut Restoring,
    reports: &mut Vec<Report>,
) -> Result<Attempt<T>, ShardError> {
    let committed = member.committed(&[partition])?.into_iter().next().flatten();
    let partition_count = member.partition_count(&settings.input)?;
    let state_count = member.partition_count(&settings.state)?;
    if state_count < partition_count {
        return Err(ShardError::few_state_partitions(settings, state_count, partition_count));
    }
    let (log_start, log_end) = member.bounds(&settings.input, partition)?;
    let metadata = committed.as_ref().map(|committed| CommitMetadata::parse(&committed.metadata));
    let from = metadata.flatten().map_or(0, |metadata| metadata.state_from);
    let state = read_state(member, settings, partition, from)?;
    if state.poison > 0 {
        reports.push(Report::Poison { partition, entries: state.poison });
    }
    let (state_end, found) = (state.end, state.newest_head());

    let decision = match (committed, metadata.flatten()) {
        (None, _) => without_commit(settings, state, (log_start, log_end)),
        (Some(committed), None) => {
            let detail = format!("the group's offset {} was set by somebody else", committed.offset);
            reset(ResetCause::Operator, committed.offset, state, found.unwrap_or(0), detail)
        }
        (Some(committed), Some(commit)) => {
            let is_behind = found.is_none_or(|found| found < commit.epoch);
            if is_behind && member.now() < restoring.since + settings.state_patience {
                let shown = Some(found.unwrap_or(0));
                if restoring.told != shown {
                    restoring.told = shown;
                    reports.push(Report::Waiting { partition, committed: commit.epoch, found });
                }
                return Ok(Attempt::NotYet);
            }
            let offset = committed.offset;
            if is_behind {
                let detail = format!("the group committed epoch {}, the state topic shows {found:?}", commit.epoch);
                reset(ResetCause::StateLost, offset, state, commit.epoch, detail)
            } else if found != Some(commit.epoch) {
                let detail = format!("the state topic shows epoch {found:?}, the group committed {}", commit.epoch);
                reset(ResetCause::OffsetLost, offset, state, found.unwrap_or(0), detail)
            } else if offset > log_end {
                let detail = format!("offset {offset} is beyond the log's end {log_end}: the topic was made anew");
                reset(ResetCause::OffsetLost, log_start, state, commit.epoch, detail)
            } else {
                let row = if commit.replay_from < log_start { Row::Overtaken } else { Row::Normal };
                let entries = state.through_head();
                let recovery = Recovery::Resume { commit, offset, entries, log_start };
                Decision { recovery, row, detail: String::new(), epoch: commit.epoch, offset }
            }
        }
    };
    make(member, settings, task_settings, partition, restoring, decision, (log_start, log_end, state_end))
}

fn without_commit(settings: &ShardSettings, state: State, (log_start, log_end): (i64, i64)) -> Decision {
    let Some(epoch) = state.newest_head() else {
        let position = if settings.start == Start::Earliest { log_start } else { log_end };
        let recovery = Recovery::First { position };
        return Decision { recovery, row: Row::First, detail: String::new(), epoch: 0, offset: position };
    };
    let recovery = Recovery::Expired { entries: state.through_head(), log_start };
    Decision {
        recovery,
        row: Row::Expired,
        detail: "the group's commit is gone, its state is not".to_owned(),
        epoch,
        offset: log_start,
    }
}

fn reset(cause: ResetCause, position: i64, state: State, epoch: u64, detail: String) -> Decision {
    let epoch = epoch.max(state.newest_head().unwrap_or(0));
    let recovery = Recovery::Reset { position, entries: state.through_head(), epoch, cause };
    Decision { recovery, row: Row::Reset(cause), detail, epoch, offset: position }
}

fn make<M: Member, T: Task>(
    member: &mut M,
    settings: &ShardSettings,
    task_settings: &T::Settings,
    partition: u32,
    restoring: &Restoring,
    decision: Decision,
    (log_start, log_end, state_end): (i64, i64, i64),
) -> Result<Attempt<T>, ShardError> {
    let partition_count = member.partition_count(&settings.input)?;
    let place = || Place { topic: settings.input.clone(), partition, partition_count };
    let Decision { mut recovery, mut row, mut detail, epoch, offset } = decision;
    if let Recovery::Reset { position, .. } = &mut recovery {
        *position = (*position).clamp(log_start, log_end);
    }
    let entries = match &recovery {
        Recovery::First { .. } => 0,
        Recovery::Resume { entries, .. } | Recovery::Expired { entries, .. } | Recovery::Reset { entries, .. } => {
            entries.len()
        }
    };
    let fallback = offset.clamp(log_start, log_end);
    let task = match T::recover(task_settings, place(), recovery) {
        Ok(task) => task,
        Err(Refusal::Environment(detail)) => {
            return Err(ShardError::Environment(format!("{}/{partition}: {detail}", settings.input)));
        }
        Err(Refusal::Unreadable(why)) => {
            row = Row::Reset(ResetCause::StateLost);
            detail = why;
            let recovery =
                Recovery::Reset { position: fallback, entries: Vec::new(), epoch, cause: ResetCause::StateLost };
            T::recover(task_settings, place(), recovery)
                .map_err(|refusal| ShardError::Environment(format!("{}/{partition}: {refusal}", settings.input)))?
        }
    };
    let position = task.position();
    member.start(partition, position)?;
    let restored = Restored {
        partition,
        row,
        detail,
        epoch,
        offset,
        position,
        margin: position - log_start,
        entries,
        took: member.now().saturating_sub(restoring.since),
    };
    Ok(Attempt::Task { task: Box::new(task), state_end, restored })
}

/// All that is visible of a state partition from `from` on.
fn read_state<M: Member>(
    member: &mut M,
    settings: &ShardSettings,
    partition: u32,
    from: i64,
) -> Result<State, MemberError> {
    let (start, end) = member.bounds(&settings.state, partition)?;
    let mut state = State { entries: Vec::new(), end, poison: 0 };
    let mut deliveries: Vec<Delivery> = Vec::new();
    let mut next = from.max(start);
    loop {
        let is_end = member.read(&settings.state, partition, next, READ_AT_ONCE, &mut deliveries)?;
        for delivery in deliveries.drain(..) {
            next = delivery.offset + 1;
            match delivery.value {
                Value::State(entry) => state.entries.push(*entry),
                _ => state.poison += 1,
            }
        }
        if is_end {
            return Ok(state);
        }
    }
}
