//! The sensor over files: a step at a time, so that one thread can alternate it with detector and results.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_bus::Message;
use weir_runtime::metrics::SensorMetrics;
use weir_schemas::{Flow, MarkStatus, Micros, Text};

use crate::declared::DeclaredTable;
use crate::flow::{FlowConfig, FlowCounters, FlowTable};
use crate::geography::Geography;
use crate::input::{Input, Observed};
use crate::packet::{InputCounters, InputWarning};
use crate::publish::{PublishConfig, Publisher};
use crate::report::Reporter;

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
    /// The input has no more at present: [`FileSensor::await_more`] waits for it.
    pub waits: bool,
}

/// Reads packets and declared flows, builds records, makes messages.
pub struct FileSensor {
    input: Box<dyn Input>,
    table: FlowTable,
    /// Flows that somebody else measured: they pass the packets' table by.
    declared: DeclaredTable,
    publisher: Publisher,
    records: Vec<Flow>,
    mark_interval: Micros,
    next_mark: Option<Micros>,
    latest: Option<Micros>,
    /// The latest end of what was read.
    newest_end: Micros,
    boot: Micros,
    drops: u64,
    late: u64,
    kind: Text,
    /// Read, but what is due before it has not all been sent.
    pending: Option<Observed>,
    /// The input has no more.
    exhausted: bool,
    ended: bool,
    geography: Geography,
    reporter: Reporter,
}

/// About as many records as one step sends at most.
const RECORDS_PER_STEP: usize = 8192;

