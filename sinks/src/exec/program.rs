//! The program of the tests: this test program itself, started anew, which does as a file tells it. It keeps
//! what it took in another file, as a program that works would.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process;

use hookring_journal::Seq;
use serde_json::{Value, json};

use super::config::ExecConfig;
use crate::secret::Secret;

/// Names the folder in which the program finds its orders.
const FOLDER: &str = "HOOKRING_SINKS_TEST_PROGRAM";
/// What the harness writes to stdout is kept from hookring: descriptor 3 is what stdout was.
const SCRIPT: &str = "exec 3>&1 >/dev/null; exec \"$@\"";

/// The folder of one program.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) folder: PathBuf,
}

impl Program {
    /// In a folder that it makes.
    pub(crate) fn new(folder: PathBuf) -> Program {
        fs::create_dir_all(&folder).expect("a folder");
        Program { folder }
    }

    /// How a sink starts it.
    pub(crate) fn config(&self) -> ExecConfig {
        let exe = std::env::current_exe().expect("this program");
        let exe = exe.to_str().expect("text");
        let test = "exec::program::is_the_program";
        let mut config =
            ExecConfig::new(["sh", "-c", SCRIPT, "sh", exe, "--exact", "--nocapture", test]);
        let folder = self.folder.to_str().expect("text").to_owned();
        config.env.insert(FOLDER.to_owned(), Secret::Text(folder.into()));
        config
    }

    /// What it does with the next batches, one each; then it takes them all.
    pub(crate) fn order<'a>(&self, orders: impl IntoIterator<Item = &'a str>) {
        let orders: Vec<_> = orders.into_iter().collect();
        fs::write(self.folder.join("orders"), orders.join("\n")).expect("the orders");
    }

    /// Whether it can work at all.
    pub(crate) fn set_working(&self, works: bool) {
        let broken = self.folder.join("broken");
        if works {
            fs::remove_file(broken).expect("it was broken");
        } else {
            fs::write(broken, "").expect("a mark");
        }
    }

    /// The numbers of the events that it took.
    pub(crate) fn taken(&self) -> Vec<Seq> {
        self.notes("taken").iter().map(|seq| seq.parse().expect("a number")).collect()
    }

    /// The lines of a file that it writes.
    pub(crate) fn notes(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// No test, but the program, where it is started as that.
#[test]
fn is_the_program() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let out = OpenOptions::new().write(true).open("/proc/self/fd/3").expect("what stdout was");
    Running { folder: folder.into(), out }.run();
    process::exit(0);
}

struct Running {
    folder: PathBuf,
    out: File,
}

impl Running {
    fn run(mut self) {
        self.note("pids", &process::id().to_string());
        for line in io::stdin().lock().lines() {
            let request: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
            self.note("methods", request["method"].as_str().unwrap_or("none"));
            if self.folder.join("broken").exists() {
                eprintln!("it is broken");
                process::exit(7);
            }
            let id = &request["id"];
            match request["method"].as_str() {
                Some("initialize") => self.initialize(id, &request["params"]),
                Some("deliver") => {
                    let order = next_order(&self.folder.join("orders"));
                    self.deliver(id, &request["params"], &order);
                }
                Some("shutdown") => {
                    self.result(id, &json!({}));
                    return;
                }
                // An answer to a question of its own.
                None => self.note("answers", &request.to_string()),
                Some(_) => self.result(id, &json!({})),
            }
        }
        self.note("methods", "end of stdin");
    }

    fn initialize(&mut self, id: &Value, params: &Value) {
        self.note("hello", &params.to_string());
        match next_order(&self.folder.join("greeting")).split_once(' ') {
            Some(("answer", result)) => {
                self.result(id, &serde_json::from_str(result).expect("a result"));
            }
            Some(("chatter", lines)) => {
                self.result(id, &json!({"name": "chatter", "version": "1"}));
                for _ in 0..lines.parse().expect("a number") {
                    self.line(br#"{"jsonrpc":"2.0","method":"log","params":{"level":"debug","message":"la la la"}}"#);
                }
            }
            _ => self.result(id, &json!({})),
        }
    }

    fn deliver(&mut self, id: &Value, params: &Value, order: &str) {
        self.note("batches", &format!("{} {}", params["batch"], params["replay"]));
        let (word, rest) = order.split_once(' ').unwrap_or((order, ""));
        match word {
            "" => self.take(id, params),
            "answer" => self.result(id, &serde_json::from_str(rest).expect("a result")),
            "error" => self.line(
                format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{rest},"message":"no"}}}}"#
                )
                .as_bytes(),
            ),
            "raw" => self.line(rest.replace("$ID", &id.to_string()).as_bytes()),
            "bytes" => self.line(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"\xff\xfe\"}"),
            "huge" => {
                let line = vec![b'x'; super::MAX_LINE_BYTES + 1];
                // Nobody reads it to its end.
                let _ = self.out.write_all(&line);
                hang();
            }
            "exit" => process::exit(rest.parse().expect("a status")),
            "abort" => process::abort(),
            "hang" => hang(),
            "half" => {
                self.out.write_all(b"{\"jsonrpc\":").expect("a reader");
                process::exit(0);
            }
            "drip" => self.drip(id, params),
            "say" => {
                for _ in 0..20_000 {
                    eprintln!("a line of an error that is long enough to fill a pipe in no time");
                }
                self.take(id, params);
            }
            "ask" => {
                let questions: usize = rest.parse().expect("a number");
                for _ in 0..questions {
                    self.line(br#"{"jsonrpc":"2.0","id":"mine","method":"who"}"#);
                }
                self.take(id, params);
            }
            "twice" => {
                self.take(id, params);
                self.result(id, &json!({"outcome": "accepted"}));
            }
            "deaf" => {
                self.take(id, params);
                hang();
            }
            "leave_one" => {
                // Holds the pipes when this has ended.
                let child = process::Command::new("sleep").arg("1000").spawn().expect("sleep");
                self.note("children", &child.id().to_string());
                process::exit(3);
            }
            _ => panic!("there is no order {order}"),
        }
    }

    fn take(&mut self, id: &Value, params: &Value) {
        self.keep(params);
        self.result(id, &json!({"outcome": "accepted"}));
    }

    fn keep(&mut self, params: &Value) {
        let events = params["events"].as_array().expect("events");
        let seqs: Vec<_> = events.iter().map(|event| event["seq"].to_string()).collect();
        self.note("taken", &seqs.join("\n"));
    }

    fn drip(&mut self, id: &Value, params: &Value) {
        self.keep(params);
        let answer = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"outcome\":\"accepted\"}}}}\n"
        );
        for byte in answer.as_bytes() {
            self.out.write_all(&[*byte]).expect("a reader");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    fn result(&mut self, id: &Value, result: &Value) {
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
        self.line(answer.to_string().as_bytes());
    }

    fn line(&mut self, line: &[u8]) {
        self.out.write_all(&[line, b"\n"].concat()).expect("a reader");
    }

    fn note(&self, name: &str, line: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.folder.join(name));
        file.expect("the notes").write_all(format!("{line}\n").as_bytes()).expect("a note");
    }
}

/// Takes the first line of a file away; empty if there is none.
fn next_order(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut orders: VecDeque<_> = text.lines().collect();
    let Some(order) = orders.pop_front().map(str::to_owned) else { return String::new() };
    fs::write(path, Vec::from(orders).join("\n")).expect("the orders");
    order
}

/// Until it is killed.
fn hang() -> ! {
    loop {
        std::thread::park();
    }
}
