//! Ten seconds of the site stage: partials of all input partitions, added up within a fixed share of memory.

use std::collections::BTreeMap;

use weir_schemas::partial::PartialCounts;
use weir_schemas::{Host, Text};

use crate::bounded::Bounded;
use crate::config::Shares;
use crate::hash::HashSeed;
use crate::site_summary::{
    CARRIED_BYTES, CARRIED_INCOMPLETE_SYN, RELEVANT_SYN, ReceiverTotals, ResponderTotals, SiteSummary, SiteTotals,
};
use crate::sorted::Sorted;
use crate::summary::SeenBy;

/// An open pane of a site-stage partition.
#[derive(Debug)]
pub struct SitePane {
    receivers: Bounded<Host, ReceiverTotals>,
    responders: Bounded<(Host, u16), ResponderTotals>,
    sites: BTreeMap<Text, SiteTotals>,
    receivers_error: u64,
    responders_error: u64,
    facts: SiteSummary,
}

/// A closed pane.
pub struct ClosedSitePane {
    /// What is judged and carried on.
    pub summary: SiteSummary,
    /// Receivers whose turn it is to teach their baselines, with the bytes of this pane.
    pub learning: Vec<(Host, u64)>,
    /// Entries that left the pane's tables for lack of room.
    pub evicted: u64,
}

impl SitePane {
    /// An empty pane whose first partial stands at `first_offset`, with room for as many receivers and responders as are expected.
    #[must_use]
    pub fn new(first_offset: i64, shares: &Shares, seed: HashSeed, expected: (usize, usize)) -> Self {
        Self {
            receivers: Bounded::with_room(shares.site_receivers, seed, expected.0),
            responders: Bounded::with_room(shares.site_responders, seed, expected.1),
            sites: BTreeMap::new(),
            receivers_error: 0,
            responders_error: 0,
            facts: SiteSummary { first_offset, ..SiteSummary::neutral() },
        }
    }

    /// Receivers and responders that a pane like this one needs room for.
    pub fn expected(&self) -> (usize, usize) {
        (self.receivers.len(), self.responders.len())
    }

    /// Notes what makes the pane less than exact.
    pub fn degrade(&mut self, why: &str) {
        if !self.facts.degraded.contains(why) {
            self.facts.degraded.insert(why.to_owned());
        }
    }

    /// The pane closes although a partition is missing.
    pub fn force(&mut self) {
        self.facts.complete = false;
    }

    /// Adds a partial's counts; `seen_by` has the evidence bits of each of its sets of sensors.
    pub fn add(&mut self, counts: &PartialCounts, seen_by: &[SeenBy]) {
        let seen_by = |set: u32| seen_by.get(set as usize).copied().unwrap_or_default();
        self.receivers_error = self.receivers_error.saturating_add(counts.receivers_error);
        self.responders_error = self.responders_error.saturating_add(counts.responders_error);
        for receiver in &counts.receivers {
            self.receivers.update(&receiver.host, ReceiverTotals::default, |totals| {
                totals.merge(&ReceiverTotals {
                    packets: receiver.packets,
                    bytes: receiver.bytes,
                    unsolicited_packets: receiver.unsolicited_packets,
                    seen_by: seen_by(receiver.sensor_set),
                });
            });
        }
        for responder in &counts.responders {
            self.responders.update(&(responder.host.clone(), responder.port), ResponderTotals::default, |totals| {
                totals.syn += responder.syn;
                totals.attempts += responder.attempts;
                totals.completed += responder.completed;
                totals.half_open += responder.half_open;
                totals.refused += responder.refused;
                totals.unanswered += responder.unanswered;
                totals.sources.merge_wire(&responder.sources);
                totals.evidence.merge(&responder.flows);
                totals.seen_by.merge(seen_by(responder.sensor_set));
            });
        }
        for site in &counts.sites {
            let seen_by = seen_by(site.sensor_set);
            let share = SiteTotals { packets: site.packets, bytes: site.bytes, flows: site.flows, seen_by };
            self.sites.entry(site.site.clone()).or_default().merge(&share);
        }
    }

    /// Closes the pane: what is worth judging and carrying on, and the receivers for which `learns` says that it is their turn.
    #[must_use]
    pub fn close(self, learns: impl Fn(&Host) -> bool) -> ClosedSitePane {
        let evicted = self.receivers.evicted() + self.responders.evicted();
        let mut summary = self.facts;
        // What all partitions together may have left out of one key.
        let is_short = self.receivers_error >= CARRIED_BYTES || self.responders_error >= RELEVANT_SYN;
        if evicted > 0 || is_short {
            summary.degraded.insert("evicted".to_owned());
        }
        let is_carried = |totals: &ReceiverTotals| totals.bytes >= CARRIED_BYTES;
        let wanted = self.receivers.into_sorted(|host, totals| is_carried(totals) || learns(host));
        let learning =
            wanted.iter().filter(|(host, _)| learns(host)).map(|(host, totals)| (host.clone(), totals.bytes)).collect();
        let carried = wanted.into_iter().filter(|(_, totals)| is_carried(totals)).collect();
        summary.receivers = Sorted::from_ordered(carried);
        let incomplete = |totals: &ResponderTotals| totals.syn.saturating_sub(totals.completed);
        let responders = self.responders.into_sorted(|_, totals| incomplete(totals) >= CARRIED_INCOMPLETE_SYN);
        summary.responders = Sorted::from_ordered(responders);
        summary.sites = Sorted::from_ordered(self.sites.into_iter().collect());
        ClosedSitePane { summary, learning, evicted }
    }
}
