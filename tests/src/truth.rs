//! The truth about a set of captures, and how an answer is held against it.
//!
//! A truth file is a table separated by tabs: `file`, `must`, `allow`, `note`, and optionally `technique`. `must` and `allow` list
//! items separated by `;`: `DETECTOR[|SYNONYM…][@SOURCE[>TARGET]]`, where `*` is any address and `-` none. A must is met by an
//! anomaly of medium severity or above, one that begins with `?` by low or above. Where `technique` is given, each must has to be
//! met by an anomaly whose variant or discriminator is that word.

use std::collections::BTreeMap;

use serde_json::Value;

/// An expectation about one capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Path, relative to the directory of the captures.
    pub file: String,
    /// What has to be found.
    pub must: Vec<Item>,
    /// What may be found besides.
    pub allow: Vec<Item>,
    /// The variant or discriminator of what has to be found; empty: any.
    pub technique: String,
}

/// One item of `must` or `allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    text: String,
    detectors: Vec<String>,
    source: End,
    target: End,
    low_will_do: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Any,
    Absent,
    Is(String),
}

/// A truth file that cannot be read; the input's fault, and no retry helps.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TruthError {
    /// A column is missing.
    #[error("the header has no column {0:?}; it needs file, must, allow, note")]
    NoColumn(&'static str),
    /// The file has no line at all.
    #[error("the truth file is empty")]
    Empty,
}

/// What one capture was found to hold: worst severity rank per kind of anomaly.
pub type Found = BTreeMap<Anomaly, u8>;

/// What tells one anomaly from another here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anomaly {
    /// Detector.
    pub detector: String,
    /// Source address or name.
    pub source: Option<String>,
    /// Target address or name.
    pub target: Option<String>,
    /// Variant and discriminator.
    pub technique: [String; 2],
}

/// An output line that is no anomaly.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Not JSON.
    #[error("line {line} is no JSON: {error}")]
    NotJson {
        /// Line number, from 1.
        line: usize,
        /// What the parser says.
        error: serde_json::Error,
    },
    /// A field is missing or of the wrong kind.
    #[error("line {line} has no usable {field:?}")]
    Field {
        /// Line number, from 1.
        line: usize,
        /// Name of the field.
        field: &'static str,
    },
}

const MEDIUM: u8 = 2;
const LOW: u8 = 1;
/// Unmatched anomalies of low severity that a capture may have.
const LOWS_ALLOWED: usize = 3;
/// Revisions that an anomaly may have on average.
const LINES_PER_ANOMALY: usize = 20;

/// The rows of a truth file.
pub fn parse(text: &str) -> Result<Vec<Row>, TruthError> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().ok_or(TruthError::Empty)?.split('\t').collect();
    let column = |name| header.iter().position(|word| *word == name).ok_or(TruthError::NoColumn(name));
    let (file, must, allow) = (column("file")?, column("must")?, column("allow")?);
    let technique = column("technique").ok();
    Ok(lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let cell = |index: usize| cells.get(index).copied().unwrap_or_default();
            Row {
                file: cell(file).to_owned(),
                must: items(cell(must)),
                allow: items(cell(allow)),
                technique: technique.map(cell).unwrap_or_default().to_owned(),
            }
        })
        .collect())
}

fn items(text: &str) -> Vec<Item> {
    text.split(';').map(str::trim).filter(|item| !item.is_empty()).map(item).collect()
}

fn item(text: &str) -> Item {
    let low_will_do = text.starts_with('?');
    let (names, place) = text.trim_start_matches('?').split_once('@').unwrap_or((text.trim_start_matches('?'), ""));
    let (source, target) = place.split_once('>').unwrap_or((place, ""));
    Item {
        text: text.to_owned(),
        detectors: names.split('|').map(str::to_owned).collect(),
        source: end(source),
        target: end(target),
        low_will_do,
    }
}

fn end(text: &str) -> End {
    match text {
        "" | "*" => End::Any,
        "-" => End::Absent,
        address => End::Is(address.to_owned()),
    }
}

impl End {
    fn matches(&self, address: Option<&String>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => address.is_none(),
            Self::Is(wanted) => address == Some(wanted),
        }
    }
}

