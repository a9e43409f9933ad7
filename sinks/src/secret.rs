//! What nobody should see: where it is kept, and how it is read. A secret is read when it is needed and again
//! when a place no longer takes it, so that it can be changed without a restart.

mod command;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// A longer secret is none, in bytes.
pub const MAX_SECRET_BYTES: usize = 64 << 10;
/// How long a command may take to say a secret.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// Where a secret is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Here.
    Text(Zeroizing<String>),
    /// In an environment variable of this process.
    Env(String),
    /// In a file: its text without the newlines at its end.
    File(PathBuf),
    /// What a program writes, without the newlines at its end. No shell is between.
    Command(Vec<String>),
}

/// A secret that cannot be read. The text has where it is, never what it is.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not there, or is no UTF-8.
    #[error("cannot read the environment variable {name}; set it for the daemon")]
    Env {
        /// Its name.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read the secret in {}", path.display())]
    File {
        /// Its name.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The program cannot be started, or not be read from.
    #[error("cannot run `{program}` for a secret")]
    Start {
        /// Its name.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// It ended otherwise than well.
    #[error("cannot take a secret from `{program}`, which ended with {status}; try it by hand")]
    Ended {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// It took too long and was killed.
    #[error("cannot take a secret from `{program}`, which did not end and close its output within {} s", limit.as_secs())]
    TooSlow {
        /// Its name.
        program: String,
        /// How long it may take.
        limit: Duration,
    },
    /// There is nothing.
    #[error("the secret in {place} is empty")]
    Empty {
        /// Where it is.
        place: String,
    },
    /// There is more than a secret can be, or what is no text.
    #[error("the secret in {place} is no line of text of at most {MAX_SECRET_BYTES} bytes")]
    NoText {
        /// Where it is.
        place: String,
    },
}

impl Secret {
    /// Reads it anew. Blocks for at most [`COMMAND_LIMIT`].
    ///
    /// # Errors
    ///
    /// If it cannot be read, is empty, longer than [`MAX_SECRET_BYTES`], or no line of text.
    pub fn read(&self) -> Result<Zeroizing<String>, SecretError> {
        self.read_within(COMMAND_LIMIT)
    }

    fn read_within(&self, limit: Duration) -> Result<Zeroizing<String>, SecretError> {
        let bytes = match self {
            Secret::Text(text) => Zeroizing::new(text.as_bytes().to_vec()),
            Secret::Env(name) => {
                let value = std::env::var(name);
                let value = value.map_err(|_| SecretError::Env { name: name.clone() })?;
                Zeroizing::new(value.into_bytes())
            }
            Secret::File(path) => {
                let failed = |source| SecretError::File { path: path.clone(), source };
                read_file(path, MAX_SECRET_BYTES).map_err(failed)?
            }
            Secret::Command(words) => command::said(words, limit)?,
        };
        let place = || self.to_string();
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| SecretError::NoText { place: place() })?
            .trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            return Err(SecretError::Empty { place: place() });
        }
        if bytes.len() > MAX_SECRET_BYTES || text.chars().any(char::is_control) {
            return Err(SecretError::NoText { place: place() });
        }
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// Where it is.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Text(_) => f.write_str("the configuration"),
            Secret::Env(name) => write!(f, "the environment variable {name}"),
            Secret::File(path) => write!(f, "{}", path.display()),
            Secret::Command(words) => {
                write!(f, "the output of `{}`", words.first().map_or("", String::as_str))
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a file with secrets has, up to one byte more than `max_bytes`. It must be a regular one: reading another
/// might never end.
pub(crate) fn read_file(path: &Path, max_bytes: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Without NONBLOCK, opening a named pipe would wait for somebody to write into it.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    // At once, so that no copy is left behind by a vector that grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max_bytes + 1));
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};

    use super::*;
    use crate::testing::deadline;

    fn command(words: &[&str]) -> Secret {
        Secret::Command(words.iter().map(|it| (*it).to_owned()).collect())
    }

    fn read(secret: &Secret) -> String {
        secret.read().expect("a secret").to_string()
    }

    #[test]
    fn it_is_read_from_where_it_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("secret");
        fs::write(&path, "hunter2\r\n").expect("a file");
        assert_eq!(read(&Secret::File(path.clone())), "hunter2");
        fs::write(&path, "hunter3").expect("a file");
        assert_eq!(read(&Secret::File(path)), "hunter3", "it is read anew");
        assert_eq!(read(&command(&["printf", "%s\\n\\n", "a $HOME;b"])), "a $HOME;b", "no shell");
        assert_eq!(read(&Secret::Text(Zeroizing::new("hunter4".to_owned()))), "hunter4");
        assert_eq!(read(&Secret::Env("PATH".to_owned())), std::env::var("PATH").expect("PATH"));
    }

    #[test]
    fn what_is_no_secret_is_told_without_being_shown() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, text).expect("a file");
            Secret::File(path)
        };
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RWXU).expect("a pipe");
        for (secret, said) in [
            (Secret::Env("HOOKRING_NO_SUCH_VARIABLE".to_owned()), "variable HOOKRING_NO_SUCH"),
            (Secret::File(dir.path().join("none")), "cannot read the secret in "),
            (Secret::File("/dev/zero".into()), "cannot read the secret in /dev/zero"),
            (Secret::File(pipe), "cannot read the secret in "),
            (write("long", &[b'x'; MAX_SECRET_BYTES + 1]), "no line of text"),
            (write("empty", b"\n"), "is empty"),
            (write("lines", b"hunter2\nhunter3\n"), "no line of text"),
            (write("latin", b"hunter2\xe9"), "no line of text"),
            (command(&["/no/such/program", "hunter2"]), "cannot run `/no/such/program`"),
            (command(&["sh", "-c", "echo hunter2; exit 3"]), "exit status: 3"),
            (command(&[]), "cannot run"),
        ] {
            let error = secret.read().expect_err("no secret").to_string();
            assert!(error.contains(said) && !error.contains("hunter"), "{error}");
        }
        let text = Secret::Text(Zeroizing::new("hunter2".to_owned()));
        assert!(!format!("{text:?} {text}").contains("hunter2"));
    }

    fn wait_for(what: &str, is_so: impl Fn() -> bool) {
        let deadline = deadline();
        while !is_so() {
            assert!(Instant::now() < deadline, "gave up waiting for {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The number that a script wrote there, if it has.
    fn process(file: &Path) -> Option<Pid> {
        Pid::from_raw(fs::read_to_string(file).ok()?.strip_suffix('\n')?.parse().ok()?)
    }

    #[test]
    fn a_command_that_does_not_end_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, end) in [("open", "sleep 1000"), ("closed", "exec 1>&-; sleep 1000")] {
            let file = dir.path().join(name);
            let script = format!("sleep 1000 >/dev/null & echo $! > {}; {end}", file.display());
            let secret = command(&["sh", "-c", &script]);
            let mut limit = Duration::from_millis(100);
            // Until it had the time to start another.
            let started = loop {
                let error = secret.read_within(limit).expect_err("too slow");
                assert!(matches!(error, SecretError::TooSlow { .. }), "{error}");
                if let Some(started) = process(&file) {
                    break started;
                }
                limit *= 2;
            };
            wait_for("its end", || test_kill_process(started) == Err(Errno::SRCH));
        }
    }

    /// Else this waits for longer than any test may run.
    #[test]
    fn a_command_that_says_too_much_is_killed_at_once() {
        let secret = command(&["cat", "/dev/zero"]);
        let error = secret.read_within(Duration::from_secs(1 << 30)).expect_err("too much");
        assert!(matches!(error, SecretError::NoText { .. }), "{error}");
    }

    #[test]
    fn what_a_command_leaves_in_its_group_ends_with_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("left");
        let script = format!("sleep 1000 >/dev/null & echo $! > {}; echo hunter2", file.display());
        assert_eq!(read(&command(&["sh", "-c", &script])), "hunter2");
        let left = process(&file).expect("a process");
        wait_for("its end", || test_kill_process(left) == Err(Errno::SRCH));
    }

    /// It holds the pipe that the secret was to come through, and says whether anybody reads from that.
    #[test]
    fn nobody_listens_to_what_left_the_group_once_the_time_is_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let script = "trap '' PIPE; cd \"$0\"; > there; while [ -d \"$0\" ] && [ ! -e go ]; do sleep 0.01; done; \
                      echo late && said=open || said=closed; echo $said > new; mv new said";
        let folder = dir.path().to_str().expect("text");
        let secret = command(&["setsid", "--fork", "sh", "-c", script, folder]);
        let mut limit = Duration::from_millis(100);
        // Until it had the time to leave the group.
        while !dir.path().join("there").exists() {
            let error = secret.read_within(limit).expect_err("too slow");
            assert!(matches!(error, SecretError::TooSlow { .. }), "{error}");
            limit *= 2;
        }
        fs::write(dir.path().join("go"), "").expect("a mark");
        let said = dir.path().join("said");
        wait_for("what it says", || said.exists());
        assert_eq!(fs::read_to_string(said).expect("a word"), "closed\n");
    }
}
