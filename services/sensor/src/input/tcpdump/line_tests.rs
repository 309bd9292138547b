//! Lines as tcpdump prints them.

use super::*;

/// What a line says, in one word per field: ends, protocol, ports or message, flags, IP length.
fn summary(line: &str) -> String {
    let Some(found) = parse_line(&format!("12:00:00.000001 {line}")) else {
        return "no packet".into();
    };
    match found.packet.body {
        Body::Ip(ip) => {
            let upper = match ip.transport {
                Transport::Tcp(tcp) => format!(
                    "tcp {}>{} {:#x} seq {} ack {} win {} +{}",
                    tcp.src_port, tcp.dst_port, tcp.flags, tcp.seq, tcp.ack, tcp.window, tcp.payload
                ),
                Transport::Udp(udp) => {
                    format!("udp {}>{} +{} {:?}", udp.src_port, udp.dst_port, udp.payload, udp.dns_response)
                }
                Transport::Icmp(icmp) => {
                    let quoted = icmp.quoted.map_or(String::new(), |quoted| {
                        format!(" quotes {}>{}:{}/{}", quoted.src, quoted.dst, quoted.dst_port, quoted.proto)
                    });
                    format!("icmp {}.{} id {} +{}{quoted}", icmp.kind, icmp.code, icmp.id, icmp.payload)
                }
                Transport::None => "none".into(),
            };
            format!("{} > {} proto {} length {}: {upper}", ip.src, ip.dst, ip.proto, ip.length)
        }
        Body::Arp(arp) => format!("arp {} {} > {} length {}", arp.op, arp.sender, arp.target, arp.length),
        Body::Other => format!("other {:?}", found.error),
    }
}

#[test]
fn lines_say_what_they_say() {
    let table = [
        (
            "IP BP-Linux8.ssh > 192.168.190.130.50019: Flags [P.], seq 108:144, ack 1, win 312, \
             options [nop,nop,TS val 1 ecr 3], length 36",
            "BP-Linux8 > 192.168.190.130 proto 6 length 88: tcp 22>50019 0x18 seq 108 ack 1 win 312 +36",
        ),
        (
            "IP 10.0.0.1.1 > 10.0.0.2.80: Flags [S], seq 5, win 64240, options [mss 1460,sackOK,TS val 1 ecr 0,nop,\
             wscale 7], length 0",
            "10.0.0.1 > 10.0.0.2 proto 6 length 60: tcp 1>80 0x2 seq 5 ack 0 win 64240 +0",
        ),
        (
            "IP 10.0.0.1.1 > 10.0.0.2.80: Flags [FPU], seq 5, win 9, urg 0, length 0",
            "10.0.0.1 > 10.0.0.2 proto 6 length 40: tcp 1>80 0x29 seq 5 ack 0 win 9 +0",
        ),
        (
            "IP 10.0.0.1.1 > 10.0.0.2.80: Flags [none], win 9, length 0",
            "10.0.0.1 > 10.0.0.2 proto 6 length 40: tcp 1>80 0x0 seq 0 ack 0 win 9 +0",
        ),
        (
            "IP a.b.58466 > ns1.lan.rt.domain: 16550+ PTR? 130.190.168.192.in-addr.arpa. (46)",
            "a.b > ns1.lan.rt proto 17 length 74: udp 58466>53 +46 Some(false)",
        ),
        (
            "IP ns1.lan.rt.domain > a.b.58466: 16550 NXDomain 0/1/0 (112)",
            "ns1.lan.rt > a.b proto 17 length 140: udp 53>58466 +112 Some(true)",
        ),
        (
            "IP 10.0.0.1.123 > 10.0.0.2.123: NTPv4, Client, length 48",
            "10.0.0.1 > 10.0.0.2 proto 17 length 76: udp 123>123 +48 None",
        ),
        (
            "IP 0.0.0.0.bootpc > 255.255.255.255.bootps: BOOTP/DHCP, Request from 08:00:27:00:00:01, length 300",
            "0.0.0.0 > 255.255.255.255 proto 17 length 328: udp 68>67 +300 None",
        ),
        (
            "IP BP-Linux8.N/A > 192.168.115.1: ICMP echo request, id 27625, seq 2, length 64",
            "BP-Linux8 > 192.168.115.1 proto 1 length 84: icmp 8.0 id 27625 +56",
        ),
        (
            "IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.3 udp port domain unreachable, length 36",
            "10.0.0.2 > 10.0.0.1 proto 1 length 56: icmp 3.3 id 0 +28 quotes 10.0.0.1>10.0.0.3:53/17",
        ),
        (
            "IP 10.0.0.2 > 10.0.0.1: ICMP host 10.0.0.9 unreachable, length 36",
            "10.0.0.2 > 10.0.0.1 proto 1 length 56: icmp 3.1 id 0 +28 quotes 10.0.0.1>10.0.0.9:0/0",
        ),
        (
            "IP6 2001:db8::1.443 > 2001:db8::2.9999: Flags [R], seq 1, win 0, length 0",
            "2001:db8::1 > 2001:db8::2 proto 6 length 60: tcp 443>9999 0x4 seq 1 ack 0 win 0 +0",
        ),
        (
            "IP6 fe80::1 > ff02::2: ICMP6, router solicitation, length 16",
            "fe80::1 > ff02::2 proto 58 length 56: icmp 133.0 id 0 +8",
        ),
        (
            "IP6 fe80::1 > ff02::16: HBH ICMP6, multicast listener report v2, 1 group record(s), length 28",
            "fe80::1 > ff02::16 proto 58 length 68: icmp 143.0 id 0 +20",
        ),
        (
            "IP 10.0.0.1 > 224.0.0.22: igmp v3 report, 1 group record(s)",
            "10.0.0.1 > 224.0.0.22 proto 2 length 20: none",
        ),
        (
            "IP (tos 0x0, ttl 64, id 1, offset 1480, flags [+], proto UDP (17), length 1500)     10.0.0.1 > 10.0.0.2: udp",
            "10.0.0.1 > 10.0.0.2 proto 17 length 1500: none",
        ),
        (
            "eth0  In  IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 5",
            "10.0.0.1 > 10.0.0.2 proto 17 length 33: udp 1>2 +5 None",
        ),
        (
            "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 802.1Q (0x8100), length 64: vlan 5, p 0, \
             ethertype IPv4 (0x0800), 10.0.0.1.1 > 10.0.0.2.2: UDP, length 5",
            "10.0.0.1 > 10.0.0.2 proto 17 length 33: udp 1>2 +5 None",
        ),
        ("ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28", "arp 1 10.0.0.1 > 10.0.0.2 length 28"),
        ("arp who-has 10.0.0.2 tell 10.0.0.1", "arp 1 10.0.0.1 > 10.0.0.2 length 28"),
        ("ARP, Reply 10.0.0.2 is-at 02:00:00:00:00:02, length 46", "arp 2 10.0.0.2 > 0.0.0.0 length 28"),
        ("STP 802.1d, Config, Flags [none], bridge-id 8000.00:00", "other None"),
        ("IP truncated-ip", "other Some(Text)"),
    ];
    for (line, wanted) in table {
        assert_eq!(summary(line), wanted, "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "(IP |IP6 |ARP, |ethertype IPv4 )?[ -~é]{0,120}") {
        // Whatever follows a time is a packet, if only one of no known kind.
        let found = parse_line(&format!("12:00:00.1 {text}"));
        proptest::prop_assert!(found.is_some());
    }
}
