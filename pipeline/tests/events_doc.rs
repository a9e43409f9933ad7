//! The tables of `docs/events.md` are made from what the code uses. `HOOKRING_UPDATE_DOCS=1` writes
//! them.

use std::fs;
use std::path::PathBuf;

use hookring_journal::model::EventType;
use hookring_pipeline::agents::AGENTS;
use serde_json::Value;

#[test]
fn the_tables_are_the_codes() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let document = fs::read_to_string(&path).unwrap();
    let mut expected = document.clone();
    let tables = [
        ("types", types()),
        ("agents", agents()),
        ("members", members()),
        ("inner", inner()),
        ("own", own_payloads()),
    ];
    for (name, table) in tables {
        expected = with_table(&expected, name, &table);
    }
    if std::env::var_os("HOOKRING_UPDATE_DOCS").is_some() {
        return fs::write(&path, expected).unwrap();
    }
    assert!(expected == document, "docs/events.md is stale: run with HOOKRING_UPDATE_DOCS=1");
}

fn with_table(document: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = document.split_once(&begin).expect("the table's begin");
    let (_, after) = rest.split_once(&end).expect("the table's end");
    format!("{before}{begin}{table}{end}{after}")
}

fn types() -> String {
    let mut table = "| `event_type` | `namespace` | what it means |\n|---|---|---|\n".to_owned();
    for kind in EventType::ALL {
        let (name, namespace) = (kind.name(), kind.namespace().name());
        table += &format!("| `{name}` | `{namespace}` | {} |\n", kind.meaning());
    }
    table
}

fn agents() -> String {
    let mut text = String::new();
    let mut agents = AGENTS.to_vec();
    agents.sort_by_key(|agent| agent.title);
    for agent in agents {
        text += &format!("### {} (`--agent {}`)\n\n", agent.title, agent.name);
        text += "| its event | `event_type` |\n|---|---|\n";
        for (own, kind) in agent.events {
            text += &format!("| `{own}` | `{}` |\n", kind.name());
        }
        text += "\n";
    }
    text
}

/// Members that the journal writes: whose events have them always.
const OF_THE_JOURNAL: &[(&str, &str)] = &[
    ("crc", "in the journal"),
    ("seq", "in the journal and in sinks"),
    ("from", "in the journal"),
];

/// From the schema, whose descriptions are those of the type.
fn members() -> String {
    let schema = hookring_journal::fields::schema();
    let always = schema["required"].as_array().unwrap();
    let mut table = "| member | always there | what it is |\n|---|---|---|\n".to_owned();
    let text = fs::read_to_string(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../journal/src/fields.rs"),
    );
    // In the order in which the type has them, which is about that of a line.
    let text = text.unwrap();
    let text = text.split("pub struct Source").next().unwrap();
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'));
    for (name, _) in names {
        let Some(member) = schema["properties"].get(name) else { continue };
        let yes = if always.iter().any(|it| it == name) { "yes" } else { "" };
        let own = OF_THE_JOURNAL.iter().find(|(own, _)| *own == name);
        let (yes, what) = (own.map_or(yes, |(_, place)| *place), described(member));
        table += &format!("| `{name}` | {yes} | {what} |\n");
    }
    table
}

/// What the payloads of the daemon's own events have, from the schema.
fn own_payloads() -> String {
    let schema = hookring_journal::fields::schema();
    let definition = |reference: &Value| {
        let name = reference.as_str().unwrap().rsplit('/').next().unwrap();
        schema["$defs"][name].clone()
    };
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../journal/src/system.rs");
    let source = fs::read_to_string(source).unwrap();
    let mut text = String::new();
    for rule in schema["allOf"].as_array().unwrap() {
        let kind = rule["if"]["properties"]["event_type"]["const"].as_str().unwrap();
        let payload = definition(&rule["then"]["properties"]["payload"]["$ref"]);
        text += &format!("### `{kind}`\n\n{}\n\n", described(&payload));
        text += "| member of `payload` | always there | what it is |\n|---|---|---|\n";
        let always = payload["required"].as_array().unwrap();
        let members = payload["properties"].as_object().unwrap();
        let mut members: Vec<_> = members.iter().collect();
        // In the order in which the type has them.
        let body = source.split(&format!("\n/// {}", described(&payload))).nth(1).unwrap();
        members.sort_by_key(|(name, _)| body.find(&format!("pub {name}:")));
        let mut words = String::new();
        for (name, member) in members {
            let yes = if always.contains(&Value::from(name.as_str())) { "yes" } else { "" };
            text += &format!("| `{name}` | {yes} | {} |\n", described(member));
            if let Some(reference) = member.get("$ref") {
                words += "\n";
                words += &words_of(name, &definition(reference));
            }
        }
        text += &words;
        text += "\n";
    }
    text
}

/// Members whose values have members of their own, or are one of several words.
fn inner() -> String {
    let schema = hookring_journal::fields::schema();
    let mut text = String::new();
    for (member, name) in [
        ("namespace", "Namespace"),
        ("operation_type", "Operation"),
        ("security_risk", "Level"),
        ("source", "Source"),
        ("process", "Process"),
        ("risk", "Finding"),
    ] {
        let inner = &schema["$defs"][name];
        let Some(members) = inner["properties"].as_object() else {
            text += &format!("{}\n", words_of(member, inner));
            continue;
        };
        let always = inner["required"].as_array().cloned().unwrap_or_default();
        text += &format!("| member of `{member}` | always there | what it is |\n|---|---|---|\n");
        for (name, one) in members {
            let yes = if always.contains(&Value::from(name.as_str())) { "yes" } else { "" };
            text += &format!("| `{name}` | {yes} | {} |\n", described(one));
        }
        text += "\n";
    }
    text
}

/// The words that a member can be.
fn words_of(member: &str, words: &Value) -> String {
    let mut table = format!("| `{member}` | what it means |\n|---|---|\n");
    let lines = words["description"].as_str().unwrap().lines();
    for (word, meaning) in lines.filter_map(|line| line.strip_prefix("- ")?.split_once(": ")) {
        table += &format!("| {word} | {meaning} |\n");
    }
    table
}

fn described(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap();
    text.split("\n\n").next().unwrap().replace('\n', " ")
}

#[test]
fn the_schema_in_the_documents_is_the_types() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/event.schema.json");
    let schema = serde_json::to_string_pretty(&hookring_journal::fields::schema()).unwrap() + "\n";
    if std::env::var_os("HOOKRING_UPDATE_DOCS").is_some() {
        return fs::write(&path, schema).unwrap();
    }
    let document = fs::read_to_string(&path).unwrap_or_default();
    assert!(schema == document, "docs/event.schema.json is stale: run with HOOKRING_UPDATE_DOCS=1");
}
