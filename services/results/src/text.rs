//! Text that comes from captures, made safe for where it is printed. Names in a capture are written by whoever sent the
//! packets: they may hold terminal control sequences, Markdown, or characters that reorder what a reader sees.

use std::fmt::Write as _;

/// Longest host name there is, characters (RFC 1035 §3.1 allows 253 in text); a longer one is cut.
const LONGEST_NAME: usize = 253;

/// Whether a character could act on a terminal or on how text reads, instead of being read: controls (C0, DEL, C1),
/// line and paragraph separators, direction marks, overrides and isolates (UAX #9), and invisible joiners.
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with every unsafe character as a visible escape (`\u{1b}`), cut with `…` where no name is that long.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        if index == LONGEST_NAME {
            safe.push('…');
            break;
        }
        push_printable(&mut safe, character);
    }
    safe
}

/// Like [`printable`], for text of any length.
#[must_use]
pub fn printable_line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    text.chars().for_each(|character| push_printable(&mut safe, character));
    safe
}

fn push_printable(safe: &mut String, character: char) {
    if is_unsafe(character) {
        safe.extend(character.escape_unicode());
    } else {
        safe.push(character);
    }
}

/// Prose for Markdown: printable, and no character of it is markup or makes a link.
#[must_use]
pub fn markdown(text: &str) -> String {
    let characters: Vec<char> = printable_line(text).chars().collect();
    let mut safe = String::with_capacity(text.len() + 8);
    for (index, character) in characters.iter().copied().enumerate() {
        let (before, after) = (&characters[..index], &characters[index + 1..]);
        match character {
            '\\' | '`' | '*' | '[' | ']' | '|' | '~' | '$' => {
                safe.push('\\');
                safe.push(character);
            }
            // Within a word `_` is a letter (GitHub Flavored Markdown §6.2); a heading's `#` begins its line.
            '_' if !is_within_word(before, after) => safe.push_str("\\_"),
            '#' if before.is_empty() => safe.push_str("\\#"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // GitHub turns bare `http://…`, `www.…` and `a@b.c` into links (§6.9).
            ':' if after.starts_with(&['/', '/']) => safe.push_str("&#58;"),
            '.' if ends_with_www(before) => safe.push_str("&#46;"),
            '@' => safe.push_str("&#64;"),
            _ => safe.push(character),
        }
    }
    safe
}

fn is_within_word(before: &[char], after: &[char]) -> bool {
    let is_word = |character: Option<&char>| character.is_some_and(|character| character.is_alphanumeric());
    is_word(before.last()) && is_word(after.first())
}

fn ends_with_www(before: &[char]) -> bool {
    before.len() >= 3 && before[before.len() - 3..].iter().all(|character| character.eq_ignore_ascii_case(&'w'))
}

/// A code span for Markdown, fit for a table cell: nothing within is markup.
#[must_use]
pub fn markdown_code(text: &str) -> String {
    let text = printable_line(text).replace('|', "\\|");
    // A span is fenced by more backticks than any run within it (CommonMark §6.1).
    let longest_run = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest_run + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// One line of JSON in which every unsafe character is a `\u` escape. Outside strings JSON is ASCII, so each such
/// character stands in a string, where the escape means the same.
#[must_use]
pub fn json_line(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if !is_unsafe(character) {
            safe.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            // Writing to a String cannot fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe
}

/// A string literal of Wireshark's display filter language.
#[must_use]
pub fn filter_string(text: &str) -> String {
    format!("\"{}\"", printable(text).replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controls_become_visible() {
        assert_eq!(printable("a\u{1b}[31mb\u{9b}c\n\u{202e}d"), "a\\u{1b}[31mb\\u{9b}c\\u{a}\\u{202e}d");
        assert_eq!(printable(&"x".repeat(300)).chars().count(), LONGEST_NAME + 1);
        assert_eq!(printable("müller.example"), "müller.example");
    }

    #[test]
    fn markdown_stays_text() {
        assert_eq!(markdown("a|b*c_<i>&"), "a\\|b\\*c\\_&lt;i&gt;&amp;");
        assert_eq!(markdown("_port_scan_ # few."), "\\_port_scan\\_ # few.");
        assert_eq!(markdown("# x"), "\\# x");
        assert_eq!(markdown("http://x www.y a@b"), "http&#58;//x www&#46;y a&#64;b");
        assert_eq!(markdown("at 12:00:00"), "at 12:00:00");
        assert_eq!(markdown_code("a`b|c"), "``a`b\\|c``");
        assert_eq!(markdown_code("`"), "`` ` ``");
    }

    #[test]
    fn filters_quote_names() {
        assert_eq!(filter_string("a\" || true"), "\"a\\\" || true\"");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(text in any::<String>()) {
            for safe in [printable(&text), printable_line(&text), markdown(&text), markdown_code(&text)] {
                prop_assert!(!safe.chars().any(is_unsafe), "{safe:?}");
            }
        }

        #[test]
        fn json_keeps_its_meaning(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let safe = json_line(&json);
            prop_assert!(!safe.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }
    }
}
