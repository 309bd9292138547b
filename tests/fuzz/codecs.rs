//! The Avro codecs: what decodes encodes to something that decodes to the same.

use weir_schemas::codec::{self, DecodeError};
use weir_schemas::schema::{self, Schema};

use crate::promises;
use crate::targets::Answer;

/// Bodies of zeros are tried up to this length: zero is the null, the empty text and the first kind everywhere in Avro.
const LONGEST_SEED: usize = 4_096;

macro_rules! codec_target {
    ($name:ident, $seeds:ident, $schema:expr, $decode:path, $encode:path) => {
        /// Decodes and encodes back.
        pub fn $name(input: &[u8]) -> Result<Answer, String> {
            round_trip(input, $decode, $encode)
        }

        /// The smallest message of zeros that decodes.
        pub fn $seeds() -> Vec<Vec<u8>> {
            zeros_that_decode(&$schema, $decode)
        }
    };
}

codec_target!(record, record_seeds, schema::FLOW, codec::decode_record, codec::encode_record);
codec_target!(finding, finding_seeds, schema::FINDING, codec::decode_finding, codec::encode_finding);
codec_target!(anomaly, anomaly_seeds, schema::ANOMALY, codec::decode_anomaly, codec::encode_anomaly);
codec_target!(partial, partial_seeds, schema::PARTIAL, codec::decode_partial, codec::encode_partial);
codec_target!(state, state_seeds, schema::STATE, codec::decode_state, codec::encode_state);

/// Bytes are compared, not values: a value may hold a NaN, which equals nothing.
fn round_trip<T>(
    input: &[u8],
    decode: fn(&[u8]) -> Result<T, DecodeError>,
    encode: fn(&T, &mut Vec<u8>),
) -> Result<Answer, String> {
    let value = match decode(input) {
        Ok(value) => value,
        Err(error) => return promises::one_line(&error).map(|()| Answer::Refused),
    };
    let mut once = Vec::new();
    encode(&value, &mut once);
    let again = decode(&once).map_err(|error| format!("what was encoded does not decode: {error}"))?;
    let mut twice = Vec::new();
    encode(&again, &mut twice);
    promises::same(&twice, &once)?;
    Ok(Answer::Accepted)
}

fn zeros_that_decode<T>(schema: &Schema, decode: fn(&[u8]) -> Result<T, DecodeError>) -> Vec<Vec<u8>> {
    let mut message = codec::MARKER.to_vec();
    message.extend_from_slice(&schema.fingerprint.to_le_bytes());
    while decode(&message).is_err() && message.len() < LONGEST_SEED {
        message.push(0);
    }
    vec![message]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_has_a_seed_that_it_accepts() {
        type Case = (fn() -> Vec<Vec<u8>>, fn(&[u8]) -> Result<Answer, String>);
        let cases: [Case; 5] = [
            (record_seeds, record),
            (finding_seeds, finding),
            (anomaly_seeds, anomaly),
            (partial_seeds, partial),
            (state_seeds, state),
        ];
        for (seeds, run) in cases {
            assert_eq!(run(&seeds()[0]), Ok(Answer::Accepted));
        }
    }
}
