//! Secrets: where they go, when they are read anew, and that nobody sees them.

use std::fs;

use super::*;

#[test]
fn headers_are_sent_and_never_shown() {
    let server = FaultServer::start();
    let headers = vec![("Authorization".to_owned(), text("Bearer hunter2"))];
    let config = with_headers(headers, &server);
    assert!(!format!("{config:?}").contains("hunter"));
    assert_eq!(send_to(&server, config).header("authorization"), Some("Bearer hunter2"));
}

#[test]
fn what_a_server_sends_back_of_a_secret_or_an_address_is_not_shown() {
    let server = FaultServer::start();
    let headers = vec![("Authorization".to_owned(), text("Bearer hunter2+hunter5-token"))];
    let url = server.url("/services/T0PATH%2Fhunter3?key=hunter4%2Bhunter6");
    let url = Target::parse(&url).expect("a URL");
    let mut sink = sink(WebhookConfig { url, ..with_headers(headers, &server) });
    for body in [
        "Cannot POST /services/T0PATH%2Fhunter3?key=hunter4%2Bhunter6: invalid hunter2+hunter5-token",
        "Cannot POST /services/T0PATH/hunter3?key=hunter4+hunter6",
        r#"{"invalid": "hunter2\u002Bhunter5-token", "path": "\/T0PATH\/hunter3"}"#,
        "no hunter3, no T0PATH, no \"Bearer hunter2+hunter5-token\" and no hunter4",
    ] {
        server.set(Reply::with(404, &[], body));
        let said = words(&send_one(&mut sink));
        assert!(
            said.contains("***") && !said.contains("hunter") && !said.contains("T0PATH"),
            "{said}"
        );
    }
}

#[test]
fn a_header_that_cannot_be_is_told_without_its_value() {
    let server = FaultServer::start();
    for (header, value) in
        [("Host", "hunter2"), ("webhook-id", "hunter2"), ("X Y", "hunter2"), ("X-Y", "hünter2")]
    {
        let headers = vec![(header.to_owned(), text(value))];
        let config = with_headers(headers, &server);
        let error = WebhookSink::new(config, Reloads::default()).open().expect_err("no header");
        let error = error.to_string();
        assert!(error.contains(header) && !error.contains("nter2"), "{error}");
    }
}

#[test]
fn a_secret_that_changed_is_read_when_the_server_no_longer_takes_the_old_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("token");
    let server = FaultServer::start();
    server.set_rule(|request| match request.header("x-token") {
        Some("new") => Reply::ok(),
        _ => Reply::status(401),
    });
    fs::write(&file, "old").expect("a file");
    let headers = vec![("X-Token".to_owned(), Secret::File(file.clone()))];
    let mut sink = sink(with_headers(headers, &server));
    assert_eq!(name(&send_one(&mut sink)), "refused");
    assert_eq!(server.requests(), 1, "the same secret is not tried again at once");
    fs::write(&file, "new").expect("a file");
    assert_eq!(name(&send_one(&mut sink)), "accepted");
    assert_eq!(server.requests(), 3);
    fs::remove_file(&file).expect("gone");
    assert_eq!(name(&send_one(&mut sink)), "accepted", "it is not read for each request");
    server.set(Reply::status(401));
    let outcome = send_one(&mut sink);
    assert_eq!(name(&outcome), "refused");
    assert!(words(&outcome).contains("cannot read the secret in"), "{outcome:?}");
}

#[test]
fn a_reload_has_secrets_read_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("token");
    fs::write(&file, "old").expect("a file");
    let server = FaultServer::start();
    let headers = vec![("X-Token".to_owned(), Secret::File(file.clone()))];
    let reloads = Reloads::default();
    let mut sink = WebhookSink::new(with_headers(headers, &server), reloads.clone());
    let mut sent = || {
        assert_eq!(name(&send_one(&mut sink)), "accepted");
        let request = server.received().pop().expect("a request");
        request.header("x-token").map(str::to_owned)
    };
    assert_eq!(sent().as_deref(), Some("old"));
    fs::write(&file, "new").expect("a file");
    assert_eq!(sent().as_deref(), Some("old"));
    reloads.raise();
    assert_eq!(sent().as_deref(), Some("new"));
}

#[test]
fn a_key_that_is_none_is_told_without_being_shown() {
    let server = FaultServer::start();
    let config = WebhookConfig {
        format: Format::StandardWebhooks,
        keys: vec![text("whsec_hunter2")],
        ..config(&server)
    };
    let error = WebhookSink::new(config, Reloads::default()).open().expect_err("no key");
    assert_eq!(error.to_string(), "cannot sign with the secret in the configuration");
    assert!(!crate::stats::in_words(&*error).contains("hunter"));
}

#[test]
fn settings_that_do_not_agree_are_found() {
    let url = |text: &str| WebhookConfig::new(Target::parse(text).expect("a URL"));
    let token = || vec![("Authorization".to_owned(), Secret::Env("TOKEN".to_owned()))];
    let far = "http://events.test/";
    let by = |connection| WebhookConfig { connection, ..url(far) };
    let usual = Connection::default;
    for (config, setting) in [
        (WebhookConfig { format: Format::StandardWebhooks, ..url(far) }, Setting::Keys),
        (WebhookConfig { keys: vec![text(KEY)], ..url(far) }, Setting::Keys),
        (
            WebhookConfig { format: Format::CloudEventsBinary, batches: true, ..url(far) },
            Setting::Batches,
        ),
        (by(Connection { headers: token(), ..usual() }), Setting::Url),
        (
            WebhookConfig {
                url: url("http://169.254.169.254/").url,
                ..by(Connection { refuse_local: true, ..usual() })
            },
            Setting::Url,
        ),
        (
            by(Connection { refuse_local: true, proxy: Some(text("http://p")), ..usual() }),
            Setting::Proxy,
        ),
    ] {
        let faults = config.faults();
        assert!(faults.iter().any(|it| it.setting == setting), "{config:?}: {faults:?}");
    }
    let file = || Some("/x".into());
    for connection in [
        Connection { ca_file: file(), ..usual() },
        Connection { client_cert: file(), client_key: file(), ..usual() },
    ] {
        let faults = by(connection).faults();
        let is_told =
            |it: &SettingError| it.message.contains("for addresses with `https://` alone");
        assert!(faults.iter().any(is_told), "{faults:?}");
    }
    let harmless = vec![("X-From".to_owned(), text("ci"))];
    for (target, headers) in
        [("https://events.test/", token()), ("http://localhost:8080/", token()), (far, harmless)]
    {
        let connection = Connection { headers, ..usual() };
        let config = WebhookConfig { connection, ..url(target) };
        assert_eq!(config.faults(), []);
    }
}
