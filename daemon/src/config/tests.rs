//! What is read and shown again, and that no content causes a panic.

use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;

use hookring_sinks::FilterOptions;

use super::*;

mod errors;
mod exec;
mod files;
mod http;
mod lists;
mod otlp;
mod webhook;

fn paths(state: &Path) -> Paths {
    let state = state.to_str().unwrap().to_owned();
    let env = move |name: &str| (name == "HOOKRING_DIR").then(|| state.clone().into());
    Paths::resolve(&env, Some("/home/ada".into())).unwrap()
}

fn env(name: &str) -> Option<String> {
    let value = match name {
        "SIZE" => "32MiB",
        "LANES" => "64",
        "ON" => "true",
        "LOGS" => "/var/log",
        "SECRET" => "hunter2",
        "KEY" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "PATH" => "/usr/bin:/bin",
        "SHORT" => "_",
        _ => return None,
    };
    Some(value.to_owned())
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(
        Path::new("/etc/hookring.toml"),
        text.as_bytes(),
        &paths(Path::new("/state")),
        &env,
    )
}

fn errors(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// The full paths of the keys that are refused, in order.
fn bad_keys(text: &str) -> Vec<String> {
    let problems = parse(text).unwrap_err().problems;
    problems.into_iter().map(|problem| problem.key.unwrap_or_default()).collect()
}

const FULL: &str = r#"
[bus]
lanes = 64
lane_bytes = "64 KiB"
spool_bytes = 0x1000_0000
[journal]
segment_bytes = "${SIZE}"
sync = "every_batch"
sync_interval = "1s"
retention_bytes = "2GiB"
retention_age = "7d"
hard_limit_bytes = "3GiB"
cache_bytes = 1048576
[log]
level = "debug"
[sinks.audit]
type = "jsonl"
path = "~/a.jsonl"
rotate_bytes = "1MiB"
rotate_age = "12h"
compress = "zstd"
start = "now"
batch_events = 10
batch_bytes = "4KiB"
batch_age = "2s"
events_per_s = 0.5
dead_letter_bytes = "1MiB"
[sinks.screen]
type = "stdout"
enabled = false
"#;

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = parse("").unwrap();
    assert_snapshot!(config.to_toml());
    assert_eq!(config.bus, BusConfig { lanes: 32, lane_bytes: 256 * KIB, spool_bytes: 256 * MIB });
    assert_eq!(config.journal.sync, SyncPolicy::Interval(Duration::from_millis(100)));
    assert!(config.sinks.is_empty());
}

#[test]
fn every_key_is_read() {
    let config = parse(FULL).unwrap();
    assert_eq!(config.bus, BusConfig { lanes: 64, lane_bytes: 64 * KIB, spool_bytes: 256 * MIB });
    let day = Duration::from_secs(24 * 3600);
    let journal = JournalConfig {
        segment_bytes: 32 * MIB,
        sync: SyncPolicy::EveryBatch,
        retention_bytes: 2 * GIB,
        retention_age: 7 * day,
        hard_limit_bytes: 3 * GIB,
        cache_bytes: MIB,
    };
    assert_eq!(config.journal, journal);
    assert_eq!(config.log.level, tracing::Level::DEBUG);
    let audit = SinkConfig {
        filter: FilterOptions::default(),
        name: "audit".into(),
        enabled: true,
        start: SinkStart::Now,
        batch_events: 10,
        batch_bytes: 4096,
        batch_age: Duration::from_secs(2),
        events_per_s: Some(0.5),
        dead_letter_bytes: MIB,
        kind: SinkKind::Jsonl(JsonlConfig {
            path: "/home/ada/a.jsonl".into(),
            rotate_bytes: MIB,
            rotate_age: Some(day / 2),
            compress: Compress::Zstd,
        }),
    };
    let screen = SinkConfig {
        filter: FilterOptions::default(),
        name: "screen".into(),
        enabled: false,
        start: SinkStart::Now,
        batch_events: 1000,
        batch_bytes: 1 << 20,
        batch_age: Duration::ZERO,
        events_per_s: None,
        dead_letter_bytes: 64 * MIB,
        kind: SinkKind::Stdout,
    };
    assert_eq!(config.sinks, [audit, screen]);
}

