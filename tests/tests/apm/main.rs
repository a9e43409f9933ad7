//! What receivers that are not ours make of what an otlp sink sends: a recorded session arrives as the expected tree
//! of spans, records and metrics, whoever dies on the way. `tests/real.sh` installs them: `rotel`, which parses all of
//! it and sends it on, Elastic's mock of a receiver, and OTLP's own package for Python, which reads the protobuf.

mod content;
mod decoder;
mod figures;
mod inbox;
mod receivers;
mod records;
mod stage;
mod tree;

use hookring_faults::{FaultServer, Received};
use hookring_tests::{Bed, wait_for};

use decoder::Decoder;
use inbox::{Inbox, Item};
use receivers::{Mock, Rotel};
use stage::{emit, emit_every_sample, play_with_deaths, sending_to, session, wait_until_delivered};

/// Spans of the session: two prompts, a subagent, and the calls.
const SPANS: usize = 16;

#[test]
fn what_is_sent_is_the_expected_tree() {
    let server = FaultServer::start();
    let mut decoder = Decoder::start();
    let inbox = played(&server.url(""), "", |inbox| decoder.read(&server, inbox));
    assert_is_expected(&inbox);
    records::assert_are_named(&inbox.logs());
    assert_metrics_are_expected(&inbox);
    let is_gzip = |it: &Received| it.header("content-encoding") == Some("gzip");
    assert!(server.taken().iter().any(is_gzip), "what is large is compressed");
}

#[test]
fn a_strict_receiver_sends_the_same_tree_on() {
    for encoding in ["protobuf", "json"] {
        let (server, bed) = (FaultServer::start(), Bed::new());
        let rotel = Rotel::sending_on_to(&server, &bed);
        let mut decoder = Decoder::start();
        let settings = format!("encoding = \"{encoding}\"");
        let inbox = played(&rotel.url(), &settings, |inbox| decoder.read(&server, inbox));
        assert_is_expected(&inbox);
        records::assert_are_named(&inbox.logs());
        // In JSON, it loses each histogram whose counts are texts, as OTLP wants them.
        if encoding == "protobuf" {
            assert_metrics_are_expected(&inbox);
        }
        // It does not take everything.
        assert_eq!(rotel.answer(b""), "HTTP/1.1 200 OK");
        assert_eq!(rotel.answer(b"no protobuf"), "HTTP/1.1 400 Bad Request");
    }
}

/// Twice: with a daemon that is killed again and again, and all of it once more; then somewhere else, without.
#[test]
fn whoever_dies_there_is_one_set_of_spans() {
    let (server, bed) = (FaultServer::start(), Bed::new());
    let rotel = Rotel::sending_on_to(&server, &bed);
    let mut decoder = Decoder::start();
    let first = sending_to(&rotel.url(), "batch_events = 7");
    play_with_deaths(&first);
    let daemon = first.start();
    let mut inbox = Inbox::default();
    wait_for("all of the session", || {
        decoder.read(&server, &mut inbox);
        has_events(&inbox).then_some(())
    });
    // Those that were killed may have sent all of it.
    wait_until_delivered(&first, 0);
    assert_is_expected(&inbox);
    let (spans, before) = (inbox.spans(), inbox.log_count());
    assert!(first.hookring(&["sink", "reset", "apm", "--to", "oldest"]).status.success());
    wait_for("all of the session once more", || {
        decoder.read(&server, &mut inbox);
        (inbox.log_count() >= before + session().len()).then_some(())
    });
    wait_until_delivered(&first, session().len());
    assert_eq!(daemon.stop(), 0);
    decoder.read(&server, &mut inbox);
    assert_eq!(inbox.spans(), spans, "with its times, each is the same");
    let of_first = inbox.requests.len();
    let again = played(&rotel.url(), "", |again| {
        decoder.read(&server, &mut inbox);
        again.requests = inbox.requests[of_first..].to_vec();
    });
    assert_is_expected(&again);
    assert!(again.spans().keys().eq(spans.keys()), "another daemon has other ids");
}

/// What is never ended ends when its session is silent for a second, and somebody else speaks.
#[test]
fn a_strict_receiver_takes_what_every_agent_says() {
    let (server, bed) = (FaultServer::start(), Bed::new());
    let rotel = Rotel::sending_on_to(&server, &bed);
    let mut decoder = Decoder::start();
    let bed = sending_to(&rotel.url(), "content = true\nspan_timeout = \"1s\"");
    let daemon = bed.start();
    let samples = emit_every_sample(&bed);
    let mut inbox = Inbox::default();
    wait_for("every record with its span", || {
        emit(&bed, &[r#"{"session_id":"another","hook_event_name":"SessionEnd"}"#.to_owned()]);
        decoder.read(&server, &mut inbox);
        let (spans, logs) = (inbox.spans(), inbox.logs());
        let is_sample = |it: &&Item| it.0["attributes"]["session.id"] != "another";
        let is_all = logs.values().filter(is_sample).count() == samples;
        (is_all && tree::have_parents(&spans) && records::have_spans(&logs, &spans)).then_some(())
    });
    wait_until_delivered(&bed, samples);
    assert_eq!(daemon.stop(), 0);
    tree::assert_are_valid(&inbox.spans());
    records::assert_are_named(&inbox.logs());
}

#[test]
fn a_mock_of_a_backend_shows_the_same_tree() {
    // It inflates nothing.
    for encoding in ["protobuf", "json"] {
        let bed = Bed::new();
        let mut mock = Mock::start(&bed);
        let settings = format!("encoding = \"{encoding}\"\ncompression = \"none\"");
        let inbox = played(&mock.url.clone(), &settings, |inbox| mock.read(inbox));
        assert_is_expected(&inbox);
        assert_metrics_are_expected(&inbox);
    }
}

#[test]
fn what_was_said_arrives_where_it_is_wanted() {
    let bed = Bed::new();
    let mut mock = Mock::start(&bed);
    let settings = "compression = \"none\"\ncontent = true";
    let inbox = played(&mock.url.clone(), settings, |inbox| mock.read(inbox));
    content::assert_is_there(&inbox, &session());
}

/// Plays the session to a receiver until that has all of it. `read` tells what it has.
fn played(url: &str, settings: &str, mut read: impl FnMut(&mut Inbox)) -> Inbox {
    let bed = sending_to(url, settings);
    let daemon = bed.start();
    emit(&bed, &session());
    let mut inbox = Inbox::default();
    wait_for("all of the session", || {
        read(&mut inbox);
        let has_metrics = figures::have(&inbox.metrics(), session().len());
        (has_events(&inbox) && has_metrics).then_some(())
    });
    wait_until_delivered(&bed, session().len());
    assert_eq!(daemon.stop(), 0);
    inbox
}

fn has_events(inbox: &Inbox) -> bool {
    inbox.spans().len() >= SPANS && inbox.logs().len() >= session().len()
}

fn assert_is_expected(inbox: &Inbox) {
    let spans = inbox.spans();
    insta::assert_snapshot!("spans", tree::tree(&spans));
    insta::assert_snapshot!("records", records::records(&inbox.logs(), &spans));
}

fn assert_metrics_are_expected(inbox: &Inbox) {
    insta::assert_snapshot!("metrics", figures::figures(&inbox.metrics()));
}
