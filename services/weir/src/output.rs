//! Where output goes: standard output, whose reader may go away at any time, or a file, which must not be an input.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

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

/// A capture that is read must not be overwritten by what is read from it.
pub fn refuse_input_as_output(files: &[PathBuf], out: &Path) -> Result<(), Failure> {
    let Ok(target) = fs::canonicalize(out) else {
        return Ok(());
    };
    if files.iter().any(|file| fs::canonicalize(file).is_ok_and(|file| file == target)) {
        return Err(Failure::usage(format!("--out {} is one of the inputs; write to another file", out.display())));
    }
    Ok(())
}
