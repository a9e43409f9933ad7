//! Sinks that are programs: their commands and variables.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use hookring_sinks::{ExecConfig, Secret};

use super::*;

fn sink(rest: &str) -> String {
    format!("[sinks.a]\ntype = \"exec\"\n{rest}\n")
}

/// The only sink's program.
fn program(config: &Config) -> &ExecConfig {
    match &config.sinks[0].kind {
        SinkKind::Exec(exec) => exec,
        other => panic!("{other:?}"),
    }
}

fn doubts(text: &str) -> Vec<String> {
    parse(text).unwrap().doubts.iter().map(Warning::to_string).collect()
}

#[test]
fn every_key_is_read_and_shown_again() {
    let text = sink(
        "enabled = false\ncommand = [\"~/bin/x\", \"--to\", \"${SECRET}\", \"a b$$\"]\ncwd = \"~/w/\"\n\
         timeout = \"5s\"\n[sinks.a.env]\nTOKEN = \"${SECRET}\"\n\"odd name\" = \"\\\"$$\"\n",
    );
    let config = parse(&text).unwrap();
    let mut expected = ExecConfig::new(["/home/ada/bin/x", "--to", "hunter2", "a b$"]);
    expected.env = [("TOKEN", "hunter2"), ("odd name", "\"$")]
        .map(|(name, value)| (name.to_owned(), Secret::Text(value.to_owned().into())))
        .into();
    (expected.cwd, expected.timeout) = ("/home/ada/w".into(), Duration::from_secs(5));
    assert_eq!(program(&config), &expected);
    let shown = config.to_toml();
    assert!(!shown.contains("hunter2") && shown.contains("TOKEN = \"${SECRET}\""), "{shown}");
    assert!(!format!("{:?}", program(&config)).contains("TOKEN\": \"hunter2"));
    assert_eq!(parse(&shown).unwrap().sinks, config.sinks, "{shown}");
    assert!(
        shown.lines().any(|line| line.starts_with("env = ") && line.contains("  # line ")),
        "{shown}"
    );
    let json = config.to_json();
    assert_eq!(json["sinks"]["a"]["env"]["TOKEN"], "${SECRET}");
    // Whichever way the table is written.
    let inline = sink("enabled = false\ncommand = [\"/x\"]\nenv = { A = \"1\" }\ncwd = \"/\"");
    let config = parse(&inline).unwrap();
    assert_eq!(
        program(&config).env,
        [("A".to_owned(), Secret::Text("1".to_owned().into()))].into()
    );
    let least = parse(&sink("enabled = false\ncommand = [\"/x\"]")).unwrap();
    assert_eq!(program(&least), &ExecConfig::new(["/x"]));
}

#[test]
fn what_cannot_be_a_program_is_refused_at_its_place() {
    for (rest, message, place) in [
        ("", "`command` is missing", (1, 8)),
        ("command = \"x\"", "expected a list of strings, found a string", (3, 11)),
        ("command = []", "this names no program", (3, 11)),
        ("command = [\"\", \"x\"]", "this names no program", (3, 11)),
        ("command = [\"bin/x\"]", "a path must be absolute", (3, 12)),
        ("command = [\"/bin/\"]", "this names a directory", (3, 12)),
        (
            "command = [\"sh\", \"a\\u0000\"]",
            "a word of a command cannot contain a NUL character",
            (3, 18),
        ),
        ("command = [\"/x\"]\nenv = []", "expected a table, found an array", (4, 7)),
        ("command = [\"/x\"]\nenv = { A = 1 }", "expected a secret, found an integer", (4, 13)),
        (
            "command = [\"/x\"]\nenv = { \"A=B\" = \"\" }",
            "one of these cannot be the name of a variable",
            (4, 7),
        ),
        (
            "command = [\"/x\"]\nenv = { A = \"\\u0000\" }",
            "a variable's value cannot contain a NUL character",
            (4, 7),
        ),
        (
            "command = [\"/x\"]\nenv = { A = \"${NONE}\" }",
            "the environment variable `NONE` is not set",
            (4, 14),
        ),
        ("command = [\"/x\"]\ncwd = \"w\"", "a path must be absolute", (4, 7)),
        ("command = [\"/x\"]\ntimeout = \"1ms\"", "this must be between 100ms and 1h", (4, 11)),
        ("command = [\"/x\"]\npath = \"/x\"", "unknown key", (4, 1)),
    ] {
        let problems = parse(&sink(rest)).unwrap_err().problems;
        assert_eq!(problems.len(), 1, "{rest}: {problems:?}");
        let found = problems[0].place.as_ref().unwrap();
        assert_eq!(
            (problems[0].message.as_str(), (found.line, found.column)),
            (message, place),
            "{rest}"
        );
    }
    let help =
        parse(&sink("command = [\"/x\"]\npath = \"/x\"")).unwrap_err().problems[0].help.clone();
    assert_eq!(help.as_deref(), Some("this is a key of `type = \"jsonl\"`"));
}

#[test]
fn a_program_that_is_not_there_is_doubted_by_place() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let file = format!("{dir}/file");
    let command = |program: &str| {
        sink(&format!("command = [\"{program}\", \"x\"]\nenv.PATH = \"/none:{dir}\""))
    };
    let start = "/etc/hookring.toml:3:12: sinks.a.command: ";
    let expect = |program: &str, doubt: &str| {
        let expected = format!("{start}{doubt}, so the sink cannot start");
        assert_eq!(doubts(&command(program)), [expected], "{program}");
    };
    expect(&file, "there is no such file");
    expect("file", "there is no such program in PATH");
    expect(dir, "this is no file");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    expect(&file, "nobody may execute this file (`chmod u+x` helps)");
    expect("file", "there is no such program in PATH");
    let off = command(&file).replace("type", "enabled = false\ntype");
    assert_eq!(doubts(&off), [""; 0]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(doubts(&command(&file)), [""; 0]);
    assert_eq!(doubts(&command("file")), [""; 0]);
}

#[test]
fn a_secret_among_the_arguments_is_doubted_by_place_and_never_shown() {
    let command = |words: &str| sink(&format!("command = [\"/bin/sh\", {words}]"));
    for (words, columns) in [
        ("\"--token=hunter2-hunter2\"", &[23][..]),
        ("\"--password\", \"hunter2-hunter2\"", &[37]),
        ("\"-v\", \"https://ada:hunter2-hunter2@example.com/\"", &[29]),
        ("\"--token\", \"--quiet\"", &[]),
        ("\"--verbose\", \"--to=/a/file\", \"b\"", &[]),
    ] {
        let found = doubts(&command(words));
        assert_eq!(found.len(), columns.len(), "{words}: {found:?}");
        for (doubt, column) in found.iter().zip(columns) {
            let begin =
                format!("/etc/hookring.toml:3:{column}: sinks.a.command: this looks like a secret");
            assert!(doubt.starts_with(&begin) && doubt.contains("env = { TOKEN ="), "{doubt}");
            assert!(!doubt.contains("hunter2"), "{doubt}");
        }
    }
}

#[test]
fn another_command_is_another_sink() {
    let [before, after] = ["a", "b"].map(|word| {
        parse(&sink(&format!("enabled = true\ncommand = [\"/bin/sh\", \"{word}\"]"))).unwrap()
    });
    assert_eq!(after.changes_from(&before), ["sink a changed"]);
    assert_eq!(before.changes_from(&before), [""; 0]);
}
