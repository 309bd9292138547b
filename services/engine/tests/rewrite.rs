//! What a restore must read is bounded by the rewrites, however long the task has run and however often it restarted.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Comeback, Durable, Setup, Taking, attempt, identity, mark, number};
use weir_engine::{SourceTask, StageTask};
use weir_schemas::{Outcome, PANE_US, Record, SECOND_US};

/// Panes between two rewrites.
const REWRITE_PANES: usize = 90;

/// `panes` panes of one partition: a scan, failing and good connections in each, and a mark at its end. Event time is also
/// append time.
fn busy(panes: i64) -> Vec<Record> {
    let mut log = Vec::new();
    for pane in 0..panes {
        let at = |step: i64| pane * PANE_US + step * 100_000;
        for step in 0..20 {
            let source = format!("10.0.{}.{}", pane % 7, step % 5);
            let (target, port) = (format!("10.1.0.{}", step % 3), 1_000 + (pane % 50 * 20 + step) as u16);
            let outcome = if step % 4 == 0 { Outcome::Completed } else { Outcome::Refused };
            log.push(Record::Flow(Box::new(attempt(at(step), &source, &target, port, outcome))));
        }
        log.push(mark("s1", (pane + 1) * PANE_US, false));
    }
    let mut numbered: Vec<(i64, Record)> = log.into_iter().map(|record| (0, record)).collect();
    number(&mut numbered);
    numbered.into_iter().map(|(_, record)| record).collect()
}

fn event_time(record: &Record) -> i64 {
    match record {
        Record::Flow(flow) => flow.event_time,
        Record::Mark(mark) => mark.t,
    }
}

/// Entries that a restore from the newest commit reads.
fn to_be_read(durable: &Durable) -> usize {
    durable.entries().len()
}

/// Entries of each commit, in order.
fn per_commit(durable: &Durable) -> Vec<usize> {
    let mut commits = vec![0];
    for entry in &durable.state {
        *commits.last_mut().unwrap() += 1;
        if entry.table == "head" {
            commits.push(0);
        }
    }
    commits
}

#[test]
fn a_day_of_commits_is_restored_from_at_most_two_rewrites_of_them() {
    let setup = Setup::default();
    let mut durable = Durable::default();
    let mut task: SourceTask = durable.task(&setup, Comeback::Commit);
    let (mut most_read, mut slots) = (0, 0);
    for (offset, record) in busy(24 * 360).iter().enumerate() {
        task.apply(offset as i64, event_time(record), record);
        if matches!(record, Record::Mark(_)) {
            durable.commit(&mut task);
            most_read = most_read.max(to_be_read(&durable));
        }
    }
    let commits = per_commit(&durable);
    let busiest: usize = commits.windows(REWRITE_PANES).map(|commits| commits.iter().sum()).max().unwrap();
    slots = slots.max(60 + task.opened_len());
    assert!(most_read <= 2 * (busiest + slots), "{most_read} entries to read, {busiest} in 15 min");
    assert!(durable.published.rewrites >= 24 * 4 - 2, "{}", durable.published.rewrites);
    assert!(commits.len() > 8_000 && durable.state.len() > 20 * most_read, "a day is much more than that");
    let restored: SourceTask = durable.task(&setup, Comeback::Commit);
    assert_eq!((restored.position(), restored.state_bytes()), (task.position(), task.state_bytes()));
}

/// Was a bug: how far a rewrite was, and when the next was due, died with the process, so that `state_from` of a task that
/// crashed every few minutes never moved.
#[test]
fn a_task_that_crashes_every_few_minutes_rewrites_its_state_as_often_as_one_that_never_does() {
    let setup = Setup::default();
    let log: Vec<_> = busy(12 * 90).into_iter().map(|record| (event_time(&record), Some(record))).collect();
    let run = |panes_per_life: usize| {
        let mut durable = Durable::default();
        let mut most_read = 0;
        let mut task: SourceTask = durable.task(&setup, Comeback::Commit);
        let mut panes = 0;
        while (task.position() as usize) < log.len() {
            let offset = task.position();
            let (append_time, record) = &log[offset as usize];
            task.take(offset, *append_time, record);
            if matches!(record, Some(Record::Mark(_))) && !task.is_replaying() {
                durable.commit(&mut task);
                most_read = most_read.max(to_be_read(&durable));
                panes += 1;
                if panes % panes_per_life == 0 {
                    task = durable.task(&setup, Comeback::Commit);
                }
            }
        }
        (durable.published.rewrites, most_read)
    };
    let steady = run(usize::MAX);
    assert!(steady.0 >= 10, "{steady:?}");
    for panes_per_life in [1, 7, 89] {
        assert_eq!(run(panes_per_life), steady, "crashing after every {panes_per_life} panes");
    }
}

/// A partition without records writes its head with every commit all the same.
#[test]
fn the_heads_of_a_quiet_task_do_not_add_up() {
    let setup = Setup::default();
    let mut durable = Durable::default();
    let mut task: SourceTask = durable.task(&setup, Comeback::Commit);
    let append_time = support::EPOCH;
    for offset in 0..20_000 {
        task.apply_dead(offset, append_time + offset * SECOND_US);
        durable.commit(&mut task);
    }
    assert!(to_be_read(&durable) <= 4_000, "{}", to_be_read(&durable));
    let restored = SourceTask::restore_expired(identity(), setup.config, setup.profile, &durable.state, 0).unwrap();
    assert_eq!(restored.position(), 20_000);
}
