//! One way from a publish to a reader in another process, 256 B: with a reader that spins, beside the
//! time that a cache line takes from core to core, and with one that sleeps, beside a Unix datagram.
//!
//! `cargo xtask bench --bench latency [-- --rounds N]`. Ring and datagram take turns, a few hundred
//! messages each; both ends read the machine's one boot clock. Each end stays on a core of its own.

mod core;
mod message;
mod reader;
mod sender;

use anyhow::{Context as _, Result};
use hookring_benches::machine::{Machine, hop};
use message::Way;

/// Rounds without `--rounds`.
const DEFAULT_ROUNDS: usize = 20;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, dir] = args.as_slice()
        && flag == reader::FLAG
    {
        return reader::run(dir.as_ref());
    }
    let rounds = match args.iter().position(|arg| arg == "--rounds") {
        Some(at) => args.get(at + 1).context("--rounds needs a number")?.parse()?,
        None => DEFAULT_ROUNDS,
    };
    println!("one way to another process, 256 B | {}", Machine::look());
    let mut hops = vec![hop().as_nanos() as u64];
    core::stay_on(core::SENDER)?;
    let mut sender = sender::Sender::start()?;
    for _ in 0..rounds.max(1) {
        for way in Way::ALL {
            sender.send(way)?;
        }
        // Between the rounds, since it changes from minute to minute; the reader is idle meanwhile.
        let measured = std::thread::spawn(core::free_hop).join();
        hops.push(measured.map_err(|_| anyhow::anyhow!("the measurement panicked"))??);
    }
    hops.sort_unstable();
    report(&sender.finish()?, hops[hops.len() / 2]);
    Ok(())
}

/// Prints a row for each way.
fn report(quantiles: &[[u64; 3]; Way::ALL.len()], hop_ns: u64) {
    println!("\ncore to core, median of all rounds: {hop_ns} ns\n");
    println!("{:<32}{:>10}{:>10}{:>10}", "ns", "p50", "p99", "p99.9");
    for way in Way::ALL {
        let [p50, p99, p999] = quantiles[way as usize];
        let (baseline_ns, baseline) = match way {
            Way::Spinning => (hop_ns, "core to core"),
            Way::Sleeping | Way::Datagram => {
                (quantiles[Way::Datagram as usize][0], Way::Datagram.name())
            }
        };
        let ratio = p50 as f64 / baseline_ns as f64;
        println!("{:<32}{p50:>10}{p99:>10}{p999:>10}{ratio:>8.2} × {baseline}", way.name());
    }
}
