//! A task small enough to foretell: it sums up its partition in groups of records, and says what it has summed up.
//!
//! Like the real ones it rebuilds its open group from the log, and carries what is closed in its state.

use weir_bus::shard::{Due, PartitionCounts, Place, Recovery, Refusal, Sealed, Task};
use weir_bus::{Delivery, Message, Value};
use weir_schemas::{CommitMetadata, Micros, StateEntry};

/// Records of a group.
pub const GROUP: u64 = 5;

/// Settings of the tallies of a shard.
#[derive(Clone, Debug)]
pub struct TallySettings {
    /// Topic for what they say.
    pub output: String,
    /// Topic for their state.
    pub state: String,
}

/// The tally of one partition.
#[derive(Debug)]
pub struct Tally {
    settings: TallySettings,
    partition: u32,
    epoch: u64,
    position: i64,
    /// Below this, records only refill the open group.
    replay_until: i64,
    /// Groups closed.
    closed: u64,
    /// Digest of all records of closed groups.
    digest: u64,
    /// Offsets and values of the open group.
    open: Vec<(i64, u64)>,
    said: Vec<Message>,
}

fn digest(before: u64, value: u64) -> u64 {
    (before ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

/// A record's value.
#[must_use]
pub fn value_of(number: u64) -> Value {
    Value::Bytes(number.to_le_bytes().to_vec())
}

fn line(partition: u32, closed: u64, digest: u64) -> String {
    format!("{partition}/{closed} {digest:016x}")
}

/// What is said of a partition that holds these numbers.
#[must_use]
pub fn foretold(partition: u32, numbers: &[u64]) -> Vec<String> {
    let mut state = 0;
    let groups = numbers.chunks_exact(GROUP as usize).zip(1..);
    groups
        .map(|(group, closed)| {
            state = group.iter().fold(state, |before, number| digest(before, *number));
            line(partition, closed, state)
        })
        .collect()
}

impl Tally {
    fn new(settings: &TallySettings, place: &Place, position: i64) -> Self {
        Self {
            settings: settings.clone(),
            partition: place.partition,
            epoch: 0,
            position,
            replay_until: position,
            closed: 0,
            digest: 0,
            open: Vec::new(),
            said: Vec::new(),
        }
    }

    fn resumed(mut self, entries: &[StateEntry]) -> Result<Self, Refusal> {
        let unreadable = || Refusal::Unreadable("the tally's state cannot be read".to_owned());
        let newest = |table: &str| entries.iter().rev().find(|entry| entry.table == table).ok_or_else(unreadable);
        let (head, sum) = (newest("head")?, newest("sum")?);
        let field = |entry: &StateEntry, index: usize| entry.body.get(index * 8..index * 8 + 8).map_or(0, number);
        self.epoch = head.epoch;
        self.replay_until = field(head, 0) as i64;
        self.position = field(head, 1) as i64;
        (self.closed, self.digest) = (field(sum, 0), field(sum, 1));
        Ok(self)
    }
}

impl Task for Tally {
    type Settings = TallySettings;

    fn recover(settings: &Self::Settings, place: Place, recovery: Recovery) -> Result<Self, Refusal> {
        match recovery {
            Recovery::First { position } => Ok(Self::new(settings, &place, position)),
            Recovery::Resume { entries, .. } | Recovery::Expired { entries, .. } => {
                Self::new(settings, &place, 0).resumed(&entries)
            }
            Recovery::Reset { position, epoch, .. } => {
                let mut tally = Self::new(settings, &place, position);
                tally.epoch = epoch;
                // A reset is not exact: whoever sees one committed where none should be must notice.
                tally.digest = u64::MAX;
                Ok(tally)
            }
        }
    }

    fn position(&self) -> i64 {
        self.position
    }

    fn take(&mut self, delivery: Delivery) {
        let value = match &delivery.value {
            Value::Bytes(bytes) => number(bytes),
            _ => u64::MAX,
        };
        self.position = delivery.offset + 1;
        self.open.push((delivery.offset, value));
        if (self.open.len() as u64) < GROUP {
            return;
        }
        self.digest = self.open.drain(..).fold(self.digest, |before, (_, value)| digest(before, value));
        self.closed += 1;
        let text = line(self.partition, self.closed, self.digest);
        self.said.push(Message::new(self.settings.output.clone(), 0, text, Value::Bytes(Vec::new())));
    }

    fn is_replaying(&self) -> bool {
        self.position < self.replay_until
    }

    fn due(&self) -> Due {
        match self.said.len() {
            0 => Due::Nothing,
            1 => Due::Outputs,
            _ => Due::AtOnce,
        }
    }

    fn watermark(&self) -> Option<Micros> {
        None
    }

    fn set_partition_count(&mut self, _count: u32) {}

    fn seal(&mut self, _state_end: i64, counts: &PartitionCounts) -> Sealed {
        self.epoch += 1;
        let replay_from = self.open.first().map_or(self.position, |(offset, _)| *offset);
        let count = counts.get(&self.settings.output).copied().unwrap_or(1).max(1);
        let mut messages = std::mem::take(&mut self.said);
        for message in &mut messages {
            message.partition = (self.closed % u64::from(count)) as u32;
        }
        let entry = |table: &str, fields: [u64; 2]| {
            let body = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
            let entry = StateEntry { v: 1, epoch: self.epoch, table: table.to_owned(), slot: 0, body };
            Message::new(self.settings.state.clone(), self.partition, entry.key(), Value::State(Box::new(entry)))
        };
        messages.push(entry("sum", [self.closed, self.digest]));
        messages.push(entry("head", [self.position as u64, replay_from as u64]));
        let metadata = CommitMetadata { epoch: self.epoch, replay_from, state_from: 0, watermark: None };
        Sealed { messages, offset: self.position, metadata: metadata.to_text() }
    }
}