#[test]
fn what_is_shown_names_its_lines_and_hides_the_environment() {
    assert_snapshot!(parse(FULL).unwrap().to_toml());
    let secret = "[sinks.a]\ntype = \"jsonl\"\npath = \"/x/${SECRET}/$$y\"";
    let config = parse(secret).unwrap();
    assert!(
        matches!(&config.sinks[0].kind, SinkKind::Jsonl(it) if it.path == Path::new("/x/hunter2/$y"))
    );
    assert!(config.to_toml().contains("path = \"/x/${SECRET}/$$y\""), "{}", config.to_toml());
    assert!(!config.to_toml().contains("hunter2"));
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    let awkward =
        "[sinks.a]\ntype = \"jsonl\"\npath = '/x/\"q\"\\ $$HOME é\t.jsonl'\nenabled = \"${ON}\"";
    for text in ["", FULL, awkward, "[bus]\nlanes = '${LANES}'"] {
        let config = parse(text).unwrap();
        let again = parse(&config.to_toml()).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!((config.bus, config.journal, config.log), (again.bus, again.journal, again.log));
        assert_eq!(config.sinks, again.sinks);
    }
}

#[test]
fn sinks_have_a_file_of_their_own_by_default() {
    let config = parse("[sinks.a]\ntype = \"jsonl\"\n[sinks.b-2_]\ntype = \"jsonl\"").unwrap();
    let files = config.sinks.iter().map(|sink| match &sink.kind {
        SinkKind::Jsonl(it) => it.path.to_str().unwrap(),
        _ => "",
    });
    assert_eq!(files.collect::<Vec<_>>(), ["/state/sinks/a.jsonl", "/state/sinks/b-2_.jsonl"]);
}

#[test]
fn the_hard_limit_follows_retention() {
    let config = parse("[journal]\nretention_bytes = \"8GiB\"").unwrap();
    assert_eq!(config.journal.hard_limit_bytes, 32 * GIB);
}

/// Text made of pieces that mean something in a configuration, so that more than the first character
/// is looked at.
fn plausible_text() -> impl Strategy<Value = String> {
    let pieces = [
        "[bus]",
        "[sinks.a]",
        "[[log]]",
        "[",
        "]",
        "\n",
        "\r\n",
        "=",
        " ",
        ".",
        ",",
        "\"",
        "'",
        "\"\"\"",
        "lanes",
        "lane_bytes",
        "type",
        "path",
        "sinks",
        "\"jsonl\"",
        "\"stdout\"",
        "\"exec\"",
        "command",
        "env",
        "1",
        "-5",
        "0x1F",
        "1e400",
        "true",
        "2026-01-01",
        "\"64MiB\"",
        "${",
        "}",
        "$",
        ":-",
        ":?",
        "NONE",
        "\\u00e9",
        "é",
        "🦀",
        "\t",
        "#",
        "{",
        "\u{feff}",
        "\u{0}",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|it| it.concat())
}

proptest! {
    #[test]
    fn no_content_causes_a_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let result = Config::parse(Path::new("f"), &content, &paths(Path::new("/s")), &env);
        let _shown = result.map(|config| config.to_toml()).map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_text_causes_a_panic_and_places_are_in_it(text in plausible_text()) {
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.problems.is_empty());
            let lines = text.split('\n').count();
            for place in errors.problems.iter().flat_map(|problem| &problem.place) {
                prop_assert!((1..=lines).contains(&place.line));
                prop_assert!(!place.underline.is_empty());
            }
            let is_harmless = !errors.to_string().contains(['\u{0}', '\u{1b}', '\t']);
            prop_assert!(is_harmless);
        }
    }
}
