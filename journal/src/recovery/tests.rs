//! Starting on what a crash, a damaged disk or a stranger left.

use std::path::PathBuf;

use super::*;
use crate::event::Event;
use crate::line::Origin;
use crate::segment::file_name;
use crate::testing::{
    calm, damage_line, event, lane_end, line_range, open, pairs, payload, read_from, stage, written,
};
use crate::writer::{CommitError, Journal};

#[test]
fn a_fresh_directory_begins_with_one() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/journal");
    let (journal, recovery) = open(&dir);
    assert_eq!(recovery, Recovery { next_seq: 1, ..Recovery::default() });
    assert_eq!((journal.tail().written(), journal.tail().synced()), (0, 0));
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join(file_name(1))), 0o600);
}

#[test]
fn the_ring_and_the_spool_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let body = payload(1);
    for origin in [
        Origin::Ring(lane_end(0, 10)),
        Origin::Ring(lane_end(3, 7)),
        Origin::Ring(lane_end(0, 20)),
        Origin::Spool(&spool_name(1)),
        Origin::Spool(&spool_name(2)),
    ] {
        journal.stage(origin, &event(&body));
    }
    journal.commit().unwrap();
    let ends = [lane_end(0, 20), lane_end(3, 7), lane_end(9, 1)];
    journal.rotate(&ends, &[[2; 16]]).unwrap();
    let other = LaneEnd { bus: [1; 16], lane: 0, end: 4 };
    let origins = [
        (Origin::Ring(lane_end(0, 30)), 3),
        (Origin::Ring(other), 4),
        (Origin::Daemon, 5),
        // A file is known by its name, whatever it held.
        (Origin::Spool(&spool_name(6)), 7),
        (Origin::Spool("a \"b\"\\-c"), 8),
        (Origin::Spool("plain"), 9),
        (Origin::Ring(other), 3),
    ];
    for (origin, id) in origins {
        journal.stage(origin, &Event { id: [id; 16], ..event(&body) });
    }
    journal.commit().unwrap();
    drop(journal);
    let (_, recovery) = open(dir.path());
    assert_eq!(recovery.next_seq, 13);
    assert_eq!(recovery.oldest_seq, Some(1));
    let ends = [other, lane_end(0, 30), lane_end(3, 7), lane_end(9, 1)];
    assert_eq!(recovery.ends, ends);
    assert_eq!(recovery.ids, [2, 3, 4, 6].map(|id| [id; 16]));
}

#[test]
fn the_id_in_a_spool_files_name_is_read_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let name = format!("{:020}-000102030405060708090a0b0c0d0e0f", 42);
    journal.stage(Origin::Spool(&name), &event(b"{}"));
    journal.commit().unwrap();
    drop(journal);
    assert_eq!(open(dir.path()).1.ids, [std::array::from_fn(|at| at as u8)]);
}

/// A spool file's name with this id.
fn spool_name(id: u8) -> String {
    format!("{:020}-{}", 42, format!("{id:02x}").repeat(16))
}

#[test]
fn ids_of_earlier_segments_come_back_if_a_first_line_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.rotate(&[], &[[1; 16]]).unwrap();
    journal.stage(Origin::Spool(&spool_name(2)), &event(b"{}"));
    journal.commit().unwrap();
    journal.rotate(&[], &[[1; 16]]).unwrap();
    journal.stage(Origin::Spool(&spool_name(3)), &event(b"{}"));
    journal.stage(Origin::Spool(&spool_name(4)), &event(b"{}"));
    journal.commit().unwrap();
    drop(journal);
    let known = || open(dir.path()).1.ids;
    assert_eq!(known(), [1, 3, 4].map(|id| [id; 16]));
    damage_line(&dir.path().join(file_name(2)), 0);
    assert_eq!(known(), [1, 2, 3, 4].map(|id| [id; 16]));
    // And what a repair writes anew says the same.
    crate::repair(dir.path(), |_, _| ()).unwrap();
    assert_eq!(known(), [1, 2, 3, 4].map(|id| [id; 16]));
}

#[test]
fn a_last_line_torn_at_any_byte_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 3);
    let whole = std::fs::read(&path).unwrap();
    let last = line_range(&whole, 3);
    for len in last.start..=last.end {
        for tail in [&b""[..], b"\0\0\0"] {
            let torn = [&whole[..len], tail].concat();
            std::fs::write(&path, &torn).unwrap();
            let (mut journal, recovery) = open(dir.path());
            assert_eq!(recovery.cut_bytes as usize, torn.len() - last.start);
            assert_eq!((recovery.next_seq, recovery.bad_lines), (3, 0));
            assert!(!recovery.needs_rotation);
            assert_eq!(std::fs::read(&path).unwrap(), whole[..last.start]);
            stage(&mut journal, 3);
            journal.commit().unwrap();
            assert_eq!(read_from(dir.path(), 1), pairs(1..=3), "torn after {len} bytes");
        }
    }
}

