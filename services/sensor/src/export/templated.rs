//! `NetFlow` v9 (RFC 3954) and IPFIX (RFC 7011): templates kept per exporter and domain, data sets made flows by them.
//!
//! Each set is given to the parser as a message of its own. One that it refuses then costs itself and not its datagram, and a
//! set that waited for its template is decoded with the header that it came with.

use std::net::SocketAddr;

use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{AutoScopedParser, FieldValue, IpfixField, NetflowPacket, NetflowParser, V9Field};
use weir_schemas::Micros;

use super::bounded::Bounded;
use super::clock::{Clock, header_time};
use super::counters::ExportCounters;
use super::element::{self, Element, Wire};
use super::held::{Held, HeldSet, Scope};
use super::layout::{self, IPFIX_HEADER, Protocol, SET_HEADER, V9_HEADER, number16, number32};
use super::record::{Made, Record};
use super::remembered::RememberedTemplates;
use super::sampling::{Rate, Samplers};
use super::sequence::Sequence;
use super::totals::Totals;
use super::{Output, plausible};
use crate::declared::Exporter;

/// Exporters and domains whose templates are kept, templates of each, and fields of a template: beyond any router, and what a
/// stream of made-up templates can take.
const MOST_SCOPES: usize = 1024;
const MOST_TEMPLATES: usize = 256;
const MOST_FIELDS: usize = 256;
/// A set of 64 KiB holds no more records.
const MOST_RECORDS: usize = 65_535;

/// What is known of an exporter's domain beside its templates.
#[derive(Debug, Default)]
struct Domain {
    sequence: Sequence,
    samplers: Samplers,
    boot: Option<Micros>,
}

/// The decoder of both protocols.
#[derive(Debug)]
pub(super) struct Templated {
    parser: AutoScopedParser,
    domains: Bounded<Scope, Domain>,
    held: Held,
    remembered: RememberedTemplates,
    totals: Totals,
    /// The bytes of one value, and of one set with its header; kept to save allocations.
    value: Vec<u8>,
    message: Vec<u8>,
}

/// What one set held.
enum Content {
    /// As many data records.
    Records(u32),
    /// Templates with these ids.
    Templates(Vec<u16>),
    /// Data that wait for this template.
    Waiting(u16),
    /// Nothing that can be read.
    Unreadable,
}

impl Templated {
    pub(super) fn new(remembered: RememberedTemplates) -> Self {
        let builder = NetflowParser::builder()
            .with_cache_size(MOST_TEMPLATES)
            .with_max_field_count(MOST_FIELDS)
            .with_max_records_per_flowset(MOST_RECORDS)
            .with_allowed_versions(&[9, 10]);
        let parser =
            AutoScopedParser::try_with_builder(builder).and_then(|parser| parser.with_max_sources(MOST_SCOPES));
        Self {
            // Refused are zeros and unknown versions only, and there are none above.
            parser: parser.unwrap_or_default(),
            domains: Bounded::new(MOST_SCOPES),
            held: Held::default(),
            remembered,
            totals: Totals::default(),
            value: Vec::new(),
            message: Vec::new(),
        }
    }

    /// Decodes a message whose lengths fit.
    pub(super) fn decode(
        &mut self,
        sender: SocketAddr,
        protocol: Protocol,
        received: Micros,
        message: &[u8],
        output: &mut Output<'_>,
    ) {
        let (header_length, domain_at, sequence_at) =
            if protocol == Protocol::V9 { (V9_HEADER, 16, 12) } else { (IPFIX_HEADER, 12, 8) };
        let (header, sets) = message.split_at(header_length.min(message.len()));
        let (Some(domain), Some(sequence)) = (number32(header, domain_at), number32(header, sequence_at)) else {
            return;
        };
        let scope = Scope { sender, protocol, domain };
        let mut records = Some(0);
        for (_, set) in layout::sets(sets) {
            let mut content = self.set(&scope, header, set, received, output);
            if let Content::Waiting(template) = content
                && self.recall(&scope, template, header, received, output)
            {
                content = self.set(&scope, header, set, received, output);
            }
            records = match content {
                Content::Records(count) => records.map(|records: u32| records + count),
                Content::Templates(_) => records,
                Content::Waiting(_) | Content::Unreadable => None,
            };
            match content {
                Content::Templates(ids) => {
                    self.remembered.note(&scope, &ids, exported_at(&scope, header), header, set);
                    self.replay(&scope, &ids, output);
                }
                Content::Waiting(template) => {
                    let (header, bytes) = (header.to_vec(), set.to_vec());
                    output.counters.held_lost += self.held.push(HeldSet { scope, template, header, bytes, received });
                }
                Content::Records(_) | Content::Unreadable => {}
            }
        }
        // v9 numbers its datagrams, IPFIX the data records before this one.
        let count = if protocol == Protocol::V9 { Some(1) } else { records };
        output.note_gap(exporter_of(&scope), self.domains.of(&scope).sequence.note(sequence, count));
    }

