//! The official protobuf package for Python, in a process of its own: it reads the bodies that a server was sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hookring_faults::{FaultServer, Received};
use serde_json::{Value, json};

use crate::inbox::Inbox;

/// Where `tests/real.sh` installed what these tests need.
///
/// # Panics
/// If it did not.
pub(crate) fn installed(what: &str) -> PathBuf {
    let dir = std::env::var_os("HOOKRING_TEST_REAL_DIR");
    let dir = PathBuf::from(dir.expect("tests/real.sh installs the receivers and says where"));
    let path = dir.join(what);
    assert!(path.exists(), "{} is missing; tests/real.sh installs it", path.display());
    path
}

/// Ends when dropped.
pub(crate) struct Decoder {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Decoder {
    pub(crate) fn start() -> Decoder {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apm/decode.py");
        let mut command = Command::new(installed("python/bin/python3"));
        let command = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python starts");
        let stdin = child.stdin.take().expect("its stdin");
        let stdout = BufReader::new(child.stdout.take().expect("its stdout"));
        Decoder { child, stdin, stdout }
    }

    /// Adds what the server took since the last time, each of which must be protobuf.
    pub(crate) fn read(&mut self, server: &FaultServer, inbox: &mut Inbox) {
        for request in server.taken().iter().skip(inbox.requests.len()) {
            let signal = signal(request);
            let decoded = self.decode(signal, request);
            inbox.requests.push((signal.to_owned(), decoded));
        }
    }

    fn decode(&mut self, signal: &str, request: &Received) -> Value {
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        let body = BASE64_STANDARD.encode(plain(request));
        writeln!(self.stdin, "{}", json!({ "signal": signal, "body": body })).expect("it reads");
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).expect("it answers");
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("a body of {signal} is no OTLP"))
    }
}

fn signal(request: &Received) -> &str {
    let path = request.line.strip_prefix("POST ").expect("a POST");
    path.strip_prefix("/v1/").unwrap_or_else(|| panic!("it was sent to {path}"))
}

fn plain(request: &Received) -> Vec<u8> {
    let Some(encoding) = request.header("content-encoding") else { return request.body.clone() };
    assert_eq!(encoding, "gzip");
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(&*request.body).read_to_end(&mut body).expect("gzip");
    body
}
