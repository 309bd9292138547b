//! How one direction's volume spreads over time: its packets evenly, the first at the start and the last at the end.
//!
//! Packets go to panes by cumulative counts, bytes follow their packets by cumulative floor, so that the shares of all panes
//! add up to what was measured, and no share has bytes without packets.

use weir_schemas::{Micros, PANE_US};

use super::Measured;

/// The most that one IP packet holds.
const LARGEST_PACKET: u64 = 65_535;

/// One direction of a flow, and how much of it has been handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    start: Micros,
    end: Micros,
    packets: u64,
    bytes: u64,
    payload: u64,
    taken: Volume,
}

/// A volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) payload: u64,
}

impl Direction {
    /// `measured`, evenly from `start` to `end`. Where packets are not told, they are as few as the bytes allow, but one in
    /// each pane, so that the bytes spread over time.
    pub(super) fn new(start: Micros, end: Micros, measured: Measured, payload: u64) -> Self {
        let end = end.max(start);
        let panes = ((end - start) / PANE_US) as u64 + 1;
        let fewest = measured.bytes.div_ceil(LARGEST_PACKET).max(panes.min(measured.bytes));
        let packets = if measured.packets == 0 { fewest } else { measured.packets };
        Self { start, end, packets, bytes: measured.bytes, payload, taken: Volume::default() }
    }

    /// Nothing at all.
    pub(super) fn silent() -> Self {
        Self::new(0, 0, Measured::default(), 0)
    }

    /// Packets in all.
    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes in all.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The time of the first packet that was not handed out.
    pub(super) fn next(&self) -> Option<Micros> {
        (self.taken.packets < self.packets).then(|| self.time_of(self.taken.packets))
    }

    /// Hands out what lies before `until`; with it the time of its last packet.
    pub(super) fn take(&mut self, until: Micros) -> Option<(Volume, Micros)> {
        let packets = self.packets_before(until);
        if packets <= self.taken.packets {
            return None;
        }
        let part = |total: u64| (u128::from(total) * u128::from(packets) / u128::from(self.packets)) as u64;
        let now = Volume { packets, bytes: part(self.bytes), payload: part(self.payload) };
        let before = std::mem::replace(&mut self.taken, now);
        let share = Volume {
            packets: now.packets - before.packets,
            bytes: now.bytes - before.bytes,
            payload: now.payload - before.payload,
        };
        Some((share, self.time_of(packets - 1)))
    }

    /// How many packets lie before `until`.
    fn packets_before(&self, until: Micros) -> u64 {
        if until > self.end {
            return self.packets;
        }
        if until <= self.start || self.packets == 0 {
            return 0;
        }
        // Packet i lies at i × duration ÷ (packets − 1), which is before `elapsed` iff i is below this.
        let (elapsed, duration) = ((until - self.start) as u128, (self.end - self.start) as u128);
        let gaps = u128::from(self.packets - 1);
        (elapsed * gaps).div_ceil(duration).max(1) as u64
    }

    fn time_of(&self, packet: u64) -> Micros {
        let gaps = u128::from(self.packets.saturating_sub(1)).max(1);
        let duration = (self.end - self.start) as u128;
        self.start + (u128::from(packet) * duration / gaps) as Micros
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_schemas::{pane_end, pane_start};

    use super::*;

    fn shares(mut direction: Direction) -> Vec<(Micros, Volume, Micros)> {
        let mut shares = Vec::new();
        while let Some(first) = direction.next() {
            let (share, last) = direction.take(pane_end(first)).unwrap();
            shares.push((first, share, last));
        }
        shares
    }

    #[test]
    fn packets_and_bytes_go_to_the_panes_they_were_sent_in() {
        let second = PANE_US / 10;
        let even = Measured { packets: 31, bytes: 3100, payload: None };
        let found = shares(Direction::new(5 * second, 35 * second, even, 310));
        let expected = [(5, 5, 500, 50, 9), (10, 10, 1000, 100, 19), (20, 10, 1000, 100, 29), (30, 6, 600, 60, 35)];
        let expected = expected.map(|(first, packets, bytes, payload, last)| {
            (first * second, Volume { packets, bytes, payload }, last * second)
        });
        assert_eq!(found, expected);

        let two = Measured { packets: 2, bytes: 101, payload: None };
        let found = shares(Direction::new(0, 600 * second, two, 0));
        let volume = |bytes| Volume { packets: 1, bytes, payload: 0 };
        assert_eq!(found, [(0, volume(50), 0), (600 * second, volume(51), 600 * second)]);
    }

    #[test]
    fn bytes_alone_spread_over_the_panes() {
        let only_bytes = Measured { packets: 0, bytes: 6000, payload: None };
        let found = shares(Direction::new(0, 6 * PANE_US - 1, only_bytes, 0));
        assert_eq!(found.len(), 6);
        assert!(
            found.iter().all(|(_, volume, _)| *volume == Volume { packets: 1, bytes: 1000, payload: 0 }),
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn shares_add_up_and_lie_in_their_panes(
            start in 0..1_000_000_000_i64,
            duration in prop_oneof![Just(0), 0..600 * PANE_US],
            packets in prop_oneof![0..5_u64, 0..2_000_u64],
            bytes in prop_oneof![0..100_u64, 0..u64::MAX / 2],
            payload in 0..10_000_u64,
        ) {
            // Bytes alone mean at least a packet per 64 KiB, of which there must not be too many for a test.
            let bytes = if packets == 0 { bytes % 10_000_000 } else { bytes };
            let payload = if packets == 0 && bytes == 0 { 0 } else { payload };
            let direction = Direction::new(start, start + duration, Measured { packets, bytes, payload: None }, payload);
            let found = shares(direction);
            let sum = |of: fn(&Volume) -> u64| found.iter().map(|(_, volume, _)| of(volume)).sum::<u64>();
            prop_assert_eq!(sum(|volume| volume.packets), direction.packets());
            prop_assert!(packets == 0 || direction.packets() == packets);
            prop_assert_eq!(sum(|volume| volume.bytes), bytes);
            prop_assert_eq!(sum(|volume| volume.payload), payload);
            prop_assert!(found.iter().map(|(first, ..)| pane_start(*first)).is_sorted_by(|one, other| one < other));
            for (first, volume, last) in &found {
                prop_assert!(volume.packets > 0);
                prop_assert!(first <= last && pane_start(*first) == pane_start(*last));
            }
            if direction.packets() > 0 {
                prop_assert_eq!(found[0].0, start);
                prop_assert!(found[found.len() - 1].2 == start + duration || direction.packets() == 1);
            }
        }
    }
}
