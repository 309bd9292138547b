//! What every service does alike around its own work: configuration, log, telemetry, admin pages, watchdog, signals, and how
//! its threads end.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use weir_bus::Topics;
use weir_bus::kafka::{ConnectError, ConnectFault, KafkaMember, PublishError, Publisher, Settings, Warning};
use weir_bus::member::MemberError;
use weir_bus::shard::ShardError;
use weir_runtime::admin::{AdminServer, Check, Health, Pages};
use weir_runtime::config::Config;
use weir_runtime::metrics::Meter;
use weir_runtime::process::{DEFAULT_PATIENCE, Heartbeat, Watchdog, exit};
use weir_runtime::telemetry::{self, Identity, Telemetry};
use weir_runtime::{Shutdown, Tracer};
use weir_schemas::schema::Schema;

use crate::arguments::Globals;
use crate::command;
use crate::failure::Failure;
use crate::interrupt;

/// How long a service tries to reach brokers that do not answer, before it leaves that to its supervisor.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// The longest a loop waits for something to happen: that soon it notices that it is to end.
pub const TURN: Duration = Duration::from_millis(50);

/// How often what the brokers' client met by itself goes to the log.
const WARNINGS_EVERY: Duration = Duration::from_secs(10);

/// Fresh clients made within [`RENEWAL_PERIOD`] for one loop; after that many the process is better started again.
const MOST_RENEWALS: usize = 3;

/// See [`MOST_RENEWALS`].
const RENEWAL_PERIOD: Duration = Duration::from_mins(10);

/// A service's process.
pub struct Host {
    /// Its configuration.
    pub config: Config,
    /// Raised when it is to end.
    pub shutdown: Shutdown,
    /// Behind `/healthz` and `/readyz`.
    pub health: Health,
    /// Ends the process when one of its loops hangs.
    pub watchdog: Watchdog,
    /// Its instruments are made of this.
    pub meter: Meter,
    /// Records its spans.
    pub tracer: Tracer,
    failure: Arc<Mutex<Option<Failure>>>,
    threads: Vec<JoinHandle<()>>,
    _admin: AdminServer,
    telemetry: Telemetry,
}

impl Host {
    /// Starts all that surrounds `service`, called `instance` among its likes.
    pub fn start(globals: &Globals, service: &str, instance: impl Fn(&Config) -> String) -> Result<Self, Failure> {
        let config = globals.start()?.config;
        let identity = Identity { service: service.to_owned(), instance: instance(&config) };
        let telemetry =
            telemetry::start(config.telemetry.otlp_endpoint.as_deref(), &identity).map_err(Failure::usage)?;
        let health = Health::default();
        let pages = Pages { health: health.clone(), metrics: telemetry.exposition() };
        let admin = AdminServer::start(config.admin.listen, pages).map_err(Failure::environment)?;
        let watchdog = Watchdog::start(DEFAULT_PATIENCE).map_err(Failure::internal)?;
        Ok(Self {
            shutdown: interrupt::watch()?,
            health,
            watchdog,
            meter: telemetry.meter(),
            tracer: telemetry.tracer(),
            failure: Arc::default(),
            threads: Vec::new(),
            _admin: admin,
            telemetry,
            config,
        })
    }

    /// How the brokers are reached.
    pub fn kafka(&self, service: &str) -> Result<Settings, Failure> {
        kafka_settings(&self.config, service)
    }

    /// Holds the topics that a service uses against what they must be, and leaves a description of what it writes where
    /// readers look it up.
    pub fn prepare(&self, service: &str, needed: &[String], written: &[Schema]) -> Result<(), Failure> {
        let settings = self.kafka(service)?;
        let topics = Topics::new(&self.config.topics.prefix);
        command::topics::require(&settings, &topics, needed)?;
        let publisher = Publisher::open(&settings, CONNECT_PATIENCE)?;
        Ok(publisher.write_schemas(&topics, written)?)
    }

