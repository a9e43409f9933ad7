//! `type = "exec"`: a program that takes events.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hookring_pipeline::redact::{self, Redacted, Redactor};
use hookring_sinks::exec::DEFAULT_TIMEOUT;
use hookring_sinks::{ExecConfig, Secret};

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

fn read(section: &mut Section<'_, '_>, context: Context<'_>) -> SinkKind {
    let mut words = section.texts("command", COMMAND);
    let env: BTreeMap<_, _> = section.secrets("env", |_| true).into_iter().collect();
    check_variables(section, &env);
    check_command(section, &mut words, &env, context.enabled);
    doubt_secrets(section, &words);
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
    env: &BTreeMap<String, Secret>,
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
        let path = match env.get("PATH") {
            Some(Secret::Text(path)) => Some(path.to_string()),
            // Not read for this.
            Some(_) => return,
            None => section.variable("PATH"),
        };
        path.and_then(|path| in_path(program, &path))
    };
    if let Some(doubt) = doubt(found.as_deref()).filter(|_| is_enabled) {
        section.doubt_element("command", (words, 0), format!("{doubt}, so the sink cannot start"));
    }
}

/// The arguments of a program are there for all users of the machine to see.
fn doubt_secrets(section: &mut Section<'_, '_>, words: &Texts) {
    if words.texts.len() < 2 {
        return;
    }
    let options = redact::Options {
        key: [0; 32],
        environment: Vec::new(),
        extra_keys: Vec::new(),
        patterns: Vec::new(),
        disabled: Vec::new(),
        max_text_bytes: usize::MAX,
    };
    // Of built-in rules alone, which can be put together.
    let Ok(redactor) = Redactor::new(options) else { return };
    let has_secret = |text: &str| redactor.redact_text(text, &mut Redacted::default()).is_some();
    for (at, word) in words.texts.iter().enumerate().skip(1) {
        // As `--token=…`, or as `--token` and then the next word.
        let before = &words.texts[at - 1];
        let is_named = || before.starts_with('-') && has_secret(&format!("{before}={word}"));
        if has_secret(word) || !word.starts_with('-') && !has_secret(before) && is_named() {
            let message = "this looks like a secret, and all users of this machine can see the command lines of \
                           programs: hand it on in a variable, as with `env = { TOKEN = { env = \"TOKEN\" } }`";
            section.doubt_element("command", (words, at), message.to_owned());
        }
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

fn check_variables(section: &mut Section<'_, '_>, env: &BTreeMap<String, Secret>) {
    let is_name = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
    let has_nul = |value: &Secret| matches!(value, Secret::Text(text) if text.contains('\0'));
    if !env.keys().all(is_name) {
        section.fail("env", "one of these cannot be the name of a variable".to_owned(), None);
    }
    if env.values().any(has_nul) {
        let message = "a variable's value cannot contain a NUL character";
        section.fail("env", message.to_owned(), None);
    }
}
