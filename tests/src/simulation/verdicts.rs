//! What a run of the pipeline leaves in its topics, and how two runs are held against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_bus::dead::{SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use weir_bus::{Delivery, Topics, Value};
use weir_engine::{Counters, EngineConfig, Profile, SiteTask, SourceTask, StageTask, TaskIdentity};
use weir_schemas::{CommitMetadata, EpisodeState, Finding, StateEntry, json};

use super::cluster::Cluster;

/// What was published and counted, read committed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// Canonical findings, sorted.
    pub findings: Vec<String>,
    /// Anomalies, in the order of each partition.
    pub anomalies: Vec<Finding>,
    /// Where the dead letters came from, sorted.
    pub dead: Vec<String>,
    /// How many documents for a SIEM there are.
    pub documents: usize,
    /// Counters of the source stage, by partition.
    pub source: Vec<Counters>,
    /// Records read by the site stage, and records in its topic, by partition.
    pub site_read: Vec<(u64, u64)>,
    /// From where state is read: of each partition of the source stage, then of the site stage.
    pub state_from: Vec<i64>,
}

/// Names of the groups whose commits hold the counters.
pub struct Groups {
    /// The source stage's.
    pub source: String,
    /// The site stage's.
    pub site: String,
}

fn findings_of(records: Vec<Delivery>) -> Vec<Finding> {
    let of = |delivery: Delivery| match delivery.value {
        Value::Finding(finding) | Value::Anomaly(finding) => Some(*finding),
        _ => None,
    };
    records.into_iter().filter_map(of).collect()
}

fn canonical(findings: &[Finding]) -> Vec<String> {
    let mut texts: Vec<String> = findings.iter().map(json::canonical).collect();
    texts.sort();
    texts
}