impl FileSensor {
    /// A sensor that has read nothing yet.
    #[must_use]
    pub fn new(input: Box<dyn Input>, config: SensorConfig) -> Self {
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
            newest_end: Micros::MIN,
            boot: config.flow.boot,
            drops: 0,
            late: 0,
            kind: config.flow.input.clone(),
            pending: None,
            exhausted: false,
            ended: false,
            geography: Geography::default(),
            reporter: Reporter::new(SensorMetrics::default()),
            declared: DeclaredTable::new(config.flow.clone()),
            table: FlowTable::new(config.flow),
        }
    }

    /// The sensor, with instruments other than those of the process's meter.
    #[must_use]
    pub fn with_metrics(self, metrics: SensorMetrics) -> Self {
        Self { reporter: Reporter::new(metrics), ..self }
    }

    /// The sensor, which tells country and autonomous system where these databases know them.
    #[must_use]
    pub fn with_geography(self, geography: Geography) -> Self {
        Self { geography, ..self }
    }

    /// Reads no more. The steps to come send what has been read, and the end.
    pub fn stop(&mut self) {
        self.input.stop();
    }

    /// Reads no more, and leaves out what waits for its time: the end of a replay whose packets are not due yet.
    pub fn end_now(&mut self) {
        self.input.stop();
        self.pending = None;
        self.exhausted = true;
        self.declared.cut(self.latest.unwrap_or(Micros::MIN));
    }

    /// Reads up to `max_packets` packets. How many makes no difference to what is sent in all.
    pub fn step(&mut self, max_packets: usize) -> StepOutcome {
        self.step_until(Micros::MAX, max_packets)
    }

    /// Likewise, with packets up to the event time `limit` only. Where none is left up to there, a mark that is due
    /// promises as much: which marks there are depends on the limits, which records there are does not.
    pub fn step_until(&mut self, limit: Micros, max_packets: usize) -> StepOutcome {
        let mut messages = Vec::new();
        let mut waits = false;
        for _ in 0..max_packets {
            if self.ended || messages.len() >= RECORDS_PER_STEP {
                break;
            }
            match self.next_observed() {
                Some(observed) if observed.time() > limit => {
                    self.pending = Some(observed);
                    self.promise(limit, &mut messages);
                    break;
                }
                Some(observed) => self.take(observed, &mut messages),
                None if self.input.awaits_more() => {
                    waits = true;
                    break;
                }
                // What declared flows have still to send may lie far beyond the last of them.
                None if self.declared_due().is_some_and(|due| due > limit) => {
                    self.promise(limit, &mut messages);
                    break;
                }
                None => self.end(&mut messages),
            }
        }
        self.report();
        StepOutcome { messages, ended: self.ended, waits }
    }

    /// The event time at which there is something to do: a packet or a mark. `None` when only the end is left.
    pub fn next_due(&mut self) -> Option<Micros> {
        let Some(observed) = self.next_observed() else { return self.declared_due() };
        let time = observed.time();
        self.pending = Some(observed);
        Some(self.next_mark.map_or(time, |due| due.min(time)))
    }

    fn report(&mut self) {
        // Before the first mark nothing has been promised.
        let promised = Some(self.publisher.promised()).filter(|promised| *promised > Micros::MIN);
        let mark_delay = self.latest.zip(promised).map(|(latest, promised)| latest.saturating_sub(promised).max(0));
        let fragment_errors = self.table.fragment_counters().errors();
        self.reporter.report(self.input.counters(), fragment_errors, self.flow_counters().active, mark_delay);
        self.reporter.report_applications(self.table.applications());
    }

    fn next_observed(&mut self) -> Option<Observed> {
        if self.pending.is_some() {
            return self.pending.take();
        }
        if self.exhausted {
            return None;
        }
        let observed = self.input.next();
        self.exhausted = observed.is_none() && !self.input.awaits_more();
        if let Some(observed) = &observed {
            self.late += u64::from(observed.time() < self.publisher.promised());
        }
        observed
    }

    /// Waits until the input may have more, and not longer than `at_most`.
    pub fn await_more(&mut self, at_most: Duration) {
        self.input.await_more(at_most);
    }

    /// What the input counted.
    #[must_use]
    pub fn input_counters(&self) -> &InputCounters {
        self.input.counters()
    }

    /// What was wrong with packets, by kind: in frames, and in the datagrams that fragments are parts of.
    #[must_use]
    pub fn decode_errors(&self) -> BTreeMap<&'static str, u64> {
        let mut errors = self.input.counters().decode_errors.clone();
        errors.extend(self.table.fragment_counters().errors());
        errors
    }

    /// What the tables of flows counted, those of packets and of declared flows together.
    #[must_use]
    pub fn flow_counters(&self) -> FlowCounters {
        self.table.counters().plus(&self.declared.counters())
    }

    /// Packets and flows older than an event time already promised: the input was more out of order than its buffer. Their
    /// records are sent nevertheless, and the detector counts them late.
    #[must_use]
    pub fn late_packets(&self) -> u64 {
        self.late
    }

    /// The input's warnings since the last call.
    pub fn take_warnings(&mut self) -> Vec<InputWarning> {
        let mut warnings = self.input.take_warnings();
        warnings.extend(self.geography.take_warnings());
        warnings
    }

    fn take(&mut self, observed: Observed, messages: &mut Vec<Message>) {
        let drops = self.input.counters().drops;
        if drops > self.drops {
            self.table.note_drops(drops - self.drops);
            self.drops = drops;
        }
        // Files of packets know their kind from the start; exports only once one has been read.
        let may_be_new = self.latest.is_none() || matches!(observed, Observed::Flow(_));
        if may_be_new && *self.kind != *self.input.kind() {
            self.kind = self.input.kind().into();
            self.table.set_input(self.kind.clone());
            self.declared.set_input(self.kind.clone());
        }

        // First what was due before this packet, then the promise, which holds for this packet too.
        let time = observed.time();
        if !self.advance(time, messages) {
            self.pending = Some(observed);
            return;
        }
        match self.next_mark {
            None => self.next_mark = Some(self.mark_after(time)),
            Some(due) if time >= due => self.mark(time, messages),
            Some(_) => {}
        }
        self.latest = Some(self.latest.map_or(time, |latest| latest.max(time)));
        self.newest_end = self.newest_end.max(observed.end());
        match observed {
            Observed::Packet(packet) => self.table.packet(&packet, &mut self.records),
            Observed::Flow(flow) => self.declared.flow(flow, &mut self.records),
        }
        self.send(messages);
    }

    /// Sends what was due before `limit`, then the promise of it, if a mark is due by then.
    fn promise(&mut self, limit: Micros, messages: &mut Vec<Message>) {
        if self.next_mark.is_none_or(|due| limit < due) {
            return;
        }
        if self.advance(limit, messages) {
            self.mark(limit, messages);
        }
    }

    /// Sends what is due before `time`; false where there is more of it than a step takes.
    fn advance(&mut self, time: Micros, messages: &mut Vec<Message>) -> bool {
        // Declared flows reach into the time to come: marks must keep up with what they send.
        while let Some(due) = self.declared_due().filter(|due| *due < time) {
            if !self.advance_tables(due, messages) {
                return false;
            }
            self.mark(due, messages);
            if messages.len() >= RECORDS_PER_STEP {
                return false;
            }
        }
        self.advance_tables(time, messages)
    }

    /// The time of the first mark by which something of a declared flow will have been sent.
    fn declared_due(&self) -> Option<Micros> {
        let due = self.mark_after(self.declared.next_due()?);
        Some(self.next_mark.map_or(due, |mark| mark.max(due)))
    }

    fn advance_tables(&mut self, time: Micros, messages: &mut Vec<Message>) -> bool {
        let arrived = self.table.advance_part(time, RECORDS_PER_STEP, &mut self.records)
            && self.declared.advance_part(time, RECORDS_PER_STEP, &mut self.records);
        self.send(messages);
        arrived
    }

    /// Promises all before `time`, up to which everything has been read, but what the table still holds.
    fn mark(&mut self, time: Micros, messages: &mut Vec<Message>) {
        let unsent = [self.table.least_unsent(), self.declared.least_unsent()].into_iter().flatten().min();
        let unsent = unsent.unwrap_or(time).min(time);
        let status = self.status();
        self.publisher.mark(unsent, false, status, messages);
        self.next_mark = Some(self.mark_after(time));
    }

    fn mark_after(&self, time: Micros) -> Micros {
        (time.div_euclid(self.mark_interval) + 1).saturating_mul(self.mark_interval)
    }

    fn end(&mut self, messages: &mut Vec<Message>) {
        let finished = self.table.finish_part(RECORDS_PER_STEP, &mut self.records);
        self.send(messages);
        if !finished {
            return;
        }
        if let Some(due) = self.declared_due() {
            if self.advance_tables(due, messages) {
                self.mark(due, messages);
            }
            return;
        }
        let after_all = self.latest.map_or(self.boot, |latest| latest.max(self.newest_end).saturating_add(1));
        let status = self.status();
        self.publisher.mark(after_all, true, status, messages);
        self.ended = true;
    }

    fn send(&mut self, messages: &mut Vec<Message>) {
        for mut record in self.records.drain(..) {
            self.geography.locate(&mut record);
            self.reporter.note(&record);
            self.publisher.record(record, messages);
        }
    }

    fn status(&self) -> MarkStatus {
        let counters = self.input.counters();
        MarkStatus {
            packets: counters.packets,
            drops: counters.drops,
            decode_errors: self.decode_errors().values().sum(),
            table_fill: self.table.fill().max(self.declared.fill()),
            spool_bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use weir_bus::Value;
    use weir_schemas::{Host, Record, SECOND_US};

    use super::*;
    use crate::packet::{Body, IpPacket, Packet, Transport, UdpDatagram};

    struct Packets(std::vec::IntoIter<Packet>, InputCounters);

    impl Input for Packets {
        fn next(&mut self) -> Option<Observed> {
            self.0.next().inspect(|_| self.1.packets += 1).map(Box::new).map(Observed::Packet)
        }

        fn counters(&self) -> &InputCounters {
            &self.1
        }

        fn take_warnings(&mut self) -> Vec<InputWarning> {
            Vec::new()
        }

        fn kind(&self) -> &'static str {
            "pcap"
        }
    }

    /// Datagrams from as many sources, `gap` µs apart.
    fn sensor(count: u32, gap: Micros, partitions: u32) -> FileSensor {
        let packet = |number: u32| {
            let udp = UdpDatagram { src_port: 4000, dst_port: 53, payload: 8, dns_response: None };
            let ip = IpPacket {
                src: Host::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)),
                dst: Host::V4(Ipv4Addr::new(192, 0, 2, 1)),
                proto: 17,
                length: 36,
                ttl: 64,
                id: 0,
                fragment: None,
                transport: Transport::Udp(udp),
                head: None,
            };
            let time = 1_700_000_000 * SECOND_US + Micros::from(number) * gap;
            Packet { body: Body::Ip(ip), ..Packet::unread(time) }
        };
        let packets: Vec<_> = (0..count).map(packet).collect();
        let config = SensorConfig {
            flow: FlowConfig::default(),
            topic: "weir.flows.v1".into(),
            partitions,
            ipv6_prefix: 64,
            mark_interval: SECOND_US,
        };
        FileSensor::new(Box::new(Packets(packets.into_iter(), InputCounters::default())), config)
    }

    fn drain(mut sensor: FileSensor, step: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let outcome = sensor.step(step);
            messages.extend(outcome.messages);
            if outcome.ended {
                return messages;
            }
        }
    }

    #[test]
    fn every_partition_gets_its_numbers_marks_and_end() {
        let messages = drain(sensor(3000, 10_000, 4), 100);
        let mut last = BTreeMap::new();
        let mut promised = BTreeMap::new();
        let mut ends = 0;
        let mut records = 0;
        for message in &messages {
            let sequence = match &message.value {
                Value::Record(Record::Flow(flow)) => {
                    records += 1;
                    assert!(flow.event_time >= *promised.get(&message.partition).unwrap_or(&Micros::MIN));
                    flow.seq
                }
                Value::Record(Record::Mark(mark)) => {
                    promised.insert(message.partition, mark.t);
                    ends += u32::from(mark.end);
                    mark.seq
                }
                other => unreachable!("a sensor sends records only, not {other:?}"),
            };
            assert_eq!(sequence, last.insert(message.partition, sequence).unwrap_or(0) + 1);
        }
        assert_eq!((records, ends, promised.len()), (3000, 4, 4));
        // 30 s of event time: a mark a second, and the end.
        assert_eq!(messages.len(), 3000 + 4 * 30);
    }

    #[test]
    fn steps_of_any_size_send_the_same() {
        let whole = drain(sensor(30_000, 10, 3), usize::MAX);
        for step in [1, 7, 10_000] {
            assert_eq!(whole, drain(sensor(30_000, 10, 3), step));
        }
    }

    #[test]
    fn a_held_back_sensor_sends_the_same_records() {
        let begin = 1_700_000_000 * SECOND_US;
        let records = |messages: Vec<Message>| {
            let record = |message: Message| match message.value {
                Value::Record(Record::Flow(flow)) => Some((message.partition, Flow { seq: 0, ..*flow })),
                _ => None,
            };
            messages.into_iter().filter_map(record).collect::<Vec<_>>()
        };
        // Datagrams 4 s apart: most limits fall between two of them.
        let whole = records(drain(sensor(50, 4 * SECOND_US, 2), 100));
        for stride in [SECOND_US / 3, 7 * SECOND_US / 5, 30 * SECOND_US] {
            let mut sensor = sensor(50, 4 * SECOND_US, 2);
            let (mut messages, mut limit, mut promised) = (Vec::new(), begin, Micros::MIN);
            assert_eq!(sensor.next_due(), Some(begin));
            loop {
                let outcome = sensor.step_until(limit, 100);
                for message in &outcome.messages {
                    match &message.value {
                        Value::Record(Record::Flow(flow)) => assert!((promised..=limit).contains(&flow.event_time)),
                        Value::Record(Record::Mark(mark)) => promised = promised.max(mark.t),
                        other => unreachable!("{other:?}"),
                    }
                }
                messages.extend(outcome.messages);
                if outcome.ended {
                    break;
                }
                // A promise lags by an attempt's wait for its answer and a mark's interval at most, packets or not.
                assert!(limit < begin + 20 * SECOND_US || promised > limit - 20 * SECOND_US, "{promised} at {limit}");
                assert!(sensor.next_due().is_none_or(|due| due > limit));
                limit += stride;
            }
            assert_eq!(records(messages), whole);
            assert_eq!(sensor.late_packets(), 0);
        }
    }

    #[test]
    fn a_sensor_ended_now_leaves_out_what_was_not_due() {
        let begin = 1_700_000_000 * SECOND_US;
        let mut sensor = sensor(50, SECOND_US, 1);
        let mut messages = sensor.step_until(begin + 10 * SECOND_US, 100).messages;
        sensor.end_now();
        let last = sensor.step(100);
        assert!(last.ended);
        messages.extend(last.messages);
        let flows = messages.iter().filter(|message| matches!(message.value, Value::Record(Record::Flow(_))));
        assert_eq!(flows.count(), 11);
        let Value::Record(Record::Mark(end)) = &messages.last().unwrap().value else { panic!("no mark at the end") };
        assert_eq!((end.end, end.t), (true, begin + 10 * SECOND_US + 1));
    }

    #[test]
    fn a_step_is_bounded_though_a_pane_is_not() {
        let mut sensor = sensor(30_000, 10, 1);
        loop {
            let outcome = sensor.step(usize::MAX);
            assert!(outcome.messages.len() <= RECORDS_PER_STEP + 2);
            if outcome.ended {
                break;
            }
        }
        assert_eq!(sensor.flow_counters().exported, 30_000);
        assert_eq!(sensor.late_packets(), 0);
    }
}
