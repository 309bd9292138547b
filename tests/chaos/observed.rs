//! What a service's log tells of restores and commits.

use serde_json::Value;

/// Something that a line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A partition goes on from its last commit, under a row of the table of offsets.
    Restored { stage: String, partition: u32, row: String },
    /// It has read again what it had read, so many records.
    CaughtUp { stage: String, replayed: u64 },
    /// It went on with so many episodes that had opened early, in panes still open.
    Early { opened: u64 },
    /// A transaction took place, with so many messages.
    Committed { messages: u64 },
    /// Somebody should look.
    Alarm(String),
}

/// What a line of JSON tells, if it is of interest.
pub fn read(line: &str) -> Option<Event> {
    let value: Value = serde_json::from_str(line).ok()?;
    let message = value["message"].as_str()?;
    let stage = || value["stage"].as_str().unwrap_or_default().to_owned();
    if value["level"] == "ERROR" {
        return Some(Event::Alarm(message.to_owned()));
    }
    if message == "restored early episodes" {
        return Some(Event::Early { opened: value["opened"].as_u64()? });
    }
    if message.starts_with("committed partitions ") {
        let messages = message.split("], ").nth(1)?;
        return Some(Event::Committed { messages: leading_number(messages)? });
    }
    let rest = message.strip_prefix("partition ")?;
    let (partition, rest) = rest.split_once(": ")?;
    if let Some(rest) = rest.strip_prefix("caught up, ") {
        return Some(Event::CaughtUp { stage: stage(), replayed: leading_number(rest)? });
    }
    let (row, _) = rest.strip_prefix("restored (")?.split_once(')')?;
    Some(Event::Restored { stage: stage(), partition: partition.parse().ok()?, row: row.to_owned() })
}

fn leading_number(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_bus::shard::{Report, Restored, Row};

    use super::*;

    fn line(report: &Report) -> String {
        serde_json::json!({ "level": "INFO", "message": report.to_string(), "stage": "source" }).to_string()
    }

    #[test]
    fn reports_are_read_as_the_shard_writes_them() {
        let took = Duration::from_millis(12);
        let restored = Restored {
            partition: 7,
            row: Row::Normal,
            detail: String::new(),
            epoch: 3,
            offset: 20,
            position: 10,
            margin: 10,
            entries: 4,
            took,
        };
        let stage = || "source".to_owned();
        for (report, event) in [
            (Report::Restored(restored), Event::Restored { stage: stage(), partition: 7, row: "normal".to_owned() }),
            (Report::CaughtUp { partition: 7, replayed: 123, took }, Event::CaughtUp { stage: stage(), replayed: 123 }),
            (Report::Committed { partitions: vec![1, 2], messages: 9, took }, Event::Committed { messages: 9 }),
        ] {
            assert_eq!(read(&line(&report)), Some(event), "{report}");
        }
        assert_eq!(read(&line(&Report::Assigned(vec![1]))), None);
        assert_eq!(read("no json"), None);
    }
}
