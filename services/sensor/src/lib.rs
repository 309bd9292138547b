//! The sensor: files in, flow records and marks out.
#![deny(unsafe_code)]

pub mod packet;
