//! Why a command ends without doing what it was asked: one line for people, one exit status for scripts.

use std::fmt::Display;

/// Usage, configuration or input: mend the command line, the file or the capture.
pub const EXIT_USAGE: u8 = 2;

/// A command's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit status of the process.
    pub exit_status: u8,
    /// One line: what is wrong, and how to mend it. Empty where there is nobody left to read it.
    pub message: String,
}

impl Failure {
    /// The command line, the configuration or the input is at fault.
    pub fn usage(message: impl Display) -> Self {
        Self { exit_status: EXIT_USAGE, message: one_line(&message.to_string()) }
    }

    /// Weir itself is at fault, or the machine under it.
    pub fn internal(message: impl Display) -> Self {
        let message = format!("internal error: {message}; please report it with the input that led to it");
        Self { exit_status: EXIT_USAGE, message: one_line(&message) }
    }

    /// Whoever reads standard output went away (`weir … | head`): there is nothing more to do, and nothing to tell.
    pub fn output_closed() -> Self {
        Self { exit_status: 0, message: String::new() }
    }
}

/// Everything on one line, whatever a message was made of.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
