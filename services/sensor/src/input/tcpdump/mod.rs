//! tcpdump's text: one packet per line that begins with a time, with what belongs to it on the lines that follow.

mod ends;
mod hex;
mod icmp;
mod line;
mod protocols;
mod services;
mod stamp;

use std::collections::VecDeque;
use std::io;

pub use line::{TextPacket, parse_line};
pub use stamp::Stamp;
use weir_schemas::{Host, Micros};

use super::Observed;
use super::bytes::ByteStream;
use super::date::{DAY_US, Date};
use super::reader::{Fault, Patience, RecordReader, believable_time, count};
use crate::decode::decode_frame;
use crate::packet::{Body, InputCounters, Packet};

/// A longer line is no tcpdump output.
const LONGEST_LINE: usize = 64 * 1024;
/// What one packet's lines may fill; the rest of a longer verbose text is passed over.
const MOST_TEXT: usize = 64 * 1024;
/// ARP requests that are remembered for their replies.
const MOST_ASKED: usize = 64;
/// Going back by more than this in text without dates is the next day.
const HALF_DAY_US: Micros = DAY_US / 2;

/// Whether a file that begins with `head` is text with a tcpdump line in it.
#[must_use]
pub fn is_text(head: &[u8]) -> bool {
    !head.contains(&0)
        && head.split(|byte| *byte == b'\n').any(|line| {
            let line = String::from_utf8_lossy(line);
            stamp::parse(&line).is_some()
        })
}

/// Reads tcpdump text.
pub(super) struct TextReader {
    stream: ByteStream,
    /// The day to assume, and whether it was given rather than guessed.
    date: Date,
    date_given: bool,
    date_source: &'static str,
    assumed: bool,
    /// First microsecond of the day that the last time of day belonged to.
    day: Micros,
    last_time: Option<Micros>,
    text: String,
    bytes: Vec<u8>,
    fault: Option<Fault>,
    /// Newest requests: who was asked for, and by whom. The text of a reply does not say whom it answers.
    asked: VecDeque<(Host, Host)>,
}

impl TextReader {
    pub(super) fn new(stream: ByteStream, given: Option<Date>, file_day: Option<Date>) -> Self {
        let date = given.or(file_day).unwrap_or(Date::from_days(0));
        let date_source = match (given, file_day) {
            (None, Some(_)) => "the day on which the file was last changed",
            _ => "for want of any",
        };
        Self {
            stream,
            date,
            date_given: given.is_some(),
            date_source,
            assumed: false,
            day: date.start(),
            last_time: None,
            text: String::new(),
            bytes: Vec::new(),
            fault: None,
            asked: VecDeque::with_capacity(MOST_ASKED),
        }
    }

    fn complete_arp(&mut self, packet: &mut Packet) {
        let Body::Arp(arp) = &mut packet.body else {
            return;
        };
        if arp.op == 1 {
            if self.asked.len() == MOST_ASKED {
                self.asked.pop_front();
            }
            self.asked.push_back((arp.target.clone(), arp.sender.clone()));
        } else if let Some((_, asker)) = self.asked.iter().rev().find(|(asked, _)| *asked == arp.sender) {
            arp.target = asker.clone();
        }
    }

    /// The length of the next line with its line break; 0 at the end.
    fn next_line(&mut self) -> usize {
        // A byte more than there is: a text that is being written has no more to give than whole lines, at times.
        let mut wanted = 1;
        loop {
            let ready = self.stream.fill(wanted);
            if let Some(at) = ready.iter().position(|byte| *byte == b'\n') {
                if at < LONGEST_LINE {
                    return at + 1;
                }
            } else if ready.len() < wanted {
                return ready.len().min(LONGEST_LINE);
            } else if ready.len() <= LONGEST_LINE {
                wanted = (ready.len() + 1).min(LONGEST_LINE + 1);
                continue;
            }
            let message = "a line over 64 KiB is no tcpdump output; the packets before were read".to_owned();
            self.fault = Some(Fault { offset: self.stream.offset(), message });
            return 0;
        }
    }

