//! A broker in a container. Talking to the container engine takes some 250 crates: they are in a program of their own,
//! `tests/kafka-docker`, which is built when it is asked for.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::BrokerError;
use super::jars::target;

/// What the program says before the broker's address.
const ADDRESS: &str = "bootstrap=";

/// The program that holds the container: until its standard input closes, be it by our death.
#[derive(Debug)]
pub(crate) struct Container {
    bootstrap: String,
    holder: Child,
    tether: Option<ChildStdin>,
}

impl Container {
    /// Builds the program where that is to be done, and waits for its broker.
    pub(crate) fn start() -> Result<Self, BrokerError> {
        let program = build()?;
        let no_process = |error| BrokerError::Environment(format!("{} does not run: {error}", program.display()));
        let mut holder = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(no_process)?;
        let (Some(tether), Some(output), Some(mut complaints)) =
            (holder.stdin.take(), holder.stdout.take(), holder.stderr.take())
        else {
            return Err(BrokerError::Bug("a child's piped standard streams are missing".to_owned()));
        };

        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map_err(no_process)?;
        if let Some(bootstrap) = line.trim_end().strip_prefix(ADDRESS) {
            return Ok(Self { bootstrap: bootstrap.to_owned(), holder, tether: Some(tether) });
        }
        // It ends without an address, and says why.
        let mut words = String::new();
        let _ = complaints.read_to_string(&mut words);
        let _ = holder.wait();
        Err(BrokerError::Environment(words.trim_end().to_owned()))
    }

    /// The broker's address.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.tether.take());
        let _ = self.holder.wait();
    }
}

fn build() -> Result<PathBuf, BrokerError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka-docker");
    let target = target().join("kafka/docker");
    let output = Command::new("cargo")
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .output()
        .map_err(|error| BrokerError::Environment(format!("cargo does not run: {error}")))?;
    if output.status.success() {
        return Ok(target.join("debug/weir-test-kafka-docker"));
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(BrokerError::Environment(format!("tests/kafka-docker does not build:\n{}", words.trim_end())))
}
