//! A file that is still being written, as a stream: its end is where its writer has gone on to another one.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;
use std::time::Duration;

use super::outbox::Outbox;
use super::rotation::Rotation;

/// Between two looks at a file that has not grown.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The stream.
pub(super) struct Growing {
    file: File,
    rotation: Rc<RefCell<Rotation>>,
    outbox: Rc<RefCell<Outbox>>,
    has_ended: bool,
}

impl Growing {
    pub(super) fn new(file: File, rotation: Rc<RefCell<Rotation>>, outbox: Rc<RefCell<Outbox>>) -> Self {
        Self { file, rotation, outbox, has_ended: false }
    }

    fn read_once(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.rotation.borrow_mut().note_read(count as u64);
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_ended || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.read_once(buffer)?;
            if count > 0 {
                self.outbox.borrow_mut().go_on();
                return Ok(count);
            }
            if self.rotation.borrow_mut().has_gone_on() {
                // What was written between the look at the file and the look at its writer.
                let rest = self.read_once(buffer)?;
                self.has_ended = rest == 0;
                return Ok(rest);
            }
            let mut outbox = self.outbox.borrow_mut();
            if outbox.is_stopped() {
                self.has_ended = true;
                return Ok(0);
            }
            outbox.wait(LOOK_EVERY);
        }
    }
}
