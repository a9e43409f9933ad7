//! Every kind of error as it is shown.

use super::*;

#[test]
fn unknown_keys() {
    assert_snapshot!(errors(
        "[bus]\nlane = 4\nzzz = 1\n[jurnal]\n[sinks.audit]\ntype = \"jsonl\"\nrotate-bytes = 1\n\
         [sinks.s]\ntype = \"stdout\"\npath = \"/x\"\n[log]\nlevel = \"info\"\n\"a b\" = 1\n"
    ));
}

#[test]
fn wrong_types() {
    assert_snapshot!(errors(
        "journal = 3\n[bus]\nlanes = \"8\"\nlane_bytes = true\nspool_bytes = 1.5\n[[log]]\n\
         [sinks]\na = \"jsonl\"\n[sinks.b]\ntype = [\"jsonl\"]\n[sinks.c]\ntype = \"stdout\"\n\
         enabled = \"yes\"\n[sinks.d]\ntype = \"jsonl\"\npath = 2026-01-01\nrotate_age = 60\n"
    ));
}

#[test]
fn warnings_are_there_beside_errors() {
    let text =
        "[bus]\nlanes = 0\n[sinks.a]\ntype = \"stdout\"\nfilter.event_types = [\"tool.pree\"]\n";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hookring.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let errors = Config::load(Some(&file), &paths(dir.path()), &env).unwrap_err();
    assert_eq!(errors.problems.len(), 1);
    let warnings: Vec<_> = errors.warnings.iter().map(Warning::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("chmod 600") && warnings[1].contains("tool.pre"), "{warnings:?}");
    assert_eq!(ConfigReport::from(&errors).warnings, warnings);
}

#[test]
fn values_out_of_range() {
    assert_snapshot!(errors(
        "[bus]\nlanes = 0\nlane_bytes = \"128MiB\"\nspool_bytes = -1\n[journal]\nsync_interval = \"2h\"\n\
         cache_bytes = 99999999999999999999\n[sinks.a]\ntype = \"stdout\"\nbatch_events = 100_001\n"
    ));
}

#[test]
fn bad_sizes_times_and_words() {
    assert_snapshot!(errors(
        "[bus]\nlane_bytes = \"64kb\"\nspool_bytes = \"much\"\n[journal]\nsync = \"intervall\"\n\
         sync_interval = \"100\"\nretention_age = \"30 days\"\n[log]\nlevel = \"loud\"\n\
         [sinks.a]\ntype = \"json\"\n[sinks.b]\nenabled = true\n"
    ));
}

