//! `type = "webhook"`, and secrets: what is read, shown and refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use hookring_sinks::Secret;
use hookring_sinks::webhook::{Format, WebhookConfig};

use super::*;

fn webhook(text: &str) -> WebhookConfig {
    let config = parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    match config.sinks.into_iter().next().map(|sink| sink.kind) {
        Some(SinkKind::Webhook(webhook)) => *webhook,
        other => panic!("{other:?}"),
    }
}

/// A sink with a good address and these lines.
fn with(lines: &str) -> String {
    format!("[sinks.hook]\ntype = \"webhook\"\nurl = \"https://example.com/x\"\n{lines}\n")
}

#[test]
fn every_key_is_read_and_shown_as_it_is() {
    let text = with(
        "format = \"standard-webhooks\"\nbatches = true\nsecret = { env = \"KEY\" }\n\
         old_secret = { command = [\"cat\", \"/x/${LANES}\"] }\ngzip = true\ntimeout = \"5s\"\n\
         connect_timeout = \"2s\"\nproxy = { env = \"SECRET\" }\n\
         headers = { X-From = \"ci\", Authorization = \"Bearer ${SECRET}\", \"x.key\" = { env = \"SECRET\" } }",
    );
    let hook = webhook(&text);
    assert_eq!(hook.url.to_string(), "https://example.com");
    assert_eq!((hook.format, hook.batches, hook.gzip), (Format::StandardWebhooks, true, true));
    let command = ["cat", "/x/64"].map(str::to_owned);
    let secret = || Secret::Env("SECRET".to_owned());
    assert_eq!(hook.keys, [Secret::Env("KEY".to_owned()), Secret::Command(command.into())]);
    let headers = [
        ("Authorization", Secret::Text("Bearer hunter2".to_owned().into())),
        ("X-From", Secret::Text("ci".to_owned().into())),
        ("x.key", secret()),
    ];
    assert_eq!(hook.connection.headers, headers.map(|(name, secret)| (name.to_owned(), secret)));
    assert_eq!(
        (hook.connection.timeout.as_secs(), hook.connection.connect_timeout.as_secs()),
        (5, 2)
    );
    let shown = parse(&text).unwrap().to_toml();
    assert_snapshot!(shown.split("[sinks.hook.filter]").next().unwrap());
    assert!(!shown.contains("hunter2") && !format!("{hook:?}").contains("hunter2"));
    let json = parse(&text).unwrap().to_json();
    assert_eq!(json["sinks"]["hook"]["secret"]["env"], "KEY");
    assert_eq!(
        parse(&shown).unwrap_or_else(|errors| panic!("{errors}")).sinks,
        parse(&text).unwrap().sinks
    );
}

#[test]
fn what_is_wrong_is_told_at_its_place() {
    assert_snapshot!(errors(
        "[sinks.a]\ntype = \"webhook\"\n[sinks.b]\ntype = \"webhook\"\nurl = \"example.com/x\"\n\
         path = \"/x\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n[sinks.c]\ntype = \"webhook\"\n\
         url = \"http://example.com/\"\nformat = \"standard-webhook\"\nheaders = { X-Token = \"x\", Host = \"a\" }\n\
         proxy = 3\n[sinks.d]\ntype = \"webhook\"\nurl = \"http://example.com/\"\n\
         headers.Authorization.env = \"SECRET\"\nformat = \"standard-webhooks\"\nca_file = \"/no/such/file\"\n\
         timeout = \"1ms\"\n[sinks.e]\ntype = \"webhok\"\nurl = \"https://ada:pw@example.com/\"\n\
         secret = { env = \"NONE\", file = \"/x\" }\n[sinks.f]\ntype = \"stdout\"\nurl = \"https://example.com/\"\n"
    ));
}

#[test]
fn a_secret_that_cannot_be_read_is_refused_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let [empty, good] = ["empty", "good"].map(|name| dir.path().join(name).display().to_string());
    fs::write(&empty, "\n").unwrap();
    fs::write(&good, "hunter2\n").unwrap();
    for (place, said) in [
        ("{ env = \"NONE\" }", "the environment variable `NONE` is not set"),
        ("{ env = 3 }", "expected a string, found an integer"),
        ("{ file = \"secret\" }", "a path must be absolute"),
        ("{ file = \"/no/such/file\" }", "cannot read the secret in /no/such/file: No such file"),
        (&format!("{{ file = \"{empty}\" }}"), "is empty"),
        ("{ command = [] }", "there is no such program"),
        ("{ command = [\"no-such-program\"] }", "there is no such program"),
        ("{ command = [\"/etc/passwd\"] }", "there is no such program"),
        ("{ command = \"cat\" }", "expected a list of strings, found a string"),
        ("{ command = [1] }", "expected a string, found an integer"),
        ("{ vault = \"x\" }", "a secret cannot be there"),
        ("{ env = \"SECRET\", file = \"/x\" }", "this must say one place"),
        ("{}", "this must say one place"),
        ("\"hunter3\"", "a secret may not stand in the configuration itself"),
        ("[\"hunter3\"]", "expected a secret, found an array"),
    ] {
        let text = with(&format!("headers = {{ X-Token = {place} }}"));
        let problems = parse(&text).unwrap_err().problems;
        assert!(problems[0].message.contains(said), "{place}: {problems:?}");
        assert_eq!(problems[0].place.as_ref().map(|it| it.line), Some(4), "{place}");
        assert_eq!(problems.len(), 1, "{place}: {problems:?}");
    }
    for (proxy, said) in [
        ("http://ada:hunter2@proxy", "may not stand in the configuration"),
        ("socks5://proxy", "only proxies of `http://` and `https://`"),
        ("http://a b", "this is not the URL of a proxy"),
    ] {
        let problems = parse(&with(&format!("proxy = \"{proxy}\""))).unwrap_err().problems;
        assert!(problems.len() == 1 && problems[0].message.contains(said), "{problems:?}");
    }
    let file = with(&format!("headers = {{ X-Token = {{ file = \"{good}\" }} }}"));
    assert!(!parse(&file).unwrap().to_toml().contains("hunter2"));
}

