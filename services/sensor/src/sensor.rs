//! The sensor over packet files: a step at a time, so that one thread can alternate it with detector and results.

use weir_bus::Message;
use weir_schemas::{Flow, MarkStatus, Micros, Text};

use crate::flow::{FlowConfig, FlowCounters, FlowTable};
use crate::input::PacketInput;
use crate::packet::{InputCounters, InputWarning, Packet};
use crate::publish::{PublishConfig, Publisher};

/// What a sensor is told.
#[derive(Clone, Debug)]
pub struct SensorConfig {
    /// The flow table; sensor id, site and boot stand here.
    pub flow: FlowConfig,
    /// Topic, prefix included.
    pub topic: String,
    /// Partitions of the topic.
    pub partitions: u32,
    /// IPv6 prefix length that keys are cut to.
    pub ipv6_prefix: u8,
    /// Event time between marks.
    pub mark_interval: Micros,
}

/// What a step brought.
#[derive(Debug)]
pub struct StepOutcome {
    /// To append, in this order.
    pub messages: Vec<Message>,
    /// The input has ended, and the `end` marks are among the messages.
    pub ended: bool,
}

/// Reads packets, builds records, makes messages.
pub struct FileSensor {
    input: Box<dyn PacketInput>,
    table: FlowTable,
    publisher: Publisher,
    records: Vec<Flow>,
    mark_interval: Micros,
    next_mark: Option<Micros>,
    latest: Option<Micros>,
    boot: Micros,
    drops: u64,
    late: u64,
    kind: Text,
    ended: bool,
}

impl FileSensor {
    /// A sensor that has read nothing yet.
    #[must_use]
    pub fn new(input: Box<dyn PacketInput>, config: SensorConfig) -> Self {
        let publisher = Publisher::new(PublishConfig {
            topic: config.topic,
            partitions: config.partitions,
            ipv6_prefix: config.ipv6_prefix,
            sensor: config.flow.sensor.clone(),
            site: config.flow.site.clone(),
            boot: config.flow.boot,
        });
        Self {
            input,
            publisher,
            records: Vec::new(),
            mark_interval: config.mark_interval.max(1),
            next_mark: None,
            latest: None,
            boot: config.flow.boot,
            drops: 0,
            late: 0,
            kind: config.flow.input.clone(),
            ended: false,
            table: FlowTable::new(config.flow),
        }
    }

    /// Reads up to `max_packets` packets. How many makes no difference to what is sent in all.
    pub fn step(&mut self, max_packets: usize) -> StepOutcome {
        let mut messages = Vec::new();
        for _ in 0..max_packets {
            if self.ended {
                break;
            }
            match self.input.next_packet() {
                Some(packet) => self.take(&packet, &mut messages),
                None => self.end(&mut messages),
            }
        }
        StepOutcome { messages, ended: self.ended }
    }

    /// What the input counted.
    #[must_use]
    pub fn input_counters(&self) -> &InputCounters {
        self.input.counters()
    }

    /// What the flow table counted.
    #[must_use]
    pub fn flow_counters(&self) -> FlowCounters {
        self.table.counters()
    }

    /// Packets older than an event time already promised: the input was more out of order than its buffer. Their
    /// records are sent nevertheless, and the detector counts them late.
    #[must_use]
    pub fn late_packets(&self) -> u64 {
        self.late
    }

    /// The input's warnings since the last call.
    pub fn take_warnings(&mut self) -> Vec<InputWarning> {
        self.input.take_warnings()
    }

    fn take(&mut self, packet: &Packet, messages: &mut Vec<Message>) {
        self.late += u64::from(packet.time < self.publisher.promised());
        let drops = self.input.counters().drops;
        if drops > self.drops {
            self.table.note_drops(drops - self.drops);
            self.drops = drops;
        }
        if *self.kind != *self.input.kind() {
            self.kind = self.input.kind().into();
            self.table.set_input(self.kind.clone());
        }

        // First what was due before this packet, then the promise, which holds for this packet too.
        self.table.advance(packet.time, &mut self.records);
        self.send(messages);
        if self.next_mark.is_some_and(|due| packet.time >= due) {
            let unsent = self.table.least_unsent().unwrap_or(packet.time).min(packet.time);
            let status = self.status();
            self.publisher.mark(unsent, false, status, messages);
        }
        if self.next_mark.is_none_or(|due| packet.time >= due) {
            let passed = packet.time.div_euclid(self.mark_interval);
            self.next_mark = Some((passed + 1).saturating_mul(self.mark_interval));
        }
        self.latest = Some(self.latest.map_or(packet.time, |latest| latest.max(packet.time)));
        self.table.packet(packet, &mut self.records);
        self.send(messages);
    }

    fn end(&mut self, messages: &mut Vec<Message>) {
        self.table.finish(&mut self.records);
        self.send(messages);
        let after_all = self.latest.map_or(self.boot, |latest| latest.saturating_add(1));
        let status = self.status();
        self.publisher.mark(after_all, true, status, messages);
        self.ended = true;
    }

    fn send(&mut self, messages: &mut Vec<Message>) {
        for record in self.records.drain(..) {
            self.publisher.record(record, messages);
        }
    }

    fn status(&self) -> MarkStatus {
        let counters = self.input.counters();
        MarkStatus {
            packets: counters.packets,
            drops: counters.drops,
            decode_errors: counters.decode_errors.values().sum(),
            table_fill: self.table.fill(),
            spool_bytes: 0,
        }
    }
}