    /// Gives up on what still waits for its template.
    pub(super) fn finish(&mut self, counters: &mut ExportCounters) {
        counters.held_lost += self.held.clear();
    }

    /// Learns a template that another file told; false where none did.
    fn recall(
        &mut self,
        scope: &Scope,
        template: u16,
        header: &[u8],
        received: Micros,
        output: &mut Output<'_>,
    ) -> bool {
        let Some(told) = self.remembered.recall(scope, template, exported_at(scope, header)) else { return false };
        matches!(self.set(scope, &told.header, &told.set, received, output), Content::Templates(_))
    }

    /// Decodes the sets that waited for these templates.
    fn replay(&mut self, scope: &Scope, templates: &[u16], output: &mut Output<'_>) {
        for held in self.held.take(scope, templates) {
            match self.set(&held.scope, &held.header, &held.bytes, held.received, output) {
                Content::Records(_) => output.counters.held_decoded += 1,
                _ => output.counters.held_lost += 1,
            }
        }
    }

    fn set(&mut self, scope: &Scope, header: &[u8], set: &[u8], received: Micros, output: &mut Output<'_>) -> Content {
        self.message.clear();
        self.message.extend_from_slice(header);
        self.message.extend_from_slice(set);
        if scope.protocol == Protocol::Ipfix {
            // No longer than the message that the set was part of.
            let length = self.message.len() as u16;
            self.message[2..4].copy_from_slice(&length.to_be_bytes());
        }
        let parsed = self.parser.parse_from_source(scope.sender, &self.message).packets.into_iter().next();
        let clock = self.clock(scope, header, received);
        let content = match parsed {
            Some(NetflowPacket::V9(message)) => message
                .flowsets
                .into_iter()
                .next()
                .map(|parsed| self.v9_set(scope, &clock, set.len(), parsed.body, output)),
            Some(NetflowPacket::IPFix(message)) => message
                .flowsets
                .into_iter()
                .next()
                .map(|parsed| self.ipfix_set(scope, &clock, set.len(), parsed.body, output)),
            _ => None,
        };
        content.unwrap_or_else(|| {
            let is_data = number16(set, 0).is_some_and(|id| id >= layout::FIRST_DATA_SET);
            output.counters.error(if is_data { "export_data" } else { "export_template" });
            Content::Unreadable
        })
    }

    fn clock(&mut self, scope: &Scope, header: &[u8], received: Micros) -> Clock {
        let boot = self.domains.of(scope).boot;
        let uptime = number32(header, 4).filter(|_| scope.protocol == Protocol::V9);
        Clock { export: plausible(exported_at(scope, header), received), uptime, boot }
    }

    fn v9_set(
        &mut self,
        scope: &Scope,
        clock: &Clock,
        length: usize,
        body: v9::FlowSetBody,
        output: &mut Output<'_>,
    ) -> Content {
        match body {
            v9::FlowSetBody::Template(all) => Content::Templates(all.templates.iter().map(|t| t.template_id).collect()),
            v9::FlowSetBody::OptionsTemplate(all) => {
                Content::Templates(all.templates.iter().map(|t| t.template_id).collect())
            }
            v9::FlowSetBody::Data(data) => {
                check_rest(length, &data.fields, output);
                for fields in &data.fields {
                    let record =
                        self.record(fields, |field: V9Field| element::of_v9(field).map(|element| (element, false)));
                    self.flow(scope, clock, &record, output);
                }
                Content::Records(data.fields.len() as u32)
            }
            v9::FlowSetBody::OptionsData(data) => {
                for options in &data.fields {
                    let mut record = self
                        .record(&options.options_fields, |field: V9Field| element::of_v9(field).map(|e| (e, false)));
                    record.sampling.set_interface(interface_of(&options.scope_fields));
                    self.options(scope, clock, &record, output);
                }
                Content::Records(data.fields.len() as u32)
            }
            v9::FlowSetBody::NoTemplate(missing) => Content::Waiting(missing.template_id),
            v9::FlowSetBody::Empty => Content::Records(0),
        }
    }

