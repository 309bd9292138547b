//! What exporters sent and nobody received, told by the gaps of their sequence numbers.

/// The next sequence number of one stream of messages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequence {
    expected: Option<u32>,
    last: u32,
}

/// A message this much behind is one that overtook; further behind, the exporter has restarted.
const OVERTAKEN: u32 = 4096;
/// A gap this large is a restart: it would be hours of a busy exporter.
const RESTARTED: u32 = 1 << 24;

/// What a sequence number tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Nothing is missing, or it cannot be told.
    None,
    /// As many are missing.
    Lost(u32),
    /// As many that were counted as lost have come after all.
    Found(u32),
}

impl Sequence {
    /// Notes a message that begins with `number` and holds `count` of what the protocol numbers; `None` where that is not
    /// known.
    pub(super) fn note(&mut self, number: u32, count: Option<u32>) -> Gap {
        let next = count.map(|count| number.wrapping_add(count));
        let step = number.wrapping_sub(std::mem::replace(&mut self.last, number));
        let Some(expected) = self.expected else {
            self.expected = next;
            return Gap::None;
        };
        // softflowd numbers a message by what was sent up to its end, and not to its beginning.
        if step > 0 && Some(step) == count {
            self.expected = next;
            return Gap::None;
        }
        let ahead = number.wrapping_sub(expected);
        let behind = expected.wrapping_sub(number);
        if ahead == 0 {
            self.expected = next;
            Gap::None
        } else if ahead < RESTARTED {
            self.expected = next;
            Gap::Lost(ahead)
        } else if behind <= OVERTAKEN {
            Gap::Found(count.unwrap_or(0).min(behind))
        } else {
            self.expected = next;
            Gap::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of what was lost, as the caller keeps it.
    fn lost(messages: &[(u32, Option<u32>)]) -> u64 {
        let mut sequence = Sequence::default();
        messages.iter().fold(0, |lost: u64, (number, count)| match sequence.note(*number, *count) {
            Gap::None => lost,
            Gap::Lost(count) => lost + u64::from(count),
            Gap::Found(count) => lost.saturating_sub(u64::from(count)),
        })
    }

    #[test]
    fn gaps_are_losses() {
        assert_eq!(lost(&[(100, Some(30)), (130, Some(30)), (160, Some(1))]), 0);
        assert_eq!(lost(&[(100, Some(30)), (160, Some(30))]), 30);
        assert_eq!(lost(&[(u32::MAX, Some(2)), (1, Some(30)), (33, Some(2))]), 2);
    }

    #[test]
    fn what_was_overtaken_is_not_lost() {
        assert_eq!(lost(&[(0, Some(10)), (20, Some(10)), (10, Some(10)), (30, Some(10))]), 0);
    }

    #[test]
    fn numbers_of_the_end_of_messages_are_understood() {
        assert_eq!(lost(&[(17, Some(18)), (44, Some(27)), (71, Some(27)), (95, Some(24))]), 0);
    }

    #[test]
    fn a_restart_is_no_loss() {
        assert_eq!(lost(&[(4_000_000_000, Some(10)), (0, Some(10)), (10, Some(5)), (16, Some(5))]), 1);
    }

    #[test]
    fn where_the_count_is_unknown_nothing_is_told() {
        assert_eq!(lost(&[(100, None), (150, Some(10)), (160, Some(10))]), 0);
    }
}
