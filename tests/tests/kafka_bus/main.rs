//! The bus over Kafka against a real broker: what services build on, call by call.
#![allow(clippy::unwrap_used)]

mod lanes;
mod link;
mod membership;
mod records;
mod support;
