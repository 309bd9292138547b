//! Fragments in the table: each counts to the flow of its datagram, as soon as that is known.

use weir_schemas::{Flow, Micros};

use super::key::FlowKey;
use super::observe::{Observation, of_ip};
use super::table::FlowTable;
use crate::decode::fragments::{Datagram, Fate, GivenUp, Waited};
use crate::packet::{Body, Fragment, IpPacket, OuterFragment, Packet, Transport};

/// The flow that a datagram belongs to, and the end that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    key: FlowKey,
    sender: usize,
}

impl Owner {
    fn of(observation: &Observation<'_>) -> Self {
        Self { key: observation.key, sender: observation.sender }
    }
}

impl FlowTable {
    /// Takes a fragment in.
    #[cold]
    pub(super) fn fragment(&mut self, packet: &Packet, ip: &IpPacket, fragment: &Fragment, out: &mut Vec<Flow>) {
        match self.fragments.take(self.clock, packet, ip, fragment) {
            Fate::Waits => {}
            Fate::Counts { owner, waited } => {
                let mut observation = of_ip(packet, ip);
                belongs_to(&mut observation, owner);
                count_with(&mut observation, waited);
                (observation.payload, observation.head) = (0, &[]);
                let tells_its_flow = owner.is_none() && ip.transport != Transport::None;
                if tells_its_flow {
                    self.own(&Datagram::of(ip, fragment), &mut observation, false);
                }
                self.take_outer(&mut observation);
                observation.fragments = observation.packets;
                self.take(&observation, out);
            }
            Fate::Whole { packet: whole, owner, waited } => {
                let Body::Ip(whole_ip) = &whole.body else { return };
                let mut observation = of_ip(&whole, whole_ip);
                if owner.is_some() {
                    // The first fragment has said what the datagram is to its flow: only its payload is new.
                    observation =
                        Observation { payload: observation.payload, head: observation.head, ..of_ip(packet, ip) };
                    belongs_to(&mut observation, owner);
                } else {
                    self.own(&Datagram::of(ip, fragment), &mut observation, false);
                }
                count_with(&mut observation, waited);
                self.take_outer(&mut observation);
                observation.fragments = observation.packets;
                self.take(&observation, out);
            }
        }
        self.count_given_up(out);
    }

    /// Takes in a packet out of a tunnel whose outer packet was a first fragment: the later ones count to the inner flow.
    #[cold]
    pub(super) fn tunnelled(&mut self, packet: &Packet, ip: &IpPacket, out: &mut Vec<Flow>) {
        let mut observation = of_ip(packet, ip);
        self.take_outer(&mut observation);
        observation.fragments = observation.packets;
        self.take(&observation, out);
        self.count_given_up(out);
    }

    /// What has waited for the rest of its datagram in vain counts now.
    #[cold]
    pub(super) fn expire_fragments(&mut self, now: Micros, out: &mut Vec<Flow>) {
        self.fragments.expire(now);
        self.count_given_up(out);
    }

    fn take_outer(&mut self, observation: &mut Observation<'_>) {
        let outer = observation.packet.tunnel.as_ref().and_then(|tunnel| tunnel.fragment.as_ref());
        if let Some(OuterFragment { src, dst, proto, id }) = outer {
            self.own(&Datagram::new(src, dst, *proto, *id), observation, true);
        }
    }

    /// Leaves word of whose a datagram is. What waited for that counts with this packet.
    fn own(&mut self, datagram: &Datagram, observation: &mut Observation<'_>, is_tunnel: bool) {
        let waited = self.fragments.own(self.clock, datagram, Owner::of(observation), is_tunnel);
        count_with(observation, waited);
    }

    fn count_given_up(&mut self, out: &mut Vec<Flow>) {
        if !self.fragments.has_given_up() {
            return;
        }
        for GivenUp { packet, owner, waited } in self.fragments.take_given_up() {
            let Body::Ip(ip) = &packet.body else { continue };
            let mut observation = of_ip(&packet, ip);
            (observation.payload, observation.head) = (0, &[]);
            belongs_to(&mut observation, owner);
            count_with(&mut observation, waited);
            // What was promised since it came cannot be taken back.
            observation.time = self.clock;
            observation.fragments = observation.packets;
            self.take(&observation, out);
        }
    }
}

fn belongs_to(observation: &mut Observation<'_>, owner: Option<Owner>) {
    let Some(Owner { key, sender }) = owner else { return };
    // A tunnel's flow has other hosts, and the ends of a flow between two ports of one host are told apart by these only.
    if sender != observation.sender {
        observation.hosts.swap(0, 1);
        observation.macs.swap(0, 1);
    }
    (observation.key, observation.sender) = (key, sender);
}

fn count_with(observation: &mut Observation<'_>, waited: Waited) {
    observation.packets = observation.packets.saturating_add(waited.packets);
    observation.bytes = observation.bytes.saturating_add(waited.bytes);
}
