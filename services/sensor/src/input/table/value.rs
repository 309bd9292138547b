//! How the texts of a table are read: numbers, times, protocols, flags.

use weir_schemas::{Micros, SECOND_US};

use super::super::date::{DAY_US, Date};
use crate::packet::tcp_flag::{ACK, CWR, ECE, FIN, PSH, RST, SYN, URG};

/// Texts that stand for nothing.
const EMPTY: [&str; 12] = ["", "-", "(empty)", "N/A", "n/a", "NA", "NaN", "nan", "null", "None", "blank", "\"\""];

/// Whether the text tells nothing.
pub(super) fn is_empty(text: &str) -> bool {
    EMPTY.contains(&text)
}

/// Whether `field` can be read in `unit`; the error names those that can.
pub(super) fn check_unit(field: &str, unit: &str) -> Result<(), String> {
    let units: &[&str] = match field {
        _ if unit.is_empty() => return Ok(()),
        "start" | "end" if unit.contains('%') => return Ok(()),
        "start" | "end" => &["s", "ms", "us", "ns", "rfc3339", "or a pattern of %Y %m %d %H %M %S %p"],
        "duration" => &["s", "ms", "us", "ns"],
        "packets" | "fwd_packets" | "rev_packets" => &["absent_if_0"],
        "bytes" | "fwd_bytes" | "rev_bytes" | "fwd_payload" | "rev_payload" => &["bits", "kB", "MB", "absent_if_0"],
        "src" | "dst" => &["ip:port"],
        "src_port" | "dst_port" => &["icmp_or_port"],
        "flags_fwd" | "flags_rev" => &["hex", "joined", "aws", "before _", "after _"],
        _ => &[],
    };
    if units.contains(&unit) {
        return Ok(());
    }
    let known = if units.is_empty() { "none".to_owned() } else { units.join(", ") };
    Err(format!("fields.{field}: no such unit: {unit}; there are {known}"))
}

/// A count: whole, or a fraction that a spreadsheet made of it, or with K, M, G as people's output has it.
pub(super) fn number(text: &str) -> Option<u64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok();
    }
    let (digits, scale) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 1e3),
        b'M' => (&text[..text.len() - 1], 1e6),
        b'G' => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let number: f64 = digits.trim().parse().ok()?;
    // 2^63: larger is no count.
    (number >= 0.0 && number * scale < 9.2e18).then_some((number * scale).round() as u64)
}

/// A count of bytes.
pub(super) fn bytes(text: &str, unit: &str) -> Option<u64> {
    let number = number(text)?;
    Some(match unit {
        "bits" => number / 8,
        "kB" => number.saturating_mul(1000),
        "MB" => number.saturating_mul(1_000_000),
        _ => number,
    })
}

/// A number of seconds or of parts of them, to the microsecond, without a detour over floating point.
pub(super) fn span(text: &str, unit: &str) -> Option<Micros> {
    let shift: i32 = match unit {
        "ms" => 3,
        "us" => 0,
        "ns" => -3,
        _ => 6,
    };
    if text.contains(['e', 'E']) {
        let number: f64 = text.parse().ok()?;
        let micros = number * 10_f64.powi(shift);
        return (micros.abs() < 9.2e18).then_some(micros as Micros);
    }
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.into() };
    // Twelve digits after the point are more than a microsecond needs in any unit.
    let mut value = whole;
    for place in 0..12 {
        let digit = fraction.as_bytes().get(place).map_or(0, |byte| i128::from(byte - b'0'));
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    let micros = value / 10_i128.pow((12 - shift) as u32);
    Micros::try_from(sign * micros).ok()
}

/// A time. `zone_minutes` is what times without a zone are ahead of UTC.
pub(super) fn time(text: &str, unit: &str, zone_minutes: i64) -> Option<Micros> {
    match unit {
        "s" | "ms" | "us" | "ns" => span(text, unit),
        "" | "rfc3339" => {
            date_time(text, zone_minutes).or_else(|| if unit.is_empty() { span(text, "s") } else { None })
        }
        pattern => by_pattern(text, pattern).map(|time| time - zone_minutes * 60 * SECOND_US),
    }
}

