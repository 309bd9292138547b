//! Logs as bad as they come: several sensors that overlap, fall silent, lag, end and restart; records that are duplicate,
//! lost, late, ahead of the log's clock, contradictory or undecodable; long idle stretches and more panes than slots.

use proptest::prelude::*;
use weir_schemas::{Flow, Mark, MarkStatus, Micros, Outcome, Record, SECOND_US, Text};

use super::{Appended, EPOCH, attempt, transfer};

/// What one sensor does between the start and the end of a case.
#[derive(Clone, Debug)]
pub struct Watcher {
    /// Its marks and records reach the log this long after their event time, s.
    pub lag: i64,
    /// Vantage of its records; 0 keeps each flow's own.
    pub vantage: u8,
    /// It sees every n-th flow.
    pub sees_every: usize,
    /// No mark and no record between these times, s.
    pub silent: Option<(i64, i64)>,
    /// No mark (records go on) between these times, s.
    pub forgetful: Option<(i64, i64)>,
    /// It ends at this time, s; whatever it would have seen later is not in the log.
    pub ends: Option<i64>,
    /// It starts again with a greater boot at these times, s; with an `end` mark before, if true.
    pub restarts: Vec<(i64, bool)>,
}

/// Damage done to one record of the merged log.
#[derive(Clone, Debug)]
pub enum Damage {
    /// The record stands in the log once more, this many records later.
    Repeat(usize),
    /// This many records are missing.
    Lose(usize),
    /// A record with an event time this far back, s.
    Late(i64),
    /// A record this far ahead of its append time, s.
    Ahead(i64),
    /// A mark this far ahead of its append time, s.
    MarkAhead(i64),
    /// A record whose last packet lies in another pane.
    Contradiction,
    /// Bytes that do not decode.
    Garbage,
    /// The log's clock goes back by this, s, for one record.
    ClockBack(i64),
    /// The log stands still for this long, s.
    Outage(i64),
}

/// A stretch of activity: when it begins (s), and what it is.
pub type Activity = (i64, Kind);

/// What sources do.
#[derive(Clone, Debug)]
pub enum Kind {
    /// One source tries ports of one target.
    Scan { source: u8, target: u8, ports: u16, step_ms: i64 },
    /// One source tries ports of many targets.
    Rake { source: u8, targets: u8, ports: u16 },
    /// One source tries one port of many targets.
    Sweep { source: u8, targets: u8, step_ms: i64 },
    /// Connections, some of which fail.
    Browse { source: u8, connections: u8, failing: u8 },
    /// SYNs from spoofed sources.
    Flood { target: u8, syn: u16 },
    /// Bytes.
    Transfer { source: u8, megabytes: u8 },
}

/// A whole case.
#[derive(Clone, Debug)]
pub struct Case {
    pub activities: Vec<Activity>,
    pub watchers: Vec<Watcher>,
    /// Where (per mille of the log), and what.
    pub damages: Vec<(usize, Damage)>,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => (0_u8..6, 0_u8..6, 10_u16..70, prop::sample::select(vec![5_i64, 300, 4_000, 14_000, 45_000]))
            .prop_map(|(source, target, ports, step_ms)| Kind::Scan { source, target, ports, step_ms }),
        1 => (0_u8..2, 14_u8..30, 15_u16..18).prop_map(|(source, targets, ports)| Kind::Rake { source, targets, ports }),
        2 => (0_u8..6, 20_u8..80, prop::sample::select(vec![5_i64, 500, 5_000, 50_000]))
            .prop_map(|(source, targets, step_ms)| Kind::Sweep { source, targets, step_ms }),
        2 => (0_u8..6, 30_u8..90, 0_u8..60)
            .prop_map(|(source, connections, failing)| Kind::Browse { source, connections, failing }),
        1 => (0_u8..3, 400_u16..1_500).prop_map(|(target, syn)| Kind::Flood { target, syn }),
        1 => (0_u8..6, 1_u8..40).prop_map(|(source, megabytes)| Kind::Transfer { source, megabytes }),
    ]
}

fn watcher() -> impl Strategy<Value = Watcher> {
    let stretch =
        || prop::option::weighted(0.3, (0_i64..900, 20_i64..300).prop_map(|(from, long)| (from, from + long)));
    (
        prop::sample::select(vec![0_i64, 0, 0, 1, 7, 45, 70, 130]),
        prop::sample::select(vec![0_u8, 0, 1, 2, 3]),
        1_usize..4,
        stretch(),
        stretch(),
        prop::option::weighted(0.3, 30_i64..1_500),
        prop::collection::vec((10_i64..1_500, any::<bool>()), 0..3),
    )
        .prop_map(|(lag, vantage, sees_every, silent, forgetful, ends, mut restarts)| {
            restarts.sort_unstable();
            Watcher { lag, vantage, sees_every, silent, forgetful, ends, restarts }
        })
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (1_usize..400).prop_map(Damage::Repeat),
        (1_usize..30).prop_map(Damage::Lose),
        (10_i64..700).prop_map(Damage::Late),
        (6_i64..4_000).prop_map(Damage::Ahead),
        (6_i64..4_000).prop_map(Damage::MarkAhead),
        Just(Damage::Contradiction),
        Just(Damage::Garbage),
        (1_i64..100).prop_map(Damage::ClockBack),
        (2_i64..5_000).prop_map(Damage::Outage),
    ]
}

