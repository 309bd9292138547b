//! Standard output, whose reader may go away at any time.

use std::io::{self, ErrorKind, Write as _};

use crate::failure::Failure;

/// Writes `text` as it is.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| failure(&error))
}

/// What an error of standard output means for the command.
pub fn failure(error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe {
        return Failure::output_closed();
    }
    Failure::usage(format!("cannot write to standard output: {error}; is the disk full?"))
}
