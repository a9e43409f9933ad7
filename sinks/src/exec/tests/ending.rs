//! How a process begins and ends: what it inherits, that it is noticed when it is gone, and that nothing of
//! it is left.

use std::collections::BTreeMap;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process, test_kill_process_group};

use super::*;
use crate::secret::Secret;

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().expect("a number")).expect("a process")
}

/// Nothing is left of a process and its group.
fn assert_gone(pid: Pid) {
    // Those that it left are somebody else's to reap.
    wait_for("the end of its group", || {
        (test_kill_process_group(pid) == Err(Errno::SRCH)).then_some(())
    });
    assert_eq!(test_kill_process(pid), Err(Errno::SRCH));
}

#[test]
fn a_program_gets_its_part_of_the_environment_and_no_descriptors() {
    let folder = tempfile::tempdir().expect("a folder");
    let script =
        format!("{HELLO}; env > env; ls -l /proc/$$/fd > fds; umask > umask; pwd > pwd; read line");
    let mut config = ExecConfig::new(["sh", "-c", &script]);
    config.cwd = folder.path().canonicalize().expect("the folder");
    let token = folder.path().join("token");
    fs::write(&token, "from a file\n").expect("a secret");
    config.env = BTreeMap::from([
        ("TOKEN".to_owned(), Secret::Text("t=1 $HOME".to_owned().into())),
        ("FILE".to_owned(), Secret::File(token.clone())),
    ]);
    // As one that a shell had left open for this process.
    let left_open = rustix::io::dup(fs::File::open("/").expect("a folder")).expect("another");
    let mut sink = ExecSink::new("s", config.clone());
    sink.open().expect("it works");
    drop(sink);
    drop(left_open);
    let fds = lines(&folder.path().join("fds"));
    assert!(fds.len() > 3 && !fds.iter().any(|line| line.ends_with("-> /")), "{fds:?}");
    assert_eq!(lines(&folder.path().join("pwd")), [config.cwd.to_str().expect("text")]);
    let variables = lines(&folder.path().join("env"));
    for line in ["TOKEN=t=1 $HOME", "FILE=from a file"] {
        assert!(variables.contains(&line.to_owned()), "{variables:?}");
    }
    for line in variables {
        let name = line.split('=').next().expect("a name");
        // `sh` sets some of its own.
        let is_known = PASSED_VARIABLES.contains(&name)
            || name.starts_with("LC_")
            || ["TOKEN", "FILE", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name);
        assert!(is_known, "{name}");
    }
    fs::remove_file(token).expect("it was there");
    let mut sink = ExecSink::new("s", config);
    let said = in_words(&*sink.open().expect_err("a variable is missing"));
    assert!(said.starts_with("cannot start sh: cannot read the secret in "), "{said}");
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "there was something to keep back");
}

