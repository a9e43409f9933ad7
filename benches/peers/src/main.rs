//! hookring beside other people's queues: the same payloads, all contenders taking turns in one run,
//! one table. `run.sh` builds and starts it; `docs/performance.md` says what is compared with what.

mod aeron_driver;
mod blocks;
mod docs;
mod document;
mod payloads;
mod peers;
mod plot;
mod reader;
mod report;
mod run;
mod stats;
mod team;
mod watchdog;

use std::io::{stdin, stdout};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use document::Document;
use hookring_benches::machine::Machine;
use run::Run;

const USAGE: &str = "\
usage: run.sh [--quick] [--only BLOCK]... [--json FILE] [--plots DIR] [--docs]
       run.sh --from FILE [--plots DIR] [--docs]

  --quick       a short run, to see that everything works
  --only BLOCK  hook, publish, contention, spinning, sleeping, throughput, journal, flatness or sinks
  --json FILE   also write all figures there
  --plots DIR   also draw the plots there
  --docs        also put table and plots into docs/performance.md and docs/performance/
  --from FILE   measure nothing, take what --json wrote";

type Measure = fn(&mut Run) -> Result<()>;

const BLOCKS: [(&str, Measure); 9] = [
    ("hook", blocks::programs::hook),
    ("publish", blocks::publish::measure),
    ("contention", blocks::contention::measure),
    ("spinning", blocks::latency::spinning),
    ("sleeping", blocks::latency::sleeping),
    ("throughput", blocks::throughput::measure),
    ("journal", blocks::programs::journal),
    ("flatness", blocks::flatness::measure),
    ("sinks", blocks::sinks::measure),
];

#[derive(Default)]
struct Options {
    is_quick: bool,
    only: Vec<String>,
    json: Option<PathBuf>,
    plots: Option<PathBuf>,
    to_docs: bool,
    from: Option<PathBuf>,
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
    let (document, failed) = match &options.from {
        Some(path) => (Document::read(path)?, Vec::new()),
        None => measure(&options)?,
    };
    print!("{}", report::table(&document));
    if let Some(path) = &options.json {
        document.write(path)?;
    }
    if let Some(dir) = &options.plots {
        plot::write(&document, dir)?;
    }
    ensure!(failed.is_empty(), "missing in the table: {}", failed.join(", "));
    if options.to_docs {
        docs::write(&document)?;
    }
    Ok(())
}

/// Takes the figures; also names the blocks that failed.
fn measure(options: &Options) -> Result<(Document, Vec<&'static str>)> {
    let (machine, load) = (Machine::look(), document::load());
    let mut run = Run::start(options.is_quick)?;
    run.look_at_cores();
    let mut failed = Vec::new();
    for (name, measure) in BLOCKS {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            let start = Instant::now();
            eprint!("measuring: {name} ...");
            let result = measure(&mut run);
            eprintln!(" {:.0} s", start.elapsed().as_secs_f64());
            if let Err(error) = result {
                eprintln!("the block {name} failed: {error:#}");
                failed.push(name);
            }
        }
    }
    let is_whole = options.only.is_empty() && failed.is_empty();
    Ok((Document::of(run, machine, load, is_whole), failed))
}

fn options(args: Vec<String>) -> Result<Options> {
    let mut options = Options::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().context(USAGE);
        match arg.as_str() {
            "--quick" => options.is_quick = true,
            "--only" => options.only.push(value()?),
            "--json" => options.json = Some(value()?.into()),
            "--plots" => options.plots = Some(value()?.into()),
            "--docs" => options.to_docs = true,
            "--from" => options.from = Some(value()?.into()),
            _ => bail!("{USAGE}"),
        }
    }
    match options.only.iter().find(|only| BLOCKS.iter().all(|(name, _)| name != only)) {
        Some(unknown) => bail!("no block is called `{unknown}`\n{USAGE}"),
        None => Ok(options),
    }
}
