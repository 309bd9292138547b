//! `weir demo`: ends by itself, having found what was planted and nothing else.

use crate::run::weir;

#[test]
fn the_demo_finds_what_was_planted_and_says_what_to_try_next() {
    let run = weir(&["demo", "--fast"]);
    assert_eq!((run.status, run.complaint.as_str()), (Some(0), ""), "{run:?}");
    let (verdicts, table) = run.output.split_once("\n3 episodes of severity low or above.\n").unwrap();
    for part in ["opened   port_scan (syn): 10.0.0.66", "opened   host_sweep (tcp): 10.0.0.67", "opened   syn_flood"] {
        assert!(verdicts.contains(part), "{part:?} not in {verdicts}");
    }
    assert!(table.contains("3 of 3 planted attacks found, 0 false alerts."), "{table}");
    let next = table.split_once("What to try next\n").unwrap().1;
    assert_eq!(next.lines().filter(|line| line.starts_with("  weir ")).count(), 3, "{next}");
    assert!(!run.output.contains('\u{1b}'), "colour where there is no terminal: {run:?}");
}
