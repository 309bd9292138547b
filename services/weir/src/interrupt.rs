//! What a signal means: stop reading, judge what was read, say so.

use weir_runtime::Shutdown;

use crate::failure::Failure;

/// A token that SIGINT and SIGTERM raise; the second signal ends the process at once.
pub fn watch() -> Result<Shutdown, Failure> {
    let shutdown = Shutdown::new();
    shutdown.on_signals().map_err(|error| Failure::internal(format!("signals cannot be watched: {error}")))?;
    Ok(shutdown)
}

/// The line that tells of an interruption.
pub fn tell(packets: u64) {
    eprintln!("weir: interrupted after {packets} packets; all that is said is about these");
}
