//! Every command as it is typed, every help text, and what wrong usage gets.

use super::*;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_parses_as_its_own_example_shows() {
    fn visit(command: &clap::Command) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let help = sub.get_after_help().expect("an example").to_string();
            let example = help.strip_prefix("Example:\n  ").expect("an example");
            let begin = example.find("hookring").expect("our command, maybe behind a pipe");
            let words = example[begin..].split(' ');
            let line = words.take_while(|word| !matches!(*word, "|" | ">"));
            let parsed = Cli::try_parse_from(line);
            assert!(parsed.is_ok(), "{example}: {parsed:?}");
            visit(sub);
        }
    }
    visit(&Cli::command());
}

/// What stands in backticks in this text.
fn codes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Each command as it would be typed: alerts have Prometheus put names into them.
#[test]
fn every_command_that_an_alert_names_parses_as_it_is_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/hookring.rules.yml");
    let rules = std::fs::read_to_string(path).unwrap();
    let texts = rules.lines().map(str::trim);
    let texts =
        texts.filter(|line| ["summary:", "description:"].iter().any(|it| line.starts_with(it)));
    let mut commands = 0;
    for code in texts.flat_map(codes).filter(|code| !code.starts_with('/')) {
        let line = code.replace("{{ $labels.sink }}", "hooks");
        assert!(line.starts_with("hookring ") && !line.contains('{'), "{code}");
        let parsed = parse(&line);
        assert!(parsed.is_ok(), "`{code}`: {}", parsed.unwrap_err());
        commands += 1;
    }
    assert!(commands >= 6, "only {commands}");
}

#[test]
fn commands_with_all_their_options() {
    assert_eq!(
        parse("hookring run --config a.toml").unwrap(),
        Command::Run(RunArgs { config: Some("a.toml".into()) })
    );
    let tail = TailArgs {
        follow: false,
        lines: 10,
        session: None,
        utc: false,
        json: false,
        filter: FilterArgs::default(),
    };
    assert_eq!(parse("hookring tail").unwrap(), Command::Tail(tail));
    assert_eq!(
        parse("hookring tail -f --json -n 3 --utc --session s").unwrap(),
        Command::Tail(TailArgs {
            follow: true,
            lines: 3,
            session: Some("s".into()),
            utc: true,
            json: true,
            filter: FilterArgs::default(),
        })
    );
    assert_eq!(parse("hookring reload").unwrap(), Command::Reload);
    assert_eq!(
        parse("hookring status --check").unwrap(),
        Command::Status(StatusArgs { json: false, check: true })
    );
    assert_eq!(
        parse("hookring journal repair --json").unwrap(),
        Command::Journal(JournalCommand::Repair(JsonArgs { json: true }))
    );
    assert_eq!(
        parse("hookring journal export --until 2026-01-31T09:30:00+01:00 --session s -o f")
            .unwrap(),
        Command::Journal(JournalCommand::Export(ExportArgs {
            since: None,
            until: Some("2026-01-31T08:30:00Z".parse().unwrap()),
            session: Some("s".into()),
            output: Some("f".into()),
            force: false,
        }))
    );
    assert_eq!(
        parse("hookring config check x.toml --json").unwrap(),
        Command::Config(ConfigCommand::Check(ConfigCheckArgs {
            config: None,
            file: Some("x.toml".into()),
            json: true
        }))
    );
}

#[test]
fn wrong_usage_exits_with_2_and_help_with_0() {
    for line in [
        "hookring",
        "hookring stauts",
        "hookring status --jsn",
        "hookring tail -n many",
        "hookring journal",
        "hookring journal export --since yesterday",
        "hookring journal export --force",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
    for line in ["hookring --help", "hookring help journal export", "hookring --version"] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 0, "{line}");
    }
    let error = parse("hookring stauts").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSubcommand);
    assert!(error.to_string().contains("'status'"), "{error}");
}

#[test]
fn a_word_that_belongs_behind_another_is_told_with_that() {
    let said = |line: &str| {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        hinted(Cli::try_parse_from(&words).unwrap_err(), &words).to_string()
    };
    for (line, hint) in [
        ("hookring pause x", "there is `hookring sink pause x`"),
        ("hookring resume x", "there is `hookring sink resume x`"),
        ("hookring reset x --to now", "there is `hookring sink reset x --to now`"),
        ("hookring show 17", "there is `hookring dlq show 17`"),
        ("hookring show", "there is `hookring config show`"),
    ] {
        let said = said(line);
        assert!(said.contains(hint) && !said.contains("similar"), "{said}");
    }
    assert!(said("hookring stauts").contains("'status'"));
    assert!(!said("hookring sink puase x").contains("there is"));
}

#[test]
fn the_top_level_help() {
    insta::assert_snapshot!(Cli::command().render_help().to_string());
}

#[test]
fn the_help_of_export() {
    let error = parse("hookring journal export --help").unwrap_err();
    insta::assert_snapshot!(error.render().to_string());
}

#[test]
fn times_are_absolute_or_a_span_ago() {
    let zone = TimeZone::fixed(jiff::tz::offset(2));
    let now: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
    let cases = [
        ("2026-03-09T00:00:00Z", "2026-03-09T00:00:00Z"),
        ("2026-03-09T00:00:00.5-02:00", "2026-03-09T02:00:00.5Z"),
        ("2026-03-09", "2026-03-08T22:00:00Z"),
        ("30m", "2026-03-10T11:30:00Z"),
        ("2h", "2026-03-10T10:00:00Z"),
        ("7d", "2026-03-03T12:00:00Z"),
        ("1d 12h", "2026-03-09T00:00:00Z"),
        ("90s ago", "2026-03-10T11:58:30Z"),
    ];
    for (text, expected) in cases {
        assert_eq!(time_before(text, now, &zone).unwrap(), expected.parse().unwrap(), "{text}");
    }
    for text in ["", "soon", "2026-02-30", "2026-03-09T00:00:00", "5", "3 months"] {
        let message = time_before(text, now, &zone).unwrap_err();
        assert!(message.starts_with("give a time such as"), "{text}: {message}");
    }
    assert_eq!(
        time_before("9000000d", now, &zone).unwrap_err(),
        "give a time such as 2026-01-31T09:30:00Z, with its offset, a date such as 2026-01-31, or a \
         span ago such as 30m, 2h, 7d"
    );
    let message = time_before("7000000d", now, &zone).unwrap_err();
    assert_eq!(message, "7000000d ago is before time began");
}