#[test]
fn the_document_names_each_variable_that_is_handed_on() {
    let document = include_str!("../../../../docs/sinks/exec.md");
    for name in PASSED_VARIABLES {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn arguments_and_values_of_variables_are_never_shown() {
    let mut config = ExecConfig::new(["x", "--token=secret-value"]);
    let value = Secret::Text("secret-value".to_owned().into());
    config.env = BTreeMap::from([("TOKEN".to_owned(), value)]);
    let shown = format!("{config:?}");
    assert!(shown.contains("TOKEN") && !shown.contains("secret-value"), "{shown}");
}

#[test]
fn a_program_is_asked_to_end() {
    let (journal, program) = place(1);
    let mut sink = sink(&program);
    assert_eq!(told(&sink.deliver(&journal.batch(1, 1))).1, "");
    drop(sink);
    assert_eq!(program.notes("methods"), ["initialize", "deliver", "shutdown"]);
    assert_gone(pid(&program.notes("pids")[0]));
}

#[test]
fn a_program_that_will_not_end_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pid");
    let mut sink = shell(&format!(
        "trap '' TERM; {HELLO}; sleep 1000 & echo $$ > {}; while :; do sleep 1000; done",
        file.display()
    ));
    sink.open().expect("it works");
    let leader = wait_for("its number", || lines(&file).first().cloned());
    drop(sink);
    assert_gone(pid(&leader));
}

#[test]
fn what_a_program_leaves_behind_goes_with_it() {
    let (journal, program) = place(1);
    program.order(["leave_one"]);
    let mut sink = sink(&program);
    assert_eq!(told(&sink.deliver(&journal.batch(1, 1))).0, "failed");
    assert_gone(pid(&program.notes("pids")[0]));
}

#[test]
fn what_has_left_the_group_runs_on_and_finds_the_pipes_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().display();
    let left = format!(
        "trap '' PIPE; cd {dir}; > there; while [ -d {dir} ] && [ ! -e go ]; do sleep 0.01; done\n\
         echo late && said=open || said=closed; echo $said > new; mv new said"
    );
    fs::write(folder.path().join("left"), left).expect("a script");
    let mut sink = shell(&format!("{HELLO}; setsid sh {dir}/left & while :; do sleep 1000; done"));
    sink.open().expect("it works");
    wait_for("it to have left", || folder.path().join("there").exists().then_some(()));
    drop(sink);
    fs::write(folder.path().join("go"), "").expect("a mark");
    let said = wait_for("what it says", || fs::read_to_string(folder.path().join("said")).ok());
    assert_eq!(said, "closed\n");
}

#[test]
fn a_program_that_dies_while_nothing_happens_is_noticed_and_started_again() {
    let (mut journal, program) = place(3);
    let handle = journal.start("s", sink(&program));
    crate::testing::wait_until(&handle, |stats| stats.lag_events == 0);
    for times in 1..=3 {
        let pids = program.notes("pids");
        assert_eq!(pids.len(), times);
        kill_process(pid(&pids[times - 1]), Signal::KILL).expect("it runs");
        wait_for("the next one", || (program.notes("pids").len() > times).then_some(()));
    }
    let said = handle.stats().last_error.expect("it is shown").message;
    assert!(
        said.starts_with("cannot ") && said.ends_with("it ended (signal: 9 (SIGKILL))"),
        "{said}"
    );
    journal.write_many(3);
    crate::testing::wait_until(&handle, |stats| stats.lag_events == 0);
    assert!(handle.stop(deadline()).worker_ended);
    assert_eq!(program.taken(), Vec::from_iter(1..=6));
}

#[test]
fn a_program_that_is_quiet_is_asked_whether_it_is_there() {
    let (journal, program) = place(2);
    let mut sink = sink(&program);
    sink.ping_at_once();
    sink.open().expect("it works");
    wait_for("pings and their answers", || {
        sink.idle().expect("it answers");
        (program.notes("methods").iter().filter(|it| *it == "ping").count() >= 3).then_some(())
    });
    // Its answer may come in the midst of a call.
    sink.idle().expect("it answers");
    assert_eq!(told(&sink.deliver(&journal.batch(1, 2))).1, "");
    assert_eq!(program.notes("pids").len(), 1);
}

#[test]
fn a_program_that_answers_no_ping_is_ended() {
    let mut sink = shell(&format!("{HELLO}; exec sleep 1000"));
    sink.ping_at_once();
    sink.open().expect("it works");
    let error = wait_for("the failure", || sink.idle().err());
    assert_eq!(
        in_words(&*error),
        "cannot go on with sh: it did not answer within 200 ms; does it flush its stdout after each line?"
    );
    sink.idle().expect("there is nothing to look after");
}

#[test]
fn an_answer_to_nothing_is_a_failure() {
    for (line, error) in [
        (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, "it answered request 7"),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#,
            "while nothing was asked, it answered",
        ),
    ] {
        let mut sink = shell(&format!("{HELLO}; echo '{line}'; exec sleep 1000"));
        sink.open().expect("it works");
        let said = in_words(&*wait_for("the failure", || sink.idle().err()));
        assert!(said.contains(error), "{said}");
    }
}
