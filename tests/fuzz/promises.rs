//! Promises that several decoders make.

use std::fmt::{Debug, Display};

use weir_runtime::config::{Sources, load};

use crate::targets::Answer;

/// A message is one line, and not empty.
pub fn one_line(message: &impl Display) -> Result<(), String> {
    let text = message.to_string();
    if text.trim().is_empty() || text.contains('\n') {
        return Err(format!("not one line: {text:?}"));
    }
    Ok(())
}

/// Two values that have to be the same.
pub fn same<T: PartialEq + Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found:?} is not {expected:?}")) }
}

/// A fault of a configuration is one line; one that loads is shown as one that loads to the same.
pub fn config(input: &[u8]) -> Result<Answer, String> {
    let load = |content: &[u8]| {
        let file = tempfile::NamedTempFile::with_suffix(".toml").map_err(|error| error.to_string())?;
        std::fs::write(file.path(), content).map_err(|error| error.to_string())?;
        Ok::<_, String>(load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() }))
    };
    let loaded = match load(input)? {
        Ok(loaded) => loaded,
        Err(error) => return one_line(&error).map(|()| Answer::Refused),
    };
    let shown = loaded.show(false);
    let again = load(shown.as_bytes())?.map_err(|error| format!("what it shows does not load: {error}"))?;
    same(&again.show(false), &shown)?;
    Ok(Answer::Accepted)
}
