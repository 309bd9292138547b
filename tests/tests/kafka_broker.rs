//! The broker harness against librdkafka: what the tests of the services take for granted of it.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientContext, Message as _, Offset, TopicPartitionList};
use weir_tests::broker::{
    self, AccessRule, Broker, Coordinated, ListedTransaction, Nodes, Operation, Pattern, Resource, Secured, password_of,
};

/// Longer than any election, restart or busy machine takes.
const PATIENCE: Duration = Duration::from_mins(3);

/// Nothing is committed for it; librdkafka wants a group all the same, and waits long for one that it may not describe.
const READERS: &str = "readers";

#[test]
fn committed_messages_are_read_and_aborted_ones_are_not() {
    let client = plain(broker::shared().bootstrap());
    let topics = broker::topics("commit");
    let topic = topics.flows();
    create(&client, &topic).unwrap();

    let producer = transactional(&client, &topics.prefix);
    transact(&producer, &topic, &["one", "two"], End::Commit);
    transact(&producer, &topic, &["lost"], End::Abort);
    transact(&producer, &topic, &["three"], End::Commit);

    assert_eq!(read(&client, &topic, 3), ["one", "two", "three"]);
}

#[test]
fn names_are_used_once() {
    let (first, second) = (broker::topics("name"), broker::topics("name"));
    assert_ne!(first.prefix, second.prefix);
    assert!(first.flows().starts_with("name-"));
}

#[test]
fn kafkas_own_tool_tells_open_transactions_from_finished_ones() {
    let broker = broker::shared();
    let client = plain(broker.bootstrap());
    let topics = broker::topics("open");
    let (open, finished) = (format!("{}open", topics.prefix), format!("{}finished", topics.prefix));
    create(&client, &topics.flows()).unwrap();

    transact(&transactional(&client, &finished), &topics.flows(), &["done"], End::Commit);
    let producer = transactional(&client, &open);
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<(), _>::to(&topics.flows()).payload("begun")).unwrap();
    producer.flush(PATIENCE).unwrap();

    let listed = broker.transactions().unwrap();
    let is_open = |id: &str| listed.iter().find(|listed| listed.id == id).map(ListedTransaction::is_open);
    assert_eq!(is_open(&open), Some(true), "{listed:?}");
    assert_eq!(is_open(&finished), Some(false), "{listed:?}");

    producer.abort_transaction(PATIENCE).unwrap();
    let hanging = broker.find_hanging_transactions().unwrap();
    assert!(!hanging.iter().any(|line| line.contains(&topics.prefix)), "{hanging:?}");
}

#[test]
fn a_node_keeps_its_address_and_data_over_kill_and_pause() {
    let broker = Broker::start(Nodes::One).unwrap();
    let client = plain(broker.bootstrap());
    create(&client, "kept").unwrap();
    let producer = transactional(&client, "kept");
    transact(&producer, "kept", &["before"], End::Commit);

    broker.kill_node(1).unwrap();
    TcpStream::connect(broker.bootstrap()).unwrap_err();
    assert!(broker.kill_node(1).is_err(), "it is down");
    broker.restart_node(1).unwrap();
    assert!(broker.restart_node(1).is_err(), "it is up");
    transact(&producer, "kept", &["after"], End::Commit);
    assert_eq!(read(&client, "kept", 2), ["before", "after"]);

    broker.pause_node(1).unwrap();
    let observer: BaseConsumer = client.create().unwrap();
    observer.fetch_metadata(None, Duration::from_secs(1)).unwrap_err();
    broker.continue_node(1).unwrap();
    transact(&producer, "kept", &["at last"], End::Commit);
    assert_eq!(read(&client, "kept", 3), ["before", "after", "at last"]);
}

#[test]
fn three_nodes_do_without_the_one_that_coordinates() {
    let broker = Broker::start(Nodes::Three).unwrap();
    let client = plain(broker.bootstrap());
    create(&client, "replicated").unwrap();
    let producer = transactional(&client, "survivor");
    transact(&producer, "replicated", &["before"], End::Commit);

    let group_coordinator = broker.coordinator_of(Coordinated::Group, "some group").unwrap();
    assert!((1..=3).contains(&group_coordinator));
    let coordinator = broker.coordinator_of(Coordinated::TransactionalId, "survivor").unwrap();
    broker.kill_node(coordinator).unwrap();
    transact(&producer, "replicated", &["without"], End::Commit);
    let successor = broker.coordinator_of(Coordinated::TransactionalId, "survivor").unwrap();
    assert_ne!(successor, coordinator);

    broker.restart_node(coordinator).unwrap();
    transact(&producer, "replicated", &["with"], End::Commit);
    assert_eq!(read(&client, "replicated", 3), ["before", "without", "with"]);
    assert_eq!(broker.find_hanging_transactions().unwrap(), Vec::<String>::new());
}

