//! A member's reading half: its place in the group, as its client keeps it in the background, and what it fetches.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use weir_bus::Delivery;
use weir_bus::member::{Event, MemberError, Remedy};

use super::cluster::State;
use super::group::{MemberId, NotMember, Standing};

/// A started partition.
#[derive(Debug)]
struct Fetch {
    position: i64,
    is_paused: bool,
    /// Records that were fetched before the pause, and may still come.
    fetched: usize,
    told_end: bool,
    is_out_of_range: bool,
}

/// A rebalance's news on its way to the application.
#[derive(Debug)]
enum News {
    Assigned(BTreeSet<u32>),
    Revoked(BTreeSet<u32>),
}

/// The reading half of a client.
#[derive(Debug)]
pub(super) struct Consumer {
    process: usize,
    pub(super) group: String,
    pub(super) topic: String,
    instance: Option<String>,
    id: Option<MemberId>,
    generation: u32,
    /// What the client holds: assigned, and not to be given up.
    held: BTreeSet<u32>,
    /// What the application knows it has.
    owned: BTreeSet<u32>,
    news: VecDeque<News>,
    is_fenced: bool,
    /// The coordinator takes it for another of its name, and there is none.
    is_mistaken: bool,
    /// Until then its heartbeats reach nobody.
    cut_off_until: u64,
    fetches: BTreeMap<u32, Fetch>,
    /// Spoilt: see [`super::sabotage::Sabotage`].
    pub(super) ignores_generations: bool,
    /// Spoilt likewise.
    pub(super) reads_uncommitted: bool,
}

fn fenced() -> MemberError {
    MemberError { remedy: Remedy::Leave, detail: "another member has this one's instance id (fenced)".to_owned() }
}

impl Consumer {
    pub(super) fn new(process: usize, group: &str, topic: &str, instance: Option<&str>) -> Self {
        Self {
            process,
            group: group.to_owned(),
            topic: topic.to_owned(),
            instance: instance.map(str::to_owned),
            id: None,
            generation: 0,
            held: BTreeSet::new(),
            owned: BTreeSet::new(),
            news: VecDeque::new(),
            is_fenced: false,
            is_mistaken: false,
            cut_off_until: 0,
            fetches: BTreeMap::new(),
            ignores_generations: false,
            reads_uncommitted: false,
        }
    }

    /// Heartbeats reach the coordinator no more until `until`, and nothing of it the member.
    pub(super) fn cut_off(&mut self, state: &mut State, until: u64) {
        self.cut_off_until = until;
        let now = state.now;
        state.group_mut(&self.group).set_silent(self.process, Some(now));
    }

    /// It was not polled for too long (`max.poll.interval.ms`): it drops what it has and joins anew. A dynamic member leaves
    /// first; a static one gets the same again.
    pub(super) fn be_overdue(&mut self, state: &mut State) {
        let Some(id) = self.id.filter(|_| !self.is_fenced) else { return };
        if self.instance.is_none() {
            state.group_mut(&self.group).leave(id);
        }
        self.lose(state);
    }

    /// What a static member sent before it last joined is refused, as if another had its name (librdkafka #3437).
    pub(super) fn be_mistaken(&mut self, state: &State) {
        if self.instance.is_some() && self.id.is_some() {
            self.is_mistaken = true;
            state.note(|| format!("process {} is taken for another of its name by {}", self.process, self.group));
        }
    }

    /// What the client does in the background: heartbeats, joins, takes assignments.
    pub(super) fn background(&mut self, state: &mut State) {
        if self.is_fenced || state.now < self.cut_off_until {
            return;
        }
        let must_tell_first = self.news.iter().any(|news| matches!(news, News::Revoked(_)));
        let Some(id) = self.id else {
            // What was lost is given up before the client joins anew.
            if !must_tell_first {
                let id = state.group_mut(&self.group).join(self.process, self.instance.as_deref());
                state.note(|| format!("process {} joins {} as member {id}", self.process, self.group));
                self.id = Some(id);
            }
            return;
        };
        let now = state.now;
        let group = state.group_mut(&self.group);
        if group.is_silent(id) {
            group.set_silent(self.process, None);
        }
        match group.standing(id, self.instance.as_deref()) {
            Standing::Fenced => {
                self.is_fenced = true;
                state.note(|| format!("process {} is fenced from {} at {now}", self.process, self.group));
            }
            Standing::Unknown => self.lose(state),
            Standing::MustRejoin if !must_tell_first => group.rejoin(id, self.held.clone()),
            Standing::MustRejoin | Standing::Waiting => {}
            Standing::Member { generation, assignment } => {
                if generation != self.generation {
                    self.take(state, generation, assignment);
                }
            }
        }
    }

    /// The group gave the member up: all it had is lost.
    fn lose(&mut self, state: &mut State) {
        state.note(|| format!("process {} has lost its membership of {}", self.process, self.group));
        self.id = None;
        self.generation = 0;
        let lost = std::mem::take(&mut self.held);
        if !lost.is_empty() {
            self.news.push_back(News::Revoked(lost));
        }
    }

    fn take(&mut self, state: &mut State, generation: u32, assignment: BTreeSet<u32>) {
        state.note(|| format!("process {} in generation {generation} of {}: {assignment:?}", self.process, self.group));
        let is_first_answer = std::mem::replace(&mut self.generation, generation) == 0;
        let revoked: BTreeSet<u32> = self.held.difference(&assignment).copied().collect();
        let added: BTreeSet<u32> = assignment.difference(&self.held).copied().collect();
        self.held = assignment;
        if !revoked.is_empty() {
            self.news.push_back(News::Revoked(revoked));
        }
        if !added.is_empty() || (is_first_answer && self.held.is_empty()) {
            self.news.push_back(News::Assigned(added));
        }
    }

