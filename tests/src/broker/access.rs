//! Who may do what: access rules of a broker that asks for a name.

use std::thread;
use std::time::{Duration, Instant};

use super::BrokerError;
use super::protocol::{Api, Request, ask};

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A transactional id.
    TransactionalId,
    /// The cluster; its name is [`Resource::CLUSTER_NAME`].
    Cluster,
}

impl Resource {
    /// What Kafka calls the one cluster.
    pub const CLUSTER_NAME: &str = "kafka-cluster";
}

/// How a rule's name is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Equal; the name `*` is every name.
    Literal,
    /// What begins with it.
    Prefixed,
}

/// What a rule allows; [`Operation::Read`], [`Operation::Write`], [`Operation::Delete`] and [`Operation::Alter`] allow
/// [`Operation::Describe`] as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Everything.
    All,
    /// Reading a topic, being a member of a group.
    Read,
    /// Writing to a topic, using a transactional id.
    Write,
    /// Making a topic.
    Create,
    /// Deleting a topic, or records of it.
    Delete,
    /// Adding partitions.
    Alter,
    /// Asking for partitions and offsets.
    Describe,
    /// Asking for settings.
    DescribeConfigs,
    /// Changing settings.
    AlterConfigs,
    /// Writing idempotently, where no topic may be written otherwise.
    IdempotentWrite,
}

/// Allows one user one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// User name, without Kafka's `User:`.
    pub user: String,
    /// What it is about.
    pub resource: Resource,
    /// Name of that.
    pub name: String,
    /// How the name is compared.
    pub pattern: Pattern,
    /// What is allowed.
    pub operation: Operation,
}

impl AccessRule {
    /// A rule for one name.
    pub fn literal(user: &str, operation: Operation, resource: Resource, name: &str) -> Self {
        Self { user: user.to_owned(), resource, name: name.to_owned(), pattern: Pattern::Literal, operation }
    }

    /// A rule for every name that begins with `prefix`.
    pub fn prefixed(user: &str, operation: Operation, resource: Resource, prefix: &str) -> Self {
        Self { user: user.to_owned(), resource, name: prefix.to_owned(), pattern: Pattern::Prefixed, operation }
    }
}

const DESCRIBE_ACLS: Api = Api { key: 29, version: 1 };
const CREATE_ACLS: Api = Api { key: 30, version: 1 };

/// Kafka's code for "allow".
const ALLOW: i8 = 3;

/// A rule is in force milliseconds after it was taken down, seconds where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes the rules down, and returns when the broker that answered judges by them.
pub(crate) fn allow(bootstrap: &str, rules: &[AccessRule]) -> Result<(), BrokerError> {
    let mut request = Request::default();
    request.array(rules.len());
    for rule in rules {
        write_rule(&mut request, rule);
    }
    let mut answer = ask(bootstrap, CREATE_ACLS, &request)?;
    let _throttle_ms = answer.i32()?;
    let _count = answer.i32()?;
    for rule in rules {
        let code = answer.i16()?;
        let message = answer.string()?;
        if code != 0 {
            return Err(refused(rule, &format!("{message} (error {code})")));
        }
    }
    rules.iter().try_for_each(|rule| await_force(bootstrap, rule))
}

fn await_force(bootstrap: &str, rule: &AccessRule) -> Result<(), BrokerError> {
    let mut request = Request::default();
    write_rule(&mut request, rule);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut answer = ask(bootstrap, DESCRIBE_ACLS, &request)?;
        let _throttle_ms = answer.i32()?;
        let code = answer.i16()?;
        let message = answer.string()?;
        if code != 0 {
            return Err(refused(rule, &format!("{message} (error {code})")));
        }
        let resources = answer.i32()?;
        if resources > 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(refused(rule, &format!("not in force after {} s", PATIENCE.as_secs())));
        }
        // Kafka tells nobody when it is: it is asked again.
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// A rule to create and a filter that finds it are written alike.
fn write_rule(request: &mut Request, rule: &AccessRule) {
    request.i8(match rule.resource {
        Resource::Topic => 2,
        Resource::Group => 3,
        Resource::Cluster => 4,
        Resource::TransactionalId => 5,
    });
    request.string(&rule.name);
    request.i8(match rule.pattern {
        Pattern::Literal => 3,
        Pattern::Prefixed => 4,
    });
    request.string(&format!("User:{}", rule.user));
    request.string("*"); // From any host.
    request.i8(match rule.operation {
        Operation::All => 2,
        Operation::Read => 3,
        Operation::Write => 4,
        Operation::Create => 5,
        Operation::Delete => 6,
        Operation::Alter => 7,
        Operation::Describe => 8,
        Operation::DescribeConfigs => 10,
        Operation::AlterConfigs => 11,
        Operation::IdempotentWrite => 12,
    });
    request.i8(ALLOW);
}

fn refused(rule: &AccessRule, reason: &str) -> BrokerError {
    BrokerError::Refused {
        what: format!("allow {} {:?} on {:?} {}", rule.user, rule.operation, rule.resource, rule.name),
        reason: reason.to_owned(),
    }
}
