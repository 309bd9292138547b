//! The table for terminals: in one screen what was found, how sure that is, and what to look at next.

use std::io::IsTerminal as _;

use weir_schemas::{Anomaly, Severity};

use super::caveats;
use super::layout::{bold, coloured, cut, fit, width, wrap};
use crate::episodes::{Episode, Episodes};
use crate::explain::{self, explain};
use crate::facts::RunFacts;
use crate::format::{clock, count, count_of, duration, percent, quantity, utc};
use crate::text;

/// Width where there is no terminal to ask, columns.
const DEFAULT_WIDTH: usize = 120;
/// Below this nothing sensible fits.
const LEAST_WIDTH: usize = 40;

/// How a table is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// Columns of the terminal.
    pub width: usize,
    /// Use colour.
    pub colour: bool,
    /// Episodes listed before the rest is only counted.
    pub rows: usize,
    /// Episodes explained under "what to look at next".
    pub explained: usize,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { width: DEFAULT_WIDTH, colour: false, rows: 20, explained: 3 }
    }
}

impl TableOptions {
    /// What standard output can show: its width, and colour only on a terminal and without `NO_COLOR`
    /// (<https://no-color.org>: any value but the empty one).
    #[must_use]
    pub fn for_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(columns, _)| usize::from(columns.0));
        Self { width: width.max(LEAST_WIDTH), colour: terminal && !no_colour, ..Self::default() }
    }
}

/// The whole table, or the text that says nothing was found, what was judged and what was not. Ends with a line feed.
#[must_use]
pub fn render_table(episodes: &Episodes, facts: &RunFacts, options: &TableOptions) -> String {
    let mut out = String::new();
    let found = episodes.in_order();
    if found.is_empty() {
        let headline = format!("Nothing found at severity {} or above.", episodes.at_least());
        out.push_str(&bold(&headline, options.colour));
        out.push('\n');
        out.push_str(&wrap(&judged(facts), options.width, 0));
    } else {
        let what = count_of(found.len() as u64, "episode");
        let headline = format!("{what} of severity {} or above.", episodes.at_least());
        out.push_str(&bold(&headline, options.colour));
        out.push('\n');
        out.push_str(&wrap(&judged(facts), options.width, 0));
        out.push('\n');
        out.push_str(&rows(&found, options));
        out.push('\n');
        out.push_str(&look_next(&found, options));
    }
    push_list(&mut out, "Could not be judged", &caveats::cannot_judge(&facts.cannot_judge), options);
    push_list(&mut out, "Caveats", &caveats::of_input(facts), options);
    out
}

/// One revision as one line, for verdicts shown as they come. Its time is the clock's only: lines come in order.
#[must_use]
pub fn verdict_line(anomaly: &Anomaly, options: &TableOptions) -> String {
    let severity = coloured(&fit(anomaly.severity.name(), SEVERITY_COLUMNS), anomaly.severity, options.colour);
    let rest = format!(
        "{} UTC{GAP}{}{GAP}{}: {}, {} (threshold {}), {} sure",
        clock(anomaly.window.end),
        fit(anomaly.state.name(), 7),
        what(anomaly),
        who(anomaly),
        quantity(anomaly.observed, &anomaly.unit),
        quantity(anomaly.threshold, &anomaly.unit),
        percent(anomaly.confidence)
    );
    format!("{severity}{GAP}{}", cut(&rest, options.width.saturating_sub(SEVERITY_COLUMNS + GAP.len())))
}

/// What was read and which detectors judged it.
fn judged(facts: &RunFacts) -> String {
    let span = match facts.span {
        Some((first, last)) => {
            format!(", {} to {} ({})", utc(first), utc(last), duration(last.saturating_sub(first)))
        }
        None => String::new(),
    };
    let inputs: Vec<String> = facts.inputs.iter().map(|input| text::printable_line(input)).collect();
    let from = if inputs.is_empty() { String::new() } else { format!(" from {}", inputs.join(", ")) };
    let read = format!("Read{from}: {} in {}{span}.", count_of(facts.packets, "packet"), count_of(facts.flows, "flow"));
    let detectors: Vec<String> = facts
        .judged
        .iter()
        .filter(|(_, windows)| *windows > 0)
        .map(|(detector, windows)| format!("{} ({})", text::printable(detector), count_of(*windows, "window")))
        .collect();
    if detectors.is_empty() {
        return format!("{read} No detector had a window to judge.");
    }
    let profile = match facts.profile.as_str() {
        "" => String::new(),
        profile => format!(" with profile {}", text::printable(profile)),
    };
    format!("{read} Judged{profile} by {}.", detectors.join(", "))
}

pub(super) fn what(anomaly: &Anomaly) -> String {
    let detector = text::printable(&anomaly.detector);
    match anomaly.variant.as_str() {
        "" => detector,
        variant => format!("{detector} ({})", explain::words(variant)),
    }
}

pub(super) fn who(anomaly: &Anomaly) -> String {
    match (&anomaly.source, &anomaly.target) {
        (None, None) => explain::target(anomaly),
        _ => format!("{} → {}", explain::source(anomaly), explain::target(anomaly)),
    }
}

