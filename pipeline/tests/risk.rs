//! The corpus of commands: what must be found is, and what must not be is not. Both figures are
//! printed.

use hookring_pipeline::risk::{Action, Operation, Options, Risk, Rules, Workspace};
use serde::Deserialize;

#[derive(Deserialize)]
struct Risky {
    /// Level, rule, command.
    commands: Vec<[String; 3]>,
}

#[derive(Deserialize)]
struct Harmless {
    commands: Vec<String>,
}

fn action(command: &str) -> Action<'_> {
    Action {
        tool_name: "Bash",
        operation: Operation::Execute,
        command: Some(command),
        working_directory: Some("/home/ada/project"),
        home: Some("/home/ada"),
        ..Action::default()
    }
}

fn told(risk: Option<&Risk>) -> String {
    let Some(risk) = risk else { return "nothing".to_owned() };
    let rules = risk.findings.iter().map(|it| format!("{} by {:?}", it.rule, it.evidence));
    format!("{}: {}", risk.level.name(), rules.collect::<Vec<_>>().join(", "))
}

/// Right are a risky command with its level and rule, and a harmless one with nothing. What is found
/// wrongly in either counts against precision, what is not found rightly against recall.
#[test]
fn commands_are_told_apart() {
    let risky: Risky = toml::from_str(include_str!("risk/risky.toml")).expect("risky ones");
    let harmless: Harmless =
        toml::from_str(include_str!("risk/harmless.toml")).expect("harmless ones");
    let rules = Rules::new(&Options::default()).expect("the rules that are built in");
    let mut workspace = Workspace::default();
    let (mut found, mut wrong) = (0, 0);
    for [level, rule, command] in &risky.commands {
        let risk = rules.assess_with(&action(command), &mut workspace);
        let is_found = risk.as_ref().is_some_and(|risk| {
            risk.level.name() == level && risk.findings.iter().any(|it| it.rule == *rule)
        });
        found += usize::from(is_found);
        wrong += usize::from(!is_found && risk.is_some());
        if !is_found {
            println!("{level} {rule}: {command}\n    {}", told(risk.as_ref()));
        }
    }
    for command in &harmless.commands {
        let risk = rules.assess_with(&action(command), &mut workspace);
        wrong += usize::from(risk.is_some());
        if risk.is_some() {
            println!("harmless: {command}\n    {}", told(risk.as_ref()));
        }
    }
    let recall = found as f64 / risky.commands.len() as f64;
    let precision = found as f64 / (found + wrong) as f64;
    println!(
        "{} risky commands, {} harmless ones: precision {precision:.4}, recall {recall:.4}",
        risky.commands.len(),
        harmless.commands.len()
    );
    assert!(risky.commands.len() + harmless.commands.len() >= 250);
    assert!(harmless.commands.len() >= 100);
    // What is in the lists is found, each and every one; what is not yet goes to docs/risk.md.
    assert!(found == risky.commands.len() && wrong == 0, "precision {precision}, recall {recall}");
}