/// RFC 3339, and what is like it: a blank for the `T`, an offset without its colon (Suricata), no offset at all.
fn date_time(text: &str, zone_minutes: i64) -> Option<Micros> {
    let (date, rest) = text.split_once(['T', ' '])?;
    let sign_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(sign_at);
    let local = Date::parse(date)?.start() + time_of_day(clock.trim())?;
    let ahead = match zone.as_bytes() {
        [] => zone_minutes,
        [b'Z' | b'z'] => 0,
        [sign, digits @ ..] => {
            let digits: String = digits.iter().filter(|byte| **byte != b':').map(|byte| char::from(*byte)).collect();
            let number: i64 = digits.parse().ok()?;
            let minutes = if digits.len() <= 2 { number * 60 } else { number / 100 * 60 + number % 100 };
            if *sign == b'-' { -minutes } else { minutes }
        }
    };
    Some(local - ahead * 60 * SECOND_US)
}

fn time_of_day(text: &str) -> Option<Micros> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute) = (parts.next()?.parse::<i64>().ok()?, parts.next()?.parse::<i64>().ok()?);
    let second = span(parts.next()?, "s")?;
    let is_valid = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60 * SECOND_US).contains(&second);
    is_valid.then_some((hour * 3600 + minute * 60) * SECOND_US + second)
}

/// A pattern of `%Y %m %d %H %M %S %p`; seconds may have a fraction, numbers one digit.
fn by_pattern(text: &str, pattern: &str) -> Option<Micros> {
    let (mut year, mut month, mut day, mut hour, mut minute, mut second) = (1970, 1, 1, 0, 0, 0);
    let mut half = None;
    let mut rest = text.trim();
    let mut pattern = pattern.chars();
    while let Some(expected) = pattern.next() {
        if expected == ' ' {
            rest = rest.trim_start();
            continue;
        }
        if expected != '%' {
            rest = rest.strip_prefix(expected)?;
            continue;
        }
        let what = pattern.next()?;
        let is_part = |byte: &u8| match what {
            'S' => byte.is_ascii_digit() || *byte == b'.',
            'p' => byte.is_ascii_alphabetic(),
            _ => byte.is_ascii_digit(),
        };
        let length = rest.bytes().take_while(is_part).count();
        let (part, after) = rest.split_at(length);
        rest = after;
        match what {
            'Y' => year = part.parse().ok().filter(|year| (1970..=9999).contains(year))?,
            'm' => month = part.parse().ok()?,
            'd' => day = part.parse().ok()?,
            'H' => hour = part.parse().ok()?,
            'M' => minute = part.parse().ok()?,
            'S' => second = span(part, "s")?,
            'p' => half = Some(part.eq_ignore_ascii_case("PM")),
            _ => return None,
        }
    }
    if !rest.is_empty() {
        return None;
    }
    hour = match half {
        Some(is_afternoon) if hour <= 12 => hour % 12 + if is_afternoon { 12 } else { 0 },
        // Some write 24 hours and the half of the day.
        _ => hour,
    };
    let date = Date::parse(&format!("{year:04}-{month:02}-{day:02}"))?;
    let of_day = (i64::from(hour) * 3600 + i64::from(minute) * 60) * SECOND_US + second;
    (0..=DAY_US).contains(&of_day).then_some(date.start() + of_day)
}

/// An IP protocol number, by number or by IANA's keyword.
pub(super) fn protocol(text: &str) -> Option<u8> {
    if let Some(number) = number(text) {
        return u8::try_from(number).ok();
    }
    Some(match text.to_ascii_lowercase().as_str() {
        "icmp" => 1,
        "igmp" => 2,
        "ipip" | "ipencap" | "ipv4" => 4,
        "tcp" => 6,
        "egp" => 8,
        "igp" => 9,
        "udp" | "quic" => 17,
        "ipv6" => 41,
        "rsvp" => 46,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "icmp6" | "ipv6-icmp" | "icmpv6" | "icmp_6" => 58,
        "eigrp" => 88,
        "ospf" => 89,
        "pim" => 103,
        "vrrp" => 112,
        "l2tp" => 115,
        "sctp" => 132,
        "udplite" => 136,
        _ => return None,
    })
}

