//! Webhooks from outside: a daemon with a sink that sends to a server which fails, and what people see of it.

mod asked;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use hookring_faults::{FaultServer, Reply};
use hookring_tests::{Bed, programs, wait_for};
use serde_json::Value;

/// Hooks may be slow where this runs, which a daemon would say among the events that are counted.
fn hook(server: &FaultServer, more: &str) -> String {
    let url = server.url("/T0/path-hunter2?key=query-hunter2");
    format!(
        "[health]\nhook_p99 = \"0s\"\n[sinks.hook]\ntype = \"webhook\"\nstart = \"oldest\"\nurl = \"{url}\"\n{more}\n"
    )
}

/// The numbers that hooks gave to the events which the server took, in the order of arrival.
fn taken(server: &FaultServer) -> Vec<(u64, String)> {
    let mut taken = Vec::new();
    for request in server.taken() {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let events = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        for event in events {
            let number = event["payload"]["n"].as_u64().expect("a number");
            taken.push((number, event["id"].as_str().expect("an id").to_owned()));
        }
    }
    taken
}

fn sink(bed: &Bed) -> Value {
    bed.status()["sinks"][0].clone()
}

fn wait_for_error(bed: &Bed, part: &str) -> String {
    wait_for(part, || {
        let error = sink(bed)["last_error"].as_str().map(str::to_owned);
        error.filter(|error| error.contains(part))
    })
}

#[test]
fn every_event_arrives_whatever_the_server_does_and_whenever_the_daemon_dies() {
    for batches in [false, true] {
        let server = FaultServer::start();
        let bed = Bed::new();
        bed.configure(&hook(&server, &format!("timeout = \"1s\"\nbatches = {batches}")));
        let mut last = 0;
        for (fault, reply) in Reply::faults() {
            let daemon = bed.start();
            server.next([reply]);
            bed.emit_numbers(last..last + 5);
            last += 5;
            let requests = server.requests();
            if fault.contains("at once") {
                wait_for("a connection", || (server.connections() > 0).then_some(()));
            } else {
                server.wait_for_requests(requests.max(1));
            }
            daemon.kill();
        }
        let daemon = bed.start();
        wait_for("everything to be delivered", || (sink(&bed)["lag_events"] == 0).then_some(()));
        // The last of a quiet hour waits for no other.
        bed.emit_numbers(last..last + 1);
        wait_for("the last event", || {
            taken(&server).iter().any(|(number, _)| *number == last).then_some(())
        });
        assert_eq!(daemon.stop(), 0);
        let taken = taken(&server);
        let mut numbers = Vec::new();
        for (number, _) in &taken {
            if !numbers.contains(number) {
                numbers.push(*number);
            }
        }
        assert_eq!(numbers, Vec::from_iter(0..=last), "in order, but for repeats");
        let pairs: HashSet<_> = taken.iter().collect();
        assert_eq!(pairs.len(), numbers.len(), "a repeat has the same id");
    }
}

/// What a daemon with secrets leaves and says.
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    fn add(&mut self, name: &str, output: &Output) {
        self.0.push((name.to_owned(), [&output.stdout[..], &output.stderr].concat()));
    }

    fn add_files(&mut self, dir: &Path, but: &[&str]) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            if path.is_dir() {
                self.add_files(&path, but);
            } else if path.is_file() && !but.contains(&name) {
                // Some go while they are listed.
                self.0.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
            }
        }
    }

    fn assert_silent(&self, secret: &str) {
        for (place, bytes) in &self.0 {
            let is_there = bytes.windows(secret.len()).any(|it| it == secret.as_bytes());
            assert!(!is_there, "{secret} is in {place}: {}", String::from_utf8_lossy(bytes));
        }
    }
}

#[test]
fn a_sinks_secrets_are_nowhere_to_be_seen() {
    let server = FaultServer::start();
    // It sends back all that it got.
    server.set_rule(|request| {
        let headers: Vec<_> = request.headers.iter().map(|(_, value)| value.as_str()).collect();
        Reply::with(422, &[], &headers.join(" "))
    });
    let bed = Bed::new();
    let dir = bed.path().display().to_string();
    fs::write(bed.path().join("token"), "file-hunter2\n").expect("a token");
    fs::write(bed.path().join("script"), "#!/bin/sh\necho command-hunter2\necho err-hunter2 >&2\n")
        .expect("a script");
    fs::set_permissions(bed.path().join("script"), fs::Permissions::from_mode(0o700))
        .expect("its mode");
    bed.configure(&hook(
        &server,
        &format!(
            "headers = {{ Authorization = \"Bearer ${{HOOK_TOKEN}}\", X-Key = {{ file = \"{dir}/token\" }}, \
             X-Secret = {{ command = [\"{dir}/script\"] }}, X-Api-Key = {{ env = \"HOOK_KEY\" }} }}"
        ),
    ));
    let with_env = |mut command: std::process::Command| {
        command.env("HOOK_TOKEN", "text-hunter2").env("HOOK_KEY", "env-hunter2");
        command
    };
    let daemon = bed.start_with(&mut with_env(bed.command("hookring")));
    bed.emit_numbers(0..1);
    wait_for_error(&bed, "422");
    let sent = &server.received()[0];
    let secrets = ["text-hunter2", "file-hunter2", "command-hunter2", "env-hunter2"];
    for secret in secrets {
        assert!(sent.headers.iter().any(|(_, value)| value.ends_with(secret)), "{secret}");
    }
    let mut said = Said(Vec::new());
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["config", "show"],
        &["config", "show", "--json"],
        &["config", "check"],
        &["reload"],
        &["tail"],
    ] {
        let mut command = with_env(bed.command("hookring"));
        said.add(&args.join(" "), &command.args(args).output().expect("hookring runs"));
    }
    assert_eq!(daemon.stop(), 0);
    said.add_files(bed.path(), &["hookring.toml", "token", "script", "hookring", "ring"]);
    for secret in secrets.iter().chain(&["err-hunter2"]) {
        said.assert_silent(secret);
    }
    // Of the address, neither, but where the configuration is shown.
    said.0.retain(|(place, _)| !place.starts_with("config show"));
    said.assert_silent("path-hunter2");
    said.assert_silent("query-hunter2");
    // Else nothing of this could fail.
    let log = said.0.iter().find(|(place, _)| place.ends_with("daemon.log")).expect("a log");
    assert!(String::from_utf8_lossy(&log.1).contains("answered 422"));
}

