//! Writes the captures that the benchmarks read: the same bytes from the same arguments on every machine.
#![forbid(unsafe_code)]

mod conversation;
mod render;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use conversation::{Conversation, Plan};
use weir_tests::chance::Chance;

/// Writes a benchmark capture and prints what is in it.
#[derive(Parser)]
struct Arguments {
    /// What to write.
    mode: Mode,
    /// The file to write.
    out: PathBuf,
    /// Conversations in the mix.
    #[arg(long)]
    conversations: Option<u32>,
    /// SYNs in the flood.
    #[arg(long, default_value_t = 3_000_000)]
    syns: u32,
    /// Seed of all chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Mixed traffic of ten minutes: TCP, UDP, DNS, ICMP, some IPv6, some VLAN.
    Mix,
    /// A flood of SYNs to 10.0.0.10:80, each from a source of its own, over mixed traffic and one port scan.
    Syn3m,
    /// What lies under that flood, without it.
    Background,
}

const MIX_SECONDS: u64 = 600;
const FLOOD_SECONDS: u64 = 60;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match write(&arguments) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("weir-bench-generate: {}: {error}", arguments.out.display());
            ExitCode::from(2)
        }
    }
}

fn write(arguments: &Arguments) -> std::io::Result<String> {
    let mut chance = Chance::new(arguments.seed);
    let mut plan = Plan::default();
    let (conversations, seconds) = match arguments.mode {
        Mode::Mix => (arguments.conversations.unwrap_or(90_000), MIX_SECONDS),
        Mode::Syn3m | Mode::Background => (arguments.conversations.unwrap_or(5_000), FLOOD_SECONDS),
    };
    for _ in 0..conversations {
        plan.add(Conversation::by_chance(&mut chance), chance.below(seconds * 1_000_000), &mut chance);
    }
    if arguments.mode != Mode::Mix {
        plan.add_port_scan(20_000_000);
    }
    if arguments.mode == Mode::Syn3m {
        plan.add_flood(arguments.syns, FLOOD_SECONDS * 1_000_000);
    }
    // Stable, so that events of one time stay in the order they were planned in.
    plan.events.sort_by_key(|event| event.time);
    render_all(&plan, &mut BufWriter::with_capacity(1 << 20, File::create(&arguments.out)?))
}

fn render_all(plan: &Plan, out: &mut impl Write) -> std::io::Result<String> {
    let mut renderer = render::Renderer::new(plan.conversations.len());
    let mut bytes = 0;
    out.write_all(&render::file_header())?;
    for event in &plan.events {
        let frame = renderer.frame(&plan.conversations[event.conversation as usize], event)?;
        bytes += frame.len() as u64;
        out.write_all(&render::packet_header(event.time, frame.len()))?;
        out.write_all(frame)?;
    }
    out.flush()?;
    let packets = plan.events.len() as u64;
    Ok(format!(
        "packets={packets} bytes={bytes} mean={} conversations={}",
        bytes / packets.max(1),
        plan.conversations.len()
    ))
}
