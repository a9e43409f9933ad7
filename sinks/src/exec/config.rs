//! What an exec sink can be told, and what its program is told by the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::secret::{Secret, SecretError};

/// How long one call may take by default.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The variables of this process that a program gets: what tells it where it is, and none of those that
/// hold keys and tokens. A name with `*` at its end stands for all that begin so.
pub const PASSED_VARIABLES: [&str; 17] = [
    "HOME",
    "HOOKRING_DIR",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LOGNAME",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

/// Which program is run, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecConfig {
    /// The program (looked up in `PATH` if it has no slash) and its arguments. Never empty, and no shell
    /// reads it.
    pub command: Vec<String>,
    /// Variables that it gets besides [`PASSED_VARIABLES`]; read each time that it is started.
    pub env: BTreeMap<String, Secret>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// How long one call may take, to the end of its answer.
    pub timeout: Duration,
}

impl ExecConfig {
    /// Runs `command` in `/`.
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> ExecConfig {
        ExecConfig {
            command: command.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            cwd: PathBuf::from("/"),
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Everything that the program finds in its environment, from that of this process.
    pub(super) fn environment(&self) -> Result<BTreeMap<OsString, OsString>, SecretError> {
        let passed = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed));
        let mut variables: BTreeMap<_, _> = passed.collect();
        for (name, value) in &self.env {
            let value = match value {
                // One that is empty, or has several lines, is one, too.
                Secret::Text(text) => text.clone(),
                elsewhere => elsewhere.read()?,
            };
            variables.insert(name.into(), value.as_str().into());
        }
        Ok(variables)
    }
}

fn is_passed(name: &str) -> bool {
    PASSED_VARIABLES.iter().any(|passed| match passed.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *passed,
    })
}

/// Without the arguments and the variables' values, which may be secrets.
impl fmt::Debug for ExecConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecConfig")
            .field("program", &self.command.first())
            .field("arguments", &self.command.len().saturating_sub(1))
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .field("timeout", &self.timeout)
            .finish()
    }
}
