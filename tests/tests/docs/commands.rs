//! Commands: those in blocks are run, one after the other, where a user would run them; those in the
//! text are looked up in the programs' own help. A command that no rule covers fails its test.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};
use std::{env, fs};

use hookring_tests::{Bed, Daemon, left_out, make_private_dir, programs};

use crate::{Document, root};

/// How a command is checked.
#[derive(Debug, PartialEq, Eq)]
enum Rule {
    /// Run to its end, which must be a good one.
    Run,
    /// Run until it says something: it would go on for ever.
    Follow,
    /// Started and stopped again.
    Daemon,
    /// One of the workspace's own commands, which would run these tests, or takes long.
    Xtask,
    /// Copies the programs into a place of the user's.
    Install,
    /// Of systemd; `service.rs` tests what it is given.
    Unit,
    /// A script of the workspace.
    Script,
}

/// The rule for a line of a block. `None`: none covers it.
fn rule(line: &str) -> Option<Rule> {
    let words: Vec<_> = line.split_whitespace().collect();
    Some(match words[..] {
        ["cargo", "xtask", ..] => Rule::Xtask,
        ["install", "-m", "755", ..] => Rule::Install,
        ["install", "-m", "644", "packaging/hookring.service", "~/.config/systemd/user/"] => {
            Rule::Unit
        }
        // Would act on the services of whoever runs the tests.
        ["systemctl" | "loginctl", ..] => Rule::Unit,
        ["hookring", "run", ..] => Rule::Daemon,
        ["hookring", "tail", "-f", ..] => Rule::Follow,
        [".ci/run" | "tests/real.sh" | "tests/loom.sh" | "benches/peers/run.sh", ..] => {
            Rule::Script
        }
        [
            "hookring" | "hookring-emit" | "exec" | "echo" | "printf" | "cat" | "cd" | "mkdir"
            | "rm",
            ..,
        ]
        // What is to be private.
        | ["(umask", "077;", "printf", ..] => Rule::Run,
        _ => return None,
    })
}

/// Something for each command to find: a command, what is critical, a secret twice, a call that took its time and
/// wrote files, a payload that is not as it should be.
const PAYLOADS: [&str; 5] = [
    r#"{"session_id":"3f1c","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"}}"#,
    r#"{"session_id":"3f1c","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"rm -rf /"}}"#,
    r#"{"session_id":"3f1c","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"DB_PASSWORD=Uk7-pqz3Lw9x make; PGPASSWORD=Uk7-pqz3Lw9x make"}}"#,
    r#"{"session_id":"3f1c","cwd":"/home/ada","hook_event_name":"PostToolUse","tool_name":"Write","tool_use_id":"t","duration_ms":3,"tool_input":{"file_path":"a"},"tool_response":{}}"#,
    r#"{"session_id":"3f1c","hook_event_name":"PreToolUse"}"#,
];

/// A bed that looks like a user's home, with a running daemon: the journal is where the documentation
/// says.
struct Home {
    // Dropped in this order.
    _daemon: Daemon,
    bed: Bed,
}

impl Home {
    fn new() -> Home {
        let bed = Bed::new();
        let daemon = bed.start();
        for payload in PAYLOADS {
            bed.emit_with(&["--agent", "claude-code"], payload.as_bytes());
        }
        bed.emit(b"not JSON");
        bed.wait_for_events(PAYLOADS.len() + 1);
        make_private_dir(&bed.path().join(".local/state"));
        symlink(bed.path(), bed.path().join(".local/state/hookring")).expect("a link");
        Home { _daemon: daemon, bed }
    }

    /// A line in a shell whose working directory the lines before it left.
    fn shell(&self, folder: &str, line: &str) -> Command {
        let path = format!("{}:{}", programs().display(), env::var("PATH").expect("PATH"));
        let mut shell = Command::new("sh");
        shell.args(["-euc", line, "post-commit"]).env("PATH", path).env("HOME", self.bed.path());
        shell
            .env("HOOKRING_DIR", self.bed.path())
            .current_dir(self.bed.path().join(folder))
            .stdin(Stdio::null());
        shell
    }

