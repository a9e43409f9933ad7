//! Programs that hang, lie, and break off: each an error in words, a failure, and never a loss.

use super::*;
use crate::exec::child::MAX_SAID_BYTES;
use crate::testing::wait_until;

/// What a program does with a batch, and what is said of it.
const LIES: [(&str, &str); 27] = [
    (
        "raw some debug output",
        "a line of 17 bytes is not JSON (expected value at line 1 column 1): `some debug output`",
    ),
    ("raw {\"jsonrpc\":\"2.0\",", "is not JSON (EOF"),
    (
        "raw {\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"outcome\":\"accepted\"}} {}",
        "trailing characters",
    ),
    ("raw {}", "is no message of JSON-RPC 2.0 (missing field `jsonrpc`"),
    ("raw {\"jsonrpc\":\"1.0\",\"id\":$ID,\"result\":{}}", "`jsonrpc` is not \"2.0\""),
    ("raw {\"jsonrpc\":\"2.0\",\"id\":$ID}", "neither a `result` nor an `error`"),
    (
        "raw {\"jsonrpc\":\"2.0\",\"result\":{\"outcome\":\"accepted\"}}",
        "neither a `method` nor an `id`",
    ),
    (
        "raw {\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{},\"error\":{\"code\":1}}",
        "a `result` and an `error`",
    ),
    (
        "raw {\"jsonrpc\":\"2.0\",\"id\":\"$ID\",\"result\":{\"outcome\":\"accepted\"}}",
        "its `id` is none of a request's",
    ),
    (
        "raw {\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{\"outcome\":\"accepted\"}}",
        "it answered request 99, which does not wait",
    ),
    (
        "raw {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
        "it answered request 1, which does not wait",
    ),
    (
        "raw [{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"outcome\":\"accepted\"}}]",
        "a batch, which there is not",
    ),
    ("bytes", "no UTF-8 from byte 34 on"),
    ("huge", "a line is longer than 4194304 bytes"),
    ("half", "it ended (exit status: 0)"),
    ("exit 3", "it ended (exit status: 3)"),
    ("abort", "it ended (signal: 6"),
    ("leave_one", "it ended (exit status: 3)"),
    ("answer {\"outcomes\":[]}", "0 outcomes for 3 events"),
    (
        "answer {\"outcomes\":[\"accepted\",\"accepted\",\"accepted\",\"accepted\"]}",
        "more than 3 outcomes",
    ),
    (
        "answer {\"outcomes\":[\"accepted\",\"accepted\",\"throttled\"]}",
        "there is no outcome `throttled` for one event, only accepted, failed and rejected",
    ),
    (
        "answer {\"outcome\":\"acepted\"}",
        "there is no outcome `acepted`, only accepted, throttled, failed, too_large, rejected, refused and gone",
    ),
    ("answer {\"outcome\":\"ok\"}", "there is no outcome `ok`, only accepted, "),
    ("answer {\"outcome\":\"throttled\",\"seconds\":-1}", "`seconds` is less than 0"),
    ("answer {\"outcome\":\"failed\",\"seconds\":1}", "`seconds` are for `throttled` alone"),
    ("answer {\"outcomes\":[\"failed\"],\"seconds\":1}", "`seconds` are for `throttled` alone"),
    ("ask 65", "it asked 65 questions during one call"),
];

#[test]
fn each_lie_is_a_failure_in_words_and_the_next_program_gets_the_batch() {
    let (journal, program) = place(3);
    let mut sink = sink(&program);
    for (at, (order, error)) in LIES.into_iter().enumerate() {
        program.order([order]);
        let (word, said) = told(&sink.deliver(&journal.batch(1, 3)));
        assert_eq!(word, "failed", "{order}: {said}");
        assert!(said.starts_with("cannot deliver to sh") && said.contains(error), "{said}");
        assert!(sink.deliver(&journal.batch(1, 3)).error().is_none(), "after {order}");
        // The first one was started for the first lie.
        assert_eq!(program.notes("pids").len(), at + 2, "{order}");
    }
}

