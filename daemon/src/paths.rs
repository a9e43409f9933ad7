//! Where everything is: the daemon's own files, and the private folders that hold them.
//!
//! The ring and the spool have places of their own, known to the bus, because a hook and a daemon
//! with different environments must still meet. `HOOKRING_DIR` moves all of it under one folder.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hookring_bus::sys;
use hookring_journal::storage::create_private_dir;
use rustix::fs::{Mode, OFlags};

/// The variable that puts everything, ring and spool too, under one folder.
pub const DIR_VARIABLE: &str = "HOOKRING_DIR";

/// The folder of this program below the XDG base directories.
const FOLDER: &str = "hookring";

/// The configuration's file name.
const CONFIG_FILE: &str = "hookring.toml";

/// Where the daemon's files are. Nothing here is created until somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The folder named by `HOOKRING_DIR`; the ring and the spool are in it, too.
    pub override_dir: Option<PathBuf>,
    /// The user's home directory, where one is known.
    pub home: Option<PathBuf>,
    /// The folder that holds the journal, the cursors and the rest of what the daemon keeps.
    pub state: PathBuf,
    /// The journal's segments and its lock.
    pub journal: PathBuf,
    /// One cursor file per sink.
    pub cursors: PathBuf,
    /// Events that sinks would not take.
    pub dead_letters: PathBuf,
    /// Where a sink that writes files does so unless its configuration says otherwise.
    pub sinks: PathBuf,
    /// What the running daemon says about itself.
    pub status_file: PathBuf,
    /// The key of the hashes that stand for secrets.
    pub redaction_key: PathBuf,
    /// The configuration that is read when none is named.
    pub config_file: PathBuf,
}

/// Why the daemon cannot tell where its files belong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathsError {
    /// `HOOKRING_DIR` would mean another folder in every process.
    #[error(
        "{DIR_VARIABLE} is `{}`, which is not an absolute path: give it in full, starting with `/`",
        .0.display()
    )]
    RelativeOverride(PathBuf),
    /// It names a file, a device or a pipe.
    #[error(
        "{DIR_VARIABLE} is `{}`, which is not a directory: name one, or one that is not there yet",
        .0.display()
    )]
    OverrideIsNoDirectory(PathBuf),
    /// Neither the environment nor the password database names a home directory.
    #[error("no home directory is known: set HOME, or set {DIR_VARIABLE} to an absolute path")]
    NoHome,
}

impl Paths {
    /// The places for this process: from its environment, and from the password database where
    /// `HOME` is not set.
    ///
    /// # Errors
    ///
    /// See [`Paths::resolve`]; or `HOOKRING_DIR` is something else than a directory.
    pub fn from_process() -> Result<Self, PathsError> {
        let paths = Self::resolve(&|name| std::env::var_os(name), std::env::home_dir())?;
        match &paths.override_dir {
            // A link is refused by whoever opens the directory.
            Some(dir) if dir.metadata().is_ok_and(|found| !found.is_dir()) => {
                Err(PathsError::OverrideIsNoDirectory(dir.clone()))
            }
            _ => Ok(paths),
        }
    }

    /// The places for an environment. `home` is the user's home directory; one that is not an
    /// absolute path counts as unknown.
    ///
    /// The base directories are those of the XDG Base Directory Specification 0.8, which says that
    /// a variable whose value is empty or a relative path is to be ignored.
    ///
    /// # Errors
    ///
    /// `HOOKRING_DIR` is a relative path, or a home directory is needed and not known.
    pub fn resolve(
        env: &dyn Fn(&str) -> Option<OsString>,
        home: Option<PathBuf>,
    ) -> Result<Self, PathsError> {
        let home = home.filter(|path| path.is_absolute());
        if let Some(dir) = env(DIR_VARIABLE).filter(|dir| !dir.is_empty()) {
            let dir = PathBuf::from(dir);
            if !dir.is_absolute() {
                return Err(PathsError::RelativeOverride(dir));
            }
            return Ok(Self::new(dir.clone(), dir.join(CONFIG_FILE), Some(dir), home));
        }
        let base = |variable: &str, below_home: &str| {
            let given = env(variable).map(PathBuf::from).filter(|path| path.is_absolute());
            let base = given.or_else(|| home.as_ref().map(|home| home.join(below_home)));
            base.map(|base| base.join(FOLDER)).ok_or(PathsError::NoHome)
        };
        let state = base("XDG_STATE_HOME", ".local/state")?;
        let config = base("XDG_CONFIG_HOME", ".config")?;
        Ok(Self::new(state, config.join(CONFIG_FILE), None, home))
    }

