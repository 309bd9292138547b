//! A detector that dies at any append and is restored from the bus publishes what one that never dies does.
#![allow(clippy::unwrap_used)]

mod runs;
#[path = "../../engine/tests/support/mod.rs"]
mod support;

use proptest::prelude::*;
use runs::{Layout, published, run, run_with_failures};
use support::attempt;
use support::hostile::{self, Case, Damage};
use weir_bus::topic::Topics;
use weir_bus::{Message, Value, partition_of};
use weir_schemas::{Outcome, Record, SECOND_US};

/// A hostile log spread over partitions by source; what did not decode stays as bytes.
fn messages_of(case: &Case, partitions: u32) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut send = |partition: u32, key: String, value: Value| {
        messages.push(Message::new(Topics::default().flows(), partition, key, value));
    };
    for (_, record) in hostile::log_of(case) {
        match record {
            Some(Record::Flow(flow)) => {
                let key = flow.src.host.to_string();
                send(partition_of(&key, partitions), key, Value::Record(Record::Flow(flow)));
            }
            Some(Record::Mark(mark)) => (0..partitions).for_each(|partition| {
                send(partition, mark.sensor.to_string(), Value::Record(Record::Mark(mark.clone())));
            }),
            None => send(0, String::new(), Value::Bytes(vec![0xff; 3])),
        }
    }
    messages
}

/// Between partitions the order of the partials' log depends on who died when. What hangs on that order (how long a pane waits
/// for another partition, whether all ended at once) is told apart only where sensors neither stall nor end on the way.
fn without_stalls(mut case: Case) -> Case {
    for watcher in &mut case.watchers {
        (watcher.silent, watcher.forgetful, watcher.ends) = (None, None, None);
        watcher.lag = watcher.lag.min(7);
        watcher.restarts.iter_mut().for_each(|(_, with_end)| *with_end = false);
    }
    case.damages.retain(|(_, damage)| !matches!(damage, Damage::MarkAhead(_)));
    case
}

fn layout() -> impl Strategy<Value = Layout> {
    (
        1_u32..5,
        1_u32..3,
        prop::sample::select(vec![40_usize, 700, 20_000]),
        prop::sample::select(vec![1_usize, 30, 4_096]),
    )
        .prop_map(|(partitions, partials, chunk, batch)| Layout {
            chunk,
            batch,
            ..Layout::of(partitions, partials)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn deaths_change_nothing(
        case in hostile::case(),
        layout in layout(),
        fail_at in prop::collection::btree_set(1_usize..400, 1..12),
    ) {
        let case = if layout.partitions == 1 { case } else { without_stalls(case) };
        let messages = messages_of(&case, layout.partitions);
        let whole = run(&layout, messages.clone());
        let killed = run_with_failures(&layout, messages.clone(), fail_at.into_iter().collect());
        prop_assert_eq!(&killed.findings, &whole.findings);
        prop_assert_eq!(&killed.dead, &whole.dead);
        prop_assert_eq!(whole.source.read(), messages.len() as u64);
        prop_assert_eq!(&killed.source, &whole.source);
        prop_assert_eq!(&killed.site, &whole.site);
    }
}

/// Was a bug: a restart refills panes from before its commit, and dead-lettered what stood there once more.
#[test]
fn a_replay_dead_letters_nothing_twice() {
    let flows = (0..60).map(|step| {
        let mut flow = attempt(step * SECOND_US, "10.0.0.1", "10.0.0.2", 80, Outcome::Refused);
        if step % 9 == 4 {
            flow.last_time += 60 * SECOND_US;
        }
        flow
    });
    let messages = published(flows.collect(), 1);
    let layout = Layout { chunk: 10, batch: 5, ..Layout::of(1, 1) };
    let whole = run(&layout, messages.clone());
    let killed = run_with_failures(&layout, messages, vec![4, 8, 13, 14]);
    assert_eq!(whole.dead.len(), 7);
    assert_eq!(killed.dead, whole.dead);
}
