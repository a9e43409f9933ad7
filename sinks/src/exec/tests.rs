//! The exec sink with real processes: what each answer means, what each lie costs, and how a process begins
//! and ends.

mod ending;
mod lies;

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::program::Program;
use super::*;
use crate::sink::{Answer, Outcome, Sink};
use crate::stats::in_words;
use crate::testing::{TestJournal, deadline, wait_for};

/// A journal with so many events, and a program.
fn place(events: usize) -> (TestJournal, Program) {
    let mut journal = TestJournal::new();
    journal.write_many(events);
    let program = Program::new(journal.path("program"));
    (journal, program)
}

fn sink(program: &Program) -> ExecSink {
    ExecSink::new("s", program.config())
}

/// A program that is a few lines of shell.
fn shell(script: &str) -> ExecSink {
    let mut config = ExecConfig::new(["sh", "-c", script]);
    config.timeout = Duration::from_millis(200);
    ExecSink::new("s", config)
}

/// What a shell says to be taken for a program.
const HELLO: &str = r#"read -r line; echo '{"jsonrpc":"2.0","id":1,"result":{}}'"#;

/// An outcome in a word, and its error.
fn told(outcome: &Outcome) -> (String, String) {
    let word = match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Throttled { wait: Some(_), .. } => "throttled for some time",
        Outcome::Throttled { wait: None, .. } => "throttled",
        Outcome::Failed { .. } => "failed",
        Outcome::TooLarge { .. } => "too large",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Refused { .. } => "refused",
        Outcome::Gone { .. } => "gone",
        Outcome::Each { .. } => "each",
    };
    (word.to_owned(), outcome.error().map(in_words).unwrap_or_default())
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn each_answer_is_the_outcome_that_it_says() {
    let (journal, program) = place(3);
    let mut sink = sink(&program);
    for (order, word, error) in [
        ("answer {\"outcome\":\"accepted\"}", "accepted", ""),
        (
            "answer {\"outcome\":\"rejected\",\"reason\":\"so\"}",
            "rejected",
            "answered `rejected`: so",
        ),
        ("answer {\"outcome\":\"failed\"}", "failed", "answered `failed`"),
        ("answer {\"outcome\":\"too_large\"}", "too large", "too_large"),
        ("answer {\"outcome\":\"throttled\"}", "throttled", "throttled"),
        (
            "answer {\"outcome\":\"throttled\",\"seconds\":0.5}",
            "throttled for some time",
            "throttled",
        ),
        ("answer {\"outcome\":\"refused\",\"reason\":\"no key\"}", "refused", "no key"),
        (
            "answer {\"outcomes\":[\"accepted\",\"accepted\",{\"outcome\":\"accepted\"}]}",
            "accepted",
            "",
        ),
        (
            "answer {\"outcomes\":[\"accepted\",{\"outcome\":\"rejected\",\"reason\":\"odd\"},\"failed\"]}",
            "each",
            "of 3 events 1 was rejected, 1 failed: odd",
        ),
        (
            "answer {\"outcomes\":[\"failed\",\"failed\",\"failed\"],\"reason\":\"all\"}",
            "each",
            ": all",
        ),
        ("error -32700", "rejected", "error -32700"),
        ("error -32600", "rejected", "error -32600"),
        ("error -32601", "refused", "error -32601"),
        ("error -32602", "rejected", "error -32602: no"),
        ("error -32603", "failed", "error -32603"),
        ("error -32000", "failed", "error -32000"),
        ("error 5", "failed", "error 5"),
        (
            "raw {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"what?\"}}",
            "rejected",
            "what?",
        ),
    ] {
        program.order([order]);
        let outcome = sink.deliver(&journal.batch(1, 3));
        let (found, said) = told(&outcome);
        assert_eq!(found, word, "{order}: {said}");
        assert!(said.contains(error), "{order}: {said}");
    }
    assert_eq!(program.notes("pids").len(), 1, "one program answered all");
}

