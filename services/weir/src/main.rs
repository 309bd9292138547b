//! The `weir` command: parses arguments, wires the services, runs them.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
mod command;
mod failure;
mod interrupt;
mod membership;
mod output;
mod pipeline;
mod progress;
mod service;

use std::process::ExitCode;

use arguments::Parsed;
use failure::Failure;

/// Services that take turns hand each other many small records; the system's allocator took an eighth of the engine's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match arguments::parse(std::env::args_os()) {
        Ok(Parsed::Run(arguments)) => command::run(*arguments),
        Ok(Parsed::Print(text)) => output::print(&text).map(|()| ExitCode::SUCCESS),
        Err(failure) => Err(failure),
    };
    result.unwrap_or_else(|failure| report(&failure))
}

fn report(failure: &Failure) -> ExitCode {
    if !failure.message.is_empty() {
        eprintln!("weir: {}", failure.message);
    }
    ExitCode::from(failure.exit_status)
}
