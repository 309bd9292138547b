//! Avro single-object encoding of everything that topics hold: `C3 01`, the schema's CRC-64-AVRO fingerprint in
//! little-endian order, and the body. Source: Apache Avro 1.12 specification, "Single-object encoding".
//!
//! Encoding appends to a buffer that the caller reuses, and cannot fail. Decoding checks everything and trusts nothing:
//! what it allocates is bounded by a small multiple of the input's length. Tests hold both equal to `apache-avro`.

mod ends;
mod error;
mod finding;
mod flow;
mod intern;
mod partial;
mod wire;

pub use error::DecodeError;

use crate::finding::{Anomaly, Finding};
use crate::flow::Record;
use crate::partial::Partial;
use crate::schema::{self, Schema};
use crate::state::StateEntry;
use intern::Interner;
use wire::{Input, Wire};

/// First two bytes of a single-object encoding.
pub const MARKER: [u8; 2] = [0xC3, 0x01];

/// Bytes before the body: the marker and the fingerprint.
pub const HEADER_LENGTH: usize = 10;

/// The fingerprint of the schema that `bytes` were written with.
pub fn fingerprint(bytes: &[u8]) -> Result<u64, DecodeError> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
        return Err(DecodeError::NotSingleObject);
    };
    let [first, second, fingerprint @ ..] = *header;
    if [first, second] != MARKER {
        return Err(DecodeError::NotSingleObject);
    }
    Ok(u64::from_le_bytes(fingerprint))
}

/// Whether bytes claim to be a flow record of this version: no mark, nor anything else.
#[must_use]
pub fn is_flow(bytes: &[u8]) -> bool {
    // The kind is the record's first number, and zero is one octet.
    let is_kind_flow = bytes.get(HEADER_LENGTH) == Some(&0);
    is_kind_flow && fingerprint(bytes) == Ok(schema::FLOW.fingerprint)
}

fn encode<T: Wire>(schema: &Schema, value: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&schema.fingerprint.to_le_bytes());
    value.put(out);
}

/// Appends a flow record or a mark (`weir.flows.v1`). A name beside an end that has no address is not kept.
pub fn encode_record(record: &Record, out: &mut Vec<u8>) {
    encode(&schema::FLOW, record, out);
}

/// Appends a finding (`weir.findings.v1`).
pub fn encode_finding(finding: &Finding, out: &mut Vec<u8>) {
    encode(&schema::FINDING, finding, out);
}

/// Appends an anomaly (`weir.anomalies.v1`).
pub fn encode_anomaly(anomaly: &Anomaly, out: &mut Vec<u8>) {
    encode(&schema::ANOMALY, anomaly, out);
}

/// Appends a partial (`weir.partials.v1`).
pub fn encode_partial(partial: &Partial, out: &mut Vec<u8>) {
    encode(&schema::PARTIAL, partial, out);
}

/// Appends a state slot (`weir.state.*.v1`).
pub fn encode_state(entry: &StateEntry, out: &mut Vec<u8>) {
    encode(&schema::STATE, entry, out);
}

/// Decodes values, sharing texts that repeat (sensor ids, site names, …). Keep one per consumer.
#[derive(Clone, Debug)]
pub struct Decoder {
    interner: Interner,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { interner: Interner::new() }
    }
}

impl Decoder {
    /// A decoder that shares no text yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn decode<T: Wire>(&mut self, schema: &Schema, bytes: &[u8]) -> Result<T, DecodeError> {
        let fingerprint = fingerprint(bytes)?;
        if fingerprint != schema.fingerprint {
            return Err(DecodeError::UnknownSchema {
                fingerprint,
                expected: schema.name,
                expected_fingerprint: schema.fingerprint,
            });
        }
        let mut input = Input::new(bytes, HEADER_LENGTH, &mut self.interner);
        let value = T::read(&mut input).and_then(|value| input.finish().map(|()| value));
        value.map_err(|failed| input.into_fault(failed))
    }

    /// A flow record or a mark. Kind `aggregate` is [`DecodeError::Aggregate`].
    pub fn record(&mut self, bytes: &[u8]) -> Result<Record, DecodeError> {
        self.decode(&schema::FLOW, bytes)
    }

    /// A finding.
    pub fn finding(&mut self, bytes: &[u8]) -> Result<Finding, DecodeError> {
        self.decode(&schema::FINDING, bytes)
    }

    /// An anomaly.
    pub fn anomaly(&mut self, bytes: &[u8]) -> Result<Anomaly, DecodeError> {
        self.decode(&schema::ANOMALY, bytes)
    }

    /// A partial.
    pub fn partial(&mut self, bytes: &[u8]) -> Result<Partial, DecodeError> {
        self.decode(&schema::PARTIAL, bytes)
    }

    /// A state slot.
    pub fn state(&mut self, bytes: &[u8]) -> Result<StateEntry, DecodeError> {
        self.decode(&schema::STATE, bytes)
    }
}

/// Decodes one flow record or mark with a decoder of its own; see [`Decoder::record`].
pub fn decode_record(bytes: &[u8]) -> Result<Record, DecodeError> {
    Decoder::new().record(bytes)
}

/// Decodes one finding; see [`Decoder::finding`].
pub fn decode_finding(bytes: &[u8]) -> Result<Finding, DecodeError> {
    Decoder::new().finding(bytes)
}

/// Decodes one anomaly; see [`Decoder::anomaly`].
pub fn decode_anomaly(bytes: &[u8]) -> Result<Anomaly, DecodeError> {
    Decoder::new().anomaly(bytes)
}

/// Decodes one partial; see [`Decoder::partial`].
pub fn decode_partial(bytes: &[u8]) -> Result<Partial, DecodeError> {
    Decoder::new().partial(bytes)
}

/// Decodes one state slot; see [`Decoder::state`].
pub fn decode_state(bytes: &[u8]) -> Result<StateEntry, DecodeError> {
    Decoder::new().state(bytes)
}
