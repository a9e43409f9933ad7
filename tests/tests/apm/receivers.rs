//! The receivers that are not ours, each as a process on loopback.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use hookring_faults::FaultServer;
use hookring_tests::{Bed, Daemon, wait_for};
use serde_json::Value;

use crate::decoder::installed;
use crate::inbox::Inbox;

/// rotel: it parses what it gets, and sends it on as protobuf of its own making. Killed when dropped.
pub(crate) struct Rotel {
    _process: Daemon,
    address: SocketAddr,
}

impl Rotel {
    /// With its files in a folder of the bed.
    pub(crate) fn sending_on_to(server: &FaultServer, bed: &Bed) -> Rotel {
        let dir = bed.path().join("rotel");
        fs::DirBuilder::new().mode(0o700).create(&dir).expect("a folder");
        let log = File::create(dir.join("said")).expect("its log");
        // It tells its ports apart by their addresses, before it knows the ports.
        let child = Command::new(rotel_agent())
            .args(["start", "--otlp-http-endpoint", "127.0.0.1:0"])
            .args(["--otlp-grpc-endpoint", "127.0.0.2:0", "--exporter", "otlp"])
            .args(["--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint"])
            .arg(server.url(""))
            .arg("--pid-file")
            .arg(dir.join("pid"))
            .arg("--log-file")
            .arg(dir.join("log"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("its log"))
            .stderr(log)
            .spawn()
            .expect("rotel starts");
        let mut process = bed.adopt(child);
        let address = wait_for("rotel to listen", || {
            let said = || fs::read_to_string(dir.join("said")).unwrap_or_default();
            assert!(process.is_alive(), "rotel ended: {}", said());
            listening(process.id())
        });
        Rotel { _process: process, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first line of its answer to a body of logs.
    pub(crate) fn answer(&self, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).expect("rotel");
        let length = body.len();
        write!(
            stream,
            "POST /v1/logs HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             content-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n"
        )
        .expect("sent");
        stream.write_all(body).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

/// The program that the package brings.
fn rotel_agent() -> PathBuf {
    let python = installed("python/bin/python3");
    let output = Command::new(&python)
        .args(["-c", "import rotel; print(rotel.__path__[0])"])
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "rotel is missing; tests/real.sh installs it: {said}");
    Path::new(String::from_utf8(output.stdout).expect("a path").trim()).join("rotel-agent")
}

/// Where a process listens on 127.0.0.1, as the kernel tells.
fn listening(process: u32) -> Option<SocketAddr> {
    const LOOPBACK: &str = "0100007F";
    const LISTEN: &str = "0A";
    let open = fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
    let open: Vec<_> = open.filter_map(|it| fs::read_link(it.path()).ok()).collect();
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).ok()?;
    table.lines().find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (&local, &state, &inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let (host, port) = local.split_once(':')?;
        let is_its = open.iter().any(|it| it.as_os_str() == &*format!("socket:[{inode}]"));
        let port = u16::from_str_radix(port, 16).ok()?;
        (is_its && host == LOOPBACK && state == LISTEN)
            .then(|| SocketAddr::from(([127, 0, 0, 1], port)))
    })
}

/// Elastic's mock of a receiver. Killed when dropped.
pub(crate) struct Mock {
    process: Daemon,
    pub(crate) url: String,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Mock {
    pub(crate) fn start(bed: &Bed) -> Mock {
        installed("javascript/node_modules/@elastic/mockotlpserver");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apm/mock.mjs");
        let mut command = Command::new("node");
        let command = command.arg(script).current_dir(installed("javascript"));
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = bed.adopt(command.spawn().expect("node starts"));
        let mut printed = BufReader::new(process.take_stdout()).lines();
        let first = printed.next().expect("it says where it is").expect("a line");
        let first: Value = serde_json::from_str(&first).expect("JSON");
        let url = first["address"].as_str().expect("an address").to_owned();
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let read = Arc::clone(&lines);
        thread::spawn(move || {
            for line in printed.map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("JSON");
                read.lock().expect("no panic").push(line);
            }
        });
        Mock { process, url, lines }
    }

    /// Adds what it read since the last time.
    pub(crate) fn read(&mut self, inbox: &mut Inbox) {
        assert!(self.process.is_alive(), "the mock ended");
        let lines = self.lines.lock().expect("no panic");
        for line in &lines[inbox.requests.len()..] {
            let signal = line["signal"].as_str().expect("a signal").to_owned();
            inbox.requests.push((signal, line["request"].clone()));
        }
    }
}
