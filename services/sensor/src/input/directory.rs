//! Directories as inputs: the files in them, in order of their names, below at any depth that is sane.

use std::fs;
use std::path::{Path, PathBuf};

use super::InputError;

/// How deep directories lie in one another at most.
const DEEPEST: usize = 8;

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    /// Found in a directory, where it may lie beside things that are no inputs.
    pub(super) is_found: bool,
}

/// The files that `paths` name or hold. Hidden ones are left out of directories.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<Listed>, InputError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            collect(path, 0, &mut files)?;
            if files.len() == before {
                return Err(InputError::Directory { file: path.display().to_string() });
            }
        } else {
            files.push(Listed { path: path.clone(), is_found: false });
        }
    }
    Ok(files)
}

fn collect(directory: &Path, depth: usize, files: &mut Vec<Listed>) -> Result<(), InputError> {
    let unreadable = |source| InputError::Unreadable { file: directory.display().to_string(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    for path in paths {
        if path.is_file() {
            files.push(Listed { path, is_found: true });
        } else if path.is_dir() && depth < DEEPEST {
            collect(&path, depth + 1, files)?;
        }
    }
    Ok(())
}
