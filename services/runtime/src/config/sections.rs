//! Every configuration key: its name, type, default and documentation. To add a key, add it here.

use std::num::NonZeroU32;
use std::time::Duration;

use super::choice::choice;
use super::error::ConfigError;
use super::key::{Key, Section, sections};
use super::network::{self, Network};
use super::resolve::Settings;
use super::special::{KafkaProperties, PrefixLength, Profiles, SecretSeed, Sink};
use super::units::ByteSize;
use super::value::ConfigValue;

choice! {
    /// Where a sensor stands.
    Position {
        /// Inside the network, where addresses are those of hosts.
        Inside = "inside",
        /// Behind address translation: its records are left out of site totals.
        Edge = "edge",
    }
}

choice! {
    /// A stage of the detector.
    Stage {
        /// Judges sources.
        Source = "source",
        /// Judges targets, prefixes and sites.
        Site = "site",
    }
}

choice! {
    /// How a detector's members share partitions.
    Membership {
        /// Members keep their partitions over a restart.
        Static = "static",
        /// Partitions move whenever a member comes or goes.
        Dynamic = "dynamic",
    }
}

choice! {
    /// Where a detector begins that has never run before.
    Start {
        /// At the oldest record.
        Earliest = "earliest",
        /// At the next record.
        Latest = "latest",
    }
}

