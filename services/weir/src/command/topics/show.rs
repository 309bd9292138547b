//! Topics for people: how they stand, what was made, what disk they take.

use std::fmt::Write as _;

use weir_bus::kafka::{Creation, DiskUse, Growth, Load, Standing};
use weir_results::format::{bytes, count_of, duration};
use weir_schemas::SECOND_US;

/// The topics with partitions, replicas and settings, then a line for each fault and warning.
pub fn standings(standings: &[Standing]) -> String {
    let mut rows = vec![["TOPIC", "PARTITIONS", "REPLICAS", "SETTINGS"].map(str::to_owned)];
    for standing in standings {
        let Some(found) = &standing.found else {
            rows.push([&standing.topic, "-", "-", "missing"].map(str::to_owned));
            continue;
        };
        let present = |name: &str| found.settings.as_ref()?.get(name).map(|value| format!("{name}={value}"));
        let settings: Vec<String> = standing.spec.settings.iter().filter_map(|(name, _)| present(name)).collect();
        rows.push([
            standing.topic.clone(),
            found.partitions.to_string(),
            found.replication.to_string(),
            settings.join(" "),
        ]);
    }
    table(&rows, &[1, 2]) + &differences(standings)
}

/// What became of each topic that was to be created, then what is wrong with those that were there.
pub fn creations(creations: &[Creation], all: &[Standing]) -> String {
    let mut rows = vec![["TOPIC", "PARTITIONS", ""].map(str::to_owned)];
    for creation in creations {
        let found = all.iter().find(|standing| standing.topic == creation.topic);
        let partitions = found.and_then(|standing| standing.found.as_ref()).map(|found| found.partitions);
        let fate = if creation.is_new { "created" } else { "exists, left as it is" };
        rows.push([creation.topic.clone(), partitions.unwrap_or(creation.partitions).to_string(), fate.to_owned()]);
    }
    table(&rows, &[1]) + &differences(all)
}

/// What became of each topic that was to grow.
pub fn growths(growths: &[Growth]) -> String {
    let mut text = String::new();
    for Growth { topic, before, after } in growths {
        let _ = if before == after {
            writeln!(text, "{topic}: {after} partitions already")
        } else {
            writeln!(text, "{topic}: {before} → {after} partitions")
        };
    }
    text
}

/// The disk that the topics take on all brokers together, and how that is reckoned.
pub fn disk(load: &Load, replication: u32, used: &[DiskUse]) -> String {
    let Load { records_per_second, bytes_per_record, findings_per_second, bytes_per_finding } = load;
    let mut text = format!(
        "\nDisk at {records_per_second} records/s of {bytes_per_record} B and {findings_per_second} findings/s of \
         {bytes_per_finding} B, {}:\n",
        count_of(u64::from(replication), "replica")
    );
    let mut rows = vec![["TOPIC", "WRITTEN/s", "KEPT", "DISK"].map(str::to_owned)];
    for DiskUse { suffix, bytes_per_second, retained_seconds, bytes: total } in used {
        let kept = duration((retained_seconds * SECOND_US as f64) as i64);
        rows.push([(*suffix).to_owned(), bytes(*bytes_per_second as u64), kept, bytes(*total as u64)]);
    }
    let total: f64 = used.iter().map(|used| used.bytes).sum();
    rows.push(["all", "", "", &bytes(total as u64)].map(str::to_owned));
    text.push_str(&table(&rows, &[1, 2, 3]));
    text.push_str(
        "WRITTEN/s is before replication; partials and state are counted at their bounds, state with a segment for each\n\
         partition. Other topics take little.\n",
    );
    text
}

fn differences(standings: &[Standing]) -> String {
    let mut text = String::new();
    for difference in standings.iter().flat_map(|standing| &standing.differences) {
        let word = if difference.is_fault { "fault" } else { "warning" };
        let _ = writeln!(text, "{word}: {}", difference.text);
    }
    text
}

/// Columns as wide as their widest cell; those of `right` are numbers.
fn table<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let _ = if right.contains(&column) {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use weir_bus::kafka::{Difference, Found};
    use weir_bus::topic::TOPICS;

    use super::*;

    fn standing(found: Option<Found>, differences: Vec<Difference>) -> Standing {
        Standing { topic: "weir.flows.v1".to_owned(), spec: TOPICS[0], found, differences }
    }

    #[test]
    fn every_fault_and_warning_is_a_line() {
        let settings = [("cleanup.policy", "delete"), ("message.timestamp.type", "CreateTime"), ("other", "x")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let found = Found { partitions: 12, replication: 1, settings: Some(settings) };
        let difference = |is_fault, text: &str| Difference { is_fault, text: text.to_owned() };
        let differences = vec![difference(true, "wrong type"), difference(false, "short retention")];
        let text = standings(&[standing(Some(found), differences), standing(None, Vec::new())]);
        let expected = "\
TOPIC          PARTITIONS  REPLICAS  SETTINGS
weir.flows.v1          12         1  cleanup.policy=delete message.timestamp.type=CreateTime
weir.flows.v1           -         -  missing
fault: wrong type
warning: short retention
";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_disk_table_has_units_and_a_sum() {
        let used = [
            DiskUse { suffix: "flows.v1", bytes_per_second: 1.2e6, retained_seconds: 259_200.0, bytes: 933.12e9 },
            DiskUse { suffix: "findings.v1", bytes_per_second: 2e3, retained_seconds: 2_592_000.0, bytes: 15.5e9 },
        ];
        let text = disk(&Load::default(), 3, &used);
        assert!(text.contains("20000 records/s of 60 B") && text.contains("3 replicas"), "{text}");
        let cells = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            cells("flows.v1"),
            ["flows.v1", &bytes(1_200_000), &duration(259_200 * SECOND_US), &bytes(933_120_000_000)]
        );
        assert_eq!(cells("all"), ["all", &bytes(948_620_000_000)]);
    }

    #[test]
    fn growth_says_from_what_to_what() {
        let growth = |topic: &str, before, after| Growth { topic: topic.to_owned(), before, after };
        let text = growths(&[growth("weir.state.source.v1", 12, 24), growth("weir.flows.v1", 24, 24)]);
        assert_eq!(text, "weir.state.source.v1: 12 → 24 partitions\nweir.flows.v1: 24 partitions already\n");
    }
}
