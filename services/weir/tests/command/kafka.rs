//! The commands that need a broker, where none is needed yet: wrong calls, and brokers that are not there.

use crate::run::{Run, capture, weir};

/// A port that nothing listens on: reserved, and below those that the system gives away.
const NOBODY: &str = "kafka.bootstrap=127.0.0.1:1";

#[test]
fn wrong_calls_say_what_and_how_to_mend_it() {
    let scan = &capture("scan_syn.pcap.gz");
    let cases: [(&[&str], &str, &str); 19] = [
        (&["sensor"], "say what to read", "`-` for standard input"),
        (&["sensor", "--pace", "fast", scan], "'fast'", "realtime, max, or a multiple of real time as 10x"),
        (&["sensor", "--pace", "0x", scan], "'0x'", "as 10x"),
        (&["sensor", "--rebase", "yesterday", scan], "'yesterday'", "now"),
        (&["sensor", "--rebase", "now", "-"], "- cannot be looked through", "--pace realtime"),
        (&["sensor", "--rebase", "now", "--pace", "10×", scan, "-"], "- cannot be looked through", "save it to a file"),
        (&["sensor", "--read", "kafka:weir.packets.v1"], "kafka:weir.packets.v1", "not built yet"),
        (&["sensor", "--interface", "eth0"], "(eth0)", "not built yet"),
        (&["sensor", "--set", "sensor.follow=true", "--pace", "2x", scan], "as they grow", "leave out --pace"),
        (&["sensor", "--follow", "--rebase", "now", scan], "as they grow", "leave out --pace and --rebase"),
        (&["sensor", "--admin", "here", scan], "'here'", "--admin"),
        (&["tail", "--severity", "huge"], "--severity: \"huge\"", "info, low, medium, high, critical"),
        (&["tail", "--since", "yesterday"], "'yesterday'", "as 15m or 2h"),
        (&["tail", "--source", "10.0.0.1/8"], "--source: \"10.0.0.1/8\"", "10.0.0.0/8"),
        (&["tail", "--limit", "0"], "'0'", "--limit"),
        (&["topics", "create", "--replication", "0"], "'0'", "1..=100"),
        (&["topics", "create", "--records-per-second", "none"], "'none'", "a number above 0"),
        (&["topics", "grow", "flows.v1", "0"], "'0'", "1..=100000"),
        (&["topics", "grow", "flows.v1"], "<PARTITIONS>", "weir topics grow --help"),
    ];
    for (arguments, what, mend) in cases {
        weir(arguments).assert_is_usage(what, mend);
    }
}

/// The last line, after what the log says of the start.
fn last_line(run: &Run) -> &str {
    run.complaint.lines().last().unwrap()
}

#[test]
fn an_input_that_cannot_be_read_is_told_before_any_broker_is_asked() {
    let run = weir(&["sensor", "--admin", "127.0.0.1:0", "--set", NOBODY, "missing.pcap"]);
    assert_eq!((run.status, run.output.as_str()), (Some(2), ""), "{run:?}");
    assert!(last_line(&run).starts_with("weir: missing.pcap: no such file"), "{run:?}");
}

#[test]
fn brokers_that_are_not_there_are_unreachable() {
    for arguments in [&["topics", "describe"][..], &["tail", "--limit", "1"]] {
        let run = weir(&[arguments, &["--set", NOBODY]].concat());
        assert_eq!((run.status, run.output.as_str()), (Some(69), ""), "{run:?}");
        assert_eq!(run.complaint.lines().count(), 1, "{run:?}");
        assert!(run.complaint.contains("127.0.0.1:1") && run.complaint.contains("try again later"), "{run:?}");
    }
}