    fn ipfix_set(
        &mut self,
        scope: &Scope,
        clock: &Clock,
        length: usize,
        body: ipfix::FlowSetBody,
        output: &mut Output<'_>,
    ) -> Content {
        match body {
            ipfix::FlowSetBody::Template(one) => Content::Templates(vec![one.template_id]),
            ipfix::FlowSetBody::Templates(all) => Content::Templates(all.iter().map(|t| t.template_id).collect()),
            ipfix::FlowSetBody::OptionsTemplate(one) => Content::Templates(vec![one.template_id]),
            ipfix::FlowSetBody::OptionsTemplates(all) => {
                Content::Templates(all.iter().map(|t| t.template_id).collect())
            }
            ipfix::FlowSetBody::Data(data) => {
                // What prefixes of variable lengths take, the parser does not tell.
                if !data.has_varlen_metadata() {
                    check_rest(length, &data.fields, output);
                }
                for fields in &data.fields {
                    let record = self.record(fields, |field: IpfixField| element::of_ipfix(field));
                    self.flow(scope, clock, &record, output);
                }
                Content::Records(data.fields.len() as u32)
            }
            ipfix::FlowSetBody::OptionsData(data) => {
                for fields in &data.fields {
                    let record = self.record(fields, |field: IpfixField| element::of_ipfix(field));
                    self.options(scope, clock, &record, output);
                }
                Content::Records(data.fields.len() as u32)
            }
            ipfix::FlowSetBody::NoTemplate(missing) => Content::Waiting(missing.template_id),
            ipfix::FlowSetBody::Empty => Content::Records(0),
            // v9's template sets have ids that no IPFIX set may have: they do not get here.
            _ => Content::Unreadable,
        }
    }

    fn record<Field: Copy>(
        &mut self,
        fields: &[(Field, FieldValue)],
        element_of: impl Fn(Field) -> Option<(Element, bool)>,
    ) -> Record {
        let mut record = Record::default();
        for (field, value) in fields {
            if let Some((element, is_reverse)) = element_of(*field) {
                record.take(element, is_reverse, Wire::of(value, &mut self.value));
            }
        }
        record
    }

    fn options(&mut self, scope: &Scope, clock: &Clock, record: &Record, output: &mut Output<'_>) {
        output.counters.options += 1;
        let domain = self.domains.of(scope);
        domain.samplers.learn(&record.sampling);
        // An exporter is not started after it exports.
        if let Some(boot) = record.boot().filter(|boot| (1..=clock.export).contains(boot)) {
            domain.boot = Some(boot);
        }
    }

    fn flow(&mut self, scope: &Scope, clock: &Clock, record: &Record, output: &mut Output<'_>) {
        let Made::Flow(mut flow, is_total) = record.flow(clock) else {
            output.counters.other_records += 1;
            return;
        };
        flow.exporter = Some(exporter_of(scope));
        flow.sampling = match self.domains.of(scope).samplers.rate(&record.sampling) {
            Rate::Of(rate) => rate,
            Rate::Unknown => {
                output.counters.unknown_samplers += 1;
                1
            }
        };
        if is_total && !self.totals.difference(&mut flow) {
            return;
        }
        output.flow(*flow);
    }
}

/// The time in a message's header.
fn exported_at(scope: &Scope, header: &[u8]) -> Micros {
    let at = if scope.protocol == Protocol::V9 { 8 } else { 4 };
    header_time(number32(header, at).unwrap_or(0), 0)
}

fn exporter_of(scope: &Scope) -> Exporter {
    Exporter { address: scope.sender.ip(), domain: scope.domain }
}

/// The interface that v9 options data are about.
fn interface_of(scopes: &[v9::ScopeDataField]) -> Option<u64> {
    scopes.iter().find_map(|scope| match scope {
        v9::ScopeDataField::Interface(bytes) => Wire(bytes).number(),
        _ => None,
    })
}

/// Sets are padded to four bytes (RFC 3954 §5.3, RFC 7011 §3.3.1; some to eight). More is a record that could not be read.
fn check_rest<Field>(length: usize, records: &[Vec<(Field, FieldValue)>], output: &mut Output<'_>) {
    let read: usize = records.iter().flatten().map(|(_, value)| value.byte_len()).sum();
    if length.saturating_sub(SET_HEADER + read) > 7 {
        output.counters.error("export_data");
    }
}
