//! hookring beside other people's queues: the same payloads, all contenders taking turns in one run,
//! one table. `run.sh` builds and starts it; `docs/performance.md` says what is compared with what.

mod aeron_driver;
mod blocks;
mod payloads;
mod peers;
mod reader;
mod report;
mod run;
mod stats;
mod team;
mod watchdog;

use std::io::{stdin, stdout};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use hookring_benches::machine::Machine;
use run::Run;

const USAGE: &str = "usage: run.sh [--quick] [--json FILE] [--only BLOCK]...
blocks: publish, contention, spinning, sleeping, throughput, flatness";

type Measure = fn(&mut Run) -> Result<()>;

const BLOCKS: [(&str, Measure); 6] = [
    ("publish", blocks::publish::measure),
    ("contention", blocks::contention::measure),
    ("spinning", blocks::latency::spinning),
    ("sleeping", blocks::latency::sleeping),
    ("throughput", blocks::throughput::measure),
    ("flatness", blocks::flatness::measure),
];

#[derive(Default)]
struct Options {
    is_quick: bool,
    json: Option<PathBuf>,
    only: Vec<String>,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == [reader::FLAG] {
        // Whatever ends the other end ends this one, which may be spinning.
        // SAFETY: it takes two integers, and changes only what happens at the parent's death.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        return reader::serve(&mut stdin().lock(), &mut stdout());
    }
    let options = options(args)?;
    let machine = Machine::look();
    let mut run = Run::start(options.is_quick)?;
    run.look_at_cores();
    let mut failed = Vec::new();
    for (name, measure) in BLOCKS {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            eprintln!("measuring: {name}");
            if let Err(error) = measure(&mut run) {
                eprintln!("the block {name} failed: {error:#}");
                failed.push(name);
            }
        }
    }
    report::print(&run, &machine);
    if let Some(path) = &options.json {
        report::write_json(&run, &machine, path)?;
    }
    ensure!(failed.is_empty(), "missing in the table: {}", failed.join(", "));
    Ok(())
}

fn options(args: Vec<String>) -> Result<Options> {
    let mut options = Options::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => options.is_quick = true,
            "--json" => options.json = Some(args.next().context(USAGE)?.into()),
            "--only" => options.only.push(args.next().context(USAGE)?),
            _ => bail!("{USAGE}"),
        }
    }
    match options.only.iter().find(|only| BLOCKS.iter().all(|(name, _)| name != only)) {
        Some(unknown) => bail!("no block is called `{unknown}`\n{USAGE}"),
        None => Ok(options),
    }
}
