//! Durations and sizes with their units, as operators write them.

use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const MICROSECONDS: [(&str, u64); 6] =
    [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

const BYTES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// `"90s"`, `"15 m"`, `"250ms"`; `None` if it is anything else or overflows.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &MICROSECONDS).map(Duration::from_micros)
}

/// The duration in the largest unit that divides it. Below a microsecond it is cut.
pub fn format_duration(duration: Duration) -> String {
    let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if microseconds == 0 { "0s".to_owned() } else { format(microseconds, &MICROSECONDS) }
}

/// `"64MiB"`, `"1500 B"`, `"2GB"`; `None` if it is anything else or overflows.
pub fn parse_size(text: &str) -> Option<ByteSize> {
    parse(text, &BYTES).map(ByteSize)
}

/// The size in the largest unit that divides it.
pub fn format_size(size: ByteSize) -> String {
    if size.0 == 0 { "0B".to_owned() } else { format(size.0, &BYTES) }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let unit_start = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_start);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn format(value: u64, units: &[(&str, u64)]) -> String {
    // The last unit is 1 and divides everything.
    let found = units.iter().find(|(_, factor)| value.is_multiple_of(*factor));
    found.map_or_else(|| value.to_string(), |(name, factor)| format!("{}{name}", value / factor))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let cases = [
            ("60s", Some(60_000_000)),
            (" 15 m ", Some(900_000_000)),
            ("250ms", Some(250_000)),
            ("0s", Some(0)),
            ("60", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("1.5s", None),
            ("60x", None),
            ("1h30m", None),
            ("99999999999999d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), expected.map(Duration::from_micros), "{text}");
        }
    }

    #[test]
    fn sizes_tell_powers_of_two_from_powers_of_ten() {
        let cases = [
            ("64MiB", Some(67_108_864)),
            ("64MB", Some(64_000_000)),
            ("10", None),
            ("1 KiB", Some(1024)),
            ("1mib", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), expected.map(ByteSize), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(value: u64) {
            prop_assert_eq!(parse_size(&format_size(ByteSize(value))), Some(ByteSize(value)));
            let duration = Duration::from_micros(value);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
    }
}