#[test]
fn a_daemon_that_was_told_to_ignore_its_children_gets_secrets_of_programs_all_the_same() {
    let server = FaultServer::start();
    let bed = Bed::new();
    bed.configure(&hook(
        &server,
        "headers = { X-Key = { command = [\"/bin/echo\", \"hunter2\"] } }",
    ));
    let mut shell = bed.command("/bin/sh");
    shell.args(["-c", "trap '' CHLD; exec \"$0\" \"$@\""]).arg(programs().join("hookring"));
    let daemon = bed.start_with(&mut shell);
    bed.emit_numbers(0..1);
    wait_for("the event", || (taken(&server).len() == 1).then_some(()));
    let sent = &server.taken()[0];
    assert!(sent.headers.iter().any(|(_, value)| value == "hunter2"));
    assert_eq!(daemon.stop(), 0);
}

/// Has the hook send a token of a file, which is returned.
fn configure_with_token(bed: &Bed, server: &FaultServer, text: &str) -> PathBuf {
    let token = bed.path().join("token");
    fs::write(&token, text).expect("a token");
    let headers = format!("headers = {{ X-Key = {{ file = \"{}\" }} }}", token.display());
    bed.configure(&hook(server, &headers));
    token
}

#[test]
fn a_reload_has_a_changed_secret_read_though_the_configuration_is_the_same() {
    let server = FaultServer::start();
    let bed = Bed::new();
    let token = configure_with_token(&bed, &server, "one");
    let daemon = bed.start();
    for (number, key) in [(0, "one"), (1, "two")] {
        fs::write(&token, key).expect("a token");
        let said = String::from_utf8(bed.hookring(&["reload"]).stdout).expect("text");
        let expected = "nothing changed in it\nthe sinks' secrets are read again\n";
        assert!(said.starts_with("reloaded: ") && said.ends_with(expected), "{said}");
        bed.emit_numbers(number..number + 1);
        server.wait_for_requests(number as usize + 1);
        assert_eq!(server.received()[number as usize].header("x-key"), Some(key));
    }
    // Where there is none, nothing of the kind is said.
    bed.configure(&hook(&server, ""));
    let said = String::from_utf8(bed.hookring(&["reload"]).stdout).expect("text");
    assert!(said.ends_with("changed\n") && !said.contains("secrets"), "{said}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_reload_has_a_refused_sink_tried_at_once() {
    let server = FaultServer::start();
    server.set_rule(|request| match request.header("x-key") {
        Some("two") => Reply::ok(),
        _ => Reply::status(401),
    });
    let bed = Bed::new();
    let token = configure_with_token(&bed, &server, "one");
    let daemon = bed.start();
    bed.emit_numbers(0..1);
    wait_for("the refusal", || (sink(&bed)["waits_because"] == "refused").then_some(()));
    let reload = || assert!(bed.hookring(&["reload"]).status.success());
    wait_for("it to be tried", || {
        reload();
        bed.log().contains("sink hook was refused, and is tried now").then_some(())
    });
    fs::write(&token, "two").expect("a token");
    reload();
    wait_for("the event", || (taken(&server).len() == 1).then_some(()));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_server_that_is_wrong_is_told_and_holds_up_nobody_else() {
    let server = FaultServer::start();
    let bed = Bed::new();
    let file = "[sinks.zfile]\ntype = \"jsonl\"\n";
    bed.configure(&format!("{}{file}", hook(&server, "")));
    server.set(Reply::with(301, &[("Location", "https://elsewhere.test/x")], ""));
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    let error = wait_for_error(&bed, "redirects");
    assert!(error.contains("https://elsewhere.test") && error.contains("not followed"), "{error}");
    wait_for("the other sink", || {
        let lines = fs::read_to_string(bed.path().join("sinks/zfile.jsonl")).unwrap_or_default();
        (lines.lines().count() == 3).then_some(())
    });
    server.set(Reply::status(410));
    let status = || bed.hookring(&["status"]);
    wait_for("the sink to be off", || (sink(&bed)["state"] == "off").then_some(()));
    let said = String::from_utf8(status().stdout).expect("text");
    assert!(said.contains("410 Gone"), "{said}");
    let where_to = format!("sink hook posts to {}\n", server.url(""));
    assert!(bed.log().contains(&where_to), "{}", bed.log());
    assert_eq!(daemon.stop(), 0);
}

/// A server that never answers keeps no daemon from its end.
#[test]
fn a_daemon_ends_though_its_receiver_says_nothing() {
    let server = FaultServer::start();
    server.set(Reply::silence());
    let bed = Bed::new();
    bed.configure(&hook(&server, "timeout = \"1h\""));
    let daemon = bed.start();
    bed.emit_numbers(0..1);
    server.wait_for_requests(1);
    assert_eq!(daemon.stop(), 0);
    assert!(bed.log().contains(" to go, which the journal keeps"), "{}", bed.log());
}
