//! The programs that are timed, and what they all share: folder, variables, payload.

use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::loopback::Loopback;
use crate::process::{Sample, time};

/// Programs that take many milliseconds are timed in fewer rounds; an odd number, so that these are
/// not all of the same direction.
const SLOW: usize = 9;

/// A program that an agent might run as a hook.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    /// It is timed in every round whose number this divides.
    pub(crate) every: usize,
    program: PathBuf,
    args: Vec<String>,
}

impl Candidate {
    /// Whether it is the floor or the hook command: all that the reader makes a difference to.
    pub(crate) fn is_ours(&self) -> bool {
        self.name.starts_with("hookring-")
    }
}

/// The folder that everything runs in, and how to run it.
pub(crate) struct Bench {
    /// The `hookring` command; it may be absent.
    pub(crate) daemon: PathBuf,
    /// The payloads' `session_id`, by which they are found in the journal.
    pub(crate) session: String,
    /// How many times the hook command was run.
    pub(crate) published: usize,
    pub(crate) floor: PathBuf,
    pub(crate) emit: PathBuf,
    scratch: PathBuf,
    /// Where ring and spool are.
    pub(crate) hookring_dir: PathBuf,
    server: Loopback,
    /// Removed when this value goes.
    _dir: TempDir,
}

impl Bench {
    /// Takes the programs from `bin_dir` and a new folder, in memory where the system has one.
    ///
    /// # Errors
    ///
    /// When `hookring-floor` or `hookring-emit` is not there, or the folder cannot be created.
    pub(crate) fn new(bin_dir: &Path) -> Result<Self> {
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { TempDir::new_in(shm) } else { TempDir::new() };
        let dir = dir.context("could not create a temporary folder")?;
        let program = |name: &str| {
            let path = bin_dir.join(name).with_extension(std::env::consts::EXE_EXTENSION);
            ensure!(path.is_file(), "{} is not there; run `cargo xtask bench`", path.display());
            Ok(path)
        };
        let hookring_dir = dir.path().join("hookring");
        DirBuilder::new().mode(0o700).create(&hookring_dir)?;
        Ok(Self {
            daemon: bin_dir.join("hookring").with_extension(std::env::consts::EXE_EXTENSION),
            session: format!("hook-process-bench-{}", process::id()),
            published: 0,
            floor: program("hookring-floor")?,
            emit: program("hookring-emit")?,
            scratch: dir.path().join("appended"),
            hookring_dir,
            server: Loopback::start()?,
            _dir: dir,
        })
    }

    /// Everything this machine can run, the floor first.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let append = format!("cat >> '{}'", self.scratch.display());
        let read = "import json,sys; json.load(sys.stdin)".to_owned();
        let parse = "JSON.parse(require('fs').readFileSync(0))".to_owned();
        let post = ["-s", "-o", "/dev/null", "--data-binary", "@-", &self.server.url];
        let candidate = |name, every, program: Option<PathBuf>, args| {
            program.map(|program| Candidate { name, every, program, args })
        };
        let found = [
            candidate("hookring-floor", 1, Some(self.floor.clone()), vec![]),
            candidate("hookring-emit", 1, Some(self.emit.clone()), vec![]),
            candidate("sh -c 'cat >> file'", 1, said_path("sh", SHELL), vec!["-c".into(), append]),
            candidate(
                "curl to loopback",
                SLOW,
                said_path("curl", SHELL),
                post.map(Into::into).into(),
            ),
            candidate("node, JSON.parse", SLOW, said_path("node", NODE), vec!["-e".into(), parse]),
            candidate(
                "python3, json.load",
                SLOW,
                said_path("python3", PYTHON),
                vec!["-c".into(), read],
            ),
        ];
        found.into_iter().flatten().collect()
    }

    /// `program` with the variables that all of this bench's processes have, and no terminal.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("HOOKRING_DIR", &self.hookring_dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// A hook's JSON of exactly `payload_bytes`, if that is enough for its fields.
    pub(crate) fn payload(&self, payload_bytes: usize) -> Vec<u8> {
        let start = format!(
            r#"{{"session_id":"{}","hook_event_name":"PostToolUse","tool_name":"Bash","tool_input":{{"command":"cargo test"}},"tool_response":{{"stdout":""#,
            self.session
        );
        let end = r#""}}"#;
        let text_bytes = payload_bytes.saturating_sub(start.len() + end.len());
        let text: String = "test result: ok; ".chars().cycle().take(text_bytes).collect();
        format!("{start}{text}{end}").into_bytes()
    }

    /// One run of `candidate` with `payload` on its stdin.
    pub(crate) fn time(&mut self, candidate: &Candidate, payload: &[u8]) -> Result<Sample> {
        if candidate.program == self.emit {
            self.published += 1;
        }
        let mut command = self.command(&candidate.program);
        command.args(&candidate.args);
        time(command, payload).with_context(|| format!("could not run {}", candidate.name))
    }

    /// Runs the hook command once, for its effect.
    pub(crate) fn publish(&mut self, payload: &[u8]) -> Result<()> {
        self.published += 1;
        let command = self.command(&self.emit);
        time(command, payload).context("could not run hookring-emit")?;
        Ok(())
    }

    /// Empties the file that `cat` appends to.
    pub(crate) fn clear_scratch(&self) -> Result<()> {
        let opened = OpenOptions::new().create(true).write(true).truncate(true).open(&self.scratch);
        opened.map(drop).with_context(|| format!("could not empty {}", self.scratch.display()))
    }
}

/// How a program is asked for its own path: a version manager's wrapper under its name would be
/// timed instead.
const SHELL: &[&str] = &["sh", "-c", "command -v \"$0\""];
const NODE: &[&str] = &["node", "-p", "process.execPath"];
const PYTHON: &[&str] = &["python3", "-c", "import sys; print(sys.executable)"];

fn said_path(name: &str, question: &[&str]) -> Option<PathBuf> {
    let mut command = Command::new(question[0]);
    command.args(&question[1..]);
    if question == SHELL {
        command.arg(name);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end());
    fs::metadata(&path).is_ok_and(|found| found.is_file()).then_some(path)
}
