//! What the fuzz targets share: a private folder in memory, a reader that takes all there is, events and
//! their lines, and a look at what is shown to people.

use std::cell::RefCell;
use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hookring::cli::style::{ERROR, FAINT, GOOD, GUIDE, HEADING, WARNING};
use hookring_bus::drain::{Drain, Options, Record};
use hookring_bus::place::Places;
use hookring_bus::sys;
use hookring_journal::{Event, Fields};
use hookring_pipeline::{Options as PipelineOptions, Pipeline, Received};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use tempfile::TempDir;

pub mod ring_file;

/// A ring of the smallest size, so that a run is short.
pub const OPTIONS: Options = Options { lanes: 2, lane_bytes: 16 * 1024, spool_bytes: 1 << 20 };

/// A new folder with mode 0700, in memory where the system has such; it goes with its value.
///
/// # Panics
///
/// When it cannot be made.
pub fn private_dir() -> TempDir {
    let shm = Path::new("/dev/shm");
    let dir = if shm.is_dir() { TempDir::new_in(shm) } else { TempDir::new() };
    let dir = dir.expect("a temporary folder");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).expect("its mode");
    dir
}

/// The reader of the ring and the spool in `dir`.
///
/// # Panics
///
/// When there is none to be had: whatever stands in a place, a reader must be able to start.
pub fn open_drain(dir: &Path) -> Drain {
    let places = Places::new(Some(dir.as_os_str().as_bytes()), sys::effective_uid());
    Drain::open(&places, OPTIONS).expect("a reader")
}

/// Hands everything that is there to `each`.
///
/// # Panics
///
/// When it does not come to an end.
pub fn drain_all(drain: &mut Drain, mut each: impl FnMut(&Record<'_>)) {
    const ROUNDS_MAX: usize = 1000;
    let mut empty = 0;
    // Two empty rounds: what was stamped in the future waits for the second one.
    for _ in 0..ROUNDS_MAX {
        let batch = drain.next_batch();
        empty = if batch.is_empty() { empty + 1 } else { 0 };
        batch.records().for_each(|record| each(&record));
        drain.release();
        if empty == 2 {
            return;
        }
    }
    panic!("the reader finds no end");
}

/// An event that is always the same, but for its members.
pub fn event(members: &[u8]) -> Event<'_> {
    Event { id: [7; 16], timestamp_ns: 0, members }
}

/// Hands over a pipeline that remembers nothing. To make one takes much longer than to run one.
pub fn with_pipeline<T>(run: impl FnOnce(&mut Pipeline) -> T) -> T {
    thread_local! {
        static PIPELINE: RefCell<Pipeline> = RefCell::new(Pipeline::new(PipelineOptions::plain()));
    }
    PIPELINE.with_borrow_mut(|pipeline| {
        pipeline.forget();
        run(pipeline)
    })
}

/// A record that is always the same, but for its payload.
pub fn received(payload: &[u8]) -> Received<'_> {
    Received {
        id: [7; 16],
        timestamp_ns: 0,
        monotonic_ns: Some(0),
        agent: None,
        event: None,
        directory: None,
        pid: 1,
        elapsed_us: 0,
        arguments: &[],
        truncated: false,
        payload,
    }
}

/// An event's line as sinks send it, after a look at what must be true of each: it is one line of JSON,
/// has the documented members and no others, and these in their order.
///
/// # Panics
///
/// When it is not so.
pub fn line_of(event: &Event<'_>) -> String {
    let mut line = br#"{"seq":1,"from":"daemon","#.to_vec();
    event.write_to(&mut line);
    line.push(b'}');
    assert!(!line.contains(&b'\n'));
    let line = String::from_utf8(line).expect("UTF-8");
    let fields: Fields<'_> = serde_json::from_str(&line).expect("the documented members");
    let again = serde_json::to_string(&fields).expect("JSON");
    assert_eq!(members(&line), members(&again));
    line
}

/// The names of a line's members, in their order, and what they are.
fn members(line: &str) -> Vec<(String, String)> {
    let Members(members) = serde_json::from_str(line).expect("an object");
    // Escapes may be written in several ways. What a reader refuses (half a surrogate pair, a number
    // that is too large, too many levels) is only there in what was taken over as it is.
    let plain = |raw: &RawValue| match serde_json::from_str::<Value>(raw.get()) {
        Ok(value) => value.to_string(),
        Err(_) => raw.get().to_owned(),
    };
    members.into_iter().map(|(name, raw)| (name, plain(raw))).collect()
}

/// The members of an object, in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Deserialize<'a> for Members<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(Vec::new()))
    }
}

impl<'a> Visitor<'a> for Members<'a> {
    type Value = Members<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<Members<'a>, A::Error> {
        while let Some(member) = map.next_entry()? {
            self.0.push(member);
        }
        Ok(self)
    }
}

/// A JSON text without the whitespace outside of its strings.
pub fn without_whitespace(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    outside_strings(json, |byte, outside| {
        if !(outside && b" \t\r\n".contains(&byte)) {
            out.push(byte);
        }
    });
    out
}

/// Calls `each` for every byte, and whether it stands outside of strings (their quotes do not).
pub fn outside_strings(json: &[u8], mut each: impl FnMut(u8, bool)) {
    let (mut in_string, mut escaped) = (false, false);
    for &byte in json {
        let was_in_string = in_string;
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ => {}
        }
        each(byte, !was_in_string && !in_string);
    }
}

/// Looks for anything in a text for a terminal that could steer it, but for the colours that
/// hookring uses itself.
///
/// # Panics
///
/// When there is any.
pub fn assert_harmless(text: &str) {
    let styles = [ERROR, WARNING, GOOD, HEADING, GUIDE, FAINT];
    let colours = styles.map(|style| style.to_string());
    let reset = format!("{ERROR:#}");
    let mut rest = text;
    while let Some(at) = rest.find(steers) {
        rest = &rest[at..];
        let own = colours.iter().chain([&reset]).find(|own| rest.starts_with(own.as_str()));
        match own {
            Some(own) => rest = &rest[own.len()..],
            None if rest.starts_with('\n') => rest = &rest[1..],
            None => panic!("{:?} in {text:?}", rest.chars().next()),
        }
    }
}

/// Control characters, and marks that change the direction of writing or break lines.
fn steers(char: char) -> bool {
    let marks = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'];
    let is_direction = matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    char.is_control() || marks.contains(&char) || is_direction
}