    fn run(&self, folder: &str, line: &str) {
        let output = self.shell(folder, line).output().expect("sh runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{line}` ended with {}: {said}", output.status);
        assert!(said.is_empty(), "`{line}` said: {said}");
        if line.contains("jq ") {
            assert!(!output.stdout.is_empty(), "`{line}` found nothing");
        }
    }

    fn follow(&self, line: &str) {
        let mut shell = self.shell(".", &format!("exec {line}"));
        let mut follower = self.bed.adopt(shell.stdout(Stdio::piped()).spawn().expect("sh runs"));
        // Kept until the end: a follower that nobody reads ends.
        let mut shown = BufReader::new(follower.take_stdout());
        let mut first = String::new();
        shown.read_line(&mut first).expect("a line");
        assert!(first.len() > 20, "`{line}` shows {first:?}");
        assert!(follower.is_alive(), "`{line}` ended");
    }
}

/// Starts a daemon in a bed of its own and stops it.
fn start_and_stop(line: &str) {
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words, ["hookring", "run"], "only this form is covered");
    assert_eq!(Bed::new().start().stop(), 0);
}

#[test]
fn every_command_in_a_block_works() {
    let has_jq = Command::new("jq").arg("--version").output().is_ok();
    if !has_jq {
        left_out("jq", "the commands with it");
    }
    let home = Home::new();
    let mut counts = BTreeMap::new();
    for document in Document::all() {
        for block in document.blocks("sh") {
            let mut folder = String::from(".");
            for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let name = document.name();
                let rule = rule(line)
                    .unwrap_or_else(|| panic!("{name}: no rule covers `{line}`; add one"));
                match rule {
                    Rule::Run if line.contains("jq") && !has_jq => {}
                    Rule::Run => {
                        home.run(&folder, line);
                        if let Some(into) = line.strip_prefix("cd ") {
                            folder = into.replacen('~', ".", 1);
                        }
                    }
                    Rule::Follow => home.follow(line),
                    Rule::Daemon => start_and_stop(line),
                    Rule::Xtask => assert_xtask(line),
                    Rule::Install => assert_installable(line),
                    Rule::Script => assert_script(line),
                    Rule::Unit => {}
                }
                *counts.entry(format!("{rule:?}")).or_insert(0) += 1;
            }
        }
    }
    println!("{counts:?}");
    assert!(counts["Run"] >= 15 && counts["Xtask"] >= 3, "{counts:?}");
}

/// A line is no shell script: commands that go on in the next one would not be covered.
#[test]
fn every_line_of_a_block_is_a_command_of_its_own() {
    for document in Document::all() {
        for line in document.blocks("sh").iter().flat_map(|block| block.lines()) {
            assert!(
                !line.starts_with(' ') && !line.ends_with('\\'),
                "{}: `{line}`",
                document.name()
            );
        }
    }
}

fn xtask_help() -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo
        .args(["run", "--quiet", "--package", "xtask", "--", "help"])
        .current_dir(root())
        .output();
    String::from_utf8(output.expect("cargo runs").stdout).expect("text")
}

fn assert_xtask(line: &str) {
    let words: Vec<_> = line.split_whitespace().skip(2).collect();
    let help = xtask_help();
    let command = words.first().unwrap_or_else(|| panic!("`{line}` names no command"));
    let known = help.lines().any(|it| it.split_whitespace().next() == Some(command));
    assert!(known, "`{line}`: no `{command}` in:\n{help}");
    let manifest = fs::read_to_string(root().join("benches/Cargo.toml")).expect("the benches");
    let names = words.iter().zip(words.iter().skip(1)).filter(|(option, _)| **option == "--bench");
    for (_, name) in names {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "`{line}`: there is no bench {name}"
        );
    }
}

