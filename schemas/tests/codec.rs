//! The codecs against `apache-avro`, and against bytes that nobody meant well.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use support::arbitrary::{any_partial, any_state};
use support::arbitrary_finding::any_finding;
use support::arbitrary_flow::any_record;
use support::{model, model_flow};
use weir_schemas::codec::{self, DecodeError, Decoder, HEADER_LENGTH};
use weir_schemas::{Record, schema};

struct Parsed {
    flow: Schema,
    finding: Schema,
    anomaly: Schema,
    partial: Schema,
    state: Schema,
}

static SCHEMAS: LazyLock<Parsed> = LazyLock::new(|| {
    let parse = |schema: schema::Schema| Schema::parse_str(schema.text).unwrap();
    Parsed {
        flow: parse(schema::FLOW),
        finding: parse(schema::FINDING),
        anomaly: parse(schema::ANOMALY),
        partial: parse(schema::PARTIAL),
        state: parse(schema::STATE),
    }
});

/// `apache-avro`'s encoding of a body. It checks the value against the schema.
fn avro_bytes(schema: &Schema, value: Value) -> Vec<u8> {
    GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn avro_value(schema: &Schema, mut body: &[u8]) -> Value {
    let value = GenericDatumReader::builder(schema).build().unwrap().read_value(&mut body).unwrap();
    assert!(body.is_empty());
    value
}

fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_record(record, &mut bytes);
    bytes
}

proptest! {
    #[test]
    fn records_are_byte_equal_to_apache_avro_and_come_back(record in any_record()) {
        let bytes = encoded(&record);
        prop_assert_eq!(codec::fingerprint(&bytes), Ok(schema::FLOW.fingerprint));
        let expected = avro_bytes(&SCHEMAS.flow, model_flow::flow_record(&record));
        prop_assert_eq!(&bytes[HEADER_LENGTH..], &expected[..]);
        prop_assert_eq!(codec::decode_record(&bytes), Ok(record));
    }

    #[test]
    fn partials_are_byte_equal_to_apache_avro_and_come_back(partial in any_partial()) {
        let mut bytes = Vec::new();
        codec::encode_partial(&partial, &mut bytes);
        let expected = avro_bytes(&SCHEMAS.partial, model::partial(&partial));
        prop_assert_eq!(&bytes[HEADER_LENGTH..], &expected[..]);
        prop_assert_eq!(codec::decode_partial(&bytes), Ok(partial));
    }

    #[test]
    fn state_slots_are_byte_equal_to_apache_avro_and_come_back(entry in any_state()) {
        let mut bytes = Vec::new();
        codec::encode_state(&entry, &mut bytes);
        let expected = avro_bytes(&SCHEMAS.state, model::state(&entry));
        prop_assert_eq!(&bytes[HEADER_LENGTH..], &expected[..]);
        prop_assert_eq!(codec::decode_state(&bytes), Ok(entry));
    }

    /// `apache-avro` writes maps in an order of its own, so here it reads ours and we read its.
    #[test]
    fn findings_and_anomalies_exchange_with_apache_avro(finding in any_finding()) {
        let value = model::finding(&finding);
        let mut bytes = Vec::new();
        codec::encode_finding(&finding, &mut bytes);
        prop_assert_eq!(&avro_value(&SCHEMAS.finding, &bytes[HEADER_LENGTH..]), &value);
        let mut theirs = bytes[..HEADER_LENGTH].to_vec();
        theirs.extend(avro_bytes(&SCHEMAS.finding, value.clone()));
        prop_assert_eq!(codec::decode_finding(&bytes), Ok(finding.clone()));
        prop_assert_eq!(codec::decode_finding(&theirs), Ok(finding.clone()));

        bytes.clear();
        codec::encode_anomaly(&finding, &mut bytes);
        prop_assert_eq!(&avro_value(&SCHEMAS.anomaly, &bytes[HEADER_LENGTH..]), &value);
        prop_assert_eq!(codec::decode_anomaly(&bytes), Ok(finding));
    }

    #[test]
    fn every_bit_of_a_number_survives(finding in any_finding(), bits: u64) {
        let mut finding = finding;
        finding.observed = f64::from_bits(bits);
        let mut bytes = Vec::new();
        codec::encode_finding(&finding, &mut bytes);
        let back = codec::decode_finding(&bytes).unwrap();
        prop_assert_eq!(back.observed.to_bits(), bits);
    }

    #[test]
    fn a_buffer_and_a_decoder_are_reused(records in proptest::collection::vec(any_record(), 1..8)) {
        let mut buffer = Vec::new();
        let mut ends = Vec::new();
        for record in &records {
            codec::encode_record(record, &mut buffer);
            ends.push(buffer.len());
        }
        let mut decoder = Decoder::new();
        let mut start = 0;
        for (record, end) in records.into_iter().zip(ends) {
            prop_assert_eq!(decoder.record(&buffer[start..end]), Ok(record));
            start = end;
        }
    }

    #[test]
    fn every_cut_is_told_and_so_is_every_byte_too_many(record in any_record()) {
        let mut bytes = encoded(&record);
        for end in 0..bytes.len() {
            let expected = if end < HEADER_LENGTH {
                DecodeError::NotSingleObject
            } else {
                DecodeError::Truncated { at: end }
            };
            match codec::decode_record(&bytes[..end]) {
                // Fewer bytes than an array claims items is told as such.
                Err(DecodeError::BadBlock { at }) => prop_assert!(at < end),
                other => prop_assert_eq!(other, Err(expected)),
            }
        }
        let length = bytes.len();
        bytes.push(0);
        prop_assert_eq!(codec::decode_record(&bytes), Err(DecodeError::TrailingBytes { at: length, count: 1 }));
    }

    /// Whatever decodes after damage encodes again, and that decodes to the same.
    #[test]
    fn damage_never_panics_and_never_makes_up_a_record(
        record in any_record(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = encoded(&record);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(record) = codec::decode_record(&bytes) {
            prop_assert_eq!(codec::decode_record(&encoded(&record)), Ok(record));
        }
    }

    #[test]
    fn random_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        let framed = |schema: schema::Schema| {
            let mut bytes = codec::MARKER.to_vec();
            bytes.extend_from_slice(&schema.fingerprint.to_le_bytes());
            bytes.extend_from_slice(&body);
            bytes
        };
        if let Ok(record) = codec::decode_record(&framed(schema::FLOW)) {
            prop_assert_eq!(codec::decode_record(&encoded(&record)), Ok(record));
        }
        if let Ok(entry) = codec::decode_state(&framed(schema::STATE)) {
            prop_assert!(entry.body.len() <= body.len());
        }
        if let Ok(finding) = codec::decode_finding(&framed(schema::FINDING)) {
            prop_assert!(finding.contributions.len() <= body.len());
        }
        if let Ok(partial) = codec::decode_partial(&framed(schema::PARTIAL)) {
            let mut bytes = Vec::new();
            codec::encode_partial(&partial, &mut bytes);
            prop_assert_eq!(codec::decode_partial(&bytes), Ok(partial));
        }
    }
}

