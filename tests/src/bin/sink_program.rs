//! The program of an `exec` sink that reads all that it gets and keeps none of it: `sink_program FILE`
//! answers `accepted` while the file is there, else `failed`.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

fn main() {
    let file = PathBuf::from(std::env::args().nth(1).expect("a file's name"));
    let (mut input, mut line) = (std::io::stdin().lock(), Vec::new());
    while input.read_until(b'\n', &mut line).expect("stdin") > 0 {
        let head = String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
        let id: u64 = between(&head, "\"id\":", ",").parse().expect("a number");
        let result = match between(&head, "\"method\":\"", "\"") {
            "deliver" if file.exists() => r#"{"outcome":"accepted"}"#,
            "deliver" => r#"{"outcome":"failed","reason":"it is to fail"}"#,
            _ => "{}",
        };
        let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n");
        std::io::stdout().write_all(answer.as_bytes()).expect("stdout");
        line.clear();
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).expect("a request");
    rest.split_once(end).expect("a request").0
}
