//! A journal or a cursor that is damaged: a start skips and counts, `verify` says so, `repair` sets
//! aside, and what is whole stays.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use hookring_tests::{Bed, numbers_of};
use serde_json::Value;

/// A journal of 30 events; 1 to 30 in its lines.
fn bed_with_a_journal() -> Bed {
    let bed = Bed::new();
    let daemon = bed.start();
    bed.emit_numbers(1..31);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.lines().len(), 30);
    bed
}

fn segment(bed: &Bed) -> PathBuf {
    bed.path().join("journal/00000000000000000001.jsonl")
}

/// Changes one character in the payload of this event's line.
fn damage(bed: &Bed, number: u64) {
    let text = fs::read_to_string(segment(bed)).expect("the segment");
    let payload = format!("\"payload\":{{\"n\":{number}}}");
    assert!(text.contains(&payload));
    fs::write(segment(bed), text.replace(&payload, &payload.replace("\"n\"", "\"m\"")))
        .expect("the damage");
}

fn verify(bed: &Bed) -> (Option<i32>, Value) {
    let output = bed.hookring(&["journal", "verify", "--json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn exported_numbers(bed: &Bed) -> Vec<u64> {
    let output = bed.hookring(&["journal", "export"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    numbers_of(&text)
}

#[test]
fn damaged_lines_are_skipped_and_counted_and_repair_sets_them_aside() {
    let bed = bed_with_a_journal();
    damage(&bed, 7);
    damage(&bed, 8);
    damage(&bed, 30);
    let whole: Vec<_> = (1..31).filter(|number| ![7, 8, 30].contains(number)).collect();
    let daemon = bed.start();
    let status = bed.status();
    assert_eq!(status["journal"]["bad_lines"], 3, "{status}");
    bed.emit_numbers(31..41);
    assert_eq!(daemon.stop(), 0);
    let expected: Vec<_> = whole.into_iter().chain(31..41).collect();
    assert_eq!(exported_numbers(&bed), expected);

    let (code, report) = verify(&bed);
    assert_eq!(code, Some(1));
    assert_eq!(report["whole"], false);
    assert_eq!(report["segments"][0]["bad_lines"], 3);
    assert_eq!(report["segments"][0]["bad"].as_array().map(Vec::len), Some(3));

    let before = fs::read_to_string(segment(&bed)).expect("the segment");
    assert_eq!(bed.hookring(&["journal", "repair"]).status.code(), Some(0));
    let (code, report) = verify(&bed);
    assert_eq!((code, &report["whole"]), (Some(0), &Value::Bool(true)), "{report}");
    assert_eq!(exported_numbers(&bed), expected);
    let aside =
        fs::read_to_string(segment(&bed).with_extension("bad")).expect("what was set aside");
    let damaged: Vec<_> = before.lines().filter(|line| line.contains("{\"m\":")).collect();
    assert_eq!(aside.lines().collect::<Vec<_>>(), damaged);
    // A second repair has nothing to do, and the daemon goes on behind the first.
    assert_eq!(bed.hookring(&["journal", "repair"]).status.code(), Some(0));
    let daemon = bed.start();
    assert_eq!(bed.status()["journal"]["bad_lines"], 0);
    bed.emit_numbers(41..42);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(exported_numbers(&bed).last(), Some(&41));
}

#[test]
fn a_damaged_first_line_ends_its_segment_and_costs_no_event() {
    let bed = bed_with_a_journal();
    let text = fs::read_to_string(segment(&bed)).expect("the segment");
    fs::write(segment(&bed), text.replacen("\"from\":\"segment\"", "\"from\":\"SEGMENT\"", 1))
        .expect("the damage");
    let daemon = bed.start();
    bed.emit_numbers(31..41);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(exported_numbers(&bed), Vec::from_iter(1..41));
    assert_eq!(verify(&bed).0, Some(1));
    assert_eq!(bed.hookring(&["journal", "repair"]).status.code(), Some(0));
    assert_eq!(verify(&bed).0, Some(0));
    assert_eq!(exported_numbers(&bed), Vec::from_iter(1..41));
}

#[test]
fn a_torn_last_line_is_cut_off_and_counted() {
    let bed = bed_with_a_journal();
    let torn = br#"{"crc":"00000000","seq":                  31,"from":"ring/"#;
    let mut file = OpenOptions::new().append(true).open(segment(&bed)).expect("the segment");
    file.write_all(torn).expect("the damage");
    let said = bed.hookring(&["journal", "verify"]);
    assert_eq!(said.status.code(), Some(1));
    let said = String::from_utf8(said.stdout).expect("text");
    assert!(said.contains("the next `hookring run` cuts it off"), "{said}");
    assert_eq!(verify(&bed).0, Some(1));
    let daemon = bed.start();
    assert_eq!(bed.status()["journal"]["cut_bytes"], torn.len());
    bed.emit_numbers(31..33);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(exported_numbers(&bed), Vec::from_iter(1..33));
    assert_eq!(verify(&bed).0, Some(0));
}

#[test]
fn an_empty_or_foreign_file_in_the_journal_stops_nobody() {
    let bed = bed_with_a_journal();
    fs::write(bed.path().join("journal/00000000000000000033.jsonl"), "").expect("an empty segment");
    fs::write(bed.path().join("journal/notes.txt"), "mine").expect("somebody's file");
    let daemon = bed.start();
    bed.emit_numbers(31..33);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(exported_numbers(&bed), Vec::from_iter(1..33));
    assert_eq!(
        fs::read_to_string(bed.path().join("journal/notes.txt")).expect("it is kept"),
        "mine"
    );
}

#[test]
fn a_damaged_cursor_costs_a_jsonl_sink_nothing() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    bed.emit_numbers(1..31);
    assert_eq!(daemon.stop(), 0);
    let cursor = bed.path().join("cursors/file.cursor");
    let slot = 64;
    let whole = fs::read(&cursor).expect("the cursor");
    let all_noise = vec![0xa5; whole.len()];
    let second_slot =
        whole.iter().enumerate().map(|(at, byte)| if at < slot { *byte } else { !byte });
    for (next, damaged) in [(31, second_slot.collect()), (41, all_noise), (51, Vec::new())] {
        fs::write(&cursor, damaged).expect("the damage");
        let daemon = bed.start();
        bed.emit_numbers(next..next + 10);
        assert_eq!(daemon.stop(), 0);
        let file =
            fs::read_to_string(bed.path().join("sinks/file.jsonl")).expect("the sink's file");
        assert_eq!(numbers_of(&file), Vec::from_iter(1..next + 10));
    }
    assert!(bed.path().join("cursors/file.cursor.bad").exists());
}
