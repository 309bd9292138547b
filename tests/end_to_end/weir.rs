//! Runs the `weir` binary: the one that `WEIR_BIN` names, else one built here.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What a run of the command came to.
#[derive(Debug)]
pub struct Finished {
    /// Exit status; `None` after a signal.
    pub status: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub complaint: String,
}

impl Finished {
    /// The findings of JSON lines in canonical form: without provenance, keys sorted.
    pub fn canonical_findings(&self) -> BTreeSet<String> {
        assert!(matches!(self.status, Some(0 | 1)), "{self:?}");
        let canonical = |line: &str| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().remove("provenance");
            value.to_string()
        };
        self.output.lines().map(canonical).collect()
    }

    /// Checks that this is an error of usage: exit status 2 and one line of complaint that holds `part`.
    pub fn assert_is_one_line_of_usage(&self, part: &str) {
        assert_eq!(self.status, Some(2), "{self:?}");
        assert_eq!(self.complaint.trim_end().lines().count(), 1, "{self:?}");
        assert!(self.complaint.contains(part), "{part:?} not in {self:?}");
        assert!(self.output.is_empty(), "{self:?}");
    }

    /// Checks that the command ended in order: no panic, no signal, an exit status it documents.
    pub fn assert_ended_in_order(&self) {
        assert!(matches!(self.status, Some(0..=2)), "{self:?}");
        assert!(!self.complaint.contains("panicked"), "{self:?}");
    }
}

/// Runs the command with nothing on standard input.
pub fn weir<A: AsRef<OsStr>>(arguments: &[A]) -> Finished {
    weir_reading(arguments, &[])
}

/// Runs the command with these bytes on standard input.
pub fn weir_reading<A: AsRef<OsStr>>(arguments: &[A], input: &[u8]) -> Finished {
    let mut command = Command::new(binary());
    // Settings of whoever runs the tests must not decide their outcome.
    let foreign = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEIR_"));
    foreign.for_each(|(name, _)| {
        command.env_remove(name);
    });
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A command that does not read its input closes the pipe early: no fault of either.
        let _ = pipe.write_all(&input);
    });
    let finished = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Finished {
        status: finished.status.code(),
        output: String::from_utf8_lossy(&finished.stdout).into_owned(),
        complaint: String::from_utf8_lossy(&finished.stderr).into_owned(),
    }
}

/// Path of a committed capture.
pub fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name)
}

/// Bytes of a committed capture, decompressed by the system's own tool, not by ours.
pub fn decompressed(name: &str) -> Vec<u8> {
    let tool = if Path::new(name).extension() == Some(OsStr::new("zst")) { "zstd" } else { "gzip" };
    let run = Command::new(tool).arg("-dc").arg(capture(name)).output().unwrap();
    assert!(run.status.success(), "{tool}: {}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

/// The command's binary.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("WEIR_BIN").map_or_else(build, PathBuf::from))
}

/// Builds the command beside this test's own binary.
fn build() -> PathBuf {
    // Test binaries are in <target>/<profile>/deps.
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().nth(3).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "-q", "-p", "weir", "--target-dir"]).arg(target).status().unwrap();
    assert!(built.success(), "the weir command could not be built");
    target.join("debug").join("weir")
}
