//! The demo ends by itself, having shown what its capture holds.

use crate::weir::weir;

#[test]
fn the_demo_shows_all_three_attacks_and_what_to_try_next() {
    let finished = weir(&["demo", "--fast"]);
    assert_eq!(finished.status, Some(0), "{finished:?}");
    for part in ["10.0.0.66", "10.0.0.67", "10.0.0.10", "weir analyze"] {
        assert!(finished.output.contains(part), "{part:?} not in {finished:?}");
    }
}
