//! `hookring-emit` as a process, in its ordinary form: what it makes of its command line, its
//! environment and its stdin. Whatever these are it exits with 0, and says nothing unless told to.

mod bus;

use bus::{Bus, Event, drain_all, lose_spool, wait_for};
use hookring_bus::names::{AGENTS, EVENTS, code};
use hookring_bus::record::{MAX_PAYLOAD_BYTES, flag, tag};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::AsRawFd;
#[cfg(target_os = "linux")]
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// The command, for a bus.
fn emit(bus: &Bus, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookring-emit"));
    command.env_clear().env("HOOKRING_DIR", bus.path()).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it with `payload` on its stdin; what it said on stdout.
fn run(mut command: Command, payload: &[u8]) -> String {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A hook that does not read its stdin to the end breaks the pipe, which fails the test here.
    let written =
        std::thread::scope(|scope| scope.spawn(move || stdin.write_all(payload)).join().unwrap());
    written.unwrap();
    finish(child.wait_with_output().unwrap())
}

fn finish(output: std::process::Output) -> String {
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one event that `command` publishes when it is given `payload`. It says nothing.
fn event(bus: &Bus, command: Command, payload: &[u8]) -> Event {
    assert_eq!(run(command, payload), "");
    let mut events = bus.events();
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn is_cut(event: &Event) -> bool {
    event.header.flags & flag::TRUNCATED != 0
}

#[test]
fn a_payload_arrives_with_pid_id_stamp_and_crc_and_no_metadata() {
    let bus = Bus::new();
    drop(bus.drain());
    let event = event(&bus, emit(&bus, &[]), b"{\"a\": 1}");
    assert_eq!(event.payload, b"{\"a\": 1}");
    assert!(!event.is_spooled && event.meta.is_empty());
    assert_eq!(event.header.flags, flag::CRC);
    assert!(event.header.pid != 0 && event.header.stamp_ns != 0 && event.header.elapsed_us != 0);
    assert_eq!(event.header.id[6] >> 4, 7, "a UUID of version 7");
}

#[test]
fn without_a_ring_it_goes_to_the_spool() {
    let bus = Bus::new();
    assert!(event(&bus, emit(&bus, &[]), b"early").is_spooled);
}

#[test]
fn what_it_stores_in_a_new_spool_comes_before_what_follows_in_the_ring() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    lose_spool(&bus, &mut drain);
    run(emit(&bus, &[]), &[b'x'; 200_000]);
    run(emit(&bus, &[]), b"what follows");
    let events = drain_all(&mut drain);
    assert_eq!(events.iter().map(|event| event.is_spooled).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn names_with_a_code_go_into_the_header_and_others_into_the_metadata() {
    let directory = (tag::DIRECTORY, "/".to_owned());
    let with = |args: &[&str]| {
        let bus = Bus::new();
        let mut command = emit(&bus, args);
        command.current_dir("/");
        event(&bus, command, b"x")
    };
    let known = with(&["--agent", "codex", "--event=Stop"]);
    assert_eq!(known.header.agent, code(AGENTS, b"codex"));
    assert_eq!(known.header.event, code(EVENTS, b"Stop"));
    assert_eq!(known.meta, std::slice::from_ref(&directory));
    let unknown = with(&["--agent=mine", "--event", "Odd"]);
    assert_eq!((unknown.header.agent, unknown.header.event), (0, 0));
    let names = [(tag::AGENT, "mine".to_owned()), (tag::EVENT, "Odd".to_owned())];
    assert_eq!(unknown.meta[..2], names);
    assert_eq!(unknown.meta[2..], [directory]);
}

#[test]
fn what_is_no_option_is_an_argument_of_the_hook() {
    let bus = Bus::new();
    let args = ["main", "--odd", "--event", "post-checkout", "--", "--agent", "codex", "--"];
    let event = event(&bus, emit(&bus, &args), b"");
    assert_eq!(event.header.agent, 0);
    let arguments: Vec<_> = event.meta.iter().filter(|(tag, _)| *tag == tag::ARGUMENT).collect();
    let expected = ["main", "--odd", "--agent", "codex", "--"];
    assert!(arguments.iter().map(|(_, value)| value.as_str()).eq(expected), "{arguments:?}");
}

#[test]
fn metadata_that_does_not_fit_is_left_out_and_flagged() {
    let bus = Bus::new();
    let long = "x".repeat(10_000);
    let event = event(&bus, emit(&bus, &[&long, &long, "short"]), b"");
    assert!(event.header.flags & flag::META_CUT != 0);
    let arguments = event.meta.iter().filter(|(tag, _)| *tag == tag::ARGUMENT);
    assert!(arguments.map(|(_, value)| value).eq([&long, "short"]));
}

#[test]
fn a_payload_on_the_command_line_leaves_stdin_alone() {
    let bus = Bus::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = emit(&bus, &["--arg", "{\"b\": 2}"]);
    // Nobody writes and nobody closes: reading would wait for the deadline, and flag the event.
    finish(command.stdin(reader).output().unwrap());
    drop(writer);
    let events = bus.events();
    assert_eq!(events[0].payload, b"{\"b\": 2}");
    assert!(!is_cut(&events[0]));
}

#[test]
fn a_reply_is_all_that_is_said() {
    let bus = Bus::new();
    assert_eq!(run(emit(&bus, &["--reply", "{\"ok\":true}\n"]), b"x"), "{\"ok\":true}\n");
    let mut off = emit(&bus, &["--reply", "{}"]);
    assert_eq!(
        run(
            {
                off.env("HOOKRING_OFF", "1");
                off
            },
            b"y"
        ),
        "{}"
    );
    assert_eq!(bus.events().len(), 1);
}

#[test]
fn a_reply_that_nobody_reads_is_no_failure() {
    let bus = Bus::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = emit(&bus, &["--reply", "text"]);
    finish(command.stdout(writer).output().unwrap());
    assert_eq!(bus.events().len(), 1);
}

/// What [`full_pipe`] holds.
const FULL_BYTES: usize = 65_536;

/// A pipe with no room, whose writer does not block.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: an open descriptor and numbers.
    assert_eq!(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, 0);
    let mut before = 0;
    while let Ok(written) = writer.write(&[b'.'; 4096]) {
        before += written;
    }
    assert_eq!(before, FULL_BYTES);
    (reader, writer)
}

#[test]
fn a_reply_to_a_full_pipe_that_does_not_block_is_written_to_its_end() {
    let bus = Bus::new();
    let (mut reader, writer) = full_pipe();
    let before = FULL_BYTES;
    let reply = "r".repeat(100_000);
    let mut command = emit(&bus, &["--reply", &reply]);
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    // It publishes first; from then on it has nothing to do but to write.
    wait_for("its event", || (!bus.events().is_empty()).then_some(()));
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert!(said[before..] == reply, "{} of {} bytes", said.len() - before, reply.len());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reply_to_a_full_pipe_that_blocks_does_not_hang_the_hook() {
    let bus = Bus::new();
    for room in [0, 4096] {
        let (mut reader, mut writer) = full_pipe();
        reader.read_exact(&mut vec![0; room]).unwrap();
        // SAFETY: an open descriptor and numbers.
        assert_eq!(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, 0) }, 0);
        let mut command = emit(&bus, &["--reply", &"r".repeat(10_000)]);
        let mut child = command.stdout(writer.try_clone().unwrap()).spawn().unwrap();
        // Nobody reads: without a deadline, this does not return.
        let status = wait_for("the hook to end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
        writer.flush().unwrap();
    }
    assert_eq!(bus.events().len(), 2);
}

/// A fault whose signal is blocked ends a process, whatever its handler.
#[cfg(target_os = "linux")]
#[test]
fn a_sigbus_that_the_agent_blocked_is_unblocked_and_handled() {
    let bus = Bus::new();
    let (mut reader, writer) = full_pipe();
    let mut command = emit(&bus, &["--reply", "text"]);
    let block = || {
        // SAFETY: integers, for which zeros are fine.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: a live set, and a signal that there is.
        unsafe { libc::sigaddset(&raw mut set, libc::SIGBUS) };
        // SAFETY: a live set; the old one is not asked for.
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        Ok(())
    };
    // SAFETY: the closure makes calls that are allowed between fork and exec.
    unsafe { command.pre_exec(block) };
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    wait_for("its event", || (!bus.events().is_empty()).then_some(()));
    // Now it waits for room for its reply.
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let has_sigbus = |name: &str| {
        let set = status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        u64::from_str_radix(set, 16).unwrap() & (1 << (libc::SIGBUS - 1)) != 0
    };
    assert!(!has_sigbus("SigBlk:") && has_sigbus("SigCgt:"), "{status}");
    reader.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn switched_off_it_reads_its_stdin_and_does_nothing_else() {
    let bus = Bus::new();
    for (value, published) in [("1", 0), ("yes", 0), ("0", 1), ("", 1)] {
        let mut command = emit(&bus, &[]);
        command.env("HOOKRING_OFF", value);
        assert_eq!(run(command, &vec![b'x'; 1 << 20]), "");
        assert_eq!(bus.events().len(), published, "HOOKRING_OFF={value}");
    }
}

#[test]
fn events_to_skip_are_known_by_the_command_line_or_the_payload() {
    let list = "PreToolUse, MessageDisplay";
    let cases: [(&[&str], &str, bool); 10] = [
        (&[], r#"{"hook_event_name":"PreToolUse"}"#, true),
        (&[], r#"{"hookEventName":"PreToolUse"}"#, true),
        (
            &[],
            r#" { "a" : {"x":["]",{}]}, "s":"\"}", "hook_event_name" : "MessageDisplay" }"#,
            true,
        ),
        (&[], r#"{"agent_action_name":"MessageDisplay"}"#, true),
        (&["--event", "PreToolUse"], "{}", true),
        (&["--event", "Stop"], r#"{"hook_event_name":"PreToolUse"}"#, false),
        (&[], r#"{"hook_event_name":"Pre"}"#, false),
        (&[], r#"{"tool_input":{"hook_event_name":"PreToolUse"}}"#, false),
        (&[], r#"{"hook_event_name":"PreToolUse"#, false),
        (&[], "PreToolUse", false),
    ];
    for (args, payload, is_skipped) in cases {
        let bus = Bus::new();
        let mut command = emit(&bus, args);
        command.env("HOOKRING_SKIP", list);
        assert_eq!(run(command, payload.as_bytes()), "");
        assert_eq!(bus.events().is_empty(), is_skipped, "{args:?} {payload}");
    }
}

#[test]
fn a_stdin_that_is_empty_closed_or_a_directory_is_an_empty_payload() {
    let bus = Bus::new();
    run(emit(&bus, &[]), b"");
    let mut directory = emit(&bus, &[]);
    finish(directory.stdin(File::open("/").unwrap()).output().unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" <&-", env!("CARGO_BIN_EXE_hookring-emit")]);
    shell.env_clear().env("HOOKRING_DIR", bus.path());
    finish(shell.output().unwrap());
    let events = bus.events();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.payload.is_empty() && !is_cut(event)));
}

#[test]
fn payloads_of_every_size_arrive_whole() {
    let bus = Bus::new();
    // Around the first buffer, the first mapping and half a lane, and a large one.
    for bytes in [1, 1536, 4096, 65_535, 65_536, 65_537, 131_008, 131_072, 1 << 20, 20_000_000] {
        let payload: Vec<u8> = (0..bytes).map(|i: usize| ((i * i) >> 7) as u8).collect();
        let event = event(&bus, emit(&bus, &[]), &payload);
        assert!(event.payload == payload && !is_cut(&event), "{bytes} bytes");
    }
}

#[test]
fn what_is_beyond_the_limit_is_read_and_forgotten() {
    let bus = Bus::new();
    let mut payload = vec![b'x'; MAX_PAYLOAD_BYTES + 300_000];
    payload[MAX_PAYLOAD_BYTES - 1] = b'y';
    let event = event(&bus, emit(&bus, &[]), &payload);
    assert!(is_cut(&event));
    assert!(event.payload == payload[..MAX_PAYLOAD_BYTES]);
}

/// What stands in a pipe.
fn unread_bytes(pipe: &impl AsRawFd) -> libc::c_int {
    let mut bytes = 0;
    // SAFETY: room for the answer.
    let asked = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    assert_eq!(asked, 0);
    bytes
}

#[test]
fn a_slow_writer_is_waited_for() {
    let bus = Bus::new();
    let mut child = emit(&bus, &[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for piece in ["in ", "three ", "pieces"] {
        stdin.write_all(piece.as_bytes()).unwrap();
        // Then it has to wait for the next one.
        wait_for("the hook takes the piece", || (unread_bytes(&stdin) == 0).then_some(()));
    }
    drop(stdin);
    finish(child.wait_with_output().unwrap());
    let events = bus.events();
    assert_eq!(events[0].payload, b"in three pieces");
    assert!(!is_cut(&events[0]));
}

/// Takes the 5 s of the deadline, with both kinds of writer at once.
#[test]
fn a_writer_that_never_ends_gets_what_came_so_far_published_and_flagged() {
    let (silent, endless) = (Bus::new(), Bus::new());
    let mut waiting = emit(&silent, &[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = waiting.stdin.take().unwrap();
    stdin.write_all(b"half of it").unwrap();
    let mut reading = emit(&endless, &[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut flood = reading.stdin.take().unwrap();
    // Until the hook ends, which breaks the pipe.
    while flood.write_all(&[b'x'; 65_536]).is_ok() {}
    assert!(reading.wait().unwrap().success());
    assert!(waiting.wait().unwrap().success());
    drop(stdin);
    let mut said = String::new();
    waiting.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    let half = silent.events().remove(0);
    assert!(is_cut(&half) && half.payload == b"half of it");
    let all = endless.events().remove(0);
    assert!(is_cut(&all) && all.payload.iter().all(|byte| *byte == b'x'));
}

#[test]
fn help_and_version_are_said_when_they_are_all_that_is_asked() {
    let bus = Bus::new();
    assert!(run(emit(&bus, &["--help"]), b"").contains("Usage: hookring-emit"));
    assert!(run(emit(&bus, &["--version"]), b"").starts_with("hookring-emit "));
    assert!(bus.events().is_empty());
    assert_eq!(run(emit(&bus, &["--help", "me"]), b"x"), "");
    assert_eq!(bus.events().len(), 1);
}
