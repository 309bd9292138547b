//! A stream that ends when the process is asked to come to an end: a pipe may never end by itself.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use weir_runtime::Shutdown;

/// How long a request may go unseen that arrives just before the wait. A signal during the wait ends it (poll(2) is never
/// restarted, signal(7)).
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// The stream.
pub(super) struct Interruptible {
    file: File,
    shutdown: Shutdown,
}

impl Interruptible {
    pub(super) fn new(file: File, shutdown: Shutdown) -> Self {
        Self { file, shutdown }
    }

    /// Waits for something to read. False if there is nobody left to read for.
    fn wait(&self) -> io::Result<bool> {
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(LONGEST_WAIT.subsec_nanos()) };
        loop {
            if self.shutdown.is_requested() {
                return Ok(false);
            }
            // Hang-ups and errors are events too: the read that follows meets them.
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&wait)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.wait()? { self.file.read(buffer) } else { Ok(0) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_pipe_that_is_held_open_ends_on_request() {
        let (reader, mut writer) = io::pipe().unwrap();
        let shutdown = Shutdown::new();
        let mut stream = Interruptible::new(File::from(OwnedFd::from(reader)), shutdown.clone());
        io::Write::write_all(&mut writer, b"before").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(stream.read(&mut buffer).unwrap(), 6);
        let waiting = std::thread::spawn(move || stream.read(&mut [0; 16]).unwrap());
        shutdown.request();
        assert_eq!(waiting.join().unwrap(), 0);
        drop(writer);
    }

    #[test]
    fn the_end_of_a_pipe_is_the_end() {
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        let mut stream = Interruptible::new(File::from(OwnedFd::from(reader)), Shutdown::new());
        assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0);
    }
}
