//! Sink `file`: one line of JSON per revision, appended to a file that is put aside when it is large or old enough.
//!
//! The file is opened for each delivery, which is once a commit at most: so it may be moved or removed at any time, and
//! nothing is to be reopened after a full disk. A delivery ends with an fsync: the position moves past what is on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use weir_schemas::Anomaly;

use super::{DeliveryError, Sink};

/// No line of ours is longer, bytes: a broker takes 1 MiB, and JSON escapes a byte with six.
const LONGEST_LINE: usize = 8 << 20;

/// Which file, and when it is put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rotation {
    /// The file that is written; `PATH.1` is the newest one put aside.
    pub(super) path: PathBuf,
    /// No line is added to a file that would be longer than this with it, bytes.
    pub(super) max_bytes: u64,
    /// A file this old is put aside before the next line.
    pub(super) max_age: Option<Duration>,
    /// Files kept beside the one written; the oldest beyond it is removed.
    pub(super) files: u64,
}

/// Appends lines to a file.
pub(super) struct FileSink<L> {
    rotation: Rotation,
    line: L,
    clock: fn() -> SystemTime,
}

impl<L: Fn(&Anomaly) -> String + Send> FileSink<L> {
    pub(super) fn new(rotation: Rotation, line: L) -> Self {
        Self { rotation, line, clock: SystemTime::now }
    }
}

impl<L: Fn(&Anomaly) -> String + Send> Sink for FileSink<L> {
    fn deliver(&mut self, anomalies: &[&Anomaly]) -> Result<(), DeliveryError> {
        let lines = anomalies.iter().map(|anomaly| (self.line)(anomaly));
        append(&self.rotation, lines, (self.clock)())
    }
}

/// Appends lines, each with its line feed, and makes sure of them.
pub(super) fn append(
    rotation: &Rotation,
    lines: impl Iterator<Item = String>,
    now: SystemTime,
) -> Result<(), DeliveryError> {
    append_lines(rotation, lines, now).map_err(|error| {
        let path = rotation.path.display();
        DeliveryError(format!("cannot write {path}: {error}; mend that, and nothing is lost"))
    })
}

fn append_lines(rotation: &Rotation, lines: impl Iterator<Item = String>, now: SystemTime) -> io::Result<()> {
    let mut open = OpenFile::open(rotation)?;
    if open.length > 0 && is_old(&open.file, rotation.max_age, now) {
        open = open.rotate(rotation)?;
    }
    for line in lines {
        let is_full = open.length + open.pending.len() as u64 + line.len() as u64 + 1 > rotation.max_bytes;
        if is_full && open.length + open.pending.len() as u64 > 0 {
            open.flush()?;
            open = open.rotate(rotation)?;
        }
        open.pending.push_str(&line);
        open.pending.push('\n');
    }
    open.flush()
}

struct OpenFile {
    file: File,
    /// Bytes in it, all of whole lines.
    length: u64,
    /// Lines not yet written.
    pending: String,
}

impl OpenFile {
    fn open(rotation: &Rotation) -> io::Result<Self> {
        let is_new = !rotation.path.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&rotation.path)?;
        if is_new {
            sync_folder(&rotation.path)?;
        }
        let length = end_last_line(&mut file)?;
        Ok(Self { file, length, pending: String::new() })
    }

    /// Writes what is pending, all of it or nothing.
    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(self.pending.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // On a full disk half a line may be there: it is cut off here, or else by the next delivery.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Puts the file aside and begins a new one.
    fn rotate(self, rotation: &Rotation) -> io::Result<Self> {
        let numbered = |number: u64| {
            let mut name = rotation.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        drop(self.file);
        if rotation.files == 0 {
            fs::remove_file(&rotation.path)?;
            return Self::open(rotation);
        }
        // From the oldest on, so that a rename replaces what is to go, and a crash between two leaves a gap at most.
        for number in (1..rotation.files).rev() {
            let aside = numbered(number);
            if aside.exists() {
                fs::rename(aside, numbered(number + 1))?;
            }
        }
        fs::rename(&rotation.path, numbered(1))?;
        Self::open(rotation)
    }
}

/// Cuts off a line that a crash left unfinished: what it was to say was not counted as delivered, and comes again. Text
/// that does not look like ours is left, with a line feed after it. The file's length.
fn end_last_line(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let tail = unfinished_line(file, length)?;
    if tail.is_empty() {
        return Ok(length);
    }
    if tail.first() == Some(&b'{') && tail.len() <= LONGEST_LINE {
        let whole = length - tail.len() as u64;
        file.set_len(whole)?;
        return Ok(whole);
    }
    file.write_all(b"\n")?;
    Ok(length + 1)
}

/// What stands after the last line feed; of a longer text than a line of ours can be, its end.
fn unfinished_line(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    const CHUNK: u64 = 64 << 10;
    let mut end = length;
    let mut tail = Vec::new();
    while end > 0 && tail.len() <= LONGEST_LINE {
        let start = end.saturating_sub(CHUNK);
        let mut chunk = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut chunk)?;
        if let Some(index) = chunk.iter().rposition(|byte| *byte == b'\n') {
            tail.splice(0..0, chunk[index + 1..].iter().copied());
            break;
        }
        tail.splice(0..0, chunk);
        end = start;
    }
    Ok(tail)
}

