//! placeholder: topic names
