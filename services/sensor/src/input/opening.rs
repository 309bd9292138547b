//! Opening one input: what it is told by content, packed files and standard input are spooled, order is looked at.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use weir_schemas::Micros;

use super::bytes::{ByteStream, Source};
use super::compression::{self, Unpacked};
use super::date::Date;
use super::exports::{self, ExportReader};
use super::interruptible::Interruptible;
use super::ordered::{OrderedInput, Rereadable};
use super::pcap::{Layout, PcapReader};
use super::pcapng::{PcapngReader, is_pcapng};
use super::reader::RecordReader;
use super::table::{self, Opened};
use super::tcpdump::{self, TextReader};
use super::{InputError, InputKind, InputOptions};
use crate::decode::LinkType;
use crate::export;

/// Copied to the temporary file at a time.
const SPOOL_STEP: usize = 64 * 1024;

pub(super) fn open_one(path: &Path, options: &InputOptions) -> Result<OrderedInput, InputError> {
    if path.as_os_str() == "-" {
        let unreadable = |source| InputError::Unreadable { file: "-".to_owned(), source };
        // Not through std's buffer: what lies there, a wait for the descriptor would not see.
        let descriptor = io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?;
        let stream = Interruptible::new(File::from(descriptor), options.shutdown.clone());
        return open_stream("-", Box::new(stream), None, options);
    }
    let name = path.display().to_string();
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => InputError::Missing { file: name.clone() },
        _ => InputError::Unreadable { file: name.clone(), source },
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(InputError::Directory { file: name });
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let day = metadata.modified().ok().and_then(day_of);
    if !metadata.is_file() {
        return open_stream(&name, Box::new(Interruptible::new(file, options.shutdown.clone())), day, options);
    }
    let again = file.try_clone().map_err(unreadable)?;
    let unpacked = unpack(&name, Box::new(again))?;
    if unpacked.packed {
        return spool(&name, unpacked, day, options, Ends::WithItsFile);
    }
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let reader = reader_of(&name, &unpacked.head, Source::File(file), day, options, Some(path))?;
    ordered(&name, reader, &Rereadable::Yes, options)
}

/// Opens what can be read once only.
pub(super) fn open_stream(
    name: &str,
    stream: Box<dyn Read>,
    day: Option<Date>,
    options: &InputOptions,
) -> Result<OrderedInput, InputError> {
    let unpacked = unpack(name, stream)?;
    spool(name, unpacked, day, options, Ends::OnRequest)
}

/// A reader of what is still being written: `head` is what there is of it, `stream` the rest as it comes. Nothing is looked up
/// beside it, and nothing sorted.
pub(super) fn open_followed(
    name: &str,
    head: Vec<u8>,
    stream: Box<dyn Read>,
    modified: Option<SystemTime>,
    options: &InputOptions,
) -> Result<Box<dyn RecordReader>, InputError> {
    let whole = Box::new(Cursor::new(head.clone()).chain(stream));
    let (head, stream): (_, Box<dyn Read>) = if compression::is_packed(&head) {
        let unpacked = unpack(name, whole)?;
        (unpacked.head, unpacked.stream)
    } else {
        (head, whole)
    };
    let reader = reader_of(name, &head, Source::Stream(stream), modified.and_then(day_of), options, None)?;
    match reader.unreadable_link() {
        Some(number) => Err(InputError::LinkType { file: name.to_owned(), number, name: LinkType::name_of(number) }),
        None => Ok(reader),
    }
}

fn day_of(modified: SystemTime) -> Option<Date> {
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    Some(Date::of(Micros::try_from(since.as_micros()).unwrap_or(0)))
}

fn unpack(name: &str, stream: Box<dyn Read>) -> Result<Unpacked, InputError> {
    let unpacked = compression::unpack(stream).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            InputError::Unsupported { file: name.to_owned(), what: format!("damaged or unknown packing: {source}") }
        }
        _ => InputError::Unreadable { file: name.to_owned(), source },
    })?;
    if unpacked.head.is_empty() {
        return Err(InputError::Empty { file: name.to_owned() });
    }
    Ok(unpacked)
}

/// When a stream ends, seen from the request to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// By itself, where it stands.
    OnRequest,
    /// Not before its file does.
    WithItsFile,
}

