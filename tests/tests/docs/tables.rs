//! Tables: each is complete, and says what the programs do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};

use hookring_bus::names::AGENTS;
use hookring_faults::Authority;
use hookring_tests::Bed;
use serde_json::Value;

use crate::Document;
use crate::commands::emit_help;

/// One setting as the documentation has it.
#[derive(Debug)]
struct Setting {
    /// Such as `bus`, `sinks` or `sinks.filter`.
    section: String,
    /// The type of the sinks that alone have it.
    kind: Option<String>,
    key: String,
    default: String,
    range: String,
}

fn without_ticks(text: &str) -> &str {
    text.trim_matches('`')
}

/// The path of a table up to its bracket, without a sink's name. `exclude` has the keys of the table that it is in.
fn kind_of(heading: &str, name: &str) -> String {
    let path = heading.split(']').next().expect("a path");
    let parts = path.split('.').filter(|part| *part != name && *part != "exclude");
    parts.collect::<Vec<_>>().join(".")
}

/// The type of sinks that a heading is about.
fn sink_type(line: &str) -> Option<&str> {
    line.strip_prefix("### `type = \"")?.split('"').next()
}

/// A sink of this type with what it must have, but for one key.
/// It has every table that is only shown if it is there.
fn sink_without(kind: &str, key: &str) -> String {
    let must =
        [("exec", "command", "[\"/bin/true\"]"), ("webhook", "url", "\"https://example.com/\"")];
    let must = must.iter().filter(|(its, name, _)| *its == kind && *name != key);
    let must: String = must.map(|(_, name, value)| format!("{name} = {value}\n")).collect();
    format!("[http]\n[sinks.name]\ntype = \"{kind}\"\n{must}")
}

fn sink(kind: &str) -> String {
    sink_without(kind, "")
}

/// The rows with a default and a range, under the heading that names their table.
fn settings(document: &Document) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut section = String::new();
    let mut kind = None;
    for line in document.text.lines() {
        let heading = line.trim_start_matches('#').strip_prefix(" `[");
        if let Some(heading) = heading.filter(|_| line.starts_with('#')) {
            (section, kind) = (kind_of(heading, "NAME"), None);
        } else if let Some(name) = sink_type(line) {
            (section, kind) = ("sinks".to_owned(), Some(name.to_owned()));
        }
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [key, default, range, _] = cells[..]
            && key.starts_with('`')
        {
            let [key, default] = [key, default].map(without_ticks).map(str::to_owned);
            settings.push(Setting {
                section: section.clone(),
                kind: kind.clone(),
                key,
                default,
                range: range.to_owned(),
            });
        }
    }
    settings
}

/// Variables that the documentation's configurations name without a default.
const VARIABLES: [(&str, &str); 2] =
    [("SLACK_URL", "https://hooks.slack.example/services/T0/B0/some"), ("TOKEN", "some-token")];

fn config(bed: &Bed, command: &[&str], toml: &str) -> Output {
    config_with(&VARIABLES, bed, command, toml)
}

fn config_with(variables: &[(&str, &str)], bed: &Bed, command: &[&str], toml: &str) -> Output {
    let path = bed.path().join("some.toml");
    fs::write(&path, toml).expect("a configuration");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    let mut hookring = bed.command("hookring");
    for (name, _) in VARIABLES {
        hookring.env_remove(name);
    }
    hookring.envs(variables.iter().copied()).arg("config").args(command).arg(path);
    hookring.stdin(Stdio::null()).output().expect("hookring runs")
}

/// What `config show` says of a configuration: section and key to value.
fn shown(bed: &Bed, toml: &str) -> BTreeMap<(String, String), String> {
    let output = config(bed, &["show"], toml);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut section = String::new();
    let mut values = BTreeMap::new();
    for line in std::str::from_utf8(&output.stdout).expect("text").lines() {
        if let Some(heading) = line.strip_prefix('[') {
            section = kind_of(heading, "name");
        } else if let Some(key) =
            line.strip_prefix("# ").and_then(|it| Some(it.split_once(" is not set")?.0))
        {
            values.insert((section.clone(), key.to_owned()), "not set".to_owned());
        } else if let Some((key, value)) = line.split_once(" = ") {
            let value = value.split("  #").next().expect("a value").trim();
            values.insert((section.clone(), key.to_owned()), value.to_owned());
        }
    }
    values
}

