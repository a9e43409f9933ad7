//! Any command line and any payload of `hookring-emit`: each argument is taken for one thing and none
//! is lost, and an event is skipped exactly if its name is on the list.
//!
//! Input: arguments that end in a zero byte, up to an empty one; the list of what is to be skipped,
//! which ends so, too; the payload.
#![no_main]

use std::ffi::{CString, c_char};
use std::ptr;

use hookring_pipeline::document::{Document, Value};
use libfuzzer_sys::fuzz_target;

// The command is a program without a library, so its files are taken as they are.
#[allow(dead_code)]
#[path = "../../producer/src/emit/event_name.rs"]
mod event_name;
#[allow(dead_code)]
#[path = "../../producer/src/emit/options.rs"]
mod options;
#[allow(dead_code)]
#[path = "../../producer/src/emit/process.rs"]
mod process;

use options::Options;
use process::Strings;

const NAME_KEYS: [&[u8]; 4] =
    [b"hook_event_name", b"hookEventName", b"agent_action_name", b"hookName"];

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let mut args = Vec::new();
    while let Some(arg) = text(&mut rest).filter(|arg| !arg.is_empty()) {
        args.push(arg);
    }
    let list = text(&mut rest).unwrap_or_default();
    check_options(&args);
    check_skip(list, rest);
});

/// What stands before the next zero byte.
fn text<'i>(rest: &mut &'i [u8]) -> Option<&'i [u8]> {
    let end = rest.iter().position(|byte| *byte == 0)?;
    let text = &rest[..end];
    *rest = &rest[end + 1..];
    Some(text)
}

fn check_options(args: &[&[u8]]) {
    let strings: Vec<_> = args.iter().map(|arg| CString::new(*arg).expect("no zero")).collect();
    let mut pointers: Vec<*const c_char> = strings.iter().map(|it| it.as_ptr()).collect();
    pointers.push(ptr::null());
    // SAFETY: C strings and a null, which outlive everything that is made of them here.
    let options = Options::parse(unsafe { Strings::new(pointers.as_ptr()) });
    let mut expected = Expected::default();
    expected.read(args);
    assert_eq!(options.agent, expected.agent);
    assert_eq!(options.event, expected.event);
    assert_eq!(options.reply, expected.reply);
    assert_eq!(options.payload, expected.payload);
    assert_eq!(options.arguments().collect::<Vec<_>>(), expected.arguments);
    let is_request = |arg: &&[u8]| [&b"--help"[..], b"-h", b"--version", b"-V"].contains(arg);
    assert_eq!(options.print.is_some(), args.len() == 1 && args.iter().all(is_request));
}

/// What the command line says, in other words than the command's.
#[derive(Default)]
struct Expected<'a> {
    agent: &'a [u8],
    event: &'a [u8],
    reply: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
    arguments: Vec<&'a [u8]>,
}

impl<'a> Expected<'a> {
    fn read(&mut self, mut args: &[&'a [u8]]) {
        while let Some((first, rest)) = args.split_first() {
            if *first == b"--" {
                return self.arguments.extend(rest);
            }
            let named = first.iter().position(|byte| *byte == b'=').map(|at| first.split_at(at));
            args = match (named, rest.split_first()) {
                (Some((name, value)), _) if self.set(name, &value[1..]) => rest,
                (None, Some((value, after))) if self.set(first, value) => after,
                _ => {
                    self.arguments.push(first);
                    rest
                }
            };
        }
    }

    /// `false`: there is no such option.
    fn set(&mut self, name: &[u8], value: &'a [u8]) -> bool {
        match name {
            b"--agent" => self.agent = value,
            b"--event" => self.event = value,
            b"--reply" => self.reply = Some(value),
            b"--arg" => self.payload = Some(value),
            _ => return false,
        }
        true
    }
}

fn check_skip(list: &[u8], payload: &[u8]) {
    let is_listed = |name: &[u8]| {
        let mut entries = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        !list.is_empty() && entries.any(|entry| entry == name)
    };
    // What the command line names goes before what the payload says.
    for name in [&b"Stop"[..], b"b"] {
        assert_eq!(event_name::is_skipped(list, name, payload), is_listed(name));
    }
    let is_skipped = event_name::is_skipped(list, b"", payload);
    let mut document = Document::default();
    let read = document.parse(payload);
    if read.is_err() {
        // It may say anything, but for a name that is nowhere in the payload.
        let quoted = |entry: &[u8]| [b"\"", entry.trim_ascii(), b"\""].concat();
        let stands = |entry: &[u8]| {
            let quoted = quoted(entry);
            payload.windows(quoted.len()).any(|window| window == quoted)
        };
        assert!(!is_skipped || list.split(|byte| *byte == b',').any(stands));
        return;
    }
    // As they stand there: the command decodes nothing.
    let token = |value: Value<'_>| &document.original()[value.original_range()];
    let text = |value| token(value).strip_prefix(b"\"")?.strip_suffix(b"\"");
    let root = document.root().expect("it was parsed");
    let is_name = |key| text(key).is_some_and(|key| NAME_KEYS.contains(&key));
    let named = root.members().find(|(key, _)| is_name(*key));
    let name = named.and_then(|(_, value)| text(value));
    assert_eq!(is_skipped, name.is_some_and(is_listed));
}
