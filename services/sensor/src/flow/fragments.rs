//! Which flow a later fragment belongs to: the one of its first fragment, remembered for 30 s.

use std::collections::{HashMap, VecDeque};

use weir_schemas::{Host, Micros, SECOND_US};

use super::key::FlowKey;
use super::observe::Observation;
use crate::packet::Body;

/// How long a first fragment is remembered (RFC 791 proposes 15 s, RFC 8200 60 s; Linux uses 30 s).
const LIFETIME: Micros = 30 * SECOND_US;
/// How many first fragments are remembered at most; the oldest goes.
const CAPACITY: usize = 4096;

/// What the fragments of one datagram share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Datagram {
    pub(super) source: Host,
    pub(super) destination: Host,
    pub(super) protocol: u8,
    pub(super) id: u32,
}

/// Remembers a first fragment's flow, and finds that of a later one; likewise where an outer packet of a tunnel is the
/// fragment.
#[cold]
pub(super) fn note<'a>(mut observation: Observation<'a>, fragments: &mut Fragments, now: Micros) -> Observation<'a> {
    let packet = observation.packet;
    if let Body::Ip(ip) = &packet.body
        && let Some(fragment) = ip.fragment
    {
        let datagram =
            Datagram { source: ip.src.clone(), destination: ip.dst.clone(), protocol: ip.proto, id: fragment.id };
        if fragment.offset == 0 {
            fragments.remember(now, datagram, observation.key, observation.sender);
        } else if let Some(found) = fragments.find(now, &datagram) {
            (observation.key, observation.sender) = found;
        }
    }
    if let Some(outer) = packet.tunnel.as_ref().and_then(|tunnel| tunnel.fragment.as_ref()) {
        let (source, destination) = (outer.src.clone(), outer.dst.clone());
        let datagram = Datagram { source, destination, protocol: outer.proto, id: outer.id };
        fragments.remember(now, datagram, observation.key, observation.sender);
    }
    observation
}

/// First fragments by datagram.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    flows: HashMap<Datagram, (u64, FlowKey, usize)>,
    order: VecDeque<(Micros, u64, Datagram)>,
    next: u64,
}

impl Fragments {
    /// Remembers the flow and the sending end of a first fragment.
    pub(super) fn remember(&mut self, now: Micros, datagram: Datagram, key: FlowKey, sender: usize) {
        self.forget_old(now);
        if self.order.len() == CAPACITY {
            self.forget_oldest();
        }
        self.next += 1;
        self.order.push_back((now, self.next, datagram.clone()));
        self.flows.insert(datagram, (self.next, key, sender));
    }

    /// The flow and the sending end of a later fragment.
    pub(super) fn find(&mut self, now: Micros, datagram: &Datagram) -> Option<(FlowKey, usize)> {
        self.forget_old(now);
        self.flows.get(datagram).map(|&(_, key, sender)| (key, sender))
    }

    fn forget_old(&mut self, now: Micros) {
        while self.order.front().is_some_and(|&(time, ..)| time + LIFETIME <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, number, datagram)) = self.order.pop_front() else { return };
        // A datagram seen again has a newer number, and stays.
        if self.flows.get(&datagram).is_some_and(|&(newest, ..)| newest == number) {
            self.flows.remove(&datagram);
        }
    }
}