#[test]
fn every_setting_is_listed_with_its_default() {
    let bed = Bed::new();
    let document = Document::read("docs/configuration.md");
    let kinds: Vec<_> = document.text.lines().filter_map(sink_type).collect();
    assert!(kinds.contains(&"jsonl") && kinds.contains(&"stdout"), "{kinds:?}");
    for kind in kinds {
        let shown = shown(&bed, &sink(kind));
        let settings = settings(&document).into_iter();
        let listed: BTreeMap<_, _> = settings
            .filter(|it| it.kind.as_deref().is_none_or(|its| its == kind))
            .map(|it| ((it.section, it.key), it.default))
            .collect();
        let keys =
            |map: &BTreeMap<(String, String), String>| map.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&listed), keys(&shown), "{kind}");
        for (key, default) in &listed {
            let default = default
                .replace("<state>", &bed.path().display().to_string())
                .replace("NAME", "name");
            // The text says whose default is another one.
            let is_said_elsewhere = kind != "jsonl" && key.1 == "start";
            // There is no default for what must be given.
            let is_there = default.is_empty() || is_said_elsewhere || default == shown[key];
            assert!(is_there, "{kind}: {key:?}: {default} or {}?", shown[key]);
        }
    }
}

/// The programs say what is allowed when they are given what is not.
#[test]
fn every_setting_is_listed_with_its_range() {
    let bed = Bed::new();
    for setting in settings(&Document::read("docs/configuration.md")) {
        let Setting { section, kind, key, default, range } = &setting;
        let is_text = default.starts_with('"') || range.contains(", ") || range.contains('m');
        let wrong = match (key.as_str(), is_text) {
            _ if range == "an IP address with a port" => "\"relative\"",
            ("hook_p99", _) => "\"99999d\"",
            _ if range == "true, false" || range == "names" || range == "strings" => "7",
            _ if range == "a secret" || range == "secrets by name" => "7",
            _ if range == "a string" || range == "texts by name" => "7",
            _ if range == "0 to 1" => "1.5",
            _ if range == "a path" || range == "a directory" || range == "an address" => {
                "\"relative\""
            }
            (key, _)
                if ["_age", "_interval", "timeout", "_silent"]
                    .iter()
                    .any(|end| key.ends_with(end)) =>
            {
                "\"99999d\""
            }
            (_, true) if !range.contains(" to ") => "\"unheard of\"",
            _ => "0",
        };
        let sink = || sink_without(kind.as_deref().unwrap_or("jsonl"), key);
        let table = match section.split_once('.') {
            Some(("sinks", inner)) => format!("{}[sinks.name.{inner}]", sink()),
            _ if section == "sinks" && key == "type" => "[sinks.name]".to_owned(),
            _ if section == "sinks" => sink(),
            _ => format!("[{section}]"),
        };
        let toml = format!("{table}\n{key} = {wrong}\n");
        let output = config(&bed, &["check", "--json"], &toml);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let message =
            report["errors"][0]["message"].as_str().unwrap_or_else(|| panic!("{toml} is taken"));
        let said =
            message.strip_prefix("this must be between ").map(|said| said.replace(" and ", " to "));
        let said =
            said.or_else(|| Some(message.strip_prefix("this must be a number from ")?.to_owned()));
        let choices =
            message.strip_prefix("this must be one of ").map(|said| said.replace('"', ""));
        match said.or(choices) {
            Some(said) => assert_eq!(&said, range, "{section}.{key}"),
            None if range == "true, false" => assert!(message.contains("`true` or `false`")),
            None if range == "names" || range == "strings" => {
                assert!(message.contains("a list of strings"), "{message}");
            }
            None => {
                let said = match range.as_str() {
                    "a path" | "a directory" => "absolute",
                    "an address" => "URL",
                    "an IP address with a port" => "not an IP address with a port",
                    "a secret" => "expected a secret",
                    "a string" => "expected a string",
                    _ => "expected a table",
                };
                assert!(message.contains(said), "{section}.{key}: {message}");
            }
        }
    }
}

