//! Health and metrics over HTTP, for probes and scrapers: `/metrics`, `/healthz`, `/readyz`.
//!
//! One thread, and no more of it than that: whatever a client does, services do not wait for it.

mod answer;
mod health;
mod server;

pub use answer::Pages;
pub use health::{Check, Health};
pub use server::{AdminError, AdminServer};

#[cfg(test)]
mod tests;
