//! The wire format: values as Avro single-object encoding, told apart by their schema's fingerprint.

use std::cell::RefCell;

use weir_schemas::{codec, schema};

use crate::codec::{Codec, CodecError};
use crate::{Delivery, Value};

/// Encodes and decodes every kind of value that topics hold.
#[derive(Debug, Default)]
pub struct AvroCodec {
    /// Shares texts that repeat; one thread owns a bus, so nobody else borrows it.
    decoder: RefCell<codec::Decoder>,
}

impl AvroCodec {
    /// Decodes a value that came as it was sent; what cannot be decoded stays as it is.
    pub(crate) fn open(&self, topic: &str, delivery: &mut Delivery) {
        if let Value::Bytes(bytes) = &delivery.value
            && let Ok(value) = self.decode(topic, bytes)
        {
            delivery.value = value;
        }
    }
}

impl Codec for AvroCodec {
    fn encode(&self, value: &Value) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        match value {
            Value::Record(record) => codec::encode_record(record, &mut bytes),
            Value::Partial(partial) => codec::encode_partial(partial, &mut bytes),
            Value::Finding(finding) => codec::encode_finding(finding, &mut bytes),
            Value::Anomaly(anomaly) => codec::encode_anomaly(anomaly, &mut bytes),
            Value::State(entry) => codec::encode_state(entry, &mut bytes),
            Value::Bytes(wire) => bytes.extend_from_slice(wire),
        }
        bytes
    }

    fn decode(&self, topic: &str, bytes: &[u8]) -> Result<Value, CodecError> {
        let fault = |error: codec::DecodeError| CodecError(format!("{topic}: {error}"));
        let fingerprint = codec::fingerprint(bytes).map_err(fault)?;
        let mut decoder = self.decoder.borrow_mut();
        let value = if fingerprint == schema::FLOW.fingerprint {
            decoder.record(bytes).map(Value::Record)
        } else if fingerprint == schema::PARTIAL.fingerprint {
            decoder.partial(bytes).map(|partial| Value::Partial(Box::new(partial)))
        } else if fingerprint == schema::FINDING.fingerprint {
            decoder.finding(bytes).map(|finding| Value::Finding(Box::new(finding)))
        } else if fingerprint == schema::ANOMALY.fingerprint {
            decoder.anomaly(bytes).map(|anomaly| Value::Anomaly(Box::new(anomaly)))
        } else {
            decoder.state(bytes).map(|entry| Value::State(Box::new(entry)))
        };
        value.map_err(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schemas::{Mark, MarkStatus, Record, StateEntry};

    #[test]
    fn values_come_back_as_what_they_were() {
        let mark = Mark {
            sensor: "s".into(),
            site: "lab".into(),
            boot: 1,
            seq: 2,
            t: 3,
            end: true,
            status: MarkStatus::default(),
        };
        let entry = StateEntry { v: 1, epoch: 2, table: "head".to_owned(), slot: 0, body: vec![1, 2] };
        let codec = AvroCodec::default();
        for value in [Value::Record(Record::Mark(Box::new(mark))), Value::State(Box::new(entry))] {
            assert_eq!(codec.decode("t", &codec.encode(&value)), Ok(value));
        }
    }

    #[test]
    fn what_cannot_be_opened_stays_as_it_is_with_its_key() {
        let entry = StateEntry { v: 1, epoch: 2, table: "head".to_owned(), slot: 0, body: vec![1, 2] };
        let value = Value::State(Box::new(entry));
        let codec = AvroCodec::default();
        let delivery = |bytes: &[u8]| {
            let (key, value) = ("10.0.0.1".to_owned(), Value::Bytes(bytes.to_vec()));
            Delivery { offset: 7, append_time: 1, key, value, headers: Vec::new() }
        };
        let bytes = codec.encode(&value);
        let mut whole = delivery(&bytes);
        codec.open("t", &mut whole);
        assert_eq!(whole, Delivery { value, ..delivery(&[]) });
        let cut = delivery(&bytes[..bytes.len() - 1]);
        let mut opened = cut.clone();
        codec.open("t", &mut opened);
        assert_eq!(opened, cut);
    }

    #[test]
    fn bytes_of_no_known_schema_are_an_error_that_names_the_topic() {
        let error = AvroCodec::default().decode("weir.flows.v1", b"{}").unwrap_err();
        assert!(error.0.starts_with("weir.flows.v1: input:"), "{error}");
    }
}