#[test]
fn configurations_are_valid() {
    let bed = Bed::new();
    for name in
        ["docs/configuration.md", "docs/metrics.md", "docs/sinks/otlp.md", "docs/sinks/webhook.md"]
    {
        let document = Document::read(name);
        let blocks = document.blocks("toml");
        assert!(!blocks.is_empty());
        for block in blocks {
            is_valid(&bed, block);
        }
    }
    let backends: Vec<_> = Document::all()
        .into_iter()
        .filter(|document| document.name().starts_with("docs/backends/"))
        .collect();
    assert!(backends.len() >= 7, "each known place has its page");
    for block in backends.iter().flat_map(|document| document.blocks("toml")) {
        is_valid(&bed, block);
    }
}

fn is_valid(bed: &Bed, toml: &str) {
    // Where to, and with which secret, is for the reader to say: nothing is sent to somebody else if that is missing.
    assert!(!toml.contains(":-http"), "{toml}");
    if VARIABLES.iter().any(|(name, _)| toml.contains(&format!("${{{name}}}"))) {
        let output = config_with(&[], bed, &["check"], toml);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}\n{toml}");
        assert!(said.contains("is not set"), "{said}");
    }
    // Files of keys are those of the reader's home.
    let key = bed.path().join("key");
    let is_signed = toml.contains("standard-webhooks");
    let signed = || format!("whsec_{}", "A".repeat(32));
    fs::write(&key, if is_signed { signed() } else { "user:key".to_owned() }).expect("a key");
    let home = |part: &str| match part.split_once('"') {
        Some((_, rest)) => format!("\"{}\"{rest}", key.display()),
        None => part.to_owned(),
    };
    let mut parts = toml.split("\"~/");
    let mut toml = parts.next().unwrap_or_default().to_owned();
    toml.extend(parts.map(home));
    if toml.contains("tls_cert") {
        toml = toml.replace("\"/etc/hookring/", &format!("\"{}/", etc(bed)));
    }
    let output = config(bed, &["check"], &toml);
    assert!(output.status.success(), "{}\n{toml}", String::from_utf8_lossy(&output.stderr));
}

/// The folder with what a daemon that serves metrics elsewhere reads.
fn etc(bed: &Bed) -> String {
    let (authority, etc) = (Authority::new(), bed.path().join("etc"));
    fs::create_dir_all(&etc).expect("a folder");
    let (certificate, key) = authority.client_pem();
    for (name, text) in [
        ("server.pem", certificate),
        ("server.key", key),
        ("prometheus-ca.pem", authority.pem()),
        ("metrics-token", "some-token".to_owned()),
    ] {
        let path = etc.join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    }
    etc.display().to_string()
}

#[test]
fn the_hooks_options_variables_and_agents_are_listed() {
    let bed = Bed::new();
    let help = emit_help(&bed);
    let document = Document::read("docs/emit.md");
    let words = |text: &str, start: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_alphanumeric() || "-_".contains(c)));
        words
            .filter(|word| word.starts_with(start) && word.len() > start.len())
            .map(str::to_owned)
            .collect()
    };
    let first_cells =
        || document.rows().into_iter().map(|row| row[0].clone()).collect::<Vec<_>>().join(" ");
    let mut options = words(&help, "--");
    options.extend(["--help", "--version"].map(str::to_owned));
    assert_eq!(words(&first_cells(), "--"), options);
    assert_eq!(words(&first_cells(), "HOOKRING_"), words(&help, "HOOKRING_"));
    let code: BTreeSet<_> = document.code().into_iter().collect();
    for agent in AGENTS.iter().filter(|agent| !agent.is_empty()) {
        assert!(code.contains(*agent), "{agent} is not listed");
    }
}

#[test]
fn no_variable_is_named_that_nothing_reads() {
    let bed = Bed::new();
    // Those of the tests are in their own scripts.
    let known =
        format!("{} HOOKRING_TEST_BIN_DIR HOOKRING_TEST_LONG HOOKRING_TEST_ALL", emit_help(&bed));
    for document in Document::all() {
        for word in document.text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')) {
            assert!(
                !word.starts_with("HOOKRING_") || known.contains(word),
                "{}: {word}",
                document.name()
            );
        }
    }
}
