//! The link's security, service by service: TLS and SCRAM-SHA-512 from a configuration file with its secrets in files, what is
//! wrong with it told in one line, and the access rules of `deploy/kafka/acls.tsv`: enough for each service, and needed.
#![cfg(feature = "kafka")]
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

// Other tests use the rest of it.
#[allow(dead_code)]
#[path = "../end_to_end/weir.rs"]
mod weir;

use std::path::Path;

use tempfile::TempDir;
use weir_bus::Topics;
use weir_tests::broker::{AccessRule, Broker, Operation, Pattern, Resource, Secured, password_of};
use weir_tests::services::{Lane, Service, Verdict, until};

use crate::weir::{binary, capture};

/// The principals of `deploy/kafka/acls.tsv`.
const USERS: [&str; 6] = ["weir-admin", "weir-sensor", "weir-detector", "weir-results", "weir-tail", "weir-siem"];

/// Makes attacks of several detectors within seconds.
const CAPTURE: &str = "scan_connect.pcap.gz";

/// A user's way to the broker: its configuration file and the files of its secrets are in `folder`.
struct User<'a> {
    secured: &'a Secured,
    folder: &'a Path,
}

impl User<'_> {
    /// The lane as this user comes to it; `authority` is whom it trusts, `more` what else is configured.
    fn lane(&self, user: &str, password: &str, authority: &Path, more: &str) -> Lane {
        let secret = self.folder.join(format!("{user}-{}", password.len()));
        std::fs::write(&secret, format!("{password}\n")).unwrap();
        let config = secret.with_extension("toml");
        let properties = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", user),
            ("sasl.password_file", secret.to_str().unwrap()),
            ("ssl.ca.location", authority.to_str().unwrap()),
        ];
        let lines: Vec<String> = properties.iter().map(|(name, value)| format!("\"{name}\" = \"{value}\"\n")).collect();
        std::fs::write(&config, format!("[kafka.properties]\n{}{more}", lines.concat())).unwrap();
        Lane::new(binary(), &self.secured.bootstrap(), Topics::default()).configured(&config)
    }

    fn known(&self, user: &str) -> Lane {
        self.lane(user, &password_of(user), &self.secured.authority(), "")
    }
}

/// The rules of `deploy/kafka/acls.tsv`.
fn rules() -> Vec<AccessRule> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/acls.tsv");
    let text = std::fs::read_to_string(table).unwrap();
    text.lines().skip(1).map(rule).collect()
}

fn rule(line: &str) -> AccessRule {
    let fields: Vec<&str> = line.split('\t').collect();
    let [principal, operation, resource, name, pattern, _why] = fields[..] else { panic!("{line:?}") };
    AccessRule {
        user: principal.strip_prefix("User:").unwrap().to_owned(),
        resource: match resource {
            "topic" => Resource::Topic,
            "group" => Resource::Group,
            "transactional_id" => Resource::TransactionalId,
            other => panic!("{other} in {line:?}"),
        },
        name: name.to_owned(),
        pattern: match pattern {
            "literal" => Pattern::Literal,
            "prefixed" => Pattern::Prefixed,
            other => panic!("{other} in {line:?}"),
        },
        operation: match operation {
            "Read" => Operation::Read,
            "Write" => Operation::Write,
            "Create" => Operation::Create,
            "Alter" => Operation::Alter,
            "Describe" => Operation::Describe,
            "DescribeConfigs" => Operation::DescribeConfigs,
            other => panic!("{other} in {line:?}"),
        },
    }
}

fn sensor_arguments() -> [String; 2] {
    ["sensor".to_owned(), capture(CAPTURE).to_str().unwrap().to_owned()]
}

fn tail(lane: &Lane, lines: usize) -> Service {
    lane.start(&["tail", "--since", "1h", "--format", "jsonl", "--severity", "info", "--limit", &lines.to_string()])
}

#[test]
fn each_service_works_with_its_rules_over_tls_and_scram_and_not_without() {
    let secured = Broker::secured(&USERS).unwrap();
    let folder = TempDir::new().unwrap();
    let user = User { secured: &secured, folder: folder.path() };

    secured.broker().allow(&rules()).unwrap();
    let created = user.known("weir-admin").run(&["topics", "create", "--dev", "--replication", "1"]);
    assert_eq!(created.status, Some(0), "{created:?}");
    let described = user.known("weir-admin").run(&["topics", "describe"]);
    assert_eq!(described.status, Some(0), "{described:?}");

    // Whoever sees the topics and has no right to what a service uses is told so.
    let sensor = sensor_arguments();
    let calls = [
        ("weir-tail", &["detector"][..]),
        ("weir-tail", &["results"]),
        ("weir-sensor", &["tail"]),
        ("weir-tail", &[&sensor[0], &sensor[1]]),
    ];
    for (stranger, arguments) in calls {
        let refused = user.known(stranger).run(arguments);
        refused.assert_failed(78, "grant");
    }

    let path = folder.path().join("anomalies.jsonl");
    let detector = user.known("weir-detector").detector("d1");
    let sink = format!("[[results.sinks]]\nkind = \"file\"\nid = \"file\"\npath = \"{}\"\n", path.display());
    let results = user.lane("weir-results", &password_of("weir-results"), &secured.authority(), &sink).results(&[]);
    let published = user.known("weir-sensor").run(&sensor_arguments());
    assert_eq!(published.status, Some(0), "{published:?}");

    let expected = user.known("weir-tail").analyze("file", &[capture(CAPTURE)]);
    let told = tail(&user.known("weir-tail"), expected.len()).wait();
    assert_eq!(told.status, Some(0), "{told:?}");
    assert_eq!(Verdict::of_lines(&told.output), expected);
    until("the sink has all of it", || {
        std::fs::read_to_string(&path).is_ok_and(|text| Verdict::of_lines(&text) == expected)
    });
    for service in [detector, results] {
        assert_eq!(service.lines_with("uthorization"), Vec::<String>::new());
        assert_eq!(service.stop().status, Some(0));
    }
}

#[test]
fn a_wrong_password_and_a_stranger_are_told_apart_in_one_line() {
    let secured = Broker::secured(&USERS).unwrap();
    let folder = TempDir::new().unwrap();
    let user = User { secured: &secured, folder: folder.path() };
    let wrong = user.lane("weir-detector", "wrong", &secured.authority(), "");
    let stranger = user.lane("weir-detector", &password_of("weir-detector"), &secured.stranger(), "");
    for arguments in [&["topics", "describe"][..], &["detector"], &["results"], &["tail"]] {
        let refused = wrong.run(arguments);
        let line = refused.assert_failed(78, "SCRAM-SHA-512");
        assert!(line.contains("check user name and password") && !line.contains("wrong"), "{line}");
        let refused = stranger.run(arguments);
        let line = refused.assert_failed(78, "certificate");
        assert!(line.contains("ssl.ca.location"), "{line}");
    }
}