/// Any case.
pub fn case() -> impl Strategy<Value = Case> {
    // Mostly within ten minutes, so that activities meet; now and then hours apart.
    let start = prop_oneof![6 => 0_i64..600, 2 => 600_i64..1_500, 1 => 9_000_i64..12_000];
    (
        prop::collection::vec((start, kind()), 1..7),
        prop::collection::vec(watcher(), 1..4),
        prop::collection::vec((0_usize..1_000, damage()), 0..12),
    )
        .prop_map(|(activities, watchers, damages)| Case { activities, watchers, damages })
}

fn flows_of(activities: &[Activity]) -> Vec<Flow> {
    let mut flows = Vec::new();
    for (start, kind) in activities {
        let at = |step: i64, step_ms: i64| start * SECOND_US + step * step_ms * 1_000;
        let source = |number: &u8| format!("10.0.0.{number}");
        match kind {
            Kind::Scan { source: from, target, ports, step_ms } => flows.extend((0..*ports).map(|port| {
                let outcome = if port % 3 == 0 { Outcome::Unanswered } else { Outcome::Refused };
                let target = format!("10.1.0.{target}");
                attempt(at(i64::from(port), *step_ms), &source(from), &target, 1_000 + port, outcome)
            })),
            Kind::Rake { source: from, targets, ports } => {
                for target in 0..*targets {
                    flows.extend((0..*ports).map(|port| {
                        let step = i64::from(target) * i64::from(*ports) + i64::from(port);
                        let target = format!("10.4.0.{target}");
                        attempt(at(step, 20), &source(from), &target, 2_000 + port, Outcome::Refused)
                    }));
                }
            }
            Kind::Sweep { source: from, targets, step_ms } => flows.extend((0..*targets).map(|target| {
                let outcome = if target % 9 == 0 { Outcome::Completed } else { Outcome::Unanswered };
                let step = i64::from(target);
                attempt(at(step, *step_ms), &source(from), &format!("10.2.0.{target}"), 22, outcome)
            })),
            Kind::Browse { source: from, connections, failing } => flows.extend((0..*connections).map(|step| {
                let outcome = if step < *failing { Outcome::Refused } else { Outcome::Completed };
                let target = format!("10.3.0.{}", step % 7);
                attempt(at(i64::from(step), 200), &source(from), &target, 443, outcome)
            })),
            Kind::Flood { target, syn } => flows.extend((0..*syn).map(|step| {
                let spoofed = format!("172.16.{}.{}", step / 250, step % 250);
                attempt(at(i64::from(step), 3), &spoofed, &format!("10.1.0.{target}"), 80, Outcome::Unanswered)
            })),
            Kind::Transfer { source: from, megabytes } => flows.extend(
                (0..i64::from(*megabytes)).map(|step| transfer(at(step, 900), &source(from), "10.1.0.1", 1_000_000)),
            ),
        }
    }
    flows.sort_by_key(|flow| (flow.event_time, flow.flow_id));
    flows
}

struct Entry {
    append: Micros,
    /// Keeps the order of a sensor's own records where append times are equal.
    order: (usize, usize),
    record: Record,
}

/// The log of a case.
pub fn log_of(case: &Case) -> Vec<Appended<Option<Record>>> {
    let flows = flows_of(&case.activities);
    let mut entries: Vec<Entry> = Vec::new();
    for (index, watcher) in case.watchers.iter().enumerate() {
        watch(index, watcher, &flows, &mut entries);
    }
    entries.sort_by_key(|entry| (entry.append, entry.order));
    let mut log = entries.into_iter().map(|entry| (entry.append, Some(entry.record))).collect();
    for (place, damage) in &case.damages {
        inflict(*place, damage, &mut log);
    }
    log
}

fn is_within(stretch: Option<(i64, i64)>, second: i64) -> bool {
    stretch.is_some_and(|(from, to)| (from..to).contains(&second))
}