    fn new(
        state: PathBuf,
        config_file: PathBuf,
        override_dir: Option<PathBuf>,
        home: Option<PathBuf>,
    ) -> Self {
        Self {
            journal: state.join("journal"),
            cursors: state.join("cursors"),
            dead_letters: state.join("dead_letters"),
            sinks: state.join("sinks"),
            status_file: state.join("status.json"),
            redaction_key: state.join("redaction.key"),
            override_dir,
            home,
            state,
            config_file,
        }
    }
}

/// Why a folder cannot be used for private files.
#[derive(Debug, thiserror::Error)]
pub enum PrivateDirError {
    /// The folder is missing and could not be made.
    #[error(
        "cannot create the directory {}; check who may write above it, or set {DIR_VARIABLE} to \
         another place",
        path.display()
    )]
    Create {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder is there and could not be looked at.
    #[error("cannot open the directory {}", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever made the link decides where our files go.
    #[error("{} is a symbolic link, which is not followed: replace it by a directory", .0.display())]
    SymbolicLink(PathBuf),
    /// Something else has the name.
    #[error("{} is not a directory: move it out of the way", .0.display())]
    NotADirectory(PathBuf),
    /// Another user could read or replace what is in it.
    #[error("{} belongs to user {owner}, not to user {user}: remove or rename it", path.display())]
    OtherOwner {
        /// The folder.
        path: PathBuf,
        /// The user that the folder belongs to.
        owner: u32,
        /// The user that this process runs as.
        user: u32,
    },
    /// Its group, or everybody, may read or write in it.
    #[error(
        "{} is open to other users (mode {mode:04o}): run `chmod 700 {}`",
        path.display(),
        path.display()
    )]
    Accessible {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Makes sure that `path` is a directory of this user's that nobody else may enter, and creates it
/// with mode 0700, and so the missing ones above it, if it is not there. One whose mode keeps this user
/// out, too, is given that mode ([`give_back`]).
///
/// The directory is opened once, without following a link in its place, and what is checked is what
/// was opened. Links further up are followed: home directories are often behind one.
///
/// # Errors
///
/// The directory cannot be made or opened, is a symbolic link or no directory, belongs to somebody
/// else, or may be entered by others.
pub fn ensure_private_dir(path: &Path) -> Result<(), PrivateDirError> {
    // Without this, a slash at the end would make the system follow a link after all.
    let path: PathBuf = path.components().collect();
    give_back(&path);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::open(&path, flags, Mode::empty());
    let opened = match open() {
        Err(rustix::io::Errno::NOENT) => {
            create_private_dir(&path)
                .map_err(|source| PrivateDirError::Create { path: path.clone(), source })?;
            open()
        }
        other => other,
    };
    let dir = opened.map_err(|errno| refusal(&path, errno.into()))?;
    let found = File::from(dir)
        .metadata()
        .map_err(|source| PrivateDirError::Open { path: path.clone(), source })?;
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(PrivateDirError::OtherOwner { path, owner: found.uid(), user });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateDirError::Accessible { path, mode });
    }
    Ok(())
}

/// Gives a file or directory back to this user that is theirs and nobody else's, and whose mode keeps them
/// out in part: whoever made it has a umask for that. What cannot be changed fails where it is used.
pub fn give_back(path: &Path) {
    if let Ok(path) = CString::new(path.as_os_str().as_bytes()) {
        let _ = sys::give_back(None, &path, sys::effective_uid());
    }
}

/// Names the reason why a directory did not open. The path is looked at again for the message only:
/// systems differ in what they say about a link.
fn refusal(path: &Path, source: io::Error) -> PrivateDirError {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => PrivateDirError::SymbolicLink(path.to_owned()),
        Ok(found) if !found.is_dir() => PrivateDirError::NotADirectory(path.to_owned()),
        _ => PrivateDirError::Open { path: path.to_owned(), source },
    }
}

#[cfg(test)]
mod tests;