    /// Runs `work` on a thread of its own, watched under `name`. Its failure ends the service.
    pub fn spawn(
        &mut self,
        name: String,
        work: impl FnOnce(&Loop) -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let turn = Loop {
            heartbeat: self.watchdog.watch(name.clone()),
            ready: self.health.readiness(&name),
            shutdown: self.shutdown.clone(),
        };
        let (failure, shutdown) = (Arc::clone(&self.failure), self.shutdown.clone());
        let run = move || {
            let ended = work(&turn);
            if let Err(error) = ended {
                // The first failure is the cause; later ones may be its effects.
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            shutdown.request();
        };
        let thread = std::thread::Builder::new().name(name).spawn(run).map_err(Failure::internal)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Waits until every thread has ended.
    pub fn join(self) -> Result<(), Failure> {
        for thread in self.threads {
            if thread.join().is_err() {
                return Err(Failure::restart("a thread panicked, as told above; this is a bug in Weir"));
            }
        }
        drop(self.telemetry);
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), Err)
    }
}

/// What a thread of a service looks at each time round.
pub struct Loop {
    heartbeat: Heartbeat,
    ready: Check,
    shutdown: Shutdown,
}

impl Loop {
    /// Shows that the loop goes round; false when it is to end.
    pub fn goes_on(&self) -> bool {
        self.heartbeat.beat();
        !self.shutdown.is_requested()
    }

    /// Says whether it does its work.
    pub fn set_ready(&self, is_ready: bool, missing: &str) {
        if is_ready {
            self.ready.pass();
        } else {
            self.ready.fail(missing);
        }
    }
}

/// Why a loop's life ended.
pub enum End {
    /// Its clients can do no more; fresh ones go on from the last commit.
    Renew(String),
    /// Nothing within this process helps.
    Fail(Failure),
}

impl From<ShardError> for End {
    fn from(error: ShardError) -> Self {
        match error {
            ShardError::Restart(detail) => Self::Renew(detail),
            other => Self::Fail(other.into()),
        }
    }
}

impl From<MemberError> for End {
    fn from(error: MemberError) -> Self {
        ShardError::from(error).into()
    }
}

impl From<ConnectError> for End {
    fn from(error: ConnectError) -> Self {
        Self::Fail(error.into())
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Fail(failure)
    }
}

/// Lives one life after another, as long as one ends because its clients can do no more: what is fatal to a client is seldom
/// the service's end. A broker's restart may be (librdkafka #3437, and transactions whose end got lost), and takes all services
/// alike. Bounded, so that what never works ends the process, for its supervisor to see.
pub fn relive(turn: &Loop, mut live: impl FnMut() -> Result<(), End>) -> Result<(), Failure> {
    let mut renewed: VecDeque<Instant> = VecDeque::new();
    loop {
        let detail = match live() {
            Ok(()) => return Ok(()),
            Err(End::Fail(failure)) => return Err(failure),
            Err(End::Renew(detail)) => detail,
        };
        renewed.retain(|when| when.elapsed() < RENEWAL_PERIOD);
        if renewed.len() >= MOST_RENEWALS || !turn.goes_on() {
            return Err(Failure::restart(detail));
        }
        renewed.push_back(Instant::now());
        turn.set_ready(false, "joins its group anew");
        tracing::warn!(renewals = renewed.len(), "joins its group anew, and goes on from the last commit: {detail}");
    }
}

/// Tells what a brokers' client met by itself, every few seconds.
pub struct ClientWarnings {
    told: Instant,
}

impl ClientWarnings {
    /// Nothing told yet.
    pub fn new() -> Self {
        Self { told: Instant::now() }
    }

    /// Tells what there is to tell, if it is time.
    pub fn tell(&mut self, member: &KafkaMember) {
        if self.told.elapsed() < WARNINGS_EVERY {
            return;
        }
        self.told = Instant::now();
        tell(&member.take_warnings());
    }
}

fn tell(warnings: &[Warning]) {
    for warning in warnings {
        tracing::warn!(times = warning.times, "{}", warning.text);
    }
}

