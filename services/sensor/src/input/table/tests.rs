//! Every built-in mapping over rows of our own, and what tables promise in general.

use proptest::prelude::*;
use weir_schemas::{Micros, SECOND_US};

use super::super::{Date, Input, InputError, InputKind, InputOptions, Observed, merge, open, opening};
use super::{Mapping, tables};
use crate::declared::{DeclaredFlow, Measured};
use crate::packet::InputCounters;

/// What came of a table.
struct Read {
    flows: Vec<DeclaredFlow>,
    counters: InputCounters,
    warnings: Vec<String>,
    kind: String,
}

fn try_read(text: &[u8], options: &InputOptions) -> Result<Read, InputError> {
    let stream = Box::new(std::io::Cursor::new(text.to_vec()));
    let input = opening::open_stream("table", stream, None, options)?;
    Ok(drain(&mut merge::MergedInput::new(vec![input])))
}

fn drain(input: &mut dyn Input) -> Read {
    let mut flows = Vec::new();
    while let Some(observed) = input.next() {
        match observed {
            Observed::Flow(flow) => flows.push(*flow),
            Observed::Packet(packet) => panic!("a table has no packets: {packet:?}"),
        }
    }
    let warnings = input.take_warnings().into_iter().map(|warning| warning.message).collect();
    Read { flows, counters: input.counters().clone(), warnings, kind: input.kind().to_owned() }
}

