//! Flow records and marks as `apache-avro` values, written from the schema and not from the codec.

use apache_avro::types::Value;
use weir_schemas::{
    App, Counts, DnsType, End, Flow, Host, Link, Mark, Record, Spread, SynOptions, Tcp, TcpFlags, Timing, Ttl, Tunnel,
    WindowSize,
};

use super::model::{address, array, count, fixed, host, int, long, optional, record, text, wide};

fn end(end: &End) -> Value {
    let name = end.host.name().or(end.name.as_ref());
    record([
        ("ip", address(&end.host)),
        ("port", int(end.port)),
        ("name", optional(name.map(|name| text(name)))),
        ("mac", optional(end.mac.map(|mac| fixed(&mac)))),
        ("country", optional(end.country.as_ref().map(|code| text(code)))),
        ("asn", optional(end.asn.map(long))),
    ])
}

fn counts(counts: &Counts) -> Value {
    record([
        ("packets", count(counts.packets)),
        ("bytes", count(counts.bytes)),
        ("payload", count(counts.payload)),
        ("total_packets", count(counts.total_packets)),
        ("total_bytes", count(counts.total_bytes)),
        ("fragments", count(counts.fragments)),
    ])
}

fn flags(flags: &TcpFlags) -> Value {
    record([
        ("syn", long(flags.syn)),
        ("syn_ack", long(flags.syn_ack)),
        ("ack", long(flags.ack)),
        ("fin", long(flags.fin)),
        ("rst", long(flags.rst)),
        ("psh", long(flags.psh)),
        ("urg", long(flags.urg)),
    ])
}

fn ttl(ttl: &Ttl) -> Value {
    record([("min", int(ttl.min)), ("max", int(ttl.max)), ("sum", count(ttl.sum)), ("changes", long(ttl.changes))])
}

fn window(window: &WindowSize) -> Value {
    record([
        ("min", int(window.min)),
        ("max", int(window.max)),
        ("sum", count(window.sum)),
        ("sumsq", wide(window.sumsq)),
    ])
}

fn syn_options(options: &SynOptions) -> Value {
    record([
        ("mss", optional(options.mss.map(int))),
        ("scale", optional(options.scale.map(int))),
        ("sack", Value::Boolean(options.sack)),
        ("ts", Value::Boolean(options.ts)),
        ("order", Value::Bytes(options.order.clone())),
        ("quirks", text(&options.quirks)),
        ("ttl_class", int(options.ttl_class)),
        ("window", int(options.window)),
        ("stack", text(&options.stack)),
    ])
}

fn tcp(tcp: &Tcp) -> Value {
    let response = &tcp.response;
    record([
        ("fwd", flags(&tcp.fwd)),
        ("rev", flags(&tcp.rev)),
        ("first_flags", int(tcp.first_flags)),
        ("state", text(&tcp.state)),
        ("history", text(&tcp.history)),
        ("syn_rtt_us", optional(tcp.syn_rtt_us.map(long))),
        ("ack_rtt_us", optional(tcp.ack_rtt_us.map(long))),
        (
            "response",
            record([("n", long(response.n)), ("sum_us", count(response.sum_us)), ("max_us", long(response.max_us))]),
        ),
        ("retrans", long(tcp.retrans)),
        ("fast_retrans", long(tcp.fast_retrans)),
        ("out_of_order", long(tcp.out_of_order)),
        ("dup_ack", long(tcp.dup_ack)),
        ("zero_window", long(tcp.zero_window)),
        ("window_probe", long(tcp.window_probe)),
        ("keepalive", long(tcp.keepalive)),
        ("ack_unseen", long(tcp.ack_unseen)),
        ("duplicate_frame", long(tcp.duplicate_frame)),
        ("fwd_ttl", ttl(&tcp.fwd_ttl)),
        ("rev_ttl", ttl(&tcp.rev_ttl)),
        ("fwd_window", window(&tcp.fwd_window)),
        ("rev_window", window(&tcp.rev_window)),
        ("fwd_syn_options", optional(tcp.fwd_syn_options.as_deref().map(syn_options))),
        ("rev_syn_options", optional(tcp.rev_syn_options.as_deref().map(syn_options))),
        ("ts_backwards", long(tcp.ts_backwards)),
        ("spurious_retrans", long(tcp.spurious_retrans)),
        ("option_errors", long(tcp.option_errors)),
    ])
}

