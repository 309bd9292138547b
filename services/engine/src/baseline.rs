//! What is normal: level and spread of one feature of one scope, learnt from closed panes.
//!
//! Mean and variance by Welford's update ("Note on a method for calculating corrected sums of squares", 1962) until
//! [`FULL_SAMPLES`] samples, then with their constant weight, so that the oldest fade. A key enters on probation and moves to
//! the main part when it learns in a second pane: one-off keys churn probation only.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use weir_schemas::{Host, Micros, PANE_US, Text};

use crate::hash::HashSeed;
use crate::judgement::Normal;

/// Samples after which old ones fade: a day of panes for a site, 30 days of five-minute samples for a host.
pub const FULL_SAMPLES: u64 = 8_640;

/// Weight of a sample from a pane that alerted.
pub const ALERTED_WEIGHT: f64 = 0.05;

/// Panes between two samples of a host baseline: 5 min.
pub const HOST_LEARNING_PANES: i64 = 30;

/// What a baseline is of. The feature is bytes per second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BaselineKey {
    /// All traffic of a site, both directions.
    Site(Text),
    /// What a host receives.
    Target(Host),
}

impl BaselineKey {
    /// The key of a site.
    #[must_use]
    pub fn site(site: &Text) -> Self {
        Self::Site(site.clone())
    }

    /// The key of a receiver.
    #[must_use]
    pub fn target(host: &Host) -> Self {
        Self::Target(host.clone())
    }

    /// How much traffic time one sample stands for, s.
    #[must_use]
    pub fn seconds_per_sample(&self) -> f64 {
        match self {
            Self::Site(_) => 10.0,
            Self::Target(_) => 300.0,
        }
    }

    /// Whether a host learns at the close of `pane`: at the pane of each 5 min that its hash names. A site always does.
    #[must_use]
    pub fn host_learns_at(host: &Host, pane: Micros, seed: HashSeed) -> bool {
        let turn = (seed.hash_of(host) % HOST_LEARNING_PANES as u64) as i64;
        (pane / PANE_US).rem_euclid(HOST_LEARNING_PANES) == turn
    }

    /// Scope kind and key as text, for export.
    #[must_use]
    pub fn to_text(&self) -> (&'static str, String) {
        match self {
            Self::Site(site) => ("site", site.to_string()),
            Self::Target(host) => ("target", host.to_string()),
        }
    }
}

/// One learnt normal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Samples.
    pub n: u64,
    /// Mean, bytes/s.
    pub mean: f64,
    /// Variance, (bytes/s)².
    pub variance: f64,
    /// Never learns again.
    pub pinned: bool,
    /// Pane of the newest sample.
    pub last_pane: Micros,
}

impl Level {
    /// Takes a sample of `weight` (1, or [`ALERTED_WEIGHT`]).
    pub fn learn(&mut self, sample: f64, weight: f64, pane: Micros) {
        if self.pinned {
            return;
        }
        self.n += 1;
        self.last_pane = pane;
        let share = weight / self.n.min(FULL_SAMPLES) as f64;
        let distance = sample - self.mean;
        self.mean += share * distance;
        self.variance = (1.0 - share) * (self.variance + share * distance * distance);
    }

    /// The normal as a detector sees it.
    #[must_use]
    pub fn normal(&self) -> Normal {
        Normal { mean: self.mean, spread: libm::sqrt(self.variance.max(0.0)), n: self.n }
    }
}

/// One row of an exported baseline file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedBaseline {
    /// `site` or `target`.
    pub scope: String,
    /// Site name or address.
    pub key: String,
    /// Feature: `byte_rate`.
    pub feature: String,
    /// Unit: `bytes/s`.
    pub unit: String,
    /// Level.
    pub mean: f64,
    /// Spread.
    pub spread: f64,
    /// Samples it rests on.
    pub n: u64,
    /// Pane of the newest sample, µs since 1970 UTC.
    pub last_pane: Micros,
    /// Never learns again.
    #[serde(default)]
    pub pinned: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    key: BaselineKey,
    level: Level,
    proven: bool,
}

/// What a learnt sample changed in the ledger's slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The slot written.
    pub slot: u32,
    /// Its new body.
    pub body: Vec<u8>,
    /// A slot that lost its entry.
    pub emptied: Option<u32>,
}

/// The bounded ledger of baselines. Each entry lives in a numbered slot, which is what the state topic holds.
#[derive(Clone, Debug)]
pub struct Baselines {
    slots: Vec<Option<Held>>,
    index: BTreeMap<BaselineKey, u32>,
    /// Each part's keys by samples, fewest first: [probation, main].
    ranked: [BTreeSet<(u64, BaselineKey)>; 2],
    free: BTreeSet<u32>,
    evicted: u64,
}