/// Copies a stream into a temporary file, so that it can be sorted by time like any file.
fn spool(
    name: &str,
    mut unpacked: Unpacked,
    day: Option<Date>,
    options: &InputOptions,
    ends: Ends,
) -> Result<OrderedInput, InputError> {
    let beside = (name != "-").then(|| Path::new(name));
    // What is no capture is told before a gigabyte of it has been copied.
    reader_of(name, &unpacked.head, Source::Stream(Box::new(io::empty())), day, options, beside)?;
    let failed = |source| InputError::Spool { file: name.to_owned(), source };
    let mut file = match &options.spool_directory {
        Some(directory) => tempfile::tempfile_in(directory),
        None => tempfile::tempfile(),
    }
    .map_err(failed)?;
    let mut copied = 0;
    let mut step = vec![0; SPOOL_STEP];
    let rest = loop {
        if options.shutdown.is_requested() {
            break None;
        }
        match unpacked.stream.read(&mut step) {
            Ok(0) => break None,
            Ok(count) if copied + count as u64 > options.spool => break Some(Rest::More(step[..count].to_vec())),
            Ok(count) => {
                file.write_all(&step[..count]).map_err(failed)?;
                copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A packed stream that was cut off on request is no broken one.
            Err(_) if options.shutdown.is_requested() => break None,
            Err(error) => break Some(Rest::Failed(error)),
        }
    };
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    match rest {
        None => {
            let reader = reader_of(name, &unpacked.head, Source::File(file), day, options, beside)?;
            let input = ordered(name, reader, &Rereadable::Yes, options)?;
            // The request has cut the copy short: what it holds is what there is to read.
            Ok(if options.shutdown.is_requested() { input.kept_whole() } else { input })
        }
        Some(Rest::Failed(error)) => {
            let reader = reader_of(name, &unpacked.head, Source::File(file), day, options, beside)?;
            ordered(name, reader, &Rereadable::Broken { offset: copied, error }, options)
        }
        Some(Rest::More(next)) => {
            let stream = file.chain(Cursor::new(next)).chain(unpacked.stream);
            let source = Source::Stream(Box::new(stream));
            let reader = reader_of(name, &unpacked.head, source, day, options, beside)?;
            let input = ordered(name, reader, &Rereadable::No { spool: options.spool }, options)?;
            Ok(if ends == Ends::OnRequest { input.kept_whole() } else { input })
        }
    }
}

/// What was not copied to the temporary file.
enum Rest {
    More(Vec<u8>),
    Failed(io::Error),
}

/// The reader of what begins with `head`; a table's companions are looked for in the directory of `beside`.
fn reader_of(
    name: &str,
    head: &[u8],
    source: Source,
    day: Option<Date>,
    options: &InputOptions,
    beside: Option<&Path>,
) -> Result<Box<dyn RecordReader>, InputError> {
    let kind = &options.kind;
    let asks_for_table = options.mapping.is_some() || matches!(kind, InputKind::Table(_));
    let mut source = source;
    if !asks_for_table {
        let is_rereadable = matches!(source, Source::File(_));
        if let Some(layout) = Layout::of(head) {
            return capture(name, Box::new(PcapReader::new(ByteStream::new(source), layout)), is_rereadable, options);
        }
        if is_pcapng(head) {
            return capture(name, Box::new(PcapngReader::new(ByteStream::new(source))), is_rereadable, options);
        }
        if *kind != InputKind::Packets && export::message(head).is_some() {
            let day = options.date.or(day).map_or(0, Date::start);
            return Ok(Box::new(ExportReader::of_raw(ByteStream::new(source), day, &options.templates)));
        }
    }
    let mut found = None;
    if matches!(kind, InputKind::ByContent | InputKind::Table(_)) {
        let day = options.date.or(day).unwrap_or(Date::from_days(0));
        let asked = table::Asked { kind: kind.table(), mapping: options.mapping.as_ref() };
        source = match table::open(beside, head, source, asked, day) {
            Opened::Reader(reader) => return Ok(reader),
            Opened::Unknown(what, source) => {
                found = Some(what);
                source
            }
            Opened::NoTable(source) => source,
        };
    }
    if !asks_for_table && tcpdump::is_text(head) {
        return Ok(Box::new(TextReader::new(ByteStream::new(source), options.date, day)));
    }
    let what = match (found, kind) {
        (Some(found), _) => found,
        _ if head.starts_with(b"snoop\0\0\0") => "a snoop capture; convert it with editcap -F pcap".to_owned(),
        _ if head.starts_with(b"MZ") || head.starts_with(b"\x7fELF") => "a program".to_owned(),
        (None, InputKind::Table(table)) => format!("content that is no table of {table}"),
        _ if export::claimed(head).is_some() => "a flow export whose lengths do not fit each other".to_owned(),
        (None, InputKind::Exports) => "content that is no capture and no flow export".to_owned(),
        _ if head.contains(&0) => "content that is no known capture format".to_owned(),
        _ => "text that is neither tcpdump's, whose lines begin with a time, nor a table with a header line".to_owned(),
    };
    Err(InputError::Unsupported { file: name.to_owned(), what })
}

/// The beginning and the content of a file beside another one, unpacked; `None` where there is none.
pub(super) fn unpacked_head(path: &Path) -> io::Result<Option<(Vec<u8>, Source)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let unpacked = compression::unpack(Box::new(file))?;
    Ok(Some((unpacked.head, Source::Stream(unpacked.stream))))
}

/// A capture as packets, or as the flows whose exports it holds.
fn capture(
    name: &str,
    reader: Box<dyn RecordReader>,
    is_rereadable: bool,
    options: &InputOptions,
) -> Result<Box<dyn RecordReader>, InputError> {
    match options.kind {
        InputKind::Exports => Ok(Box::new(ExportReader::of_capture(reader, &options.templates))),
        InputKind::ByContent if is_rereadable => exports::flows_or_packets(reader, &options.templates)
            .map_err(|source| InputError::Unreadable { file: name.to_owned(), source }),
        _ => Ok(reader),
    }
}

fn ordered(
    name: &str,
    reader: Box<dyn RecordReader>,
    rereadable: &Rereadable,
    options: &InputOptions,
) -> Result<OrderedInput, InputError> {
    let input = OrderedInput::new(name, reader, rereadable, options.reorder, options.spool)
        .map_err(|source| InputError::Unreadable { file: name.to_owned(), source })?;
    match input.unreadable_link() {
        Some(number) => Err(InputError::LinkType { file: name.to_owned(), number, name: LinkType::name_of(number) }),
        None => Ok(input),
    }
}