impl Item {
    fn matches(&self, anomaly: &Anomaly) -> bool {
        let named = self.detectors.iter().any(|name| name == "*" || *name == anomaly.detector);
        named && self.source.matches(anomaly.source.as_ref()) && self.target.matches(anomaly.target.as_ref())
    }

    fn is_met_by(&self, found: &Found, technique: &str) -> bool {
        let floor = if self.low_will_do { LOW } else { MEDIUM };
        found.iter().any(|(anomaly, rank)| {
            *rank >= floor
                && self.matches(anomaly)
                && (technique.is_empty() || anomaly.technique.iter().any(|word| word == technique))
        })
    }
}

/// Reads the JSON lines of `weir analyze --format jsonl`: what was found, and the number of lines.
pub fn read_output(text: &str) -> Result<(Found, usize), OutputError> {
    let mut found = Found::new();
    let mut lines = 0;
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = index + 1;
        let value: Value = serde_json::from_str(line).map_err(|error| OutputError::NotJson { line: number, error })?;
        let word = |field| value[field].as_str().ok_or(OutputError::Field { line: number, field });
        let rank = ["info", "low", "medium", "high", "critical"]
            .iter()
            .position(|name| Some(*name) == value["severity"].as_str());
        let rank = rank.ok_or(OutputError::Field { line: number, field: "severity" })? as u8;
        word("id")?;
        let optional = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let anomaly = Anomaly {
            detector: word("detector")?.to_owned(),
            source: address(&value["source"]),
            target: address(&value["target"]),
            technique: [optional("variant"), optional("discriminator")],
        };
        let worst = found.entry(anomaly).or_default();
        *worst = rank.max(*worst);
        lines += 1;
    }
    Ok((found, lines))
}

fn address(party: &Value) -> Option<String> {
    party["ip"].as_str().or_else(|| party["name"].as_str()).map(str::to_owned)
}

/// What is wrong with an answer; empty where nothing is.
#[must_use]
pub fn shortcomings(row: &Row, found: &Found, lines: usize, exit_status: i32) -> Vec<String> {
    let mut wrong = Vec::new();
    for item in row.must.iter().filter(|item| !item.is_met_by(found, &row.technique)) {
        wrong.push(format!(
            "missing {}{}{}",
            item.text,
            if row.technique.is_empty() { "" } else { " " },
            row.technique
        ));
    }
    let expected = |anomaly: &Anomaly| row.must.iter().chain(&row.allow).any(|item| item.matches(anomaly));
    let mut unmatched_lows = 0;
    for (anomaly, rank) in found.iter().filter(|(anomaly, _)| !expected(anomaly)) {
        if *rank >= MEDIUM {
            wrong.push(format!("false {}", describe(anomaly)));
        } else if *rank == LOW {
            unmatched_lows += 1;
        }
    }
    if unmatched_lows > LOWS_ALLOWED {
        wrong.push(format!("{unmatched_lows} unmatched lows"));
    }
    let anything_goes = row.allow.iter().any(|item| item.detectors.iter().any(|name| name == "*"));
    if !anything_goes && distinct(found) > 3 * (row.must.len() + row.allow.len()) + 3 {
        wrong.push(format!("{} distinct anomalies", distinct(found)));
    }
    if lines > LINES_PER_ANOMALY * distinct(found).max(1) {
        wrong.push(format!("{lines} lines for {} distinct anomalies", distinct(found)));
    }
    if (exit_status == 1) != (lines > 0) {
        wrong.push(format!("exit status {exit_status} with {lines} lines"));
    }
    wrong
}

