//! Fitting text into columns of a terminal: widths as displayed, cuts, wraps, colour.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};
use weir_schemas::Severity;

/// Columns that a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The text cut to at most `columns`, with `…` where something was cut.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        let next = used + character.width().unwrap_or(0);
        if next + 1 > columns {
            break;
        }
        used = next;
        kept.push(character);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The text cut or filled with spaces to exactly `columns`.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    fitted.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&fitted))));
    fitted
}

/// The text in lines of at most `columns`, broken at spaces, each line after `indent` spaces. A longer word is not broken,
/// and a number not parted from its unit.
pub(super) fn wrap(text: &str, columns: usize, indent: usize) -> String {
    let room = columns.saturating_sub(indent).max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in words_with_units(text) {
        let word = word.as_str();
        if !line.is_empty() && width(&line) + 1 + width(word) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let margin = " ".repeat(indent);
    let mut wrapped = String::with_capacity(text.len() + lines.len() * (indent + 1));
    for line in &lines {
        wrapped.push_str(&margin);
        wrapped.push_str(line);
        wrapped.push('\n');
    }
    wrapped
}

/// The words of a text, a number and the unit after it as one.
fn words_with_units(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_digit = |character: char| character.is_ascii_digit();
        match words.last_mut() {
            Some(number) if number.ends_with(is_digit) && !number.contains(' ') && !word.starts_with(is_digit) => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Text in the colour of a severity (ECMA-48 SGR), or as it is.
pub(super) fn coloured(text: &str, severity: Severity, colour: bool) -> String {
    if !colour {
        return text.to_owned();
    }
    let code = match severity {
        Severity::Critical => "1;31",
        Severity::High => "31",
        Severity::Medium => "33",
        Severity::Low => "36",
        Severity::Info => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Bold text, or as it is.
pub(super) fn bold(text: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_keeps_its_unit() {
        assert_eq!(wrap("lasted for 60 s, 90 % sure", 13, 0), "lasted for\n60 s, 90 %\nsure\n");
    }

    proptest! {
        #[test]
        fn fitted_text_is_as_wide_as_asked(text in "\\PC{0,40}", columns in 0_usize..40) {
            // A wide character may leave one column, which is filled.
            prop_assert_eq!(width(&fit(&text, columns)), columns);
        }

        #[test]
        fn wrapped_text_keeps_its_words(text in "[a-z]{1,8}( [a-z]{1,8}){0,20}", columns in 8_usize..40) {
            let wrapped = wrap(&text, columns, 0);
            prop_assert!(wrapped.lines().all(|line| width(line) <= columns));
            prop_assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>().join(" "), text);
        }
    }
}
