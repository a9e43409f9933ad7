//! Lists of names, and lists of tables: what is wrong in them, what is doubtful, and what a reload changes.

use super::*;

/// The messages, each with its help and its place.
fn problems(text: &str) -> Vec<(String, String, (usize, usize))> {
    let problems = parse(text).unwrap_err().problems;
    let place = |it: &Problem| it.place.as_ref().map_or((0, 0), |it| (it.line, it.column));
    problems
        .into_iter()
        .map(|it| (it.message.clone(), it.help.clone().unwrap_or_default(), place(&it)))
        .collect()
}

fn filter(rest: &str) -> String {
    format!("[sinks.a]\ntype = \"stdout\"\n[sinks.a.filter]\n{rest}\n")
}

#[test]
fn projects_are_absolute_and_may_be_below_the_home_directory() {
    let config = parse(&filter("projects = [\"~/app\", \"~\", \"/srv/\"]")).unwrap();
    assert_eq!(config.sinks[0].filter.include.projects, ["/home/ada/app", "/home/ada", "/srv/"]);
    let found = problems(&filter("projects = [\"/a\", \"app\"]\nexclude.projects = [\"b/**\"]"));
    let places: Vec<_> = found.iter().map(|it| it.2).collect();
    assert_eq!(places, [(4, 19), (5, 21)]);
    for (message, help, _) in found {
        assert!(message.contains("it is relative"), "{message}");
        assert!(help.contains("~/work/**"), "{help}");
    }
    let nowhere = Paths { home: None, ..paths(Path::new("/state")) };
    let text = filter("projects = [\"~/app\", \"/a\"]");
    let found = Config::parse(Path::new("/c"), text.as_bytes(), &nowhere, &env).unwrap_err();
    assert_eq!(found.problems.len(), 1);
    assert_eq!(found.problems[0].message, "no home directory is known for `~/`");
}

#[test]
fn names_that_nobody_knows_are_doubted_by_place_and_stay_in_force() {
    let text = filter(
        "agents = [\"claude\", \"cursor\", \"my-*\", \"hookring\", \"qwen-code\", \"zzzzzz\"]\n\
         event_types = [\"tool.pre\", \"tool.prev\", \"PreToolUse\", \"unknown\"]\n\
         exclude.agents = [\"${SECRET}\"]",
    );
    let config = parse(&text).unwrap();
    assert_eq!(config.sinks[0].filter.include.agents[0], "claude");
    let doubts: Vec<_> = config.doubts.iter().map(Warning::to_string).collect();
    let begins = [
        "/etc/hookring.toml:4:11: sinks.a.filter.agents: no agent is known by this name; did you mean \"claude-code\"?",
        "/etc/hookring.toml:4:64: sinks.a.filter.agents: no agent is known by this name; there are: claude-code, codex,",
        "/etc/hookring.toml:5:28: sinks.a.filter.event_types: no event type is known by this name; did you mean \"tool.pre\"?",
        "/etc/hookring.toml:5:41: sinks.a.filter.event_types: no event type is known by this name; an agent calls its event so, whose type is \"tool.pre\"",
        "/etc/hookring.toml:6:19: sinks.a.filter.exclude.agents: no agent is known by this name; there are",
    ];
    assert_eq!(doubts.len(), begins.len(), "{doubts:#?}");
    for (doubt, begin) in doubts.iter().zip(begins) {
        assert!(doubt.starts_with(begin), "{doubt}\n{begin}");
        assert!(!doubt.contains("hunter2"), "{doubt}");
    }
    // Only the daemon says namespaces: what is none of them can match nothing.
    let found = problems(&filter("namespaces = [\"systm\", \"s*\"]"));
    assert_eq!(
        found,
        [("this is not a namespace".into(), "did you mean \"system\"?".into(), (4, 15))]
    );
    let many: Vec<_> = (0..150).map(|n| format!("\"no-{n:03}-agent\"")).collect();
    let config = parse(&filter(&format!("agents = [{}]", many.join(", ")))).unwrap();
    assert_eq!(config.doubts.len(), MAX_PROBLEMS);
    let last = config.doubts.last().unwrap().to_string();
    assert!(last.ends_with("; and 50 more"), "{last}");
}

#[test]
fn a_file_with_doubts_is_loaded_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths(dir.path());
    std::fs::write(&paths.config_file, filter("agents = [\"claude\"]")).unwrap();
    let (_, warnings) = Config::load(None, &paths, &env).unwrap();
    let is_doubt = |it: &&Warning| matches!(it, Warning::UnknownName { line: 4, .. });
    assert_eq!(warnings.iter().filter(is_doubt).count(), 1, "{warnings:?}");
}

#[test]
fn what_is_missing_or_wrong_in_a_rule_is_said_once() {
    let rule = |rest: &str| problems(&format!("[[risk.rules]]\nprograms = [\"x\"]\n{rest}\n"));
    for (rest, expected) in [
        ("id = \"a.b\"", &["`level` is missing"][..]),
        ("level = \"high\"", &["`id` is missing"]),
        ("", &["`id` is missing", "`level` is missing"]),
        ("id = \"a.b\"\nlevel = 7", &["expected a string, found an integer"]),
        (
            "id = \"a b\"\nlevel = \"high\"",
            &["an id is made of letters, digits, `.`, `-` and `_`, and not empty"],
        ),
        (
            "id = \"\"\nlevel = \"high\"",
            &["an id is made of letters, digits, `.`, `-` and `_`, and not empty"],
        ),
    ] {
        let found: Vec<_> = rule(rest).into_iter().map(|it| it.0).collect();
        assert_eq!(found, expected, "{rest}");
    }
    let found = rule("id = \"a.b\"\naccess = \"often\"");
    assert_eq!(found.len(), 2, "with what else is wrong: {found:?}");
    let several = "id = \"a b\"\nlevel = \"huge\"\noperands = [\"{x}\"]\nvia = [\"train\"]\ninput = [\"{y}\"]";
    let found: Vec<_> = rule(several).into_iter().map(|it| it.0).collect();
    assert_eq!(found.len(), 5, "all at once: {found:?}");
    let found = problems("[[risk.rules]]\nid = \"ours.x\"\nlevel = \"low\"\n");
    assert!(found.len() == 1 && found[0].0.contains("ours.x"), "{found:?}");
    let found = rule("id = \"a.b\"\nlevel = \"huge\"");
    assert!(found.len() == 1 && found[0].0.contains("low, medium, high, critical"), "{found:?}");
    let found = problems("[[redact.patterns]]\nname = \"\"\npattern = \"x{9}\"\n");
    assert!(found.len() == 1 && found[0].0.contains("cannot be called"), "{found:?}");
}

