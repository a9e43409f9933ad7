//! Sinks from outside: rotated and compressed files, and the daemon's own stdout.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use flate2::read::MultiGzDecoder;
use hookring_tests::{Bed, numbers_of, wait_for};
use ruzstd::decoding::StreamingDecoder;

use crate::{numbers_in, wait_for_delivery};

/// The rotated files of a sink, oldest first, then the one that is written.
fn files(bed: &Bed) -> Vec<PathBuf> {
    let entries = fs::read_dir(bed.path().join("sinks")).expect("the folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let active = bed.path().join("sinks/file.jsonl");
    files.retain(|path| *path != active);
    files.sort_by_key(|path| first_seq(path));
    files.push(active);
    files
}

/// From `file-<time>-<first seq>.jsonl[.gz|.zst]`.
fn first_seq(path: &Path) -> u64 {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let stem = name.split('.').next().expect("a stem");
    stem.rsplit('-').next().expect("a number").parse().unwrap_or_else(|_| panic!("{name}"))
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    let file = BufReader::new(File::open(path).expect("a file"));
    let mut reader: Box<dyn Read> = match path.extension().and_then(|it| it.to_str()) {
        Some("gz") => Box::new(MultiGzDecoder::new(file)),
        Some("zst") => Box::new(StreamingDecoder::new(file).expect("a zstd frame")),
        _ => Box::new(file),
    };
    reader.read_to_string(&mut text).expect("text");
    text
}

#[test]
fn rotated_files_hold_every_event_once_whatever_they_are_compressed_with() {
    for (compress, extension) in [("none", "jsonl"), ("gzip", "gz"), ("zstd", "zst")] {
        let bed = Bed::new();
        bed.configure(&format!(
            "[sinks.file]\ntype = \"jsonl\"\nrotate_bytes = \"4KiB\"\ncompress = \"{compress}\"\nbatch_events = 10\n"
        ));
        // A stop and a kill in between: nothing of a rotation is left half done.
        for (first, killed) in [(0, false), (100, true), (200, false)] {
            let daemon = bed.start();
            bed.emit_numbers(first..first + 100);
            if killed {
                bed.wait_for_events(first as usize + 100);
                daemon.kill();
            } else {
                assert_eq!(daemon.stop(), 0);
            }
        }
        let daemon = bed.start();
        let done = |path: &PathBuf| path.extension().is_some_and(|it| it == extension);
        wait_for("the last file to be compressed", || {
            let files = files(&bed);
            files[..files.len() - 1].iter().all(done).then_some(())
        });
        assert_eq!(daemon.stop(), 0);
        let files = files(&bed);
        assert!(files.len() > 5, "{files:?}");
        let texts: Vec<_> = files.iter().map(|path| read(path)).collect();
        let numbers: Vec<_> = texts.iter().flat_map(|text| numbers_of(text)).collect();
        assert_eq!(numbers, Vec::from_iter(0..300), "{compress}");
        assert!(
            texts.iter().all(|text| text.len() <= 4096),
            "{compress}: a file is larger than its limit"
        );
    }
}

#[test]
fn the_stdout_sink_says_each_event_from_now_on() {
    let bed = Bed::new();
    bed.configure("[sinks.screen]\ntype = \"stdout\"\n");
    bed.emit_numbers(0..5);
    let daemon = bed.start();
    bed.wait_for_events(5);
    assert_eq!(daemon.stop(), 0);
    let mut command = bed.command("hookring");
    let command =
        command.arg("run").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let _ = fs::remove_file(bed.path().join("status.json"));
    let mut daemon = bed.adopt(command.spawn().expect("the daemon starts"));
    let mut stdout = daemon.take_stdout();
    wait_for("the daemon", || bed.path().join("status.json").exists().then_some(()));
    bed.emit_numbers(5..10);
    wait_for_delivery(&bed, "screen", 5);
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), 0);
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("text");
    let numbers = numbers_of(&text);
    // Its cursor was made by the first daemon, whose stdout nobody read.
    assert_eq!(numbers, Vec::from_iter(5..10));
}

#[test]
fn a_sink_that_cannot_start_is_shown_keeps_its_events_and_starts_when_it_can() {
    let bed = Bed::new();
    bed.configure("[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64KiB\"\nhard_limit_bytes = \"64MiB\"\n[sinks.file]\ntype = \"jsonl\"\n[health]\nhook_p99 = \"0ms\"\n");
    let cursor = bed.path().join("cursors/file.cursor");
    fs::create_dir_all(&cursor).expect("a directory in the cursor's place");
    for dir in [bed.path().join("cursors"), cursor.clone()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).expect("its mode");
    }
    let daemon = bed.start();
    bed.emit_numbers(0..1000);
    bed.wait_for_events(1000);
    // And with `daemon.start` and `sink.state`.
    let sink = wait_for("the sink's state", || {
        crate::sink(&bed, "file").filter(|sink| sink["lag_events"] == 1002)
    });
    assert_eq!(sink["state"], "retrying");
    assert!(sink["last_error"].as_str().expect("an error").contains("file.cursor"), "{sink}");
    fs::remove_dir(&cursor).expect("the removal");
    wait_for_delivery(&bed, "file", 1000);
    assert_eq!(daemon.stop(), 0);
    let stopped = crate::sink(&bed, "file").expect("it is shown after the end, too");
    assert_eq!((&stopped["state"], &stopped["lag_events"]), (&"stopped".into(), &0.into()));
    assert_eq!(numbers_in(&bed.path().join("sinks/file.jsonl")), Vec::from_iter(0..1000));
    assert_eq!(bed.log().matches("cannot start sink").count(), 1, "said once: {}", bed.log());
}

#[test]
fn a_sink_that_fails_and_works_again_says_each_once_and_counts_every_retry() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let in_the_way = bed.path().join("sinks/file.jsonl/x");
    hookring_tests::make_private_dir(&in_the_way);
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for("some retries", || {
        (crate::sink(&bed, "file")?["retries"].as_u64() >= Some(3)).then_some(())
    });
    fs::remove_dir_all(bed.path().join("sinks/file.jsonl")).expect("the removal");
    wait_for_delivery(&bed, "file", 3);
    assert_eq!(daemon.stop(), 0);
    let log = bed.log();
    let said = |what: &str| log.matches(what).count();
    assert_eq!((said("it is tried again"), said("works again")), (1, 1), "{log}");
    assert_eq!(said("file.jsonl"), 1, "{log}");
}
