//! Dead letters: what a service could not use, put aside with where it came from and why, so that nobody loses it.

use crate::codec::Codec as _;
use crate::partition::partition_of;
use crate::wire::AvroCodec;
use crate::{Message, Value};

/// Header: topic that the message was read from.
pub const SOURCE_TOPIC: &str = "weir.source.topic";
/// Header: its partition, decimal.
pub const SOURCE_PARTITION: &str = "weir.source.partition";
/// Header: its offset, decimal.
pub const SOURCE_OFFSET: &str = "weir.source.offset";
/// Header: why it could not be used, one line.
pub const REASON: &str = "weir.reason";
/// Header: length of the value before it was cut, bytes, decimal; absent where it is whole.
pub const TRUNCATED: &str = "weir.truncated";

/// Longest value kept, bytes.
pub const MAX_VALUE_BYTES: usize = 64 << 10;
/// Longest reason kept, bytes.
const MAX_REASON_BYTES: usize = 1 << 10;

/// Where a message was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition of it.
    pub partition: u32,
    /// Offset in that.
    pub offset: i64,
}

/// The message for the dead-letter topic `topic` of `partitions` partitions: the key as it was, the value cut to
/// [`MAX_VALUE_BYTES`].
#[must_use]
pub fn dead_letter(
    topic: &str,
    partitions: u32,
    origin: Origin<'_>,
    key: &str,
    mut value: Vec<u8>,
    reason: &str,
) -> Message {
    let text = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    let mut headers = vec![
        text(SOURCE_TOPIC, origin.topic),
        text(SOURCE_PARTITION, &origin.partition.to_string()),
        text(SOURCE_OFFSET, &origin.offset.to_string()),
        text(REASON, &one_line(reason)),
    ];
    if value.len() > MAX_VALUE_BYTES {
        headers.push(text(TRUNCATED, &value.len().to_string()));
        value.truncate(MAX_VALUE_BYTES);
    }
    let message = Message::new(topic, partition_of(key, partitions), key, Value::Bytes(value));
    Message { headers, ..message }
}

/// A value as it stands, or would stand, in a topic.
#[must_use]
pub fn bytes_of(value: Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes,
        other => AvroCodec::default().encode(&other),
    }
}

/// The reason may quote what was read: on one line, without control characters, and not longer than anybody reads.
fn one_line(reason: &str) -> String {
    let mut line: String = reason.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    while line.len() > MAX_REASON_BYTES {
        line.pop();
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use weir_schemas::StateEntry;

    const ORIGIN: Origin<'_> = Origin { topic: "weir.findings.v1", partition: 3, offset: 41 };

    fn header<'a>(message: &'a Message, name: &str) -> Option<&'a [u8]> {
        message.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_slice())
    }

    #[test]
    fn a_dead_letter_says_where_it_comes_from_and_why() {
        let message = dead_letter("weir.dead.v1", 4, ORIGIN, "10.0.0.1", b"{}".to_vec(), "no\nfinding");
        assert_eq!(
            (message.topic.as_str(), message.partition),
            ("weir.dead.v1", partition_of("10.0.0.1", 4)),
            "by key, as in the topic it came from"
        );
        assert_eq!((message.key.as_str(), &message.value), ("10.0.0.1", &Value::Bytes(b"{}".to_vec())));
        assert_eq!(header(&message, SOURCE_TOPIC), Some(b"weir.findings.v1".as_slice()));
        assert_eq!(header(&message, SOURCE_PARTITION), Some(b"3".as_slice()));
        assert_eq!(header(&message, SOURCE_OFFSET), Some(b"41".as_slice()));
        assert_eq!(header(&message, REASON), Some(b"no finding".as_slice()));
        assert_eq!(header(&message, TRUNCATED), None);
    }

    #[test]
    fn values_of_any_kind_are_kept_as_bytes() {
        let entry = StateEntry { v: 1, epoch: 2, table: "head".to_owned(), slot: 0, body: vec![1, 2] };
        let bytes = bytes_of(Value::State(Box::new(entry.clone())));
        assert_eq!(weir_schemas::codec::decode_state(&bytes), Ok(entry));
        assert_eq!(bytes_of(Value::Bytes(vec![7])), [7]);
    }

    proptest! {
        #[test]
        fn any_value_fits(extra in 0_usize..100, reason in any::<String>(), repeated in 1_usize..200) {
            let length = MAX_VALUE_BYTES - 50 + extra;
            let message = dead_letter("dead", 1, ORIGIN, "", vec![1; length], &reason.repeat(repeated));
            let Value::Bytes(value) = &message.value else { panic!("a dead letter holds bytes") };
            prop_assert_eq!(value.len(), length.min(MAX_VALUE_BYTES));
            let cut = (length > MAX_VALUE_BYTES).then(|| length.to_string().into_bytes());
            prop_assert_eq!(header(&message, TRUNCATED), cut.as_deref());
            let reason = std::str::from_utf8(header(&message, REASON).unwrap()).unwrap();
            prop_assert!(reason.len() <= MAX_REASON_BYTES && !reason.contains(char::is_control));
        }
    }
}
