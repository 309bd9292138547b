//! From a task's checkpoint to messages: findings, partials, dead letters and state, each in its topic and partition.

use weir_bus::dead::{Origin, bytes_of, dead_letter};
use weir_bus::partition::{DEFAULT_IPV6_PREFIX, key_of, partition_of, partition_of_host};
use weir_bus::{Delivery, Headers, Message, Value};
use weir_engine::Outbox;
use weir_schemas::{Partial, PartialBody, Record, StateEntry, codec};

/// A receiver's or responder's key is all of its address: prefix length, bits.
const WHOLE_ADDRESS: u8 = 128;

/// Topics and group of a stage.
#[derive(Clone, Debug)]
pub(crate) struct StageTopics {
    pub(crate) stage: &'static str,
    pub(crate) group: String,
    pub(crate) input: String,
    pub(crate) state: String,
    pub(crate) partials: String,
    pub(crate) findings: String,
    pub(crate) dead: String,
}

/// Partitions of the topics that a stage writes to by key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutputCounts {
    pub(crate) partials: u32,
    pub(crate) findings: u32,
    pub(crate) dead: u32,
}

/// A record that cannot be used, and why.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) delivery: Delivery,
    pub(crate) reason: &'static str,
}

/// The messages of one commit of `partition`: the state's head is the last of them. What is made of a trace carries `headers`
/// on.
pub(crate) fn messages(
    topics: &StageTopics,
    counts: OutputCounts,
    partition: u32,
    letters: Vec<Letter>,
    outbox: Outbox,
    state: Vec<StateEntry>,
    headers: &Headers,
) -> Vec<Message> {
    let mut messages = Vec::with_capacity(outbox.partials.len() + outbox.findings.len() + state.len());
    for letter in letters {
        messages.push(dead(topics, counts.dead, partition, letter));
    }
    for partial in outbox.partials {
        send_partial(partial, &topics.partials, counts.partials, headers, &mut messages);
    }
    for finding in outbox.findings {
        let key = finding.scope.key.clone();
        let partition = partition_of(&key, counts.findings);
        let value = Value::Finding(Box::new(finding));
        let message = Message::new(topics.findings.clone(), partition, key, value);
        messages.push(Message { headers: headers.clone(), ..message });
    }
    for entry in state {
        messages.push(Message::new(topics.state.clone(), partition, entry.key(), Value::State(Box::new(entry))));
    }
    messages
}

/// A marker goes to every partition, each key's counts to the partition of the key. The message's own key is where it was made.
fn send_partial(partial: Partial, topic: &str, count: u32, headers: &Headers, messages: &mut Vec<Message>) {
    let Partial { v, partition: origin, partition_count, pane, rules_hash, body } = partial;
    let mut send = |partition: u32, body: PartialBody, headers: Headers| {
        let value = Value::Partial(Box::new(Partial { v, partition: origin, partition_count, pane, rules_hash, body }));
        let message = Message::new(topic, partition, origin.to_string(), value);
        messages.push(Message { headers, ..message });
    };
    match body {
        PartialBody::Counts(counts) => {
            let parts = counts.split(count, |key| partition_of_host(key, WHOLE_ADDRESS, count));
            for (part, partition) in parts.into_iter().zip(0..).filter(|(part, _)| !part.is_empty()) {
                send(partition, PartialBody::Counts(part), Headers::new());
            }
        }
        marker @ PartialBody::Marker { .. } => {
            for partition in 0..count {
                send(partition, marker.clone(), headers.clone());
            }
        }
    }
}

/// The record as it was, with where it stood and why it was set aside.
fn dead(topics: &StageTopics, count: u32, partition: u32, letter: Letter) -> Message {
    let Letter { delivery, reason } = letter;
    let origin = Origin { topic: &topics.input, partition, offset: delivery.offset };
    let key = match (&delivery.value, delivery.key) {
        (Value::Record(Record::Flow(flow)), key) if key.is_empty() => key_of(&flow.src.host, DEFAULT_IPV6_PREFIX),
        (_, key) => key,
    };
    let reason = match &delivery.value {
        Value::Bytes(bytes) => format!("{reason}: {}", fault_of(topics.stage, bytes)),
        _ => reason.to_owned(),
    };
    dead_letter(&topics.dead, count, origin, &key, bytes_of(delivery.value), &reason)
}

/// Why bytes are no value of a stage's input.
fn fault_of(stage: &str, bytes: &[u8]) -> String {
    let fault = match stage {
        "site" => codec::decode_partial(bytes).err(),
        _ => codec::decode_record(bytes).err(),
    };
    fault.map_or_else(|| "another kind of value".to_owned(), |fault| fault.to_string())
}
