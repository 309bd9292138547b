//! A broker by hand: starts what the tests start, says where it is, and ends with whoever started it.
#![forbid(unsafe_code)]

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use clap::Parser;
use weir_tests::broker::{Broker, BrokerError, Nodes};

/// Starts Apache Kafka from its jars, prints `bootstrap=ADDRESS,...`, and kills it when standard input ends.
#[derive(Parser)]
#[command(name = "weir-test-broker")]
struct Arguments {
    /// Nodes: 1, or 3 that replicate each other.
    #[arg(long, default_value = "1", value_parser = ["1", "3"])]
    nodes: String,
    /// A broker setting in Kafka's words, NAME=VALUE; repeatable.
    #[arg(long, value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-test-broker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), BrokerError> {
    let nodes = if arguments.nodes == "3" { Nodes::Three } else { Nodes::One };
    let settings: Vec<(&str, &str)> = arguments.set.iter().map(|(name, value)| (&**name, &**value)).collect();
    let broker = Broker::start_with(nodes, &settings)?;

    // A reader that went away ends us at once: what we would have told it is of no use to anybody.
    let said = writeln!(std::io::stdout(), "bootstrap={}", broker.bootstrap());
    if said.is_ok() {
        // Nothing is read from it; its end, or an error of it, is the end.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    }
    Ok(())
}
