//! The codecs against fastavro, an implementation that shares no line with ours or with `apache-avro`.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use apache_avro::types::Value;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use support::arbitrary::{any_partial, any_state};
use support::arbitrary_finding::any_finding;
use support::arbitrary_flow::any_record;
use support::{model, model_flow};
use weir_schemas::{Finding, Partial, Record, StateEntry, codec};

/// Values of each schema.
const SAMPLES: usize = 300;

/// One value of any schema.
#[derive(Debug, PartialEq)]
enum Sample {
    Record(Record),
    Finding(Finding),
    Anomaly(Finding),
    Partial(Partial),
    State(StateEntry),
}

impl Sample {
    fn schema(&self) -> &'static str {
        match self {
            Self::Record(_) => "flow",
            Self::Finding(_) => "finding",
            Self::Anomaly(_) => "anomaly",
            Self::Partial(_) => "partial",
            Self::State(_) => "state",
        }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Record(record) => codec::encode_record(record, &mut bytes),
            Self::Finding(finding) => codec::encode_finding(finding, &mut bytes),
            Self::Anomaly(anomaly) => codec::encode_anomaly(anomaly, &mut bytes),
            Self::Partial(partial) => codec::encode_partial(partial, &mut bytes),
            Self::State(entry) => codec::encode_state(entry, &mut bytes),
        }
        bytes
    }

    fn model(&self) -> Value {
        match self {
            Self::Record(record) => model_flow::flow_record(record),
            Self::Finding(finding) | Self::Anomaly(finding) => model::finding(finding),
            Self::Partial(partial) => model::partial(partial),
            Self::State(entry) => model::state(entry),
        }
    }

    /// What `bytes` decode to, by the codec of this sample's schema.
    fn decoded_like(&self, bytes: &[u8]) -> Self {
        match self {
            Self::Record(_) => Self::Record(codec::decode_record(bytes).unwrap()),
            Self::Finding(_) => Self::Finding(codec::decode_finding(bytes).unwrap()),
            Self::Anomaly(_) => Self::Anomaly(codec::decode_anomaly(bytes).unwrap()),
            Self::Partial(_) => Self::Partial(codec::decode_partial(bytes).unwrap()),
            Self::State(_) => Self::State(codec::decode_state(bytes).unwrap()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A value as the script spells it.
fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Boolean(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Long(value) => json!(value),
        Value::Double(value) => json!({ "double": hex(&value.to_be_bytes()) }),
        Value::String(value) => json!(value),
        Value::Bytes(octets) | Value::Fixed(_, octets) => json!({ "octets": hex(octets) }),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        Value::Record(fields) => fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Value::Union(_, value) => plain(value),
        _ => serde_json::Value::Null,
    }
}

/// Values of one schema, the same in every run.
fn some_of<S: Strategy>(strategy: S, sample: impl Fn(S::Value) -> Sample) -> Vec<Sample> {
    let mut runner = TestRunner::deterministic();
    (0..SAMPLES).map(|_| sample(strategy.new_tree(&mut runner).unwrap().current())).collect()
}

fn samples() -> Vec<Sample> {
    let mut samples = some_of(any_record(), Sample::Record);
    samples.extend(some_of(any_finding(), Sample::Finding));
    samples.extend(some_of(any_finding(), Sample::Anomaly));
    samples.extend(some_of(any_partial(), Sample::Partial));
    samples.extend(some_of(any_state(), Sample::State));
    samples
}

#[test]
fn fastavro_reads_what_we_write_and_we_read_what_it_writes() {
    let samples = samples();
    let marks = samples.iter().filter(|sample| matches!(sample, Sample::Record(Record::Mark(_)))).count();
    assert!((1..SAMPLES).contains(&marks), "both kinds of record are among the samples");

    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("input.jsonl"), folder.path().join("output.hex"));
    let lines = samples.iter().fold(String::new(), |mut lines, sample| {
        let case =
            json!({ "schema": sample.schema(), "hex": hex(&sample.encoded()), "expected": plain(&sample.model()) });
        writeln!(lines, "{case}").unwrap();
        lines
    });
    std::fs::write(&input, lines).unwrap();

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = Command::new("python3")
        .args([root.join("tests/fastavro_check.py"), root.join("avro"), input, output.clone()])
        .output()
        .expect("environment: python3 is missing; install Python 3, then run: pip install fastavro");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

    let written = std::fs::read_to_string(&output).unwrap();
    assert_eq!(written.lines().count(), samples.len());
    for (sample, line) in samples.iter().zip(written.lines()) {
        assert_eq!(&sample.decoded_like(&unhex(line)), sample);
    }
}
