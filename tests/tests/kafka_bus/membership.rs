//! Who owns what: partitions that move, members that are fenced or given up.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use weir_bus::kafka::{Admin, Membership};
use weir_bus::member::{Event, Member, Remedy};
use weir_bus::transaction::{Outcome, transact};

use crate::support::{
    LOOK, PATIENCE, assigned_in, assignment, commit, entries, entry, join, join_by_name, lane, membership, poll,
    publish, records, revoked_in, seqs, until, until_some,
};

#[test]
fn partitions_move_one_by_one_and_the_others_are_not_disturbed() {
    let (settings, topics) = lane("move");
    let mut first = join(&settings, &Membership { instance_id: None, ..membership(&topics, "first") });
    let all = assignment(&mut first, 12);
    for partition in &all {
        first.start(*partition, 0).unwrap();
    }
    let mut second = join(&settings, &Membership { instance_id: None, ..membership(&topics, "second") });
    let (mut lost, mut gained) = (BTreeSet::new(), BTreeSet::new());
    until("half of the partitions moved", || {
        for event in poll(&mut first) {
            match event {
                Event::Revoked(partitions) => lost.extend(partitions),
                Event::Assigned(partitions) => panic!("{partitions:?} given to who had them"),
                _ => {}
            }
        }
        gained.extend(poll(&mut second).into_iter().flat_map(assigned_in));
        gained.len() == 6
    });
    assert_eq!(lost, gained);

    let kept: Vec<u32> = all.into_iter().filter(|partition| !lost.contains(partition)).collect();
    publish(&settings, &topics, &[(kept[0], 1)]);
    assert_eq!(seqs(&records(&mut first, 1)), BTreeSet::from([1]));

    drop(second);
    let mut regained = BTreeSet::new();
    until("the partitions of who left come back", || {
        regained.extend(poll(&mut first).into_iter().flat_map(assigned_in));
        regained == lost
    });
}

#[test]
fn whoever_registers_a_transactional_id_next_fences_its_former_holder() {
    let (settings, topics) = lane("fence");
    let identity = membership(&topics, "same");
    let mut first = join(&settings, &identity);
    assignment(&mut first, 12);
    first.begin().unwrap();
    first.send(&entry(&topics.state_source(), 0, 1, "zombie")).unwrap();

    let mut second = join(&settings, &identity);
    assignment(&mut second, 12);
    let offsets = [commit(0, 0, "")];
    let error = first.send_offsets(&offsets).and_then(|()| first.commit()).map_or_else(
        |error| if error.remedy == Remedy::Abort { first.abort().unwrap_err() } else { error },
        |()| panic!("a zombie committed"),
    );
    assert_eq!(error.remedy, Remedy::Leave, "{error}");

    let message = entry(&topics.state_source(), 0, 2, "head");
    assert_eq!(transact(&mut second, [message].iter(), &offsets, PATIENCE).unwrap(), Outcome::Committed);
    let state = topics.state_source();
    until("the successor's commit is visible", || entries(&mut second, &state, 0, 0) == ["head/0"]);
}

#[test]
fn a_static_member_is_fenced_by_the_one_that_takes_its_place() {
    let (settings, topics) = lane("static");
    let mut first = join(&settings, &membership(&topics, "a"));
    assignment(&mut first, 12);
    let mut second = join(&settings, &membership(&topics, "a"));
    assignment(&mut second, 12);
    let error = until_some("the first is told", || {
        let mut events = Vec::new();
        first.poll(LOOK, usize::MAX, &mut events).err()
    });
    assert_eq!(error.remedy, Remedy::Leave, "{error}");
    drop(first);
    let message = entry(&topics.state_source(), 0, 1, "head");
    let outcome = transact(&mut second, [message].iter(), &[commit(0, 0, "")], PATIENCE);
    assert_eq!(outcome.unwrap(), Outcome::Committed, "the one that joined last lives");
}

#[test]
fn a_static_member_that_only_its_group_takes_for_another_may_join_anew() {
    let (settings, topics) = lane("self");
    let identity = membership(&topics, "a");
    let mut member = join(&settings, &identity);
    assignment(&mut member, 12);
    // Its name is taken, its transactional id is not: so it looks where it joined twice, the answer to the first lost.
    let shadow = join_by_name(&settings, &identity);
    let error = until_some("it is told", || {
        drop(shadow.poll(Duration::from_millis(1)));
        member.poll(LOOK, usize::MAX, &mut Vec::new()).err()
    });
    assert_eq!(error.remedy, Remedy::Restart, "{error}");

    drop(member);
    let mut anew = join(&settings, &identity);
    assignment(&mut anew, 12);
    until("the shadow is fenced in turn", || {
        poll(&mut anew);
        let heard = shadow.poll(Duration::from_millis(1)).and_then(Result::err);
        heard.is_some_and(|error| error.rdkafka_error_code() == Some(RDKafkaErrorCode::FencedInstanceId))
    });
    publish(&settings, &topics, &[(3, 1)]);
    anew.start(3, 0).unwrap();
    assert_eq!(seqs(&records(&mut anew, 1)), BTreeSet::from([1]));
    let message = entry(&topics.state_source(), 3, 1, "head");
    assert_eq!(transact(&mut anew, [message].iter(), &[commit(3, 1, "")], PATIENCE).unwrap(), Outcome::Committed);
}

#[test]
fn a_member_that_was_given_up_cannot_commit_and_comes_back() {
    let (mut settings, topics) = lane("zombie");
    settings.properties.insert("max.poll.interval.ms".to_owned(), "6000".to_owned());
    settings.properties.insert("session.timeout.ms".to_owned(), "6000".to_owned());
    let mut slow = join(&settings, &Membership { instance_id: None, ..membership(&topics, "slow") });
    assignment(&mut slow, 12);
    let mut other = join(&settings, &Membership { instance_id: None, ..membership(&topics, "other") });
    // The slow one does not look for longer than it may.
    let mut taken = BTreeSet::new();
    until("the other has all partitions", || {
        taken.extend(poll(&mut other).into_iter().flat_map(assigned_in));
        taken.len() == 12
    });

    let outcome = transact(&mut slow, [entry(&topics.state_source(), 0, 1, "x")].iter(), &[commit(0, 5, "")], PATIENCE);
    assert!(matches!(outcome, Ok(Outcome::Aborted(_))), "{outcome:?}");
    assert_eq!(other.committed(&[0]).unwrap(), [None]);
    let mut revoked = BTreeSet::new();
    until("it is told that all are another's", || {
        revoked.extend(poll(&mut slow).into_iter().flat_map(revoked_in));
        revoked.len() == 12
    });
    until("it has its share again", || {
        poll(&mut other);
        poll(&mut slow).into_iter().flat_map(assigned_in).next().is_some()
    });
}

#[test]
fn a_member_sees_partitions_that_its_topic_gains() {
    let (mut settings, topics) = lane("growth");
    settings.properties.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
    let mut member = join(&settings, &membership(&topics, "only"));
    assignment(&mut member, 12);
    let admin = Admin::open(&settings, PATIENCE).unwrap();
    admin.grow(&topics, Some(&topics.flows()), 13).unwrap();
    assert_eq!(member.partition_count(&topics.flows()).unwrap(), 13);
    let mut gained = Vec::new();
    until("the new partition is given", || {
        gained.extend(poll(&mut member).into_iter().flat_map(assigned_in));
        gained.contains(&12)
    });
    publish(&settings, &topics, &[(12, 1)]);
    member.start(12, 0).unwrap();
    assert_eq!(seqs(&records(&mut member, 1)), BTreeSet::from([1]));
}