    /// Gathers the lines of the next packet; returns its offset and time.
    fn gather(&mut self) -> Option<(u64, Stamp)> {
        self.text.clear();
        self.bytes.clear();
        if self.fault.is_some() {
            return None;
        }
        let mut patience = Patience::default();
        let (offset, stamp) = loop {
            let offset = self.stream.offset();
            let length = self.next_line();
            if length == 0 {
                self.note_failure();
                return None;
            }
            let line = String::from_utf8_lossy(&self.stream.fill(length)[..length]);
            let stamp = stamp::parse(&line).map(|(stamp, _)| stamp);
            if stamp.is_some() {
                self.text.push_str(line.trim_end());
            }
            self.stream.consume(length);
            if let Some(stamp) = stamp {
                break (offset, stamp);
            }
            if !patience.lasts(false) {
                self.fail_for_want_of_packets();
                return None;
            }
        };
        loop {
            let length = self.next_line();
            if length == 0 {
                // A line that is too long is met again, and told, by the next call.
                break;
            }
            let line = String::from_utf8_lossy(&self.stream.fill(length)[..length]);
            if stamp::parse(&line).is_some() {
                break;
            }
            let indented = line.starts_with([' ', '\t']);
            if !hex::append(&line, &mut self.bytes) && indented && self.text.len() + line.len() < MOST_TEXT {
                self.text.push(' ');
                self.text.push_str(line.trim());
            }
            self.stream.consume(length);
            if !patience.lasts(false) {
                // Told by the next call; this packet is whole.
                self.fail_for_want_of_packets();
                break;
            }
        }
        Some((offset, stamp))
    }

    fn fail_for_want_of_packets(&mut self) {
        let message = "over 65536 lines in a row without a packet are no tcpdump output; the packets before were read";
        self.fault = Some(Fault { offset: self.stream.offset(), message: message.to_owned() });
    }

    fn note_failure(&mut self) {
        if let Some(failure) = self.stream.failure()
            && self.fault.is_none()
        {
            let message = format!("reading failed ({failure}); the packets before were read");
            self.fault = Some(Fault { offset: self.stream.offset(), message });
        }
    }

    fn time_of(&mut self, stamp: Stamp) -> Micros {
        let time = match stamp {
            Stamp::Absolute(time) => time,
            Stamp::TimeOfDay(time_of_day) => {
                self.assumed = !self.date_given;
                let last = self.last_time.unwrap_or(self.day + time_of_day);
                if self.day + time_of_day < last - HALF_DAY_US {
                    self.day += DAY_US;
                }
                let time = self.day + time_of_day;
                // A packet from before midnight that stands after one from after it.
                let straggles = time > last + HALF_DAY_US && self.day > self.date.start();
                if straggles { time - DAY_US } else { time }
            }
        };
        let time = believable_time(time);
        self.last_time = Some(time);
        time
    }
}

impl RecordReader for TextReader {
    fn kind(&self) -> &'static str {
        "tcpdump"
    }

    fn next(&mut self, counters: &mut InputCounters) -> Option<Observed> {
        let (_, stamp) = self.gather()?;
        let time = self.time_of(stamp);
        hex::complete_arp(&mut self.bytes);
        if let Some((link, wire)) = hex::layout(&self.bytes, &self.text) {
            let captured = self.bytes.len() as u32;
            let (packet, error) = decode_frame(link, time, &self.bytes, wire.max(captured));
            count(counters, &packet, error, captured, wire.max(captured));
            return Some(packet.into());
        }
        let mut found = parse_line(&self.text)?;
        found.packet.time = time;
        self.complete_arp(&mut found.packet);
        count(counters, &found.packet, found.error, found.wire, found.wire);
        Some(Box::new(found.packet).into())
    }

    fn next_time(&mut self) -> Option<(Micros, u64)> {
        let (offset, stamp) = self.gather()?;
        Some((self.time_of(stamp), offset))
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.fault = None;
        if offset == 0 {
            self.day = self.date.start();
            self.last_time = None;
        }
        self.stream.seek(offset)
    }

    fn take_fault(&mut self) -> Option<Fault> {
        self.fault.clone()
    }

    fn assumption(&self) -> Option<String> {
        let (date, source) = (self.date, self.date_source);
        self.assumed.then(|| format!("times without a date: {date} (UTC) is assumed, {source}; --date sets it"))
    }
}