#[test]
fn lists_of_tables_say_how_they_begin() {
    for (text, path) in [
        ("[redact]\npatterns = [\"x\"]\n", "redact.patterns"),
        ("[redact]\npatterns = \"x\"\n", "redact.patterns"),
        ("[risk]\nrules = [1]\n", "risk.rules"),
        ("[risk.rules]\nid = \"a\"\n", "risk.rules"),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(found[0].1, format!("begin each with a line `[[{path}]]`"));
    }
}

#[test]
fn each_id_that_cannot_be_switched_off_is_named_with_what_may_be_meant() {
    let text = "[risk]\ndisable = [\"destructive\", \"destructive.*\", \"*\", \"own\", \"write.outside\", \
                \"write.outsid\", \"zzz\"]\n[[risk.rules]]\nid = \"own.a\"\nlevel = \"low\"\nprograms = [\"x\"]\n\
                [redact]\ndisable = [\"jwt\", \"jwts\", \"github\", \"g?\"]\n";
    let found = problems(text);
    let said: Vec<_> = found.iter().map(|it| (it.0.as_str(), it.1.as_str())).collect();
    let (none, pattern) = (
        "there is no rule with this id",
        "this is a pattern, and rules are switched off by their whole ids",
    );
    let expected = [
        (none, "name each: destructive."),
        (pattern, "name each: destructive."),
        (pattern, "docs/risk.md has the ids"),
        (none, "name each: own.a (docs/risk.md has them)"),
        (none, "did you mean \"write.outside\"?"),
        (none, "docs/risk.md has the ids"),
        (none, "did you mean \"jwt\"?"),
        (none, "name each: github-"),
        (pattern, "name each: g"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for ((message, help), (expected, begin)) in said.into_iter().zip(expected) {
        assert_eq!(message, expected, "{help}");
        assert!(help.starts_with(begin) && help.len() < 300, "{help}");
    }
    let twice = "[[risk.rules]]\nid = \"a\"\nlevel = \"low\"\nprograms = [\"x\"]\n".repeat(2);
    let found = problems(&twice);
    assert!(found.len() == 1 && found[0].0.contains("already"), "{found:?}");
}

fn pattern(name: &str, pattern: &str) -> String {
    format!("[[redact.patterns]]\nname = \"{name}\"\npattern = \"{pattern}\"\n")
}

fn rule(id: &str, level: &str) -> String {
    format!("[[risk.rules]]\nid = \"{id}\"\nlevel = \"{level}\"\nprograms = [\"x\"]\n")
}

#[test]
fn a_reload_tells_tables_of_lists_by_their_names() {
    let changes = |earlier: &[String], now: &[String]| {
        let read = |parts: &[String]| parse(&parts.concat()).unwrap();
        read(now).changes_from(&read(earlier))
    };
    let (emp, cus) = (pattern("emp", "E-[0-9]{8}"), pattern("cus", "C-[0-9]{8}"));
    let (a, b) = (rule("own.a", "low"), rule("own.b", "high"));
    let all = [emp.clone(), cus.clone(), a.clone(), b.clone()];
    assert_eq!(changes(&all, &all), Vec::<String>::new());
    let other_order = [format!("# a comment\n{b}"), cus.clone(), a.clone(), emp.clone()];
    assert_eq!(changes(&all, &other_order), Vec::<String>::new());
    assert_eq!(
        changes(&all, &[]),
        [
            "redaction pattern emp removed",
            "redaction pattern cus removed",
            "risk rule own.a removed",
            "risk rule own.b removed"
        ]
    );
    assert_eq!(
        changes(
            &all,
            &[
                "[risk]\ndisable = [\"own.b\"]\n".to_owned(),
                emp.replace('8', "9"),
                rule("own.a", "medium"),
                b.clone(),
                rule("own.c", "low"),
            ]
        ),
        [
            "risk.disable changed",
            "redaction pattern emp changed",
            "redaction pattern cus removed",
            "risk rule own.a changed",
            "risk rule own.c added",
        ]
    );
}

#[test]
fn however_much_a_reload_changes_what_it_tells_is_bounded() {
    let long = "n".repeat(500);
    let rules =
        |count| -> String { (0..count).map(|n| rule(&format!("a{n}.{long}"), "low")).collect() };
    let none = parse("").unwrap();
    let exactly = parse(&rules(MAX_CHANGES)).unwrap().changes_from(&none);
    assert_eq!(exactly.len(), MAX_CHANGES);
    let more = parse(&rules(MAX_CHANGES + 3)).unwrap().changes_from(&none);
    assert_eq!(
        (more.len(), more.last().map(String::as_str)),
        (MAX_CHANGES + 1, Some("and 3 more"))
    );
    assert_eq!(more[..MAX_CHANGES], exactly);
    assert!(more.iter().all(|change| change.chars().count() < 100), "{more:?}");
}
