//! Texts of a stranger: bounded, printable, and hashed alike by every sensor.

use std::fmt::Write as _;

/// Longest text that is kept, bytes.
pub(super) const LONGEST_TEXT: usize = 255;

/// The text as far as it is kept. Invalid UTF-8 is replaced; control characters become `\x..`, so that no terminal and no
/// log line is led astray.
pub(super) fn kept(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(LONGEST_TEXT)];
    let text = String::from_utf8_lossy(cut);
    if !text.chars().any(char::is_control) {
        return text.into_owned();
    }
    let mut printable = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if letter.is_control() {
            // Writing to a String cannot fail.
            let _ = write!(printable, "\\x{:02x}", u32::from(letter));
        } else {
            printable.push(letter);
        }
    }
    printable
}

/// FNV-1a (draft-eastlake-fnv, 64 bits) of the bytes in lower case: names of hosts know no case. Not secret: whoever
/// guesses the text can check the guess.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// As [`hash`], and the case counts: paths of URLs know case.
pub(super) fn hash_exact(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Hexadecimal digits, lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether `bytes` begin with `prefix`, whatever the case.
pub(super) fn begins_with(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether `needle` occurs in `bytes`, whatever the case.
pub(super) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// The lines of `bytes`, without their ends; the last one may be cut.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_printable() {
        assert_eq!(kept(b"curl/8.5.0"), "curl/8.5.0");
        assert_eq!(kept(b"a\x1b[2Jb\nc\xff"), "a\\x1b[2Jb\\x0ac\u{fffd}");
        assert_eq!(kept(&[b'x'; 1000]).len(), LONGEST_TEXT);
    }

    /// Vectors of draft-eastlake-fnv, appendix C.
    #[test]
    fn hashes_are_the_published_ones() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(hash(b"FooBar"), hash_exact(b"foobar"));
        assert_ne!(hash_exact(b"FooBar"), hash_exact(b"foobar"));
    }

    #[test]
    fn lines_end_in_either_way() {
        let found: Vec<_> = lines(b"220 a\r\n\n530 b\nrest").collect();
        assert_eq!(found, [&b"220 a"[..], b"530 b", b"rest"]);
        assert!(begins_with(b"user x", b"USER ") && !begins_with(b"US", b"USER"));
        assert!(contains(b"xx Login Incorrect", b"login incorrect") && !contains(b"in", b"login"));
    }
}
