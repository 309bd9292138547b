//! From a row to a declared flow.

use std::sync::Arc;

use weir_schemas::{End, EndReason, Host, Micros, Outcome, Text};

use super::facts::{Facts, facts_of};
use super::mapping::{Field, Mapping, Source, is_same};
use super::rows::{Defect, Layout, Row, lookup, place};
use super::value::{self, is_empty};
use crate::declared::{ConnState, DeclaredFlow, Measured};
use crate::packet::tcp_flag::{ACK, SYN};

/// The longest text that is kept.
pub(super) const LONGEST_TEXT: usize = 255;

/// Where a table has the columns of its mapping.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    mapping: Arc<Mapping>,
    /// By field and source, then by column. Objects have no places.
    places: Vec<Vec<Option<Vec<usize>>>>,
    labels: Vec<(Text, Option<usize>)>,
    keep: Vec<Option<usize>>,
    skip: Vec<Option<usize>>,
}

/// What a row is.
#[derive(Debug)]
pub(super) enum Converted {
    /// A flow, and what it is joined by.
    Flow(Box<DeclaredFlow>, Option<String>),
    /// Facts of a flow that stands elsewhere.
    Facts(String, Facts),
    /// Nothing that matters here.
    Skipped,
    /// A protocol that is not IP's.
    OtherProtocol,
}

impl Columns {
    pub(super) fn new(mapping: Arc<Mapping>, layout: &Layout) -> Self {
        let columns: &[String] = match layout {
            Layout::Separated { columns, .. } | Layout::Zeek { columns, .. } => columns,
            Layout::Json => &[],
        };
        let at = |name: &String| place(columns, name);
        let places_of = |source: &Source| source.columns.iter().map(at).collect::<Option<Vec<usize>>>();
        Self {
            places: mapping.fields.iter().map(|sources| sources.iter().map(places_of).collect()).collect(),
            labels: mapping.labels.iter().map(|name| (Text::from(name.as_str()), at(name))).collect(),
            keep: mapping.keep.keys().map(at).collect(),
            skip: mapping.skip.keys().map(at).collect(),
            mapping,
        }
    }

    /// Whether the row has two addresses and a time: what tells a table without a header.
    pub(super) fn has_ends_and_time(&self, row: &Row) -> bool {
        let is_address = |field| self.text(row, field).is_some_and(|(text, _)| Host::parse(&text).ip().is_some());
        is_address(Field::Src)
            && is_address(Field::Dst)
            && self.time(row, Field::Start).is_ok_and(|time| time.is_some())
    }

    /// Reads a row. `fallback` is the start of a row without a time, where the mapping allows it.
    pub(super) fn convert(&self, row: &Row, fallback: Micros) -> Result<Converted, Defect> {
        let mapping = &*self.mapping;
        let is_one_of = |name: &str, at: &Option<usize>, values: &[String]| {
            raw(row, name, *at).is_some_and(|text| values.iter().any(|value| is_same(value, &text)))
        };
        let keeps = mapping.keep.iter().zip(&self.keep).all(|((name, values), at)| is_one_of(name, at, values));
        let skips = mapping.skip.iter().zip(&self.skip).any(|((name, values), at)| is_one_of(name, at, values));
        if !keeps || skips {
            return Ok(Converted::Skipped);
        }
        let id = self.text(row, Field::Id).map(|(text, _)| text);
        if mapping.facts_only {
            let facts = facts_of(|field| self.text(row, field).map(|(text, _)| text));
            return Ok(id.map_or(Converted::Skipped, |id| Converted::Facts(id, facts)));
        }
        self.flow(row, fallback).map(|flow| match flow {
            Some(flow) => Converted::Flow(flow, id),
            None => Converted::OtherProtocol,
        })
    }

    fn flow(&self, row: &Row, fallback: Micros) -> Result<Option<Box<DeclaredFlow>>, Defect> {
        let start = match self.time(row, Field::Start)? {
            Some(start) => start,
            None if self.mapping.start_may_be_absent => fallback,
            None => return Err("no time"),
        };
        let duration = self.text(row, Field::Duration).and_then(|(text, source)| value::span(&text, &source.unit));
        let end = match duration {
            Some(duration) => start.saturating_add(duration.max(0)),
            None => self.time(row, Field::End)?.unwrap_or(start),
        };
        let proto = match self.text(row, Field::Proto) {
            Some((text, _)) => match value::protocol(&text) {
                Some(proto) => proto,
                None => return Ok(None),
            },
            None => NO_PROTOCOL,
        };
        let (src, dst) = (self.end(row, Field::Src)?, self.end(row, Field::Dst)?);
        let mut flow = Box::new(DeclaredFlow::new(src, dst, proto, start, end.max(start)));
        self.icmp(row, &mut flow);
        self.volume(row, &mut flow)?;
        self.tcp(row, &mut flow);
        self.beginning(row, &mut flow);
        self.rest(row, &mut flow);
        Ok(Some(flow))
    }

