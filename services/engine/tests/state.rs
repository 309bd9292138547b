//! Checkpoints as values: what they may cost, and what a restore refuses.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Setup, attempt, log_of};
use weir_engine::hash::HashSeed;
use weir_engine::image::UnreadableState;
use weir_engine::{Checkpoint, EngineConfig, Profile, SourceTask, StageTask, TaskIdentity};
use weir_schemas::{CommitMetadata, Flow, Outcome};

fn identity() -> TaskIdentity {
    TaskIdentity { topic: "weir.flows.v1".to_owned(), partition: 0, partition_count: 1 }
}

fn task(setup: &Setup) -> SourceTask {
    SourceTask::new(identity(), setup.config.clone(), setup.profile.clone(), 0)
}

/// Many sources, each scanning one target: more of everything than a pane close may write.
fn crowd(seconds: i64) -> Vec<Flow> {
    let scan = |step: i64| {
        let source = format!("10.0.{}.{}", step / 18 / 250, step / 18 % 250);
        attempt(step * 5_000, &source, "10.1.0.1", (step % 18) as u16, Outcome::Refused)
    };
    (0..seconds * 200).map(scan).collect()
}

/// Was a bug: episodes that had opened early went into the ledger without regard to what a pane close may write.
#[test]
fn a_pane_close_writes_at_most_64_kib() {
    let setup = Setup::default();
    let mut task = task(&setup);
    let (mut state_end, mut closed_before, mut most, mut rewrites) = (0, 0, 0, 0);
    for (offset, (append_time, record)) in log_of(crowd(120)).iter().enumerate() {
        task.apply(offset as i64, *append_time, record);
        let closed = task.counters().panes_closed;
        if closed == closed_before && !task.outbox().urgent {
            continue;
        }
        let panes = (closed - closed_before).max(1) as usize;
        closed_before = closed;
        let checkpoint = task.checkpoint(state_end);
        state_end += checkpoint.state.len() as i64;
        rewrites += usize::from(CommitMetadata::parse(&checkpoint.metadata).unwrap().state_from != 0);
        let bytes = |table: &str| -> usize {
            checkpoint.state.iter().filter(|e| e.table == table).map(|entry| entry.body.len()).sum()
        };
        let written: usize = ["summary", "five_minutes", "episode", "baseline"].map(bytes).iter().sum();
        most = most.max(written / panes);
        assert!(checkpoint.metadata.len() <= 256);
    }
    assert!(task.counters().deferred > 0, "the crowd was to exceed what a close may write");
    assert!(most > 32 << 10, "{most}");
    assert!(most <= 64 << 10, "{most} bytes at one pane close");
    assert_eq!(rewrites, 0, "fifteen minutes had not passed");
}

fn checkpoint() -> (Setup, Checkpoint) {
    let setup = Setup::default();
    let mut task = task(&setup);
    for (offset, (append_time, record)) in log_of(crowd(30)).iter().enumerate().take(3_000) {
        task.apply(offset as i64, *append_time, record);
    }
    let checkpoint = task.checkpoint(0);
    assert!(checkpoint.state.len() > 10);
    (setup, checkpoint)
}

fn restored(setup: &Setup, checkpoint: &Checkpoint) -> Result<SourceTask, UnreadableState> {
    let (config, profile) = (setup.config.clone(), setup.profile.clone());
    let commit = CommitMetadata::parse(&checkpoint.metadata).unwrap();
    SourceTask::restore(identity(), config, profile, &commit, checkpoint.offset, &checkpoint.state, 0)
}

#[test]
fn another_hash_seed_is_refused() {
    let (mut setup, checkpoint) = checkpoint();
    setup.config = EngineConfig { seed: HashSeed::from_bytes([7; 16]), ..setup.config };
    let error = restored(&setup, &checkpoint).err().unwrap();
    assert_eq!(error, UnreadableState::HashSeed);
    assert!(error.to_string().contains("hash_seed_file"), "{error}");
}

#[test]
fn state_of_another_release_is_refused_with_its_version() {
    let (setup, mut checkpoint) = checkpoint();
    checkpoint.state[3].v = 7;
    let error = restored(&setup, &checkpoint).err().unwrap();
    assert_eq!(error, UnreadableState::Version(7));
    assert!(error.to_string().contains("release"), "{error}");
}

#[test]
fn a_state_topic_that_is_not_ours_or_damaged_is_refused_and_never_panics() {
    let (setup, whole) = checkpoint();
    let mut strange = whole.clone();
    strange.state[0].table = "offsets".to_owned();
    assert_eq!(restored(&setup, &strange).err().unwrap(), UnreadableState::Table("offsets".to_owned()));
    for index in (0..whole.state.len()).filter(|index| whole.state[*index].body.len() > 1) {
        let mut cut = whole.clone();
        let half = cut.state[index].body.len() / 2;
        cut.state[index].body.truncate(half);
        assert!(matches!(restored(&setup, &cut), Err(UnreadableState::Body { .. })), "entry {index}");
    }
    let mut headless = whole.clone();
    headless.state.pop();
    assert_eq!(restored(&setup, &headless).err().unwrap(), UnreadableState::Epoch { committed: 1, found: None });
}

/// Was a bug: only findings until the first commit under the new rules said so, though open panes were older.
#[test]
fn findings_say_that_rules_changed_until_the_panes_of_the_old_ones_have_closed() {
    let (setup, first) = checkpoint();
    let classic = Setup { profile: Profile::named("classic", None).unwrap().into(), ..setup };
    let log = log_of(crowd(30));
    let findings = |commit_at: usize| {
        let mut task = restored(&classic, &first).unwrap();
        let mut findings = Vec::new();
        let mut state = first.state.clone();
        let mut applied = 0;
        while (task.position() as usize) < log.len() {
            let offset = task.position();
            task.apply(offset, log[offset as usize].0, &log[offset as usize].1);
            applied += 1;
            if applied == commit_at && !task.is_replaying() {
                let second = task.checkpoint(state.len() as i64);
                state.extend(second.state.clone());
                findings.extend(second.outbox.findings.clone());
                let all = Checkpoint { state: state.clone(), ..second };
                task = restored(&classic, &all).unwrap();
            }
        }
        findings.extend(task.outbox().findings.iter().cloned());
        findings.into_iter().map(support::canonical).collect::<Vec<_>>()
    };
    let uncommitted = findings(usize::MAX);
    assert!(uncommitted.iter().any(|finding| finding.degraded.contains(&"rules_changed".to_owned())));
    assert_eq!(findings(3_050), uncommitted);
}
