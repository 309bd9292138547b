//! `weir.FlowV1`: flow records and marks. Field order is that of `avro/flow.avsc`.

use super::error::DecodeError;
use super::wire::{Failed, Input, Wire, put_long, put_octets, wire_record};
use crate::app::{App, Dns, DnsType, Http, Irc, Login, Ssh, Tls};
use crate::flow::{
    Counts, End, EndReason, Flow, Initiator, Link, Mark, MarkStatus, Outcome, Record, Tcp, TcpFlags, Tunnel,
};
use crate::host::{Host, Text};
use crate::tcp::{Response, SynOptions, Ttl, WindowSize};
use crate::timing::{Spread, Timing};

const KIND_FLOW: i64 = 0;
const KIND_MARK: i64 = 1;
const KIND_AGGREGATE: i64 = 2;

wire_record!(Counts { packets, bytes, payload, total_packets, total_bytes, fragments });
wire_record!(TcpFlags { syn, syn_ack, ack, fin, rst, psh, urg });
wire_record!(Response { n, sum_us, max_us });
wire_record!(Ttl { min, max, sum, changes });
wire_record!(WindowSize { min, max, sum, sumsq });
wire_record!(Link { op, sender_mac, target_mac, gratuitous });
wire_record!(Tunnel { kind, outer_src, outer_dst, id });
wire_record!(Spread { n, sum, sumsq, min, max });
wire_record!(Timing { fwd_iat, rev_iat, fwd_size, rev_size });
wire_record!(App { name, dns, http, tls, ssh, login, irc });
wire_record!(Dns {
    query,
    query_hash,
    domain_hash,
    query_type,
    rcode,
    queries,
    responses,
    nxdomain,
    failures,
    answers,
    names,
    longest_name,
    entropy_millibits,
    query_bytes,
    response_bytes,
    types,
});
wire_record!(DnsType { query_type, queries, bytes });
wire_record!(Http {
    method,
    host,
    host_hash,
    path_segment,
    path_hash,
    user_agent,
    agent_family,
    status,
    requests,
    responses,
    errors,
    denied,
    paths,
});
wire_record!(Tls { version, offered_version, server_name, server_name_hash, alpn, ja3, ja4, cipher, alert });
wire_record!(Ssh { client, server, client_fingerprint });
wire_record!(Login { attempts, failures, proto, estimated });
wire_record!(Irc { nick, channel, commands });
wire_record!(Tcp {
    fwd,
    rev,
    first_flags,
    state,
    history,
    syn_rtt_us,
    ack_rtt_us,
    response,
    retrans,
    fast_retrans,
    out_of_order,
    dup_ack,
    zero_window,
    window_probe,
    keepalive,
    ack_unseen,
    duplicate_frame,
    fwd_ttl,
    rev_ttl,
    fwd_window,
    rev_window,
    fwd_syn_options,
    rev_syn_options,
    ts_backwards,
    spurious_retrans,
    option_errors,
});

impl Wire for SynOptions {
    fn put(&self, out: &mut Vec<u8>) {
        self.mss.put(out);
        self.scale.put(out);
        self.sack.put(out);
        self.ts.put(out);
        put_octets(out, &self.order);
        self.quirks.put(out);
        self.ttl_class.put(out);
        self.window.put(out);
        self.stack.put(out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        Ok(Self {
            mss: Wire::read(input)?,
            scale: Wire::read(input)?,
            sack: Wire::read(input)?,
            ts: Wire::read(input)?,
            order: input.octets()?.to_vec(),
            quirks: Wire::read(input)?,
            ttl_class: Wire::read(input)?,
            window: Wire::read(input)?,
            stack: Wire::read(input)?,
        })
    }
}

/// A label: a record of name and value.
impl Wire for (Text, Text) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        Ok((Wire::read(input)?, Wire::read(input)?))
    }
}

/// Wire numbers of enums, each an Avro `int`.
macro_rules! wire_number {
    ($type:ty, $field:literal) => {
        impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                put_long(out, *self as i64);
            }
            fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
                let value = input.long()?;
                let known = i32::try_from(value).ok().and_then(Self::from_wire);
                known.ok_or_else(|| input.fail(DecodeError::UnknownNumber { field: $field, value }))
            }
        }
    };
}
wire_number!(Initiator, "initiator");
wire_number!(Outcome, "outcome");
wire_number!(EndReason, "end reason");

/// The `mark` block.
struct MarkBlock {
    end: bool,
    status: MarkStatus,
}

wire_record!(MarkStatus { packets, drops, decode_errors, table_fill, spool_bytes });
wire_record!(MarkBlock { end, status });

