//! The alerts of the capture report: a table of all, and words for the most severe.

use super::{heading, paragraph, table};
use crate::episodes::{Episode, Episodes};
use crate::explain::{self, explain};
use crate::format::{count, duration, percent, quantity, utc};
use crate::text::{markdown, markdown_code};

/// Alerts listed in the table.
const LISTED: usize = 100;
/// Alerts told in words.
const TOLD: usize = 20;

pub(super) fn alerts(out: &mut String, episodes: &Episodes) {
    heading(out, "Alerts");
    let found = episodes.in_order();
    if found.is_empty() {
        paragraph(out, &format!("Nothing found at severity {} or above.", episodes.at_least()));
        return;
    }
    let rows: Vec<Vec<String>> = found.iter().take(LISTED).map(|episode| row(episode)).collect();
    let headings =
        ["severity", "what", "source", "target", "observed#", "threshold#", "confidence#", "since", "lasted#"];
    table(out, &headings, &rows);
    if found.len() > LISTED {
        paragraph(out, &format!("\n{} more are not shown; JSON lines list all.", count((found.len() - LISTED) as u64)));
    }
    for episode in found.iter().take(TOLD) {
        tell(out, episode);
    }
    if found.len() > TOLD {
        paragraph(out, &format!("\n{} more are not told in words.", count((found.len() - TOLD) as u64)));
    }
}

fn what(episode: &Episode) -> String {
    match episode.last.variant.as_str() {
        "" => markdown(&episode.last.detector),
        variant => format!("{} ({})", markdown(&episode.last.detector), markdown(&explain::words(variant))),
    }
}

fn row(episode: &Episode) -> Vec<String> {
    let last = &episode.last;
    vec![
        episode.severity.name().to_owned(),
        what(episode),
        markdown_code(&explain::source(last)),
        markdown_code(&explain::target(last)),
        markdown(&quantity(last.observed, &last.unit)),
        markdown(&quantity(last.threshold, &last.unit)),
        percent(last.confidence),
        utc(last.episode_start),
        duration(episode.length()),
    ]
}

fn tell(out: &mut String, episode: &Episode) {
    let last = &episode.last;
    let words = explain(last);
    paragraph(out, &format!("\n### {}: {}\n", episode.severity, what(episode)));
    paragraph(out, &format!("{} {}\n", markdown(&words.what), markdown(&words.how_sure)));
    paragraph(out, &format!("- Look next: {}", markdown(&words.check.say)));
    if let Some(filter) = &words.check.filter {
        paragraph(out, &format!("- Display filter: {}", markdown_code(filter)));
    }
    if !last.technique.ids.is_empty() {
        let ids: Vec<String> = last.technique.ids.iter().map(|id| markdown(id)).collect();
        paragraph(out, &format!("- ATT&CK {}: {}", markdown(&last.technique.attack_version), ids.join(", ")));
    }
    for flow in &last.evidence.flows {
        paragraph(
            out,
            &format!(
                "- Evidence: {} → {}, Community ID {}, {}",
                markdown_code(&flow.src),
                markdown_code(&flow.dst),
                markdown_code(&flow.community_id),
                markdown(&flow.outcome.replace('_', " "))
            ),
        );
    }
    paragraph(
        out,
        &format!(
            "- Id: {}, revision {}, {}",
            markdown_code(&last.id),
            count(u64::from(last.revision)),
            last.state.name()
        ),
    );
}
