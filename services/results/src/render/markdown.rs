//! The capture report: what a capture held, what was found in it, what could not be judged, and what to doubt.

mod alerts;

use super::caveats;
use crate::episodes::Episodes;
use crate::facts::RunFacts;
use crate::format::{bytes, count, duration, percent, scaled, utc};
use crate::summary::{CaptureSummary, Ranked, names};
use crate::text::{markdown, markdown_code};

/// Rows of each ranked table.
const ROWS: usize = 10;

/// The whole report in GitHub's Markdown. Ends with a line feed.
#[must_use]
pub fn capture_report(summary: &CaptureSummary, episodes: &Episodes, facts: &RunFacts) -> String {
    let mut out = String::from("# Capture report\n");
    totals(&mut out, summary, facts);
    protocols(&mut out, summary);
    flags(&mut out, summary);
    attempts(&mut out, summary);
    hosts(&mut out, summary);
    ports(&mut out, summary);
    conversations(&mut out, summary);
    alerts::alerts(&mut out, episodes);
    cannot_judge(&mut out, facts);
    doubts(&mut out, summary, facts);
    out
}

fn heading(out: &mut String, text: &str) {
    out.push_str("\n## ");
    out.push_str(text);
    out.push_str("\n\n");
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// A table. A heading that ends in `#` is a column of numbers, aligned right.
fn table(out: &mut String, headings: &[&str], rows: &[Vec<String>]) {
    let names: Vec<&str> = headings.iter().map(|heading| heading.trim_end_matches('#')).collect();
    let rule: Vec<&str> = headings.iter().map(|heading| if heading.ends_with('#') { "--:" } else { "---" }).collect();
    paragraph(out, &format!("| {} |\n|{}|", names.join(" | "), rule.join("|")));
    for row in rows {
        paragraph(out, &format!("| {} |", row.join(" | ")));
    }
}

/// What stands below a ranked table: how much it does not show, and how far it can be off.
fn below<K, V>(out: &mut String, ranked: &Ranked<K, V>, unit: &str) {
    if ranked.more > 0 {
        paragraph(out, &format!("\n{} more are not shown.", count(ranked.more as u64)));
    }
    if ranked.forgotten > 0 {
        let lacking = match unit {
            "bytes" => bytes(ranked.may_lack),
            unit => format!("{} {unit}", count(ranked.may_lack)),
        };
        let forgotten = count(ranked.forgotten);
        paragraph(
            out,
            &format!(
                "\nRows are lower bounds: {forgotten} light entries were let go to stay within memory, a row may lack up to {lacking}."
            ),
        );
    }
}

fn totals(out: &mut String, summary: &CaptureSummary, facts: &RunFacts) {
    heading(out, "Totals");
    let total = summary.total();
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    for input in &facts.inputs {
        row("input", markdown_code(input));
    }
    row("packets read", count(facts.packets));
    row("packets in flows", count(total.packets));
    row("flows", count(total.flows));
    row("bytes (IP length)", format!("{} ({} B)", bytes(total.bytes), count(total.bytes)));
    match facts.span.or_else(|| summary.span()) {
        None => row("time", "no packet, so no time span".to_owned()),
        Some((first, last)) => {
            let length = last.saturating_sub(first);
            row("first packet", utc(first));
            row("last packet", utc(last));
            row("time span", duration(length));
            if length > 0 {
                let seconds = length as f64 / 1e6;
                row(
                    "average rate",
                    format!(
                        "{}, {}",
                        scaled(total.bytes as f64 * 8.0 / seconds, "bit/s"),
                        scaled(total.packets as f64 / seconds, "packets/s")
                    ),
                );
            }
        }
    }
    if !facts.profile.is_empty() {
        row("profile of rules", markdown(&facts.profile));
    }
    table(out, &["what", "value#"], &rows);
}

fn protocols(out: &mut String, summary: &CaptureSummary) {
    heading(out, "Protocols");
    let total = summary.total();
    let rows: Vec<Vec<String>> = summary
        .protocols()
        .into_iter()
        .map(|(name, volume)| {
            let share = percent(volume.packets as f64 / total.packets.max(1) as f64);
            vec![markdown(&name), count(volume.packets), share, bytes(volume.bytes), count(volume.flows)]
        })
        .collect();
    if rows.is_empty() {
        paragraph(out, "No packet that belongs to a flow.");
        return;
    }
    table(out, &["protocol", "packets#", "share of packets#", "bytes#", "flows#"], &rows);
}

fn flags(out: &mut String, summary: &CaptureSummary) {
    let flags = summary.flags();
    heading(out, "TCP flags");
    paragraph(
        out,
        "Packets by flag. A packet counts under each flag it carries; SYN and SYN-ACK exclude each other.\n",
    );
    let rows: Vec<Vec<String>> = [
        ("SYN (without ACK)", flags.syn),
        ("SYN-ACK", flags.syn_ack),
        ("ACK (SYN-ACK included)", flags.ack),
        ("FIN", flags.fin),
        ("RST", flags.rst),
        ("PSH", flags.psh),
        ("URG", flags.urg),
    ]
    .into_iter()
    .map(|(name, packets)| vec![name.to_owned(), count(packets)])
    .collect();
    table(out, &["flag", "packets#"], &rows);
}

fn attempts(out: &mut String, summary: &CaptureSummary) {
    heading(out, "TCP connection attempts by destination");
    let ranked = summary.destinations(ROWS);
    if ranked.rows.is_empty() {
        paragraph(out, "No TCP connection attempt.");
        return;
    }
    let rows: Vec<Vec<String>> = ranked
        .rows
        .iter()
        .map(|(host, at)| {
            let share = match at.attempts {
                0 => "no attempt seen".to_owned(),
                attempts => percent(at.completed as f64 / attempts as f64),
            };
            vec![
                markdown_code(&host.to_string()),
                count(at.syn),
                count(at.syn_ack),
                count(at.attempts),
                count(at.completed),
                share,
            ]
        })
        .collect();
    let headings = ["destination", "SYN received#", "SYN-ACK sent#", "attempts#", "completed#", "share completed#"];
    table(out, &headings, &rows);
    below(out, &ranked, "SYNs, SYN-ACKs and attempts");
}

fn hosts(out: &mut String, summary: &CaptureSummary) {
    heading(out, "Hosts by bytes");
    let ranked = summary.hosts(ROWS);
    if ranked.rows.is_empty() {
        paragraph(out, "No host.");
        return;
    }
    let rows: Vec<Vec<String>> = ranked
        .rows
        .iter()
        .map(|(host, volume)| {
            vec![
                markdown_code(&host.to_string()),
                bytes(volume.bytes_sent),
                bytes(volume.bytes_received),
                count(volume.packets_sent),
                count(volume.packets_received),
            ]
        })
        .collect();
    table(out, &["host", "bytes sent#", "bytes received#", "packets sent#", "packets received#"], &rows);
    below(out, &ranked, "bytes");
}

fn ports(out: &mut String, summary: &CaptureSummary) {
    heading(out, "Service ports by bytes");
    let ranked = summary.ports(ROWS);
    if ranked.rows.is_empty() {
        paragraph(out, "No flow with ports.");
        return;
    }
    paragraph(out, "Names are IANA's names of ports; they do not say which protocol was spoken.\n");
    let rows: Vec<Vec<String>> = ranked
        .rows
        .iter()
        .map(|((protocol, port), volume)| {
            let transport = names::protocol(*protocol).unwrap_or("IP").to_lowercase();
            let name = names::port(*protocol, *port).unwrap_or("");
            vec![
                format!("{port}/{transport}"),
                name.to_owned(),
                bytes(volume.bytes),
                count(volume.packets),
                count(volume.flows),
            ]
        })
        .collect();
    table(out, &["port", "name of the port", "bytes#", "packets#", "flows#"], &rows);
    below(out, &ranked, "bytes");
}

fn conversations(out: &mut String, summary: &CaptureSummary) {
    heading(out, "Conversations by bytes");
    let ranked = summary.conversations(ROWS);
    if ranked.rows.is_empty() {
        paragraph(out, "No conversation.");
        return;
    }
    let rows: Vec<Vec<String>> = ranked
        .rows
        .iter()
        .map(|((source, responder), conversation)| {
            let length = conversation.first.map_or(0, |first| conversation.last.saturating_sub(first));
            vec![
                markdown_code(&source.to_string()),
                markdown_code(&responder.to_string()),
                bytes(conversation.bytes_forward),
                bytes(conversation.bytes_reverse),
                count(conversation.packets_forward + conversation.packets_reverse),
                count(conversation.flows),
                conversation.first.map_or_else(String::new, utc),
                duration(length),
            ]
        })
        .collect();
    let headings = ["source", "responder", "bytes →#", "bytes ←#", "packets#", "flows#", "first packet", "duration#"];
    table(out, &headings, &rows);
    below(out, &ranked, "bytes");
}

fn list(out: &mut String, lines: &[String]) {
    for line in lines {
        paragraph(out, &format!("- {}", markdown(line)));
    }
}

fn cannot_judge(out: &mut String, facts: &RunFacts) {
    heading(out, "What could not be judged");
    let lines = caveats::cannot_judge(&facts.cannot_judge);
    if lines.is_empty() {
        paragraph(out, "Every detector that ran could judge what it met.");
    }
    list(out, &lines);
    if !facts.judged.is_empty() {
        let detectors: Vec<String> = facts.judged.iter().map(|(detector, _)| markdown(detector)).collect();
        paragraph(out, &format!("\nDetectors that ran: {}.", detectors.join(", ")));
    }
}

fn doubts(out: &mut String, summary: &CaptureSummary, facts: &RunFacts) {
    heading(out, "Caveats");
    let mut lines = caveats::of_input(facts);
    let (one_sided, tcp_flows) = summary.one_sided();
    if one_sided > 0 {
        lines.push(format!(
            "One-sided view: {} of {} TCP flows with one direction only; shares of completed handshakes are too low there.",
            count(one_sided),
            count(tcp_flows)
        ));
    }
    if summary.sampled_records() > 0 {
        lines.push(format!(
            "Sampling: in {} flow records one packet stands for several; counts are of the packets seen.",
            count(summary.sampled_records())
        ));
    }
    if lines.is_empty() {
        paragraph(out, "None known: no packet was cut, lost or left out, and both directions were seen.");
    }
    list(out, &lines);
}
