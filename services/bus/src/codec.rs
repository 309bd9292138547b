//! Where bytes are made of values: the hook between a bus and the wire format.

use crate::Value;

/// Input: the bytes are no value of their topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(pub String);

/// Encodes values at append and decodes them at read.
pub trait Codec {
    /// The wire form of a value. A bus never passes [`Value::Bytes`], which is wire form already.
    fn encode(&self, value: &Value) -> Vec<u8>;

    /// The value that `bytes`, read from `topic`, hold. Where this fails the bus delivers the bytes as they are, so that
    /// the reader can put them aside (`weir.dead.v1`) and go on.
    fn decode(&self, topic: &str, bytes: &[u8]) -> Result<Value, CodecError>;
}
