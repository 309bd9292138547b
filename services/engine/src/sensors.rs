//! The sensors of one partition: who is active, what they promised, and so how far the watermark is.
//!
//! Waiting is measured on the partition's *append clock*, which is in the log: a replay decides alike however fast it runs
//! and an outage of any length is one second on it (DESIGN §5.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_schemas::{Mark, Micros, PANE_US, SECOND_US, Text, pane_start};

use crate::config::EngineConfig;
use crate::recovery::Inputs;

/// Sensors whose share in evidence is told apart; later ones share the last bit.
pub const MASK_BITS: usize = 64;

/// The sum over successive records of min(max(append gap, 0), 1 s).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendClock {
    now: Micros,
    last_append: Option<Micros>,
}

impl AppendClock {
    /// Moves the clock by what lies between the previous record and this one.
    pub fn advance(&mut self, append_time: Micros) {
        if let Some(last) = self.last_append {
            self.now += (append_time.saturating_sub(last)).clamp(0, SECOND_US);
        }
        self.last_append = Some(append_time);
    }

    /// Time on the clock, µs since the task's first record.
    pub fn now(self) -> Micros {
        self.now
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sensor {
    site: Text,
    boot: Micros,
    seq: u64,
    loss: u64,
    /// The promise of its newest mark; none before its first.
    promised: Option<Micros>,
    ended: bool,
    /// Let go for lagging; returns when it has caught up.
    let_go: bool,
    marked_at: Micros,
    lagging_since: Option<Micros>,
    mask_bit: u8,
}

impl Sensor {
    /// A newer boot: what the one before promised binds it no more, and it is active from its own first mark on.
    fn restart(&mut self, boot: Micros) {
        self.boot = boot;
        self.seq = 0;
        self.promised = None;
        self.ended = false;
        self.let_go = false;
        self.lagging_since = None;
    }
}

/// What a mark or the clock changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatermarkChange {
    /// The watermark moved.
    pub moved: bool,
    /// An `end` left no active sensor.
    pub all_ended: bool,
}

/// The sensor table of a partition, and its watermark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sensors {
    clock: AppendClock,
    table: BTreeMap<Text, Sensor>,
    watermark: Option<Micros>,
    /// Clock time at which the next sensor may fall inactive or be let go.
    next_expiry: Option<Micros>,
    mask_names: Vec<Text>,
    /// Sites that two or more active sensors watch.
    contested: Vec<Text>,
    /// Of the sensors that ended, the greatest boot: every partition reads the same ends, whatever else it reads.
    generation: Micros,
    /// The newest pane that an end leaves nothing to be sent of, likewise.
    ended_through: Option<Micros>,
}

impl Inputs for Sensors {
    fn take_names(&mut self, later: &Self) {
        self.mask_names.clone_from(&later.mask_names);
    }
}

/// Sensors held; one more takes the place of the one inactive for longest, or goes unlisted (its records count, its marks do not).
pub const MAX_SENSORS: usize = 1_024;

/// How a record stands to its sensor's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// The next one, or one after a gap of this many lost records.
    Fresh {
        /// Records missing before it.
        lost: u64,
    },
    /// Seen before.
    Duplicate,
}

impl Sensors {
    /// The append clock.
    pub fn clock(&self) -> Micros {
        self.clock.now()
    }

    /// All records with event time before this have been read; none before the first mark.
    pub fn watermark(&self) -> Option<Micros> {
        self.watermark
    }

    /// Greatest boot among the sensors that ended, µs.
    pub fn generation(&self) -> Micros {
        self.generation
    }

    /// The newest pane that the sensors which ended can have sent records of. In every partition the same, unless an end's
    /// time is none to believe.
    pub fn ended_through(&self) -> Option<Micros> {
        self.ended_through
    }

    /// Whether marks named any sensor that has not ended.
    pub fn any_active(&self, config: &EngineConfig) -> bool {
        self.table.values().any(|sensor| self.is_active(sensor, config))
    }

    /// Whether two or more active sensors watch `site`.
    pub fn is_contested(&self, site: &Text) -> bool {
        !self.contested.is_empty() && self.contested.contains(site)
    }

    fn is_active(&self, sensor: &Sensor, config: &EngineConfig) -> bool {
        sensor.promised.is_some()
            && !sensor.ended
            && !sensor.let_go
            && self.clock.now() - sensor.marked_at < config.idle_after
    }

    /// Moves the append clock; tells whether a sensor's waiting time ended by it.
    pub fn advance(&mut self, append_time: Micros, config: &EngineConfig) -> WatermarkChange {
        self.clock.advance(append_time);
        if self.next_expiry.is_none_or(|expiry| self.clock.now() < expiry) {
            return WatermarkChange::default();
        }
        self.recompute(config)
    }

    /// Takes a record's sequence number.
    pub fn sequence(&mut self, sensor: &Text, site: &Text, boot: Micros, seq: u64, config: &EngineConfig) -> Sequence {
        let Some(known) = self.known(sensor, site, boot, seq, config) else { return Sequence::Fresh { lost: 0 } };
        if boot < known.boot {
            return Sequence::Fresh { lost: 0 };
        }
        if boot > known.boot {
            known.restart(boot);
        }
        if seq <= known.seq {
            return Sequence::Duplicate;
        }
        let lost = seq - known.seq - 1;
        known.seq = seq;
        known.loss += lost;
        Sequence::Fresh { lost }
    }