fn read(text: &str) -> Read {
    try_read(text.as_bytes(), &InputOptions::default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A flow in one line: times, ends, volume both ways, and what is known besides.
fn line(flow: &DeclaredFlow) -> String {
    let volume = |measured: &Measured| {
        let payload = measured.payload.map_or(String::new(), |payload| format!("/{payload}"));
        format!("{}/{}{payload}", measured.packets, measured.bytes)
    };
    let mut parts = vec![
        format!("{}+{}", flow.start, flow.end - flow.start),
        format!("{}:{}>{}:{}", flow.src.host, flow.src.port, flow.dst.host, flow.dst.port),
        format!("{}", flow.proto),
        volume(&flow.fwd),
        flow.rev.as_ref().map_or("one-way".to_owned(), volume),
    ];
    let flags = |name: &str, flags: Option<u8>| flags.map(|flags| format!("{name}={flags:#04x}"));
    parts.extend(flags("fwd", flow.flags_fwd));
    parts.extend(flags("rev", flow.flags_rev));
    parts.extend(flow.is_initiator_declared.then(|| "declared".to_owned()));
    parts.extend(flow.state.as_ref().map(|told| format!("{}/{}", told.state, told.history)));
    parts.extend(flow.icmp.map(|(kind, code)| format!("icmp={kind}.{code}")));
    parts.extend(flow.outcome.map(|outcome| outcome.name().to_owned()));
    parts.extend(flow.end_reason.map(|reason| reason.name().to_owned()));
    parts.extend(flow.app.as_ref().map(|app| format!("app={}", app.name)));
    parts.extend(flow.vlan.iter().map(|vlan| format!("vlan={vlan}")));
    parts.extend(flow.src.country.as_ref().map(|country| format!("country={country}")));
    parts.extend(flow.src.asn.map(|asn| format!("asn={asn}")));
    parts.extend(flow.labels.iter().map(|(name, value)| format!("{name}={value}")));
    parts.join(" ")
}

/// A table, its mapping and the flows it tells.
struct Case {
    kind: &'static str,
    text: &'static str,
    flows: &'static [&'static str],
}

const ZEEK: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n\
    #fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\t\
    conn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\tlabel\n\
    #types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tstring\tcount\tcount\t\
    count\tcount\tset[string]\tstring\n\
    1700000000.5\tC1\t10.0.0.9\t40000\t10.0.0.2\t80\ttcp\thttp\t0.25\t261\t1077\tSF\tShADadfF\t5\t473\t5\t1281\t-\tBenign\n\
    1700000001.000000\tC2\t2001:db8::9\t40001\t2001:db8::2\t53\tudp\tdns\t-\t-\t-\tS0\tD\t1\t68\t0\t0\t-\t-\n\
    #close\t2023-11-14-22-13-30\n";

const CASES: &[Case] = &[
    Case {
        kind: "zeek_conn",
        text: ZEEK,
        flows: &[
            "1700000000500000+250000 10.0.0.9:40000>10.0.0.2:80 6 5/473/261 5/1281/1077 declared SF/ShADadfF app=http label=Benign",
            "1700000001000000+0 2001:db8::9:40001>2001:db8::2:53 17 1/68 0/0 declared S0/D app=dns",
        ],
    },
    Case {
        kind: "zeek_conn",
        text: "{\"ts\":1700000000.5,\"uid\":\"C1\",\"id.orig_h\":\"10.0.0.9\",\"id.orig_p\":40000,\"id.resp_h\":\"10.0.0.2\",\
               \"id.resp_p\":443,\"proto\":\"tcp\",\"duration\":0.2069,\"orig_bytes\":0,\"resp_bytes\":0,\"conn_state\":\"REJ\",\
               \"history\":\"Sr\",\"orig_pkts\":1,\"orig_ip_bytes\":60,\"resp_pkts\":1,\"resp_ip_bytes\":40}\n",
        flows: &["1700000000500000+206900 10.0.0.9:40000>10.0.0.2:443 6 1/60/0 1/40/0 declared REJ/Sr"],
    },
    Case {
        kind: "suricata",
        text: "{\"timestamp\":\"2023-11-14T22:13:20.000000+0000\",\"flow_id\":77,\"event_type\":\"dns\",\"src_ip\":\"10.0.0.9\",\
               \"dest_ip\":\"10.0.0.2\",\"dns\":{\"type\":\"query\",\"rrname\":\"a.example\",\"rrtype\":\"AAAA\"}}\n\
               {\"timestamp\":\"2023-11-14T22:13:25.000000+0000\",\"flow_id\":77,\"event_type\":\"flow\",\"src_ip\":\"10.0.0.9\",\
               \"src_port\":40000,\"dest_ip\":\"10.0.0.2\",\"dest_port\":53,\"proto\":\"UDP\",\"app_proto\":\"dns\",\
               \"flow\":{\"pkts_toserver\":1,\"pkts_toclient\":1,\"bytes_toserver\":80,\"bytes_toclient\":120,\
               \"start\":\"2023-11-14T23:13:20.000000+0100\",\"end\":\"2023-11-14T23:13:20.030000+0100\",\"reason\":\"timeout\"}}\n\
               {\"timestamp\":\"2023-11-14T22:13:26.000000+0000\",\"flow_id\":78,\"event_type\":\"flow\",\"src_ip\":\"10.0.0.9\",\
               \"src_port\":40001,\"dest_ip\":\"10.0.0.2\",\"dest_port\":443,\"proto\":\"TCP\",\"app_proto\":\"failed\",\
               \"flow\":{\"pkts_toserver\":2,\"pkts_toclient\":1,\"bytes_toserver\":128,\"bytes_toclient\":54,\
               \"start\":\"2023-11-14T22:13:21.000000+0000\",\"end\":\"2023-11-14T22:13:22.000000+0000\",\"reason\":\"shutdown\"},\
               \"tcp\":{\"tcp_flags\":\"16\",\"tcp_flags_ts\":\"02\",\"tcp_flags_tc\":\"14\"}}\n",
        flows: &[
            "1700000000000000+30000 10.0.0.9:40000>10.0.0.2:53 17 1/66 1/106 declared idle app=dns",
            "1700000001000000+1000000 10.0.0.9:40001>10.0.0.2:443 6 2/100 1/40 fwd=0x02 rev=0x14 declared shutdown",
        ],
    },
    Case {
        kind: "aws_vpc",
        text: "2 123456789010 eni-1 10.0.0.9 10.0.0.2 20641 22 6 20 4249 1700000000 1700000060 ACCEPT OK\n\
               2 123456789010 eni-1 - - - - - - - 1700000000 1700000060 - NODATA\n\
               2 123456789010 eni-1 10.0.0.9 10.0.0.2 49761 3389 6 1 40 1700000001 1700000061 REJECT OK\n",
        flows: &[
            "1700000000000000+60000000 10.0.0.9:20641>10.0.0.2:22 6 20/4249 one-way",
            "1700000001000000+60000000 10.0.0.9:49761>10.0.0.2:3389 6 1/40 one-way declared unanswered",
        ],
    },
    Case {
        kind: "aws_vpc",
        text: "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr \
               pkt-dstaddr protocol bytes packets start end action tcp-flags log-status\n\
               3 vpc-1 subnet-1 i-1 eni-1 123456789010 IPv4 10.0.0.9 10.0.1.2 43416 5001 10.0.0.9 10.0.0.62 6 568 8 1700000000 \
               1700000050 ACCEPT 2 OK\n\
               3 vpc-1 subnet-1 i-1 eni-1 123456789010 IPv4 10.0.1.2 10.0.0.9 5001 43416 10.0.0.62 10.0.0.9 6 376 7 1700000000 \
               1700000050 ACCEPT 18 OK\n",
        flows: &[
            "1700000000000000+50000000 10.0.0.9:43416>10.0.0.62:5001 6 8/568 one-way declared",
            "1700000000000000+50000000 10.0.0.62:5001>10.0.0.9:43416 6 7/376 one-way fwd=0x12",
        ],
    },
    Case {
        kind: "aws_cloudwatch",
        text: "bytes_in,bytes_out,creation_time,end_time,src_ip,src_ip_country_code,protocol,response.code,dst_port,dst_ip,\
               rule_names,observation_name,source.meta,source.name,time,detection_types\n\
               5602,12990,2023-11-14T22:10:00Z,2023-11-14T22:20:00Z,192.0.2.82,AE,HTTPS,200,443,10.0.0.97,Suspicious,\
               Interaction,AWS_VPC_Flow,prod,2023-11-14T22:10:00Z,waf_rule\n",
        flows: &[
            "1699999800000000+600000000 192.0.2.82:0>10.0.0.97:443 6 0/5602 0/12990 declared app=http country=AE \
                  rule_names=Suspicious observation_name=Interaction detection_types=waf_rule",
        ],
    },
    Case {
        kind: "nfdump",
        text: "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out,sas,das\n\
               2023-11-14 22:13:20,2023-11-14 22:13:21,1.040,10.0.0.9,10.0.0.2,53050,445,TCP,....S.,0,0,10,520,0,0,616,0,2847,0\n\
               2023-11-14 22:13:20.5,2023-11-14 22:13:20.5,0.000,10.0.0.9,10.0.0.2,0,8.0,ICMP,......,0,0,1,84,1,84,616,0,0,0\n\
               Summary\nflows,bytes,packets,avg_bps,avg_pps,avg_bpp\n2,688,12,0,0,0\n",
        flows: &[
            "1700000000000000+1040000 10.0.0.9:53050>10.0.0.2:445 6 10/520 one-way fwd=0x02 asn=2847",
            "1700000000500000+0 10.0.0.9:0>10.0.0.2:0 1 1/84 1/84 fwd=0x00 icmp=8.0",
        ],
    },
    Case {
        kind: "nfdump",
        text: "2023-11-14 22:13:20,2023-11-14 22:13:21,1.0,10.0.0.9,10.0.0.2,53050,445,TCP,.A..SF,0,0,10,520,0,0,616,0,2847,0,24,\
               16,0,0,0.0.0.0,0.0.0.0,12,0,00:00:00:00:00:00,00:00:00:00:00:00,00:00:00:00:00:00,00:00:00:00:00:00,0-0-0,0-0-0,\
               0-0-0,0-0-0,0-0-0,0-0-0,0-0-0,0-0-0,0-0-0,0-0-0,    0.000,    0.000,    0.000,0.0.0.0,0/0,5,1970-01-01\n",
        flows: &["1700000000000000+1000000 10.0.0.9:53050>10.0.0.2:445 6 10/520 one-way fwd=0x13 vlan=12 asn=2847"],
    },
    Case {
        kind: "nfdump",
        text: "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n\
               2023-11-14 22:13:20.250,2.5,UDP,10.0.0.9,40000,10.0.0.2,123,4,304,1\n",
        flows: &["1700000000250000+2500000 10.0.0.9:40000>10.0.0.2:123 17 4/304 one-way"],
    },
    Case {
        kind: "cicflowmeter",
        text: "Flow ID, Source IP, Source Port, Destination IP, Destination Port, Protocol, Timestamp, Flow Duration, \
               Total Fwd Packets, Total Backward Packets,Total Length of Fwd Packets, Total Length of Bwd Packets, Label\n\
               10.0.0.9-10.0.0.2-40000-80-6,10.0.0.9,40000,10.0.0.2,80,6,14/11/2023 10:13:20 PM,109,2,1,12,6.0,BENIGN\n\
               10.0.0.9-10.0.0.2-40001-80-6,10.0.0.9,40001,10.0.0.2,80,6,14/11/2023 22:14,5,3,0,18,0,PortScan\n",
        flows: &[
            "1700000000000000+109 10.0.0.9:40000>10.0.0.2:80 6 2/68/12 1/34/6 declared Label=BENIGN",
            "1700000040000000+5 10.0.0.9:40001>10.0.0.2:80 6 3/102/18 0/0/0 declared Label=PortScan",
        ],
    },
    Case {
        kind: "argus",
        text: "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,Label\n\
               2023/11/14 22:13:20.047277,3550.182373,udp,10.0.0.9,13363,  <->,10.0.0.2,53,CON,0,0,12,875,413,flow=Background\n\
               2023/11/14 22:13:21.047277,0.5,tcp,10.0.0.9,13364,   ->,10.0.0.2,80,SRPA_SPA,0,0,4,400,200,flow=Normal\n\
               2023/11/14 22:13:22.047277,0.0,tcp,10.0.0.9,13365,  <-,10.0.0.2,40000,_S,0,0,1,60,0,flow=Botnet\n\
               2023/11/14 22:13:23.0,0.0,arp,10.0.0.9,,  who,10.0.0.2,,CON,,,2,120,60,flow=Background\n",
        flows: &[
            "1700000000047277+3550182373 10.0.0.9:13363>10.0.0.2:53 17 5/413 7/462 declared Label=flow=Background",
            "1700000001047277+500000 10.0.0.9:13364>10.0.0.2:80 6 2/200 2/200 fwd=0x1e rev=0x1a declared Label=flow=Normal",
            "1700000002047277+0 10.0.0.2:40000>10.0.0.9:13365 6 1/60 0/0 fwd=0x02 rev=0x00 declared Label=flow=Botnet",
        ],
    },
    Case {
        kind: "netflow",
        text: "{\"IPV4_SRC_ADDR\":\"10.0.0.9\",\"L4_SRC_PORT\":40000,\"IPV4_DST_ADDR\":\"10.0.0.2\",\"L4_DST_PORT\":80,\
               \"PROTOCOL\":6,\"IN_BYTES\":473,\"IN_PKTS\":5,\"OUT_BYTES\":1281,\"OUT_PKTS\":6,\"TCP_FLAGS\":27,\
               \"FLOW_START_MILLISECONDS\":1700000000500,\"FLOW_DURATION_MILLISECONDS\":250}\n",
        flows: &["1700000000500000+250000 10.0.0.9:40000>10.0.0.2:80 6 5/473 6/1281 fwd=0x1b"],
    },
    Case {
        kind: "netflow",
        text: "[{\"sourceIPv6Address\":\"2001:db8::9\",\"destinationIPv6Address\":\"2001:db8::2\",\"protocolIdentifier\":58,\n\
               \"icmpTypeCodeIPv6\":32768,\"octetDeltaCount\":104,\"packetDeltaCount\":1,\"biflowDirection\":1,\n\
               \"reverseOctetDeltaCount\":104,\"reversePacketDeltaCount\":1,\"flowStartSeconds\":1700000000,\n\
               \"flowEndSeconds\":1700000001,\"flowEndReason\":1,\"vlanId\":7}]\n",
        flows: &["1700000000000000+1000000 2001:db8::9:0>2001:db8::2:0 58 1/104 1/104 declared icmp=128.0 idle vlan=7"],
    },
];

#[test]
fn every_mapping_reads_its_table() {
    for case in CASES {
        let found = read(case.text);
        let lines: Vec<String> = found.flows.iter().map(line).collect();
        assert_eq!(lines, case.flows, "{}", case.kind);
        assert_eq!((found.kind.as_str(), found.counters.flows), (case.kind, case.flows.len() as u64));
        assert_eq!(
            (found.counters.decode_errors.len(), found.warnings.as_slice()),
            (0, &[] as &[String]),
            "{}",
            case.kind
        );
        // Asked for by name, the same comes out; asked for as something else, one line says what is missing.
        let asked = |kind: &str| InputOptions { kind: InputKind::Table(kind.to_owned()), ..InputOptions::default() };
        let again = try_read(case.text.as_bytes(), &asked(case.kind)).map(|again| again.flows);
        assert_eq!(again.unwrap(), found.flows, "{}", case.kind);
        let other = if case.kind == "argus" { "zeek_conn" } else { "argus" };
        let Err(error) = try_read(case.text.as_bytes(), &asked(other)) else { panic!("{} is no {other}", case.kind) };
        assert_eq!(error.to_string().lines().count(), 1);
    }
    let tested = |kind: &&str| *kind == "litnet" || CASES.iter().any(|case| case.kind == *kind);
    assert!(tables().iter().all(tested), "{:?}", tables());
}

/// A row of LITNET-2020's 85 columns.
fn litnet_row(number: u32, second: u32, flags: [&str; 6]) -> String {
    let flags = flags.map(|flag| format!("\"{flag}\"")).join(",");
    let blank = ["\"blank\""; 18].join(",");
    let zeros = ["\"0-0-0\""; 10].join(",");
    let macs = ["\"00:00:00:00:00:00\""; 4].join(",");
    format!(
        "\"{number}\",\"2023\",\"11\",\"14\",\"22\",\"13\",\"{second}\",\"2023\",\"11\",\"14\",\"22\",\"13\",\"{second}\",\"0.500\",\
         \"10.0.0.9\",\"10.0.1.{number}\",\"53042\",\"445\",\"TCP\",{flags},\"0\",\"0\",\"5\",\"260\",\"0\",\"0\",\"616\",\"0\",\
         \"2847\",\"2847\",\"0\",\"0\",\"0\",\"0\",\"0.0.0.0\",\"0.0.0.0\",\"0\",\"0\",{macs},{zeros},\"    0.000\",\"    0.000\",\
         \"    0.000\",\"0.0.0.0\",\"0/0\",\"5\",\"1970-01-01 03:00:00.000\",{blank},\"blank\",\"tcp_udp_win_p\",\"1\"\n"
    )
}

#[test]
fn litnet_has_neither_header_nor_order() {
    let text = litnet_row(1, 21, [".", ".", ".", ".", "S", "."]) + &litnet_row(2, 20, [" ", " ", "0", "x", "c", "2"]);
    let found = read(&text);
    assert_eq!(
        found.flows.iter().map(line).collect::<Vec<_>>(),
        [
            "1700000000000000+500000 10.0.0.9:53042>10.0.1.2:445 6 5/260 one-way fwd=0xc2 asn=2847 attack_t=tcp_udp_win_p attack_a=1",
            "1700000001000000+500000 10.0.0.9:53042>10.0.1.1:445 6 5/260 one-way fwd=0x02 asn=2847 attack_t=tcp_udp_win_p attack_a=1",
        ]
    );
    assert_eq!((found.kind.as_str(), found.warnings.len()), ("litnet", 0));
}

#[test]
fn zeek_logs_beside_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("monday_conn.log", ZEEK);
    write(
        "monday_http.log",
        "#separator \\x09\n#path\thttp\n#fields\tts\tuid\tmethod\thost\turi\tuser_agent\tstatus_code\n\
         1\tC1\tGET\twww.example\t/a\tagent\t404\n1\tC1\tGET\twww.example\t/b\tagent\t200\n",
    );
    write(
        "monday_dns.log",
        "{\"ts\":1,\"uid\":\"C2\",\"query\":\"no.example\",\"qtype\":1,\"qtype_name\":\"A\",\"rcode\":3}\n",
    );
    let path = folder.path().join("monday_conn.log");
    let found = drain(open(&[path], &InputOptions::default()).unwrap().as_mut());
    let apps: Vec<_> = found.flows.iter().map(|flow| flow.app.clone().unwrap()).collect();
    let http = apps[0].http.as_ref().unwrap();
    assert_eq!((&*http.host, http.status, http.requests, http.errors), ("www.example", Some(404), 2, 1));
    let dns = apps[1].dns.as_ref().unwrap();
    assert_eq!((&*dns.query, dns.query_type, dns.rcode, dns.nxdomain), ("no.example", 1, Some(3), 1));
    // By itself such a log tells no flows, and says so.
    let alone = drain(open(&[folder.path().join("monday_dns.log")], &InputOptions::default()).unwrap().as_mut());
    assert_eq!(alone.flows.len(), 0);
    assert!(alone.warnings[0].contains("tells no flows"), "{:?}", alone.warnings);
}

