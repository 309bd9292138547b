//! What people, retention and the cleaner do to the brokers' logs and groups.

use weir_bus::member::Committed;

use super::cluster::Cluster;

impl Cluster {
    /// The group expires: its commits are gone. False where it has members, for then it can't, and where nobody ever joined it.
    pub fn expire_group(&self, group: &str) -> bool {
        let mut state = self.state.borrow_mut();
        if !state.is_at_rest(group) {
            return false;
        }
        state.group_mut(group).expire();
        state.note(|| format!("group {group} expires"));
        true
    }

    /// The offsets topic loses a group's newest commit for a partition; false where there is no older one, or no group.
    pub fn lose_commit(&self, group: &str, partition: u32) -> bool {
        let mut state = self.state.borrow_mut();
        if !state.groups.contains_key(group) {
            return false;
        }
        state.note(|| format!("group {group} loses its last commit of partition {partition}"));
        state.group_mut(group).lose_last_write(partition)
    }

    /// An operator sets a group's offset. False where the group has members, for then tools refuse, and where nobody ever joined
    /// it.
    pub fn reset_offset(&self, group: &str, partition: u32, offset: i64) -> bool {
        let mut state = self.state.borrow_mut();
        if !state.is_at_rest(group) {
            return false;
        }
        state.note(|| format!("an operator resets {group}/{partition} to {offset}"));
        state.group_mut(group).set_offset(partition, Committed { offset, metadata: String::new() });
        true
    }

    /// Retention removes what stands before `start`.
    pub fn truncate(&self, topic: &str, partition: u32, start: i64) {
        let mut state = self.state.borrow_mut();
        state.note(|| format!("retention moves the start of {topic}/{partition} to {start}"));
        state.log_mut(topic, partition).truncate(start);
    }

    /// The cleaner passes over a compacted topic.
    pub fn compact(&self, topic: &str) {
        let mut state = self.state.borrow_mut();
        state.note(|| format!("the cleaner passes over {topic}"));
        for log in state.topics.get_mut(topic).into_iter().flatten() {
            log.compact();
        }
    }

    /// Somebody empties a topic.
    pub fn empty(&self, topic: &str) {
        let mut state = self.state.borrow_mut();
        state.note(|| format!("{topic} is emptied"));
        for log in state.topics.get_mut(topic).into_iter().flatten() {
            log.empty();
        }
    }
}
