//! Makes, describes, grows and verifies a lane's topics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication, TopicResult,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;

use super::connect::{self, ConnectError};
use super::notices::Notices;
use super::settings::Settings;
use super::standing::{self, Found, Standing};
use crate::Topics;
use crate::topic::{TOPICS, TopicSpec, state_of};

/// How long a request may take.
const CALL: Duration = Duration::from_secs(30);

/// How long a change may take, and to be seen: a busy controller makes dozens of topics.
const SETTLE: Duration = Duration::from_mins(2);

/// Pause between looks at whether it is.
const SETTLE_STEP: Duration = Duration::from_millis(50);

/// Environment: brokers did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AdminError(pub String);

/// How many partitions topics are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// For a cluster.
    Production,
    /// For one machine (`--dev`).
    Development,
}

impl Scale {
    /// Partitions of a topic.
    #[must_use]
    pub fn partitions(self, spec: &TopicSpec) -> u32 {
        match self {
            Self::Production => spec.partitions_production,
            Self::Development => spec.partitions_development,
        }
    }
}

/// What became of a topic that was to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Its name.
    pub topic: String,
    /// Partitions asked for.
    pub partitions: u32,
    /// It did not exist before.
    pub is_new: bool,
}

/// What became of a topic that was to grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Its name.
    pub topic: String,
    /// Partitions before.
    pub before: u32,
    /// Partitions now; the same where it had as many or more.
    pub after: u32,
}

/// A connection for an operator's commands, and for the check at a service's start.
pub struct Admin {
    client: AdminClient<Notices>,
    watcher: BaseConsumer<Notices>,
}

impl Admin {
    /// Connects.
    ///
    /// # Errors
    /// The brokers could not be worked with, for `patience` where trying again helps.
    pub fn open(settings: &Settings, patience: Duration) -> Result<Self, ConnectError> {
        let notices = Notices::default();
        let watcher = connect::watcher(settings, &notices, patience)?;
        let client =
            settings.admin().create_with_context(notices).map_err(|error| ConnectError::creation(settings, &error))?;
        Ok(Self { client, watcher })
    }

    /// Creates what does not exist yet, and leaves alone what does. `replication` none: the brokers' default.
    pub fn create(&self, topics: &Topics, scale: Scale, replication: Option<u32>) -> Result<Vec<Creation>, AdminError> {
        let replicas = replication.map_or(-1, u32::cast_signed);
        let named: Vec<(String, &TopicSpec)> = TOPICS.iter().map(|spec| (topics.named(spec.suffix), spec)).collect();
        let wanted: Vec<NewTopic<'_>> = named
            .iter()
            .map(|(name, spec)| {
                let partitions = scale.partitions(spec).cast_signed();
                let empty = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
                spec.settings.iter().fold(empty, |topic, (name, value)| topic.set(name, value))
            })
            .collect();
        let results = self.create_all(&wanted)?;
        let mut created = Vec::new();
        for (result, (topic, spec)) in results.into_iter().zip(&named) {
            let is_new = match result {
                Ok(_) => true,
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => false,
                Err((_, code)) => return Err(refused("create", topic, code)),
            };
            created.push(Creation { topic: topic.clone(), partitions: scale.partitions(spec), is_new });
        }
        let least: Vec<(String, u32)> = created.iter().map(|creation| (creation.topic.clone(), 1)).collect();
        self.settle(&least)?;
        Ok(created)
    }

    /// How each topic of the lane stands.
    pub fn describe(&self, topics: &Topics) -> Result<Vec<Standing>, AdminError> {
        let specs: Vec<&TopicSpec> = TOPICS.iter().collect();
        self.standings(topics, &specs)
    }

    /// What keeps a service that uses `needed` (names) from starting: a line for each fault, none where all is well.
    pub fn verify(&self, topics: &Topics, needed: &[String]) -> Result<Vec<String>, AdminError> {
        let specs: Vec<&TopicSpec> = TOPICS.iter().filter(|spec| needed.contains(&topics.named(spec.suffix))).collect();
        let differences = self.standings(topics, &specs)?.into_iter().flat_map(|standing| standing.differences);
        Ok(differences.filter(|difference| difference.is_fault).map(|difference| difference.text).collect())
    }

    /// Gives `topic` this many partitions; without a topic each that has state (flows, partials, findings). A topic's state
    /// topic grows before it: no partition is ever without a place for its state. Keys move to other partitions.
    pub fn grow(&self, topics: &Topics, topic: Option<&str>, partitions: u32) -> Result<Vec<Growth>, AdminError> {
        let named: Vec<&TopicSpec> = match topic {
            Some(topic) => TOPICS.iter().filter(|spec| topics.named(spec.suffix) == topic).collect(),
            None => TOPICS.iter().filter(|spec| state_of(spec.suffix).is_some()).collect(),
        };
        if named.is_empty() {
            let name = topic.unwrap_or_default();
            return Err(AdminError(format!(
                "{name} is no topic of the prefix {}; see `weir topics describe`",
                topics.prefix
            )));
        }
        let counts = self.partition_counts()?;
        let mut grown = Vec::new();
        for spec in named {
            for suffix in state_of(spec.suffix).into_iter().chain([spec.suffix]) {
                grown.push(self.grow_one(topics.named(suffix), partitions, &counts)?);
            }
        }
        let least: Vec<(String, u32)> = grown.iter().map(|growth| (growth.topic.clone(), growth.after)).collect();
        self.settle(&least)?;
        Ok(grown)
    }

