//! Ten seconds of the site stage: partials of all input partitions, added up within a fixed share of memory.

use std::collections::BTreeMap;

use weir_schemas::partial::PartialBody;
use weir_schemas::{Host, Text};

use crate::bounded::Bounded;
use crate::config::Shares;
use crate::hash::HashSeed;
use crate::site_summary::{
    CARRIED_BYTES, CARRIED_INCOMPLETE_SYN, ReceiverTotals, ResponderTotals, SiteSummary, SiteTotals,
};
use crate::sorted::Sorted;
use crate::summary::SeenBy;

/// An open pane of a site-stage partition.
#[derive(Debug)]
pub struct SitePane {
    receivers: Bounded<Host, ReceiverTotals>,
    responders: Bounded<(Host, u16), ResponderTotals>,
    sites: BTreeMap<Text, SiteTotals>,
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

    /// Adds a partial's counts.
    pub fn add(&mut self, body: &PartialBody, seen_by: SeenBy) {
        match body {
            PartialBody::Receiver { host, packets, bytes, unsolicited_packets, error, .. } => {
                self.note_error(*error);
                self.receivers.update(host, ReceiverTotals::default, |totals| {
                    totals.merge(&ReceiverTotals {
                        packets: *packets,
                        bytes: *bytes,
                        unsolicited_packets: *unsolicited_packets,
                        seen_by,
                    });
                });
            }
            PartialBody::Responder {
                host,
                port,
                syn,
                attempts,
                completed,
                half_open,
                refused,
                unanswered,
                error,
                sources,
                flows,
                ..
            } => {
                self.note_error(*error);
                self.responders.update(&(host.clone(), *port), ResponderTotals::default, |totals| {
                    totals.syn += syn;
                    totals.attempts += attempts;
                    totals.completed += completed;
                    totals.half_open += half_open;
                    totals.refused += refused;
                    totals.unanswered += unanswered;
                    totals.sources.merge_wire(sources);
                    totals.evidence.merge(flows);
                    totals.seen_by.merge(seen_by);
                });
            }
            PartialBody::Site { site, packets, bytes, flows, .. } => {
                let share = SiteTotals { packets: *packets, bytes: *bytes, flows: *flows, seen_by };
                self.sites.entry(site.clone()).or_default().merge(&share);
            }
            PartialBody::Marker { .. } => {}
        }
    }

    fn note_error(&mut self, error: u64) {
        if error > 0 {
            self.degrade("evicted");
        }
    }

    /// Closes the pane: what is worth judging and carrying on, and the receivers for which `learns` says that it is their turn.
    #[must_use]
    pub fn close(self, learns: impl Fn(&Host) -> bool) -> ClosedSitePane {
        let evicted = self.receivers.evicted() + self.responders.evicted();
        let mut summary = self.facts;
        if evicted > 0 {
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
