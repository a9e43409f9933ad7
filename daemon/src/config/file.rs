//! Reading the configuration file, once it is clear that it may be trusted.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::orphans::{self, Orphan};
use super::sinks::SinkConfig;

/// The largest configuration that is read, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// What may go wrong later, though the configuration is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Other users can read or change the file.
    OpenToOthers {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whether it is this user's: root's may have to be readable.
        is_own: bool,
    },
    /// A sink's file is a directory: the sink cannot start until that is gone.
    SinkIsDirectory {
        /// The sink.
        sink: String,
        /// The directory.
        path: PathBuf,
    },
    /// Sinks that have a cursor are not configured.
    Orphans {
        /// At least one.
        orphans: Vec<Orphan>,
    },
    /// A filter names what nobody knows.
    UnknownName {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The list's full path.
        key: String,
        /// What is likely to be wrong with it.
        message: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orphans { orphans } => orphans::write(orphans, f),
            Self::OpenToOthers { file, mode, is_own } => {
                let what = match (mode & 0o044 != 0, mode & 0o022 != 0) {
                    (true, true) => "read and changed",
                    (true, false) => "read",
                    _ => "changed",
                };
                let command = if *is_own { "chmod 600" } else { "chmod go-w" };
                let file = file.display();
                write!(
                    f,
                    "{file} can be {what} by others (mode {mode:04o}): run `{command} {file}`"
                )
            }
            Self::SinkIsDirectory { sink, path } => write!(
                f,
                "sinks.{sink}.path is {}, a directory, so the sink cannot start: name a file in it",
                path.display()
            ),
            Self::UnknownName { file, line, column, key, message } => {
                write!(f, "{}:{line}:{column}: {key}: {message}", file.display())
            }
        }
    }
}

/// A sink that runs and whose file is a directory. No error: the other sinks can do without it.
pub(super) fn directory_in_the_way(sink: &SinkConfig) -> Option<Warning> {
    let path = sink.file()?;
    let warning = || Warning::SinkIsDirectory { sink: sink.name.clone(), path: path.to_owned() };
    (sink.enabled && path.is_dir()).then(warning)
}

/// Why a file is not read, with a suggestion.
#[derive(Debug)]
pub(super) struct FileError {
    pub(super) message: String,
    pub(super) help: String,
    /// It is not there.
    pub(super) missing: bool,
}

/// The file's bytes and what is to be said about it. Links are followed, because what counts is
/// checked on the file that was opened: that it is a regular one, of this user's or root's.
pub(super) fn read(path: &Path) -> Result<(Vec<u8>, Vec<Warning>), FileError> {
    // Without NONBLOCK, opening a named pipe would wait for somebody to write into it.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| cannot("open", &errno.into()))?;
    let file = File::from(file);
    let found = file.metadata().map_err(|error| cannot("read", &error))?;
    if !found.is_file() {
        return Err(refused("not a regular file", "name a file that holds the configuration"));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user && found.uid() != 0 {
        let message =
            format!("the file belongs to user {}, not to user {user} or root", found.uid());
        return Err(refused(&message, "use a copy that belongs to you"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot("read", &error))?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(refused("the file is larger than 1 MiB", "is it the right file?"));
    }
    let mode = found.mode() & 0o7777;
    let is_own = found.uid() == user;
    let is_open = mode & if is_own { 0o066 } else { 0o022 } != 0;
    let warning = || Warning::OpenToOthers { file: path.to_owned(), mode, is_own };
    Ok((bytes, is_open.then(warning).into_iter().collect()))
}

fn refused(message: &str, help: &str) -> FileError {
    FileError { message: message.to_owned(), help: help.to_owned(), missing: false }
}

fn cannot(action: &str, error: &io::Error) -> FileError {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let help = if missing {
        "check the name; without a configuration, the defaults apply"
    } else {
        "check the permissions of the file and of the directories above it"
    };
    FileError {
        message: format!("cannot {action} the file: {error}"),
        help: help.to_owned(),
        missing,
    }
}
