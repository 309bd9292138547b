//! Arbitrary flow records and marks: every field over its whole range, every block present and absent.

use proptest::array::{uniform5, uniform6, uniform7};
use proptest::collection::vec;
use proptest::prelude::*;
use weir_schemas::{
    App, Counts, Dns, DnsType, End, EndReason, Flow, Host, Http, Initiator, Irc, Link, Login, Mark, MarkStatus,
    Outcome, Record, Response, Spread, Ssh, SynOptions, Tcp, TcpFlags, Timing, Tls, Ttl, Tunnel, WindowSize,
};

use super::arbitrary::{any_count, any_host, any_string, any_text, maybe};

prop_compose! {
    fn any_end()(
        host in any_host(),
        port: u16,
        mac: Option<[u8; 6]>,
        beside in maybe(any_text()),
        country in maybe(any_text()),
        asn: Option<u32>,
    ) -> End {
        // A host known by name has no other name beside it.
        let name = if matches!(host, Host::Name(_)) { None } else { beside };
        End { host, port, mac, name, country, asn }
    }
}

fn any_counts() -> impl Strategy<Value = Counts> {
    uniform6(any_count()).prop_map(|[packets, bytes, payload, total_packets, total_bytes, fragments]| Counts {
        packets,
        bytes,
        payload,
        total_packets,
        total_bytes,
        fragments,
    })
}

fn any_flags() -> impl Strategy<Value = TcpFlags> {
    uniform7(any::<u32>()).prop_map(|[syn, syn_ack, ack, fin, rst, psh, urg]| TcpFlags {
        syn,
        syn_ack,
        ack,
        fin,
        rst,
        psh,
        urg,
    })
}

fn any_ttl() -> impl Strategy<Value = Ttl> {
    (any::<u8>(), any::<u8>(), any_count(), any::<u32>()).prop_map(|(min, max, sum, changes)| Ttl {
        min,
        max,
        sum,
        changes,
    })
}

fn any_window() -> impl Strategy<Value = WindowSize> {
    (any::<u16>(), any::<u16>(), any_count(), any_wide()).prop_map(|(min, max, sum, sumsq)| WindowSize {
        min,
        max,
        sum,
        sumsq,
    })
}

fn any_wide() -> impl Strategy<Value = u128> {
    (any::<u128>(), 0..128_u32).prop_map(|(bits, shift)| bits >> shift)
}

prop_compose! {
    fn any_syn_options()(
        mss: Option<u16>,
        scale: Option<u8>,
        sack: bool,
        ts: bool,
        order in vec(any::<u8>(), 0..8),
        quirks in any_string(),
        (ttl_class, window) in any::<(u8, u16)>(),
        stack in any_string(),
    ) -> SynOptions {
        SynOptions { mss, scale, sack, ts, order, quirks, ttl_class, window, stack }
    }
}

prop_compose! {
    fn any_tcp()(
        (fwd, rev) in (any_flags(), any_flags()),
        first_flags: u8,
        state in any_text(),
        history in any_string(),
        (syn_rtt_us, ack_rtt_us) in any::<(Option<u32>, Option<u32>)>(),
        (n, sum_us, max_us) in (any::<u32>(), any_count(), any::<u32>()),
        [retrans, fast_retrans, out_of_order, dup_ack, zero_window] in uniform5(any::<u32>()),
        [window_probe, keepalive, ack_unseen, duplicate_frame, ts_backwards] in uniform5(any::<u32>()),
        (spurious_retrans, option_errors) in any::<(u32, u32)>(),
        (fwd_ttl, rev_ttl) in (any_ttl(), any_ttl()),
        (fwd_window, rev_window) in (any_window(), any_window()),
        (fwd_options, rev_options) in (maybe(any_syn_options()), maybe(any_syn_options())),
    ) -> Tcp {
        Tcp {
            fwd, rev, first_flags, state, history, syn_rtt_us, ack_rtt_us,
            response: Response { n, sum_us, max_us },
            retrans, fast_retrans, out_of_order, dup_ack, zero_window, window_probe, keepalive, ack_unseen,
            duplicate_frame, fwd_ttl, rev_ttl, fwd_window, rev_window,
            fwd_syn_options: fwd_options.map(Box::new),
            rev_syn_options: rev_options.map(Box::new),
            ts_backwards,
            spurious_retrans,
            option_errors,
        }
    }
}

fn any_link() -> impl Strategy<Value = Link> {
    any::<(u16, [u8; 6], [u8; 6], bool)>().prop_map(|(op, sender_mac, target_mac, gratuitous)| Link {
        op,
        sender_mac,
        target_mac,
        gratuitous,
    })
}

fn any_tunnel() -> impl Strategy<Value = Tunnel> {
    (any_text(), any_host(), any_host(), any::<u32>()).prop_map(|(kind, outer_src, outer_dst, id)| Tunnel {
        kind,
        outer_src,
        outer_dst,
        id,
    })
}

fn any_spread() -> impl Strategy<Value = Spread> {
    (proptest::array::uniform4(any_count()), any_wide()).prop_map(|([n, sum, min, max], sumsq)| Spread {
        n,
        sum,
        sumsq,
        min,
        max,
    })
}

fn any_timing() -> impl Strategy<Value = Timing> {
    proptest::array::uniform4(any_spread()).prop_map(|[fwd_iat, rev_iat, fwd_size, rev_size]| Timing {
        fwd_iat,
        rev_iat,
        fwd_size,
        rev_size,
    })
}

