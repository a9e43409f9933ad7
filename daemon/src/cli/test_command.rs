//! `hookring test`: what becomes of a payload, without a daemon and without a trace.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use hookring_journal::Event;
use hookring_pipeline::document::{Document, Value};
use hookring_pipeline::{Pipeline, Received};
use hookring_sinks::{Filter, LeftOut};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Exit;
use super::args::TestArgs;
use super::style::{FAINT, GOOD, HEADING, WARNING};
use super::table::{Align, Cell, Table};
use crate::config::{Config, Env};
use crate::paths::Paths;
use crate::pipeline::key;

/// A longer payload is no test.
const MAX_PAYLOAD_BYTES: u64 = 64 << 20;

/// Makes an event of a payload as the daemon would, and shows it, and what each sink would do with it.
///
/// # Errors
///
/// The payload cannot be read, or the result not be written.
pub fn test(
    args: &TestArgs,
    paths: &Paths,
    env: Env<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    let config = match Config::load(args.config.as_deref(), paths, env) {
        Ok((config, warnings)) => {
            super::config_commands::write_warnings(err, &warnings)?;
            config
        }
        Err(errors) => {
            write!(err, "{}", errors.styled())?;
            return Ok(Exit::BadConfig);
        }
    };
    let (line, is_own_key) = line_of(args, &payload(args)?, &config, paths)?;
    if !is_own_key && contains(&line, b"[redacted:") {
        let key = paths.redaction_key.display();
        writeln!(
            err,
            "no daemon has made {key} yet, so that the hashes of secrets are others each time"
        )?;
    }
    let sinks = judged(&config, &line)?;
    if args.json {
        let event =
            serde_json::from_slice(&line).context("cannot read the event; this is a bug")?;
        let sinks = sinks.iter().map(Judged::shown).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&Shown { event, sinks })?)?;
    } else {
        show(&line, &sinks, out)?;
    }
    Ok(Exit::Fine)
}

fn payload(args: &TestArgs) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    match args.file.as_deref().filter(|file| file.as_os_str() != "-") {
        Some(file) => {
            let opened = File::open(file)
                .and_then(|file| file.take(MAX_PAYLOAD_BYTES).read_to_end(&mut payload));
            opened.with_context(|| format!("cannot read the payload {}", file.display()))?;
        }
        None => {
            let read = io::stdin().lock().take(MAX_PAYLOAD_BYTES).read_to_end(&mut payload);
            read.context("cannot read the payload from standard input")?;
        }
    }
    Ok(payload)
}

/// The line that the journal would have, but for its number, its origin and its check sum; and whether its hashes are
/// made with the daemon's key.
fn line_of(
    args: &TestArgs,
    payload: &[u8],
    config: &Config,
    paths: &Paths,
) -> Result<(Vec<u8>, bool)> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let id = *uuid::Uuid::now_v7().as_bytes();
    let timestamp_ns = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    let received = Received {
        id,
        timestamp_ns,
        monotonic_ns: None,
        agent: args.agent.as_deref(),
        event: args.event.as_deref(),
        directory: None,
        pid: std::process::id(),
        elapsed_us: 0,
        arguments: &[],
        truncated: false,
        payload,
    };
    // With the daemon's key the hashes are those that its events have.
    let own_key = key::load(&paths.redaction_key)?;
    let key = own_key.map_or_else(key::random, Ok)?;
    let mut pipeline = Pipeline::new(crate::pipeline::options(config, paths, key)?);
    let mut members = Vec::new();
    pipeline.write(&received, &mut members);
    let event = Event { id, timestamp_ns, members: &members };
    let mut line = b"{".to_vec();
    event.write_to(&mut line);
    line.push(b'}');
    Ok((line, own_key.is_some()))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    event: &'a RawValue,
    sinks: Vec<ShownSink<'a>>,
}

#[derive(Serialize)]
struct ShownSink<'a> {
    name: &'a str,
    takes: bool,
    why_not: Option<String>,
}

/// What a sink does with the event.
struct Judged<'a> {
    name: &'a str,
    /// `None`: it takes it.
    left_out: Option<Why>,
}

enum Why {
    Off,
    Filter(LeftOut),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Off => f.write_str("it is switched off (`enabled`)"),
            Why::Filter(why) => why.fmt(f),
        }
    }
}

impl<'a> Judged<'a> {
    fn shown(&self) -> ShownSink<'a> {
        let why_not = self.left_out.as_ref().map(Why::to_string);
        ShownSink { name: self.name, takes: why_not.is_none(), why_not }
    }
}

fn judged<'a>(config: &'a Config, line: &[u8]) -> Result<Vec<Judged<'a>>> {
    let judge = |sink: &'a crate::config::SinkConfig| -> Result<Judged<'a>> {
        let filter = Filter::new(&sink.filter)?;
        let off = (!sink.enabled).then_some(Why::Off);
        let by_filter = || filter?.judge(line).map(Why::Filter);
        Ok(Judged { name: &sink.name, left_out: off.or_else(by_filter) })
    };
    config.sinks.iter().map(judge).collect()
}

fn show(line: &[u8], sinks: &[Judged<'_>], out: &mut dyn Write) -> Result<()> {
    use Align::Left;
    writeln!(out, "{HEADING}EVENT{HEADING:#}")?;
    let mut event = Document::default();
    event.parse(line).context("cannot read the event; this is a bug")?;
    let mut table = Table::new([Left, Left]);
    for (name, value) in event.root().into_iter().flat_map(Value::members) {
        let text = value.as_str().unwrap_or_else(|| {
            let mut text = Vec::new();
            value.write_to(&mut text);
            String::from_utf8_lossy(&text).into_owned().into()
        });
        let name = name.as_str().unwrap_or_default();
        table.row([Cell::styled(&name, FAINT), Cell::from(text)]);
    }
    writeln!(out, "{table}")?;
    if sinks.is_empty() {
        writeln!(out, "{HEADING}SINKS{HEADING:#}\nnone configured")?;
        return Ok(());
    }
    let mut table = Table::with_titles([("SINK", Left), ("TAKES IT", Left), ("WHY NOT", Left)]);
    for ShownSink { name, takes, why_not } in sinks.iter().map(Judged::shown) {
        let (word, style) = if takes { ("yes", GOOD) } else { ("no", WARNING) };
        let why_not = why_not.unwrap_or_default();
        table.row([Cell::from(name), Cell::styled(word, style), Cell::from(why_not)]);
    }
    write!(out, "{table}")?;
    Ok(())
}