#[test]
fn suricatas_other_events_are_joined_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eve.json");
    let case = CASES.iter().find(|case| case.kind == "suricata").unwrap();
    std::fs::write(&path, case.text).unwrap();
    let found = drain(open(&[path], &InputOptions::default()).unwrap().as_mut());
    let dns = found.flows[0].app.as_ref().and_then(|app| app.dns.clone()).unwrap();
    assert_eq!((&*dns.query, dns.query_type, dns.queries), ("a.example", 28, 1));
}

#[test]
fn a_mapping_of_ones_own_reads_any_table() {
    let mapping = Mapping::parse(
        "name = \"firewall\"\nzone_minutes = 60\nlabels = [\"verdict\"]\n[fields]\n\
         start = { columns = [\"day\", \"time\"], unit = \"%d.%m.%Y %H:%M:%S\" }\nduration = { column = \"ms\", unit = \"ms\" }\n\
         src = { column = \"from\", unit = \"ip:port\" }\ndst = { column = \"to\", unit = \"ip:port\" }\n\
         proto = { constant = \"tcp\" }\nfwd_bytes = { column = \"out\", unit = \"bits\" }\nrev_bytes = { column = \"in\", unit = \"kB\" }\n\
         outcome = { column = \"verdict\", values = { drop = \"unanswered\", allow = \"completed\" } }\n\
         initiator = { constant = \"src\" }\n",
    );
    let options = InputOptions { mapping: Some(mapping.unwrap().into()), ..InputOptions::default() };
    let text = "day;time;ms;from;to;out;in;verdict;extra\n\
                14.11.2023;23:13:20;1500;10.0.0.9:40000;[2001:db8::2]:443;8000;2;drop;x\n";
    let found = try_read(text.as_bytes(), &options).unwrap();
    let expected =
        "1700000000000000+1500000 10.0.0.9:40000>2001:db8::2:443 6 0/1000 0/2000 declared unanswered verdict=drop";
    assert_eq!(found.flows.iter().map(line).collect::<Vec<_>>(), [expected]);
    assert_eq!(found.warnings, ["columns without a meaning to firewall: extra"]);

    let short = try_read(b"day;time;ms;to;out;in;verdict\n1;2;3;4;5;6;7\n", &options).err().unwrap().to_string();
    assert!(short.contains("without a column for src (from)") && short.contains("day, time, ms, to"), "{short}");
}