impl Baselines {
    /// An empty ledger.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(16);
        Self {
            slots: vec![None; capacity],
            index: BTreeMap::new(),
            ranked: [BTreeSet::new(), BTreeSet::new()],
            free: (0..capacity as u32).collect(),
            evicted: 0,
        }
    }

    /// What is normal for `key`.
    #[must_use]
    pub fn normal(&self, key: &BaselineKey) -> Option<Normal> {
        self.held(key).map(|held| held.level.normal())
    }

    fn held(&self, key: &BaselineKey) -> Option<&Held> {
        self.index.get(key).and_then(|slot| self.slots[*slot as usize].as_ref())
    }

    /// Learns one sample; returns what changed, if `room` bytes of state are enough for it; otherwise changes nothing.
    pub fn learn(
        &mut self,
        key: &BaselineKey,
        sample: f64,
        weight: f64,
        pane: Micros,
        room: usize,
    ) -> Result<Option<Change>, Deferred> {
        let mut next = match self.held(key) {
            Some(held) if held.level.pinned || held.level.last_pane >= pane => return Ok(None),
            Some(held) => Held { proven: true, ..held.clone() },
            None => Held { key: key.clone(), level: Level::default(), proven: false },
        };
        next.level.learn(sample, weight, pane);
        let body = postcard::to_stdvec(&next).map_err(|_| Deferred)?;
        if body.len() + 16 > room {
            return Err(Deferred);
        }
        let (slot, emptied) = self.place(next);
        Ok(Some(Change { slot, body, emptied }))
    }

    /// Entries the probation part holds.
    fn probation_capacity(&self) -> usize {
        (self.slots.len() / 8).max(1)
    }

    fn place(&mut self, next: Held) -> (u32, Option<u32>) {
        let part = usize::from(next.proven);
        let known = self.index.get(&next.key).copied();
        if let Some(slot) = known {
            self.unrank(slot);
        }
        let is_full = match part {
            0 => self.ranked[0].len() >= self.probation_capacity(),
            _ => self.ranked[1].len() >= self.slots.len() - self.probation_capacity(),
        };
        let emptied = if is_full { self.evict(part) } else { None };
        // A part that was full has just emptied a slot; one that was not leaves one free.
        let slot = known.or_else(|| self.free.pop_first()).unwrap_or_default();
        self.ranked[part].insert((next.level.n, next.key.clone()));
        self.index.insert(next.key.clone(), slot);
        self.slots[slot as usize] = Some(next);
        (slot, emptied.filter(|emptied| *emptied != slot))
    }

    fn unrank(&mut self, slot: u32) {
        if let Some(held) = &self.slots[slot as usize] {
            self.ranked[usize::from(held.proven)].remove(&(held.level.n, held.key.clone()));
        }
    }

    /// Empties the slot of the part's least entry (fewest samples, then smallest key).
    fn evict(&mut self, part: usize) -> Option<u32> {
        let (_, key) = self.ranked[part].pop_first()?;
        let slot = self.index.remove(&key)?;
        self.slots[slot as usize] = None;
        self.free.insert(slot);
        self.evicted += 1;
        Some(slot)
    }

    /// Entries that have left for lack of room.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Loads a slot from the state topic.
    pub fn load(&mut self, slot: u32, body: &[u8]) -> Result<(), postcard::Error> {
        let held: Held = postcard::from_bytes(body)?;
        if (slot as usize) < self.slots.len() {
            self.free.remove(&slot);
            self.ranked[usize::from(held.proven)].insert((held.level.n, held.key.clone()));
            self.index.insert(held.key.clone(), slot);
            self.slots[slot as usize] = Some(held);
        }
        Ok(())
    }

    /// Takes an exported row as a proven entry; returns its slot and body.
    pub fn import(&mut self, row: &ExportedBaseline) -> Option<Change> {
        let key = match row.scope.as_str() {
            "site" => BaselineKey::Site(row.key.as_str().into()),
            "target" => BaselineKey::Target(Host::parse(&row.key)),
            _ => return None,
        };
        let variance = row.spread * row.spread;
        let level = Level { n: row.n, mean: row.mean, variance, pinned: row.pinned, last_pane: row.last_pane };
        let held = Held { key, level, proven: true };
        let body = postcard::to_stdvec(&held).ok()?;
        let (slot, emptied) = self.place(held);
        Some(Change { slot, body, emptied })
    }

    /// All entries, in key order.
    #[must_use]
    pub fn export(&self) -> Vec<ExportedBaseline> {
        let rows = self.index.iter().filter_map(|(key, slot)| {
            let held = self.slots[*slot as usize].as_ref()?;
            let (scope, key) = key.to_text();
            let normal = held.level.normal();
            Some(ExportedBaseline {
                scope: scope.to_owned(),
                key,
                feature: "byte_rate".to_owned(),
                unit: "bytes/s".to_owned(),
                mean: normal.mean,
                spread: normal.spread,
                n: normal.n,
                last_pane: held.level.last_pane,
                pinned: held.level.pinned,
            })
        });
        rows.collect()
    }
}

/// The change does not fit into what this pane close may write, so it was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferred;

/// Read access for detectors.
pub struct BaselineView<'a>(pub &'a Baselines);

impl BaselineView<'_> {
    /// What is normal for `key`.
    #[must_use]
    pub fn normal(&self, key: &BaselineKey) -> Option<Normal> {
        self.0.normal(key)
    }
}
