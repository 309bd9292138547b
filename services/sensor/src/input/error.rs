//! Why an input cannot be read at all: each says whose fault it is and what to do. None is mended by a retry alone.

use std::io;

/// An input that cannot be opened. What goes wrong later, inside an input, is a warning.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file is not there.
    #[error("{file}: no such file; check the path")]
    Missing {
        /// The file as it was given.
        file: String,
    },
    /// A directory without files was given.
    #[error("{file}: is a directory without files; give one that holds captures or tables of flows")]
    Directory {
        /// The path as it was given.
        file: String,
    },
    /// The operating system refuses to read the file.
    #[error("{file}: cannot be read ({source}); check its permissions and its disk")]
    Unreadable {
        /// The file as it was given.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is not one byte.
    #[error("{file}: is empty (0 bytes); give a capture or a table of flows")]
    Empty {
        /// The file as it was given.
        file: String,
    },
    /// The content is of no supported kind.
    #[error(
        "{file}: unsupported: {what}; give a capture (pcap, pcapng, tcpdump text) or a table of flows, plain or in gzip, zstd or zip; --mapping FILE says what the columns of a table of your own mean"
    )]
    Unsupported {
        /// The file as it was given.
        file: String,
        /// What it holds instead.
        what: String,
    },
    /// No interface of the capture has a link type that can be decoded.
    #[error("{file}: unsupported link type {number} ({name}); capture on Ethernet, raw IP, loopback or Linux cooked")]
    LinkType {
        /// The file as it was given.
        file: String,
        /// Its number in the registry of link-layer header types.
        number: u32,
        /// Its name there, where it is a common one.
        name: &'static str,
    },
    /// More is asked for at a time than one process does.
    #[error("{count} paths to follow are more than {most}; follow the directory they are in, or start another sensor")]
    TooMany {
        /// How many were given.
        count: usize,
        /// How many may be.
        most: usize,
    },
    /// The temporary file cannot be made.
    #[error("{file}: no temporary file for spooling ({source}); free some space or set another spool directory")]
    Spool {
        /// The file as it was given.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
}

impl InputError {
    /// Whether the file can be read, and only holds something else.
    pub(super) fn is_of_content(&self) -> bool {
        matches!(self, Self::Empty { .. } | Self::Unsupported { .. } | Self::LinkType { .. })
    }
}
