//! Signals: the first ends the reading, and what was read is judged to its end; the second ends the process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};

use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::fixture::{pcap, syns};
use crate::run::weir_command;

/// More than the reorder buffer and several turns hold: 50 ms apart, they flood for 20 min.
const SYNS: u32 = 24_000;

/// Sends a signal as a shell does.
fn signal(child: &Child, number: i32) {
    let status =
        std::process::Command::new("kill").args([format!("-{number}"), child.id().to_string()]).status().unwrap();
    assert!(status.success(), "kill: {status}");
}

/// A command that reads a pipe which nobody closes. What it read so far are `SYNS` packets.
fn reading_a_held_pipe(arguments: &[&str]) -> (Child, std::process::ChildStdin) {
    let mut command = weir_command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let packets = pcap(&syns(SYNS));
    pipe.write_all(&packets).unwrap();
    (child, pipe)
}

fn rest(child: &mut Child) -> (Option<i32>, String) {
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    (child.wait().unwrap().code(), complaint)
}

#[test]
fn a_signal_ends_the_reading_of_a_pipe_and_what_was_read_is_judged() {
    for number in [SIGINT, SIGTERM] {
        // Beyond the spool packets are judged as they come.
        let (mut child, pipe) = reading_a_held_pipe(&["analyze", "--format", "jsonl", "--set", "sensor.spool=1B", "-"]);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["state"], "opened", "{first}");
        signal(&child, number);
        let mut others = String::new();
        output.read_to_string(&mut others).unwrap();
        let (status, complaint) = rest(&mut child);
        drop(pipe);
        assert_eq!(status, Some(1), "{complaint}");
        let last = others.lines().last().unwrap();
        assert_eq!(serde_json::from_str::<Value>(last).unwrap()["state"], "closed", "{last}");
        let told: Vec<&str> = complaint.lines().filter(|line| line.contains("interrupted")).collect();
        let [line] = told[..] else { panic!("{complaint}") };
        let packets: u64 =
            line.strip_prefix("weir: interrupted after ").unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((8_192..=u64::from(SYNS)).contains(&packets), "{complaint}");
        assert!(complaint.contains(&format!("weir: {packets} packets; records read=")), "{complaint}");
        assert!(!complaint.contains("panicked"), "{complaint}");
    }
}

#[test]
fn what_was_spooled_before_the_signal_is_judged() {
    // Spooling holds all output back. That it has begun shows in the pipe: it takes more than a pipe holds.
    for arguments in [&["analyze", "--format", "jsonl", "-"][..], &["flows", "--format", "jsonl", "-"]] {
        let (mut child, pipe) = reading_a_held_pipe(arguments);
        signal(&child, SIGINT);
        let mut output = String::new();
        child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        let (status, complaint) = rest(&mut child);
        drop(pipe);
        assert!(matches!(status, Some(0 | 1)), "{status:?} {complaint}");
        assert!(complaint.contains("weir: interrupted after "), "{complaint}");
        assert!(output.lines().count() > 1, "{arguments:?}: {output}");
    }
}
