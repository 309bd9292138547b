//! The `weir` command as people use it, on the captures of this repository. What it finds in each is judged by `weir-judge`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod damaged;
mod demo;
mod same_verdict;
mod usage;
mod weir;
