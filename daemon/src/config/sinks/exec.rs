//! `type = "exec"`: a program that takes events.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hookring_sinks::ExecConfig;
use hookring_sinks::exec::DEFAULT_TIMEOUT;

use super::{Context, Kind, SinkKind, SinkStart};
use crate::config::reader::{Section, Texts};
use crate::config::schema::ms;
use crate::config::units::HOUR_MS;
use crate::config::value::absolute;

/// A program is to have everything that there is.
pub(super) const KIND: Kind = Kind {
    name: "exec",
    start: SinkStart::Oldest,
    keys: &["command", "env", "cwd", "timeout"],
    read,
};

const COMMAND: &str = r#"["/usr/local/bin/take-events", "--verbose"]"#;
const ENV: &str = r#"{ TOKEN = "${TOKEN}" }"#;

fn read(section: &mut Section<'_, '_>, context: Context<'_>) -> SinkKind {
    let mut words = section.texts("command", COMMAND);
    let env = section.named_texts("env", ENV, is_variable);
    check_command(section, &mut words, &env, context.enabled);
    SinkKind::Exec(ExecConfig {
        command: words.texts,
        env,
        cwd: section.directory("cwd", PathBuf::from("/")),
        timeout: section.duration("timeout", DEFAULT_TIMEOUT, ms(100)..=ms(HOUR_MS)),
    })
}

/// Says what is wrong with a command, and puts the home directory in the place of its `~`.
fn check_command(
    section: &mut Section<'_, '_>,
    words: &mut Texts,
    env: &BTreeMap<String, String>,
    is_enabled: bool,
) {
    let help = || Some(format!("for instance `command = {COMMAND}`"));
    if !section.has("command") {
        return section.fail("command", "`command` is missing".to_owned(), help());
    }
    if !section.is_known("command") {
        return;
    }
    if let Some(at) = words.texts.iter().position(|word| word.contains('\0')) {
        let message = "a word of a command cannot contain a NUL character";
        return section.fail_element("command", (words, at), message.to_owned(), None);
    }
    let Some(program) = words.texts.first().filter(|program| !program.is_empty()) else {
        return section.fail("command", "this names no program".to_owned(), help());
    };
    let found = if program.contains('/') {
        match absolute(program, section.home()) {
            Ok(path) => {
                words.texts[0] = path.to_string_lossy().into_owned();
                Some(path)
            }
            Err(wrong) => {
                let help = wrong
                    .help
                    .map(|help| format!("{help}; a name without `/` is looked up in PATH"));
                return section.fail_element("command", (words, 0), wrong.message, help);
            }
        }
    } else {
        let path = env.get("PATH").cloned().or_else(|| section.variable("PATH"));
        path.and_then(|path| in_path(program, &path))
    };
    if let Some(doubt) = doubt(found.as_deref()).filter(|_| is_enabled) {
        section.doubt_element("command", (words, 0), format!("{doubt}, so the sink cannot start"));
    }
}

fn in_path(program: &str, path: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|dir| dir.join(program))
        .find(|path| doubt(Some(path)).is_none())
}

/// Why a file cannot be run as a program.
fn doubt(path: Option<&Path>) -> Option<&'static str> {
    let Some(path) = path else { return Some("there is no such program in PATH") };
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Some("this is no file"),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            Some("nobody may execute this file (`chmod u+x` helps)")
        }
        Ok(_) => None,
        Err(_) => Some("there is no such file"),
    }
}

fn is_variable(name: &str) -> Result<(), String> {
    let is_wrong = name.is_empty() || name.contains(['=', '\0']);
    if is_wrong { Err("this cannot be the name of a variable".to_owned()) } else { Ok(()) }
}
