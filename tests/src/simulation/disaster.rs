//! What is done to a cluster's logs and groups once, mostly while nobody works on them, and what may be expected afterwards.

use weir_bus::{Topics, Value};
use weir_detector::DetectorConfig;
use weir_results::GROUP;

use super::cluster::Cluster;
use super::verdicts::Verdicts;
use crate::chance::Chance;

/// One of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The detector's source stage.
    Source,
    /// The detector's site stage.
    Site,
    /// Results.
    Results,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disaster {
    /// A group's commits expire.
    GroupExpires(Stage),
    /// The offsets topic loses a group's newest commit of one partition.
    CommitLost(Stage),
    /// An operator sets a group's offsets to the log's start.
    ReadAgain(Stage),
    /// An operator sets a group's offsets to anywhere in the log.
    Moved(Stage),
    /// A state topic is emptied.
    StateEmptied(Stage),
    /// Retention removes flows that open panes were made of.
    Overtaken,
    /// Likewise, and flows that nobody has read, while members are reading.
    OvertakenWhileReading,
    /// The flows get a partition more, that no sensor writes to, while members are reading.
    Grown,
}

/// What is left to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Everything is as if nothing had happened.
    Same,
    /// Everything is, but for letters: what is set aside is set aside again when it is read again.
    SameButLetters,
    /// Everything but the revisions is.
    SameButNumbers,
    /// Every episode is told, to its end, and none twice; but for what was judged against a baseline.
    SameEpisodes,
    /// Nothing is told twice.
    NothingTwice,
}

impl Disaster {
    /// Mostly none.
    pub(super) fn any(chance: &mut Chance) -> Option<Self> {
        if !chance.percent(35) {
            return None;
        }
        let stage = [Stage::Source, Stage::Site, Stage::Results][chance.index(3)];
        Some(match chance.below(8) {
            0 => Self::GroupExpires(stage),
            1 => Self::CommitLost(stage),
            2 => Self::ReadAgain(stage),
            3 => Self::Moved(stage),
            4 => Self::StateEmptied(stage),
            5 => Self::Overtaken,
            6 => Self::OvertakenWhileReading,
            _ => Self::Grown,
        })
    }

