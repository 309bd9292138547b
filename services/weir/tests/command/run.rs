//! Runs the command and keeps what it said.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// Exit status; `None` after a signal.
    pub status: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub complaint: String,
}

impl Run {
    /// The lines of standard output as JSON.
    pub fn json_lines(&self) -> Vec<Value> {
        self.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A number of the accounts line on standard error: `late=3`.
    pub fn account(&self, name: &str) -> u64 {
        let words = || self.complaint.split([' ', ';', '\n']);
        let value = words().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name}= in {self:?}")).parse().unwrap()
    }

    /// Checks for an error of usage: exit status 2, nothing on standard output, one line that holds `what` and `mend`.
    pub fn assert_is_usage(&self, what: &str, mend: &str) {
        assert_eq!((self.status, self.output.as_str()), (Some(2), ""), "{self:?}");
        assert_eq!(self.complaint.lines().count(), 1, "{self:?}");
        assert!(self.complaint.starts_with("weir: "), "{self:?}");
        assert!(self.complaint.contains(what) && self.complaint.contains(mend), "{what:?}, {mend:?} not in {self:?}");
    }
}

/// The command, with no setting of whoever runs the tests.
pub fn weir_command<A: AsRef<OsStr>>(arguments: &[A]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments).env_clear();
    command
}

/// Runs the command with nothing on standard input.
pub fn weir<A: AsRef<OsStr>>(arguments: &[A]) -> Run {
    weir_reading(arguments, &[])
}

/// Runs the command with these bytes on standard input.
pub fn weir_reading<A: AsRef<OsStr>>(arguments: &[A], input: &[u8]) -> Run {
    let mut command = weir_command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A command that does not read its input closes the pipe early: no fault of either.
        let _ = pipe.write_all(&input);
    });
    let finished = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run {
        status: finished.status.code(),
        output: String::from_utf8(finished.stdout).unwrap(),
        complaint: String::from_utf8(finished.stderr).unwrap(),
    }
}

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Path of a committed capture.
pub fn capture(name: &str) -> String {
    repository().join("tests/captures").join(name).to_str().unwrap().to_owned()
}

/// Findings of JSON lines in canonical form: without provenance, keys sorted.
pub fn canonical(run: &Run) -> std::collections::BTreeSet<String> {
    assert!(matches!(run.status, Some(0 | 1)), "{run:?}");
    let canonical = |mut line: Value| {
        line.as_object_mut().unwrap().remove("provenance");
        line.sort_all_objects();
        line.to_string()
    };
    run.json_lines().into_iter().map(canonical).collect()
}
