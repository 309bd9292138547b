//! Values in: the one place that knows whether a message carries a Rust value or bytes.
//!
//! What goes out are Rust values: a bus that sends bytes encodes them itself.

use weir_bus::Value;
use weir_schemas::{Anomaly, Finding, StateEntry, codec};

/// The finding that a value holds, or the value and why it holds none.
pub(crate) fn finding(value: Value) -> Result<Finding, (Value, String)> {
    match value {
        Value::Finding(finding) => Ok(*finding),
        Value::Bytes(bytes) => codec::decode_finding(&bytes).map_err(|error| (Value::Bytes(bytes), error.to_string())),
        other => Err((other, "not a finding".to_owned())),
    }
}

/// The anomaly that a value holds, or the value and why it holds none.
pub(crate) fn anomaly(value: Value) -> Result<Anomaly, (Value, String)> {
    match value {
        Value::Anomaly(anomaly) => Ok(*anomaly),
        Value::Bytes(bytes) => codec::decode_anomaly(&bytes).map_err(|error| (Value::Bytes(bytes), error.to_string())),
        other => Err((other, "not an anomaly".to_owned())),
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
