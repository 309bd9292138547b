//! The record of a run, for people: what was done when, how long each restore took, what held.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use weir_schemas::Micros;

use crate::course::Course;
use crate::failure::Failure;
use crate::fleet::{Cause, Death};
use crate::observed::Event;
use crate::schedule::Extent;
use crate::verdict::Check;

/// What came of a detector's death in place, as times since it.
#[derive(Debug)]
pub struct Recovery {
    /// When it died, since the sensors began.
    pub at: Duration,
    pub name: String,
    pub cause: String,
    /// The first partition of the source stage restored; later ones may be what a rebalance brought.
    pub restored: Option<Duration>,
    /// Its next commit with messages.
    pub committed: Option<Duration>,
    /// The next finding, of the source stage, from a partition that it went on with.
    pub finding: Option<Duration>,
}

/// What came of each death of a detector by SIGKILL.
pub fn recoveries(course: &Course) -> Result<Vec<Recovery>, Failure> {
    let findings = course.ledger.findings(&course.disturbed.topics.findings())?;
    let flows = course.disturbed.topics.flows();
    let is_kill = |death: &&Death| matches!(death.cause, Cause::Fault(_) | Cause::Killed);
    let mut recoveries = Vec::new();
    for death in course.fleet.deaths.iter().filter(|death| death.name.starts_with('d')).filter(is_kill) {
        let since = |at: Instant| at.saturating_duration_since(death.at);
        let next_death = course.fleet.deaths.iter().find(|next| next.name == death.name && next.at > death.at);
        let told = course.fleet.told.iter().filter(|told| {
            told.name == death.name && told.at > death.at && next_death.is_none_or(|next| told.at < next.at)
        });
        let told: Vec<_> = told.collect();
        let committed = told
            .iter()
            .find(|told| matches!(told.event, Event::Committed { messages } if messages > 0))
            .map(|told| told.at);
        let restored: Vec<(u32, Instant)> = told
            .iter()
            .filter_map(|told| match &told.event {
                Event::Restored { stage, partition, .. } if stage == "source" => Some((*partition, told.at)),
                _ => None,
            })
            .collect();
        let wall = wall_of(course, death.at);
        let finding = findings
            .iter()
            .filter(|written| {
                let origin = &written.finding.provenance;
                origin.topic == flows && restored.iter().any(|(partition, _)| *partition == origin.partition)
            })
            .map(|written| written.at - wall)
            .filter(|after| *after > 0)
            .min();
        recoveries.push(Recovery {
            at: death.at.saturating_duration_since(course.began.0),
            name: death.name.clone(),
            cause: words(&death.cause),
            restored: restored.iter().map(|(_, at)| since(*at)).min(),
            committed: committed.map(since),
            finding: finding.map(|after| Duration::from_micros(after as u64)),
        });
    }
    Ok(recoveries)
}

/// Time of day of a moment, µs since 1970 UTC.
fn wall_of(course: &Course, at: Instant) -> Micros {
    let (instant, wall) = course.began;
    let began = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros() as Micros;
    let after = at.saturating_duration_since(instant).as_micros() as Micros;
    let before = instant.saturating_duration_since(at).as_micros() as Micros;
    began + after - before
}

fn words(cause: &Cause) -> String {
    match cause {
        Cause::Fault(fault) => format!("SIGKILL at {}, pass {}", fault.point.name(), fault.pass),
        Cause::Killed => "SIGKILL".to_owned(),
        Cause::Restart => "exit 70".to_owned(),
        Cause::Asked => "asked to end".to_owned(),
        Cause::Done => "done".to_owned(),
    }
}

/// All of it as Markdown.
pub fn write(course: &Course, extent: Extent, seed: u64, checks: &[Check]) -> Result<String, Failure> {
    let mut text = String::new();
    let failed = checks.iter().filter(|check| !check.holds).count();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        text,
        "# Chaos, seed {seed}: {}\n\n{} s of traffic at its own pace, {} broker{}. Times are seconds since the sensors began.\n",
        if failed == 0 { "all holds".to_owned() } else { format!("{failed} of {} do not hold", checks.len()) },
        extent.seconds,
        if extent.with_brokers { 3 } else { 1 },
        if extent.with_brokers { "s" } else { "" },
    );
    let _ = writeln!(text, "## What must hold\n\n| | | found |\n|---|---|---|");
    for check in checks {
        let _ =
            writeln!(text, "| {} | {} | {} |", if check.holds { "yes" } else { "**NO**" }, check.name, check.detail);
    }
    let _ = writeln!(text, "\n## What was done\n\n| s | |\n|---|---|");
    for done in &course.done {
        let _ = writeln!(
            text,
            "| {:.1} | {} |",
            done.at.saturating_duration_since(course.began.0).as_secs_f64(),
            done.what
        );
    }
    let _ = writeln!(text, "\n## Who died\n\n| s | who | of what |\n|---|---|---|");
    for death in &course.fleet.deaths {
        let at = death.at.saturating_duration_since(course.began.0).as_secs_f64();
        let _ = writeln!(text, "| {at:.1} | {} | {} |", death.name, words(&death.cause));
    }
    let _ = writeln!(
        text,
        "\n## How detectors that were killed went on\n\nSeconds from SIGKILL, the start of the next process included. The next \
         finding is one from its partitions: it waits for traffic that is one.\n\n\
         | s | who | of what | first restored | next commit with messages | next finding |\n|---|---|---|---|---|---|"
    );
    let seconds =
        |duration: Option<Duration>| duration.map_or("–".to_owned(), |took| format!("{:.2}", took.as_secs_f64()));
    for Recovery { at, name, cause, restored, committed, finding } in recoveries(course)? {
        let _ = writeln!(
            text,
            "| {:.1} | {name} | {cause} | {} | {} | {} |",
            at.as_secs_f64(),
            seconds(restored),
            seconds(committed),
            seconds(finding)
        );
    }
    Ok(text)
}
