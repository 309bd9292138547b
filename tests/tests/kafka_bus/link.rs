//! The way to the broker: away, closed, secured.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_bus::Topics;
use weir_bus::kafka::{Admin, ConnectFault, KafkaMember, Scale, Settings};
use weir_bus::member::{Member, Remedy};
use weir_bus::transaction::{Outcome, transact};
use weir_tests::broker::{self, AccessRule, Broker, Nodes, Operation, Resource, Secured, password_of};

use crate::support::{
    PATIENCE, assignment, commit, entries, entry, join, membership, poll, publish, records, seqs, until, until_some,
};

fn secured_settings(secured: &Secured, user: &str) -> Settings {
    let authority = secured.authority().to_string_lossy().into_owned();
    let properties = [
        ("security.protocol", "SASL_SSL".to_owned()),
        ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
        ("sasl.username", user.to_owned()),
        ("sasl.password", password_of(user)),
        ("ssl.ca.location", authority),
    ];
    let properties: BTreeMap<String, String> =
        properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Settings { bootstrap: secured.bootstrap(), client_id: "weir-test".to_owned(), properties }
}

/// What a detector's source stage must be allowed, beyond which it gets nothing.
fn allow(secured: &Secured, topics: &Topics) {
    let prefix = &topics.prefix;
    let on_topics = |operation| AccessRule::prefixed("alice", operation, Resource::Topic, prefix);
    let rules = [
        on_topics(Operation::Read),
        on_topics(Operation::Write),
        on_topics(Operation::Describe),
        on_topics(Operation::DescribeConfigs),
        AccessRule::prefixed("alice", Operation::Read, Resource::Group, prefix),
        AccessRule::prefixed("alice", Operation::Write, Resource::TransactionalId, prefix),
        AccessRule::prefixed("alice", Operation::Describe, Resource::TransactionalId, prefix),
    ];
    secured.broker().allow(&rules).unwrap();
}

#[test]
fn a_broker_that_is_away_costs_a_member_time_and_nothing_else() {
    let broker = Broker::start(Nodes::One).unwrap();
    let settings = Settings::plain(broker.bootstrap(), "weir-test");
    let topics = Topics::new("away.");
    Admin::open(&settings, PATIENCE).unwrap().create(&topics, Scale::Development, None).unwrap();
    let mut member = join(&settings, &membership(&topics, "only"));
    assignment(&mut member, 12);
    let state = topics.state_source();
    let send = |member: &mut KafkaMember, epoch| {
        let message = entry(&state, 0, epoch, "head");
        until_some("a transaction gets through", || {
            poll(member);
            match transact(member, [message.clone()].iter(), &[commit(0, epoch as i64, "")], PATIENCE).unwrap() {
                Outcome::Committed => Some(()),
                Outcome::Aborted(_) => None,
            }
        });
    };
    send(&mut member, 1);
    broker.kill_node(1).unwrap();
    let error = member.bounds(&state, 0).unwrap_err();
    assert_eq!(error.remedy, Remedy::Retry, "{error}");
    poll(&mut member);
    broker.restart_node(1).unwrap();
    send(&mut member, 2);
    assert_eq!(member.committed(&[0]).unwrap()[0].as_ref().unwrap().offset, 2);
    until("both entries are read", || entries(&mut member, &state, 0, 0) == ["head/0", "head/0"]);
    let warnings = member.take_warnings();
    assert!(warnings.iter().any(|warning| warning.text.contains("Connect")), "{warnings:?}");
    assert!(warnings.len() <= 17, "{warnings:?}");
}

#[test]
fn no_broker_a_wrong_password_and_an_untrusted_certificate_are_told_apart_in_one_line() {
    let closed = Settings::plain("127.0.0.1:1", "weir-test");
    let error = Admin::open(&closed, Duration::from_secs(1)).err().unwrap();
    assert_eq!((error.fault, error.retry_helps()), (ConnectFault::Unreachable, true));
    assert!(error.detail.starts_with("kafka at 127.0.0.1:1 (plaintext): "), "{error}");
    assert!(error.detail.contains("refused"), "{error}");

    let secured = Broker::secured(&["alice"]).unwrap();
    let good = secured_settings(&secured, "alice");
    Admin::open(&good, PATIENCE).unwrap();

    let mut wrong = good.clone();
    wrong.properties.insert("sasl.password".to_owned(), "not-the-password".to_owned());
    let mut untrusted = good.clone();
    untrusted.properties.remove("ssl.ca.location");
    let mut missing = good.clone();
    missing.properties.insert("ssl.ca.location".to_owned(), "/does/not/exist.pem".to_owned());
    let table = [
        (wrong, ConnectFault::Authentication, "check user name and password"),
        (untrusted, ConnectFault::Certificate, "check ssl.ca.location"),
        (missing, ConnectFault::Certificate, "ssl.ca.location"),
    ];
    for (settings, fault, part) in table {
        let identity = membership(&Topics::new("secured."), "alice");
        let error = KafkaMember::join(&settings, identity, PATIENCE).err().unwrap();
        assert_eq!((error.fault, error.retry_helps()), (fault, false), "{error}");
        assert!(error.detail.contains("SCRAM-SHA-512") && error.detail.contains(part), "{error}");
        assert!(!error.detail.contains('\n') && !error.detail.contains("not-the-password"), "{error}");
    }
}

#[test]
fn a_member_needs_these_permissions_and_no_others() {
    let secured = Broker::secured(&["alice"]).unwrap();
    let settings = secured_settings(&secured, "alice");
    let topics = Topics::new("allowed.");
    let administrator = secured_settings(&secured, broker::ADMINISTRATOR);
    Admin::open(&administrator, PATIENCE).unwrap().create(&topics, Scale::Development, None).unwrap();
    let identity = membership(&topics, "alice");
    let refused = KafkaMember::join(&settings, identity.clone(), PATIENCE).err().unwrap();
    assert_eq!(refused.fault, ConnectFault::Authorization, "{refused}");

    allow(&secured, &topics);
    publish(&administrator, &topics, &[(0, 1)]);
    let mut member = join(&settings, &identity);
    assignment(&mut member, 12);
    member.start(0, 0).unwrap();
    assert_eq!(seqs(&records(&mut member, 1)), BTreeSet::from([1]));
    let state = topics.state_source();
    let message = entry(&state, 0, 1, "head");
    assert_eq!(transact(&mut member, [message].iter(), &[commit(0, 1, "")], PATIENCE).unwrap(), Outcome::Committed);
    until("the entry is read", || entries(&mut member, &state, 0, 0) == ["head/0"]);
    let needed = [topics.flows(), state];
    assert_eq!(Admin::open(&settings, PATIENCE).unwrap().verify(&topics, &needed).unwrap(), [""; 0]);
}
