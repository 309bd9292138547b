//! What a partials partition said so far of the input's partitions: how far each has closed, which ended together, who saw.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_schemas::partial::PartialSensor;
use weir_schemas::{Micros, Text};

use crate::recovery::Inputs;
use crate::sensors::{AppendClock, MASK_BITS};
use crate::summary::SeenBy;

/// Generations of ends held that some partition has yet to say. One that takes part in no end is never heard of in it.
const GENERATIONS: usize = 16;

/// Remarks held about panes that have not closed; one more is not remembered for panes that open later.
const REMARKS: usize = 4_096;

/// How far one partition is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) closed_through: Micros,
    pub(super) ended: bool,
}

/// What made the panes of one partition less than exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remark {
    after: Micros,
    through: Micros,
    pub(super) complete: bool,
    pub(super) degraded: Vec<String>,
}

impl Remark {
    pub(super) fn is_about(&self, pane: Micros) -> bool {
        self.after < pane && pane <= self.through
    }
}

/// What the log said so far of the input's partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Partitions {
    pub(super) clock: AppendClock,
    pub(super) expected: u32,
    pub(super) progress: BTreeMap<u32, Progress>,
    /// Pane → clock time at which the first partition had closed it.
    pub(super) waiting: BTreeMap<Micros, Micros>,
    /// Generation → the partitions that have ended in it, each with the newest pane it had closed.
    ends: BTreeMap<Micros, BTreeMap<u32, Micros>>,
    /// The newest generation in which all partitions have ended.
    all_ended_in: Option<Micros>,
    /// About panes that have not closed yet.
    remarks: Vec<Remark>,
    sensor_names: Vec<Text>,
}

impl Inputs for Partitions {
    fn take_names(&mut self, later: &Self) {
        self.sensor_names.clone_from(&later.sensor_names);
    }
}

impl Partitions {
    /// Notes that `partition` has closed through `pane`, which is news for its panes from then on.
    pub(super) fn advance(&mut self, partition: u32, pane: Micros, ended: bool) {
        let progress = self.progress.entry(partition).or_insert(Progress { closed_through: Micros::MIN, ended });
        progress.closed_through = progress.closed_through.max(pane);
        progress.ended = ended;
    }

    /// The newest pane that `partition` has closed.
    pub(super) fn closed_through(&self, partition: u32) -> Micros {
        self.progress.get(&partition).map_or(Micros::MIN, |progress| progress.closed_through)
    }

    /// Starts the clock of a pane that the first partition has closed.
    pub(super) fn wait_for(&mut self, pane: Micros) {
        let known_later = self.waiting.range(pane..).next().is_some();
        if !known_later {
            self.waiting.insert(pane, self.clock.now());
        }
    }

    /// Notes an end. Returns the newest pane that belongs to it when by it all partitions have ended in one generation: what
    /// they say later is of later panes, in whatever order it comes.
    pub(super) fn end(&mut self, partition: u32, generation: Micros, pane: Micros) -> Option<Micros> {
        if self.all_ended_in.is_some_and(|newest| generation < newest) {
            return None;
        }
        let ended = self.ends.entry(generation).or_default();
        let through = ended.entry(partition).or_insert(pane);
        *through = pane.max(*through);
        let is_complete = ended.len() >= self.expected as usize;
        if !is_complete {
            if self.ends.len() > GENERATIONS {
                self.ends.pop_first();
            }
            return None;
        }
        let through = ended.values().copied().max();
        self.all_ended_in = Some(generation);
        self.ends.retain(|other, _| *other > generation);
        through
    }

    /// Keeps what a marker says of the panes of its partition, for those that are not open yet.
    pub(super) fn remark(&mut self, after: Micros, through: Micros, complete: bool, degraded: &[String]) -> Remark {
        let remark = Remark { after, through, complete, degraded: degraded.to_vec() };
        if self.remarks.len() < REMARKS {
            self.remarks.push(remark.clone());
        }
        remark
    }

    /// What markers said of `pane`.
    pub(super) fn remarks_about(&self, pane: Micros) -> impl Iterator<Item = &Remark> {
        self.remarks.iter().filter(move |remark| remark.is_about(pane))
    }

    /// Forgets what concerns closed panes only.
    pub(super) fn forget_closed(&mut self, closed_through: Option<Micros>) {
        let Some(closed) = closed_through else { return };
        self.waiting.retain(|pane, _| *pane > closed);
        self.remarks.retain(|remark| remark.through > closed);
    }

    /// The newest pane that every input partition has closed. One that has ended counts as it stands: its sensors may start
    /// again, and others hear of it first.
    pub(super) fn agreed(&self) -> Option<Micros> {
        if (self.progress.len() as u32) < self.expected {
            return None;
        }
        self.progress.values().map(|progress| progress.closed_through).min()
    }

    /// Partitions that have not closed `pane`.
    pub(super) fn missing(&self, pane: Micros) -> Vec<u32> {
        let has_closed = |partition: &u32| {
            self.progress.get(partition).is_some_and(|progress| progress.ended || progress.closed_through >= pane)
        };
        (0..self.expected).filter(|partition| !has_closed(partition)).collect()
    }

    /// The evidence bits of these sensors.
    pub(super) fn seen_by(&mut self, sensors: &[PartialSensor]) -> SeenBy {
        let mut seen_by = SeenBy::default();
        for sensor in sensors {
            let bit = match self.sensor_names.iter().position(|name| *name == sensor.id) {
                Some(bit) => bit,
                None if self.sensor_names.len() < MASK_BITS => {
                    self.sensor_names.push(sensor.id.clone());
                    self.sensor_names.len() - 1
                }
                None => MASK_BITS - 1,
            };
            seen_by.forward |= u64::from(sensor.vantage & 1) << bit;
            seen_by.reverse |= u64::from((sensor.vantage >> 1) & 1) << bit;
        }
        seen_by
    }

    /// The sensors that evidence bits name, with vantage bits and losses, in order of id.
    pub(super) fn named(&self, seen_by: SeenBy) -> Vec<(Text, u8, u64)> {
        let mut named: Vec<(Text, u8, u64)> = Vec::new();
        for (bit, id) in self.sensor_names.iter().enumerate() {
            let vantage = ((seen_by.forward >> bit) & 1) as u8 | (((seen_by.reverse >> bit) & 1) as u8) << 1;
            if vantage != 0 {
                named.push((id.clone(), vantage, 0));
            }
        }
        named.sort();
        named
    }
}
