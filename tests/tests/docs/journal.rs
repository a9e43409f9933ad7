//! The form of the journal's lines, as `docs/journal.md` has it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use hookring_bus::crc::Crc32c;
use hookring_bus::ident::Ids;
use hookring_bus::place::Places;
use hookring_bus::record::{RecordHeader, kind};
use hookring_bus::{spool, sys};
use hookring_tests::{Bed, members};
use serde_json::Value;

use crate::Document;

/// A call that fails, and is told twice; a task; the end of the turn.
const CLAUDE_CODE: [&str; 5] = [
    r#"{"session_id":"s","prompt_id":"p","cwd":"/home/ada","permission_mode":"plan","hook_event_name":"PreToolUse","tool_name":"Write","tool_use_id":"t","tool_input":{"file_path":"/home/ada/a"}}"#,
    r#"{"session_id":"s","agent_id":"b","agent_type":"general","hook_event_name":"PostToolUse","tool_name":"Write","tool_use_id":"t","tool_input":{"file_path":"/home/ada/a"},"tool_response":{"error":"no room","code":1},"duration_ms":3}"#,
    r#"{"session_id":"s","agent_id":"b","agent_type":"general","hook_event_name":"PostToolUse","tool_name":"Write","tool_use_id":"t","tool_input":{"file_path":"/home/ada/a"},"tool_response":{"error":"no room","code":1},"duration_ms":3}"#,
    r#"{"session_id":"s","hook_event_name":"TaskCreated","task_id":"1","task_subject":"tidy up"}"#,
    r#"{"session_id":"s","agent_id":"b","hook_event_name":"SubagentStop"}"#,
];

/// Events with the members that there can be.
fn bed_with_all_members() -> Bed {
    let bed = Bed::new();
    let daemon = bed.start();
    bed.emit_with(
        &["--agent", "a", "--", "argument"],
        br#"{"session_id":"3f1c","hook_event_name":"Stop","cwd":"/home/ada"}"#,
    );
    for payload in CLAUDE_CODE {
        bed.emit_with(&["--agent", "claude-code"], payload.as_bytes());
    }
    let call =
        br#"{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"}}"#;
    bed.emit(call);
    bed.emit(b"text");
    bed.emit(b"\xff");
    let odd = bed.path().join(OsStr::from_bytes(b"\xff\xfe"));
    fs::create_dir(&odd).expect("a directory");
    let mut command = bed.command("hookring-emit");
    let command = command.current_dir(&odd).arg("--").arg(OsStr::from_bytes(b"\xff"));
    bed.run_hook(command.args(["x".repeat(100_000)]), b"{}");
    spool_of_an_earlier_boot(&bed, unix_ms_days_ago(3));
    bed.wait_for_events(6 + CLAUDE_CODE.len());
    assert_eq!(daemon.stop(), 0);
    bed
}

/// An entry in the spool whose machine had run for a second, and what its id says of the time.
fn spool_of_an_earlier_boot(bed: &Bed, unix_ms: u64) {
    let uid = sys::effective_uid();
    let place = Places::new(Some(bed.path().as_os_str().as_bytes()), uid).open(0).expect("a place");
    let header = RecordHeader {
        stamp_ns: 1_000_000_000,
        id: Ids::new([9; 16]).next(unix_ms * 1_000_000),
        payload_bytes: 8,
        kind: kind::DATA,
        ..RecordHeader::default()
    };
    let crc = Crc32c::portable();
    spool::store(&place, uid, header, b"", b"[\"boot\"]", crc).expect("stored");
}

fn unix_ms_days_ago(days: u64) -> u64 {
    sys::realtime_ns() / 1_000_000 - days * 86_400_000
}

#[test]
fn an_event_of_an_earlier_boot_has_the_time_at_which_it_was_published() {
    let bed = Bed::new();
    let daemon = bed.start();
    let unix_ms = unix_ms_days_ago(3);
    spool_of_an_earlier_boot(&bed, unix_ms);
    bed.emit(b"[\"now\"]");
    let events = bed.wait_for_events(2);
    let of = |payload: &str| {
        events.iter().find(|event| event["payload"][0] == payload).expect("the event")
    };
    let said = of("boot")["timestamp"].as_str().expect("a time").to_owned();
    let date =
        Command::new("date").args(["-u", "+%s.%3N", "-d", &said]).output().expect("date runs");
    let millis = String::from_utf8_lossy(&date.stdout).trim().replace('.', "");
    assert_eq!(millis, unix_ms.to_string(), "{said}");
    assert!(of("boot").get("monotonic_ns").is_none());
    assert!(of("now")["monotonic_ns"].as_u64().is_some());
    assert_eq!(daemon.stop(), 0);
}

