//! Exit statuses: what a supervisor or a script does next depends on nothing else.
//!
//! Numbers above 63 are those of BSD's `sysexits.h`.

/// Stopped as asked; for `analyze`, nothing found.
pub const STOPPED: u8 = 0;

/// `analyze` found something.
pub const FOUND: u8 = 1;

/// Usage, configuration or input: mend the command line, the file or the capture. A restart does not help.
pub const USAGE: u8 = 2;

/// Unreachable (`EX_UNAVAILABLE`): a broker does not answer, or refuses to let us in. A restart helps once it does.
pub const UNREACHABLE: u8 = 69;

/// Internal (`EX_SOFTWARE`): this process can do no more, and a restart takes up where it stopped.
pub const INTERNAL: u8 = 70;

/// Environment (`EX_CONFIG`): topic settings, partition counts, ports. A restart does not help before somebody mends them.
pub const ENVIRONMENT: u8 = 78;
