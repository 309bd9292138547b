//! `weir.PartialV1` and `weir.StateV1`. Field order is that of `avro/partial.avsc` and `avro/state.avsc`.

use super::error::DecodeError;
use super::wire::{Failed, Input, Wire, put_long, put_octets, wire_record};
use crate::partial::{
    DistinctSet, Partial, PartialBody, PartialCounts, PartialFlow, PartialSensor, ReceiverCounts, ResponderCounts,
    SiteCounts,
};
use crate::state::StateEntry;
use crate::time::Micros;

wire_record!(PartialSensor { id, vantage, loss });

/// A hash, as a `fixed` of eight octets, big-endian.
struct Hash(u64);

impl Wire for Hash {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        Ok(Self(u64::from_be_bytes(input.fixed()?)))
    }
}

impl Wire for DistinctSet {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Exact(hashes) => {
                if !hashes.is_empty() {
                    put_long(out, hashes.len() as i64);
                    for hash in hashes {
                        Hash(*hash).put(out);
                    }
                }
                out.extend_from_slice(&[0, 0]);
            }
            Self::Registers(registers) => {
                out.push(0);
                put_long(out, 1);
                put_octets(out, registers);
            }
        }
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        let hashes: Vec<Hash> = Wire::read(input)?;
        if !input.present()? {
            return Ok(Self::Exact(hashes.into_iter().map(|hash| hash.0).collect()));
        }
        if !hashes.is_empty() {
            return Err(input.fail(DecodeError::Blocks("distinct set")));
        }
        Ok(Self::Registers(input.octets()?.to_vec()))
    }
}

impl Wire for PartialFlow {
    fn put(&self, out: &mut Vec<u8>) {
        Hash(self.flow_id).put(out);
        self.community_id.put(out);
        self.src.put(out);
        self.src_port.put(out);
        self.dst.put(out);
        self.dst_port.put(out);
        self.proto.put(out);
        self.first_time.put(out);
        self.packets.put(out);
        self.bytes.put(out);
        self.outcome.put(out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        Ok(Self {
            flow_id: Hash::read(input)?.0,
            community_id: Wire::read(input)?,
            src: Wire::read(input)?,
            src_port: Wire::read(input)?,
            dst: Wire::read(input)?,
            dst_port: Wire::read(input)?,
            proto: Wire::read(input)?,
            first_time: Wire::read(input)?,
            packets: Wire::read(input)?,
            bytes: Wire::read(input)?,
            outcome: Wire::read(input)?,
        })
    }
}

wire_record!(ReceiverCounts { host, packets, bytes, unsolicited_packets, sensor_set });
wire_record!(ResponderCounts {
    host,
    port,
    syn,
    attempts,
    completed,
    half_open,
    refused,
    unanswered,
    sources,
    flows,
    sensor_set
});
wire_record!(SiteCounts { site, packets, bytes, flows, sensor_set });
wire_record!(PartialCounts { sensor_sets, receivers_error, responders_error, receivers, responders, sites });

/// A marker by itself, because a block is read before the kind of body is known.
struct Marker {
    ended: bool,
    complete: bool,
    degraded: Vec<String>,
    generation: Micros,
}
wire_record!(Marker { ended, complete, degraded, generation });

fn put_body(body: &PartialBody, out: &mut Vec<u8>) {
    match body {
        PartialBody::Counts(counts) => {
            put_long(out, 1);
            counts.put(out);
            out.push(0);
        }
        PartialBody::Marker { ended, complete, degraded, generation } => {
            out.push(0);
            put_long(out, 1);
            ended.put(out);
            complete.put(out);
            degraded.put(out);
            generation.put(out);
        }
    }
}

fn take_body(input: &mut Input<'_>) -> Result<PartialBody, Failed> {
    let counts = Option::<PartialCounts>::read(input)?;
    let marker = Option::<Marker>::read(input)?;
    match (counts, marker) {
        (Some(counts), None) => Ok(PartialBody::Counts(counts)),
        (None, Some(Marker { ended, complete, degraded, generation })) => {
            Ok(PartialBody::Marker { ended, complete, degraded, generation })
        }
        _ => Err(input.fail(DecodeError::Blocks("partial"))),
    }
}

impl Wire for Partial {
    fn put(&self, out: &mut Vec<u8>) {
        self.v.put(out);
        self.partition.put(out);
        self.partition_count.put(out);
        self.pane.put(out);
        Hash(self.rules_hash).put(out);
        put_body(&self.body, out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        Ok(Self {
            v: Wire::read(input)?,
            partition: Wire::read(input)?,
            partition_count: Wire::read(input)?,
            pane: Wire::read(input)?,
            rules_hash: Hash::read(input)?.0,
            body: take_body(input)?,
        })
    }
}

impl Wire for StateEntry {
    fn put(&self, out: &mut Vec<u8>) {
        self.v.put(out);
        self.epoch.put(out);
        self.table.put(out);
        self.slot.put(out);
        put_octets(out, &self.body);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        Ok(Self {
            v: Wire::read(input)?,
            epoch: Wire::read(input)?,
            table: Wire::read(input)?,
            slot: Wire::read(input)?,
            body: input.octets()?.to_vec(),
        })
    }
}
