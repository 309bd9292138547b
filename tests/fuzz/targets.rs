//! The decoders that are fuzzed, and what each has to keep besides not panicking.

use std::fmt::{Debug, Display};

/// A decoder under test.
pub struct Target {
    /// Name on the command line.
    pub name: &'static str,
    /// What it decodes.
    pub what: &'static str,
    /// Folder of its seed files.
    pub corpus: &'static str,
    /// Runs it on one input; an error says which promise was broken.
    pub run: fn(&[u8]) -> Result<(), String>,
}

/// All targets.
pub const TARGETS: &[Target] =
    &[Target { name: "config", what: "the configuration file", corpus: "config", run: config }];

/// A fault is one line; a configuration that loads is shown as one that loads to the same.
fn config(input: &[u8]) -> Result<(), String> {
    let load = |content: &[u8]| {
        let file = tempfile::NamedTempFile::with_suffix(".toml").map_err(|error| error.to_string())?;
        std::fs::write(file.path(), content).map_err(|error| error.to_string())?;
        let sources = weir_runtime::config::Sources { file: Some(file.path().to_owned()), ..Default::default() };
        Ok::<_, String>(weir_runtime::config::load(&sources))
    };
    match load(input)? {
        Err(error) => one_line(&error),
        Ok(loaded) => {
            let shown = loaded.show(false);
            let again = load(shown.as_bytes())?.map_err(|error| format!("what it shows does not load: {error}"))?;
            same(&again.show(false), &shown)
        }
    }
}

fn one_line(message: &impl Display) -> Result<(), String> {
    let text = message.to_string();
    if text.trim().is_empty() || text.contains('\n') {
        return Err(format!("not one line: {text:?}"));
    }
    Ok(())
}

fn same<T: PartialEq + Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found:?} is not {expected:?}")) }
}
