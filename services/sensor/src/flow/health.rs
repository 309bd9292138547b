//! A flow's TCP measurements in one pane: hop limits, windows, what was sent again, response times.

use weir_schemas::tcp::{Response, Ttl, WindowSize};

use super::sequence::{Findings, Resent};
use crate::packet::SynShape;

/// Hop limits of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TtlRange {
    min: u8,
    max: u8,
    last: u8,
    changes: u32,
    sum: u64,
}

impl TtlRange {
    #[inline]
    pub(super) fn add(&mut self, ttl: u8, is_first: bool) {
        if is_first {
            (self.min, self.max, self.last) = (ttl, ttl, ttl);
        }
        self.min = self.min.min(ttl);
        self.max = self.max.max(ttl);
        self.changes += u32::from(self.last != ttl);
        self.last = ttl;
        self.sum += u64::from(ttl);
    }

    pub(super) fn told(self) -> Ttl {
        Ttl { min: self.min, max: self.max, sum: self.sum, changes: self.changes }
    }
}

/// Windows of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WindowRange {
    min: u16,
    max: u16,
    sum: u64,
    /// No more than 2³² segments of 2³² each.
    sumsq: u64,
}

impl WindowRange {
    #[inline]
    pub(super) fn add(&mut self, window: u16, is_first: bool) {
        if is_first {
            self.min = window;
        }
        self.min = self.min.min(window);
        self.max = self.max.max(window);
        self.sum += u64::from(window);
        self.sumsq = self.sumsq.saturating_add(u64::from(window) * u64::from(window));
    }

    pub(super) fn told(self) -> WindowSize {
        WindowSize { min: self.min, max: self.max, sum: self.sum, sumsq: u128::from(self.sumsq) }
    }
}

/// A SYN or SYN-ACK of the pane.
#[derive(Clone, Copy, Debug)]
pub(super) struct SynSeen {
    pub(super) shape: SynShape,
    pub(super) ttl: u8,
    pub(super) window: u16,
}

/// What is rare enough to be kept apart: a flood's flows have none of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    pub(super) retrans: u32,
    pub(super) fast_retrans: u32,
    pub(super) spurious_retrans: u32,
    pub(super) out_of_order: u32,
    pub(super) dup_ack: u32,
    pub(super) zero_window: u32,
    pub(super) window_probe: u32,
    pub(super) keepalive: u32,
    pub(super) ack_unseen: u32,
    pub(super) duplicate_frame: u32,
    pub(super) ts_backwards: u32,
    pub(super) option_errors: u32,
    /// Answers to each end's requests.
    pub(super) responses: [Response; 2],
}

impl Health {
    /// Adds what a segment of `sender` was.
    pub(super) fn add(&mut self, sender: usize, findings: &Findings) {
        match findings.resent {
            Some(Resent::Retransmission) => self.retrans += 1,
            Some(Resent::Fast) => self.fast_retrans += 1,
            Some(Resent::Spurious) => self.spurious_retrans += 1,
            Some(Resent::OutOfOrder) => self.out_of_order += 1,
            None => {}
        }
        self.dup_ack += u32::from(findings.dup_ack);
        self.zero_window += u32::from(findings.zero_window);
        self.window_probe += u32::from(findings.window_probe);
        self.keepalive += u32::from(findings.keepalive);
        self.ack_unseen += u32::from(findings.ack_unseen);
        self.ts_backwards += u32::from(findings.ts_backwards);
        if let Some(time) = findings.response {
            let response = &mut self.responses[1 - sender];
            response.n += 1;
            response.sum_us += u64::from(time);
            response.max_us = response.max_us.max(time);
        }
    }
}
