//! `hookring-emit`: a hook's event from stdin to the bus, in microseconds.
//!
//! It always reads its input to the end, exits 0, and writes nothing unless a flag tells it to. The
//! same source has two forms: built by the xtask it is static, without the C runtime and without
//! the standard library (see `start.rs`); built any other way it has an ordinary `main`.
#![cfg_attr(all(not(feature = "std"), panic = "abort", target_os = "linux"), no_std, no_main)]

#[cfg_attr(all(not(feature = "std"), panic = "abort", target_os = "linux"), path = "start.rs")]
#[cfg_attr(
    not(all(not(feature = "std"), panic = "abort", target_os = "linux")),
    path = "hosted.rs"
)]
mod entry;

mod event_name;
mod options;
mod process;
mod send;
mod stdin;

use hookring_bus::record::{MetaWriter, RecordHeader, flag, kind, tag};
use hookring_bus::sys::{self, Errno, Kind};
use hookring_bus::{ident::Ids, names, oneshot::Message, place::Places};
use options::Options;
use process::Process;
use send::Sending;
use stdin::Payload;

/// From the start of the process, in ns: what came of the input by then is published, and what could
/// be written of the reply is all of it.
const DEADLINE_NS: u64 = 5_000_000_000;

/// A pipe that can be written to has room for so many bytes at the least (`PIPE_BUF`).
const PIPE_BYTES: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

#[cfg(not(all(not(feature = "std"), panic = "abort", target_os = "linux")))]
fn main() {
    entry::main();
}

/// The whole of the command. Returns when the process should exit, with 0.
fn run(process: &mut Process<'_>) {
    let started_ns = sys::boottime_ns();
    let mut options = Options::parse(process.args);
    if let Some(text) = options.print {
        return write_out(text, started_ns);
    }
    // Now, before a file of ours can get the number that replies are written to.
    options.reply = options.reply.filter(|_| has_stdout());
    let off = process.variable(b"HOOKRING_OFF").is_some_and(|value| !matches!(value, b"" | b"0"));
    let skip = process.variable(b"HOOKRING_SKIP").unwrap_or_default();
    let buffer = core::mem::take(&mut process.buffer);
    let payload = match options.payload {
        Some(bytes) => Payload { bytes, is_cut: false, spare: buffer },
        None => stdin::read_to_end(buffer, started_ns),
    };
    if !off && !event_name::is_skipped(skip, options.event, payload.bytes) {
        publish(process, &options, payload, started_ns);
    }
    if let Some(reply) = options.reply {
        write_out(reply, started_ns);
    }
}

/// What is left of the time that a hook may take, in ns.
fn left_ns(started_ns: u64) -> u64 {
    DEADLINE_NS.saturating_sub(sys::boottime_ns().saturating_sub(started_ns))
}

fn publish(process: &Process<'_>, options: &Options<'_>, payload: Payload<'_>, started_ns: u64) {
    let mut header = RecordHeader {
        pid: sys::process_id(),
        agent: names::code(names::AGENTS, options.agent),
        event: names::code(names::EVENTS, options.event),
        kind: kind::DATA,
        ..RecordHeader::default()
    };
    if payload.is_cut {
        header.flags |= flag::TRUNCATED;
    }
    let meta = metadata(&mut header, options, payload.spare);
    header.meta_bytes = meta.len() as u32;
    header.payload_bytes = payload.bytes.len() as u32;
    let mut message = Message { header, meta, payload: payload.bytes };
    message.stamp(&mut Ids::new(process.known.random), started_ns);
    let places = Places::new(process.hookring_dir, process.known.uid);
    Sending::new(places, message, options.reply, process.known.has_crc).send();
}

/// The names that have no code, and what only this process knows, where the payload may not say it.
fn metadata<'b>(
    header: &mut RecordHeader,
    options: &Options<'_>,
    buffer: &'b mut [u8],
) -> &'b [u8] {
    if options.agent.is_empty() && options.event.is_empty() && options.arguments().next().is_none()
    {
        return &[];
    }
    let mut writer = MetaWriter::new(buffer);
    let names =
        [(options.agent, header.agent, tag::AGENT), (options.event, header.event, tag::EVENT)];
    for (name, code, tag) in names {
        if code == 0 && !name.is_empty() {
            writer.add(tag, name);
        }
    }
    writer.add_with(tag::DIRECTORY, |room| sys::working_directory(room).ok());
    for argument in options.arguments() {
        writer.add(tag::ARGUMENT, argument);
    }
    if writer.is_cut() {
        header.flags |= flag::META_CUT;
    }
    writer.finish()
}

/// Whether there is a stdout to write to. Writes nothing.
fn has_stdout() -> bool {
    let _ = sys::ignore_sigpipe();
    sys::write(1, b"").is_ok()
}

/// Writes to stdout. Nobody there to read it is no failure of this hook; a reader who is slow is waited
/// for until the deadline.
#[cold]
#[inline(never)]
fn write_out(mut text: &[u8], started_ns: u64) {
    let _ = sys::ignore_sigpipe();
    while !text.is_empty() {
        match write_some(&text[..text.len().min(PIPE_BYTES)], left_ns(started_ns)) {
            Ok(written) if written > 0 => text = &text[written..],
            Err(Errno::INTR | Errno::AGAIN) if left_ns(started_ns) > 0 => {}
            _ => return,
        }
    }
}

/// Writes to stdout what there is room for, or waits for room: to a pipe that is full and blocks, a plain
/// write would not come back. [`Errno::AGAIN`]: there may be room now.
fn write_some(text: &[u8], left_ns: u64) -> Result<usize, Errno> {
    let errno = match sys::write_now(1, text) {
        Err(errno @ (Errno::AGAIN | Errno::NOTSUP)) => errno,
        written => return written,
    };
    if sys::kind(1) != Kind::Stored {
        match sys::wait_writable(1, left_ns) {
            Ok(false) => return Ok(0),
            Err(Errno::INTR) => return Err(Errno::INTR),
            // Somebody else may have filled it since.
            Ok(true) | Err(_) if errno == Errno::AGAIN => return Err(Errno::AGAIN),
            Ok(true) | Err(_) => {}
        }
    }
    sys::write(1, text)
}