    fn end(&self, row: &Row, field: Field) -> Result<End, Defect> {
        let (port_field, mac, country, asn) = match field {
            Field::Src => (Field::SrcPort, Field::SrcMac, Field::SrcCountry, Field::SrcAsn),
            _ => (Field::DstPort, Field::DstMac, Field::DstCountry, Field::DstAsn),
        };
        let (text, source) = self.text(row, field).ok_or("no address")?;
        let (host, port) = if source.unit == "ip:port" { split_port(&text) } else { (text.as_str(), None) };
        let host = Host::parse(host.trim_start_matches('[').trim_end_matches(']'));
        if host.name().is_some_and(|name| !is_host_name(name)) {
            return Err("an address that is none");
        }
        // Names of services are no numbers: such a port stays unknown.
        let port = port.or_else(|| self.text(row, port_field).map(|(text, _)| text));
        let port = port.and_then(|text| value::number(&text)).and_then(|port| u16::try_from(port).ok());
        let text = |field| self.text(row, field).map(|(text, _)| text);
        Ok(End {
            mac: text(mac).and_then(|text| value::mac(&text)),
            country: text(country).filter(|code| code.len() == 2).map(Text::from),
            asn: text(asn)
                .and_then(|text| value::number(&text))
                .and_then(|asn| u32::try_from(asn).ok())
                .filter(|asn| *asn != 0),
            ..End::new(host, port.unwrap_or(0))
        })
    }

    fn icmp(&self, row: &Row, flow: &mut DeclaredFlow) {
        if !matches!(flow.proto, 1 | 58) {
            return;
        }
        (flow.src.port, flow.dst.port) = (0, 0);
        let octet = |field| self.number(row, field).and_then(|number| u8::try_from(number).ok());
        let both = |number: u64| ((number >> 8) as u8, number as u8);
        let port = self.text(row, Field::DstPort).filter(|(_, source)| source.unit == "icmp_or_port");
        flow.icmp = octet(Field::IcmpType)
            .map(|kind| (kind, octet(Field::IcmpCode).unwrap_or(0)))
            .or_else(|| self.number(row, Field::Icmp).map(both))
            .or_else(|| port.and_then(|(text, _)| icmp_of_port(&text)));
    }

    fn volume(&self, row: &Row, flow: &mut DeclaredFlow) -> Result<(), Defect> {
        let count = |field: Field| -> Result<Option<u64>, Defect> {
            let Some((text, source)) = self.text(row, field) else { return Ok(None) };
            let number = value::bytes(&text, &source.unit).ok_or("a count that is none")?;
            Ok(Some(number).filter(|number| *number > 0 || source.unit != "absent_if_0"))
        };
        let (total_packets, total_bytes) = (count(Field::Packets)?, count(Field::Bytes)?);
        let fwd = Counted {
            packets: count(Field::FwdPackets)?,
            bytes: count(Field::FwdBytes)?,
            payload: count(Field::FwdPayload)?,
        };
        let mut rev = Counted {
            packets: count(Field::RevPackets)?,
            bytes: count(Field::RevBytes)?,
            payload: count(Field::RevPayload)?,
        };
        let mut fwd = fwd;
        if let Some(total) = total_bytes {
            fwd.bytes = fwd.bytes.or(Some(total));
            rev.bytes = rev.bytes.or(fwd.bytes.map(|bytes| total.saturating_sub(bytes)));
        }
        if let Some(total) = total_packets {
            let answered = rev.bytes.unwrap_or(0) > 0;
            fwd.packets = fwd.packets.or_else(|| Some(share_of(total, fwd.bytes.unwrap_or(0), rev.bytes.unwrap_or(0))));
            let rest = fwd.packets.map(|packets| total.saturating_sub(packets));
            rev.packets = rev.packets.or(rest.filter(|_| answered || total_bytes.is_none()).or(Some(0)));
        }
        // Whoever counts both directions in other columns says nothing where this one is empty.
        let has_reverse = rev != Counted::default();
        flow.fwd = fwd.measured(flow, self.mapping.link_bytes);
        flow.rev = has_reverse.then(|| rev.measured(flow, self.mapping.link_bytes));
        flow.sampling = self.number(row, Field::Sampling).and_then(|rate| u32::try_from(rate).ok()).unwrap_or(1).max(1);
        Ok(())
    }

