//! `[http]` and `[health]`: what is read, shown and refused.

use std::time::Duration;

use hookring_sinks::Secret;

use super::*;
use crate::config::{DEFAULT_LISTEN, HealthConfig, HttpConfig, TlsFiles};

fn http(lines: &str) -> Option<HttpConfig> {
    parse(lines).unwrap_or_else(|errors| panic!("{errors}")).http
}

#[test]
fn without_the_table_nothing_listens_and_an_empty_one_has_the_default() {
    assert_eq!(http(""), None);
    assert!(!parse("").unwrap().to_toml().contains("[http]"));
    let plain = HttpConfig { listen: DEFAULT_LISTEN, token: None, tls: None };
    assert_eq!(http("[http]"), Some(plain));
    assert!(parse("[http]").unwrap().to_toml().contains("listen = \"127.0.0.1:9477\""));
}

#[test]
fn every_key_is_read_and_no_secret_is_shown() {
    let text = "[http]\nlisten = \"[::]:1\"\ntoken = { env = \"SECRET\" }\ntls_cert = \"/c\"\ntls_key = \"/k\"\n\
                client_ca = \"/a\"\n";
    let tls = TlsFiles { cert: "/c".into(), key: "/k".into(), client_ca: Some("/a".into()) };
    let token = Some(Secret::Env("SECRET".to_owned()));
    let listen = "[::]:1".parse().unwrap();
    assert_eq!(http(text), Some(HttpConfig { listen, token, tls: Some(tls) }));
    let shown = parse(text).unwrap().to_toml();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(parse(&shown).unwrap().http, parse(text).unwrap().http);
}

#[test]
fn who_could_be_read_by_anybody_is_refused_at_its_place() {
    for (lines, line, said) in [
        ("listen = \"0.0.0.0:9477\"", 2, "whoever reaches this address could read the metrics"),
        ("listen = \"[::]:9477\"\ntls_cert = \"/c\"\ntls_key = \"/k\"", 2, "whoever reaches"),
        ("listen = \"localhost:9477\"", 2, "this is not an address with a port"),
        ("listen = 9477", 2, "expected an address with a port"),
        ("tls_cert = \"/c\"", 2, "`tls_key` is missing beside it"),
        ("tls_key = \"/k\"", 2, "`tls_cert` is missing beside it"),
        ("client_ca = \"/a\"", 2, "clients show certificates in TLS only"),
        ("token = \"hunter2\"", 2, "a secret may not stand in the configuration itself"),
        ("address = \"127.0.0.1:1\"", 2, "unknown key"),
    ] {
        let errors = parse(&format!("[http]\n{lines}\n")).expect_err(lines);
        assert_eq!(errors.problems.len(), 1, "{errors}");
        assert!(errors.problems[0].message.contains(said), "{errors}");
        assert_eq!(
            errors.problems[0].place.as_ref().map(|place| place.line),
            Some(line),
            "{errors}"
        );
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
    }
    assert!(http("[http]\nlisten = \"127.8.8.8:0\"").is_some());
    assert!(http("[http]\nlisten = \"0.0.0.0:1\"\ntoken = { env = \"SECRET\" }").is_some());
}

#[test]
fn limits_of_health_are_read_and_zero_is_none() {
    let text = "[health]\nsession_silent = \"2h\"\nhook_p99 = \"0ms\"\nagent_silent = \"7d\"\n";
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let expected = HealthConfig {
        session_silent: hours(2),
        hook_p99: Duration::ZERO,
        agent_silent: hours(7 * 24),
    };
    assert_eq!(parse(text).unwrap().health, expected);
    assert_eq!(parse("").unwrap().health, HealthConfig::default());
    assert!(parse("[health]\nhook_p99 = \"2m\"\n").is_err());
}
