//! Values in and out: the one place that knows whether a message carries a Rust value or bytes.
//!
//! On the local bus a codec of the bus itself may encode and decode; then only Rust values arrive here.

use weir_bus::Value;
use weir_schemas::{Finding, StateEntry};

/// Decodes a finding from its bytes; an error says what is wrong with them.
pub type DecodeFinding = fn(&[u8]) -> Result<Finding, String>;

/// Why a message of the findings topic is not a finding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAFinding(pub(crate) String);

/// The finding that a value holds.
pub(crate) fn finding(value: &Value, decode: Option<DecodeFinding>) -> Result<Finding, NotAFinding> {
    match value {
        Value::Finding(finding) => Ok((**finding).clone()),
        Value::Bytes(bytes) => match decode {
            Some(decode) => decode(bytes).map_err(NotAFinding),
            None => Err(NotAFinding("bytes, and no codec to decode them with".to_owned())),
        },
        _ => Err(NotAFinding("a value of another kind".to_owned())),
    }
}

/// The state entry that a value holds, if it is one.
pub(crate) fn state_entry(value: Value) -> Option<StateEntry> {
    match value {
        Value::State(entry) => Some(*entry),
        _ => None,
    }
}