/// The programs that it copies are those that `cargo xtask build` makes.
fn assert_installable(line: &str) {
    let (sources, target) =
        line.split_once("755 ").expect("files").1.rsplit_once(' ').expect("a target");
    assert_eq!(target, "~/.local/bin/");
    for source in sources.split_whitespace() {
        let name = source.strip_prefix("target/hookring/").unwrap_or_else(|| panic!("{source}"));
        assert!(programs().join(name).is_file(), "there is no {name}");
    }
}

fn assert_script(line: &str) {
    let script = root().join(line.split_whitespace().next().expect("a script"));
    let mode = fs::metadata(&script)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111, "{} cannot be executed", script.display());
}

/// Commands in the text: each that is named exists, with the options that are named beside it.
#[test]
fn every_command_in_the_text_exists() {
    let bed = Bed::new();
    let mut checked = 0;
    for code in Document::all().iter().flat_map(Document::code) {
        let words: Vec<_> = code.split_whitespace().collect();
        match words[..] {
            ["hookring", ref rest @ ..] => assert_hookring(&bed, &code, rest),
            ["hookring-emit", ref rest @ ..] => assert_emit(&bed, &code, rest),
            ["cargo", "xtask", ..] => assert_xtask(&code),
            [".ci/run" | "tests/real.sh", ..] => assert_script(&code),
            _ => continue,
        }
        checked += 1;
    }
    assert!(checked >= 20, "only {checked}");
}

/// `hookring journal verify | repair` is two commands.
fn assert_hookring(bed: &Bed, code: &str, words: &[&str]) {
    let commands: Vec<_> = words
        .iter()
        .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '|'))
        .collect();
    let options = words.iter().filter(|word| word.starts_with('-'));
    let mut at_once: Vec<Vec<&str>> = vec![vec![]];
    let mut is_alternative = false;
    for word in commands {
        if *word == "|" {
            is_alternative = true;
        } else if std::mem::take(&mut is_alternative) {
            let mut other = at_once[0].clone();
            other.pop();
            other.push(word);
            at_once.push(other);
        } else {
            at_once.iter_mut().for_each(|command| command.push(word));
        }
    }
    for command in &at_once {
        let output = bed.hookring(&[command.as_slice(), &["--help"]].concat());
        assert!(output.status.success(), "`{code}`: there is no {command:?}");
        let help = String::from_utf8(output.stdout).expect("text");
        for option in options.clone() {
            assert!(help.contains(option), "`{code}`: no {option} in:\n{help}");
        }
    }
}

fn assert_emit(bed: &Bed, code: &str, words: &[&str]) {
    let help = emit_help(bed);
    let options =
        words.iter().take_while(|word| **word != "--").filter(|word| word.starts_with("--"));
    for option in options {
        assert!(help.contains(option), "`{code}`: no {option} in:\n{help}");
    }
}

/// What `hookring-emit --help` says.
pub(crate) fn emit_help(bed: &Bed) -> String {
    let output = bed.command("hookring-emit").arg("--help").output().expect("the hook runs");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn hooks_in_agents_settings_are_ones_that_the_program_knows() {
    let bed = Bed::new();
    let mut commands = 0;
    for document in [Document::read("README.md"), Document::read("docs/emit.md")] {
        for line in document.blocks("json").iter().flat_map(|block| block.lines()) {
            for part in line.split('"').filter(|part| part.starts_with("hookring-emit ")) {
                assert_emit(&bed, part, &part.split_whitespace().collect::<Vec<_>>());
                let event = part.split_once("--event ").map(|(_, event)| event);
                let registered = line.split('"').nth(1);
                assert!(event.is_none() || event == registered, "{line}");
                commands += 1;
            }
        }
    }
    assert!(commands >= 40, "only {commands}");
}
