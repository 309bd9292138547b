//! Standard input as it comes, so that a capture may be piped in while it is made.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::growing::LOOK_EVERY;
use super::outbox::Outbox;

/// The stream.
pub(super) struct StandardInput {
    file: File,
    outbox: Rc<RefCell<Outbox>>,
}

impl StandardInput {
    pub(super) fn open(outbox: Rc<RefCell<Outbox>>) -> io::Result<Self> {
        // Not through std's buffer: what lies there, a wait for the descriptor would not see.
        let descriptor = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self { file: File::from(descriptor), outbox })
    }

    fn is_readable(&self, wait: &Timespec) -> io::Result<bool> {
        match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(wait)) {
            Ok(0) | Err(Errno::INTR) => Ok(false),
            // Hang-ups and errors are events too: the read that follows meets them.
            Ok(_) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read for StandardInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut outbox = self.outbox.borrow_mut();
        let no_time = Timespec { tv_sec: 0, tv_nsec: 0 };
        let a_while = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_EVERY.subsec_nanos()) };
        let mut is_readable = self.is_readable(&no_time)?;
        while !is_readable {
            outbox.announce_wait();
            if outbox.is_stopped() {
                return Ok(0);
            }
            is_readable = self.is_readable(&a_while)?;
        }
        outbox.go_on();
        self.file.read(buffer)
    }
}