#[test]
fn values_that_do_not_agree() {
    assert_snapshot!(errors(
        "[bus]\nlanes = 1024\nlane_bytes = \"64MiB\"\n[journal]\nsegment_bytes = \"4GiB\"\n\
         hard_limit_bytes = \"64KiB\"\n[sinks.a]\ntype = \"jsonl\"\npath = \"/x\"\n\
         [sinks.b]\ntype = \"jsonl\"\npath = \"//x\"\n"
    ));
    assert_snapshot!(errors("[bus]\nlane_bytes = 100_000\n"), @r#"
    error: bus.lane_bytes: this must be a power of two
     --> /etc/hookring.toml:2:14
      |
    2 | lane_bytes = 100_000
      |              ^^^^^^^
      = help: the next one is "128KiB"
    "#);
}

#[test]
fn every_rule_of_the_journals_sizes() {
    assert_eq!(bad_keys("[journal]\nretention_bytes = \"1MiB\"\n"), ["journal.retention_bytes"]);
    assert_eq!(bad_keys("[journal]\nhard_limit_bytes = \"1MiB\"\n"), ["journal.hard_limit_bytes"]);
    let both = ["journal.retention_bytes", "journal.hard_limit_bytes"];
    for (retention, hard_limit, bad) in [
        // A wrong value stands for what its error suggests.
        ("\"8Gib\"", "\"8MiB\"", &both[..]),
        ("\"8Gib\"", "\"8GiB\"", &both[..1]),
        ("\"99TiB\"", "\"64TiB\"", &both[..1]),
        ("\"99TiB\"", "\"1GiB\"", &both),
        // One that says nothing is not held against its neighbour, but it is a segment at least.
        ("true", "\"100MiB\"", &both[..1]),
        ("true", "\"1MiB\"", &both),
    ] {
        let text =
            format!("[journal]\nretention_bytes = {retention}\nhard_limit_bytes = {hard_limit}\n");
        assert_eq!(bad_keys(&text), bad, "{text}");
    }
}

#[test]
fn an_error_hides_no_other_that_does_not_hang_on_it() {
    let text = "[bus]\nlanes = \"many\"\nlane_bytes = 100_000\n";
    assert_eq!(bad_keys(text), ["bus.lanes", "bus.lane_bytes"]);
    let text = "[bus]\nlanes = 0\nlane_bytes = \"64MiB\"\n[journal]\nsync = 1\n\
                segment_bytes = \"2GiB\"\n";
    assert_eq!(bad_keys(text), ["bus.lanes", "journal.retention_bytes", "journal.sync"]);
    // Both were meant to be what the suggestion says, which is too much together.
    let text = "[bus]\nlanes = 5000\nlane_bytes = \"64mib\"\n";
    assert_eq!(bad_keys(text), ["bus.lanes", "bus.lane_bytes", "bus.lane_bytes"]);
}

#[test]
fn a_sink_without_a_known_type_and_a_misspelt_table_are_read_all_the_same() {
    let text = "[sinks.a]\npath = \"x\"\nbatch_events = 0\nenabld = true\n[sinks.b]\n\
                type = \"json\"\nrotate_age = 3\npath = \"/x\"\n[sinks.c]\ntyp = \"jsonl\"\n\
                compress = \"zip\"\npath = \"/x\"\n[jurnal]\nsync = \"always\"\n";
    let expected = [
        "sinks.a.type",
        "sinks.a.path",
        "sinks.a.batch_events",
        "sinks.a.enabld",
        "sinks.b.type",
        "sinks.b.rotate_age",
        "sinks.c.typ",
        "sinks.c.compress",
        "sinks.c.path",
        "jurnal",
        "jurnal.sync",
    ];
    assert_eq!(bad_keys(text), expected);
    // Neither the file of a sink that has no type, nor one whose path is wrong, is taken.
    let text = "[sinks.a]\nenabled = true\n[sinks.b]\ntype = \"jsonl\"\npath = 3\n[sinks.c]\n\
                type = \"jsonl\"\npath = \"/state/sinks/a.jsonl\"\n[sinks.d]\ntype = \"jsonl\"\n\
                path = \"/state/sinks/b.jsonl\"\n";
    assert_eq!(bad_keys(text), ["sinks.a.type", "sinks.b.path"]);
}

#[test]
fn keys_at_the_wrong_place_are_sent_to_the_right_one() {
    let help = |text: &str| parse(text).unwrap_err().problems[0].help.clone().unwrap_or_default();
    assert_eq!(help("lanes = 3\n"), "put it below a line `[bus]`");
    assert_eq!(help("level = \"info\"\n[bus]\n"), "put it below a line `[log]`");
    assert_eq!(
        help("[sinks.a]\ntype = \"stdout\"\npath = \"/x\"\n"),
        "this is a key of `type = \"jsonl\"`"
    );
    assert_eq!(help("[[sinks]]\nname = \"a\"\n"), "begin each sink with a line `[sinks.NAME]`");
}

#[test]
fn a_default_file_can_clash_too() {
    let text =
        "[sinks.a]\ntype = \"jsonl\"\npath = \"/state/sinks/b.jsonl\"\n[sinks.b]\ntype = \"jsonl\"";
    assert_eq!(bad_keys(text), ["sinks.b.path"]);
}

#[test]
fn names_of_sinks() {
    let long = "a".repeat(65);
    for name in ["Audit", "\"\"", "\"../x\"", "\"a b\"", "\"é\"", &long] {
        let text = format!("[sinks.{name}]\ntype = \"stdout\"\n");
        assert_eq!(bad_keys(&text), [format!("sinks.{name}")], "{name}");
    }
    assert!(parse(&format!("[sinks.{}]\ntype = \"stdout\"", &long[1..])).is_ok());
    assert_snapshot!(errors("[sinks.\"a\\u001b[2J\"]\ntype = \"stdout\"\n"), @r#"
    error: sinks."a\u001B[2J": this is not a sink's name
     --> /etc/hookring.toml:1:8
      |
    1 | [sinks."a\u001b[2J"]
      |        ^^^^^^^^^^^^
      = help: use 1 to 64 of `a-z`, `0-9`, `_` and `-`: files are named after it
    "#);
}

#[test]
fn the_number_of_sinks_is_limited() {
    let sinks = |count| -> String {
        (0..count).map(|it| format!("[sinks.s{it:03}]\ntype = \"stdout\"\n")).collect()
    };
    assert_eq!(parse(&sinks(MAX_SINKS)).unwrap().sinks.len(), MAX_SINKS);
    assert_eq!(bad_keys(&sinks(MAX_SINKS + 1)), ["sinks.s064"]);
}

#[test]
fn paths_of_files() {
    let sink = |path: &str| format!("[sinks.a]\ntype = \"jsonl\"\npath = {path}\n");
    let all = ["\"a.jsonl\"", "\"~bob/x\"", "\"\"", "\"/x/\"", "\"/x\\u0000\""];
    let shown: Vec<_> = all.iter().map(|path| errors(&sink(path))).collect();
    assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_environment() {
    assert_snapshot!(errors(
        "[bus]\nspool_bytes = \"${SPOOL}\"\nlanes = \"${SECRET}\"\n[log]\nlevel = \"${SECRET}\"\n\
         [journal]\nsegment_bytes = \"${SECRET}\"\nsync = \"$SYNC\"\n[sinks.a]\ntype = \"jsonl\"\n\
         path = 'x/${ROOT:?say where} ${}/${A-b} ${LOGS'\nenabled = \"${SECRET}\"\n\
         rotate_age = \"a\\t${NONE}\"\n"
    ));
}

#[test]
fn the_environments_content_is_never_shown() {
    for key in ["lanes", "lane_bytes", "spool_bytes"] {
        let text = errors(&format!("[bus]\n{key} = \"${{SECRET}}\"\n"));
        assert!(!text.contains("hunter2") && text.contains("${SECRET}"), "{text}");
    }
}

#[test]
fn what_a_variable_gave_is_not_quoted_where_it_is_wrong() {
    for text in [
        "[redact]\nkeys = [\"ab\", \"-${SHORT}\"]\n",
        "[redact]\ndisable = [\"jwt\", \"${SECRET}\"]\n",
        "[[redact.patterns]]\nname = \"X${SECRET}\"\npattern = \"x\"\n",
        "[[redact.patterns]]\nname = \"${SECRET}\"\npattern = \"(${SECRET}\"\n",
        "[[risk.rules]]\nid = \"a.b\"\nlevel = \"${SECRET}\"\nprograms = [\"x\"]\n",
        "[[risk.rules]]\nid = \"a.b\"\nlevel = \"low\"\nprograms = [\"{${SECRET}}\"]\n",
        "[[risk.rules]]\nid = \"a.b\"\nlevel = \"low\"\npaths = [\"[${SECRET}\"]\n",
        "[risk]\ndisable = [\"${SECRET}\"]\n",
        "[sinks.a]\ntype = \"stdout\"\nfilter.tools = [\"[${SECRET}\"]\n",
        "[sinks.a]\ntype = \"stdout\"\nfilter.projects = [\"${SECRET}\"]\n",
    ] {
        let said = errors(text);
        assert!(!said.contains("hunter2") && said.contains("${S"), "{text}: {said}");
    }
}

#[test]
fn the_environment_fills_in_strings_only() {
    assert_eq!(parse("[bus]\nlanes = \"${LANES}\"").unwrap().bus.lanes, 64);
    let quoted = "[sinks.a]\ntype = \"stdout\"\nenabled = \"${ON}\"\n";
    assert!(parse(quoted).unwrap().sinks[0].enabled);
    assert_eq!(bad_keys("[\"${LANES}\"]\n"), ["\"${LANES}\""]);
}

#[test]
fn bad_syntax_comes_at_once_and_with_other_errors() {
    assert_snapshot!(errors(
        "[bus]\nlanes = \nlane = 3\nlanes = 4\n[log\nlevel = \"info\"\nlevle = 1\n[journal]\n\
         sync = never\nsegment_bytes = \"64MiB\ncache_bytes = \"lots\"\n[sinks.a]\npath = \"/x\" \"/y\"\n"
    ));
}

#[test]
fn a_line_that_is_no_toml_hides_nothing_below_it() {
    let text = "// mine\n[bus]\nlanes 32\nlane_bytes = 256KiB\nlane = 3\n[log]\nlevel: warn\n\
                [sinks.a]\ntype = \"jsonl\";\nenabled = yes\nrotate_age = 1.5\nbatch_events\n";
    let found = parse(text).unwrap_err();
    let lines: Vec<_> = found.problems.iter().flat_map(|it| &it.place).map(|it| it.line).collect();
    assert_eq!(lines, [1, 3, 4, 5, 7, 9, 10, 11, 12], "{found}");
}

#[test]
fn what_an_unclosed_array_swallows_is_not_held_against_the_file() {
    assert_eq!(bad_keys("[sinks.a]\ntype = [\n  \"jsonl\"\n"), ["sinks.a"]);
}

#[test]
fn unicode_tabs_and_control_characters_before_the_column() {
    assert_snapshot!(errors(
        "[sinks.a]\ntype = \"jsonl\"\npath = \"/日本語/é/🦀/${NONE}\"\n\
         \t\tstart = \"übermorgen\" # \u{202e}\n"
    ));
}

#[test]
fn lines_may_end_as_on_windows_and_begin_with_a_byte_order_mark() {
    let text = "\u{feff}lane = 1\r\n[bus]\r\nlanes = 0\r\n";
    let found = parse(text).unwrap_err();
    let places: Vec<_> =
        found.problems.iter().flat_map(|it| &it.place).map(|it| (it.line, it.column)).collect();
    assert_eq!(places, [(1, 1), (3, 9)]);
    assert!(!found.to_string().contains("\\r"), "{found}");
}

#[test]
fn long_lines_are_cut_around_the_place() {
    assert_snapshot!(errors(&format!(
        "[sinks.a]\ntype = \"jsonl\"\npath = \"/{}${{NONE}}{}\"\n",
        "x".repeat(300),
        "y".repeat(300)
    )));
}

#[test]
fn many_errors_are_counted() {
    let text: String = (0..250).map(|it| format!("k{it:03} = 1\n")).collect();
    let found = parse(&text).unwrap_err();
    assert_eq!((found.problems.len(), found.left_out), (MAX_PROBLEMS, 150));
    assert!(found.to_string().ends_with("\nerror: and 150 more, which are not shown\n"));
    let found = parse(&"=\n".repeat(10_000)).unwrap_err();
    assert!(found.problems.len() == MAX_PROBLEMS && found.left_out >= 10_000 - MAX_PROBLEMS);
    let sinks: String = (0..5_000).map(|it| format!("[sinks.s{it:04}]\n")).collect();
    assert_eq!(parse(&sinks).unwrap_err().left_out, 5_000 - MAX_PROBLEMS);
    assert_eq!(bad_keys(&format!("{}=\nk = 1\n", "\n".repeat(500_000))), ["", "", "k"]);
    let key = "k".repeat(500_000);
    assert_eq!(bad_keys(&format!("{key} = 1\n")), [key]);
}

#[test]
fn a_rule_for_each_message_of_the_parser_that_is_put_in_our_words() {
    for (text, expected) in [
        ("[log]\nlevel = info", "the value is not in quotes"),
        ("[journal]\nsync = never", "the value is not in quotes"),
        ("[log]\nlevel = warn", "the value is missing or not in quotes"),
        ("[log]\nlevel =", "the value is missing or not in quotes"),
        ("[log]\nlevel", "the key has no value"),
        ("[log\n", "the header is not closed"),
        ("log]\n", "the key has no value"),
        ("[log]]\n", "the line should end here"),
        ("]\n", "the header is not opened"),
        ("a = [1\n", "the array is not closed"),
        ("type: \"jsonl\"\n", "a key is followed by `=`"),
        ("{\n", "this is not a line of TOML"),
        ("a = 'x\n", "the string is not closed"),
        ("a = True\n", "this is not a value"),
        ("a = \"C:\\Users\"\n", "a backslash in double quotes begins an escape, and this is none"),
        ("a = \"C:\\q\"\n", "a backslash in double quotes begins an escape, and this is none"),
        ("[[a\n", "the header is not closed"),
        ("a = {\n", "the table is not closed"),
        ("a == 1\n", "there is one `=` too many"),
        ("a = \"1\n", "the string is not closed"),
        ("[log]\n[log]\n", "duplicate key"),
    ] {
        let problems = parse(text).unwrap_err().problems;
        assert!(problems.iter().any(|it| it.message == expected), "{text}: {problems:?}");
    }
}

#[test]
fn text_that_is_not_utf8() {
    let path = Path::new("/etc/hookring.toml");
    let content = b"[bus]\n# caf\xe9\nlanes = 3\n";
    let found = Config::parse(path, content, &paths(Path::new("/s")), &env).unwrap_err();
    assert_snapshot!(found.to_string(), @r"
    error: the file is not UTF-8 from here on
     --> /etc/hookring.toml:2:6
      |
    2 | # caf�
      |      ^
      = help: save the file as UTF-8
    ");
}

#[test]
fn colours_change_nothing_else() {
    let found = parse("[bus]\nlane = 4\n").unwrap_err();
    let styled = found.styled().to_string();
    assert!(styled.contains("\u{1b}[1m\u{1b}[31m"), "{styled:?}");
    assert_eq!(anstream::adapter::strip_str(&styled).to_string(), found.to_string());
}
