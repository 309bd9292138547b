//! Flow records as columns for people, a line each. Lines leave as records come, so widths depend on the terminal alone.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};
use weir_results::{format, text};
use weir_schemas::{Flow, Host, rfc3339};

/// Columns that do not depend on the terminal: heading and width.
const FIXED: [(&str, usize); 6] =
    [("PROTO", 6), ("PACKETS", 11), ("BYTES", 17), ("OUTCOME", 10), ("STATE", 6), ("END", 10)];
/// Of the fixed columns, those left out where there is no room, in this order: `STATE`, `END`, `BYTES`.
const DISPENSABLE: [usize; 3] = [4, 5, 2];
const TIME_COLUMNS: usize = "09:01:00.068".len();
/// Two short IPv4 addresses with ports and the arrow. Longer ends get a line of their own.
const LEAST_ENDS_COLUMNS: usize = 31;
const GAP: &str = "  ";

/// The table, drawn line by line.
pub struct FlowTable {
    width: usize,
    shown: [bool; FIXED.len()],
    ends_columns: usize,
    day: String,
}

impl FlowTable {
    /// A table of `width` columns.
    pub fn new(width: usize) -> Self {
        let mut shown = [true; FIXED.len()];
        let room = |shown: &[bool; FIXED.len()]| {
            let fixed =
                FIXED.iter().zip(shown).filter(|(_, shown)| **shown).map(|((_, columns), _)| columns + GAP.len());
            width.saturating_sub(TIME_COLUMNS + GAP.len() + fixed.sum::<usize>())
        };
        for column in DISPENSABLE {
            if room(&shown) < LEAST_ENDS_COLUMNS {
                shown[column] = false;
            }
        }
        Self { width, ends_columns: room(&shown).max(LEAST_ENDS_COLUMNS), shown, day: String::new() }
    }

    /// The line of headings.
    pub fn heading(&self) -> String {
        self.assemble("TIME (UTC)", "SOURCE → RESPONDER", &FIXED.map(|(heading, _)| heading.to_owned()))
    }

    /// The line of a record, and before it the date where that changes.
    pub fn line(&mut self, flow: &Flow) -> String {
        let stamp = rfc3339::format(flow.event_time);
        let (day, clock) = stamp.split_once('T').unwrap_or((&stamp, ""));
        let clock = clock.get(..TIME_COLUMNS).unwrap_or(clock);
        let state = flow.tcp.as_ref().map_or("", |tcp| &tcp.state);
        let cells = [
            protocol(flow.proto),
            format!("{} / {}", format::count(flow.fwd.packets), format::count(flow.rev.packets)),
            format!("{} / {}", format::bytes(flow.fwd.bytes), format::bytes(flow.rev.bytes)),
            flow.outcome.name().replace('_', " "),
            text::printable(state),
            flow.end_reason.name().to_owned(),
        ];
        let arrow = if flow.initiator.is_evidence() { "→" } else { "–" };
        let ends = format!("{} {arrow} {}", end(&flow.src.host, flow.src.port), end(&flow.dst.host, flow.dst.port));
        let line = self.assemble(clock, &ends, &cells);
        if day == self.day {
            return line;
        }
        day.clone_into(&mut self.day);
        format!("{day}\n{line}")
    }

    fn assemble(&self, time: &str, ends: &str, cells: &[String; FIXED.len()]) -> String {
        let [protocol, rest @ ..] = cells;
        let mut line = format!("{}{GAP}{}{GAP}", fit(time, TIME_COLUMNS), fit(protocol, FIXED[0].1));
        if ends.width() <= self.ends_columns {
            line.push_str(&fit(ends, self.ends_columns));
        } else {
            // Long ends have a line of their own, and the numbers stay in their columns: an address cut short is no address.
            let margin = line.width();
            line.push_str(fit(ends, self.width.saturating_sub(margin)).trim_end());
            line.push('\n');
            line.extend(std::iter::repeat_n(' ', margin + self.ends_columns));
        }
        for ((cell, (_, width)), shown) in rest.iter().zip(&FIXED[1..]).zip(&self.shown[1..]) {
            if *shown {
                line.push_str(GAP);
                line.push_str(&fit(cell, *width));
            }
        }
        format!("{}\n", line.trim_end())
    }
}

/// `tcp`, `udp`, …, or the number (IANA, Assigned Internet Protocol Numbers); 0 stands for ARP in flow records.
fn protocol(number: u8) -> String {
    let name = match number {
        0 => "arp",
        1 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        47 => "gre",
        50 => "esp",
        58 => "icmpv6",
        132 => "sctp",
        _ => return number.to_string(),
    };
    name.to_owned()
}

fn end(host: &Host, port: u16) -> String {
    let name = text::printable(&host.to_string());
    match (host, port) {
        (_, 0) => name,
        (Host::V6(_), _) => format!("[{name}]:{port}"),
        _ => format!("{name}:{port}"),
    }
}

/// The text cut (`…`) or filled with spaces to `columns` as displayed.
fn fit(text: &str, columns: usize) -> String {
    let mut fitted = String::with_capacity(columns);
    let mut used = 0;
    let is_cut = text.width() > columns;
    let room = if is_cut { columns.saturating_sub(1) } else { columns };
    for character in text.chars() {
        let next = used + character.width().unwrap_or(0);
        if next > room {
            break;
        }
        used = next;
        fitted.push(character);
    }
    if is_cut && columns > 0 {
        fitted.push('…');
        used += 1;
    }
    fitted.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_wide_as_their_column() {
        for (cell, expected) in [("ab", "ab    "), ("abcdef", "abcdef"), ("abcdefg", "abcde…"), ("日本語文", "日本… ")]
        {
            assert_eq!(fit(cell, 6), expected);
            assert_eq!(fit(cell, 6).width(), 6);
        }
    }

    #[test]
    fn the_heading_fits_the_terminal() {
        for (width, headings) in [(160, 8), (120, 8), (100, 6), (80, 5)] {
            let table = FlowTable::new(width);
            let heading = table.heading();
            let words = ["TIME", "PROTO", "SOURCE", "PACKETS", "BYTES", "OUTCOME", "STATE", "END"];
            let shown = words.iter().filter(|word| heading.split_whitespace().any(|cell| cell == **word)).count();
            assert_eq!(shown, headings, "{width}: {heading}");
            assert!(heading.trim_end().width() <= width.max(84), "{width}: {heading}");
        }
    }

    #[test]
    fn names_cannot_write_to_the_terminal() {
        assert_eq!(end(&Host::Name("a\u{1b}[2J".into()), 80), "a\\u{1b}[2J:80");
        assert_eq!(end(&Host::parse("fd00::1"), 443), "[fd00::1]:443");
    }
}
