//! Configurations of sinks: what is made of them, and what is said of slips.

use weir_runtime::config::{Flag, Sources, load};

use super::*;

/// The sinks of a configuration file.
fn sinks(toml: &str) -> Vec<config::Sink> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, toml).unwrap();
    let sources = Sources { file: Some(file), environment: Vec::new(), flags: Vec::<Flag>::new() };
    load(&sources).unwrap().config.results.sinks
}

fn fault(keys: &str) -> String {
    let sinks = sinks(&format!("[[results.sinks]]\nid = \"siem\"\n{keys}"));
    configure_all(&sinks).map(|sinks| sinks.len()).unwrap_err().to_string()
}

#[test]
fn every_kind_is_made_with_its_keys() {
    let configured = configure_all(&sinks(
        r#"
        [[results.sinks]]
        kind = "file"
        id = "archive"
        path = "/tmp/a.jsonl"
        format = "ecs"
        max_size = "10MiB"
        max_age = "24h"
        files = 3
        from = "earliest"
        [[results.sinks]]
        kind = "stdout"
        id = "console"
        filter = "severity>=high"
        required = true
        [[results.sinks]]
        kind = "envelope"
        id = "windows"
        gather = "5s"
        ids = true
        "#,
    ))
    .unwrap();
    let made: Vec<(&str, bool, Begin, Duration)> =
        configured.iter().map(|sink| (sink.id.as_str(), sink.required, sink.from, sink.sink.gathers_for())).collect();
    let expected = [
        ("archive", false, Begin::Earliest, Duration::ZERO),
        ("console", true, Begin::Latest, Duration::ZERO),
        ("windows", false, Begin::Latest, Duration::from_secs(5)),
    ];
    assert_eq!(made, expected);
    assert_eq!(configured[1].filter, "severity>=high".parse().unwrap());
    assert_eq!(group_of("weir", "archive"), "weir-results-sink-archive");
}

#[test]
fn a_slip_is_named_with_what_would_be_right() {
    let cases = [
        ("kind = \"syslog\"", "sink \"siem\": kind \"syslog\" is unknown; write file, stdout or envelope"),
        ("kind = \"file\"", "sink \"siem\": it needs `path`"),
        ("kind = \"stdout\"\nformat = \"xml\"", "sink \"siem\": format: \"xml\" is unknown; write \"json\" or \"ecs\""),
        (
            "kind = \"stdout\"\nfrom = \"now\"",
            "sink \"siem\": from: \"now\" is unknown; write \"latest\" or \"earliest\"",
        ),
        ("kind = \"file\"\npath = \"a\"\nmax_size = 5", "sink \"siem\": max_size: 5 is no size; write a whole number"),
        ("kind = \"file\"\npath = \"a\"\nfiles = -1", "sink \"siem\": files: -1 is no whole number in range"),
        ("kind = \"envelope\"\nids = \"yes\"", "sink \"siem\": ids: \"yes\" is no boolean"),
        (
            "kind = \"stdout\"\npath = \"a\"",
            "sink \"siem\": `path` is no key of a sink of kind \"stdout\"; its own keys are from, format",
        ),
        ("kind = \"stdout\"\nfilter = \"high\"", "sink \"siem\": filter: \"high\" is no term of a filter"),
        ("kind = \"stdout\"\n[[results.sinks]]\nid = \"siem\"\nkind = \"stdout\"", "sink \"siem\": another sink has"),
        ("kind = \"stdout\"\n[[results.sinks]]\nid = \"a b\"\nkind = \"stdout\"", "sink \"a b\": an id has 1 to 64"),
    ];
    for (keys, expected) in cases {
        let fault = fault(keys);
        assert!(fault.starts_with(expected), "{fault}");
        assert_eq!(fault.lines().count(), 1, "{fault}");
    }
}

#[test]
fn standard_output_gets_a_line_for_each_and_a_closed_pipe_is_told() {
    use crate::sample::{self, Sample};
    use std::io::{self, Write};

    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let (one, two) = (sample::port_scan().id("one"), sample::syn_flood().id("two"));
    let mut out = Vec::new();
    stdout::StdoutSink::new(options::Format::Json, &mut out).deliver(&[&one, &two]).unwrap();
    let expected = format!("{}\n{}\n", crate::json_line(&one), crate::json_line(&two));
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let error = stdout::StdoutSink::new(options::Format::Ecs, Closed).deliver(&[&one]).unwrap_err();
    assert!(error.0.starts_with("cannot write to standard output: broken pipe"), "{error}");
}