fn link(link: &Link) -> Value {
    record([
        ("op", int(link.op)),
        ("sender_mac", fixed(&link.sender_mac)),
        ("target_mac", fixed(&link.target_mac)),
        ("gratuitous", Value::Boolean(link.gratuitous)),
    ])
}

fn tunnel(tunnel: &Tunnel) -> Value {
    record([
        ("kind", text(&tunnel.kind)),
        ("outer_src", host(&tunnel.outer_src)),
        ("outer_dst", host(&tunnel.outer_dst)),
        ("id", long(tunnel.id)),
    ])
}

fn spread(spread: &Spread) -> Value {
    record([
        ("n", count(spread.n)),
        ("sum", count(spread.sum)),
        ("sumsq", wide(spread.sumsq)),
        ("min", count(spread.min)),
        ("max", count(spread.max)),
    ])
}

fn timing(timing: &Timing) -> Value {
    record([
        ("fwd_iat", spread(&timing.fwd_iat)),
        ("rev_iat", spread(&timing.rev_iat)),
        ("fwd_size", spread(&timing.fwd_size)),
        ("rev_size", spread(&timing.rev_size)),
    ])
}

fn dns_type(kind: &DnsType) -> Value {
    record([("query_type", int(kind.query_type)), ("queries", long(kind.queries)), ("bytes", count(kind.bytes))])
}

fn app(app: &App) -> Value {
    let dns = app.dns.as_ref().map(|dns| {
        record([
            ("query", text(&dns.query)),
            ("query_hash", count(dns.query_hash)),
            ("domain_hash", count(dns.domain_hash)),
            ("query_type", int(dns.query_type)),
            ("rcode", optional(dns.rcode.map(int))),
            ("queries", long(dns.queries)),
            ("responses", long(dns.responses)),
            ("nxdomain", long(dns.nxdomain)),
            ("failures", long(dns.failures)),
            ("answers", long(dns.answers)),
            ("names", long(dns.names)),
            ("longest_name", int(dns.longest_name)),
            ("entropy_millibits", count(dns.entropy_millibits)),
            ("query_bytes", count(dns.query_bytes)),
            ("response_bytes", count(dns.response_bytes)),
            ("types", array(&dns.types, dns_type)),
        ])
    });
    let http = app.http.as_ref().map(|http| {
        record([
            ("method", text(&http.method)),
            ("host", text(&http.host)),
            ("host_hash", count(http.host_hash)),
            ("path_segment", text(&http.path_segment)),
            ("path_hash", count(http.path_hash)),
            ("user_agent", text(&http.user_agent)),
            ("agent_family", text(&http.agent_family)),
            ("status", optional(http.status.map(int))),
            ("requests", long(http.requests)),
            ("responses", long(http.responses)),
            ("errors", long(http.errors)),
            ("denied", long(http.denied)),
            ("paths", long(http.paths)),
        ])
    });
    let tls = app.tls.as_ref().map(|tls| {
        record([
            ("version", int(tls.version)),
            ("offered_version", int(tls.offered_version)),
            ("server_name", text(&tls.server_name)),
            ("server_name_hash", count(tls.server_name_hash)),
            ("alpn", text(&tls.alpn)),
            ("ja3", text(&tls.ja3)),
            ("ja4", text(&tls.ja4)),
            ("cipher", optional(tls.cipher.map(int))),
            ("alert", optional(tls.alert.map(int))),
        ])
    });
    let ssh = app.ssh.as_ref().map(|ssh| {
        record([
            ("client", text(&ssh.client)),
            ("server", text(&ssh.server)),
            ("client_fingerprint", text(&ssh.client_fingerprint)),
        ])
    });
    let login = app.login.as_ref().map(|login| {
        record([
            ("attempts", long(login.attempts)),
            ("failures", long(login.failures)),
            ("proto", text(&login.proto)),
            ("estimated", Value::Boolean(login.estimated)),
        ])
    });
    let irc = app.irc.as_ref().map(|irc| {
        record([("nick", text(&irc.nick)), ("channel", text(&irc.channel)), ("commands", long(irc.commands))])
    });
    record([
        ("name", text(&app.name)),
        ("dns", optional(dns)),
        ("http", optional(http)),
        ("tls", optional(tls)),
        ("ssh", optional(ssh)),
        ("login", optional(login)),
        ("irc", optional(irc)),
    ])
}

