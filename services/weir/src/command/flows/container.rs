//! An Avro object container file of flow records.
//!
//! Source: Apache Avro 1.12 specification, "Object Container Files": the magic, a metadata map, a sync marker, then blocks
//! of (count, size, data, sync marker). A datum is the body of the single-object encoding that topics hold.

use std::io::{self, Write};

use weir_schemas::codec::{HEADER_LENGTH, encode_record};
use weir_schemas::{Record, schema};

const MAGIC: &[u8; 4] = b"Obj\x01";

/// Sixteen bytes between blocks. Fixed, so that equal input gives equal files; a reader takes it from the header.
const SYNC: [u8; 16] = *b"weir.flows.v1\r\n\0";

/// A block is written once it holds this much.
const BLOCK_BYTES: usize = 64 * 1024;

/// Gathers records into blocks.
#[derive(Default)]
pub struct ContainerWriter {
    block: Vec<u8>,
    count: i64,
    encoded: Vec<u8>,
}

impl ContainerWriter {
    /// Writes the header.
    pub fn begin(out: &mut impl Write) -> io::Result<()> {
        let mut header = MAGIC.to_vec();
        let metadata: [(&str, &str); 2] = [("avro.schema", schema::FLOW.text), ("avro.codec", "null")];
        put_long(metadata.len() as i64, &mut header);
        for (key, value) in metadata {
            put_bytes(key.as_bytes(), &mut header);
            put_bytes(value.as_bytes(), &mut header);
        }
        // An empty block ends the map.
        put_long(0, &mut header);
        header.extend_from_slice(&SYNC);
        out.write_all(&header)
    }

    /// Adds a record; writes the block once it is full.
    pub fn write(&mut self, record: &Record, out: &mut impl Write) -> io::Result<()> {
        self.encoded.clear();
        encode_record(record, &mut self.encoded);
        self.block.extend_from_slice(&self.encoded[HEADER_LENGTH..]);
        self.count += 1;
        if self.block.len() >= BLOCK_BYTES { self.finish(out) } else { Ok(()) }
    }

    /// Writes the records gathered, if there are any.
    pub fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let mut head = Vec::with_capacity(20);
        put_long(self.count, &mut head);
        put_long(self.block.len() as i64, &mut head);
        out.write_all(&head)?;
        out.write_all(&self.block)?;
        out.write_all(&SYNC)?;
        self.block.clear();
        self.count = 0;
        Ok(())
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// Zig-zag, then seven bits at a time, least first ("Binary Encoding", long).
fn put_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_are_those_of_the_specification() {
        // Source: the table of "Binary Encoding" in the specification.
        let cases: [(i64, &[u8]); 6] =
            [(0, &[0]), (-1, &[1]), (1, &[2]), (-64, &[0x7f]), (64, &[0x80, 0x01]), (8192, &[0x80, 0x80, 0x01])];
        for (value, expected) in cases {
            let mut out = Vec::new();
            put_long(value, &mut out);
            assert_eq!(out, expected, "{value}");
        }
    }
}
