//! sFlow: samples are packets.

use super::*;

const IPV6_AGENT: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A format and its content.
fn item(format: u32, content: &[u8]) -> Vec<u8> {
    [numbers(&[format, content.len() as u32]), content.to_vec()].concat()
}

fn datagram(sequence: u32, samples: &[Vec<u8>]) -> Vec<u8> {
    let header = numbers(&[5, 1, 0xc000_0209, 3, sequence, 1000, samples.len() as u32]);
    [header, samples.concat()].concat()
}

fn flow_sample(rate: u32, drops: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let fields = numbers(&[1, 0x0000_0004, rate, 1000, drops, 4, 5, records.len() as u32]);
    item(1, &[fields, records.concat()].concat())
}

fn expanded_flow_sample(rate: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let fields = numbers(&[1, 0, 4, rate, 1000, 0, 0, 4, 0, 5, records.len() as u32]);
    item(3, &[fields, records.concat()].concat())
}

/// The raw header record of a frame of which `kept` bytes are exported.
fn raw(frame: &[u8], kept: usize) -> Vec<u8> {
    let mut header = frame[..kept].to_vec();
    header.resize(kept.next_multiple_of(4), 0);
    item(1, &[numbers(&[1, frame.len() as u32 + 4, 4, kept as u32]), header].concat())
}

/// A SYN of 192.0.2.1:40000 to 192.0.2.2:443 in VLAN 12, with 100 bytes behind its header.
fn syn() -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .single_vlan(etherparse::VlanId::try_new(12).unwrap())
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
        .tcp(40_000, 443, 7, 1024)
        .syn();
    let mut frame = Vec::new();
    builder.write(&mut frame, &[0; 100]).unwrap();
    frame
}

#[test]
fn a_sampled_header_is_a_packet_of_its_length_on_the_wire() {
    let frame = syn();
    for sample in [flow_sample(512, 0, &[raw(&frame, 64)]), expanded_flow_sample(512, &[raw(&frame, 64)])] {
        let (flows, counters) = decode(&[datagram(1, &[sample])]);
        assert_eq!(shown_all(&flows), ["192.0.2.1:40000 > 192.0.2.2:443 6 1/140"]);
        let flow = &flows[0];
        assert_eq!((flow.start, flow.end, flow.sampling), (NOW, NOW, 512));
        assert_eq!((flow.flags_fwd, flow.fwd.payload, flow.vlan.as_slice()), (Some(2), Some(100), [12].as_slice()));
        assert_eq!(flow.exporter, Some(Exporter { address: [192, 0, 2, 9].into(), domain: 3 }));
        assert!(counters.errors.is_empty());
    }
}

#[test]
fn fields_stand_in_for_a_header() {
    let tcp = item(3, &numbers(&[140, 6, 0xc000_0201, 0xc000_0202, 40_000, 443, 2, 0]));
    let address = numbers(&[0x2001_0db8, 0, 0, 1]);
    let icmp = [numbers(&[84, 58]), address.clone(), address, numbers(&[0, 0x8000, 0, 0])].concat();
    let vlan = item(1001, &numbers(&[12, 0, 12, 0]));
    let samples = [flow_sample(1, 0, &[vlan, tcp]), flow_sample(0, 0, &[item(4, &icmp)])];
    let (flows, _) = decode(&[datagram(1, &samples)]);
    assert_eq!(shown_all(&flows), ["192.0.2.1:40000 > 192.0.2.2:443 6 1/140", "2001:db8::1:0 > 2001:db8::1:0 58 1/84"]);
    assert_eq!((flows[0].flags_fwd, flows[0].vlan.as_slice()), (Some(2), [12].as_slice()));
    assert_eq!((flows[1].icmp, flows[1].sampling), (Some((128, 0)), 1));
}

#[test]
fn counters_and_unknown_samples_are_no_packets() {
    let counter = item(2, &numbers(&[1, 4, 0]));
    let vendor = item(4413 << 12 | 1, &[1, 2, 3, 4]);
    let sample = flow_sample(8, 0, &[raw(&syn(), 64)]);
    let (flows, counters) = decode(&[datagram(1, &[counter, vendor, sample])]);
    assert_eq!((flows.len(), counters.other_samples), (1, 2));
}

#[test]
fn frames_without_addresses_are_counted() {
    let mut arp = syn();
    arp[16..18].copy_from_slice(&[0x88, 0xcc]);
    let short = flow_sample(8, 0, &[raw(&syn(), 20)]);
    let (flows, counters) = decode(&[datagram(1, &[flow_sample(8, 0, &[raw(&arp, 64)]), short])]);
    assert!(flows.is_empty());
    assert_eq!((counters.other_records, counters.errors), (1, [("export_sample", 1)].into()));
}

#[test]
fn losses_and_drops_are_told() {
    let sample = |drops| flow_sample(8, drops, &[raw(&syn(), 64)]);
    let (_, counters) =
        decode(&[datagram(7, &[sample(100)]), datagram(8, &[sample(103)]), datagram(12, &[sample(104)])]);
    assert_eq!((counters.lost, counters.agent_drops), (3, 4));
}

#[test]
fn an_agent_may_have_an_ipv6_address() {
    let header = [numbers(&[5, 2]), IPV6_AGENT.to_vec(), numbers(&[0, 1, 1000, 1])].concat();
    let (flows, _) = decode(&[[header, flow_sample(8, 0, &[raw(&syn(), 64)])].concat()]);
    assert_eq!(flows[0].exporter.unwrap().address, std::net::IpAddr::from(IPV6_AGENT));
}
