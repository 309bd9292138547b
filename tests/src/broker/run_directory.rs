//! A folder for one cluster's data and logs. It stays when the test process ends, for whoever looks into a failure, and the
//! next process that starts a cluster removes it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::BrokerError;
use super::jars::target;

const LOCK: &str = "in-use";

/// A folder that nobody else uses or removes while this lives.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    path: PathBuf,
    /// Locked while the owner lives; the lock goes with the process, whatever ends it.
    _lock: File,
}

impl RunDirectory {
    /// A new one; those that nobody uses any more are removed.
    pub(crate) fn create() -> Result<Self, BrokerError> {
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let runs = target().join("kafka/runs");
        std::fs::create_dir_all(&runs).map_err(BrokerError::file("create", &runs))?;
        let runs = runs.canonicalize().map_err(BrokerError::file("find", &runs))?;
        // Who creates and who removes take turns: a folder is never seen between its creation and its lock.
        let turn_path = runs.join("turn");
        let turn = File::create(&turn_path).map_err(BrokerError::file("create", &turn_path))?;
        turn.lock().map_err(BrokerError::file("lock", &turn_path))?;
        remove_left_over(&runs);

        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let path = runs.join(format!("{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(BrokerError::file("create", &path))?;
        let lock_path = path.join(LOCK);
        let lock = File::create(&lock_path).map_err(BrokerError::file("create", &lock_path))?;
        lock.lock().map_err(BrokerError::file("lock", &lock_path))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes what dead processes left. Failing to is no harm: the next one tries again.
fn remove_left_over(runs: &Path) {
    let Ok(entries) = std::fs::read_dir(runs) else { return };
    for run in entries.flatten() {
        let Ok(lock) = File::open(run.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            let _ = std::fs::remove_dir_all(run.path());
        }
    }
}
