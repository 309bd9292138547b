//! The commit protocol: outputs, state and offsets in one burst, begun when all of it is at hand (KIP-98, KIP-447).
//!
//! No transaction stays open across a poll, so that a rebalance never meets one, and readers wait for a burst's length only.

use std::time::Duration;

use crate::Message;
use crate::member::{FaultPoint, Member, MemberError, OffsetCommit, Remedy};

/// Pause between repetitions of a call.
const BACKOFF: Duration = Duration::from_millis(100);

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is committed.
    Committed,
    /// None of it is. It may be tried again while the partitions are the member's: look for a rebalance first.
    Aborted(MemberError),
}

/// Publishes `messages` and `offsets` together, or neither. Calls are repeated until `patience` has passed without any of
/// them getting through.
///
/// # Errors
/// [`Remedy::Leave`] or [`Remedy::Restart`]: the member can do no more, and whether the transaction took place is for its
/// successor to find.
pub fn transact<'a, M: Member + ?Sized>(
    member: &mut M,
    messages: impl Iterator<Item = &'a Message>,
    offsets: &[OffsetCommit],
    patience: Duration,
) -> Result<Outcome, MemberError> {
    let outcome = attempt(member, messages, offsets, patience);
    match outcome {
        Err(error) if error.remedy == Remedy::Abort => {
            insist(member, patience, "abort the transaction", Member::abort)?;
            Ok(Outcome::Aborted(error))
        }
        Err(error) => Err(error),
        Ok(()) => Ok(Outcome::Committed),
    }
}

fn attempt<'a, M: Member + ?Sized>(
    member: &mut M,
    messages: impl Iterator<Item = &'a Message>,
    offsets: &[OffsetCommit],
    patience: Duration,
) -> Result<(), MemberError> {
    insist(member, patience, "begin a transaction", Member::begin)?;
    member.pass(FaultPoint::AfterBegin)?;
    for message in messages {
        insist(member, patience, "send", |member| member.send(message))?;
    }
    member.pass(FaultPoint::AfterSend)?;
    insist(member, patience, "send offsets to the transaction", |member| member.send_offsets(offsets))?;
    member.pass(FaultPoint::AfterOffsets)?;
    member.pass(FaultPoint::BeforeCommit)?;
    insist(member, patience, "commit the transaction", Member::commit)
}

/// The same call until it gets through, does not help, or patience ends.
fn insist<M: Member + ?Sized>(
    member: &mut M,
    patience: Duration,
    what: &str,
    mut call: impl FnMut(&mut M) -> Result<(), MemberError>,
) -> Result<(), MemberError> {
    let deadline = member.now() + patience;
    loop {
        let error = match call(member) {
            Err(error) if error.remedy == Remedy::Retry => error,
            result => return result,
        };
        if member.now() >= deadline {
            let seconds = patience.as_secs();
            return Err(MemberError::restart(format!("could not {what} for {seconds} s: {error}")));
        }
        member.wait(BACKOFF);
    }
}
