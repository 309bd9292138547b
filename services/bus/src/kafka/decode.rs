//! From librdkafka's messages to deliveries, without copying what is decoded anyway.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::Message;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _};

use weir_schemas::Record;

use crate::codec::Codec;
use crate::wire::AvroCodec;
use crate::{Delivery, Headers, Value};

const MILLISECOND_US: i64 = 1_000;

/// The delivery that a message of `topic` is, for one who takes it by and by. Flow records stay as they are: they may wait long
/// for their turn, and decoded they would take four times the memory, and be out of the cache by then.
pub(super) fn queued_delivery_of(topic: &str, codec: &AvroCodec, message: &BorrowedMessage<'_>) -> Delivery {
    let payload = message.payload().unwrap_or_default();
    if !weir_schemas::codec::is_flow(payload) {
        return delivery_of(topic, codec, message);
    }
    // Flow records have no headers that anybody reads, and looking costs more than decoding a field.
    delivery(message, key_of(message), Value::Bytes(payload.to_vec()), Headers::new())
}

/// The delivery that a message of `topic` is. Bytes that cannot be decoded stay as they are, with their key.
pub(super) fn delivery_of(topic: &str, codec: &AvroCodec, message: &BorrowedMessage<'_>) -> Delivery {
    let payload = message.payload().unwrap_or_default();
    let (key, value) = match codec.decode(topic, payload) {
        Ok(value) => (String::new(), value),
        Err(_) => (key_of(message), Value::Bytes(payload.to_vec())),
    };
    let is_flow = matches!(value, Value::Record(Record::Flow(_)));
    let headers = if is_flow { Headers::new() } else { message.headers().map(headers_of).unwrap_or_default() };
    delivery(message, key, value, headers)
}

fn delivery(message: &BorrowedMessage<'_>, key: String, value: Value, headers: Headers) -> Delivery {
    let append_time = message.timestamp().to_millis().unwrap_or_default() * MILLISECOND_US;
    Delivery { offset: message.offset(), append_time, key, value, headers }
}

fn key_of(message: &BorrowedMessage<'_>) -> String {
    String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned()
}

fn headers_of(headers: &BorrowedHeaders) -> Headers {
    // The client library panics at a header whose name is not UTF-8, which any producer may send: poison must not kill.
    let copied = catch_unwind(AssertUnwindSafe(|| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    }));
    copied.unwrap_or_default()
}