/// A state slot's body: four small numbers around a text, easy to spoil byte by byte.
fn state_bytes(body: &[u8]) -> Vec<u8> {
    let mut bytes = codec::MARKER.to_vec();
    bytes.extend_from_slice(&schema::STATE.fingerprint.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn each_kind_of_damage_has_its_own_error() {
    let at = HEADER_LENGTH;
    let table: [(&[u8], DecodeError); 9] = [
        (&[], DecodeError::Truncated { at }),
        // v = -1.
        (&[0x01], DecodeError::OutOfRange { at, value: -1 }),
        // v = 2^32.
        (&[0x80, 0x80, 0x80, 0x80, 0x20], DecodeError::OutOfRange { at, value: 1 << 32 }),
        // v = 0 in two bytes.
        (&[0x80, 0x00], DecodeError::OverlongVarint { at }),
        // Eleven bytes.
        (&[0xff; 11], DecodeError::OverlongVarint { at }),
        // 65 bits.
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], DecodeError::OverlongVarint { at }),
        // A table name of -1 octets.
        (&[0, 0, 0x01], DecodeError::NegativeLength { at: at + 2 }),
        // A table name of 2^62 octets.
        (&[0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], DecodeError::Truncated { at: at + 12 }),
        (&[0, 0, 0x04, 0xc3, 0x28, 0, 0], DecodeError::BadUtf8 { at: at + 3 }),
    ];
    for (body, expected) in table {
        assert_eq!(codec::decode_state(&state_bytes(body)), Err(expected), "{body:02x?}");
    }
    assert_eq!(codec::decode_state(b"\x00\x00\x00\x00\x01"), Err(DecodeError::NotSingleObject));
    assert_eq!(codec::decode_state(b"{\"json\": \"text\"}"), Err(DecodeError::NotSingleObject));
}

