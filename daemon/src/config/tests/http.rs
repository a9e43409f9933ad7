//! `[http]` and `[health]`: what is read, shown and refused.

use std::path::PathBuf;
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

/// A certificate that signs itself, and its key.
fn pem(dir: &tempfile::TempDir) -> [PathBuf; 2] {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let files = ["cert.pem", "key.pem"].map(|name| dir.path().join(name));
    std::fs::write(&files[0], params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&files[1], key.serialize_pem()).unwrap();
    files
}

#[test]
fn every_key_is_read_and_no_secret_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let [cert, key] = pem(&dir);
    let text = format!(
        "[http]\nlisten = \"[::]:1\"\ntoken = {{ env = \"SECRET\" }}\ntls_cert = {cert:?}\ntls_key = {key:?}\n\
         client_ca = {cert:?}\n"
    );
    let text = text.as_str();
    let tls = TlsFiles { client_ca: Some(cert.clone()), cert, key };
    let token = Some(Secret::Env("SECRET".to_owned()));
    let listen = "[::]:1".parse().unwrap();
    assert_eq!(http(text), Some(HttpConfig { listen, token, tls: Some(tls) }));
    let shown = parse(text).unwrap().to_toml();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(parse(&shown).unwrap().http, parse(text).unwrap().http);
}

#[test]
fn who_could_be_read_by_anybody_is_refused_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let [cert, key] = pem(&dir);
    let open = format!("listen = \"[::]:9477\"\ntls_cert = {cert:?}\ntls_key = {key:?}");
    let swapped = format!("tls_key = {cert:?}\ntls_cert = {cert:?}");
    for (lines, line, said) in [
        ("listen = \"0.0.0.0:9477\"", 2, "whoever reaches this address could read the metrics"),
        (&open, 2, "whoever reaches"),
        (&swapped, 2, "there is no private key in PEM in "),
        ("tls_cert = \"/no/such\"\ntls_key = \"/k\"", 3, "cannot read /k: No such file"),
        ("listen = \"localhost:9477\"", 2, "not an IP address with a port; a name is not"),
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