#[test]
fn a_bad_line_in_the_middle_is_counted_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 5);
    damage_line(&path, 2);
    let (mut journal, recovery) = open(dir.path());
    assert_eq!((recovery.bad_lines, recovery.cut_bytes, recovery.next_seq), (1, 0, 6));
    stage(&mut journal, 6);
    journal.commit().unwrap();
    assert_eq!(read_from(dir.path(), 1), pairs([1, 3, 4, 5, 6]));
}

#[test]
fn a_number_that_a_bad_last_line_may_have_had_is_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 5);
    damage_line(&path, 4);
    damage_line(&path, 5);
    let (mut journal, recovery) = open(dir.path());
    assert_eq!((recovery.bad_lines, recovery.next_seq), (2, 6));
    stage(&mut journal, 6);
    journal.commit().unwrap();
    assert_eq!(read_from(dir.path(), 1), pairs([1, 2, 3, 6]));
}

#[test]
fn numbers_go_on_above_every_cursor() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3);
    let (mut journal, recovery) = Journal::open(dir.path(), calm(), 99).unwrap();
    assert_eq!((recovery.next_seq, recovery.skipped_numbers), (100, 96));
    assert_eq!(journal.tail().written(), 99);
    stage(&mut journal, 100);
    journal.commit().unwrap();
    drop(journal);
    assert_eq!(read_from(dir.path(), 1), pairs([1, 2, 3, 100]));
    let (_, recovery) = Journal::open(dir.path(), calm(), 99).unwrap();
    assert_eq!((recovery.next_seq, recovery.skipped_numbers), (101, 0));
}

#[test]
fn how_the_daemon_before_ended_is_what_its_last_line_says() {
    let dir = tempfile::tempdir().unwrap();
    let before = || open(dir.path()).1.before;
    assert_eq!(before(), None, "there was none");
    let say = |members: &[u8]| {
        let (mut journal, _) = open(dir.path());
        journal.stage(Origin::Daemon, &Event { members, ..event(b"") });
        journal.commit().unwrap();
    };
    let stop = br#","event_type":"daemon.stop","namespace":"system""#;
    say(br#","event_type":"daemon.start","namespace":"system""#);
    assert_eq!(before(), Some(Ended::BrokenOff));
    say(stop);
    assert_eq!(before(), Some(Ended::InOrder));
    let (mut journal, _) = open(dir.path());
    // A hook may say so, too.
    journal.stage(Origin::Ring(lane_end(0, 1)), &Event { members: stop, ..event(b"") });
    journal.commit().unwrap();
    drop(journal);
    assert_eq!(before(), Some(Ended::BrokenOff));
    // A version that had no such events.
    let last = std::fs::read(dir.path().join(file_name(1))).unwrap();
    let line = Line { seq: 1, bytes: &last[line_range(&last, 3)] };
    let mut read = LastLine::default();
    read.note(line, line.origin().as_ref());
    assert_eq!(read.ended(), Some(Ended::BrokenOff));
    let old = String::from_utf8(line.bytes.to_vec()).unwrap();
    let old = old.replace("\"version\":2", "\"version\":1");
    let line = Line { seq: 1, bytes: old.as_bytes() };
    read.note(line, line.origin().as_ref());
    assert_eq!(read.ended(), None);
}

/// What cannot be continued waits for a rotation, and tells all that a restart must know.
#[track_caller]
fn needs_rotation_and_goes_on(dir: &Path, expected: Recovery, read: Vec<(Seq, u64)>) {
    let (mut journal, recovery) = open(dir);
    let expected = Recovery { before: recovery.before, ..expected };
    assert_eq!(recovery, expected);
    assert!(journal.wants_rotation() && journal.stats().sealed);
    let next = stage(&mut journal, expected.next_seq);
    assert_eq!(next, expected.next_seq);
    assert!(matches!(journal.commit(), Err(CommitError::Sealed { .. })));
    journal.rotate(&recovery.ends, &[]).unwrap();
    journal.commit().unwrap();
    let all = [read, pairs([next])].concat();
    assert_eq!(read_from(dir, 1), all);
    drop(journal);
    let (_, again) = open(dir);
    assert_eq!(again.next_seq, next + 1);
    let mut ends = expected.ends;
    ends[0].end = next;
    assert_eq!(again.ends, ends);
    assert!(!again.needs_rotation);
    assert_eq!(read_from(dir, 1), all);
}

/// Two segments, events 1 to 4 in the first one (3 in lane 1), 5 to 8 in the second one; its path.
fn two_segments(dir: &Path) -> PathBuf {
    let (mut journal, _) = open(dir);
    for n in [1, 2] {
        stage(&mut journal, n);
    }
    journal.stage(Origin::Ring(lane_end(1, 77)), &event(&payload(3)));
    stage(&mut journal, 4);
    journal.commit().unwrap();
    journal.rotate(&[lane_end(0, 4), lane_end(1, 77)], &[]).unwrap();
    for n in 5..=8 {
        stage(&mut journal, n);
    }
    journal.commit().unwrap();
    journal.close().unwrap();
    dir.join(file_name(5))
}

fn sealed(next_seq: Seq, end: u64) -> Recovery {
    Recovery {
        next_seq,
        oldest_seq: Some(1),
        ends: vec![lane_end(0, end)],
        ids: vec![event(b"").id],
        needs_rotation: true,
        ..Recovery::default()
    }
}

#[test]
fn an_empty_last_segment_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3);
    std::fs::write(dir.path().join(file_name(4)), "").unwrap();
    needs_rotation_and_goes_on(dir.path(), sealed(4, 3), pairs(1..=3));
}

