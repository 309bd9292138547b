//! A group's coordinator: membership in generations, cooperative assignment in two steps, static members, and the offsets
//! that are committed, pending in a transaction, or lost.

use std::collections::{BTreeMap, BTreeSet};

use weir_bus::member::Committed;

use super::log::TransactionNumber;
use crate::chance::Chance;

/// Names one joining of one member.
pub(super) type MemberId = u64;

/// How long a member may be silent, µs (`session.timeout.ms`).
const SESSION: u64 = 15_000_000;

/// How long a partition may be without an owner in a group at rest, µs. It is left so where a static member dies between being
/// told to give it up and saying that it has, and comes back within its session: no rebalance takes place. In a real group it
/// stays so until any member comes or goes; here one does.
const ORPHANED: u64 = 60_000_000;

/// A member as the coordinator knows it.
#[derive(Debug)]
struct Enrolled {
    process: usize,
    instance: Option<String>,
    /// It has joined the rebalance that is under way.
    has_rejoined: bool,
    /// What it said it owned when it joined.
    claimed: BTreeSet<u32>,
    assignment: BTreeSet<u32>,
    /// Since when the coordinator has not heard of it.
    silent_since: Option<u64>,
}

/// What a member learns when it asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Another member took its instance id.
    Fenced,
    /// The group gave it up.
    Unknown,
    /// A rebalance is under way: it must join again.
    MustRejoin,
    /// A rebalance is under way: it must wait for others.
    Waiting,
    /// It is a member, with these partitions.
    Member {
        /// Generation.
        generation: u32,
        /// Its partitions.
        assignment: BTreeSet<u32>,
    },
}

/// Why offsets are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotMember {
    /// Another member took its instance id.
    Fenced,
    /// The group gave it up.
    Unknown,
    /// The group is in another generation.
    Generation,
}

#[derive(Clone, Debug)]
struct Stored {
    committed: Committed,
    /// Orders writes to the offsets topic.
    written: u64,
}

#[derive(Debug)]
struct Pending {
    transaction: TransactionNumber,
    partition: u32,
    stored: Stored,
}

/// A group over one topic.
#[derive(Debug, Default)]
pub(super) struct Group {
    partitions: u32,
    generation: u32,
    is_rebalancing: bool,
    members: BTreeMap<MemberId, Enrolled>,
    next_member: MemberId,
    /// All writes for each partition, the newest last.
    offsets: BTreeMap<u32, Vec<Stored>>,
    pending: Vec<Pending>,
    written: u64,
    orphaned_since: Option<u64>,
}

impl Group {
    /// A new member joins, or a static one returns.
    pub(super) fn join(&mut self, process: usize, instance: Option<&str>) -> MemberId {
        self.next_member += 1;
        let id = self.next_member;
        let before = (self.members.iter())
            .find(|(_, member)| instance.is_some() && member.instance.as_deref() == instance)
            .map(|(id, _)| *id);
        let mut enrolled = Enrolled {
            process,
            instance: instance.map(str::to_owned),
            has_rejoined: true,
            claimed: BTreeSet::new(),
            assignment: BTreeSet::new(),
            silent_since: None,
        };
        if let Some(before) = before.and_then(|before| self.members.remove(&before)) {
            // A static member that comes back gets what it had, without a rebalance.
            enrolled.assignment = before.assignment;
            self.members.insert(id, enrolled);
        } else {
            self.members.insert(id, enrolled);
            self.rebalance();
            self.rejoin(id, BTreeSet::new());
        }
        id
    }

    /// A member joins the rebalance, and says what it owns. Begins one where none is under way.
    pub(super) fn rejoin(&mut self, id: MemberId, claimed: BTreeSet<u32>) {
        if !self.members.contains_key(&id) {
            return;
        }
        if !self.is_rebalancing {
            self.rebalance();
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.has_rejoined = true;
            member.claimed = claimed;
        }
    }

    /// A member leaves in order.
    pub(super) fn leave(&mut self, id: MemberId) {
        if self.members.remove(&id).is_some() {
            self.rebalance();
        }
    }

    fn rebalance(&mut self) {
        self.is_rebalancing = true;
        for member in self.members.values_mut() {
            member.has_rejoined = false;
        }
    }

    /// The topic has this many partitions now.
    pub(super) fn set_partitions(&mut self, partitions: u32) {
        if partitions != self.partitions {
            self.partitions = partitions;
            if !self.members.is_empty() {
                self.rebalance();
            }
        }
    }

    /// The coordinator hears no more of a process, or again.
    pub(super) fn set_silent(&mut self, process: usize, since: Option<u64>) {
        for member in self.members.values_mut().filter(|member| member.process == process) {
            member.silent_since = if since.is_none() { None } else { member.silent_since.or(since) };
        }
    }

    /// Whether the coordinator counts a member's silence.
    pub(super) fn is_silent(&self, id: MemberId) -> bool {
        self.members.get(&id).is_some_and(|member| member.silent_since.is_some())
    }

