//! Findings as JSON: the line that people and programs read, and the canonical form that equality tests compare.
//!
//! A number that is not finite has no JSON form and becomes null.

use serde_json::Value;

use crate::finding::Finding;

/// A finding as nested JSON: times in RFC 3339, `source` null or an object, provenance included.
#[must_use]
pub fn finding_json(finding: &Finding) -> Value {
    // Only maps with keys that are not text fail to serialise, and a finding has none.
    serde_json::to_value(finding).unwrap_or_default()
}

/// A finding without its provenance, keys sorted, no white space. Equal texts mean equal verdicts.
#[must_use]
pub fn canonical(finding: &Finding) -> String {
    let mut value = finding_json(finding);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("provenance");
    }
    // Sorted here, because serde_json keeps insertion order when any crate of a build asks for that.
    value.sort_all_objects();
    value.to_string()
}