    fn known(&mut self, id: &Text, site: &Text, boot: Micros, seq: u64, config: &EngineConfig) -> Option<&mut Sensor> {
        if !self.table.contains_key(id) {
            if self.table.len() >= MAX_SENSORS && !self.forget_longest_inactive(config) {
                return None;
            }
            let mask_bit = self.mask_bit_of(id);
            let fresh = Sensor {
                site: site.clone(),
                boot,
                // What came before this task first heard of the sensor is not lost: it was never to be read.
                seq: seq.saturating_sub(1),
                loss: 0,
                promised: None,
                ended: false,
                let_go: false,
                marked_at: self.clock.now(),
                lagging_since: None,
                mask_bit,
            };
            self.table.insert(id.clone(), fresh);
        }
        self.table.get_mut(id)
    }

    fn forget_longest_inactive(&mut self, config: &EngineConfig) -> bool {
        let inactive = self.table.iter().filter(|(_, sensor)| !self.is_active(sensor, config) && !sensor.let_go);
        let longest = inactive.min_by_key(|(id, sensor)| (sensor.marked_at, (*id).clone()));
        let Some(id) = longest.map(|(id, _)| id.clone()) else { return false };
        self.table.remove(&id);
        true
    }

    fn mask_bit_of(&mut self, id: &Text) -> u8 {
        if let Some(bit) = self.mask_names.iter().position(|name| name == id) {
            return bit as u8;
        }
        if self.mask_names.len() < MASK_BITS {
            self.mask_names.push(id.clone());
        }
        (self.mask_names.len() - 1) as u8
    }

    /// The evidence bit of a sensor.
    pub fn mask_of(&self, id: &Text) -> u64 {
        self.table.get(id).map_or(1 << (MASK_BITS - 1), |sensor| 1 << sensor.mask_bit)
    }

    /// The sensors that evidence bits name, with vantage bits and losses, in order of id.
    pub fn named(&self, forward: u64, reverse: u64) -> Vec<(Text, u8, u64)> {
        let mut named: Vec<(Text, u8, u64)> = Vec::new();
        for (bit, id) in self.mask_names.iter().enumerate() {
            let vantage = ((forward >> bit) & 1) as u8 | (((reverse >> bit) & 1) as u8) << 1;
            if vantage != 0 {
                named.push((id.clone(), vantage, self.table.get(id).map_or(0, |sensor| sensor.loss)));
            }
        }
        named.sort();
        named
    }

    /// Takes a mark.
    pub fn mark(&mut self, mark: &Mark, config: &EngineConfig) -> WatermarkChange {
        let now = self.clock.now();
        let known = self.known(&mark.sensor, &mark.site, mark.boot, mark.seq, config);
        let Some(known) = known.filter(|known| mark.boot >= known.boot) else { return WatermarkChange::default() };
        if mark.boot > known.boot {
            known.restart(mark.boot);
        }
        known.marked_at = now;
        known.ended = mark.end;
        if mark.end {
            self.note_end(mark, config);
        } else {
            // Nothing follows an `end`, so what it promises may be any time; the promise before it stands.
            known.promised = Some(known.promised.map_or(mark.t, |promised| promised.max(mark.t)).max(0));
        }
        let mut change = self.recompute(config);
        change.all_ended = mark.end && !self.any_active(config);
        change
    }

    fn note_end(&mut self, mark: &Mark, config: &EngineConfig) {
        self.generation = self.generation.max(mark.boot);
        // An end names the time after the last packet, and the log's time may be that of the last record's first.
        let believable = self.clock.last_append.map(|append| append.saturating_add(config.max_future + PANE_US));
        if (1..=believable.unwrap_or(0)).contains(&mark.t) {
            self.ended_through = self.ended_through.max(Some(pane_start(mark.t - 1)));
        }
    }

    fn recompute(&mut self, config: &EngineConfig) -> WatermarkChange {
        let now = self.clock.now();
        let live =
            |sensor: &Sensor| sensor.promised.is_some() && !sensor.ended && now - sensor.marked_at < config.idle_after;
        let furthest = self.table.values().filter(|sensor| live(sensor)).filter_map(|sensor| sensor.promised).max();
        let mut least: Option<Micros> = None;
        let mut next_expiry: Option<Micros> = None;
        for sensor in self.table.values_mut() {
            let (Some(promised), Some(furthest)) = (sensor.promised, furthest) else { continue };
            if !live(sensor) {
                continue;
            }
            let mut wait_until = sensor.marked_at + config.idle_after;
            if furthest - promised > config.max_skew {
                let since = *sensor.lagging_since.get_or_insert(now);
                sensor.let_go |= now - since >= config.idle_after;
                if !sensor.let_go {
                    wait_until = wait_until.min(since + config.idle_after);
                }
            } else {
                sensor.lagging_since = None;
                sensor.let_go = false;
            }
            next_expiry = Some(next_expiry.map_or(wait_until, |expiry| expiry.min(wait_until)));
            if !sensor.let_go {
                least = Some(least.map_or(promised, |least| least.min(promised)));
            }
        }
        self.next_expiry = next_expiry;
        let mut watched: Vec<Text> = Vec::new();
        self.contested.clear();
        for sensor in self.table.values().filter(|sensor| live(sensor) && !sensor.let_go) {
            if !watched.contains(&sensor.site) {
                watched.push(sensor.site.clone());
            } else if !self.contested.contains(&sensor.site) {
                self.contested.push(sensor.site.clone());
            }
        }
        let before = self.watermark;
        if let Some(least) = least {
            self.watermark = Some(before.map_or(least, |watermark| watermark.max(least)));
        }
        WatermarkChange { moved: self.watermark != before, all_ended: false }
    }
}
