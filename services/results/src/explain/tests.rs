use proptest::prelude::*;
use weir_schemas::Finding;
use weir_schemas::finding::Party;

use super::{explain, message};
use crate::sample;
use crate::text::is_unsafe;

#[test]
fn each_template_names_who_what_and_the_numbers() {
    let cases: [(Finding, &[&str]); 5] = [
        (
            sample::port_scan(),
            &[
                "192.0.2.7 tried 1,000 ports of 198.51.100.9",
                "SYN",
                "1,003 attempts",
                "998 refused",
                "is 20 ports",
                "60 s",
                "UTC",
            ],
        ),
        (sample::host_sweep(), &["192.0.2.7 went through 254 hosts over ARP (250 failed, 4 completed)", "is 30 hosts"]),
        (sample::incomplete_handshakes(), &["192.0.2.7 began", "45 % stayed incomplete", "110 completed", "is 10 %"]),
        (
            sample::syn_flood(),
            &[
                "[2001:db8::80]:443 was asked",
                "never completed: 627 SYN/s (37,623 SYN packets)",
                "about 37,500 sources",
                "is 50 SYN/s",
            ],
        ),
        (sample::traffic_spike(), &["site local reached 48.2 MB/s", "2.5 MB/s ± 2.2 MB/s", "is 9.1 MB/s"]),
    ];
    for (finding, parts) in cases {
        let what = explain(&finding).what;
        for part in parts {
            assert!(what.contains(part), "{}: no {part:?} in {what:?}", finding.reason);
        }
    }
}

#[test]
fn a_sweep_names_the_port_that_its_evidence_shares() {
    let mut finding = sample::host_sweep();
    finding.variant = "tcp".to_owned();
    finding.evidence = sample::port_scan().evidence;
    assert!(
        explain(&finding)
            .what
            .starts_with("192.0.2.7 went through 254 hosts over TCP port 22, registered for ssh (250 failed")
    );
}

#[test]
fn an_unknown_reason_is_still_worded() {
    let mut finding = sample::port_scan();
    finding.reason = "something_new".to_owned();
    finding.detector = "something_new".to_owned();
    let what = explain(&finding).what;
    assert!(what.starts_with(
        "The detector something new fired for 192.0.2.7 toward 198.51.100.9: failed ports was 1,000 ports"
    ));
}

#[test]
fn doubt_is_said() {
    let how_sure = explain(&sample::incomplete_handshakes()).how_sure;
    assert_eq!(
        how_sure,
        "Confidence is medium (55 %): 1,003 flows as evidence, both directions seen by 1 sensor, records of the window are \
         missing, less than exact because tables were full and small entries were let go."
    );
}

#[test]
fn filters_fit_the_evidence() {
    let filter = |finding: &Finding| explain(finding).check.filter.unwrap_or_default();
    assert_eq!(
        filter(&sample::port_scan()),
        "ip.src == 198.51.100.9 && ip.dst == 192.0.2.7 && tcp.flags.syn == 1 && tcp.flags.ack == 1"
    );
    let mut xmas = sample::port_scan();
    xmas.variant = "xmas".to_owned();
    assert_eq!(filter(&xmas), "ip.src == 192.0.2.7 && ip.dst == 198.51.100.9 && tcp.flags == 0x029");
    assert_eq!(filter(&sample::host_sweep()), "arp.opcode == 1 && arp.src.proto_ipv4 == 192.0.2.7");
    assert_eq!(
        filter(&sample::syn_flood()),
        "ipv6.dst == 2001:db8::80 && tcp.dstport == 443 && tcp.flags.syn == 1 && tcp.flags.ack == 0"
    );
    assert_eq!(filter(&sample::traffic_spike()), "frame.time_epoch >= 1772366350 && frame.time_epoch < 1772366410");
}

#[test]
fn a_name_from_a_capture_cannot_leave_its_quotes() {
    let mut finding = sample::incomplete_handshakes();
    finding.source = Some(Party { ip: None, name: Some("a\" || frame || \u{1b}]0;x".to_owned()), port: None });
    let filter = explain(&finding).check.filter.unwrap_or_default();
    assert!(filter.starts_with("ip.src_host == \"a\\\" || frame || \\\\u{1b}]0;x\" && "), "{filter}");
}

proptest! {
    #[test]
    fn no_name_or_number_breaks_a_message(
        name in any::<String>(),
        key in any::<String>(),
        observed in any::<f64>(),
        start in any::<i64>(),
        end in any::<i64>(),
        reason in prop::sample::select(vec![
            "port_scan", "host_sweep", "incomplete_handshakes", "syn_flood", "traffic_spike", "other",
        ]),
    ) {
        let mut finding = sample::port_scan();
        finding.reason = reason.to_owned();
        finding.source = Some(Party { ip: None, name: Some(name.clone()), port: Some(7) });
        finding.target = Some(Party { ip: None, name: Some(name), port: None });
        finding.scope.key = key.clone();
        finding.metric = key.clone();
        finding.variant = key.clone();
        finding.unit = key.clone();
        finding.detector = key.clone();
        finding.degraded = vec![key];
        finding.observed = observed;
        finding.window.start = start;
        finding.window.end = end;
        let text = message(&finding);
        prop_assert!(!text.chars().any(is_unsafe), "{text:?}");
        prop_assert!(text.contains(" UTC"));
    }
}
