//! Records of another version of Weir: their writer's schema, resolved against ours.
//!
//! The way is slow and rare: while two versions run side by side. A value is read with its writer's schema, made one of ours by
//! Avro's rules (Apache Avro 1.12 specification, "Schema Resolution": new fields are passed over, missing ones get their
//! defaults), and written again with our schema, so that one decoder has the last word on all bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::SchemaCompatibility;
use apache_avro::writer::datum::GenericDatumWriter;
use weir_schemas::codec::{HEADER_LENGTH, MARKER};
use weir_schemas::schema;

/// No value of a topic needs more: a broker takes messages of 1 MiB by default.
const MOST_BYTES: usize = 16 << 20;

/// A schema that some other version writes with, and what it becomes.
pub(super) struct Writer {
    theirs: Schema,
    ours: Schema,
    /// Fingerprint of `ours`.
    fingerprint: u64,
}

impl Writer {
    /// The writer whose schema is `text`, if that has this fingerprint and its values can be read as ours of the same name.
    ///
    /// # Errors
    /// Input: why not, one line.
    pub(super) fn of(fingerprint: u64, text: &str) -> Result<Self, String> {
        guarded(|| {
            let theirs = Schema::parse_str(text).map_err(|error| error.to_string())?;
            let found = theirs.fingerprint::<Rabin>().bytes;
            if found != fingerprint.to_le_bytes() {
                return Err(format!("the text under {fingerprint:016x} is of another schema"));
            }
            let name = theirs.name().map(ToString::to_string).unwrap_or_default();
            let Some(known) = schema::ALL.iter().find(|known| known.name == name) else {
                return Err(format!("no value of ours is a {name:?}"));
            };
            let ours = Schema::parse_str(known.text).map_err(|error| error.to_string())?;
            SchemaCompatibility::can_read(&theirs, &ours).map_err(|error| error.to_string())?;
            Ok(Self { theirs, ours, fingerprint: known.fingerprint })
        })
    }

    /// A value that this writer wrote, as we would have written it: single-object encoding in, single-object encoding out.
    ///
    /// # Errors
    /// Input: why it cannot be read, one line.
    pub(super) fn rewrite(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        guarded(|| {
            let mut body = bytes.get(HEADER_LENGTH..).unwrap_or_default();
            let reader = GenericDatumReader::builder(&self.theirs).reader_schema(&self.ours).build();
            let value = reader.and_then(|reader| reader.read_value(&mut body)).map_err(|error| error.to_string())?;
            if !body.is_empty() {
                return Err(format!("{} bytes are left over", body.len()));
            }
            let mut rewritten = [&MARKER[..], &self.fingerprint.to_le_bytes()].concat();
            let writer = GenericDatumWriter::builder(&self.ours).build();
            let encoded =
                writer.and_then(|writer| writer.write_value_to_vec(value)).map_err(|error| error.to_string())?;
            rewritten.extend(encoded);
            Ok(rewritten)
        })
    }
}

/// Bytes and schemas are anybody's who may write to the topics: neither memory nor this process is theirs.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static LIMIT: Once = Once::new();
    LIMIT.call_once(|| {
        apache_avro::util::max_allocation_bytes(MOST_BYTES);
    });
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the Avro library fails at it".to_owned()))
}

#[cfg(test)]
mod tests {
    use apache_avro::types;
    use weir_schemas::{Mark, MarkStatus, Record};

    use super::*;
    use crate::Value;
    use crate::codec::Codec as _;
    use crate::wire::AvroCodec;

    /// The schema of flow records as a later version may have it: one field more, which readers pass over.
    fn later() -> (u64, String) {
        let field = r#""fields": [{"name": "added_later", "type": ["null", "string"], "default": null},"#;
        let text = schema::FLOW.text.replacen(r#""fields": ["#, field, 1);
        assert_ne!(text, schema::FLOW.text);
        let fingerprint = Schema::parse_str(&text).unwrap().fingerprint::<Rabin>().bytes;
        (u64::from_le_bytes(fingerprint.try_into().unwrap()), text)
    }

    fn mark() -> Value {
        let status = MarkStatus::default();
        let (sensor, site) = ("gate".into(), "lab".into());
        Value::Record(Record::Mark(Box::new(Mark { sensor, site, boot: 1, seq: 2, t: 3, end: true, status })))
    }

    /// The value as the later version writes it.
    fn written_later(value: &Value) -> Vec<u8> {
        let (fingerprint, text) = later();
        let (ours, theirs) = (Schema::parse_str(schema::FLOW.text).unwrap(), Schema::parse_str(&text).unwrap());
        let bytes = AvroCodec::default().encode(value);
        let read =
            GenericDatumReader::builder(&ours).build().unwrap().read_value(&mut &bytes[HEADER_LENGTH..]).unwrap();
        let types::Value::Record(mut fields) = read else { panic!("{read:?}") };
        let added = types::Value::String("something new".to_owned());
        fields.insert(0, ("added_later".to_owned(), types::Value::Union(1, Box::new(added))));
        let body = GenericDatumWriter::builder(&theirs).build().unwrap();
        let body = body.write_value_to_vec(types::Value::Record(fields)).unwrap();
        [&MARKER[..], &fingerprint.to_le_bytes(), &body].concat()
    }

    #[test]
    fn a_later_versions_record_is_read_without_what_it_added() {
        let (fingerprint, text) = later();
        let writer = Writer::of(fingerprint, &text).unwrap();
        let codec = AvroCodec::default();
        assert!(codec.decode("t", &written_later(&mark())).is_err());
        let rewritten = writer.rewrite(&written_later(&mark())).unwrap();
        assert_eq!(codec.decode("t", &rewritten), Ok(mark()));
    }

    #[test]
    fn bytes_that_are_no_value_of_their_schema_are_refused() {
        let (fingerprint, text) = later();
        let writer = Writer::of(fingerprint, &text).unwrap();
        let whole = written_later(&mark());
        for length in 0..whole.len() {
            assert!(writer.rewrite(&whole[..length]).is_err(), "{length} bytes of {}", whole.len());
        }
        assert!(writer.rewrite(&[&whole[..], &[0]].concat()).is_err(), "a byte too many");
        let endless = [&whole[..HEADER_LENGTH], &[0xff; 40]].concat();
        assert!(writer.rewrite(&endless).is_err());
    }

    #[test]
    fn schemas_that_cannot_be_ours_are_refused_with_why() {
        let (fingerprint, text) = later();
        let other = r#"{"type": "record", "name": "SomeoneElse", "fields": []}"#;
        let changed = schema::STATE.text.replace("\"long\"", "\"string\"");
        let of = |text: &str| {
            u64::from_le_bytes(Schema::parse_str(text).unwrap().fingerprint::<Rabin>().bytes.try_into().unwrap())
        };
        let table = [
            (fingerprint + 1, text.as_str(), "is of another schema"),
            (1, "{", "JSON"),
            (of(other), other, "no value of ours is a \"SomeoneElse\""),
            (of(&changed), &changed, ""),
        ];
        for (fingerprint, text, part) in table {
            let error = Writer::of(fingerprint, text).err().unwrap_or_else(|| panic!("accepted: {text}"));
            assert!(error.contains(part), "{part:?} not in {error:?}");
        }
    }
}