/// Distinct (detector, source, target).
fn distinct(found: &Found) -> usize {
    let mut keys: Vec<_> = found.keys().map(|anomaly| (&anomaly.detector, &anomaly.source, &anomaly.target)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.len()
}

/// `detector@source>target` as truth files write it.
#[must_use]
pub fn describe(anomaly: &Anomaly) -> String {
    let end = |address: &Option<String>| address.clone().unwrap_or_else(|| "-".to_owned());
    format!("{}@{}>{}", anomaly.detector, end(&anomaly.source), end(&anomaly.target))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "file\tmust\tallow\tnote\ttechnique\n";

    /// Must, allow, technique, output, exit status, and what is wrong with it.
    type Case<'a> = (&'a str, &'a str, &'a str, Vec<String>, i32, &'a [&'a str]);

    fn row(must: &str, allow: &str, technique: &str) -> Row {
        parse(&format!("{HEADER}a.pcap\t{must}\t{allow}\t\t{technique}\n")).unwrap().remove(0)
    }

    fn line(detector: &str, source: &str, target: &str, severity: &str) -> String {
        let party = |ip: &str| if ip.is_empty() { "null".to_owned() } else { format!(r#"{{"ip":"{ip}"}}"#) };
        format!(
            r#"{{"id":"1","detector":"{detector}","severity":"{severity}","variant":"syn","discriminator":"tcp","source":{},"target":{}}}"#,
            party(source),
            party(target)
        )
    }

    fn judge(row: &Row, output: &[String], exit_status: i32) -> Vec<String> {
        let (found, lines) = read_output(&output.join("\n")).unwrap();
        shortcomings(row, &found, lines, exit_status)
    }

    #[test]
    fn answers_are_judged_by_the_rules() {
        let scan = line("port_scan", "10.0.0.1", "10.0.0.2", "high");
        let low_scan = line("port_scan", "10.0.0.1", "10.0.0.2", "low");
        let flood = line("syn_flood", "", "10.0.0.2", "medium");
        let cases: [Case; 12] = [
            ("port_scan@10.0.0.1>10.0.0.2", "", "", vec![scan.clone()], 1, &[]),
            ("host_sweep|port_scan@10.0.0.1", "", "", vec![scan.clone()], 1, &[]),
            ("port_scan", "", "syn", vec![scan.clone()], 1, &[]),
            ("port_scan", "", "tcp", vec![scan.clone()], 1, &[]),
            ("port_scan", "", "xmas", vec![scan.clone()], 1, &["missing port_scan xmas"]),
            ("port_scan", "", "", vec![], 0, &["missing port_scan"]),
            ("port_scan", "", "", vec![low_scan.clone()], 1, &["missing port_scan"]),
            ("?port_scan", "", "", vec![low_scan.clone()], 1, &[]),
            ("syn_flood@->10.0.0.2", "", "", vec![flood.clone()], 1, &[]),
            ("syn_flood@10.0.0.1>*", "syn_flood", "", vec![flood], 1, &["missing syn_flood@10.0.0.1>*"]),
            ("", "", "", vec![scan.clone()], 1, &["false port_scan@10.0.0.1>10.0.0.2"]),
            ("port_scan", "", "", vec![scan], 0, &["exit status 0 with 1 lines"]),
        ];
        for (must, allow, technique, output, exit_status, expected) in cases {
            assert_eq!(judge(&row(must, allow, technique), &output, exit_status), expected, "{must} {technique}");
        }
    }

    #[test]
    fn noise_falls_short() {
        let lows: Vec<String> = (0..4).map(|n| line("fan_out", &format!("10.0.0.{n}"), "", "low")).collect();
        assert_eq!(judge(&row("", "", ""), &lows, 1), ["4 unmatched lows", "4 distinct anomalies"]);
        let revisions = vec![line("port_scan", "10.0.0.1", "", "high"); 21];
        assert_eq!(judge(&row("port_scan", "", ""), &revisions, 1), ["21 lines for 1 distinct anomalies"]);
    }

    #[test]
    fn names_the_fault_of_a_bad_line() {
        let cases = [
            ("nonsense", "line 1 is no JSON"),
            (r#"{"severity":"low","id":"1"}"#, r#"line 1 has no usable "detector""#),
            (r#"{"severity":"bad","id":"1","detector":"x"}"#, r#"line 1 has no usable "severity""#),
        ];
        for (text, expected) in cases {
            assert!(read_output(text).unwrap_err().to_string().starts_with(expected), "{text}");
        }
        assert_eq!(parse("file\tmust\n").unwrap_err(), TruthError::NoColumn("allow"));
    }
}
