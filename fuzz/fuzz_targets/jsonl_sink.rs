//! Any bytes as the files of a `jsonl` sink: what stood there in whole lines stays, each event comes
//! behind it once, and a restart that begins too early writes nothing again.
//!
//! Input: a byte (bit 0: rotate with each event, bits 1 and 2: the form of a rotated file that is
//! there already), the active file and, behind [`CUT`], the rotated one.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hookring_fuzz::{event, private_dir};
use hookring_journal::{Batch, Journal, OLDEST, Options, Origin, Reader, SyncPolicy};
use hookring_sinks::{JsonlConfig, JsonlSink, Outcome, Sink as _};
use libfuzzer_sys::fuzz_target;

const CUT: &[u8] = b"\n--\n";
const LINE_START: &[u8] = b"{\"seq\":";
const ROTATED: &str = "events-20260102T030405Z-00000000000000000001.jsonl";
const MEMBERS: [&str; 3] =
    [r#","payload":{}"#, r#","payload":{"n":1}"#, r#","payload_text":"no JSON""#];

type Files = BTreeMap<PathBuf, Vec<u8>>;

fuzz_target!(|input: &[u8]| {
    let Some((&mode, input)) = input.split_first() else { return };
    let (active, rotated) = match input.windows(CUT.len()).position(|window| window == CUT) {
        Some(at) => (&input[..at + 1], Some(&input[at + CUT.len()..])),
        None => (input, None),
    };
    let (journal, folder) = (journal(), private_dir());
    let path = folder.path().join("events.jsonl");
    fs::write(&path, active).expect("a file");
    let suffix = [".gz", ".zst", "", ""][usize::from(mode >> 1 & 3)];
    let rotated_path = folder.path().join(format!("{ROTATED}{suffix}"));
    if let Some(rotated) = rotated {
        fs::write(&rotated_path, rotated).expect("a rotated file");
    }
    let is_packed = rotated.is_some() && !suffix.is_empty();
    let before = files(folder.path());
    let config =
        JsonlConfig { rotate_bytes: (mode & 1 != 0).then_some(1), ..JsonlConfig::new(&path) };
    // What cannot be unpacked may hold any of the events.
    let is_about_packed = |error: &str| is_packed && error.contains(ROTATED);
    if let Err(error) = run(&config, &journal.batches) {
        return assert!(is_about_packed(&error), "{error}");
    }
    let after = files(folder.path());
    for line in &journal.lines {
        let (known, now) = (count(&before, line), count(&after, line));
        // It may stand in the packed file.
        let least = if is_packed { known } else { known.max(1) };
        assert!((least..=known + 1).contains(&now), "{now} times, {known} before");
    }
    if let Some(rotated) = rotated {
        assert_eq!(after[&rotated_path], rotated);
    }
    let kept = mended(active);
    assert!(after.values().any(|content| content.starts_with(&kept)), "lost what was there");
    if journal.lines.iter().all(|line| count(&before, line) == 0) {
        // It looks further back than before if the file that is written has a later number than it had.
        if let Err(error) = run(&config, &journal.batches) {
            return assert!(is_about_packed(&error), "{error}");
        }
        assert_eq!(files(folder.path()), after, "written again");
    }
});

/// Delivers all there is; or the error, with its causes.
fn run(config: &JsonlConfig, batches: &[Batch]) -> Result<(), String> {
    let mut sink = JsonlSink::new(config.clone());
    let told = |error: hookring_sinks::SinkError| format!("{:#}", anyhow::Error::from_boxed(error));
    sink.open().map_err(told)?;
    for batch in batches {
        if let Outcome::Failed { error } = sink.deliver(batch) {
            return Err(told(error));
        }
    }
    sink.flush().map_err(told)
}

fn files(dir: &Path) -> Files {
    let paths = fs::read_dir(dir).expect("the folder").map(|entry| entry.expect("a name").path());
    paths.map(|path| (path.clone(), fs::read(path).expect("its content"))).collect()
}

/// How often this line stands in the files.
fn count(files: &Files, line: &[u8]) -> usize {
    files
        .values()
        .flat_map(|content| content.split(|byte| *byte == b'\n'))
        .filter(|it| *it == line)
        .count()
}

/// What must be left of a file: without a piece of a line that the sink began to write, and with a
/// newline behind anything else that has none.
fn mended(content: &[u8]) -> Vec<u8> {
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (lines, rest) = content.split_at(whole);
    let is_begun = rest.starts_with(LINE_START) || LINE_START.starts_with(rest);
    if is_begun || rest.starts_with(&[0]) { lines.to_vec() } else { [content, b"\n"].concat() }
}

/// Events as the sink gets them, and the lines that it makes of them.
struct Events {
    batches: Vec<Batch>,
    lines: Vec<Vec<u8>>,
}

fn journal() -> &'static Events {
    static EVENTS: OnceLock<Events> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let dir = private_dir();
        let options = Options {
            segment_bytes: 1 << 20,
            sync: SyncPolicy::Never,
            retention_bytes: None,
            retention_age: None,
            hard_limit_bytes: None,
            cache_bytes: 0,
        };
        let (mut journal, _) = Journal::open(dir.path(), options, 0).expect("a journal");
        for members in MEMBERS {
            journal.stage(Origin::Daemon, &event(members.as_bytes()));
        }
        journal.commit().expect("written");
        journal.close().expect("closed");
        let mut reader = Reader::open(dir.path(), OLDEST).expect("a reader");
        let batches = [2, 2].map(|events| reader.next_batch(events, usize::MAX).expect("a batch"));
        let lines = batches.iter().flat_map(Batch::lines).map(|line| {
            // The same members, without what the journal has in front: checksum, number, origin.
            let from = br#""from":"daemon","#;
            let at = line.bytes.windows(from.len()).position(|window| window == from);
            let rest = &line.bytes[at.expect("an origin") + from.len()..];
            [format!(r#"{{"seq":{},"#, line.seq).as_bytes(), rest].concat()
        });
        Events { lines: lines.collect(), batches: batches.to_vec() }
    })
}
