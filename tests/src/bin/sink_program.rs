//! The program of an `exec` sink, which answers `accepted` while a file is there, else `failed`:
//! `sink_program FILE [FOLDER]`. In the folder it keeps its environment and each request, and what it keeps
//! it says on stderr, too.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};

fn main() {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let file = arguments.next().expect("a file's name");
    let folder = arguments.next();
    if let Some(folder) = &folder {
        let variables: Vec<_> = std::env::vars().map(|(name, it)| format!("{name}={it}")).collect();
        fs::write(folder.join("program.environment"), variables.join("\n")).expect("a file");
    }
    let (mut input, mut line) = (io::stdin().lock(), Vec::new());
    while input.read_until(b'\n', &mut line).expect("stdin") > 0 {
        if let Some(folder) = &folder {
            keep(folder, &line).expect("a file and stderr");
        }
        let head = String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
        let id: u64 = between(&head, "\"id\":", ",").parse().expect("a number");
        let result = match between(&head, "\"method\":\"", "\"") {
            "deliver" if file.exists() => r#"{"outcome":"accepted"}"#,
            "deliver" => r#"{"outcome":"failed","reason":"it is to fail"}"#,
            _ => "{}",
        };
        let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n");
        io::stdout().write_all(answer.as_bytes()).expect("stdout");
        line.clear();
    }
}

fn keep(folder: &Path, line: &[u8]) -> io::Result<()> {
    let requests = folder.join("program.requests");
    OpenOptions::new().create(true).append(true).open(requests)?.write_all(line)?;
    io::stderr().write_all(line)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).expect("a request");
    rest.split_once(end).expect("a request").0
}
