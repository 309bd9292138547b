//! The `weir` command as a shell sees it: what stands on standard output, what on standard error, the exit status; and the
//! documents that describe it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod accounts;
mod analyze;
mod baselines;
mod catalogue;
mod demo;
mod documents;
mod fixture;
mod flows;
mod interrupt;
mod kafka;
mod logging;
mod report;
mod run;
mod usage;