#[test]
fn a_secret_in_a_file_that_everybody_can_read_gets_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "hunter2\n").unwrap();
    let file = path.display();
    let text = with(&format!("headers = {{ X-Token = {{ file = \"{file}\" }} }}"));
    let doubts = |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let config = parse(&text).unwrap();
        config.doubts.iter().map(Warning::to_string).collect::<Vec<_>>()
    };
    // A group may have to share it.
    for mode in [0o600, 0o400, 0o440, 0o640, 0o660, 0o711] {
        assert_eq!(doubts(mode), [""; 0], "{mode:o}");
    }
    for (mode, what) in [(0o644, "read"), (0o602, "changed"), (0o666, "read and changed")] {
        let said = format!(
            "/etc/hookring.toml:4:32: sinks.hook.headers.X-Token.file: {file} can be {what} by everybody (mode \
             0{mode:o}): run `chmod 600 {file}`"
        );
        assert_eq!(doubts(mode), [said]);
    }
}

#[test]
fn what_a_file_must_have_to_be_a_secret_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let text = with(&format!("headers = {{ X-Token = {{ file = \"{}\" }} }}", path.display()));
    for (content, help) in [
        (Some("\n"), "write the secret into it, on one line"),
        (Some("hunter2\nhunter3"), "the secret is all that it may have, on one line"),
        (None, "the daemon must be able to read it"),
    ] {
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let problems = parse(&text).unwrap_err().problems;
        assert_eq!(problems[0].help.as_deref(), Some(help), "{problems:?}");
    }
}

#[test]
fn a_secret_to_sign_with_that_is_none_is_refused_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("short").display().to_string();
    fs::write(&file, "whsec_c2hvcnQ=\n").unwrap();
    let signed = |key: &str, place: &str| {
        let first = if key == "secret" { "" } else { "secret = { env = \"KEY\" }\n" };
        parse(&with(&format!("format = \"standard-webhooks\"\n{first}{key} = {place}")))
    };
    for key in ["secret", "old_secret"] {
        for (place, said) in [
            ("{ env = \"SECRET\" }", "is no base64"),
            ("\"${SECRET}\"", "is no base64"),
            (&format!("{{ file = \"{file}\" }}"), "has 5 bytes, and should have 24 to 64"),
        ] {
            let errors = signed(key, place).unwrap_err();
            let [problem] = &errors.problems[..] else { panic!("{errors}") };
            assert!(problem.message.contains(said), "{errors}");
            assert_eq!(problem.key.as_deref(), Some(&*format!("sinks.hook.{key}")));
            assert!(problem.place.is_some());
            assert!(!errors.to_string().contains("hunter2"), "{errors}");
        }
        // It is not run, so nobody knows.
        assert!(signed(key, "{ command = [\"echo\", \"x\"] }").is_ok());
    }
}

/// Errors quote the file, and are logged.
#[test]
fn a_secret_in_the_file_is_not_quoted() {
    for line in [
        "secret = \"hunter2\"",
        "secret = \"whsec_hunter2\"\nsecret = 3",
        "secret = whsec_hunter2",
        "old_secret = [\"whsec_hunter2\"]",
        "headers = { Authorization = \"hunter2\", Host = \"x\" }",
        "proxy = { env = \"NONE\" }\nheaders = { X-Key = \"hunter2\" }",
        "proxy = \"http://ada:hunter2@p\"\ngzip = 3",
    ] {
        let found = errors(&with(line));
        assert!(!found.contains("hunter2"), "{found}");
    }
    let found = errors("[sinks.a]\ntype = \"webhook\"\nurl = \"https://ada:hunter2@example.com\"");
    assert!(!found.contains("hunter2"), "{found}");
}

#[test]
fn an_address_that_everybody_can_read_along_gets_a_warning() {
    for (url, warnings) in [("http://example.com/", 1), ("http://127.0.0.1:8080/", 0)] {
        let text = format!("[sinks.a]\ntype = \"webhook\"\nurl = \"{url}\"\n");
        assert_eq!(parse(&text).unwrap().doubts.len(), warnings, "{url}");
    }
}
