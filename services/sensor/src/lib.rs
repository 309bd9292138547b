//! The sensor: files in, flow records and marks out.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod application;
pub mod declared;
pub mod decode;
pub mod export;
pub mod flow;
pub mod geography;
pub mod input;
pub mod pace;
pub mod packet;
pub mod publish;
pub mod rebase;
mod report;
pub mod sensor;
