//! Any text as a shell command: read without a panic, everything that is said of it lies within what
//! was read, and the rules are held against it.
#![no_main]

use std::cell::RefCell;
use std::sync::LazyLock;

use hookring_pipeline::risk::{
    Action, MAX_EVIDENCE_BYTES, MAX_FINDINGS, Operation, Options, Rules, Workspace,
};
use hookring_pipeline::shell::{Dialect, MAX_COMMANDS, Script};
use libfuzzer_sys::fuzz_target;

static RULES: LazyLock<Rules> =
    LazyLock::new(|| Rules::new(&Options::default()).expect("the rules that are built in"));

thread_local! {
    static BUFFERS: RefCell<(Script, Workspace)> = RefCell::default();
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    BUFFERS.with_borrow_mut(|(script, workspace)| {
        for dialect in [Dialect::Posix, Dialect::Windows] {
            script.read(text, dialect);
            check_script(script);
        }
        check_risk(text, workspace);
    });
});

fn check_script(script: &Script) {
    let commands = script.commands();
    assert!(commands.len() <= MAX_COMMANDS);
    let is_command = |id: u32| (id as usize) < commands.len();
    for command in commands {
        script.text(command.source);
        for word in script.words(command) {
            script.text(word.source);
            script.value(word);
            assert!(word.nested.is_none_or(is_command));
        }
        for redirect in script.redirects(command) {
            script.text(redirect.target.source);
            script.value(&redirect.target);
            script.body(redirect);
        }
        for assignment in script.assignments(command) {
            script.text(assignment.name);
            script.value(&assignment.value);
        }
        assert!(command.parent.is_none_or(is_command));
        assert!(command.input.end as usize <= commands.len());
        assert!(command.unwrapped.end as usize <= commands.len());
    }
}

fn check_risk(text: &str, workspace: &mut Workspace) {
    let paths = [text];
    let action = Action {
        tool_name: "Bash",
        operation: Operation::Write,
        command: Some(text),
        paths: &paths,
        statements: Some(text),
        url: Some(text),
        working_directory: Some("/home/ada/project"),
        home: Some("/home/ada"),
        permission_mode: Some(text),
        parameters: None,
        clean: None,
    };
    let Some(risk) = RULES.assess_with(&action, workspace) else { return };
    assert!(!risk.findings.is_empty() && risk.findings.len() <= MAX_FINDINGS);
    assert!(risk.findings.iter().all(|it| it.evidence.len() <= MAX_EVIDENCE_BYTES));
    assert_eq!(Some(risk.level), risk.findings.iter().map(|it| it.level).max());
}