/// What one sensor writes: records and marks in order of event time, each `lag` after it.
fn watch(index: usize, watcher: &Watcher, flows: &[Flow], entries: &mut Vec<Entry>) {
    let id: Text = format!("s{}", index + 1).as_str().into();
    let (first, last) = (flows[0].event_time - EPOCH, flows[flows.len() - 1].event_time - EPOCH);
    let mut state = Writing { id, boot: 1, seq: 0, index, lag: watcher.lag * SECOND_US, entries };
    let mut next_flow = 0;
    let mut second = first.div_euclid(SECOND_US);
    let mut restarts = watcher.restarts.iter().peekable();
    let last_second = last.div_euclid(SECOND_US) + 1;
    while second <= last_second {
        while let Some((_, with_end)) = restarts.next_if(|(at, _)| *at <= second) {
            if *with_end {
                state.mark(second * SECOND_US, true);
            }
            (state.boot, state.seq) = (state.boot + 1, 0);
        }
        if watcher.ends.is_some_and(|end| end <= second) {
            return state.mark(second * SECOND_US, true);
        }
        let is_silent = is_within(watcher.silent, second);
        if !is_silent && !is_within(watcher.forgetful, second) {
            state.mark(second * SECOND_US, false);
        }
        let until = EPOCH + (second + 1) * SECOND_US;
        while next_flow < flows.len() && flows[next_flow].event_time < until {
            if !is_silent && next_flow % watcher.sees_every == 0 {
                state.flow(&flows[next_flow], watcher.vantage);
            }
            next_flow += 1;
        }
        // A long idle stretch needs no mark per second.
        let next_second = flows.get(next_flow).map_or(last_second, |flow| (flow.event_time - EPOCH) / SECOND_US);
        second = if next_second > second + 900 { next_second - 100 } else { second + 1 };
    }
    state.mark(last_second * SECOND_US + SECOND_US, true);
}

struct Writing<'a> {
    id: Text,
    boot: i64,
    seq: u64,
    index: usize,
    lag: Micros,
    entries: &'a mut Vec<Entry>,
}

impl Writing<'_> {
    fn push(&mut self, at: Micros, mut record: Record) {
        self.seq += 1;
        match &mut record {
            Record::Flow(flow) => (flow.sensor, flow.boot, flow.seq) = (self.id.clone(), self.boot, self.seq),
            Record::Mark(mark) => (mark.sensor, mark.boot, mark.seq) = (self.id.clone(), self.boot, self.seq),
        }
        let order = (self.index, self.entries.len());
        self.entries.push(Entry { append: at + self.lag, order, record });
    }

    fn mark(&mut self, t: Micros, end: bool) {
        let mark = Mark {
            sensor: self.id.clone(),
            site: "lab".into(),
            boot: 0,
            seq: 0,
            t: EPOCH + t,
            end,
            status: MarkStatus::default(),
        };
        self.push(EPOCH + t, Record::Mark(Box::new(mark)));
    }

    fn flow(&mut self, flow: &Flow, vantage: u8) {
        let mut seen = flow.clone();
        if vantage != 0 {
            seen.vantage = vantage;
        }
        seen.flow_id = seen.flow_id.rotate_left(self.index as u32);
        self.push(seen.event_time, Record::Flow(Box::new(seen)));
    }
}

fn inflict(per_mille: usize, damage: &Damage, log: &mut Vec<Appended<Option<Record>>>) {
    if log.is_empty() {
        return;
    }
    let index = per_mille * log.len() / 1_000;
    let append = log[index].0;
    // A record that nobody numbered: an older boot's are never duplicates.
    let unnumbered = |at: Micros| {
        let mut flow = attempt(at - EPOCH, "10.9.0.9", "10.9.0.8", 99, Outcome::Refused);
        flow.boot = 0;
        flow
    };
    match damage {
        Damage::Repeat(later) => {
            let copy = log[index].1.clone();
            let place = (index + later).min(log.len());
            let append = log[place - 1].0;
            log.insert(place, (append, copy));
        }
        Damage::Lose(count) => {
            log.drain(index..(index + count).min(log.len()));
        }
        Damage::Late(back) => {
            log.insert(index, (append, Some(Record::Flow(Box::new(unnumbered(append - back * SECOND_US))))));
        }
        Damage::Ahead(ahead) => {
            log.insert(index, (append, Some(Record::Flow(Box::new(unnumbered(append + ahead * SECOND_US))))));
        }
        Damage::MarkAhead(ahead) => {
            let t = append + ahead * SECOND_US;
            let (sensor, site): (Text, Text) = ("s1".into(), "lab".into());
            let mark = Mark { sensor, site, boot: 99, seq: 1, t, end: false, status: MarkStatus::default() };
            log.insert(index, (append, Some(Record::Mark(Box::new(mark)))));
        }
        Damage::Contradiction => {
            let mut flow = unnumbered(append);
            flow.last_time += 20 * SECOND_US;
            log.insert(index, (append, Some(Record::Flow(Box::new(flow)))));
        }
        Damage::Garbage => log.insert(index, (append, None)),
        Damage::ClockBack(back) => log[index].0 -= back * SECOND_US,
        Damage::Outage(seconds) => {
            for (append, _) in &mut log[index..] {
                *append += seconds * SECOND_US;
            }
        }
    }
}
