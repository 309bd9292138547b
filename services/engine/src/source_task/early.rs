//! Episodes that open on the record that crosses their threshold, and wait in a set of their own for their pane's close.

use std::collections::BTreeSet;

use weir_schemas::{EpisodeState, Micros};

use super::SourceTask;
use crate::detectors::{Detector, Level, SourceView, Stage};
use crate::episode::{Episode, EpisodeKey, NotAdopted};
use crate::image::Table;
use crate::judgement::Verdicts;
use crate::summary::{PairKey, SeenBy, SourceSummary, window_of};
use crate::task::{Moment, detectors_of};

impl SourceTask {
    /// A pair's pane crossed a threshold by itself, and no episode of it is open: say so now (DESIGN §5.9).
    pub(super) fn fire_early(&mut self, start: Micros, key: &PairKey) {
        for detector in detectors_of(Stage::Source) {
            let Some(open) = self.panes.get(&start) else { return };
            let Some(counts) = open.pane.pair(key) else { return };
            if detector.crosses_early(counts, self.core.profile.rules_of(detector)) {
                self.open_early(detector, start, key);
            }
        }
    }

    fn open_early(&mut self, detector: &'static dyn Detector, start: Micros, key: &PairKey) {
        let Some(open) = self.panes.get(&start) else { return };
        let Some(counts) = open.pane.pair(key) else { return };
        let nothing = SourceSummary {
            first_offset: open.pane.first_offset,
            complete: open.pane.is_complete(),
            degraded: open.pane.degraded.clone(),
            ..SourceSummary::neutral()
        };
        let sensors = |seen_by: SeenBy| self.sensors.named(seen_by.forward, seen_by.reverse);
        let view = SourceView {
            level: Level::Pane,
            window: window_of(start, 1),
            newest: &nothing,
            merged: &nothing,
            named: &BTreeSet::new(),
            sensors: &sensors,
        };
        let mut verdicts = Verdicts::default();
        detector.judge_early(key, counts, &view, self.core.profile.rules_of(detector), &mut verdicts);
        for judgement in verdicts.firings {
            let episode_key = EpisodeKey::of(detector.entry(), &judgement);
            let known = self.opened.contains_key(&episode_key) || self.core.episodes.get(&episode_key).is_some();
            let opened_of_source =
                |key: &&EpisodeKey| key.detector == episode_key.detector && key.source == episode_key.source;
            let of_source = self.core.episodes.of_source(&episode_key.detector, &episode_key.source)
                + self.opened.keys().filter(opened_of_source).count();
            let has_room = self.opened.len() < self.core.config.shares.opened
                && of_source < crate::episode::EPISODES_PER_SOURCE
                && self.core.episodes.len() + self.opened.len() < self.core.config.shares.episodes;
            if known || !has_room {
                continue;
            }
            let taken: BTreeSet<u32> = self.opened.values().map(|(slot, _)| *slot).collect();
            let slot = (0..=taken.len() as u32).find(|slot| !taken.contains(slot)).unwrap_or_default();
            let episode = Episode::open(episode_key.clone(), judgement.clone(), start);
            let Ok(body) = postcard::to_stdvec(&episode) else { continue };
            self.core.image.put(Table::Opened, slot, body);
            self.core.emit(detector.entry(), &episode, &judgement, EpisodeState::Opened, Moment::Pane(start));
            self.core.counters.judged.entry(detector.entry().id.to_owned()).or_default().fired += 1;
            self.core.outbox.urgent = true;
            self.opened.insert(episode_key, (slot, episode));
        }
    }

    /// Episodes that opened early in the pane now closing, or before, enter the ledger as far as there is room.
    pub(super) fn adopt_opened(&mut self, start: Micros, room: &mut usize) {
        let due: Vec<EpisodeKey> =
            self.opened.values().filter(|(_, episode)| episode.start <= start).map(|(_, e)| e.key.clone()).collect();
        for key in due {
            let Some((slot, episode)) = self.opened.remove(&key) else { continue };
            let mut changes = Vec::new();
            match self.core.episodes.adopt(episode, room, &mut changes) {
                Ok(()) => self.core.image.put(Table::Opened, slot, Vec::new()),
                Err(NotAdopted::NoRoom(episode)) => {
                    self.core.counters.deferred += 1;
                    self.opened.insert(key, (slot, *episode));
                }
                Err(NotAdopted::Full(episode)) => {
                    self.core.image.put(Table::Opened, slot, Vec::new());
                    self.core.counters.episodes_refused += 1;
                    self.core.publish_closed(&episode, Moment::Pane(start));
                }
            }
            for (slot, body) in changes {
                self.core.image.put(Table::Episode, slot, body);
            }
        }
    }

    /// The input has ended: what opened early and found no room in the ledger closes as well.
    pub(super) fn close_opened(&mut self, through: Micros) {
        for (slot, episode) in std::mem::take(&mut self.opened).into_values() {
            self.core.image.put(Table::Opened, slot, Vec::new());
            self.core.publish_closed(&episode, Moment::End(through));
        }
    }
}