    /// Whether offsets may be committed under the membership as it stands.
    pub(super) fn validate(&self, state: &State) -> Result<(), MemberError> {
        if self.ignores_generations {
            return Ok(());
        }
        let refusal = match state.group(&self.group).validate(self.id, self.generation, self.instance.as_deref()) {
            // A producer whose place another took is fenced before the group is asked.
            Err(NotMember::Fenced) => "another member has this one's instance id",
            _ if self.is_fenced || self.is_mistaken => "another member has this one's instance id",
            Err(NotMember::Unknown) => "the group knows no such member",
            Err(NotMember::Generation) => "the group is in another generation",
            Ok(()) => return Ok(()),
        };
        Err(MemberError { remedy: Remedy::Abort, detail: refusal.to_owned() })
    }

    /// Whether the application was given this partition, and not yet told that it is gone.
    pub(super) fn owns(&self, partition: u32) -> bool {
        self.owned.contains(&partition)
    }

    pub(super) fn start(&mut self, state: &State, partition: u32, offset: i64) {
        if !self.owns(partition) {
            state.bug(&format!(
                "process {} starts partition {partition} of {}, which it does not own",
                self.process, self.topic
            ));
        }
        if offset < 0 {
            state.bug(&format!("process {} starts partition {partition} at offset {offset}", self.process));
        }
        let fetch = Fetch { position: offset, is_paused: false, fetched: 0, told_end: false, is_out_of_range: false };
        self.fetches.insert(partition, fetch);
    }

    pub(super) fn set_paused(&mut self, state: &mut State, partition: u32, is_paused: bool) {
        let fetched = state.chance.below(20) as usize;
        if let Some(fetch) = self.fetches.get_mut(&partition) {
            if is_paused && !fetch.is_paused {
                fetch.fetched = fetched;
            }
            fetch.is_paused = is_paused;
        } else if !self.owns(partition) {
            state.bug(&format!(
                "process {} pauses or resumes partition {partition}, which it does not own",
                self.process
            ));
        }
    }

    /// Tells what there is to tell, then delivers records; false where there was nothing.
    pub(super) fn poll(&mut self, state: &mut State, max: usize, into: &mut Vec<Event>) -> Result<bool, MemberError> {
        if self.is_fenced {
            return Err(fenced());
        }
        if self.is_mistaken {
            return Err(MemberError::restart("the group took this member for another of its name, and there is none"));
        }
        let before = into.len();
        // Now and then records of a partition come before the news that it is gone.
        if state.chance.percent(70) {
            self.tell(state, into);
        }
        self.deliver(state, max, into);
        Ok(into.len() > before)
    }

    fn tell(&mut self, state: &mut State, into: &mut Vec<Event>) {
        let mut gave_up = false;
        for news in std::mem::take(&mut self.news) {
            match news {
                News::Assigned(partitions) => {
                    self.owned.extend(&partitions);
                    into.push(Event::Assigned(partitions.into_iter().collect()));
                }
                News::Revoked(partitions) => {
                    gave_up = true;
                    for partition in &partitions {
                        self.owned.remove(partition);
                        self.fetches.remove(partition);
                    }
                    into.push(Event::Revoked(partitions.into_iter().collect()));
                }
            }
        }
        if gave_up && let Some(id) = self.id {
            // The second step: once given up, the partitions may go to others.
            let held = self.held.clone();
            state.group_mut(&self.group).rejoin(id, held);
        }
    }

    fn deliver(&mut self, state: &mut State, max: usize, into: &mut Vec<Event>) {
        let mut order: Vec<u32> = self.fetches.keys().copied().collect();
        for index in (1..order.len()).rev() {
            order.swap(index, state.chance.index(index + 1));
        }
        let mut left = max;
        let mut records: Vec<Delivery> = Vec::new();
        for partition in order {
            let share = match state.chance.below(6) {
                0 => 0,
                1 => 1 + state.chance.below(3) as usize,
                2 | 3 => 1 + state.chance.below(60) as usize,
                _ => 500,
            };
            let Some(fetch) = self.fetches.get_mut(&partition) else { continue };
            let log = state.log(&self.topic, partition);
            if fetch.is_out_of_range {
                continue;
            }
            if fetch.position < log.start() || fetch.position > log.end() {
                fetch.is_out_of_range = true;
                into.push(Event::OutOfRange { partition });
                continue;
            }
            let mut share = share.min(left);
            if fetch.is_paused {
                share = share.min(fetch.fetched);
                fetch.fetched -= share;
            }
            if share == 0 {
                continue;
            }
            let end = log.end_for(self.reads_uncommitted);
            fetch.position = log.read_until(end, fetch.position, share, &mut records);
            left -= records.len();
            fetch.told_end &= records.is_empty();
            into.extend(records.drain(..).map(|delivery| Event::Record { partition, delivery }));
            if fetch.position >= end && !fetch.told_end {
                fetch.told_end = true;
                into.push(Event::End { partition });
            }
        }
    }

    /// An orderly end: a dynamic member says so, a static one keeps its place.
    pub(super) fn close(&mut self, state: &mut State) {
        if let (Some(id), None) = (self.id, &self.instance) {
            state.group_mut(&self.group).leave(id);
        }
    }
}
