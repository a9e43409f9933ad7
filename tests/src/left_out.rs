//! What a test needs and this machine does not have: the one place where a test may leave something out.
//!
//! A test that does so passes, and `cargo xtask test` says at its end what was left out. Where the
//! variable `HOOKRING_TEST_ALL` is `1` it fails instead; `but NAME NAME` allows what is named there.

use std::fs::OpenOptions;
use std::io::Write as _;

/// The variable that has tests fail rather than leave something out.
const ALL: &str = "HOOKRING_TEST_ALL";
/// Names the file that `cargo xtask test` shows at its end.
const REPORT: &str = "HOOKRING_TEST_LEFT_OUT";

/// Says that something is left out since this machine lacks `need`, and `why`.
///
/// # Panics
/// Where all is to be tested.
pub fn left_out(need: &str, why: &str) {
    let said = format!("left out: {} needs {need}: {why}", this_test());
    println!("{said}");
    report(&said);
    assert!(may_lack(std::env::var(ALL).ok().as_deref(), need), "{ALL} is set, and {said}");
}

/// The name of the test that runs here: the harness gives each a thread of that name.
fn this_test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

fn report(said: &str) {
    let Some(path) = std::env::var_os(REPORT) else { return };
    let file = OpenOptions::new().create(true).append(true).open(path);
    // In one write, since tests run side by side.
    file.expect("the report opens").write_all(format!("{said}\n").as_bytes()).expect("the report");
}

fn may_lack(all: Option<&str>, need: &str) -> bool {
    match all {
        None | Some("" | "0") => true,
        Some(value) => value
            .strip_prefix("but ")
            .is_some_and(|names| names.split_whitespace().any(|name| name == need)),
    }
}

#[test]
fn what_may_be_lacking_is_what_the_variable_says() {
    let cases = [
        (None, true),
        (Some("0"), true),
        (Some("1"), false),
        (Some("but jq ptrace"), true),
        (Some("but jq"), false),
        (Some("but ptraced"), false),
    ];
    for (all, expected) in cases {
        assert_eq!(may_lack(all, "ptrace"), expected, "{all:?}");
    }
}