#[test]
fn a_program_may_lie_in_every_way_and_no_event_is_lost_or_given_up() {
    let (mut journal, program) = place(60);
    program.order(LIES.map(|lie| lie.0));
    let mut pump = journal.pump("s");
    pump.batch_events = 3;
    let handle = pump.start(Box::new(sink(&program)), journal.tail()).expect("a worker");
    wait_until(&handle, |stats| stats.retries > 3);
    journal.write_many(60);
    let stats = wait_until(&handle, |stats| stats.lag_events == 0);
    assert!(handle.stop(deadline()).worker_ended);
    assert_eq!((stats.dead_letters, stats.skipped_events), (0, 0));
    let mut taken = program.taken();
    assert!(taken.len() >= 120, "{taken:?}");
    let mut order = taken.clone();
    order.dedup();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken, Vec::from_iter(1..=120));
}

#[test]
fn an_answer_that_comes_twice_costs_the_next_batch_a_repeat() {
    let (journal, program) = place(4);
    let mut sink = sink(&program);
    program.order(["twice"]);
    assert_eq!(told(&sink.deliver(&journal.batch(1, 2))).0, "accepted");
    let mut said = told(&sink.deliver(&journal.batch(3, 2)));
    if said.0 == "failed" {
        assert!(said.1.contains("it answered request 2, which does not wait"), "{said:?}");
        said = told(&sink.deliver(&journal.batch(3, 2)));
    }
    assert_eq!(said.0, "accepted");
}

#[test]
fn a_program_that_does_not_answer_is_ended() {
    let (journal, program) = place(1);
    let mut config = program.config();
    config.timeout = Duration::from_secs(2);
    let mut sink = ExecSink::new("s", config);
    program.order(["hang"]);
    let said = told(&sink.deliver(&journal.batch(1, 1)));
    assert_eq!(
        said.1,
        "cannot deliver to sh: it did not answer within 2000 ms; does it flush its stdout after each line?"
    );
    assert!(sink.deliver(&journal.batch(1, 1)).error().is_none());
}

#[test]
fn an_answer_may_come_byte_by_byte() {
    let (journal, program) = place(1);
    program.order(["drip"]);
    assert!(sink(&program).deliver(&journal.batch(1, 1)).error().is_none());
}

#[test]
fn a_program_that_says_too_much_is_ended_long_before_its_time_is_over() {
    let (journal, _program) = place(1);
    for flood in
        ["yes ''", "yes '{\"jsonrpc\":\"2.0\",\"method\":\"log\",\"params\":{\"message\":\"\"}}'"]
    {
        let mut config =
            ExecConfig::new(["sh", "-c", &format!("{HELLO}; read line; exec {flood}")]);
        config.timeout = crate::testing::PATIENCE;
        let mut sink = ExecSink::new("s", config);
        let said = told(&sink.deliver(&journal.batch(1, 1)));
        let error =
            "cannot deliver to sh: it wrote more than 16777216 bytes to its stdout during one call";
        assert_eq!(said, ("failed".to_owned(), error.to_owned()));
    }
}

/// `dd` says how much it got rid of, since here it outlives a pipe that is closed.
#[test]
fn a_program_that_is_being_ended_is_read_no_further_than_any_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("copied");
    let script = format!(
        "{HELLO}; trap '' PIPE; echo debug; LC_ALL=C dd if=/dev/zero bs=65536 2> {}",
        file.display()
    );
    let mut sink = shell(&script);
    sink.open().expect("it works");
    wait_for("the line to be noticed", || sink.idle().is_err().then_some(()));
    let copied = lines(&file).into_iter().find(|line| line.contains(" bytes "));
    let copied = copied.expect("it ended by itself");
    let bytes: usize = copied.split(' ').next().expect("a word").parse().expect("a number");
    assert!(bytes < MAX_SAID_BYTES + (1 << 20), "{copied}");
}

