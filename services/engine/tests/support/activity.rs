//! What the hosts of a clean log do.

use proptest::prelude::*;
use weir_schemas::{Flow, Outcome, SECOND_US};

use super::{attempt, transfer};

/// A stretch of activity, from which records are made.
#[derive(Clone, Debug)]
pub enum Activity {
    Scan { source: u8, target: u8, ports: u16, step_ms: i64 },
    Sweep { source: u8, targets: u8, port: u16, step_ms: i64 },
    Browse { source: u8, connections: u8, failing: u8 },
    Flood { target: u8, syn: u16 },
    Transfer { source: u8, target: u8, megabytes: u8 },
}

/// An activity and when it begins, s.
pub fn activity() -> impl Strategy<Value = (i64, Activity)> {
    let kinds = prop_oneof![
        (0_u8..6, 0_u8..6, 1_u16..60, prop::sample::select(vec![5_i64, 300, 4_000, 45_000]))
            .prop_map(|(source, target, ports, step_ms)| Activity::Scan { source, target, ports, step_ms }),
        (0_u8..6, 1_u8..70, 20_u16..25, prop::sample::select(vec![5_i64, 500, 9_000]))
            .prop_map(|(source, targets, port, step_ms)| Activity::Sweep { source, targets, port, step_ms }),
        (0_u8..6, 1_u8..60, 0_u8..40).prop_map(|(source, connections, failing)| Activity::Browse {
            source,
            connections,
            failing
        }),
        (0_u8..3, 100_u16..1_500).prop_map(|(target, syn)| Activity::Flood { target, syn }),
        (0_u8..6, 0_u8..3, 1_u8..60).prop_map(|(source, target, megabytes)| Activity::Transfer {
            source,
            target,
            megabytes
        }),
    ];
    (0_i64..1_200, kinds)
}

/// The flows of these activities, in no order.
pub fn flows_of(activities: &[(i64, Activity)]) -> Vec<Flow> {
    let mut flows = Vec::new();
    for (start, activity) in activities {
        let at = |step: i64, step_ms: i64| start * SECOND_US + step * step_ms * 1_000;
        match activity {
            Activity::Scan { source, target, ports, step_ms } => {
                flows.extend((0..*ports).map(|port| {
                    let outcome = if port % 3 == 0 { Outcome::Unanswered } else { Outcome::Refused };
                    let (source, target) = (format!("10.0.0.{source}"), format!("10.1.0.{target}"));
                    attempt(at(i64::from(port), *step_ms), &source, &target, 1_000 + port, outcome)
                }));
            }
            Activity::Sweep { source, targets, port, step_ms } => {
                flows.extend((0..*targets).map(|target| {
                    let outcome = if target % 9 == 0 { Outcome::Completed } else { Outcome::Unanswered };
                    let (source, target_name) = (format!("10.0.0.{source}"), format!("10.2.0.{target}"));
                    attempt(at(i64::from(target), *step_ms), &source, &target_name, *port, outcome)
                }));
            }
            Activity::Browse { source, connections, failing } => {
                flows.extend((0..*connections).map(|step| {
                    let outcome = if step < *failing { Outcome::Refused } else { Outcome::Completed };
                    let target = format!("10.3.0.{}", step % 7);
                    attempt(at(i64::from(step), 200), &format!("10.0.0.{source}"), &target, 443, outcome)
                }));
            }
            Activity::Flood { target, syn } => {
                flows.extend((0..*syn).map(|step| {
                    let source = format!("172.16.{}.{}", step / 250, step % 250);
                    attempt(at(i64::from(step), 3), &source, &format!("10.1.0.{target}"), 80, Outcome::Unanswered)
                }));
            }
            Activity::Transfer { source, target, megabytes } => {
                flows.extend((0..i64::from(*megabytes)).map(|step| {
                    let (source, target) = (format!("10.0.0.{source}"), format!("10.1.0.{target}"));
                    transfer(at(step, 900), &source, &target, 1_000_000)
                }));
            }
        }
    }
    flows
}
