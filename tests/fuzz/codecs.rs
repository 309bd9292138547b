//! The Avro codecs: what decodes encodes to something that decodes to the same.

use weir_schemas::codec::{self, DecodeError};

use crate::targets::Answer;
use crate::{promises, samples};

macro_rules! codec_target {
    ($name:ident, $seeds:ident, $samples:expr, $decode:path, $encode:path) => {
        /// Decodes and encodes back.
        pub fn $name(input: &[u8]) -> Result<Answer, String> {
            round_trip(input, $decode, $encode)
        }

        /// The samples, encoded.
        pub fn $seeds() -> Vec<Vec<u8>> {
            encoded($samples, $encode)
        }
    };
}

codec_target!(record, record_seeds, samples::records(), codec::decode_record, codec::encode_record);
codec_target!(finding, finding_seeds, samples::finding().ok(), codec::decode_finding, codec::encode_finding);
codec_target!(anomaly, anomaly_seeds, samples::finding().ok(), codec::decode_anomaly, codec::encode_anomaly);
codec_target!(partial, partial_seeds, samples::partials(), codec::decode_partial, codec::encode_partial);
codec_target!(state, state_seeds, [samples::state()], codec::decode_state, codec::encode_state);

fn encoded<T>(samples: impl IntoIterator<Item = T>, encode: fn(&T, &mut Vec<u8>)) -> Vec<Vec<u8>> {
    let encoded = |sample| {
        let mut bytes = Vec::new();
        encode(&sample, &mut bytes);
        bytes
    };
    samples.into_iter().map(encoded).collect()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_accepted() {
        type Case = (fn() -> Vec<Vec<u8>>, fn(&[u8]) -> Result<Answer, String>, usize);
        let cases: [Case; 5] = [
            (record_seeds, record, 2),
            (finding_seeds, finding, 1),
            (anomaly_seeds, anomaly, 1),
            (partial_seeds, partial, 2),
            (state_seeds, state, 1),
        ];
        for (seeds, run, count) in cases {
            let answers: Vec<_> = seeds().iter().map(|seed| run(seed)).collect();
            assert_eq!(answers, vec![Ok(Answer::Accepted); count]);
        }
    }
}