#[test]
fn a_secured_node_lets_in_who_has_the_password_and_allows_what_is_allowed() {
    let secured = Broker::secured(&["alice"]).unwrap();
    let alice = secured_client(&secured, "alice", &password_of("alice"));

    let refused = create(&alice, "locked").unwrap_err();
    assert_eq!(refused, RDKafkaErrorCode::TopicAuthorizationFailed);

    let topic = |operation| AccessRule::prefixed("alice", operation, Resource::Topic, "hers.");
    let transactions = AccessRule::literal("alice", Operation::Write, Resource::TransactionalId, "hers");
    assert_eq!(transactions.pattern, Pattern::Literal);
    let group = AccessRule::literal("alice", Operation::Read, Resource::Group, READERS);
    let rules = [topic(Operation::Create), topic(Operation::Write), topic(Operation::Read), transactions, group];
    secured.broker().allow(&rules).unwrap();

    create(&alice, "hers.topic").unwrap();
    transact(&transactional(&alice, "hers"), "hers.topic", &["let in"], End::Commit);
    assert_eq!(read(&alice, "hers.topic", 1), ["let in"]);
    assert_eq!(create(&alice, "locked").unwrap_err(), RDKafkaErrorCode::TopicAuthorizationFailed);

    let (code, words) = first_error(&secured_client(&secured, "alice", "guessed"));
    assert_eq!(code, RDKafkaErrorCode::Authentication, "{words}");
    let mut deceived = secured_client(&secured, "alice", &password_of("alice"));
    deceived.set("ssl.ca.location", secured.stranger().display().to_string());
    let (code, words) = first_error(&deceived);
    assert_eq!(code, RDKafkaErrorCode::SSL, "{words}");
}

#[test]
fn a_broker_dies_with_whoever_started_it() {
    let mut starter = Command::new(env!("CARGO_BIN_EXE_weir-test-broker"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(starter.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("bootstrap=").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();

    starter.kill().unwrap();
    starter.wait().unwrap();

    // The broker never speaks first: this ends when the connection does.
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = std::io::Read::read(&mut connection, &mut [0]);
    assert!(matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
}

/// How a transaction ends.
#[derive(Clone, Copy)]
enum End {
    Commit,
    Abort,
}

fn plain(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

fn secured_client(secured: &Secured, user: &str, password: &str) -> ClientConfig {
    let mut config = plain(&secured.bootstrap());
    config.set("security.protocol", "SASL_SSL").set("sasl.mechanism", "SCRAM-SHA-512");
    config.set("sasl.username", user).set("sasl.password", password);
    config.set("ssl.ca.location", secured.authority().display().to_string());
    config
}

fn create(client: &ClientConfig, topic: &str) -> Result<(), RDKafkaErrorCode> {
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    // -1: as many replicas as the broker's default says.
    let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(-1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let results = pollster::block_on(admin.create_topics([&topic], &options)).unwrap();
    results.into_iter().next().unwrap().map(drop).map_err(|(_, code)| code)
}

fn transactional(client: &ClientConfig, id: &str) -> BaseProducer {
    let mut config = client.clone();
    config.set("transactional.id", id).set("transaction.timeout.ms", "60000");
    let producer: BaseProducer = config.create().unwrap();
    insist(|| producer.init_transactions(PATIENCE));
    producer
}

fn transact(producer: &BaseProducer, topic: &str, values: &[&str], end: End) {
    producer.begin_transaction().unwrap();
    for value in values {
        producer.send(BaseRecord::<(), _>::to(topic).payload(*value)).unwrap();
    }
    // Delivered, aborted ones too: what is never sent need not be hidden from readers.
    let deadline = Instant::now() + PATIENCE;
    while producer.in_flight_count() > 0 && Instant::now() < deadline {
        producer.poll(Duration::from_millis(1));
    }
    match end {
        End::Commit => insist(|| producer.commit_transaction(PATIENCE)),
        End::Abort => insist(|| producer.abort_transaction(PATIENCE)),
    }
}

/// The same call while librdkafka says that it may help.
fn insist(mut call: impl FnMut() -> Result<(), KafkaError>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call() {
            Ok(()) => return,
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// The first `count` committed values of a topic's only partition.
fn read(client: &ClientConfig, topic: &str, count: usize) -> Vec<String> {
    let mut config = client.clone();
    config.set("group.id", READERS).set("isolation.level", "read_committed");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();

    let deadline = Instant::now() + PATIENCE;
    let mut values = Vec::new();
    while values.len() < count && Instant::now() < deadline {
        // Errors come and go with nodes; what matters is what is read in the end.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            values.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
        }
    }
    values
}

/// Keeps what librdkafka reports beside its calls' results: the cause is there, and nowhere else.
#[derive(Default)]
struct Errors(Mutex<Vec<(RDKafkaErrorCode, String)>>);

impl ClientContext for Errors {
    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap();
        self.0.lock().unwrap().push((code, reason.to_owned()));
    }
}

impl ConsumerContext for Errors {}

fn first_error(client: &ClientConfig) -> (RDKafkaErrorCode, String) {
    let consumer: BaseConsumer<Errors> = client.create_with_context(Errors::default()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        // Nothing is assigned: polling serves the callbacks.
        let _ = consumer.poll(Duration::from_millis(100));
        if let Some(first) = consumer.context().0.lock().unwrap().first() {
            return first.clone();
        }
    }
    panic!("no error was reported in {} s", PATIENCE.as_secs());
}
