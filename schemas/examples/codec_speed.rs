//! Records a second of the flow codec and of `apache-avro` on the same records, in alternating rounds.
//!
//! `cargo run --release -p weir-schemas --example codec_speed [RECORDS [ROUNDS]]`
//!
//! `apache-avro` starts from and ends at its own `Value` tree; turning that into a record would come on top.

use std::error::Error;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use weir_schemas::codec::{self, Decoder, HEADER_LENGTH};
use weir_schemas::{Counts, End, EndReason, Flow, Host, Initiator, Outcome, Record, Tcp, TcpFlags, schema};

/// A TCP flow record as a sensor writes most of them: handshake seen, no application block.
fn record(index: u32) -> Record {
    let counts = |packets: u64| Counts {
        packets,
        bytes: packets * 700,
        payload: packets * 640,
        total_packets: packets * 3,
        total_bytes: packets * 2_100,
        fragments: 0,
    };
    let flags = TcpFlags { syn: 1, ack: 12, psh: 4, ..TcpFlags::default() };
    let time = 1_700_000_000_000_000 + i64::from(index) * 137;
    Record::Flow(Box::new(Flow {
        sensor: "edge-1".into(),
        site: "local".into(),
        boot: 1_699_999_000_000_000,
        seq: u64::from(index) + 1,
        input: "pcap".into(),
        sampling: 1,
        event_time: time,
        first_time: time,
        last_time: time + 2_345_678,
        clock_offset_us: 0,
        src: End::new(Host::V4(Ipv4Addr::from(0x0a00_0000 + index % 50_000)), 40_000 + (index % 20_000) as u16),
        dst: End::new(Host::V4(Ipv4Addr::from(0xc0a8_0000 + index % 500)), 443),
        proto: 6,
        icmp_type: None,
        icmp_code: None,
        vlan: Vec::new(),
        tunnel: None,
        initiator: Initiator::Syn,
        vantage: 3,
        outcome: Outcome::Completed,
        fwd: counts(12 + u64::from(index % 7)),
        rev: counts(15 + u64::from(index % 11)),
        flow_id: u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        community_id: [index as u8; 20],
        export_index: 0,
        end_reason: EndReason::Active,
        capture_drops: 0,
        tcp: Some(Box::new(Tcp {
            fwd: flags,
            rev: flags,
            first_flags: 2,
            state: "S1".into(),
            history: "ShADad".to_owned(),
            syn_rtt_us: Some(23_456),
            ack_rtt_us: Some(321),
            ..Tcp::default()
        })),
        link: None,
        app: None,
        timing: None,
        labels: Vec::new(),
    }))
}

/// Runs `work`, prints its speed, and returns it in records a second.
fn timed(what: &str, records: usize, work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<20} {:>12.0} records/s", records as f64 / seconds);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u32 = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let rounds: u32 = arguments.next().map_or(Ok(3), |text| text.parse())?;

    let records: Vec<Record> = (0..count).map(record).collect();
    let messages: Vec<Vec<u8>> = records
        .iter()
        .map(|record| {
            let mut bytes = Vec::new();
            codec::encode_record(record, &mut bytes);
            bytes
        })
        .collect();
    let bytes: usize = messages.iter().map(Vec::len).sum();
    println!("{count} records, {:.0} bytes each", bytes as f64 / f64::from(count));

    let schema = Schema::parse_str(schema::FLOW.text)?;
    let reader = GenericDatumReader::builder(&schema).build()?;
    let writer = GenericDatumWriter::builder(&schema).build()?;
    let values: Vec<Value> =
        messages.iter().map(|bytes| reader.read_value(&mut &bytes[HEADER_LENGTH..])).collect::<Result<_, _>>()?;

    for _ in 0..rounds {
        timed("encode", records.len(), || {
            let mut buffer = Vec::new();
            for record in &records {
                buffer.clear();
                codec::encode_record(record, &mut buffer);
                black_box(&buffer);
            }
            Ok(())
        })?;
        timed("encode, apache-avro", values.len(), || {
            let mut buffer = Vec::new();
            for value in &values {
                buffer.clear();
                writer.write_value_ref(&mut buffer, value)?;
                black_box(&buffer);
            }
            Ok(())
        })?;
        timed("decode", messages.len(), || {
            let mut decoder = Decoder::new();
            for message in &messages {
                black_box(decoder.record(message)?);
            }
            Ok(())
        })?;
        timed("decode, apache-avro", messages.len(), || {
            for message in &messages {
                black_box(reader.read_value(&mut &message[HEADER_LENGTH..])?);
            }
            Ok(())
        })?;
    }
    Ok(())
}
