//! Fragments through decoder and flow table: however they contradict each other, each counts once.

use weir_sensor::decode::{LinkType, decode_frame};
use weir_sensor::flow::{FlowConfig, FlowTable};
use weir_sensor::packet::Body;

use crate::targets::Answer;

/// IP packets one after another, each behind two bytes of length; a second lies between two of them.
pub fn packets(bytes: &[u8]) -> Result<Answer, String> {
    let mut table = FlowTable::new(FlowConfig { fragment_memory: 32 << 10, ..FlowConfig::default() });
    let (mut records, mut rest, mut fed, mut time) = (Vec::new(), bytes, 0_u64, 0);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (frame, next) = after.split_at(length);
        time += 1_000_000;
        let (packet, _) = decode_frame(LinkType::RawIp, time, frame, length as u32);
        fed += u64::from(!matches!(packet.body, Body::Other));
        table.packet(&packet, &mut records);
        rest = next;
    }
    table.finish(&mut records);
    let told: u64 = records.iter().map(|record| record.fwd.packets + record.rev.packets).sum();
    if (told, table.counters().packets) != (fed, fed) {
        return Err(format!("of {fed} packets {told} are told and {} counted", table.counters().packets));
    }
    Ok(if table.counters().fragments.reassembled > 0 { Answer::Accepted } else { Answer::Refused })
}