fn flow(flow: &Flow, kind: i32, mark: Option<Value>) -> Value {
    record([
        ("kind", int(kind)),
        ("sensor", text(&flow.sensor)),
        ("site", text(&flow.site)),
        ("boot", long(flow.boot)),
        ("seq", count(flow.seq)),
        ("event_time", long(flow.event_time)),
        ("mark", optional(mark)),
        ("first_time", long(flow.first_time)),
        ("last_time", long(flow.last_time)),
        ("proto", int(flow.proto)),
        ("initiator", int(flow.initiator as i32)),
        ("vantage", int(flow.vantage)),
        ("outcome", int(flow.outcome as i32)),
        ("end_reason", int(flow.end_reason as i32)),
        ("src", end(&flow.src)),
        ("dst", end(&flow.dst)),
        ("fwd", counts(&flow.fwd)),
        ("rev", counts(&flow.rev)),
        ("flow_id", fixed(&flow.flow_id.to_be_bytes())),
        ("community_id", fixed(&flow.community_id)),
        ("export_index", long(flow.export_index)),
        ("sampling", long(flow.sampling)),
        ("clock_offset_us", long(flow.clock_offset_us)),
        ("capture_drops", count(flow.capture_drops)),
        ("icmp_type", optional(flow.icmp_type.map(int))),
        ("icmp_code", optional(flow.icmp_code.map(int))),
        ("vlan", array(&flow.vlan, |id| int(*id))),
        ("input", text(&flow.input)),
        ("tcp", optional(flow.tcp.as_deref().map(tcp))),
        ("link", optional(flow.link.as_deref().map(link))),
        ("tunnel", optional(flow.tunnel.as_deref().map(tunnel))),
        ("timing", optional(flow.timing.as_deref().map(timing))),
        ("app", optional(flow.app.as_deref().map(app))),
        ("labels", array(&flow.labels, |(name, value)| record([("name", text(name)), ("value", text(value))]))),
    ])
}

fn mark_block(mark: &Mark) -> Value {
    record([
        ("end", Value::Boolean(mark.end)),
        ("packets", count(mark.status.packets)),
        ("drops", count(mark.status.drops)),
        ("decode_errors", count(mark.status.decode_errors)),
        ("table_fill", long(mark.status.table_fill)),
        ("spool_bytes", count(mark.status.spool_bytes)),
    ])
}

/// A mark's record is a flow of nothing: every number zero, every text empty.
fn flow_of_nothing(mark: &Mark) -> Flow {
    let nowhere = End::new(Host::Name("".into()), 0);
    Flow {
        sensor: mark.sensor.clone(),
        site: mark.site.clone(),
        boot: mark.boot,
        seq: mark.seq,
        input: "".into(),
        sampling: 0,
        event_time: mark.t,
        first_time: 0,
        last_time: 0,
        clock_offset_us: 0,
        src: nowhere.clone(),
        dst: nowhere,
        proto: 0,
        icmp_type: None,
        icmp_code: None,
        vlan: Vec::new(),
        tunnel: None,
        initiator: weir_schemas::Initiator::Declared,
        vantage: 0,
        outcome: weir_schemas::Outcome::None,
        fwd: Counts::default(),
        rev: Counts::default(),
        flow_id: 0,
        community_id: [0; 20],
        export_index: 0,
        end_reason: weir_schemas::EndReason::Active,
        capture_drops: 0,
        tcp: None,
        link: None,
        app: None,
        timing: None,
        labels: Vec::new(),
    }
}

pub fn flow_record(of: &Record) -> Value {
    match of {
        Record::Flow(record) => flow(record, 0, None),
        Record::Mark(mark) => flow(&flow_of_nothing(mark), 1, Some(mark_block(mark))),
    }
}
