//! Fingerprints of a `ClientHello`: JA3 (Salesforce, 2017) and JA4 (`FoxIO`, technical details of JA4: TLS client; that part
//! is under the BSD 3-clause licence, the others of the JA4+ suite are not and are not here).

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::text::hex;
use super::tls::{Carrier, ClientHello};

/// Whether a number is reserved to be ignored (RFC 8701).
pub(super) fn is_grease(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

/// Numbers in decimal with dashes between, GREASE left out.
fn dashed(numbers: &[u16]) -> String {
    let mut text = String::new();
    for number in numbers.iter().filter(|number| !is_grease(**number)) {
        if !text.is_empty() {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{number}");
    }
    text
}

/// What a JA3 is the MD5 of.
fn ja3_text(hello: &ClientHello) -> String {
    let formats: Vec<u16> = hello.point_formats.iter().map(|format| u16::from(*format)).collect();
    format!(
        "{},{},{},{},{}",
        hello.legacy_version,
        dashed(&hello.ciphers),
        dashed(&hello.extensions),
        dashed(&hello.groups),
        dashed(&formats)
    )
}

/// JA3 of a whole hello: 32 hex digits.
#[must_use]
pub fn ja3(hello: &ClientHello) -> String {
    md5_hex(ja3_text(hello).as_bytes())
}

/// MD5 in hex: a fingerprint's form, no protection.
pub(super) fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// JA4 of a whole hello: `a_b_c`.
#[must_use]
pub fn ja4(hello: &ClientHello, carrier: Carrier) -> String {
    let mut ciphers = without_grease(&hello.ciphers);
    let extensions = without_grease(&hello.extensions);
    let has_name = extensions.contains(&0);
    let (first, last) = alpn_ends(&hello.alpn);
    let a = format!(
        "{}{}{}{:02}{:02}{first}{last}",
        if carrier == Carrier::Quic { 'q' } else { 't' },
        version_letters(hello.version()),
        if has_name { 'd' } else { 'i' },
        ciphers.len().min(99),
        extensions.len().min(99),
    );

    ciphers.sort_unstable();
    let b = short_hash(&comma(&ciphers));

    // Server name and ALPN vary with the server and are counted only.
    let mut sorted: Vec<u16> = extensions.into_iter().filter(|kind| !matches!(kind, 0 | 16)).collect();
    sorted.sort_unstable();
    let mut text = comma(&sorted);
    let algorithms = comma(&without_grease(&hello.signature_algorithms));
    if !text.is_empty() && !algorithms.is_empty() {
        text.push('_');
        text.push_str(&algorithms);
    }
    format!("{a}_{b}_{}", short_hash(&text))
}

fn without_grease(numbers: &[u16]) -> Vec<u16> {
    numbers.iter().copied().filter(|number| !is_grease(*number)).collect()
}

fn version_letters(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// First and last character of the first protocol; of its hex form where one is neither letter nor digit.
fn alpn_ends(alpn: &[u8]) -> (char, char) {
    let (Some(first), Some(last)) = (alpn.first(), alpn.last()) else { return ('0', '0') };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return (char::from(*first), char::from(*last));
    }
    let digits = hex(alpn);
    let first = digits.chars().next().unwrap_or('0');
    (first, digits.chars().next_back().unwrap_or('0'))
}

fn comma(numbers: &[u16]) -> String {
    let mut text = String::with_capacity(numbers.len() * 5);
    for number in numbers {
        if !text.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{number:04x}");
    }
    text
}

/// The first twelve hex digits of SHA-256; zeros for nothing.
fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "000000000000".to_owned();
    }
    hex(&Sha256::digest(text.as_bytes())[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two examples in the README of JA3.
    #[test]
    fn ja3_is_the_published_one() {
        let first = ClientHello {
            legacy_version: 769,
            ciphers: vec![47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
            extensions: vec![0, 10, 11],
            groups: vec![23, 24, 25],
            point_formats: vec![0],
            ..ClientHello::default()
        };
        assert_eq!(ja3_text(&first), "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0");
        assert_eq!(ja3(&first), "ada70206e40642a3e4461f35503241d5");
        let second = ClientHello {
            legacy_version: 769,
            ciphers: vec![0x1a1a, 4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99],
            ..ClientHello::default()
        };
        assert_eq!(ja3_text(&second), "769,4-5-10-9-100-98-3-6-19-18-99,,,");
        assert_eq!(ja3(&second), "de350869b8c85de67a350c8d186f11e6");
    }

    /// The example of `FoxIO`'s technical details of JA4, and what it says about the edges.
    #[test]
    fn ja4_is_the_published_one() {
        let (ciphers, extensions) = super::super::tls::tests::browser();
        let body = super::super::tls::tests::hello_body(0x0303, &ciphers, &extensions);
        let hello = super::super::tls::client_hello(&body, body.len()).unwrap();
        assert_eq!(ja4(&hello, Carrier::Tcp), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!(ja4(&hello, Carrier::Quic), "q13d1516h2_8daaf6152771_e5627efa2ab1");

        let unsigned = ClientHello { signature_algorithms: Vec::new(), ..hello };
        assert_eq!(ja4(&unsigned, Carrier::Tcp), "t13d1516h2_8daaf6152771_6d807ffa2a79");

        let nothing = ClientHello { legacy_version: 0x0301, ..ClientHello::default() };
        assert_eq!(ja4(&nothing, Carrier::Tcp), "t10i000000_000000000000_000000000000");
        let table: [(&[u8], (char, char)); 11] = [
            (b"", ('0', '0')),
            (b"http/1.1", ('h', '1')),
            (b"x", ('x', 'x')),
            (&[0xab], ('a', 'b')),
            (&[0x20], ('2', '0')),
            (&[0xab, 0xcd], ('a', 'd')),
            (&[0x20, 0x61], ('2', '1')),
            (&[0x30, 0xab], ('3', 'b')),
            (&[0x61, 0x20], ('6', '0')),
            (&[0x30, 0x31, 0xab, 0xcd], ('3', 'd')),
            (&[0x30, 0xab, 0xcd, 0x31], ('0', '1')),
        ];
        for (alpn, ends) in table {
            assert_eq!(alpn_ends(alpn), ends, "{alpn:?}");
        }
    }

    #[test]
    fn grease_is_sixteen_numbers() {
        assert_eq!((0..=u16::MAX).filter(|number| is_grease(*number)).count(), 16);
        assert!(is_grease(0xfafa) && !is_grease(0x0a1a));
    }
}
