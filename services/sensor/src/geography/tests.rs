//! Databases of our own, built to the format's specification.

use std::net::Ipv4Addr;

use super::*;

/// A value of a data section.
enum Value {
    Text(&'static str),
    Number(u32),
    Map(Vec<(&'static str, Value)>),
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        let control = |kind: u8, size: usize| kind << 5 | u8::try_from(size).unwrap();
        match self {
            Self::Text(text) => {
                assert!(text.len() < 29);
                out.push(control(2, text.len()));
                out.extend(text.bytes());
            }
            Self::Number(number) => {
                out.push(control(6, 4));
                out.extend(number.to_be_bytes());
            }
            Self::Map(entries) => {
                out.push(control(7, entries.len()));
                for (key, value) in entries {
                    Self::Text(key).write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// A database of IPv4 networks: address, prefix length, data.
fn database(kind: &'static str, networks: &[([u8; 4], u8, Value)]) -> Vec<u8> {
    #[derive(Clone, Copy)]
    enum Branch {
        Nothing,
        Node(usize),
        Data(usize),
    }
    let mut nodes = vec![[Branch::Nothing; 2]];
    let mut data = Vec::new();
    for (address, length, value) in networks {
        let offset = data.len();
        value.write(&mut data);
        let mut node = 0;
        for place in 0..*length {
            let bit = (u32::from_be_bytes(*address) >> (31 - place) & 1) as usize;
            if place + 1 == *length {
                nodes[node][bit] = Branch::Data(offset);
            } else if let Branch::Node(next) = nodes[node][bit] {
                node = next;
            } else {
                nodes.push([Branch::Nothing; 2]);
                nodes[node][bit] = Branch::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for branch in nodes.iter().flatten() {
        let record = match branch {
            Branch::Nothing => count,
            Branch::Node(node) => *node,
            Branch::Data(offset) => count + 16 + offset,
        };
        file.extend(&u32::try_from(record).unwrap().to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let short = |out: &mut Vec<u8>, key: &'static str, number: u16| {
        Value::Text(key).write(out);
        out.push(5 << 5 | 2);
        out.extend(number.to_be_bytes());
    };
    file.push(7 << 5 | 9);
    Value::Text("node_count").write(&mut file);
    Value::Number(u32::try_from(count).unwrap()).write(&mut file);
    for (key, number) in
        [("record_size", 24), ("ip_version", 4), ("binary_format_major_version", 2), ("binary_format_minor_version", 0)]
    {
        short(&mut file, key, number);
    }
    Value::Text("database_type").write(&mut file);
    Value::Text(kind).write(&mut file);
    Value::Text("languages").write(&mut file);
    file.extend([0, 4]);
    Value::Text("build_epoch").write(&mut file);
    file.extend([8, 2]);
    file.extend(1_700_000_000_u64.to_be_bytes());
    Value::Text("description").write(&mut file);
    Value::Map(Vec::new()).write(&mut file);
    file
}

fn country(code: &'static str) -> Value {
    Value::Map(vec![("country", Value::Map(vec![("iso_code", Value::Text(code))]))])
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

fn located(geography: &mut Geography, address: [u8; 4]) -> (Option<String>, Option<u32>) {
    let mut end = End::new(Host::V4(address.into()), 80);
    geography.locate_end(&mut end);
    (end.country.map(|code| code.to_string()), end.asn)
}

#[test]
fn country_and_system_are_those_of_the_longest_prefix() {
    let countries = written(&database(
        "GeoLite2-Country",
        &[([192, 0, 0, 0], 16, country("NL")), ([198, 51, 100, 0], 24, country("DE"))],
    ));
    let system = |number| Value::Map(vec![("autonomous_system_number", Value::Number(number))]);
    let systems = written(&database("DBIP-ASN-Lite", &[([198, 51, 100, 128], 25, system(64_500))]));
    let mut geography = Geography::open(Some(countries.path()), Some(systems.path())).unwrap();
    let cases = [
        ([192, 0, 2, 1], Some("NL"), None),
        ([198, 51, 100, 1], Some("DE"), None),
        ([198, 51, 100, 200], Some("DE"), Some(64_500)),
        ([198, 51, 101, 1], None, None),
        ([10, 0, 0, 1], None, None),
    ];
    for _ in 0..2 {
        for (address, code, number) in cases {
            assert_eq!(located(&mut geography, address), (code.map(str::to_owned), number), "{address:?}");
        }
    }
    let mut named = End::new(Host::Name("gateway".into()), 0);
    geography.locate_end(&mut named);
    let mut other_kind = End::new(Host::V6(std::net::Ipv6Addr::LOCALHOST), 0);
    geography.locate_end(&mut other_kind);
    assert_eq!((named.country, named.asn, other_kind.country, other_kind.asn), (None, None, None, None));
    assert_eq!(geography.take_warnings(), []);
}

#[test]
fn what_the_input_told_stays() {
    let countries = written(&database("Country", &[([192, 0, 2, 0], 24, country("NL"))]));
    let mut geography = Geography::open(Some(countries.path()), None).unwrap();
    let mut end = End::new(Host::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);
    (end.country, end.asn) = (Some("FR".into()), Some(64_501));
    geography.locate_end(&mut end);
    assert_eq!((end.country.as_deref(), end.asn), (Some("FR"), Some(64_501)));
}

#[test]
fn flat_records_are_read_too() {
    let flat = || Value::Map(vec![("country_code", Value::Text("SE")), ("asn", Value::Text("AS64502"))]);
    let file = written(&database("generic_country_asn", &[([203, 0, 113, 0], 24, flat())]));
    let mut geography = Geography::open(Some(file.path()), Some(file.path())).unwrap();
    assert_eq!(located(&mut geography, [203, 0, 113, 5]), (Some("SE".to_owned()), Some(64_502)));
    // A continent's or a country's name is no code.
    let names = || Value::Map(vec![("country", Value::Text("Sweden")), ("asn", Value::Text("none"))]);
    let file = written(&database("generic_country_asn", &[([203, 0, 113, 0], 24, names())]));
    let mut geography = Geography::open(Some(file.path()), Some(file.path())).unwrap();
    assert_eq!(located(&mut geography, [203, 0, 113, 5]), (None, None));
}

#[test]
fn what_is_no_database_of_the_kind_is_refused() {
    let systems = written(&database("GeoLite2-ASN", &[]));
    let countries = written(&database("GeoLite2-City", &[]));
    let noise = written(b"not a database at all");
    let error = |country: Option<&Path>, asn: Option<&Path>| Geography::open(country, asn).err().unwrap().to_string();
    assert!(error(Some(systems.path()), None).contains("does not tell countries"));
    assert!(error(None, Some(countries.path())).contains("does not tell autonomous systems"));
    assert!(error(Some(noise.path()), None).contains("give one in MaxMind's format"));
    assert!(error(None, Some(Path::new("/no/such.mmdb"))).contains("/no/such.mmdb"));
}

#[test]
fn a_damaged_database_is_told_once_and_places_nobody() {
    let mut bytes = database("Country", &[([192, 0, 2, 0], 24, country("NL")), ([198, 51, 100, 0], 24, country("DE"))]);
    // A pointer into nowhere where the data begin: the tree, and 16 bytes that part it from them.
    let data = bytes.windows(8).position(|window| window == b"\x47country").unwrap() - 1;
    for byte in &mut bytes[data..data + 20] {
        *byte = 0x3f;
    }
    let file = written(&bytes);
    let mut geography = Geography::open(Some(file.path()), None).unwrap();
    for _ in 0..3 {
        assert_eq!(located(&mut geography, [192, 0, 2, 1]), (None, None));
    }
    geography.kept.clear();
    assert_eq!(located(&mut geography, [192, 0, 2, 2]), (None, None));
    let warnings = geography.take_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.contains("damaged"), "{warnings:?}");
    assert_eq!(geography.take_warnings(), []);
}
