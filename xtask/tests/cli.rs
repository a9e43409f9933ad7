//! What the xtask answers to a person at a terminal.

use std::process::{Command, Output};

fn xtask(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(args).output().expect("xtask runs")
}

#[test]
fn alone_it_prints_help() {
    let output = xtask(&[]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).expect("help is text");
    for command in ["build", "demo", "test", "bench"] {
        assert!(help.contains(&format!("  {command} ")), "no `{command}` in:\n{help}");
    }
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    let output = xtask(&["biuld"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).expect("the message is text");
    assert!(message.contains("unknown command `biuld`"), "{message}");
}
