//! Why bytes could not be decoded. Always the input's fault, and final: decoding the same bytes again fails again.

/// A value that could not be decoded. Offsets count from the first byte of the value, header included.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not Avro single-object encoding.
    #[error("input: the value does not begin with C3 01 and a fingerprint; is this topic written by Weir?")]
    NotSingleObject,
    /// Written with another schema than this codec reads.
    #[error(
        "input: the value was written with schema {fingerprint:016x}, not with {expected} ({expected_fingerprint:016x}); \
         read it with the version that wrote it"
    )]
    UnknownSchema {
        /// CRC-64-AVRO of the writer's schema.
        fingerprint: u64,
        /// Full name of the schema this codec reads.
        expected: &'static str,
        /// Its CRC-64-AVRO.
        expected_fingerprint: u64,
    },
    /// Kind `aggregate`, reserved and not built yet: for the dead-letter topic.
    #[error("input: records of kind aggregate are reserved and not supported yet")]
    Aggregate,
    /// The value ends too early.
    #[error("input: the value ends at byte {at} where more is needed")]
    Truncated {
        /// Where it ends.
        at: usize,
    },
    /// Bytes are left over.
    #[error("input: {count} bytes are left over at byte {at}")]
    TrailingBytes {
        /// Where they begin.
        at: usize,
        /// How many there are.
        count: usize,
    },
    /// A varint over ten bytes or 64 bits, or longer than its value needs.
    #[error("input: the number at byte {at} is longer than it may be")]
    OverlongVarint {
        /// Where it begins.
        at: usize,
    },
    /// A negative length.
    #[error("input: the length at byte {at} is negative")]
    NegativeLength {
        /// Where it stands.
        at: usize,
    },
    /// An array or map block whose count or size cannot be true.
    #[error("input: the block at byte {at} claims a size that it does not have")]
    BadBlock {
        /// Where it begins.
        at: usize,
    },
    /// A number that its field cannot hold.
    #[error("input: {value}, at byte {at}, is out of its field's range")]
    OutOfRange {
        /// Where it stands.
        at: usize,
        /// The number.
        value: i64,
    },
    /// A boolean that is neither 0 nor 1.
    #[error("input: the boolean at byte {at} is {value}")]
    BadBoolean {
        /// Where it stands.
        at: usize,
        /// The byte.
        value: u8,
    },
    /// A union branch that does not exist.
    #[error("input: the union at byte {at} has no branch {index}")]
    BadUnion {
        /// Where it stands.
        at: usize,
        /// The index.
        index: i64,
    },
    /// Text that is not UTF-8.
    #[error("input: the text at byte {at} is not UTF-8")]
    BadUtf8 {
        /// Where it begins.
        at: usize,
    },
    /// Octets that are no 128-bit number as Weir writes them.
    #[error("input: the 128-bit number at byte {at} has more than 16 octets or a leading zero octet")]
    BadWideNumber {
        /// Where it begins.
        at: usize,
    },
    /// An address of neither 4, 16 nor 0 octets.
    #[error("input: the address at byte {at} has {length} octets, not 4, 16 or 0")]
    BadAddress {
        /// Where it begins.
        at: usize,
        /// Its octets.
        length: usize,
    },
    /// Neither address nor name.
    #[error("input: the host before byte {at} has neither address nor name")]
    NoHost {
        /// Where the host ends.
        at: usize,
    },
    /// A wire number without a meaning.
    #[error("input: {value} is no {field}; was this written by a newer version?")]
    UnknownNumber {
        /// The field.
        field: &'static str,
        /// The number.
        value: i64,
    },
    /// A word without a meaning.
    #[error("input: {value:?} is no {field}; was this written by a newer version?")]
    UnknownWord {
        /// The field.
        field: &'static str,
        /// The word, cut to 32 characters.
        value: String,
    },
    /// The blocks that are present do not fit the kind of record.
    #[error("input: the blocks present do not fit a {0} record")]
    Blocks(&'static str),
}