#[test]
fn a_program_that_does_not_read_is_ended() {
    let (mut journal, program) = place(1);
    // More than a pipe holds.
    journal.write([format!("{{\"text\":\"{}\"}}", "x".repeat(1 << 20))]);
    let mut config = program.config();
    config.timeout = Duration::from_secs(2);
    let mut sink = ExecSink::new("s", config);
    program.order(["deaf"]);
    assert_eq!(told(&sink.deliver(&journal.batch(1, 1))).0, "accepted");
    let said = told(&sink.deliver(&journal.batch(2, 1)));
    assert_eq!(
        said.1,
        "cannot deliver to sh: it did not answer within 2000 ms; does it flush its stdout after each line?"
    );
    assert!(sink.deliver(&journal.batch(2, 1)).error().is_none());
    assert_eq!(program.taken(), [1, 2]);
}

#[test]
fn both_may_write_much_at_the_same_time() {
    let (mut journal, program) = place(0);
    journal.write([format!("{{\"text\":\"{}\"}}", "x".repeat(1 << 20))]);
    fs::write(program.folder.join("greeting"), "chatter 20000").expect("a greeting");
    program.order(["say"]);
    let mut sink = sink(&program);
    sink.open().expect("it works");
    let said = told(&sink.deliver(&journal.batch(1, 1)));
    assert_eq!(said.1, "");
}

#[test]
fn a_question_is_answered_with_the_error_that_there_is_no_such_method() {
    let (journal, program) = place(2);
    program.order(["ask 64"]);
    let mut sink = sink(&program);
    assert_eq!(told(&sink.deliver(&journal.batch(1, 1))).1, "");
    assert_eq!(told(&sink.deliver(&journal.batch(2, 1))).1, "");
    let answers = program.notes("answers");
    assert_eq!(answers.len(), 64);
    assert!(answers[0].contains("\"id\":\"mine\"") && answers[0].contains("-32601"), "{answers:?}");
}

#[test]
fn who_writes_no_message_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("told");
    let script = format!("{HELLO}; echo debug; read line; echo \"$line\" > {}", file.display());
    let mut sink = shell(&script);
    sink.open().expect("it works");
    wait_for("the line to be noticed", || sink.idle().is_err().then_some(()));
    let told: serde_json::Value = serde_json::from_str(&lines(&file)[0]).expect("JSON");
    assert_eq!((&told["id"], &told["error"]["code"]), (&().into(), &(-32700).into()));
}

#[test]
fn an_answer_before_the_request_is_read_is_not_believed() {
    let (mut journal, _program) = place(0);
    journal.write([format!("{{\"text\":\"{}\"}}", "x".repeat(1 << 20))]);
    let early = r#"{"jsonrpc":"2.0","id":2,"result":{"outcome":"accepted"}}"#;
    let mut sink = shell(&format!("{HELLO}; sleep 0.05; echo '{early}'; exec sleep 1000"));
    let said = told(&sink.deliver(&journal.batch(1, 1)));
    assert_eq!(said.1, "cannot deliver to sh: it answered before it had read the whole request");
}

#[test]
fn a_program_that_closes_a_pipe_and_runs_on_is_ended() {
    let (journal, _program) = place(1);
    for (script, error) in [
        ("exec 1>&-; exec sleep 1000", "it closed its stdout"),
        ("exec 0<&-; exec sleep 1000", "it closed its stdin"),
    ] {
        let mut sink = shell(&format!("{HELLO}; {script}"));
        sink.open().expect("it works");
        let said = wait_for("the failure", || {
            Some(told(&sink.deliver(&journal.batch(1, 1))).1).filter(|it| it.contains(error))
        });
        assert!(said.starts_with("cannot deliver to sh"), "{said}");
    }
}

#[test]
fn the_last_words_of_a_program_are_in_the_error() {
    let (journal, _program) = place(1);
    let mut sink =
        shell(&format!("{HELLO}; read line; echo Traceback >&2; echo 'no module x' >&2; exit 4"));
    let said = told(&sink.deliver(&journal.batch(1, 1)));
    let expected =
        "cannot deliver to sh, whose last words are `no module x`: it ended (exit status: 4)";
    assert_eq!(said.1, expected);
}
