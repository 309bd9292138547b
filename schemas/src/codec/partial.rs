//! `weir.PartialV1` and `weir.StateV1`. Field order is that of `avro/partial.avsc` and `avro/state.avsc`.

use std::sync::Arc;

use super::error::DecodeError;
use super::wire::{Input, Wire, put_long, put_octets, wire_record};
use crate::host::{Host, Text};
use crate::partial::{DistinctSet, Partial, PartialBody, PartialFlow, PartialSensor};
use crate::state::StateEntry;
use crate::time::Micros;

wire_record!(PartialSensor { id, vantage, loss });

/// A hash, as a `fixed` of eight octets, big-endian.
struct Hash(u64);

impl Wire for Hash {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
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
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let hashes: Vec<Hash> = Wire::read(input)?;
        if !input.present()? {
            return Ok(Self::Exact(hashes.into_iter().map(|hash| hash.0).collect()));
        }
        if !hashes.is_empty() {
            return Err(DecodeError::Blocks("distinct set"));
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
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
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

/// One block of the body: a struct of its own, because a block is read before the kind of body is known.
macro_rules! body_block {
    ($block:ident, $variant:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        struct $block { $($field: $type),+ }
        wire_record!($block { $($field),+ });
        impl From<$block> for PartialBody {
            fn from(block: $block) -> Self {
                let $block { $($field),+ } = block;
                Self::$variant { $($field),+ }
            }
        }
    };
}
body_block!(ReceiverBlock, Receiver {
    host: Host,
    packets: u64,
    bytes: u64,
    unsolicited_packets: u64,
    error: u64,
    sensors: Arc<[PartialSensor]>,
});
body_block!(ResponderBlock, Responder {
    host: Host,
    port: u16,
    syn: u64,
    attempts: u64,
    completed: u64,
    half_open: u64,
    refused: u64,
    unanswered: u64,
    error: u64,
    sources: DistinctSet,
    flows: Vec<PartialFlow>,
    sensors: Arc<[PartialSensor]>,
});
body_block!(SiteBlock, Site { site: Text, packets: u64, bytes: u64, flows: u64, sensors: Arc<[PartialSensor]> });
body_block!(MarkerBlock, Marker { ended: bool, complete: bool, degraded: Vec<String>, generation: Micros });

/// Appends fields one after the other.
macro_rules! put_all {
    ($out:ident; $($field:ident),+) => {{ $( $field.put($out); )+ }};
}

fn put_body(body: &PartialBody, out: &mut Vec<u8>) {
    const BLOCKS: usize = 4;
    let index = match body {
        PartialBody::Receiver { .. } => 0,
        PartialBody::Responder { .. } => 1,
        PartialBody::Site { .. } => 2,
        PartialBody::Marker { .. } => 3,
    };
    out.extend(std::iter::repeat_n(0, index));
    put_long(out, 1);
    match body {
        PartialBody::Receiver { host, packets, bytes, unsolicited_packets, error, sensors } => {
            put_all!(out; host, packets, bytes, unsolicited_packets, error, sensors);
        }
        PartialBody::Responder {
            host,
            port,
            syn,
            attempts,
            completed,
            half_open,
            refused,
            unanswered,
            error,
            sources,
            flows,
            sensors,
        } => {
            put_all!(out; host, port, syn, attempts, completed, half_open, refused, unanswered, error);
            put_all!(out; sources, flows, sensors);
        }
        PartialBody::Site { site, packets, bytes, flows, sensors } => {
            put_all!(out; site, packets, bytes, flows, sensors);
        }
        PartialBody::Marker { ended, complete, degraded, generation } => {
            put_all!(out; ended, complete, degraded, generation);
        }
    }
    out.extend(std::iter::repeat_n(0, BLOCKS - 1 - index));
}

fn take_body(input: &mut Input<'_>) -> Result<PartialBody, DecodeError> {
    let receiver = Option::<ReceiverBlock>::read(input)?.map(PartialBody::from);
    let responder = Option::<ResponderBlock>::read(input)?.map(PartialBody::from);
    let site = Option::<SiteBlock>::read(input)?.map(PartialBody::from);
    let marker = Option::<MarkerBlock>::read(input)?.map(PartialBody::from);
    let mut present = [receiver, responder, site, marker].into_iter().flatten();
    match (present.next(), present.next()) {
        (Some(body), None) => Ok(body),
        _ => Err(DecodeError::Blocks("partial")),
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
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
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
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            v: Wire::read(input)?,
            epoch: Wire::read(input)?,
            table: Wire::read(input)?,
            slot: Wire::read(input)?,
            body: input.octets()?.to_vec(),
        })
    }
}
