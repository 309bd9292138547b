//! Messages, put together field by field.

use super::EXPORTED;

/// One field of a template: element, enterprise (0 is none), length (65535 is variable).
pub(crate) type Field = (u16, u32, u16);

/// Elements that every flow has: addresses, ports, protocol, packets, bytes.
pub(crate) const BASIC: [Field; 7] = [(8, 0, 4), (12, 0, 4), (7, 0, 2), (11, 0, 2), (4, 0, 1), (2, 0, 4), (1, 0, 4)];

/// The values of [`BASIC`] for a flow of 192.0.2.1:1000 to 192.0.2.2:80.
pub(crate) fn basic(protocol: u8, packets: u32, bytes: u32) -> Vec<u8> {
    let mut values = vec![192, 0, 2, 1, 192, 0, 2, 2, 0x03, 0xe8, 0, 80, protocol];
    values.extend(packets.to_be_bytes());
    values.extend(bytes.to_be_bytes());
    values
}

pub(crate) fn set(id: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend((content.len() as u16 + 4).to_be_bytes());
    bytes.extend(content);
    bytes
}

fn fields(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (element, enterprise, length) in fields {
        let number = if *enterprise == 0 { *element } else { element | 0x8000 };
        bytes.extend(number.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        if *enterprise != 0 {
            bytes.extend(enterprise.to_be_bytes());
        }
    }
    bytes
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// The set of one template, for v9 (set 0) and IPFIX (set 2).
pub(crate) fn template(set_id: u16, id: u16, of: &[Field]) -> Vec<u8> {
    set(set_id, &[numbers(&[id, of.len() as u16]), fields(of)].concat())
}

/// The set of one options template of v9.
pub(crate) fn v9_options_template(id: u16, scope: &[Field], options: &[Field]) -> Vec<u8> {
    let lengths = numbers(&[id, scope.len() as u16 * 4, options.len() as u16 * 4]);
    set(1, &[lengths, fields(scope), fields(options)].concat())
}

/// The set of one options template of IPFIX; the first field is the scope.
pub(crate) fn ipfix_options_template(id: u16, of: &[Field]) -> Vec<u8> {
    set(3, &[numbers(&[id, of.len() as u16, 1]), fields(of)].concat())
}

/// A v9 message, exported when the exporter had been up for `uptime` ms.
pub(crate) fn v9(sequence: u32, uptime: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = numbers(&[9, sets.len() as u16]);
    for number in [uptime, EXPORTED, sequence, 7] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(sets.concat());
    bytes
}

/// An IPFIX message.
pub(crate) fn ipfix(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let mut bytes = numbers(&[10, 16 + sets.len() as u16]);
    for number in [EXPORTED, sequence, 7] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(sets);
    bytes
}

/// One record of a v5 message: protocol, destination port, flags, and uptimes of its first and last packet.
pub(crate) type V5Record = (u8, u16, u8, u32, u32);

/// A v5 message of flows of 3 packets and 300 bytes.
pub(crate) fn v5(sequence: u32, uptime: u32, sampling: u16, records: &[V5Record]) -> Vec<u8> {
    let mut bytes = numbers(&[5, records.len() as u16]);
    for number in [uptime, EXPORTED, 250_000_000, sequence] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend([1, 2]);
    bytes.extend(sampling.to_be_bytes());
    for (protocol, port, flags, first, last) in records {
        bytes.extend([192, 0, 2, 1, 192, 0, 2, 2, 0, 0, 0, 0]);
        bytes.extend(numbers(&[1, 2]));
        for number in [3, 300, *first, *last] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(numbers(&[1000, *port]));
        bytes.extend([0, *flags, *protocol, 0]);
        bytes.extend(numbers(&[64_500, 0]));
        bytes.extend([24, 24, 0, 0]);
    }
    bytes
}

/// A v7 message of one flow of 3 packets and 300 bytes.
pub(crate) fn v7(uptime: u32) -> Vec<u8> {
    let mut bytes = numbers(&[7, 1]);
    for number in [uptime, EXPORTED, 0, 1, 0] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend([192, 0, 2, 1, 192, 0, 2, 2, 0, 0, 0, 0]);
    bytes.extend(numbers(&[1, 2]));
    for number in [3, 300, uptime - 5000, uptime - 1000] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(numbers(&[1000, 80]));
    bytes.extend([0, 0, 6, 0]);
    bytes.extend([0; 12]);
    bytes
}