struct Row {
    severity: Severity,
    cells: [String; 6],
}

const HEADINGS: [&str; 6] = ["WHAT", "SOURCE → TARGET", "OBSERVED (THRESHOLD)", "SURE", "SINCE (UTC)", "LASTED"];
pub(super) const SEVERITY_COLUMNS: usize = 8;
/// The column that may be cut: names can be long, and the words below the table repeat them whole.
const WHO: usize = 1;
/// Two IPv4 addresses and the arrow.
const LEAST_WHO_COLUMNS: usize = 33;
pub(super) const GAP: &str = "  ";

fn row(episode: &Episode) -> Row {
    let last = &episode.last;
    let observed = format!("{} ({})", quantity(last.observed, &last.unit), quantity(last.threshold, &last.unit));
    let since = utc(last.episode_start).trim_end_matches(" UTC").to_owned();
    let lasted = duration(episode.length());
    Row {
        severity: episode.severity,
        cells: [what(last), who(last), observed, percent(last.confidence), since, lasted],
    }
}

fn rows(found: &[&Episode], options: &TableOptions) -> String {
    let rows: Vec<Row> = found.iter().take(options.rows).map(|episode| row(episode)).collect();
    let mut widths = HEADINGS.map(width);
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(&row.cells) {
            *widest = (*widest).max(width(cell));
        }
    }
    let total = SEVERITY_COLUMNS + widths.iter().map(|columns| columns + GAP.len()).sum::<usize>();
    let excess = total.saturating_sub(options.width);
    let mut out = if widths[WHO].saturating_sub(excess) >= LEAST_WHO_COLUMNS.min(widths[WHO]) {
        widths[WHO] -= excess;
        in_columns(&rows, &widths, options)
    } else {
        stacked(&rows, options)
    };
    let more = found.len().saturating_sub(options.rows);
    if more > 0 {
        let line = format!(
            "and {} more, less severe or later: --format jsonl lists all, --severity raises the bar.",
            count(more as u64)
        );
        out.push_str(&wrap(&line, options.width, 0));
    }
    out
}

fn in_columns(rows: &[Row], widths: &[usize; 6], options: &TableOptions) -> String {
    let heading = line(&fit("SEVERITY", SEVERITY_COLUMNS), &HEADINGS.map(str::to_owned), widths);
    let mut out = format!("{}\n", bold(&heading, options.colour));
    for row in rows {
        let severity = coloured(&fit(row.severity.name(), SEVERITY_COLUMNS), row.severity, options.colour);
        out.push_str(&line(&severity, &row.cells, widths));
        out.push('\n');
    }
    out
}

fn line(severity: &str, cells: &[String; 6], widths: &[usize; 6]) -> String {
    let mut line = severity.to_owned();
    for (cell, columns) in cells.iter().zip(widths) {
        line.push_str(GAP);
        line.push_str(&fit(cell, *columns));
    }
    line.trim_end().to_owned()
}

/// Narrow terminals: three lines per episode instead of columns cut to nothing.
fn stacked(rows: &[Row], options: &TableOptions) -> String {
    let mut out = String::new();
    for row in rows {
        let [what, who, observed, sure, since, lasted] = &row.cells;
        let severity = coloured(&fit(row.severity.name(), SEVERITY_COLUMNS), row.severity, options.colour);
        let room = options.width.saturating_sub(SEVERITY_COLUMNS + GAP.len());
        push_line(&mut out, &format!("{severity}{GAP}{}", cut(&format!("{what}, {sure} sure"), room)));
        let margin = " ".repeat(SEVERITY_COLUMNS + GAP.len());
        push_line(&mut out, &format!("{margin}{}", cut(who, room)));
        out.push_str(&wrap(&format!("{observed}, since {since} UTC, lasted {lasted}"), options.width, margin.len()));
    }
    out
}

/// The most severe episodes in words; of several alike (same detector and source) the first.
fn look_next(found: &[&Episode], options: &TableOptions) -> String {
    let mut told = Vec::new();
    let mut out = format!("{}\n", bold("What to look at next", options.colour));
    for episode in found {
        let alike = (&episode.last.reason, &episode.last.source, &episode.last.variant);
        if told.contains(&alike) {
            continue;
        }
        told.push(alike);
        let words = explain(&episode.last);
        let number = format!("{}. ", told.len());
        let text = wrap(&format!("{} {} {}", words.what, words.how_sure, words.check.say), options.width, number.len());
        out.push_str(&number);
        out.push_str(text.trim_start());
        if let Some(filter) = words.check.filter {
            // Never wrapped: a filter is made to be copied.
            push_line(&mut out, &format!("{}filter: {filter}", " ".repeat(number.len())));
        }
        if told.len() == options.explained {
            break;
        }
    }
    out
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn push_list(out: &mut String, heading: &str, lines: &[String], options: &TableOptions) {
    if lines.is_empty() {
        return;
    }
    out.push('\n');
    out.push_str(&bold(heading, options.colour));
    out.push('\n');
    for line in lines {
        let text = wrap(line, options.width, 2);
        out.push_str("- ");
        out.push_str(text.trim_start());
    }
}