choice! {
    /// Least level of log lines.
    LogLevel {
        /// Something failed.
        Error = "error",
        /// Something may fail soon.
        Warn = "warn",
        /// What an operator wants to know.
        Info = "info",
        /// What a developer wants to know.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// How log lines are written.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

fn non_zero(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

const MEBIBYTE: u64 = 1 << 20;

sections! {
    /// The Kafka cluster that services meet in. `analyze` and `demo` need none.
    kafka: Kafka {
        /// Brokers to begin with, `host:port` each.
        bootstrap: Vec<String> = vec!["localhost:9092".to_owned()],
        /// Name that this process gives itself in the brokers' logs and quotas. Default: the name of the service.
        client_id: Option<String> = None,
        /// Any librdkafka key, as it is written there: `"ssl.ca.location" = "/etc/ca.pem"`. By environment:
        /// `WEIR__KAFKA__PROPERTIES__SSL_CA_LOCATION`. A secret from a file: `"sasl.password_file" = "/run/secrets/password"`.
        /// Keys that exactly-once delivery rests on are refused.
        properties: KafkaProperties = KafkaProperties::default(),
    }

    /// The topics of this lane.
    topics: Topics {
        /// What every topic name begins with, dot included.
        prefix: String = "weir.".to_owned(),
    }

    /// The site that is watched.
    site: Site {
        /// Name of the site.
        name: String = "local".to_owned(),
        /// Networks that belong to the site. No effect yet.
        networks: Vec<Network> = network::private(),
        /// Whether several sensors may see the same flow. Its packets are then counted once. No effect yet: they always are.
        overlap: bool = true,
    }

    /// Packets, exports and logs in; flow records out.
    sensor: Sensor {
        /// Name of the sensor, unique within the site. Default: `file` for captures, else the host's name.
        id: Option<String> = None,
        /// Where it stands: `inside`, or `edge` behind address translation. No effect yet.
        position: Position = Position::Inside,
        /// Files and directories to read, in order of their time; `-` is standard input. `weir sensor` reads them where none
        /// are named on the command line.
        read: Vec<String> = Vec::new(),
        /// Network interface to listen on. No effect yet.
        interface: Option<String> = None,
        /// Whether to wait for more where a file ends, and to go on with the file that its writer begins next.
        follow: bool = false,
        /// A flow without packets for this long has ended.
        idle_timeout: Duration = Duration::from_mins(1),
        /// An attempt without an answer for this long counts as unanswered.
        unanswered_timeout: Duration = Duration::from_secs(3),
        /// Greatest number of flows followed at a time. Beyond it the one idle longest is ended (`evicted`).
        flow_table: NonZeroU32 = non_zero(1 << 20),
        /// Memory for IP fragments that wait for the rest of their datagram; one source has an eighth of it. Beyond it, or after 30
        /// seconds, they count without ports.
        fragment_memory: ByteSize = ByteSize(4 * MEBIBYTE),
        /// Time between two marks, by which detectors know how far the sensor is.
        mark_interval: Duration = Duration::from_secs(1),
        /// IPv6 sources that share this many leading bits share a partition.
        ipv6_key_prefix: PrefixLength = PrefixLength(64),
        /// A database in MaxMind's format (`.mmdb`) that tells the country of an address; none comes with Weir.
        country_database: Option<String> = None,
        /// Likewise, of autonomous system numbers.
        asn_database: Option<String> = None,
        /// Standard input is spooled to a temporary file up to this size, so that it can be read in order of time.
        spool: ByteSize = ByteSize(1024 * MEBIBYTE),
        /// Whether records tell texts of the payload: names asked for, host names, paths, user agents, identification strings.
        /// Without them hashes, lengths, fingerprints and counts stay.
        names: bool = true,
    }

    /// Detection: the same in every process, so that the same records give the same verdicts.
    engine: Engine {
        /// Thresholds to judge by: `default`, `classic`, or one of the `[profile.<name>]` tables.
        profile: String = "default".to_owned(),
        /// Memory for the state of one partition. It is divided into fixed shares at start, and never exceeded.
        partition_memory: ByteSize = ByteSize(64 * MEBIBYTE),
        /// Secret seed of the hash tables, against crafted collisions: 32 hexadecimal digits (`openssl rand -hex 16`),
        /// usually given as `hash_seed_file`. All members of a group need the same. What is counted exactly does not depend
        /// on it; estimates of large numbers of distinct hosts or ports differ a little. Default: a public seed.
        hash_seed: Option<SecretSeed> = None,
        /// A sensor without records or marks for this long (by the log's clock) is no longer waited for.
        idle_after: Duration = Duration::from_secs(30),
        /// A record further ahead of the log's clock than this has a wrong clock: it is counted, and moves nothing.
        max_future: Duration = Duration::from_secs(5),
        /// A sensor further behind the furthest one than this is no longer waited for.
        max_skew: Duration = Duration::from_mins(1),
    }

    /// The service around the engine.
    detector: Detector {
        /// Stages to run here: `source`, `site`, or both.
        stages: Vec<Stage> = vec![Stage::Source, Stage::Site],
        /// Name of this process among the detectors, the same over restarts: its memberships and transactions are called after
        /// it. Two detectors on one host need different ones. Default: the host's name, which is the pod's.
        instance: Option<String> = None,
        /// Threads for each stage, each with partitions of its own.
        shards: NonZeroU32 = non_zero(1),
        /// Group membership: `static` members keep their partitions over a restart.
        membership: Membership = Membership::Static,
        /// Greatest number of partitions of a stage to take here. What the group assigns beyond it is left unread, and told.
        /// Default: as many as the group assigns.
        max_partitions: Option<NonZeroU32> = None,
        /// Where to begin on the first start ever: `earliest` or `latest`.
        start: Start = Start::Latest,
        /// Topic of flow records. Default: `flows.v1` of this lane. With another lane's, a second detector tries out a profile or
        /// a release on the same records, its findings apart.
        input: Option<String> = None,
    }

    /// Findings in, anomalies out.
    results: Results {
        /// Name of this process among the results services, as `detector.instance`.
        instance: Option<String> = None,
        /// Where anomalies go, beside their topic. Each has `kind`, `id`, `required` (whether an outage of it holds
        /// everything up), `filter`, and keys of its kind.
        sinks: Vec<Sink> = Vec::new(),
    }

    /// Log lines on standard error.
    log: Log {
        /// Least level: `error`, `warn`, `info`, `debug` or `trace`.
        level: LogLevel = LogLevel::Info,
        /// `text` for people, `json` for machines.
        format: LogFormat = LogFormat::Text,
    }

    /// Health and metrics over HTTP.
    admin: Admin {
        /// Address and port to listen on; port 0 takes a free one, which the log names.
        listen: std::net::SocketAddr = std::net::SocketAddr::from(([127, 0, 0, 1], 9464)),
    }

    /// OpenTelemetry. The standard `OTEL_*` variables win over these keys.
    telemetry: Telemetry {
        /// Where to push metrics and spans to (OTLP, http/protobuf), as `http://collector:4318`. Default: nowhere.
        otlp_endpoint: Option<String> = None,
    }
}