#[test]
fn an_empty_only_segment_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(file_name(1)), "").unwrap();
    let (mut journal, recovery) = open(dir.path());
    assert!(recovery.needs_rotation);
    journal.rotate(&[], &[]).unwrap();
    assert_eq!(stage(&mut journal, 1), 1);
    journal.commit().unwrap();
    assert_eq!(read_from(dir.path(), 1), pairs(1..=1));
}

#[test]
fn a_header_alone_is_continued() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    stage(&mut journal, 1);
    journal.commit().unwrap();
    journal.rotate(&[lane_end(0, 1)], &[]).unwrap();
    drop(journal);
    let (mut journal, recovery) = open(dir.path());
    assert_eq!((recovery.next_seq, recovery.needs_rotation), (2, false));
    assert_eq!(recovery.ends, [lane_end(0, 1)]);
    stage(&mut journal, 2);
    journal.commit().unwrap();
    assert_eq!(journal.stats().segments, 2);
    assert_eq!(read_from(dir.path(), 1), pairs(1..=2));
}

#[test]
fn a_damaged_header_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let last = two_segments(dir.path());
    damage_line(&last, 0);
    let mut expected = sealed(9, 8);
    expected.bad_lines = 1;
    // The damaged line would have told; now it comes from the segment before.
    expected.ends.push(lane_end(1, 77));
    needs_rotation_and_goes_on(dir.path(), expected, pairs(1..=8));
}

#[test]
fn garbage_in_the_last_segment_costs_its_lines_only() {
    let dir = tempfile::tempdir().unwrap();
    let last = two_segments(dir.path());
    std::fs::write(last, "garbage\nmore\n\0\0\0").unwrap();
    let mut expected = sealed(7, 4);
    (expected.bad_lines, expected.cut_bytes) = (2, 3);
    expected.ends.push(lane_end(1, 77));
    needs_rotation_and_goes_on(dir.path(), expected, pairs(1..=4));
}

#[test]
fn lines_beyond_the_next_segments_name_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 6);
    // The last two lines of the first segment come again in the next one, as after a failed sync.
    let other = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(other.path(), calm(), 4).unwrap();
    for n in [5, 60] {
        stage(&mut journal, n);
    }
    journal.commit().unwrap();
    std::fs::copy(other.path().join(file_name(5)), dir.path().join(file_name(5))).unwrap();
    assert_eq!(read_from(dir.path(), 1), [pairs(1..=5), vec![(6, 60)]].concat());
    for from in 1..=6 {
        assert_eq!(read_from(dir.path(), from)[0].0, from);
    }
    let (_, recovery) = open(dir.path());
    assert_eq!((recovery.next_seq, recovery.ends), (7, vec![lane_end(0, 60)]));
}

#[test]
fn what_else_lies_in_the_directory_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3);
    let names = [
        "1.jsonl",
        "notes.txt",
        "18446744073709551615.jsonl",
        "00000000000000000002.jsonl.gz",
        "00000000000000000001.bad",
        "-0000000000000000001.jsonl",
        "\u{1}\n.jsonl",
    ];
    for name in names {
        std::fs::write(dir.path().join(name), "left alone").unwrap();
    }
    use std::os::unix::ffi::OsStrExt;
    std::fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xff.jsonl")), "").unwrap();
    std::fs::create_dir(dir.path().join(file_name(50))).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.path().join(file_name(60))).unwrap();
    let (mut journal, recovery) = open(dir.path());
    assert_eq!((recovery.next_seq, recovery.bad_lines), (4, 0));
    stage(&mut journal, 4);
    journal.commit().unwrap();
    assert_eq!(read_from(dir.path(), 1), pairs(1..=4));
    for name in names {
        assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), "left alone");
    }
}

#[test]
fn a_directory_that_is_not_ours_to_use_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let (real, link, file) =
        (parent.path().join("real"), parent.path().join("link"), parent.path().join("file"));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    std::fs::write(&file, "").unwrap();
    for path in [&link, &file] {
        let error = Journal::open(path, calm(), 0).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
    }
    let (journal, _) = open(&real);
    let error = Journal::open(&real, calm(), 0).unwrap_err();
    assert!(error.to_string().ends_with("stop the other daemon or wait for its repair to end"));
    drop(journal);
    open(&real);
}

#[test]
fn a_directory_open_to_others_is_closed() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let _journal = open(dir.path());
    assert_eq!(std::fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_payload_event_is_not_mistaken_for_an_origin() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let hostile = br#"{"from":"spool/victim","seq":9,"crc":"00000000"}"#;
    journal.stage(Origin::Daemon, &event(hostile));
    journal.commit().unwrap();
    drop(journal);
    let (_, recovery) = open(dir.path());
    assert_eq!((recovery.ends.len(), recovery.ids.len()), (0, 0));
}