#[test]
fn a_mapping_that_is_wrong_is_told_in_one_line() {
    let fields = "[fields]\nstart = \"t\"\nsrc = \"a\"\ndst = \"b\"\n";
    let cases = [
        ("name = 1\n".to_owned(), "line 1"),
        (format!("name = \"x\"\ncolour = 1\n{fields}"), "colour"),
        (format!("name = \"x\"\n{fields}packet = \"p\"\n"), "fields.packet: no such field; there are id, start"),
        (
            format!("name = \"x\"\n{fields}fwd_bytes = {{ column = \"p\", unit = \"pints\" }}\n"),
            "pints; there are bits",
        ),
        (format!("name = \"x\"\n{fields}proto = {{ unit = \"s\" }}\n"), "fields.proto: give a column"),
        ("name = \"x\"\n[fields]\nstart = \"t\"\nsrc = \"a\"\n".to_owned(), "fields.dst: is missing"),
    ];
    for (text, what) in cases {
        let error = Mapping::parse(&text).unwrap_err();
        assert!(error.contains(what) && error.lines().count() == 1, "{what}: {error}");
    }
}

#[test]
fn rows_that_cannot_be_read_are_counted_and_the_first_is_told() {
    let header = "ts,te,td,sa,da,sp,dp,pr,flg,ipkt,ibyt\n";
    let good = |second: u32| {
        format!("2023-11-14 22:13:{second},2023-11-14 22:13:{second},0,10.0.0.9,10.0.0.2,1,2,TCP,....S.,1,40\n")
    };
    let text = [header, &good(20), "soon,x,0,10.0.0.9,10.0.0.2,1,2,TCP,....S.,1,40\n", &good(21), "cut,off"].concat();
    let mut input = {
        let stream = Box::new(std::io::Cursor::new(text.clone().into_bytes()));
        merge::MergedInput::new(vec![opening::open_stream("table", stream, None, &InputOptions::default()).unwrap()])
    };
    let mut flows = 0;
    while input.next().is_some() {
        flows += 1;
    }
    assert_eq!(flows, 2);
    let errors: Vec<_> = input.counters().decode_errors.clone().into_iter().collect();
    assert_eq!(errors, [("a time that is none", 1), ("too few columns", 1)]);
    let warnings = input.take_warnings();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].offset, Some((header.len() + good(20).len()) as u64));
    assert!(warnings[0].message.starts_with("2 rows"), "{}", warnings[0].message);
}

