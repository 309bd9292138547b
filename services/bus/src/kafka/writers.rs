//! What other versions of Weir write: their schemas are looked up when they are first met, in the lane's topic of schemas, where
//! every producer writes its own before it writes anything else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_schemas::codec::fingerprint;
use weir_schemas::schema;

use super::notices::Notices;
use super::partition_reader::PartitionReader;
use super::writer::Writer;
use crate::codec::Codec as _;
use crate::member::MemberError;
use crate::wire::AvroCodec;
use crate::{Delivery, Value};

/// Schemas kept; there are a few for each version that runs.
const MOST_WRITERS: usize = 64;

/// Fingerprints kept that are nobody's.
const MOST_MISSING: usize = 1_024;

/// What was not there is looked for again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Schemas read at a time.
const AT_ONCE: usize = 64;

/// The writers met so far.
pub(super) struct Writers {
    /// Topic of the schemas: one partition, key = fingerprint in hex, value = text.
    topic: String,
    /// Next offset of it.
    next: i64,
    known: BTreeMap<u64, Writer>,
    missing: BTreeMap<u64, Instant>,
    codec: AvroCodec,
}

impl Writers {
    /// None met yet.
    pub(super) fn new(topic: &str) -> Self {
        let (known, missing) = (BTreeMap::new(), BTreeMap::new());
        Self { topic: topic.to_owned(), next: 0, known, missing, codec: AvroCodec::default() }
    }

    /// The value that bytes of a topic hold which our own schemas cannot read; none where they are no other version's either.
    ///
    /// # Errors
    /// The schemas could not be read: it is not known what the bytes are.
    pub(super) fn value_of(
        &mut self,
        topic: &str,
        bytes: &[u8],
        reader: &mut PartitionReader,
        notices: &Notices,
    ) -> Result<Option<Value>, MemberError> {
        let Ok(writer) = fingerprint(bytes) else { return Ok(None) };
        if schema::ALL.iter().any(|ours| ours.fingerprint == writer) {
            return Ok(None);
        }
        if !self.known.contains_key(&writer) && !self.is_known_missing(writer) {
            self.look(reader, notices)?;
            self.note_if_missing(writer);
        }
        let Some(known) = self.known.get(&writer) else { return Ok(None) };
        let read =
            known.rewrite(bytes).and_then(|ours| self.codec.decode(topic, &ours).map_err(|error| error.to_string()));
        if let Err(error) = &read {
            notices.warn(format!("a value of schema {writer:016x} cannot be read: {error}"));
        }
        Ok(read.ok())
    }

    fn is_known_missing(&self, writer: u64) -> bool {
        self.missing.get(&writer).is_some_and(|looked| looked.elapsed() < LOOK_AGAIN)
    }

    fn note_if_missing(&mut self, writer: u64) {
        if self.known.contains_key(&writer) {
            self.missing.remove(&writer);
            return;
        }
        if self.missing.len() >= MOST_MISSING {
            self.missing.clear();
        }
        self.missing.insert(writer, Instant::now());
    }

    /// Reads the schemas that came since the last look.
    fn look(&mut self, reader: &mut PartitionReader, notices: &Notices) -> Result<(), MemberError> {
        let mut entries: Vec<Delivery> = Vec::new();
        loop {
            let is_end = reader.read(&self.topic, 0, self.next, AT_ONCE, &mut entries)?;
            for entry in entries.drain(..) {
                self.next = entry.offset + 1;
                self.learn(&entry, notices);
            }
            if is_end {
                return Ok(());
            }
        }
    }

    fn learn(&mut self, entry: &Delivery, notices: &Notices) {
        let (Ok(writer), Value::Bytes(text)) = (u64::from_str_radix(&entry.key, 16), &entry.value) else { return };
        if schema::ALL.iter().any(|ours| ours.fingerprint == writer) || self.known.len() >= MOST_WRITERS {
            return;
        }
        match Writer::of(writer, &String::from_utf8_lossy(text)) {
            Ok(known) => drop(self.known.insert(writer, known)),
            Err(error) => notices.warn(format!("schema {writer:016x} of {} is of no use: {error}", self.topic)),
        }
    }
}