    fn tcp(&self, row: &Row, flow: &mut DeclaredFlow) {
        if let Some((state, _)) = self.text(row, Field::State) {
            let history = self.text(row, Field::History).map(|(text, _)| text).unwrap_or_default();
            flow.state = Some(ConnState { state: short(&state).into(), history: short(&history).into() });
        }
        let flags = |field| self.text(row, field).and_then(|(text, source)| value::flags(&text, &source.unit));
        flow.flags_fwd = flags(Field::FlagsFwd);
        flow.flags_rev = flags(Field::FlagsRev);
    }

    fn beginning(&self, row: &Row, flow: &mut DeclaredFlow) {
        flow.is_whole = self.mapping.whole;
        let text = |field| self.text(row, field).map(|(text, _)| text);
        let mut initiator = text(Field::Initiator);
        let is_aws = self.text(row, Field::FlagsFwd).is_some_and(|(_, source)| source.unit == "aws");
        if is_aws && let Some(flags) = flow.flags_fwd {
            // ACK is told beside SYN only, so a SYN without it is the initiator's, whatever followed.
            match flags & (SYN | ACK) {
                SYN => initiator = Some("src".to_owned()),
                0 => {}
                _ => initiator = initiator.or_else(|| Some("dst".to_owned())),
            }
            if flags & (SYN | ACK) == SYN && flow.fwd.packets > 1 {
                flow.flags_fwd = None;
            }
        }
        match initiator.as_deref() {
            Some("src") => flow.is_initiator_declared = true,
            Some("dst") => turn_round(flow),
            _ => {}
        }
        flow.outcome = text(Field::Outcome).and_then(|text| outcome_of(&text));
        flow.end_reason = text(Field::EndReason).and_then(|text| end_reason_of(&text));
    }

    fn rest(&self, row: &Row, flow: &mut DeclaredFlow) {
        let facts = facts_of(|field| self.text(row, field).map(|(text, _)| text));
        flow.app = facts.into_app();
        flow.vlan = self
            .number(row, Field::Vlan)
            .and_then(|vlan| u16::try_from(vlan).ok())
            .filter(|vlan| *vlan != 0)
            .into_iter()
            .collect();
        for (name, at) in &self.labels {
            if let Some(text) = raw(row, name, *at).filter(|text| !is_empty(text)) {
                flow.labels.push((name.clone(), short(&text).into()));
            }
        }
    }

    fn number(&self, row: &Row, field: Field) -> Option<u64> {
        self.text(row, field).and_then(|(text, _)| value::number(&text))
    }

    /// The first time that one of the field's sources tells; an error where there are texts, but no times.
    fn time(&self, row: &Row, field: Field) -> Result<Option<Micros>, Defect> {
        let mut has_text = false;
        for (index, source) in self.mapping.sources(field).iter().enumerate() {
            let Some(text) = self.text_of(row, field, index, source) else { continue };
            has_text = true;
            if let Some(time) = value::time(&text, &source.unit, self.mapping.zone_minutes) {
                return match time {
                    0..=super::LATEST_TIME => Ok(Some(time)),
                    _ => Err("a time out of range"),
                };
            }
        }
        if has_text { Err("a time that is none") } else { Ok(None) }
    }

    /// The first text that one of the field's sources has.
    fn text(&self, row: &Row, field: Field) -> Option<(String, &Source)> {
        let mut sources = self.mapping.sources(field).iter().enumerate();
        sources.find_map(|(index, source)| Some((self.text_of(row, field, index, source)?, source)))
    }

