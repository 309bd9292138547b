//! Holds a Kafka broker in a container, for the tests and for as long as standard input stays open.
//!
//! Prints `bootstrap=ADDRESS` when the broker is ready. `WEIR_TEST_KAFKA_IMAGE` names another image than the default one.
#![forbid(unsafe_code)]

use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use testcontainers::core::error::TestcontainersError;
use testcontainers::runners::SyncRunner as _;
use testcontainers::{Container, ImageExt as _};
use testcontainers_modules::kafka::apache::{KAFKA_PORT, Kafka};

/// The version that the jars are of, too.
const DEFAULT_IMAGE: &str = "apache/kafka:4.3.1";

/// Kafka itself starts in seconds; a pull may come first.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() -> ExitCode {
    let image = std::env::var("WEIR_TEST_KAFKA_IMAGE").unwrap_or_else(|_| DEFAULT_IMAGE.to_owned());
    let Some((name, tag)) = image.rsplit_once(':') else {
        eprintln!("WEIR_TEST_KAFKA_IMAGE is {image:?}; it must be NAME:TAG");
        return ExitCode::FAILURE;
    };
    match hold(name, tag) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("no Kafka in a container of the image {image}: {error}\n{ADVICE}");
            ExitCode::FAILURE
        }
    }
}

const ADVICE: &str = "Is a container engine running (DOCKER_HOST)? Where the image cannot be pulled, \
    `tests/kafka-docker/image` builds one from Kafka's jars, for WEIR_TEST_KAFKA_IMAGE to name.";

fn hold(name: &str, tag: &str) -> Result<(), TestcontainersError> {
    let container = start(name, tag)?;
    let address = format!("{}:{}", container.get_host()?, container.get_host_port_ipv4(KAFKA_PORT)?);
    let said = writeln!(std::io::stdout(), "bootstrap={address}");
    if said.is_ok() {
        // Nothing is read from it; its end, or an error of it, is the end.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    }
    container.rm()
}

fn start(name: &str, tag: &str) -> Result<Container<Kafka>, TestcontainersError> {
    Kafka::default()
        .with_jvm_image()
        .with_name(name)
        .with_tag(tag)
        .with_startup_timeout(PATIENCE)
        // One node: Kafka's defaults for its own topic of transactions want three.
        .with_env_var("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
        .with_env_var("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
        // As in tests/kafka/start-node.
        .with_env_var("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        .with_env_var("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env_var("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
        .with_env_var("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "4")
        .with_env_var("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "4")
        .start()
}
