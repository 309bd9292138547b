//! How fast captures are read and decoded: `cargo run --release -p weir-sensor --example read_speed -- FILE…`.

use std::path::PathBuf;
use std::time::Instant;

use weir_sensor::input::{InputOptions, open};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let start = Instant::now();
    let mut input = open(&paths, &InputOptions::default())?;
    let opened = start.elapsed();
    while input.next().is_some() {}
    let seconds = start.elapsed().as_secs_f64();
    let counters = input.counters();
    println!(
        "{} packets of {}, {} bytes, in {seconds:.3} s (opened in {:.3} s): {:.2} M packets/s",
        counters.packets,
        input.kind(),
        counters.bytes,
        opened.as_secs_f64(),
        counters.packets as f64 / seconds / 1e6,
    );
    println!("{counters:?}");
    for warning in input.take_warnings() {
        println!("{}: offset {:?}: {}", warning.file, warning.offset, warning.message);
    }
    Ok(())
}