/// How the brokers are reached under this configuration.
pub fn kafka_settings(config: &Config, service: &str) -> Result<Settings, Failure> {
    let kafka = &config.kafka;
    let settings = Settings {
        bootstrap: kafka.bootstrap.join(","),
        client_id: kafka.client_id.clone().unwrap_or_else(|| service.to_owned()),
        properties: kafka.properties.0.clone(),
    };
    settings.check().map_err(Failure::usage)?;
    Ok(settings)
}

/// The name of this machine, or pod: names a member where the configuration does not.
pub fn host_name() -> String {
    let name = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let name = name.or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "weir".to_owned())
}

/// What the names of a lane's groups and transactions begin with: `weir` for topics below `weir.`.
pub fn lane(prefix: &str) -> String {
    let lane = prefix.trim_end_matches(['.', '-', '_']);
    if lane.is_empty() { "weir".to_owned() } else { lane.to_owned() }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error.fault {
            ConnectFault::Settings => Self::usage(error),
            ConnectFault::Unreachable | ConnectFault::Starting => Self::unreachable(error),
            ConnectFault::Authentication
            | ConnectFault::Certificate
            | ConnectFault::Authorization
            | ConnectFault::Topic => Self::environment(error),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Full { .. } | PublishError::Undelivered(_) => Self::unreachable(error),
            PublishError::Fatal { .. } => Self::restart(error),
            PublishError::Record { .. } | PublishError::Forbidden { .. } => Self::environment(error),
        }
    }
}

impl From<ShardError> for Failure {
    fn from(error: ShardError) -> Self {
        match error {
            ShardError::Environment(_) => Self::environment(error),
            ShardError::Fenced(_) | ShardError::Restart(_) | ShardError::Passing(_) => Self::restart(error),
        }
    }
}

impl Failure {
    /// The brokers do not answer: started again later, it may go.
    pub fn unreachable(message: impl Display) -> Self {
        Self { exit_status: exit::UNREACHABLE, ..Self::usage(message) }
    }

    /// Topics, rights or addresses are not as they must be: somebody must mend them first.
    pub fn environment(message: impl Display) -> Self {
        Self { exit_status: exit::ENVIRONMENT, ..Self::usage(message) }
    }

    /// Nothing in this process helps; a fresh one goes on from the last commit.
    pub fn restart(message: impl Display) -> Self {
        Self { exit_status: exit::INTERNAL, ..Self::usage(message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(watchdog: &Watchdog, shutdown: &Shutdown) -> Loop {
        Loop {
            heartbeat: watchdog.watch("test"),
            ready: Health::default().readiness("test"),
            shutdown: shutdown.clone(),
        }
    }

    /// Lives until it ends: how many there were, and how the last ended.
    fn lives(mut live: impl FnMut(usize) -> Result<(), End>) -> (usize, Result<(), Failure>) {
        let watchdog = Watchdog::start(DEFAULT_PATIENCE).unwrap();
        let mut count = 0;
        let ended = relive(&turn(&watchdog, &Shutdown::default()), || {
            count += 1;
            live(count)
        });
        (count, ended)
    }

    #[test]
    fn what_is_fatal_to_a_client_is_outlived_so_many_times() {
        let fatal = || Err(End::Renew("the client is fenced".to_owned()));
        assert_eq!(lives(|life| if life < 3 { fatal() } else { Ok(()) }), (3, Ok(())));
        let never = lives(|_| fatal());
        assert_eq!(never, (MOST_RENEWALS + 1, Err(Failure::restart("the client is fenced"))));
    }

    #[test]
    fn a_true_successor_wins_and_a_right_that_lacks_is_told_at_once() {
        for error in [ShardError::Fenced("by b".to_owned()), ShardError::Environment("grant it".to_owned())] {
            let (count, ended) = lives(|_| Err(error.clone().into()));
            assert_eq!((count, ended), (1, Err(Failure::from(error))));
        }
    }

    #[test]
    fn nobody_is_renewed_who_was_asked_to_stop() {
        let watchdog = Watchdog::start(DEFAULT_PATIENCE).unwrap();
        let shutdown = Shutdown::default();
        shutdown.request();
        let ended = relive(&turn(&watchdog, &shutdown), || Err(End::Renew("late".to_owned())));
        assert_eq!(ended, Err(Failure::restart("late")));
    }
}