#[test]
fn each_event_has_its_answer_in_its_place() {
    let (journal, program) = place(3);
    program.order(["answer {\"outcomes\":[\"accepted\",\"rejected\",\"failed\"]}"]);
    let outcome = sink(&program).deliver(&journal.batch(1, 3));
    let Outcome::Each { answers, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(answers, [Answer::Accepted, Answer::Rejected, Answer::Failed]);
}

#[test]
fn who_wants_nothing_any_more_is_ended() {
    let (journal, program) = place(1);
    let mut sink = sink(&program);
    program.order(["answer {\"outcome\":\"gone\",\"reason\":\"moved\"}"]);
    let outcome = sink.deliver(&journal.batch(1, 1));
    assert!(told(&outcome).1.contains("moved"), "{outcome:?}");
    assert_eq!(program.notes("methods"), ["initialize", "deliver", "shutdown"]);
}

#[test]
fn a_program_is_told_what_it_is_and_gets_the_events_as_the_journal_has_them() {
    let mut journal = TestJournal::new();
    journal.write([r#"{"a":1.0e2,"ü":"\n\" "}"#, r#"{"b":2}"#]);
    let file = journal.path("asked");
    let mut sink = shell(&format!(
        r#"{HELLO}; printf '%s\n' "$line" > {0}; read -r line; printf '%s\n' "$line" >> {0}; echo '{{"jsonrpc":"2.0","id":2,"result":{{"outcome":"accepted"}}}}'; read line"#,
        file.display()
    ));
    assert_eq!(told(&sink.deliver(&journal.batch(1, 2))).1, "");
    let asked = lines(&file);
    let version = env!("CARGO_PKG_VERSION");
    let hello = serde_json::from_str::<serde_json::Value>(&asked[0]).expect("JSON");
    assert!(asked[0].starts_with(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"#));
    let params = serde_json::json!({"protocol": 1, "hookring": version, "sink": "s"});
    assert_eq!(hello["params"], params);
    let start = r#"{"jsonrpc":"2.0","id":2,"method":"deliver","params":{"batch":"1-2","replay":false,"events":[{"seq":1,"#;
    assert!(asked[1].starts_with(start), "{}", asked[1]);
    let request: serde_json::Value = serde_json::from_str(&asked[1]).expect("JSON");
    let events = request["params"]["events"].as_array().expect("events");
    assert_eq!(events.len(), 2);
    assert!(asked[1].contains("1.0e2"), "not rounded: {}", asked[1]);
    assert_eq!((&events[1]["seq"], &events[1]["payload"]["b"]), (&2.into(), &2.into()));
    assert!(events[0].get("crc").is_none() && events[0].get("from").is_none(), "{}", events[0]);
}

#[test]
fn the_same_batch_has_the_same_name_and_a_replay_says_so() {
    let (journal, program) = place(5);
    let mut sink = sink(&program);
    program.order(["exit 1", "error -32603"]);
    let batch = journal.batch(2, 3);
    let outcomes = [0, 1, 2].map(|_| told(&sink.deliver(&batch)).0);
    assert_eq!(outcomes, ["failed", "failed", "accepted"]);
    assert_eq!(told(&sink.replay(&batch)).0, "accepted");
    let [again, replayed] = ["\"2-4\" false", "\"2-4\" true"];
    assert_eq!(program.notes("batches"), [again, again, again, replayed]);
}

#[test]
fn a_program_says_how_much_it_takes_at_once() {
    let (mut journal, program) = place(10);
    let greetings = "answer {\"max_events\":4}\nanswer {\"max_bytes\":1}";
    fs::write(program.folder.join("greeting"), greetings).expect("the greetings");
    let handle = journal.start("s", sink(&program));
    crate::testing::wait_until(&handle, |stats| stats.lag_events == 0);
    let stats = handle.stop(deadline()).stats;
    // That is no failure.
    assert_eq!((stats.retries, stats.last_error), (0, None));
    assert_eq!(program.taken(), Vec::from_iter(1..=10));
    assert_eq!(program.notes("batches").len(), 3, "4, 4 and 2");
    journal.write_many(2);
    let handle = journal.start("s", sink(&program));
    let stopped = handle.stop(deadline());
    assert_eq!((stopped.stats.lag_events, stopped.stats.retries), (0, 0));
    assert_eq!(stopped.stats.last_error, None);
    assert_eq!(program.notes("batches").len(), 5, "one by one");
}

#[test]
fn a_hello_that_is_none_is_an_error() {
    let (_journal, program) = place(1);
    for (greeting, error) in [
        ("{\"protocol\":2}", "it speaks version 2 of the protocol, and hookring speaks 1"),
        ("{\"protocol\":\"1\"}", "the answer is not as it should be"),
        ("{\"max_events\":0}", "`max_events` is 0"),
        ("{\"max_bytes\":-1}", "the answer is not as it should be"),
        ("[]", "it is no object"),
        ("null", "it is no object"),
    ] {
        fs::write(program.folder.join("greeting"), format!("answer {greeting}")).expect("one");
        let result = sink(&program).open();
        let said = in_words(&*result.expect_err("an error"));
        assert!(said.starts_with("cannot begin to talk to sh: "), "{said}");
        assert!(said.contains(error), "{said}");
    }
}

#[test]
fn a_program_that_is_not_there_is_an_error_and_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("later");
    let mut sink = ExecSink::new("s", ExecConfig::new([path.to_str().expect("text")]));
    let said = in_words(&*sink.open().expect_err("nothing is there"));
    assert!(said.starts_with("cannot start /") && said.contains("No such file"), "{said}");
    fs::write(&path, format!("{HELLO}; read line")).expect("a script");
    let said = in_words(&*sink.open().expect_err("no right to execute"));
    assert!(said.contains("Permission denied"), "{said}");
    let mut nowhere = ExecConfig::new(["sh"]);
    nowhere.cwd = folder.path().join("nowhere");
    assert!(ExecSink::new("s", nowhere).open().is_err());
}