    fn text_of(&self, row: &Row, field: Field, index: usize, source: &Source) -> Option<String> {
        if let Some(constant) = &source.constant {
            return Some(constant.clone());
        }
        let text = match (row, source.columns.as_slice()) {
            (Row::Values(values), columns) => {
                let places = self.places.get(field as usize)?.get(index)?.as_ref()?;
                if columns.len() == 1 {
                    values.get(places[0])?.trim().to_owned()
                } else {
                    let parts: Vec<&str> = places.iter().filter_map(|at| values.get(*at)).map(String::as_str).collect();
                    parts.join(" ")
                }
            }
            (Row::Object(object), [column]) => as_text(lookup(object, column)?)?,
            (Row::Object(object), columns) => {
                let parts: Option<Vec<String>> = columns.iter().map(|name| as_text(lookup(object, name)?)).collect();
                parts?.join(" ")
            }
        };
        let text = match source
            .values
            .iter()
            .find(|(key, _)| is_same(key, &text))
            .or_else(|| source.values.get_key_value("*"))
        {
            Some((_, value)) => value.clone(),
            None => text,
        };
        (!is_empty(&text)).then_some(text)
    }
}

/// IANA's reserved number, for tables that tell no protocol: such a flow is volume and no more.
const NO_PROTOCOL: u8 = 255;

/// What a row tells of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    packets: Option<u64>,
    bytes: Option<u64>,
    payload: Option<u64>,
}

impl Counted {
    fn measured(self, flow: &DeclaredFlow, link_bytes: u64) -> Measured {
        let packets = self.packets.unwrap_or(0);
        let least_headers = match flow.src.host {
            Host::V6(_) => 48,
            _ => 28,
        };
        // Where payload alone is told, the least there can be around it.
        let bytes =
            self.bytes.or(self.payload.map(|payload| payload.saturating_add(packets.saturating_mul(least_headers))));
        let bytes = bytes.unwrap_or(0).saturating_sub(packets.saturating_mul(link_bytes));
        Measured { packets, bytes, payload: self.payload.map(|payload| payload.min(bytes)) }
    }
}

/// The share of the packets that goes with a share of the bytes, at least one for each direction that has bytes.
fn share_of(packets: u64, fwd_bytes: u64, rev_bytes: u64) -> u64 {
    match (fwd_bytes, rev_bytes) {
        (_, 0) => return packets,
        (0, _) => return 0,
        _ if packets < 2 => return packets,
        _ => {}
    }
    let all = u128::from(fwd_bytes) + u128::from(rev_bytes);
    let share = (u128::from(packets) * u128::from(fwd_bytes) / all.max(1)) as u64;
    share.clamp(1, packets - 1)
}

fn turn_round(flow: &mut DeclaredFlow) {
    // A half keeps its direction: that its receiver initiated is told by its other half, or by its flags.
    let Some(rev) = flow.rev else { return };
    std::mem::swap(&mut flow.src, &mut flow.dst);
    std::mem::swap(&mut flow.flags_fwd, &mut flow.flags_rev);
    flow.rev = Some(flow.fwd);
    flow.fwd = rev;
    flow.is_initiator_declared = true;
}

fn split_port(text: &str) -> (&str, Option<String>) {
    match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.to_owned())),
        None => (text, None),
    }
}

/// nfdump prints ICMP's type and code as `8.0`, exporters as type × 256 + code.
fn icmp_of_port(text: &str) -> Option<(u8, u8)> {
    if let Some((kind, code)) = text.split_once('.')
        && let (Ok(kind), Ok(code)) = (kind.parse(), code.parse())
    {
        return Some((kind, code));
    }
    let number = value::number(text)?;
    (number > 0 && number < 65_536).then_some(((number >> 8) as u8, number as u8))
}

fn is_host_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%');
    !name.is_empty() && name.len() <= LONGEST_TEXT && name.bytes().all(is_letter)
}

fn outcome_of(text: &str) -> Option<Outcome> {
    (1..6).filter_map(Outcome::from_wire).find(|outcome| outcome.name() == text)
}

fn end_reason_of(text: &str) -> Option<EndReason> {
    (0..8).filter_map(EndReason::from_wire).find(|reason| reason.name() == text)
}

/// The beginning of a text, cut at a whole letter.
pub(super) fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_TEXT)]
}

fn as_text(value: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_true) => Some(is_true.to_string()),
        // How many there are, for answers; the first, for tags.
        Value::Array(values) => match values.as_slice() {
            [Value::Number(number)] => Some(number.to_string()),
            values => Some(values.len().to_string()),
        },
        Value::Null | Value::Object(_) => None,
    }
}

/// The text of a column, as it stands.
fn raw(row: &Row, name: &str, at: Option<usize>) -> Option<String> {
    match row {
        Row::Values(values) => values.get(at?).map(|text| text.trim().to_owned()),
        Row::Object(object) => as_text(lookup(object, name)?),
    }
}