fn origin(delivery: &Delivery) -> String {
    let header = |name: &str| {
        let value = delivery.headers.iter().find(|(known, _)| known == name);
        value.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    format!("{}/{}/{}", header(SOURCE_TOPIC), header(SOURCE_PARTITION), header(SOURCE_OFFSET))
}

/// The origin of a dead letter, as [`Verdicts::dead`] says it.
#[must_use]
pub fn origin_of(topic: &str, partition: u32, offset: i64) -> String {
    format!("{topic}/{partition}/{offset}")
}

/// The task as its last commit left it; none where nothing was committed, or not by Weir.
fn restored<T: StageTask>(
    cluster: &Cluster,
    profile: &Arc<Profile>,
    engine: &EngineConfig,
    (group, input, state): (&str, &str, &str),
    partition: u32,
) -> Option<T> {
    let committed = cluster.committed_offset(group, partition)?;
    let commit = CommitMetadata::parse(&committed.metadata)?;
    let deliveries = cluster.committed_records(state, partition).into_iter();
    let entries: Vec<StateEntry> = deliveries
        .filter(|delivery| delivery.offset >= commit.state_from)
        .filter_map(|delivery| match delivery.value {
            Value::State(entry) => Some(*entry),
            _ => None,
        })
        .collect();
    let partition_count = cluster.partition_count(input);
    let identity = TaskIdentity { topic: input.to_owned(), partition, partition_count };
    let (log_start, _) = cluster.bounds(input, partition);
    T::restore(identity, engine.clone(), profile.clone(), &commit, committed.offset, &entries, log_start).ok()
}

fn state_from(cluster: &Cluster, group: &str, input: &str) -> Vec<i64> {
    let of = |partition| {
        let committed = cluster.committed_offset(group, partition)?;
        Some(CommitMetadata::parse(&committed.metadata)?.state_from)
    };
    (0..cluster.partition_count(input)).map(|partition| of(partition).unwrap_or(0)).collect()
}

impl Verdicts {
    /// Reads them from a cluster at rest.
    #[must_use]
    pub fn of(cluster: &Cluster, profile: &Arc<Profile>, engine: &EngineConfig, groups: &Groups) -> Self {
        let topics = Topics::default();
        let mut dead: Vec<String> = cluster.all_committed_records(&topics.dead()).iter().map(origin).collect();
        dead.sort();
        let source = (0..cluster.partition_count(&topics.flows()))
            .map(|partition| {
                let of = (groups.source.as_str(), &*topics.flows(), &*topics.state_source());
                let task: Option<SourceTask> = restored(cluster, profile, engine, of, partition);
                task.map(|task| task.counters().clone()).unwrap_or_default()
            })
            .collect();
        let site_read = (0..cluster.partition_count(&topics.partials()))
            .map(|partition| {
                let of = (groups.site.as_str(), &*topics.partials(), &*topics.state_site());
                let task: Option<SiteTask> = restored(cluster, profile, engine, of, partition);
                let read = task.map_or(0, |task| task.counters().read());
                (read, cluster.committed_records(&topics.partials(), partition).len() as u64)
            })
            .collect();
        let mut state_from_offsets = state_from(cluster, &groups.source, &topics.flows());
        state_from_offsets.extend(state_from(cluster, &groups.site, &topics.partials()));
        Self {
            findings: canonical(&findings_of(cluster.all_committed_records(&topics.findings()))),
            anomalies: findings_of(cluster.all_committed_records(&topics.anomalies())),
            dead,
            documents: cluster.all_committed_records(&topics.anomalies_ecs()).len(),
            source,
            site_read,
            state_from: state_from_offsets,
        }
    }

    /// Leaves one dead letter of each origin.
    pub fn unite_letters(&mut self) {
        self.dead.dedup();
    }

    /// Takes the dead letters of these origins out; the first origin of which there is none, where there is.
    pub fn take_letters(&mut self, origins: &[String]) -> Option<String> {
        for origin in origins {
            let Some(found) = self.dead.iter().position(|letter| letter == origin) else { return Some(origin.clone()) };
            self.dead.remove(found);
        }
        None
    }

    /// The first thing in which this run differs from one that nothing disturbed; `None` where there is none.
    #[must_use]
    pub fn difference(&self, undisturbed: &Self) -> Option<String> {
        let (mine, theirs) = (canonical(&self.anomalies), canonical(&undisturbed.anomalies));
        let differs = self.difference_before_results(undisturbed);
        differs.or_else(|| first_difference("anomalies", &mine, &theirs))
    }

    /// Likewise, but for the revisions of anomalies.
    #[must_use]
    pub fn difference_but_numbers(&self, undisturbed: &Self) -> Option<String> {
        let without = |verdicts: &Self| {
            let of = |anomaly: &Finding| Finding { revision: 0, ..anomaly.clone() };
            canonical(&verdicts.anomalies.iter().map(of).collect::<Vec<_>>())
        };
        let differs = self.difference_before_results(undisturbed);
        differs.or_else(|| first_difference("anomalies but for their revisions", &without(self), &without(undisturbed)))
    }

    fn difference_before_results(&self, undisturbed: &Self) -> Option<String> {
        let lists =
            [("findings", &self.findings, &undisturbed.findings), ("dead letters", &self.dead, &undisturbed.dead)];
        if let Some(difference) =
            lists.into_iter().find_map(|(name, mine, theirs)| first_difference(name, mine, theirs))
        {
            return Some(difference);
        }
        if self.documents != self.anomalies.len() {
            return Some(format!("{} documents for {} anomalies", self.documents, self.anomalies.len()));
        }
        if self.source != undisturbed.source {
            return Some(format!("counters: {:?} instead of {:?}", self.source, undisturbed.source));
        }
        let unread = self.site_read.iter().find(|(read, there)| read != there);
        unread.map(|(read, there)| format!("the site stage counts {read} records of {there}"))
    }

    /// An episode of the undisturbed run that this one does not tell to its end. Those judged against a baseline are left out:
    /// baselines outlive a reset, and with what is known by then a spike begins at another pane, or is none.
    #[must_use]
    pub fn missing_episode(&self, undisturbed: &Self) -> Option<String> {
        let closed: BTreeSet<&str> = (self.anomalies.iter())
            .filter(|anomaly| anomaly.state == EpisodeState::Closed)
            .map(|anomaly| anomaly.id.as_str())
            .collect();
        let must_be_told = |anomaly: &&Finding| anomaly.baseline.n == 0 && !closed.contains(anomaly.id.as_str());
        let missing = undisturbed.anomalies.iter().find(must_be_told);
        missing.map(|anomaly| format!("episode {} is not told to its end: {}", anomaly.id, json::canonical(anomaly)))
    }

    /// What is wrong with the numbering of anomalies: revisions of an id run from 1 without a gap, the first opens, and
    /// nothing is told twice.
    #[must_use]
    pub fn misnumbered(&self) -> Option<String> {
        let mut by_id: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
        for anomaly in &self.anomalies {
            by_id.entry(&anomaly.id).or_default().push(anomaly);
        }
        for (id, anomalies) in by_id {
            // One id lives in one partition, whose order is that of publication.
            for (anomaly, expected) in anomalies.iter().zip(1..) {
                if anomaly.revision != expected {
                    return Some(format!("{id}: revision {} comes where {expected} should", anomaly.revision));
                }
            }
            if anomalies[0].state != EpisodeState::Opened {
                return Some(format!("{id} begins as {}", anomalies[0].state.name()));
            }
            let contents: BTreeSet<String> = anomalies
                .iter()
                .map(|anomaly| json::canonical(&Finding { revision: 0, ..(*anomaly).clone() }))
                .collect();
            if contents.len() < anomalies.len() {
                return Some(format!("{id}: something is told twice"));
            }
        }
        None
    }
}

/// What two sorted lists differ in first.
fn first_difference(name: &str, mine: &[String], theirs: &[String]) -> Option<String> {
    if mine == theirs {
        return None;
    }
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for text in mine {
        *counts.entry(text).or_default() += 1;
    }
    for text in theirs {
        *counts.entry(text).or_default() -= 1;
    }
    let different = counts.into_iter().find(|(_, count)| *count != 0);
    different.map(|(text, count)| format!("{name}: {count:+} times {text}"))
}
