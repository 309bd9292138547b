//! Values in: the one place that knows whether a message carries a Rust value or bytes.
//!
//! What goes out are Rust values: a bus that sends bytes encodes them itself.

use weir_bus::Value;
use weir_schemas::{Finding, StateEntry, codec};

/// The finding that a value holds, if it holds one.
pub(crate) fn finding(value: Value) -> Result<Finding, Value> {
    match value {
        Value::Finding(finding) => Ok(*finding),
        Value::Bytes(bytes) => codec::decode_finding(&bytes).map_err(|_| Value::Bytes(bytes)),
        other => Err(other),
    }
}

/// The state entry that a value holds, if it is one.
pub(crate) fn state_entry(value: Value) -> Option<StateEntry> {
    match value {
        Value::State(entry) => Some(*entry),
        Value::Bytes(bytes) => codec::decode_state(&bytes).ok(),
        _ => None,
    }
}
