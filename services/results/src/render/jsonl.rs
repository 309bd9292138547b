//! One revision as one line of JSON: the fields of an anomaly, nested, times in RFC 3339 with `Z`.

use serde_json::{Map, Value, json};
use weir_schemas::Anomaly;

use crate::format::rfc3339;
use crate::text;

/// The line, without its line feed. Control characters of names are escaped, so the line is safe on a terminal too.
#[must_use]
pub fn json_line(anomaly: &Anomaly) -> String {
    text::json_line(&anomaly_json(anomaly).to_string())
}

fn anomaly_json(anomaly: &Anomaly) -> Value {
    // Every field serialises (string keys only), so this is an object.
    let mut value = serde_json::to_value(anomaly).unwrap_or_else(|_| Value::Object(Map::new()));
    value["episode_start"] = json!(rfc3339(anomaly.episode_start));
    value["window"] = json!({ "start": rfc3339(anomaly.window.start), "end": rfc3339(anomaly.window.end) });
    value["provenance"]["emitted_at"] = anomaly.provenance.emitted_at.map_or(Value::Null, |time| json!(rfc3339(time)));
    if let Some(flows) = value.pointer_mut("/evidence/flows").and_then(Value::as_array_mut) {
        for (shown, flow) in flows.iter_mut().zip(&anomaly.evidence.flows) {
            shown["first_time"] = json!(rfc3339(flow.first_time));
        }
    }
    value
}
