//! One revision as one line of JSON: the fields of an anomaly, nested, times in RFC 3339 with `Z`.

use weir_schemas::Anomaly;

use crate::text;

/// The line, without its line feed: the same object as [`weir_schemas::finding_json`], in the order of the record.
/// Control characters of names are escaped, so the line is safe on a terminal too.
#[must_use]
pub fn json_line(anomaly: &Anomaly) -> String {
    // Only maps with keys that are not text fail to serialise, and an anomaly has none.
    text::json_line(&serde_json::to_string(anomaly).unwrap_or_default())
}