/// The table of all members in `docs/events.md`: names, and whether each is in every event.
fn listed() -> Vec<(String, bool)> {
    let mut document = Document::read("docs/events.md");
    let (_, table) = document.text.split_once("<!-- members: begin -->").expect("its begin");
    document.text = table.split_once("<!-- members: end -->").expect("its end").0.to_owned();
    document.rows().iter().map(|row| (named(row), row[1] == "yes")).collect()
}

fn named(row: &[String]) -> String {
    row[0].trim_matches('`').to_owned()
}

#[test]
fn every_member_is_listed() {
    let lines = bed_with_all_members().lines();
    let lines: Vec<BTreeSet<String>> =
        lines.iter().map(|line| members(line).into_keys().collect()).collect();
    let written = lines.iter().flatten().cloned().collect::<BTreeSet<_>>();
    let rows = listed();
    let listed: BTreeSet<_> = rows.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(written.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new());
    // What these events cannot have: what is not in such payloads, and what only secrets and
    // cut texts bring.
    let rare = ["user_id", "status", "parent_task_id"];
    let rare = rare.into_iter().chain(["redactions", "cut_bytes"]).map(str::to_owned).collect();
    assert_eq!(listed.difference(&written).cloned().collect::<BTreeSet<_>>(), rare);
    let always: BTreeSet<_> =
        rows.into_iter().filter(|(_, always)| *always).map(|it| it.0).collect();
    for members in &lines {
        assert_eq!(always.difference(members).collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

/// The line's order is that of the table, and its first members are those that the journal writes, all
/// of them in each line.
#[test]
fn members_stand_in_the_order_of_the_tables() {
    let bed = bed_with_all_members();
    let rows = listed();
    let place = |name: &str| rows.iter().position(|(row, _)| row == name).expect("it is listed");
    let document = Document::read("docs/journal.md");
    let own = document.rows().into_iter().filter(|row| row.len() == 3);
    let own: Vec<_> = own.map(|row| (named(&row), row[1].clone())).collect();
    assert!(own.iter().all(|(_, always)| always == "yes"), "{own:?}");
    for line in bed.all_lines() {
        let names = names_in_order(&line);
        assert!(names.is_sorted_by_key(|name| place(name)), "{names:?}");
        let own: Vec<_> = own.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names[..own.len()], own);
    }
}

/// The names of a line's members as they stand in it: what is inside of others comes behind.
fn names_in_order(line: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(line).expect("UTF-8");
    let mut names: Vec<_> = members(line).into_keys().collect();
    names.sort_by_key(|name| text.find(&format!("\"{name}\":")).expect("it stands there"));
    names
}

#[test]
fn the_first_members_stand_at_their_places_and_the_checksum_is_what_is_said() {
    let bed = bed_with_all_members();
    let segment =
        fs::read(bed.path().join("journal/00000000000000000001.jsonl")).expect("the first segment");
    let mut lines = segment.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let header: Value =
        serde_json::from_slice(lines.next().expect("its first line")).expect("JSON");
    assert_eq!(header["from"], "segment");
    let uuid: String = header["segment"]["uuid"].as_str().expect("a UUID").replace('-', "");
    let uuid = u128::from_str_radix(&uuid, 16).expect("hex").to_be_bytes();
    let mut seen = 0;
    for line in lines {
        let event: Value = serde_json::from_slice(line).expect("JSON");
        let text = |range: std::ops::Range<usize>| std::str::from_utf8(&line[range]).expect("text");
        let crc = Crc32c::portable().update(&uuid).update(&line[18..]).value();
        assert_eq!(text(8..16), format!("{crc:08x}"));
        assert_eq!(text(24..44).trim().parse(), Ok(event["seq"].as_u64().expect("a number")));
        assert!(line[53..].starts_with(event["from"].as_str().expect("text").as_bytes()));
        seen += 1;
    }
    assert_eq!(seen, bed.all_lines().len());
}

#[test]
fn the_example_is_a_line_as_the_program_writes_it() {
    let document = Document::read("docs/journal.md");
    let example: Value = serde_json::from_str(document.blocks("json")[0]).expect("JSON");
    let bed = Bed::new();
    let daemon = bed.start();
    bed.emit_with(&["--agent", "claude-code"], example["payload"].to_string().as_bytes());
    assert_eq!(daemon.stop(), 0);
    let written = bed.events().remove(0);
    let keys =
        |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&written), keys(&example));
    let of_the_machine =
        ["crc", "seq", "from", "id", "timestamp", "monotonic_ns", "host", "process"];
    for (name, value) in example.as_object().expect("an object") {
        if !of_the_machine.contains(&name.as_str()) {
            assert_eq!(&written[name], value, "{name}");
        }
    }
}
