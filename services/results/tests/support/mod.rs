//! What the golden tests share: sample findings and flows, and the comparison with a golden file.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::PathBuf;

pub mod flows;
pub mod sample;

/// Set to write the golden files anew: `WEIR_UPDATE_GOLDEN=1 cargo test -p weir-results`, then read the difference.
const UPDATE: &str = "WEIR_UPDATE_GOLDEN";

/// Compares values with those in `tests/golden/NAME`, or writes them.
pub fn assert_golden_json(name: &str, actual: &[serde_json::Value]) {
    let text = serde_json::to_string_pretty(actual).unwrap() + "\n";
    let expected = golden(name, &text);
    let expected: Vec<serde_json::Value> = serde_json::from_str(&expected).unwrap();
    assert_eq!(actual, expected, "{name} differs; if the new values are better, set {UPDATE}=1");
}

/// Compares with `tests/golden/NAME`, or writes it.
pub fn assert_golden(name: &str, actual: &str) {
    let expected = golden(name, actual);
    assert_eq!(actual, expected, "{name} differs; if the new text is better, set {UPDATE}=1");
}

fn golden(name: &str, actual: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    std::fs::read_to_string(&path).unwrap()
}
