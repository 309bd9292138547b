//! What SYNs and SYN-ACKs say of their senders, from bytes to record.

use super::*;
use crate::decode::{LinkType, decode_frame};

/// An IP packet with a SYN of these options, from hop limit `ttl`.
fn syn(flags: u8, ttl: u8, window: u16, options: &[u8]) -> Packet {
    let length = (40 + options.len() as u16).to_be_bytes();
    let offset = ((20 + options.len()) * 4) as u8;
    let [high, low] = window.to_be_bytes();
    let mut bytes = vec![0x45, 0, length[0], length[1], 0, 7, 0x40, 0, ttl, 6, 0, 0, 10, 0, 0, 9, 10, 0, 0, 2];
    bytes.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, offset, flags, high, low, 0, 0, 0, 0]);
    bytes.extend(options);
    *decode_frame(LinkType::RawIp, START, &bytes, bytes.len() as u32).0
}

#[test]
fn stacks_are_told_by_their_syns() {
    let linux = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
    let windows = [2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2];
    let mac = [2, 4, 5, 0xb4, 1, 3, 3, 6, 1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 4, 2, 0, 0];
    let cases: [(&str, u8, u16, &[u8], u8); 6] = [
        ("linux", 57, 64240, &linux, 64),
        ("windows", 120, 64240, &windows, 128),
        ("macos or ios", 60, 65535, &mac, 64),
        ("nmap", 44, 1024, &[2, 4, 5, 0xb4], 64),
        ("masscan", 240, 1024, &[], 255),
        ("", 60, 4321, &[1, 1, 1, 1], 64),
    ];
    for (stack, ttl, window, options, class) in cases {
        let records = run(&[syn(SYN, ttl, window, options)]);
        let told = records[0].tcp.as_ref().unwrap().fwd_syn_options.clone().unwrap();
        assert_eq!((told.stack.as_str(), told.ttl_class, told.window), (stack, class, window));
        assert_eq!(records[0].tcp.as_ref().unwrap().option_errors, 0, "{stack}");
    }
    let told = run(&[syn(SYN, 57, 64240, &linux)])[0].tcp.as_ref().unwrap().fwd_syn_options.clone().unwrap();
    assert_eq!((told.mss, told.scale, told.sack, told.ts), (Some(1460), Some(7), true, true));
    assert_eq!((told.order.as_slice(), told.quirks.as_str()), ([2, 4, 8, 1, 3].as_slice(), "df,id+"));
}

#[test]
fn damaged_options_are_counted_and_end_there() {
    let cases: [(&[u8], &[u8]); 4] =
        [(&[2, 0, 5, 0xb4], &[2]), (&[1, 3, 9, 7], &[1, 3]), (&[1, 1, 1, 8], &[1, 1, 1, 8]), (&[4, 3, 0, 1], &[4])];
    for (options, order) in cases {
        let records = run(&[syn(SYN, 64, 1024, options)]);
        let tcp = records[0].tcp.as_ref().unwrap();
        let told = tcp.fwd_syn_options.as_ref().unwrap();
        assert_eq!((tcp.option_errors, told.order.as_slice()), (1, order));
        assert_eq!(told.quirks, "df,id+,bad");
    }
}

#[test]
fn oddities_have_the_names_of_p0f() {
    let stamped = [8, 10, 0, 0, 0, 0, 0, 0, 0, 5, 3, 3, 15, 0];
    let options = [stamped.as_slice(), &[1, 0]].concat();
    let told = |flags: u8| {
        let records = run(&[syn(flags, 64, 1024, &options)]);
        let tcp = records[0].tcp.as_ref().unwrap();
        tcp.fwd_syn_options.as_ref().or(tcp.rev_syn_options.as_ref()).unwrap().quirks.clone()
    };
    assert_eq!(told(SYN | PSH | URG), "df,id+,urgf+,pushf+,ts1-,ts2+,opt+,exws");
    // An answer echoes what it was asked with.
    assert_eq!(told(SYN | ACK), "df,id+,ack-,ts1-,opt+,exws");
}