/// TCP flags: letters as nfdump and Argus print them, hexadecimal, or a number.
pub(super) fn flags(text: &str, unit: &str) -> Option<u8> {
    let joined: String;
    let text = match unit {
        "hex" => return u16::from_str_radix(text.trim_start_matches("0x"), 16).ok().map(|flags| flags as u8),
        "before _" => text.split_once('_')?.0,
        "after _" => text.split_once('_')?.1,
        "joined" => {
            joined = text.split_whitespace().collect();
            &joined
        }
        _ => text.trim(),
    };
    if let Some(number) = number(text).filter(|_| text.starts_with(|first: char| first.is_ascii_digit())) {
        return Some(number as u8);
    }
    let mut flags = 0;
    for letter in text.chars() {
        flags |= match letter {
            'F' => FIN,
            'S' => SYN,
            'R' => RST,
            'P' => PSH,
            'A' => ACK,
            'U' => URG,
            'E' => ECE,
            'C' | 'W' => CWR,
            '.' | '_' => 0,
            _ => return None,
        };
    }
    Some(flags)
}

/// A hardware address.
pub(super) fn mac(text: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut parts = text.split([':', '-']);
    for octet in &mut address {
        *octet = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    (parts.next().is_none() && address != [0; 6]).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_and_spreadsheets_write_them() {
        let cases = [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("5.0", Some(5)),
            ("1.5 M", Some(1_500_000)),
            ("2K", Some(2000)),
            ("0x1f", Some(31)),
            ("-1", None),
            ("1e30", None),
            ("ten", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn times_are_read_in_every_unit() {
        let at = 1_700_828_217 * SECOND_US;
        let cases = [
            ("1700828217.314165", "s", Some(at + 314_165)),
            ("1700828217.3141659", "", Some(at + 314_165)),
            ("1700828217314.5", "ms", Some(at + 314_500)),
            ("1700828217314165", "us", Some(at + 314_165)),
            ("1700828217314165999", "ns", Some(at + 314_165)),
            ("2023-11-24T12:16:57Z", "rfc3339", Some(at)),
            ("2023-11-24T13:16:57.25+0100", "rfc3339", Some(at + 250_000)),
            ("2023-11-24T10:46:57-01:30", "rfc3339", Some(at)),
            ("2023-11-24 12:16:57.001", "", Some(at + 1000)),
            ("24/11/2023 12:16:57 PM", "%d/%m/%Y %H:%M:%S %p", Some(at)),
            ("24/11/2023 12:16", "%d/%m/%Y %H:%M", Some(at - 57 * SECOND_US)),
            ("24/11/2023 12:16:57", "%d/%m/%Y %H:%M", None),
            ("2023/11/24 12:16:57.5", "%Y/%m/%d %H:%M:%S", Some(at + 500_000)),
            ("2023 11 24 12 16 57", "%Y %m %d %H %M %S", Some(at)),
            ("2023-02-30T00:00:00Z", "rfc3339", None),
            ("1700828217", "rfc3339", None),
            ("soon", "", None),
            (".", "s", None),
        ];
        for (text, unit, expected) in cases {
            assert_eq!(time(text, unit, 0), expected, "{text} {unit}");
        }
        assert_eq!(time("2023-11-24 14:16:57", "", 120), Some(at));
        assert_eq!(time("2023 11 24 14 16 57", "%Y %m %d %H %M %S", 120), Some(at));
        assert_eq!(span("-0.5", "s"), Some(-500_000));
    }

    #[test]
    fn flags_are_read_in_every_notation() {
        let cases = [
            ("....S.", "", Some(SYN)),
            (".AP.SF", "", Some(ACK | PSH | SYN | FIN)),
            ("0xc2", "", Some(CWR | ECE | SYN)),
            (". . . . S .", "joined", Some(SYN)),
            ("0 x c 2", "joined", Some(CWR | ECE | SYN)),
            ("1b", "hex", Some(ACK | PSH | SYN | FIN)),
            ("18", "aws", Some(SYN | ACK)),
            ("SRPA_SPA", "before _", Some(SYN | RST | PSH | ACK)),
            ("SRPA_SPA", "after _", Some(SYN | PSH | ACK)),
            ("S_", "after _", Some(0)),
            ("CON", "before _", None),
            ("CLO", "", None),
        ];
        for (text, unit, expected) in cases {
            assert_eq!(flags(text, unit), expected, "{text} {unit}");
        }
    }

    #[test]
    fn units_are_checked() {
        assert_eq!(check_unit("start", "%d.%m.%Y"), Ok(()));
        assert_eq!(check_unit("fwd_bytes", "bits"), Ok(()));
        for (field, unit) in [("start", "hours"), ("proto", "ms"), ("src", "port")] {
            assert!(check_unit(field, unit).unwrap_err().contains("no such unit"), "{field} {unit}");
        }
    }
}