fn is_old(file: &File, max_age: Option<Duration>, now: SystemTime) -> bool {
    let Some(max_age) = max_age else { return false };
    // Where the file system does not keep a file's birth, the last change must do: then only a silent file grows old.
    let born = file.metadata().and_then(|metadata| metadata.created().or_else(|_| metadata.modified()));
    born.is_ok_and(|born| now.duration_since(born).is_ok_and(|age| age >= max_age))
}

/// A new name is safe on disk only once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rotation(folder: &tempfile::TempDir, max_bytes: u64, files: u64) -> Rotation {
        Rotation { path: folder.path().join("anomalies.jsonl"), max_bytes, max_age: None, files }
    }

    fn read(rotation: &Rotation, number: u64) -> Option<String> {
        let suffix = if number == 0 { String::new() } else { format!(".{number}") };
        fs::read_to_string(format!("{}{suffix}", rotation.path.display())).ok()
    }

    fn write(rotation: &Rotation, lines: &[&str]) {
        append(rotation, lines.iter().map(|line| (*line).to_owned()), SystemTime::now()).unwrap();
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_removed() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = rotation(&folder, 4, 2);
        write(&rotation, &["a", "b", "c"]);
        assert_eq!((read(&rotation, 0).unwrap().as_str(), read(&rotation, 1).unwrap().as_str()), ("c\n", "a\nb\n"));
        write(&rotation, &["d", "e", "longer than a file", "f"]);
        let kept: Vec<Option<String>> = (0..4).map(|number| read(&rotation, number)).collect();
        let expected = [Some("f\n"), Some("longer than a file\n"), Some("e\n"), None];
        assert_eq!(kept, expected.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn an_old_file_is_put_aside_unless_it_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { max_age: Some(Duration::from_hours(1)), ..rotation(&folder, 1000, 5) };
        let lines = |text: &str| std::iter::once(text.to_owned());
        let now = SystemTime::now();
        append(&rotation, lines("a"), now).unwrap();
        append(&rotation, lines("b"), now + Duration::from_mins(59)).unwrap();
        append(&rotation, lines("c"), now + Duration::from_mins(61)).unwrap();
        assert_eq!((read(&rotation, 0).unwrap().as_str(), read(&rotation, 1).unwrap().as_str()), ("c\n", "a\nb\n"));
    }

    #[test]
    fn a_line_cut_short_by_a_crash_is_taken_back_and_other_text_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = rotation(&folder, 1 << 30, 5);
        let long = format!("{{\"x\": \"{}", "y".repeat(200_000));
        for (before, after) in [
            ("{\"a\":1}\n{\"b\":", "{\"a\":1}\n{}\n"),
            (long.as_str(), "{}\n"),
            ("notes", "notes\n{}\n"),
            ("{}\n", "{}\n{}\n"),
            ("", "{}\n"),
        ] {
            fs::write(&rotation.path, before).unwrap();
            write(&rotation, &["{}"]);
            assert_eq!(read(&rotation, 0).unwrap(), after);
        }
    }

    #[test]
    fn a_moved_file_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = rotation(&folder, 1000, 5);
        write(&rotation, &["a"]);
        fs::rename(&rotation.path, folder.path().join("elsewhere")).unwrap();
        write(&rotation, &["b"]);
        assert_eq!(read(&rotation, 0).unwrap(), "b\n");
    }

    #[test]
    fn a_full_disk_is_told_in_one_line() {
        // Every write to this device fails with ENOSPC.
        let rotation = Rotation { path: "/dev/full".into(), max_bytes: 1000, max_age: None, files: 1 };
        let error = append(&rotation, std::iter::once("a".to_owned()), SystemTime::now()).unwrap_err().to_string();
        assert!(error.starts_with("cannot write /dev/full: No space left on device"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    proptest! {
        // Each delivery waits for the disk.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn while_there_is_room_every_line_is_kept_in_order(
            deliveries in prop::collection::vec(prop::collection::vec("[a-z]{0,12}", 0..6), 0..8),
            max_bytes in 1_u64..40,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let rotation = rotation(&folder, max_bytes, 1000);
            for lines in &deliveries {
                append(&rotation, lines.iter().cloned(), SystemTime::now()).unwrap();
            }
            let mut kept = Vec::new();
            for number in (0..60).rev() {
                let text = read(&rotation, number).unwrap_or_default();
                prop_assert!(text.len() as u64 <= max_bytes || text.lines().count() == 1, "{text}");
                kept.extend(text.lines().map(str::to_owned));
            }
            prop_assert_eq!(kept, deliveries.concat());
        }
    }
}
