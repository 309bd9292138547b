//! Which file a writer is at: one path whose file is replaced or emptied, or a directory in which newer files appear.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::packet::InputWarning;

/// Between two listings of a directory, and how long a file must have been left alone before a newer one counts as its
/// successor: writers open the next file before or after they close the last one.
pub(super) const LIST_EVERY: Duration = Duration::from_secs(1);

/// What a packed copy of a file is called (`tcpdump -z gzip`, logrotate's `compress`).
const PACKED_SUFFIXES: [&str; 3] = ["gz", "zst", "zip"];

/// Device and inode: what a file is whatever it is called.
type Identity = (u64, u64);

/// A file that was opened, and how much of it was read.
#[derive(Clone, Copy, Debug)]
struct Seen {
    identity: Identity,
    read: u64,
}

/// A path and what has become of it.
pub(super) struct Rotation {
    path: PathBuf,
    is_directory: bool,
    /// Files opened so far that are still there.
    seen: BTreeMap<PathBuf, Seen>,
    current: Option<PathBuf>,
    grown: Instant,
    listed: Option<Instant>,
    warnings: Vec<InputWarning>,
}

impl Rotation {
    pub(super) fn new(path: &Path, is_directory: bool) -> Self {
        Self {
            path: path.to_owned(),
            is_directory,
            seen: BTreeMap::new(),
            current: None,
            grown: Instant::now(),
            listed: None,
            warnings: Vec::new(),
        }
    }

    /// Notes that bytes of the current file were read.
    pub(super) fn note_read(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        self.grown = Instant::now();
        if let Some(seen) = self.current.as_ref().and_then(|path| self.seen.get_mut(path)) {
            seen.read += count;
        }
    }

    /// Whether the writer has left the current file, so that nothing will come any more.
    pub(super) fn has_gone_on(&mut self) -> bool {
        let Some(current) = self.current.clone() else { return true };
        if !self.is_directory {
            // Between the old file's removal and the new one's creation there is none.
            return fs::metadata(&current).is_ok_and(|metadata| self.is_another(&current, &metadata));
        }
        self.is_due() && self.is_left_alone(&current) && self.successor().is_some()
    }

    /// The next file, once there is one.
    ///
    /// # Errors
    /// Environment: it cannot be opened. It is not offered again.
    pub(super) fn next(&mut self) -> io::Result<Option<(PathBuf, File)>> {
        let path = if self.is_directory {
            let Some(path) = self.successor() else { return Ok(None) };
            path
        } else {
            match fs::metadata(&self.path) {
                Ok(metadata) if self.is_another(&self.path, &metadata) => self.path.clone(),
                _ => return Ok(None),
            }
        };
        // Before it is opened: what fails is not tried for ever.
        self.note(&path, (0, 0));
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        self.note(&path, identity(&metadata));
        Ok(Some((path, file)))
    }

    /// The file that was opened last.
    pub(super) fn current_name(&self) -> String {
        self.current.as_deref().unwrap_or(&self.path).display().to_string()
    }

    /// Whether it is time for another listing; the first one is.
    fn is_due(&mut self) -> bool {
        if self.listed.is_some_and(|listed| listed.elapsed() < LIST_EVERY) {
            return false;
        }
        self.listed = Some(Instant::now());
        true
    }

    pub(super) fn take_warnings(&mut self) -> Vec<InputWarning> {
        std::mem::take(&mut self.warnings)
    }

    fn note(&mut self, path: &Path, identity: Identity) {
        self.seen.insert(path.to_owned(), Seen { identity, read: 0 });
        self.current = Some(path.to_owned());
        self.grown = Instant::now();
    }

    /// Whether there is another file at `path` than was read there, or the one that was read has been begun anew.
    fn is_another(&self, path: &Path, metadata: &Metadata) -> bool {
        let Some(seen) = self.seen.get(path) else { return true };
        let could_be_opened = seen.identity != (0, 0);
        could_be_opened && (seen.identity != identity(metadata) || metadata.len() < seen.read)
    }

    fn is_left_alone(&self, path: &Path) -> bool {
        let is_old = |metadata: Metadata| {
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            modified.elapsed().is_ok_and(|age| age >= LIST_EVERY)
        };
        // Gone, old, or not grown under our eyes: file servers have clocks of their own.
        fs::metadata(path).map_or(true, is_old) || self.grown.elapsed() >= LIST_EVERY
    }

    /// The oldest file of the directory that has not been read.
    fn successor(&mut self) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.path).ok()?;
        let mut there: BTreeMap<PathBuf, Metadata> = BTreeMap::new();
        for entry in entries.flatten() {
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if let Ok(metadata) = fs::metadata(entry.path())
                && metadata.is_file()
                && !is_hidden
            {
                there.insert(entry.path(), metadata);
            }
        }
        // A packed copy may come after its original has gone: originals are remembered as long as their copies are there.
        self.seen
            .retain(|path, _| there.contains_key(path) || packed_names(path).any(|name| there.contains_key(&name)));
        let is_unread = |(path, metadata): &(&PathBuf, &Metadata)| {
            metadata.len() > 0 && self.is_another(path, metadata) && !self.is_copy_of_seen(path)
        };
        let oldest = there.iter().filter(is_unread).min_by_key(|(path, metadata)| (metadata.modified().ok(), *path));
        let oldest = oldest.map(|(path, _)| path.clone());
        self.note_late_growth(&there);
        oldest
    }

    fn is_copy_of_seen(&self, path: &Path) -> bool {
        let is_packed =
            path.extension().and_then(|suffix| suffix.to_str()).is_some_and(|suffix| PACKED_SUFFIXES.contains(&suffix));
        is_packed && self.seen.contains_key(&path.with_extension(""))
    }

    /// A file that grows after its writer seemed to have left it was written by another writer.
    fn note_late_growth(&mut self, there: &BTreeMap<PathBuf, Metadata>) {
        for (path, seen) in &mut self.seen {
            let Some(metadata) = there.get(path).filter(|_| self.current.as_ref() != Some(path)) else { continue };
            if seen.identity != identity(metadata) || metadata.len() <= seen.read {
                continue;
            }
            let unread = metadata.len() - seen.read;
            let message = format!(
                "{unread} bytes were written after a newer file had been begun beside it, and are not read; give each writer a \
                 directory of its own"
            );
            self.warnings.push(InputWarning {
                file: path.display().to_string().into(),
                offset: Some(seen.read),
                message,
            });
            seen.read = metadata.len();
        }
    }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

fn packed_names(path: &Path) -> impl Iterator<Item = PathBuf> {
    let name = path.as_os_str().to_owned();
    PACKED_SUFFIXES.iter().map(move |suffix| {
        let mut packed = name.clone();
        packed.push(".");
        packed.push(suffix);
        PathBuf::from(packed)
    })
}
