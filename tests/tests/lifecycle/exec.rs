//! Programs as sinks, from outside: killed, changed, and gone when their daemon is.

use std::fs;
use std::path::PathBuf;

use hookring_tests::{Bed, numbers_of, wait_for};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process_group};
use serde_json::Value;

use crate::wait_for_delivery;

/// Keeps each batch, one a line, and the numbers of its processes. Plain shell, so that it is on each machine.
const PROGRAM: &str = r#"echo $$ >> "$DIR/pids"
echo "$WORD" >> "$DIR/words"
umask >> "$DIR/umask"
while IFS= read -r line; do
    rest=${line#*'"id":'}
    id=${rest%%,*}
    rest=${rest#*'"method":"'}
    method=${rest%%'"'*}
    result='{}'
    if [ "$method" = deliver ]; then
        printf '%s\n' "$line" >> "$DIR/batches"
        result='{"outcome":"accepted"}'
    fi
    echo "$method" >> "$DIR/methods"
    printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"#;

/// A bed with a sink that is this program.
struct Place {
    bed: Bed,
}

impl Place {
    fn new() -> Place {
        let place = Place { bed: Bed::new() };
        fs::write(place.path("program"), PROGRAM).expect("the program");
        place.configure("first", "");
        place
    }

    fn configure(&self, word: &str, more: &str) {
        let (script, dir) = (self.path("program"), self.bed.path());
        self.bed.configure(&format!(
            "[sinks.mine]\ntype = \"exec\"\ncommand = [\"sh\", {script:?}]\nbatch_events = 10\n\
             env = {{ DIR = {dir:?}, WORD = \"{word}\" }}\n{more}\n"
        ));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bed.path().join(name)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The latest process.
    fn pid(&self) -> Pid {
        let pid = wait_for("a process", || self.lines("pids").last().cloned());
        Pid::from_raw(pid.parse().expect("a number")).expect("a process")
    }

    /// The events that arrived, in order. Of a line that a killed process had begun, nothing came back.
    fn arrived(&self) -> Vec<Value> {
        let batches = self.lines("batches").into_iter();
        let requests = batches.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        requests.flat_map(|it| it["params"]["events"].as_array().expect("events").clone()).collect()
    }

    fn assert_nothing_left(&self) {
        for pid in self.lines("pids") {
            let pid = Pid::from_raw(pid.parse().expect("a number")).expect("a process");
            // Somebody else reaps what a killed daemon leaves.
            wait_for(&format!("the end of {pid}"), || is_gone(pid).then_some(()));
        }
    }
}

/// Whether no process of a group runs; one that has ended may wait to be reaped.
fn is_gone(pid: Pid) -> bool {
    if test_kill_process_group(pid) == Err(Errno::SRCH) {
        return true;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|state| state.starts_with(['Z', 'X']))
}

#[test]
fn a_program_that_is_killed_again_and_again_gets_every_event_in_order() {
    let place = Place::new();
    let daemon = place.bed.start();
    let (_, count) = place.bed.while_hooks_run(2, |_| {
        for killed in 0..25 {
            let batches = place.lines("batches").len();
            let pid = place.pid();
            wait_for("a batch", || (place.lines("batches").len() > batches).then_some(()));
            // It may be another one by now, and this one gone.
            let _ = kill_process(pid, Signal::KILL);
            wait_for("the next process", || (place.lines("pids").len() > killed + 1).then_some(()));
        }
    });
    wait_for("the rest", || {
        (crate::sink(&place.bed, "mine")?["delivered_events"].as_u64()? >= count).then_some(())
    });
    assert_eq!(daemon.stop(), 0);
    place.assert_nothing_left();
    let arrived = place.arrived();
    let mut highest = 0;
    for event in &arrived {
        let seq = event["seq"].as_u64().expect("a number");
        // What comes again begins anew with the batch that was not answered.
        assert!(seq > highest || seq + 10 > highest, "{seq} after {highest}");
        highest = highest.max(seq);
    }
    let id = |event: &Value| (event["seq"].as_u64().expect("a number"), event["id"].to_string());
    let mut arrived: Vec<_> = arrived.iter().map(id).collect();
    arrived.sort();
    arrived.dedup();
    let journaled: Vec<Value> =
        place.bed.lines().iter().map(|line| serde_json::from_slice(line).expect("JSON")).collect();
    let journaled: Vec<_> = journaled.iter().map(id).collect();
    assert_eq!(journaled.len() as u64, count);
    // Each of them, and never another id for a number.
    assert_eq!(arrived, journaled);
}

#[test]
fn a_stopped_daemon_asks_its_program_to_end() {
    let place = Place::new();
    let daemon = place.bed.start();
    place.bed.emit_numbers(0..5);
    wait_for_delivery(&place.bed, "mine", 5);
    assert!(!is_gone(place.pid()));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(place.lines("pids").len(), 1);
    assert!(is_gone(place.pid()));
    assert_eq!(place.lines("methods").last().map(String::as_str), Some("shutdown"));
    assert_eq!(place.lines("umask"), ["0077"]);
    assert_eq!(numbers(&place), Vec::from_iter(0..5));
}

#[test]
fn a_killed_daemon_takes_its_program_with_it_and_the_next_one_goes_on() {
    let place = Place::new();
    for round in 0..3 {
        let daemon = place.bed.start();
        place.bed.emit_numbers(round * 5..round * 5 + 5);
        wait_for("the events", || (numbers(&place).contains(&(round * 5 + 4))).then_some(()));
        daemon.kill();
        place.assert_nothing_left();
    }
    let mut numbers = numbers(&place);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, Vec::from_iter(0..15));
}

/// One that does not read cannot notice that its stdin ended, and this one does not heed SIGTERM, either.
#[test]
fn a_program_that_hangs_goes_with_its_daemon_too() {
    for (is_killed, hangs) in [(true, "exec sleep 1000"), (false, "while :; do sleep 1000; done")] {
        let place = Place::new();
        let answer = "        result='{\"outcome\"";
        let program = PROGRAM.replace(answer, &format!("        {hangs}\n{answer}"));
        fs::write(place.path("program"), format!("trap '' TERM HUP\n{program}")).expect("one");
        let daemon = place.bed.start();
        place.bed.emit_numbers(0..1);
        wait_for("the batch", || (!place.lines("batches").is_empty()).then_some(()));
        if is_killed {
            daemon.kill();
        } else {
            assert_eq!(daemon.stop(), 0);
        }
        place.assert_nothing_left();
    }
}

#[test]
fn another_command_is_another_process_and_the_same_is_the_same() {
    let place = Place::new();
    let daemon = place.bed.start();
    place.bed.emit_numbers(0..3);
    wait_for_delivery(&place.bed, "mine", 3);
    let reload = || assert!(place.bed.hookring(&["reload"]).status.success());
    place.configure("first", "# not another value\n");
    reload();
    assert_eq!(place.lines("words"), ["first"]);
    place.configure("second", "");
    reload();
    wait_for("the second", || (place.lines("words") == ["first", "second"]).then_some(()));
    place.bed.emit_numbers(3..6);
    wait_for("the rest", || (numbers(&place).len() == 6).then_some(()));
    assert_eq!(place.lines("methods").iter().filter(|it| *it == "shutdown").count(), 1);
    assert_eq!(daemon.stop(), 0);
    place.assert_nothing_left();
    assert_eq!(numbers(&place), Vec::from_iter(0..6));
}

#[test]
fn what_a_program_says_is_in_the_log_and_what_is_wrong_with_it_in_the_status() {
    let place = Place::new();
    let script = "echo 'no such module' >&2\nexit 3\n";
    fs::write(place.path("program"), script).expect("the program");
    let daemon = place.bed.start();
    place.bed.emit_numbers(0..1);
    let error = wait_for("the error", || {
        crate::sink(&place.bed, "mine")?["last_error"].as_str().map(str::to_owned)
    });
    let expected = "cannot begin to talk to sh, whose last words are `no such module`: it ended (exit status: 3)";
    assert_eq!(error, expected);
    assert!(place.bed.log().contains("sink mine: its program says: no such module"));
    // Mended: it is tried again.
    fs::write(place.path("program"), PROGRAM).expect("the program");
    wait_for_delivery(&place.bed, "mine", 1);
    assert_eq!(daemon.stop(), 0);
}

/// The numbers that hooks sent and the program has.
fn numbers(place: &Place) -> Vec<u64> {
    let lines: Vec<_> = place.arrived().iter().map(Value::to_string).collect();
    numbers_of(&lines.join("\n"))
}