    /// Lets time pass: silent members are given up, a rebalance that all have joined is completed.
    pub(super) fn advance(&mut self, now: u64, chance: &mut Chance) {
        let is_gone = |member: &Enrolled| member.silent_since.is_some_and(|since| now >= since + SESSION);
        let before = self.members.len();
        self.members.retain(|_, member| !is_gone(member));
        if self.members.len() < before {
            self.rebalance();
        }
        if self.is_rebalancing && !self.members.is_empty() && self.members.values().all(|member| member.has_rejoined) {
            self.complete(chance);
        }
        self.heal(now);
    }

    fn heal(&mut self, now: u64) {
        let assigned: usize = self.members.values().map(|member| member.assignment.len()).sum();
        if self.is_rebalancing || self.members.is_empty() || assigned == self.partitions as usize {
            self.orphaned_since = None;
            return;
        }
        let since = *self.orphaned_since.get_or_insert(now);
        if now >= since + ORPHANED {
            self.rebalance();
        }
    }

    /// A new generation: partitions stay where they are as far as that is fair, and go to nobody while their owner still
    /// has to give them up.
    fn complete(&mut self, chance: &mut Chance) {
        self.generation += 1;
        self.is_rebalancing = false;
        let count = self.members.len();
        let mut quotas: Vec<usize> = (0..count)
            .map(|index| self.partitions as usize / count + usize::from(index < self.partitions as usize % count))
            .collect();
        let mut order: Vec<MemberId> = self.members.keys().copied().collect();
        // Members with more keep more, so that fewer partitions move; among equals chance decides.
        for index in (1..order.len()).rev() {
            order.swap(index, chance.index(index + 1));
        }
        order.sort_by_key(|id| std::cmp::Reverse(self.members[id].claimed.len()));
        let mut claimed_by: BTreeMap<u32, MemberId> = BTreeMap::new();
        for (id, member) in &self.members {
            for partition in &member.claimed {
                claimed_by.entry(*partition).or_insert(*id);
            }
        }
        let mut target: BTreeMap<MemberId, BTreeSet<u32>> = BTreeMap::new();
        let mut free: BTreeSet<u32> = (0..self.partitions).collect();
        for (id, quota) in order.iter().zip(&mut quotas) {
            let own = self.members[id].claimed.iter().filter(|partition| claimed_by.get(partition) == Some(id));
            let kept: BTreeSet<u32> = own.copied().take(*quota).collect();
            free.retain(|partition| !kept.contains(partition));
            *quota -= kept.len();
            target.insert(*id, kept);
        }
        for (id, quota) in order.iter().zip(quotas) {
            for _ in 0..quota {
                let Some(partition) = free.pop_first() else { break };
                // Its owner must give it up first; the next generation hands it on.
                if claimed_by.contains_key(&partition) {
                    continue;
                }
                if let Some(target) = target.get_mut(id) {
                    target.insert(partition);
                }
            }
        }
        for (id, assignment) in target {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
    }

    /// What a member learns when it asks.
    pub(super) fn standing(&self, id: MemberId, instance: Option<&str>) -> Standing {
        let Some(member) = self.members.get(&id) else {
            return if self.is_taken(instance) { Standing::Fenced } else { Standing::Unknown };
        };
        if self.is_rebalancing {
            return if member.has_rejoined { Standing::Waiting } else { Standing::MustRejoin };
        }
        Standing::Member { generation: self.generation, assignment: member.assignment.clone() }
    }

    fn is_taken(&self, instance: Option<&str>) -> bool {
        instance.is_some() && self.members.values().any(|member| member.instance.as_deref() == instance)
    }

    /// Takes offsets into a transaction: pending until its marker arrives.
    pub(super) fn take_offsets(
        &mut self,
        transaction: TransactionNumber,
        offsets: impl Iterator<Item = (u32, Committed)>,
    ) {
        for (partition, committed) in offsets {
            self.written += 1;
            self.pending.retain(|pending| pending.transaction != transaction || pending.partition != partition);
            let stored = Stored { committed, written: self.written };
            self.pending.push(Pending { transaction, partition, stored });
        }
    }

    /// Whether a member may commit.
    pub(super) fn validate(
        &self,
        id: Option<MemberId>,
        generation: u32,
        instance: Option<&str>,
    ) -> Result<(), NotMember> {
        let Some(_) = id.and_then(|id| self.members.get(&id)) else {
            return Err(if self.is_taken(instance) { NotMember::Fenced } else { NotMember::Unknown });
        };
        if generation == self.generation { Ok(()) } else { Err(NotMember::Generation) }
    }

    /// Takes an offset outside of any transaction, as an operator's tool does.
    pub(super) fn set_offset(&mut self, partition: u32, committed: Committed) {
        self.written += 1;
        let stored = Stored { committed, written: self.written };
        self.offsets.entry(partition).or_default().push(stored);
    }

    /// The marker of a transaction arrives.
    pub(super) fn resolve(&mut self, transaction: TransactionNumber, commit: bool) {
        let (ended, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending: &Pending| pending.transaction == transaction);
        self.pending = pending;
        for Pending { partition, stored, .. } in ended {
            let known = self.offsets.entry(partition).or_default();
            // A commit that was written before what stands there now does not replace it.
            if commit && known.last().is_none_or(|last| last.written < stored.written) {
                known.push(stored);
            }
        }
    }

    /// What is committed for a partition; `Err` while a transaction's commit of it is pending.
    pub(super) fn committed(&self, partition: u32) -> Result<Option<Committed>, ()> {
        if self.pending.iter().any(|pending| pending.partition == partition) {
            return Err(());
        }
        Ok(self.committed_anyway(partition))
    }

    /// Likewise, pending or not.
    pub(super) fn committed_anyway(&self, partition: u32) -> Option<Committed> {
        self.offsets.get(&partition).and_then(|stored| stored.last()).map(|stored| stored.committed.clone())
    }

    /// The group expires: its commits are gone.
    pub(super) fn expire(&mut self) {
        self.offsets.clear();
    }

    /// The offsets topic loses its newest write for a partition; false where there is no older one to fall back to.
    pub(super) fn lose_last_write(&mut self, partition: u32) -> bool {
        let Some(stored) = self.offsets.get_mut(&partition) else { return false };
        if stored.len() < 2 {
            return false;
        }
        stored.pop();
        true
    }

    /// Whether anybody is a member.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions_of(group: &Group, id: MemberId) -> Vec<u32> {
        match group.standing(id, None) {
            Standing::Member { assignment, .. } => assignment.into_iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    fn of(count: u32) -> (Group, Chance) {
        let mut group = Group::default();
        group.set_partitions(count);
        (group, Chance::new(1))
    }

    #[test]
    fn a_partition_moves_in_two_steps() {
        let (mut group, mut chance) = of(4);
        let first = group.join(0, None);
        group.advance(0, &mut chance);
        assert_eq!(partitions_of(&group, first), [0, 1, 2, 3]);

        let second = group.join(1, None);
        assert_eq!(group.standing(first, None), Standing::MustRejoin);
        group.rejoin(first, (0..4).collect());
        group.advance(0, &mut chance);
        assert_eq!(partitions_of(&group, first), [0, 1]);
        assert_eq!(partitions_of(&group, second), Vec::<u32>::new(), "nobody has what the first still holds");

        group.rejoin(first, [0, 1].into());
        group.rejoin(second, BTreeSet::new());
        group.advance(0, &mut chance);
        assert_eq!((partitions_of(&group, first), partitions_of(&group, second)), (vec![0, 1], vec![2, 3]));
    }

    #[test]
    fn a_static_member_that_returns_has_what_it_had_and_fences_who_it_was() {
        let (mut group, mut chance) = of(2);
        let before = group.join(0, Some("a"));
        group.advance(0, &mut chance);
        let generation = group.generation;
        let after = group.join(1, Some("a"));
        assert_eq!(group.standing(after, Some("a")), Standing::Member { generation, assignment: [0, 1].into() });
        assert_eq!(group.standing(before, Some("a")), Standing::Fenced);
        assert_eq!(group.validate(Some(before), generation, Some("a")), Err(NotMember::Fenced));
        assert_eq!(group.validate(Some(after), generation, Some("a")), Ok(()));
    }

    #[test]
    fn a_silent_member_is_given_up_and_its_commits_refused() {
        let (mut group, mut chance) = of(2);
        let (first, second) = (group.join(0, None), group.join(1, None));
        group.rejoin(first, BTreeSet::new());
        group.advance(0, &mut chance);
        let generation = group.generation;
        group.set_silent(0, Some(5));
        group.advance(5 + SESSION - 1, &mut chance);
        assert_eq!(group.validate(Some(first), generation, None), Ok(()));
        group.advance(5 + SESSION, &mut chance);
        assert_eq!(group.validate(Some(first), generation, None), Err(NotMember::Unknown));
        assert_eq!(group.standing(second, None), Standing::MustRejoin);
    }

    #[test]
    fn a_pending_commit_is_waited_for_and_an_older_one_replaces_nothing() {
        let (mut group, mut chance) = of(1);
        group.join(0, None);
        group.advance(0, &mut chance);
        let committed = |offset| Committed { offset, metadata: String::new() };
        group.take_offsets(7, [(0, committed(5))].into_iter());
        assert_eq!(group.committed(0), Err(()));
        group.set_offset(0, committed(1));
        group.resolve(7, true);
        assert_eq!(group.committed(0), Ok(Some(committed(1))), "an operator wrote later");
        group.take_offsets(8, [(0, committed(9))].into_iter());
        group.resolve(8, true);
        assert_eq!(group.committed(0), Ok(Some(committed(9))));
        assert!(group.lose_last_write(0));
        assert_eq!(group.committed(0), Ok(Some(committed(1))));
    }
}