#[test]
fn another_schema_is_named() {
    let bytes = state_bytes(&[0; 5]);
    let error = codec::decode_record(&bytes).unwrap_err();
    assert_eq!(
        error,
        DecodeError::UnknownSchema {
            fingerprint: schema::STATE.fingerprint,
            expected: "weir.FlowV1",
            expected_fingerprint: schema::FLOW.fingerprint,
        }
    );
    assert!(error.to_string().contains(&format!("{:016x}", schema::STATE.fingerprint)));
}

/// The sample mark, as a value that a test can spoil field by field.
fn spoilt(field: &str, value: Value) -> Result<Record, DecodeError> {
    let mark = weir_schemas::Mark {
        sensor: "edge".into(),
        site: "local".into(),
        boot: 1,
        seq: 1,
        t: 10,
        end: false,
        status: weir_schemas::MarkStatus::default(),
    };
    let mut record = model_flow::flow_record(&Record::Mark(Box::new(mark)));
    if let Value::Record(fields) = &mut record {
        fields.iter_mut().find(|(name, _)| name == field).unwrap().1 = value;
    }
    let mut bytes = codec::MARKER.to_vec();
    bytes.extend_from_slice(&schema::FLOW.fingerprint.to_le_bytes());
    bytes.extend(avro_bytes(&SCHEMAS.flow, record));
    codec::decode_record(&bytes)
}

#[test]
fn values_that_fit_the_schema_but_mean_nothing_are_told() {
    assert!(spoilt("kind", Value::Int(1)).is_ok());
    assert_eq!(spoilt("kind", Value::Int(2)), Err(DecodeError::Aggregate));
    assert_eq!(spoilt("kind", Value::Int(3)), Err(DecodeError::UnknownNumber { field: "kind", value: 3 }));
    assert_eq!(spoilt("kind", Value::Int(0)), Err(DecodeError::Blocks("flow")));
    assert_eq!(spoilt("mark", model::optional(None)), Err(DecodeError::Blocks("mark")));
    for (field, name) in [("initiator", "initiator"), ("outcome", "outcome"), ("end_reason", "end reason")] {
        let unknown = Err(DecodeError::UnknownNumber { field: name, value: 99 });
        assert_eq!(spoilt(field, Value::Int(99)), unknown);
    }
    assert!(matches!(spoilt("proto", Value::Int(256)), Err(DecodeError::OutOfRange { value: 256, .. })));
    let end = |ip: Vec<u8>, name: Option<&str>| {
        model::record([
            ("ip", Value::Bytes(ip)),
            ("port", Value::Int(0)),
            ("name", model::optional(name.map(model::text))),
            ("mac", model::optional(None)),
            ("country", model::optional(None)),
            ("asn", model::optional(None)),
        ])
    };
    assert!(matches!(spoilt("src", end(Vec::new(), None)), Err(DecodeError::NoHost { .. })));
    assert!(matches!(spoilt("src", end(vec![1; 5], None)), Err(DecodeError::BadAddress { length: 5, .. })));
    assert!(spoilt("src", end(Vec::new(), Some("printer"))).is_ok());
}

/// A vlan list as two blocks, the second with its size in bytes: writers other than ours may.
#[test]
fn arrays_in_several_blocks_are_read_and_false_sizes_refused() {
    let finding_labels = |blocks: &[u8]| {
        let mut bytes = codec::MARKER.to_vec();
        bytes.extend_from_slice(&schema::PARTIAL.fingerprint.to_le_bytes());
        // v, partition, partition_count, pane, rules_hash; no counts; a marker, not ended, complete.
        bytes.extend_from_slice(&[0; 4 + 8 + 1]);
        bytes.extend_from_slice(&[2, 0, 1]);
        bytes.extend_from_slice(blocks);
        // Its generation.
        bytes.push(0);
        codec::decode_partial(&bytes).map(|partial| match partial.body {
            weir_schemas::PartialBody::Marker { degraded, .. } => degraded,
            other @ weir_schemas::PartialBody::Counts(_) => panic!("{other:?}"),
        })
    };
    assert_eq!(finding_labels(&[2, 2, b'a', 1, 4, 2, b'b', 0]), Ok(vec!["a".to_owned(), "b".to_owned()]));
    let at = HEADER_LENGTH + 16;
    assert_eq!(finding_labels(&[1, 6, 2, b'b', 0]), Err(DecodeError::BadBlock { at }));
    assert_eq!(finding_labels(&[1, 2, 2, b'b', 0]), Err(DecodeError::BadBlock { at }));
    assert_eq!(finding_labels(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 0]), Err(DecodeError::BadBlock { at }));
    let least = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(finding_labels(&[&least[..], &[0]].concat()), Err(DecodeError::BadBlock { at }));
}