    /// Partitions of each topic that this user may see.
    pub fn partition_counts(&self) -> Result<BTreeMap<String, u32>, AdminError> {
        let found = self.found()?;
        Ok(found.into_iter().map(|(topic, found)| (topic, found.partitions)).collect())
    }

    /// Asks until there is an answer: what an earlier request did create exists by then.
    fn create_all(&self, wanted: &[NewTopic<'_>]) -> Result<Vec<TopicResult>, AdminError> {
        let deadline = Instant::now() + SETTLE;
        loop {
            match pollster::block_on(self.client.create_topics(wanted, &options())) {
                Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)) if Instant::now() < deadline => {}
                results => return results.map_err(|error| AdminError(format!("create topics: {error}"))),
            }
        }
    }

    fn grow_one(&self, topic: String, partitions: u32, counts: &BTreeMap<String, u32>) -> Result<Growth, AdminError> {
        let Some(before) = counts.get(&topic).copied() else {
            return Err(AdminError(format!("topic {topic} does not exist; run `weir topics create`")));
        };
        if before >= partitions {
            return Ok(Growth { topic, before, after: before });
        }
        let wanted = NewPartitions::new(&topic, partitions as usize);
        let results = pollster::block_on(self.client.create_partitions([&wanted], &options()))
            .map_err(|error| AdminError(format!("grow {topic}: {error}")))?;
        let failed = results.into_iter().find_map(TopicResult::err);
        match failed {
            Some((_, code)) => Err(refused("grow", &topic, code)),
            None => Ok(Growth { topic, before, after: partitions }),
        }
    }

    fn standings(&self, topics: &Topics, specs: &[&TopicSpec]) -> Result<Vec<Standing>, AdminError> {
        let mut all = self.found()?;
        let counts: BTreeMap<String, u32> =
            all.iter().map(|(topic, found)| (topic.clone(), found.partitions)).collect();
        let names: Vec<String> = specs.iter().map(|spec| topics.named(spec.suffix)).collect();
        let present: Vec<&str> = names.iter().map(String::as_str).filter(|name| all.contains_key(*name)).collect();
        for (topic, settings) in self.settings_of(&present)? {
            if let Some(found) = all.get_mut(&topic) {
                found.settings = Some(settings);
            }
        }
        let stand = |(spec, topic): (&&TopicSpec, String)| {
            let found = all.remove(&topic);
            let input = TOPICS.iter().find(|input| state_of(input.suffix) == Some(spec.suffix));
            let input = input.map(|input| topics.named(input.suffix));
            let input = input.as_deref().and_then(|input| Some((input, *counts.get(input)?)));
            let differences = standing::differences(spec, &topic, found.as_ref(), input);
            Standing { topic, spec: **spec, found, differences }
        };
        Ok(specs.iter().zip(names).map(stand).collect())
    }

    /// Every topic that this user may see, without its settings.
    fn found(&self) -> Result<BTreeMap<String, Found>, AdminError> {
        connect::serve(&self.watcher);
        let metadata = self
            .watcher
            .fetch_metadata(None, CALL)
            .map_err(|error| AdminError(format!("ask for topics: {error}; is the broker still there?")))?;
        let is_usable = |topic: &&MetadataTopic| !topic.error().is_some_and(|error| error.is_error());
        let found = |topic: &MetadataTopic| {
            let replicas = topic.partitions().first().map_or(0, |partition| partition.replicas().len());
            let found =
                Found { partitions: topic.partitions().len() as u32, replication: replicas as u32, settings: None };
            (topic.name().to_owned(), found)
        };
        Ok(metadata.topics().iter().filter(is_usable).map(found).collect())
    }

    /// Settings by topic, without topics whose settings this user may not read.
    fn settings_of(&self, topics: &[&str]) -> Result<BTreeMap<String, BTreeMap<String, String>>, AdminError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let specifiers: Vec<ResourceSpecifier<'_>> =
            topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let results = pollster::block_on(self.client.describe_configs(&specifiers, &options()))
            .map_err(|error: KafkaError| AdminError(format!("ask for the settings of topics: {error}")))?;
        let mut settings = BTreeMap::new();
        for (result, topic) in results.into_iter().zip(topics) {
            match result {
                Ok(resource) => {
                    let entries = resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
                    settings.insert((*topic).to_owned(), entries.collect());
                }
                Err(RDKafkaErrorCode::TopicAuthorizationFailed) => {}
                Err(code) => return Err(refused("describe", topic, code)),
            }
        }
        Ok(settings)
    }

    /// Waits until the brokers that are asked see at least so many partitions.
    fn settle(&self, least: &[(String, u32)]) -> Result<(), AdminError> {
        let deadline = Instant::now() + SETTLE;
        loop {
            let counts = self.partition_counts()?;
            let missing = least.iter().find(|(topic, count)| counts.get(topic).is_none_or(|have| have < count));
            let Some((topic, count)) = missing else { return Ok(()) };
            if Instant::now() >= deadline {
                let seconds = SETTLE.as_secs();
                return Err(AdminError(format!("topic {topic} is not seen with {count} partitions after {seconds} s")));
            }
            drop(self.watcher.poll(SETTLE_STEP));
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CALL)).operation_timeout(Some(CALL))
}

fn refused(what: &str, topic: &str, code: RDKafkaErrorCode) -> AdminError {
    let advice = match code {
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "; this user may not: ask an administrator, or use another user"
        }
        RDKafkaErrorCode::InvalidReplicationFactor => "; there are fewer brokers than replicas: see --replication",
        _ => "",
    };
    AdminError(format!("{what} topic {topic}: {code}{advice}"))
}
