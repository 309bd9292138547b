//! What goes wrong in a schedule, and how often.

use crate::chance::Chance;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `partition_count`, `bounds`, `read`, `committed`, `start`, `pause`, `resume`.
    Look,
    /// `poll`.
    Poll,
    /// `begin`.
    Begin,
    /// `send`.
    Send,
    /// `send_offsets`.
    SendOffsets,
    /// `commit`.
    Commit,
    /// `abort`.
    Abort,
    /// `pass`.
    Pass,
}

/// What befalls a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    /// Nothing.
    None,
    /// It fails, to be tried again, without having taken place.
    Retry,
    /// It takes place, and its answer is lost: to be tried again.
    RetryAfter,
    /// The transaction must be aborted.
    Abort,
    /// The client is of no more use; the call has not taken place.
    Restart,
    /// Likewise, but the call has taken place.
    RestartAfter,
    /// The process dies before the call.
    Die,
    /// The process dies once the call has taken place.
    DieAfter,
}

/// How often what happens: chances in ten thousand, per call where not said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// A call fails, to be tried again.
    pub retry: u64,
    /// A call of the transaction fails such that it must be aborted.
    pub abort: u64,
    /// The client breaks.
    pub restart: u64,
    /// The process dies.
    pub death: u64,
    /// The process dies at a moment of a commit that tests name, of ten thousand passes.
    pub death_at_fault_point: u64,
    /// Other members go on while this one's call is under way.
    pub interleave: u64,
    /// The process is stopped in the middle of a call, for longer than its session or its transaction lasts.
    pub stop: u64,
    /// A member loses its coordinator for longer than its session lasts, and does not know.
    pub cut_off: u64,
    /// A member is not polled for too long: what it had is gone until it has joined anew.
    pub overdue: u64,
    /// A static member is taken for the one it was before, and refused.
    pub mistaken: u64,
    /// A process ends in order, and another is started; of ten thousand turns.
    pub orderly_end: u64,
    /// Markers of a transaction arrive late; of ten thousand markers.
    pub late_markers: u64,
    /// Latest arrival of a late marker, µs.
    pub latest_marker: u64,
    /// The brokers are away for a while.
    pub outage: u64,
    /// Longest outage, µs.
    pub longest_outage: u64,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        retry: 0,
        abort: 0,
        restart: 0,
        death: 0,
        death_at_fault_point: 0,
        interleave: 0,
        stop: 0,
        cut_off: 0,
        overdue: 0,
        mistaken: 0,
        orderly_end: 0,
        late_markers: 0,
        latest_marker: 0,
        outage: 0,
        longest_outage: 0,
    };

    /// Some mixture: schedules differ in what they have much of.
    #[must_use]
    pub fn any(chance: &mut Chance) -> Self {
        let mut often = |most: u64| match chance.below(4) {
            0 => 0,
            1 | 2 => most / 8,
            _ => most,
        };
        Self {
            retry: often(600),
            abort: often(300),
            restart: often(20),
            death: often(40),
            death_at_fault_point: often(600),
            interleave: often(400),
            stop: often(30),
            cut_off: often(20),
            overdue: often(20),
            mistaken: often(10),
            orderly_end: often(200),
            late_markers: often(6_000),
            latest_marker: 25_000_000,
            outage: often(10),
            longest_outage: 80_000_000,
        }
    }

    /// What befalls one call.
    pub(super) fn strike(&self, chance: &mut Chance, call: Call) -> Strike {
        let mut draw = chance.below(10_000);
        let mut hits = |rate: u64| {
            if draw < rate {
                return true;
            }
            draw -= rate;
            false
        };
        let (may_retry, may_abort) = match call {
            Call::Look | Call::Poll | Call::Begin | Call::Abort => (true, false),
            Call::Send | Call::SendOffsets | Call::Commit => (true, true),
            Call::Pass => (false, false),
        };
        let death = if call == Call::Pass { self.death_at_fault_point } else { self.death };
        if hits(death) {
            return if call != Call::Pass && chance.percent(50) { Strike::DieAfter } else { Strike::Die };
        }
        if call != Call::Pass && hits(self.restart) {
            return if chance.percent(50) { Strike::RestartAfter } else { Strike::Restart };
        }
        if may_abort && hits(self.abort) {
            return Strike::Abort;
        }
        if may_retry && hits(self.retry) {
            // A message that could not be taken is not taken: only calls that the broker answers can take place unheard.
            let answered = matches!(call, Call::Begin | Call::SendOffsets | Call::Commit | Call::Abort);
            return if answered && chance.percent(50) { Strike::RetryAfter } else { Strike::Retry };
        }
        Strike::None
    }
}