#[test]
fn rows_without_a_time_lie_on_the_day_that_is_given() {
    let row = "{\"IPV4_SRC_ADDR\":\"10.0.0.9\",\"IPV4_DST_ADDR\":\"10.0.0.2\",\"PROTOCOL\":6,\"IN_BYTES\":40,\"IN_PKTS\":1}\n";
    let options = InputOptions { date: Date::parse("2023-11-14"), ..InputOptions::default() };
    let found = try_read(row.repeat(3).as_bytes(), &options).unwrap();
    let day = 19_675 * 86_400 * SECOND_US;
    let starts: Vec<Micros> = found.flows.iter().map(|flow| flow.start - day).collect();
    assert_eq!(starts, [0, SECOND_US, 2 * SECOND_US]);
    assert!(found.warnings[0].contains("3 rows without a time"), "{:?}", found.warnings);
}

#[test]
fn order_comes_by_memory_or_by_index() {
    let header = "ts,te,td,sa,da,sp,dp,pr,flg,ipkt,ibyt\n";
    let row = |number: u32| {
        let second = number * 7919 % 3600;
        let at = format!("2023-11-14 22:{:02}:{:02}", second / 60, second % 60);
        format!("{at},{at},0,10.0.0.9,\"10.0.0.2\",{number},2,TCP,....S.,1,40\n")
    };
    let text = header.to_owned() + &(0..3000).map(row).collect::<String>();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.csv");
    std::fs::write(&path, &text).unwrap();
    let all = |spool| {
        let options = InputOptions { spool, reorder: 10, ..InputOptions::default() };
        drain(open(std::slice::from_ref(&path), &options).unwrap().as_mut())
    };
    let (in_memory, by_index) = (all(1 << 30), all(100_000));
    assert!(in_memory.flows.is_sorted_by_key(|flow| flow.start) && in_memory.flows.len() == 3000);
    assert_eq!(in_memory.flows, by_index.flows);
    assert_eq!((in_memory.counters, by_index.counters.flows), (by_index.counters.clone(), 3000));
}

