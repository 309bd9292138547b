//! What every rendering must admit: what could not be judged and why, and what the input kept from us.

use std::collections::BTreeMap;

use crate::explain::words;
use crate::facts::{CannotJudge, RunFacts};
use crate::format::{count, count_of};
use crate::text;

/// Lines like `port_scan: 12 flows whose direction nothing proves`, sorted; equal ones added up. A reason is what was
/// counted, in words, or a key.
pub(super) fn cannot_judge(facts: &[CannotJudge]) -> Vec<String> {
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for fact in facts {
        let sum = sums.entry((&fact.detector, &fact.reason)).or_default();
        *sum = sum.saturating_add(fact.count);
    }
    sums.into_iter()
        .map(|((detector, reason), times)| {
            let detector = text::printable(detector);
            if reason.contains(' ') {
                return format!("{detector}: {} {}", count(times), text::printable_line(reason));
            }
            format!("{detector}: {}, because {}", count_of(times, "time"), because(reason))
        })
        .collect()
}

fn because(reason: &str) -> String {
    match reason {
        "warm_up" | "warmup" | "warming_up" => {
            "its baseline is still warming up: the input is too short to know what is normal"
        }
        "direction" | "no_direction" | "orientation" => "nothing in the packets shows who began the conversation",
        "too_few" | "min_count" | "n_too_small" | "small_n" => {
            "there were too few attempts for a share to mean anything"
        }
        "one_sided" | "vantage" => "only one direction of the traffic was seen",
        "incomplete" => "records of the window are missing",
        "capture_loss" | "loss" => "the capture lost too many packets",
        "evicted" => "the tables were full",
        other => return words(other),
    }
    .to_owned()
}

/// What the input kept from us, as far as the caller counted it.
pub(super) fn of_input(facts: &RunFacts) -> Vec<String> {
    let mut caveats = Vec::new();
    if facts.truncated > 0 {
        caveats.push(format!(
            "Truncation: {} cut by the snap length; lengths are from the headers, what was cut off was not read.",
            was(facts.truncated, "packet")
        ));
    }
    if facts.drops > 0 {
        caveats.push(format!(
            "Drops: {} lost before the capture was written; attempts and volume are lower bounds.",
            was(facts.drops, "packet")
        ));
    }
    if facts.other_frames > 0 {
        caveats.push(format!(
            "Other frames: {} neither IP nor ARP; no flow holds them.",
            are(facts.other_frames, "frame")
        ));
    }
    for (kind, times) in &facts.decode_errors {
        caveats.push(format!("Decode errors: {} ({}).", count_of(*times, "packet"), words(kind)));
    }
    if facts.late > 0 {
        caveats.push(format!(
            "Late: {} came after their time was judged and count nowhere.",
            count_of(facts.late, "record")
        ));
    }
    for (table, times) in &facts.evicted {
        caveats.push(format!(
            "Evictions: {} let go because the table {} was full; counts of small entries are lower bounds.",
            was_entries(*times),
            words(table)
        ));
    }
    caveats.extend(facts.warnings.iter().map(|warning| format!("Input: {}", text::printable_line(warning))));
    caveats
}

fn was(value: u64, singular: &str) -> String {
    format!("{} {}", count_of(value, singular), if value == 1 { "was" } else { "were" })
}

fn are(value: u64, singular: &str) -> String {
    format!("{} {}", count_of(value, singular), if value == 1 { "is" } else { "are" })
}

fn was_entries(value: u64) -> String {
    if value == 1 { "1 entry was".to_owned() } else { format!("{} entries were", count(value)) }
}