/// What a mark's record holds after the `mark` block.
fn put_empty_flow(out: &mut Vec<u8>) {
    let end = End::new(Host::Name(Text::default()), 0);
    // first_time, last_time, proto, initiator, vantage, outcome, end_reason: one zero each.
    out.extend_from_slice(&[0; 7]);
    end.put(out);
    end.put(out);
    Counts::default().put(out);
    Counts::default().put(out);
    // flow_id and community_id; then export_index, sampling, clock_offset_us, capture_drops, icmp_type, icmp_code,
    // vlan, input, and the blocks tcp, link, tunnel, timing, app, labels: one zero each.
    out.extend_from_slice(&[0; 8 + 20 + 8 + 6]);
}

fn put_flow(flow: &Flow, out: &mut Vec<u8>) {
    put_long(out, KIND_FLOW);
    flow.sensor.put(out);
    flow.site.put(out);
    flow.boot.put(out);
    flow.seq.put(out);
    flow.event_time.put(out);
    out.push(0);
    flow.first_time.put(out);
    flow.last_time.put(out);
    flow.proto.put(out);
    flow.initiator.put(out);
    flow.vantage.put(out);
    flow.outcome.put(out);
    flow.end_reason.put(out);
    flow.src.put(out);
    flow.dst.put(out);
    flow.fwd.put(out);
    flow.rev.put(out);
    out.extend_from_slice(&flow.flow_id.to_be_bytes());
    flow.community_id.put(out);
    flow.export_index.put(out);
    flow.sampling.put(out);
    flow.clock_offset_us.put(out);
    flow.capture_drops.put(out);
    flow.icmp_type.put(out);
    flow.icmp_code.put(out);
    flow.vlan.put(out);
    flow.input.put(out);
    flow.tcp.put(out);
    flow.link.put(out);
    flow.tunnel.put(out);
    flow.timing.put(out);
    flow.app.put(out);
    flow.labels.put(out);
}

fn put_mark(mark: &Mark, out: &mut Vec<u8>) {
    put_long(out, KIND_MARK);
    mark.sensor.put(out);
    mark.site.put(out);
    mark.boot.put(out);
    mark.seq.put(out);
    mark.t.put(out);
    Some(MarkBlock { end: mark.end, status: mark.status }).put(out);
    put_empty_flow(out);
}

impl Wire for Record {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Flow(flow) => put_flow(flow, out),
            Self::Mark(mark) => put_mark(mark, out),
        }
    }

    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        let kind = input.long()?;
        if kind == KIND_AGGREGATE {
            return Err(input.fail(DecodeError::Aggregate));
        }
        if kind != KIND_FLOW && kind != KIND_MARK {
            return Err(input.fail(DecodeError::UnknownNumber { field: "kind", value: kind }));
        }
        let sensor = Wire::read(input)?;
        let site = Wire::read(input)?;
        let boot = Wire::read(input)?;
        let seq = Wire::read(input)?;
        let event_time = Wire::read(input)?;
        let mark: Option<MarkBlock> = Wire::read(input)?;
        let flow = Box::new(Flow {
            sensor,
            site,
            boot,
            seq,
            event_time,
            first_time: Wire::read(input)?,
            last_time: Wire::read(input)?,
            proto: Wire::read(input)?,
            initiator: Wire::read(input)?,
            vantage: Wire::read(input)?,
            outcome: Wire::read(input)?,
            end_reason: Wire::read(input)?,
            src: Wire::read(input)?,
            dst: Wire::read(input)?,
            fwd: Wire::read(input)?,
            rev: Wire::read(input)?,
            flow_id: u64::from_be_bytes(input.fixed()?),
            community_id: Wire::read(input)?,
            export_index: Wire::read(input)?,
            sampling: Wire::read(input)?,
            clock_offset_us: Wire::read(input)?,
            capture_drops: Wire::read(input)?,
            icmp_type: Wire::read(input)?,
            icmp_code: Wire::read(input)?,
            vlan: Wire::read(input)?,
            input: Wire::read(input)?,
            tcp: Wire::read(input)?,
            link: Wire::read(input)?,
            tunnel: Wire::read(input)?,
            timing: Wire::read(input)?,
            app: Wire::read(input)?,
            labels: Wire::read(input)?,
        });
        match (kind, mark) {
            (KIND_FLOW, None) => Ok(Self::Flow(flow)),
            (KIND_MARK, Some(block)) => {
                let Flow { sensor, site, boot, seq, event_time: t, .. } = *flow;
                Ok(Self::Mark(Box::new(Mark { sensor, site, boot, seq, t, end: block.end, status: block.status })))
            }
            (KIND_FLOW, Some(_)) => Err(input.fail(DecodeError::Blocks("flow"))),
            _ => Err(input.fail(DecodeError::Blocks("mark"))),
        }
    }
}