    /// As it is counted.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GroupExpires(_) => "disaster: group expires",
            Self::CommitLost(_) => "disaster: commit lost",
            Self::ReadAgain(_) => "disaster: reset to the start",
            Self::Moved(_) => "disaster: reset to anywhere",
            Self::StateEmptied(_) => "disaster: state emptied",
            Self::Overtaken => "disaster: retention",
            Self::OvertakenWhileReading => "disaster: retention, while reading",
            Self::Grown => "disaster: growth",
        }
    }

    /// What may be expected afterwards.
    #[must_use]
    pub fn expectation(self) -> Expectation {
        match self {
            // State knows all that the commit knew.
            Self::GroupExpires(_) => Expectation::Same,
            // Results know what they published, whatever is read again.
            Self::CommitLost(Stage::Results) | Self::ReadAgain(Stage::Results) | Self::Moved(Stage::Results) => {
                Expectation::SameButLetters
            }
            Self::StateEmptied(Stage::Results) => Expectation::SameButNumbers,
            // What was told before is told again under its old id, and results drop it.
            Self::ReadAgain(_) => Expectation::SameEpisodes,
            // Open panes and episodes are lost, and nobody can tell them; or the site stage waits for a partition that is new,
            // and what is open stays open as long.
            Self::CommitLost(_)
            | Self::Moved(_)
            | Self::StateEmptied(_)
            | Self::Overtaken
            | Self::OvertakenWhileReading
            | Self::Grown => Expectation::NothingTwice,
        }
    }

    /// Whether the source stage's counters begin again, with what is read after it.
    pub(super) fn resets_source(self) -> bool {
        match self {
            Self::GroupExpires(_) | Self::Grown => false,
            Self::CommitLost(stage) | Self::ReadAgain(stage) | Self::Moved(stage) | Self::StateEmptied(stage) => {
                stage == Stage::Source
            }
            Self::Overtaken | Self::OvertakenWhileReading => true,
        }
    }

    /// Whether everybody has found out: a task whose state was emptied waits for it first, and begins again then.
    pub(super) fn is_over(self, cluster: &Cluster, topics: &Topics) -> bool {
        let Self::StateEmptied(stage) = self else { return true };
        let topic = state_of(stage, topics);
        let has_entry = |partition| {
            let records = cluster.committed_records(&topic, partition);
            records.iter().any(|record| matches!(record.value, Value::State(_)))
        };
        (0..cluster.partition_count(&topic)).all(has_entry)
    }

    /// Whether nobody may be a member of any group when it happens.
    pub(super) fn needs_silence(self) -> bool {
        !matches!(self, Self::OvertakenWhileReading | Self::Grown)
    }

    /// Lets it happen.
    pub(super) fn strike(self, cluster: &Cluster, config: &DetectorConfig) {
        let topics = &config.topics;
        match self {
            Self::GroupExpires(stage) => {
                cluster.expire_group(&group_of(stage, config));
            }
            Self::CommitLost(stage) => {
                let count = cluster.partition_count(&input_of(stage, topics));
                let partition = cluster.below(u64::from(count)) as u32;
                cluster.lose_commit(&group_of(stage, config), partition);
            }
            Self::ReadAgain(stage) => {
                for partition in 0..cluster.partition_count(&input_of(stage, topics)) {
                    cluster.reset_offset(&group_of(stage, config), partition, 0);
                }
            }
            Self::Moved(stage) => {
                for partition in 0..cluster.partition_count(&input_of(stage, topics)) {
                    let group = group_of(stage, config);
                    let (start, end) = cluster.bounds(&input_of(stage, topics), partition);
                    // Results number what they read: what they are made to pass over is missing, by the operator's will.
                    let furthest = match stage {
                        Stage::Source | Stage::Site => end,
                        Stage::Results => cluster.committed_offset(&group, partition).map_or(0, |known| known.offset),
                    };
                    let offset = start + cluster.below((furthest - start + 1) as u64) as i64;
                    cluster.reset_offset(&group, partition, offset);
                }
            }
            Self::StateEmptied(stage) => cluster.empty(&state_of(stage, topics)),
            Self::Overtaken | Self::OvertakenWhileReading => {
                for partition in 0..cluster.partition_count(&topics.flows()) {
                    let committed = cluster.committed_offset(&config.source_group(), partition);
                    let read = committed.map_or(0, |committed| committed.offset);
                    // Somebody who is reading may have the rest taken from under him; at rest, what is unread stays.
                    let beyond = if self == Self::Overtaken { 0 } else { cluster.below(80) as i64 };
                    cluster.truncate(&topics.flows(), partition, read + beyond - cluster.below(40) as i64);
                }
            }
            Self::Grown => {
                let partitions = cluster.partition_count(&topics.flows()) + 1;
                cluster.grow(&topics.state_source(), partitions);
                cluster.grow(&topics.flows(), partitions);
            }
        }
    }
}

fn group_of(stage: Stage, config: &DetectorConfig) -> String {
    match stage {
        Stage::Source => config.source_group(),
        Stage::Site => config.site_group(),
        Stage::Results => GROUP.to_owned(),
    }
}

fn input_of(stage: Stage, topics: &Topics) -> String {
    match stage {
        Stage::Source => topics.flows(),
        Stage::Site => topics.partials(),
        Stage::Results => topics.findings(),
    }
}

fn state_of(stage: Stage, topics: &Topics) -> String {
    match stage {
        Stage::Source => topics.state_source(),
        Stage::Site => topics.state_site(),
        Stage::Results => topics.state_results(),
    }
}

impl Expectation {
    /// How a run falls short of it; `None` where it does not.
    #[must_use]
    pub fn violation(self, verdicts: &Verdicts, undisturbed: &Verdicts) -> Option<String> {
        let numbering = verdicts.misnumbered();
        match self {
            Self::Same | Self::SameButLetters => verdicts.difference(undisturbed).or(numbering),
            Self::SameButNumbers => verdicts.difference_but_numbers(undisturbed),
            Self::SameEpisodes => verdicts.missing_episode(undisturbed).or(numbering),
            Self::NothingTwice => numbering,
        }
    }
}