fn any_dns_type() -> impl Strategy<Value = DnsType> {
    (any::<u16>(), any::<u32>(), any_count()).prop_map(|(query_type, queries, bytes)| DnsType {
        query_type,
        queries,
        bytes,
    })
}

prop_compose! {
    fn any_dns()(
        query in any_string(),
        (query_type, longest_name) in any::<(u16, u16)>(),
        rcode: Option<u8>,
        [queries, responses, nxdomain, failures, answers] in uniform5(any::<u32>()),
        names: u32,
        [query_hash, domain_hash, entropy_millibits, query_bytes, response_bytes] in uniform5(any_count()),
        types in vec(any_dns_type(), 0..4),
    ) -> Dns {
        Dns {
            query, query_hash, domain_hash, query_type, rcode, queries, responses, nxdomain, failures, answers, names,
            longest_name, entropy_millibits, query_bytes, response_bytes, types,
        }
    }
}

prop_compose! {
    fn any_http()(
        (method, host, path_segment, user_agent) in (any_string(), any_string(), any_string(), any_string()),
        agent_family in any_text(),
        (host_hash, path_hash) in (any_count(), any_count()),
        status: Option<u16>,
        [requests, responses, errors, denied, paths] in uniform5(any::<u32>()),
    ) -> Http {
        Http {
            method, host, host_hash, path_segment, path_hash, user_agent, agent_family, status, requests, responses,
            errors, denied, paths,
        }
    }
}

prop_compose! {
    fn any_tls()(
        (version, offered_version) in any::<(u16, u16)>(),
        (server_name, alpn, ja3, ja4) in (any_string(), any_string(), any_string(), any_string()),
        server_name_hash in any_count(),
        cipher: Option<u16>,
        alert: Option<u8>,
    ) -> Tls {
        Tls { version, offered_version, server_name, server_name_hash, alpn, ja3, ja4, cipher, alert }
    }
}

prop_compose! {
    // Boxed: the strategies together are too large for a test's stack.
    fn any_app()(
        name in any_text(),
        dns in maybe(any_dns().boxed()),
        http in maybe(any_http().boxed()),
        tls in maybe(any_tls().boxed()),
        ssh in maybe((any_string(), any_string(), any_string())),
        login in maybe((any::<u32>(), any::<u32>(), any_text(), any::<bool>())),
        irc in maybe((any_string(), any_string(), any::<u32>())),
    ) -> App {
        App {
            name, dns, http, tls,
            ssh: ssh.map(|(client, server, client_fingerprint)| Ssh { client, server, client_fingerprint }),
            login: login.map(|(attempts, failures, proto, estimated)| Login { attempts, failures, proto, estimated }),
            irc: irc.map(|(nick, channel, commands)| Irc { nick, channel, commands }),
        }
    }
}

prop_compose! {
    fn any_flow()(
        (sensor, site, input) in (any_text(), any_text(), any_text()),
        (boot, seq, sampling) in (any::<i64>(), any_count(), any::<u32>()),
        (event_time, first_time, last_time, clock_offset_us) in any::<(i64, i64, i64, i64)>(),
        (src, dst) in (any_end(), any_end()),
        (proto, icmp_type, icmp_code, vantage) in any::<(u8, Option<u8>, Option<u8>, u8)>(),
        vlan in vec(any::<u16>(), 0..5),
        (initiator, outcome, end_reason) in (0..7, 0..6, 0..8),
        (fwd, rev) in (any_counts(), any_counts()),
        (flow_id, community_id, export_index, capture_drops) in any::<(u64, [u8; 20], u32, u64)>(),
        (tcp, link, tunnel) in (maybe(any_tcp().boxed()), maybe(any_link()), maybe(any_tunnel())),
        (app, timing, labels) in (maybe(any_app().boxed()), maybe(any_timing()), vec((any_text(), any_text()), 0..3)),
    ) -> Flow {
        Flow {
            sensor, site, boot, seq, input, sampling, event_time, first_time, last_time, clock_offset_us, src, dst,
            proto, icmp_type, icmp_code, vlan,
            tunnel: tunnel.map(Box::new),
            initiator: Initiator::from_wire(initiator).unwrap(),
            vantage,
            outcome: Outcome::from_wire(outcome).unwrap(),
            fwd, rev, flow_id, community_id, export_index,
            end_reason: EndReason::from_wire(end_reason).unwrap(),
            capture_drops,
            tcp: tcp.map(Box::new),
            link: link.map(Box::new),
            app: app.map(Box::new),
            timing: timing.map(Box::new),
            labels,
        }
    }
}

prop_compose! {
    fn any_mark()(
        (sensor, site) in (any_text(), any_text()),
        (boot, t, end) in any::<(i64, i64, bool)>(),
        [seq, packets, drops, decode_errors, spool_bytes] in uniform5(any_count()),
        table_fill: u32,
    ) -> Mark {
        let status = MarkStatus { packets, drops, decode_errors, table_fill, spool_bytes };
        Mark { sensor, site, boot, seq, t, end, status }
    }
}

pub fn any_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        3 => any_flow().prop_map(|flow| Record::Flow(Box::new(flow))),
        1 => any_mark().prop_map(|mark| Record::Mark(Box::new(mark))),
    ]
}
