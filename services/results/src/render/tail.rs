//! One revision as one line for people who watch anomalies come, with all it takes to look it up later.

use weir_schemas::Anomaly;

use super::layout::{coloured, cut, fit};
use super::table::{GAP, SEVERITY_COLUMNS, TableOptions, what, who};
use crate::format::{percent, quantity, utc};
use crate::text;

/// The line, without its line feed, cut to the width of the options: end of the window with its zone, severity, state and
/// revision, detector, source and target, observed value and threshold, confidence, id.
#[must_use]
pub fn tail_line(anomaly: &Anomaly, options: &TableOptions) -> String {
    let time = utc(anomaly.window.end);
    let severity = fit(anomaly.severity.name(), SEVERITY_COLUMNS);
    let life = fit(&format!("{} #{}", anomaly.state.name(), anomaly.revision), "updated #10".len());
    let rest = format!(
        "{life}{GAP}{}{GAP}{}: {} (threshold {}), {} sure{GAP}{}",
        what(anomaly),
        who(anomaly),
        quantity(anomaly.observed, &anomaly.unit),
        quantity(anomaly.threshold, &anomaly.unit),
        percent(anomaly.confidence),
        text::printable(&anomaly.id),
    );
    let before = time.len() + SEVERITY_COLUMNS + 2 * GAP.len();
    let rest = cut(&rest, options.width.saturating_sub(before));
    format!("{time}{GAP}{}{GAP}{rest}", coloured(&severity, anomaly.severity, options.colour))
}