#[test]
fn what_is_no_table_stays_what_it_is() {
    let options = InputOptions::default();
    let fails = |text: &str| try_read(text.as_bytes(), &options).err().unwrap().to_string();
    assert!(
        fails("alpha,beta,gamma,delta,epsilon,zeta\n1,2,3,4,5,6\n").contains("no built-in mapping knows: alpha, beta")
    );
    assert!(fails("{\"a\":1,\"b\":{\"c\":2}}\n").contains("knows: a, b.c"));
    assert!(
        fails("Dear reader, this is a letter, and not a table, nor a log, as far as we know.\n")
            .contains("neither tcpdump's")
    );
    let some = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,TotPkts,TotBytes\n";
    assert_eq!(read(some).flows.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn damage_never_panics_and_never_disorders(
        case in 0..CASES.len(),
        at in 0..2000_usize,
        junk in prop::collection::vec(any::<u8>(), 0..12),
        cut in 0..40_usize,
    ) {
        let mut text = CASES[case].text.as_bytes().to_vec();
        let at = at % text.len();
        let end = (at + cut).min(text.len());
        text.splice(at..end, junk);
        if let Ok(found) = try_read(&text, &InputOptions::default()) {
            prop_assert!(found.flows.is_sorted_by_key(|flow| flow.start));
            prop_assert!(found.flows.iter().all(|flow| flow.end >= flow.start && flow.start >= 0));
            prop_assert_eq!(found.counters.flows, found.flows.len() as u64);
        }
    }
}
