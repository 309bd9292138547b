//! The shutdown token: one flag that SIGINT, SIGTERM or code raises, and that every loop looks at.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Asks all who hold a clone to come to an end. Once raised it stays so.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    requested: Arc<AtomicBool>,
}

impl Shutdown {
    /// A token that nobody has raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the token.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }

    /// Whether it is time to come to an end. Costs one load.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// Lets SIGINT and SIGTERM raise the token. A second signal ends the process at once, with status 128 + signal:
    /// whoever sends it does not want to wait. Environment: fails where the system refuses signal handlers.
    pub fn on_signals(&self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // In this order: at the first signal the token is not raised yet when the conditional handler looks.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&self.requested))?;
            flag::register(signal, Arc::clone(&self.requested))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clone_sees_the_request() {
        let token = Shutdown::new();
        let clone = token.clone();
        assert!(!clone.is_requested());
        token.request();
        assert!(clone.is_requested());
    }

    #[test]
    fn a_signal_raises_the_token() {
        let token = Shutdown::new();
        token.on_signals().unwrap();
        // Delivered to this thread before `raise` returns (POSIX.1-2017, raise).
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(token.is_requested());
    }
}
