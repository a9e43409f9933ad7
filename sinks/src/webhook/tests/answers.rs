//! What each answer means, and what is shown of it.

use super::*;

#[test]
fn each_status_has_the_outcome_of_the_table() {
    let server = FaultServer::start();
    let mut sink = sink(config(&server));
    let mut journal = TestJournal::new();
    journal.write_many(1);
    for (statuses, outcome) in [
        (&[200, 201, 202, 204, 299][..], "accepted"),
        (&[429], "throttled"),
        (&[408, 421, 425, 500, 501, 502, 503, 504, 507, 599], "failed"),
        (&[413], "too large"),
        (&[301, 302, 303, 304, 307, 308, 401, 402, 403, 404, 405, 407, 426], "refused"),
        (&[410], "gone"),
        (&[400, 406, 409, 411, 415, 418, 422, 423, 431, 451, 499], "rejected"),
    ] {
        for status in statuses {
            server.next([Reply::with(*status, &[("Location", "https://b.test/x?k=hunter2")], "")]);
            let found = sink.deliver(&journal.batch(1, 1));
            assert_eq!(name(&found), outcome, "{status}: {found:?}");
            let words = words(&found);
            assert_eq!(words.contains(&status.to_string()), outcome != "accepted", "{words}");
            assert!(!words.contains("hunter2"), "{words}");
            assert_eq!(words.contains("https://b.test"), (300..400).contains(status), "{words}");
            assert_eq!(
                found.status(),
                ["rejected", "too large"].contains(&outcome).then_some(*status)
            );
        }
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let (server, other) = (FaultServer::start(), FaultServer::start());
    for status in [301, 302, 303, 307, 308] {
        server.set(Reply::with(status, &[("Location", &other.url("/"))], ""));
        assert_eq!(name(&send_one(&mut sink(config(&server)))), "refused");
    }
    assert_eq!((server.requests(), other.connections()), (5, 0));
}

#[test]
fn retry_after_is_read_in_both_forms() {
    let server = FaultServer::start();
    let mut sink = sink(config(&server));
    // The clock says 2023-11-14 22:13:20.
    for (value, seconds) in [
        ("120", Some(120)),
        ("Tue, 14 Nov 2023 22:14:00 GMT", Some(40)),
        ("Tue, 14 Nov 2023 22:00:00 GMT", Some(0)),
        ("99999999999999999999", Some(u64::MAX)),
        ("soon", None),
        ("-1", None),
    ] {
        for status in [429, 503] {
            server.next([Reply::with(status, &[("Retry-After", value)], "busy")]);
            let outcome = send_one(&mut sink);
            match (&outcome, seconds) {
                (Outcome::Throttled { wait, .. }, _) => {
                    assert_eq!(*wait, seconds.map(Duration::from_secs), "{value}");
                }
                // Without a time, 503 is a failure as others are.
                (Outcome::Failed { .. }, None) => assert_eq!(status, 503, "{value}"),
                _ => panic!("{status}, {value}: {outcome:?}"),
            }
        }
    }
}

#[test]
fn what_the_server_says_is_shown_without_what_is_secret_or_too_much() {
    let server = FaultServer::start();
    let headers = vec![("X-Api-Key".to_owned(), text("hunter2"))];
    let mut sink = sink(with_headers(headers, &server));
    server.next([Reply::with(422, &[], "{\"error\":\n\t\"no hunter2\u{1b}[2J please\"}")]);
    let said = words(&send_one(&mut sink));
    let expected = format!(
        "{} answered 422 Unprocessable Entity: {{\"error\": \"no *** [2J please\"}}",
        server.url("")
    );
    assert_eq!(said, expected);
    server.next([Reply::with(400, &[], &"é".repeat(5000))]);
    let said = words(&send_one(&mut sink));
    assert!(said.ends_with("é…") && said.chars().count() < 400, "{said}");
}

/// A server that breaks off, drips or floods holds nobody for longer than the limit, and nothing counts as taken.
#[test]
fn what_is_no_answer_is_a_failure() {
    for (fault, reply) in Reply::faults() {
        let server = FaultServer::start();
        server.set(reply);
        let config = by(Connection { timeout: SHORT, ..Connection::default() }, &server);
        let outcome = send_one(&mut sink(config));
        assert_eq!(name(&outcome), "failed", "{fault}: {outcome:?}");
        let words = words(&outcome);
        let beginning = format!("cannot send to {}: ", server.url(""));
        assert!(words.starts_with(&beginning) && words.len() > beginning.len(), "{fault}: {words}");
    }
}

/// Once the status is there it is known what became of the events, whatever the body does.
#[test]
fn a_body_changes_no_answer() {
    let server = FaultServer::start();
    let timeout = Duration::from_secs(3);
    let mut sink = sink(by(Connection { timeout, ..Connection::default() }, &server));
    for reply in [
        Reply::drip_body(Duration::from_millis(50)),
        Reply::endless_body(200),
        Reply::wrong_length(200, 100, "short"),
        Reply::wrong_length(200, 2, "too long"),
        Reply::bad_chunks(200),
    ] {
        server.next([reply.clone()]);
        let outcome = send_one(&mut sink);
        assert_eq!(name(&outcome), "accepted", "{reply:?}: {outcome:?}");
        // What is left of it is not taken for the next answer.
        server.next([Reply::status(400)]);
        let outcome = send_one(&mut sink);
        assert_eq!(name(&outcome), "rejected", "after {reply:?}: {outcome:?}");
    }
    server.next([Reply::endless_body(400)]);
    assert_eq!(name(&send_one(&mut sink)), "rejected");
}

#[test]
fn one_connection_takes_many_requests() {
    let server = FaultServer::start();
    let mut sink = sink(config(&server));
    for status in [200, 400, 503, 204, 429, 200] {
        server.next([Reply::with(status, &[], "some words")]);
        let _ = send_one(&mut sink);
    }
    assert_eq!((server.requests(), server.connections()), (6, 1));
    // A connection that the server closed meanwhile costs nothing.
    server.next([Reply::wrong_length(200, 2, "ok")]);
    assert_eq!(name(&send_one(&mut sink)), "accepted");
    assert_eq!(name(&send_one(&mut sink)), "accepted");
}
