//! The file that is appended to: opened safely, mended after a crash, never left with half a line.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hookring_journal::Seq;
use hookring_journal::storage::sync_ancestors;
use rustix::fs::{FlockOperation, OFlags};

use super::encode::{LINE_START, REPLAY_START, line_seq};
use super::rotate::sync_folder;

/// How many bytes are read at a time when looking back for the end of the last whole line.
const LOOK_BACK_BYTES: u64 = 64 << 10;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// An operation of the file system failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The path is taken by a folder, a device, a pipe or a socket.
    #[error("{} is not a regular file; move it away or choose another path", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The file is somebody else's.
    #[error(
        "{} belongs to user {owner} and not to user {user}; move it away or choose another path",
        path.display()
    )]
    NotOurs {
        /// The path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who this process runs as.
        user: u32,
    },
    /// A sync failed while the file was being rotated or replaced.
    #[error("{} could not be synced; its last events are written again", path.display())]
    Unsynced {
        /// The path.
        path: PathBuf,
    },
    /// Another sink, here or in another process, appends to the same file.
    #[error("{} is in use by another sink; give each sink a path of its own", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
}

/// The open file. It ends with a whole line whenever no call is running.
#[derive(Debug)]
pub(super) struct ActiveFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    born: SystemTime,
    first_seq: Option<Seq>,
    last_seq: Option<Seq>,
    synced: bool,
    #[cfg(test)]
    sync_fails: bool,
}

impl ActiveFile {
    /// Opens or creates the file (0600, also where it was there before) and its parent folders (0700), takes its lock, and cuts off
    /// a line that a crash left half written.
    pub(super) fn open(path: &Path) -> Result<ActiveFile, FileError> {
        create_parents(path)?;
        let file = open_ours(path, OpenOptions::new().read(true).append(true).create(true))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(FileError::InUse { path: path.to_owned() });
            }
            Err(error) => return Err(io_error("lock", path)(error.into())),
        }
        mend_end(&file).map_err(io_error("repair the end of", path))?;
        let metadata = file.metadata().map_err(io_error("inspect", path))?;
        let bytes = metadata.len();
        let born = if bytes == 0 {
            sync_folder(parent(path))?;
            // The folders' own names: whoever made them, the cursor will pass what the file holds.
            sync_ancestors(parent(path)).map_err(io_error("sync the folders above", path))?;
            SystemTime::now()
        } else {
            // Not every file system keeps the time of birth; the last write is the next best.
            let born = metadata.created().or_else(|_| metadata.modified());
            born.map_err(io_error("read the age of", path))?
        };
        Ok(ActiveFile {
            first_seq: first_line_seq(&file).map_err(io_error("read", path))?,
            last_seq: last_line_seq(&file, bytes).map_err(io_error("read", path))?,
            path: path.to_owned(),
            file,
            bytes,
            born,
            synced: false,
            #[cfg(test)]
            sync_fails: false,
        })
    }

    /// Appends whole lines, all of them or none. `range`: the first and the last of their numbers; `None`: they
    /// are replayed, and say nothing of what arrived.
    pub(super) fn append(
        &mut self,
        lines: &[u8],
        range: Option<(Seq, Seq)>,
    ) -> Result<(), FileError> {
        self.synced = false;
        if let Err(error) = (&self.file).write_all(lines) {
            self.file.set_len(self.bytes).map_err(io_error("cut back", &self.path))?;
            return Err(io_error("append to", &self.path)(error));
        }
        self.bytes += lines.len() as u64;
        if let Some((first, last)) = range {
            self.first_seq.get_or_insert(first);
            self.last_seq = Some(last);
        }
        Ok(())
    }

    /// Makes what was appended survive a loss of power.
    pub(super) fn sync(&mut self) -> Result<(), FileError> {
        if !self.synced {
            #[cfg(test)]
            if self.sync_fails {
                let error = rustix::io::Errno::IO.into();
                return Err(io_error("sync", &self.path)(error));
            }
            self.file.sync_data().map_err(io_error("sync", &self.path))?;
            self.synced = true;
        }
        Ok(())
    }

    /// True while the path still names this file and only we wrote to it.
    pub(super) fn is_untouched(&self) -> Result<bool, FileError> {
        let ours = self.file.metadata().map_err(io_error("inspect", &self.path))?;
        match fs::symlink_metadata(&self.path) {
            Ok(there) => {
                Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())
                    && ours.len() == self.bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("inspect", &self.path)(error)),
        }
    }

    /// A second reader of the same file, at its beginning.
    pub(super) fn reader(&self) -> Result<File, FileError> {
        open_ours(&self.path, OpenOptions::new().read(true))
    }

    #[cfg(test)]
    pub(super) fn break_sync(&mut self) {
        self.sync_fails = true;
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the file was created, or opened while it was still empty.
    pub(super) fn born(&self) -> SystemTime {
        self.born
    }

    /// The number on the first line; `None` if there is none, or it is not a line of ours.
    pub(super) fn first_seq(&self) -> Option<Seq> {
        self.first_seq
    }

    /// The number on the last line; `None` as above.
    pub(super) fn last_seq(&self) -> Option<Seq> {
        self.last_seq
    }
}

impl Drop for ActiveFile {
    /// Closing would not do at once: a child process that is just being started holds a copy.
    fn drop(&mut self) {
        // If this fails, closing unlocks, a moment later.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// Opens a file without following a symbolic link, refuses what is not a regular file of ours, and
/// closes to others what is.
pub(super) fn open_ours(path: &Path, options: &mut OpenOptions) -> Result<File, FileError> {
    // NONBLOCK: the open of a planted pipe must not wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options
        .mode(0o600)
        .custom_flags(flags.bits() as i32)
        .open(path)
        .map_err(io_error("open", path))?;
    let metadata = file.metadata().map_err(io_error("inspect", path))?;
    if !metadata.is_file() {
        return Err(FileError::NotRegular { path: path.to_owned() });
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(FileError::NotOurs { path: path.to_owned(), owner: metadata.uid(), user });
    }
    close_to_others(&file, &metadata, path)?;
    Ok(file)
}

/// A file that was there before has the mode that somebody else gave it. Said once, since it is closed
/// from then on.
fn close_to_others(file: &File, metadata: &Metadata, path: &Path) -> Result<(), FileError> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let closed = file.set_permissions(Permissions::from_mode(0o600));
    closed.map_err(io_error("set the mode 0600 of", path))?;
    tracing::warn!("{} was open to others (mode {mode:04o}); its mode is 0600 now", path.display());
    Ok(())
}

/// For `map_err`: names the action and the path.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError::Io { action, path: path.to_owned(), source }
}

/// The folder a path is in; the working directory for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn create_parents(path: &Path) -> Result<(), FileError> {
    let folder = parent(path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(io_error("create folder", folder))
}

/// Cuts off what follows the last newline if it is a piece of one of our lines. What is not ours is
/// left there and gets the newline that it lacks.
fn mend_end(file: &File) -> io::Result<()> {
    let bytes = file.metadata()?.len();
    let whole = end_of_line_before(file, bytes)?;
    if whole == bytes {
        return Ok(());
    }
    let mut start = [0; REPLAY_START.len()];
    let kept = start.len().min((bytes - whole) as usize);
    file.read_exact_at(&mut start[..kept], whole)?;
    // Some file systems fill what a loss of power took with zeros.
    let begins = |form: &[u8]| form.iter().zip(&start[..kept]).all(|(one, other)| one == other);
    let torn = begins(LINE_START) || begins(REPLAY_START) || start[0] == 0;
    if torn { file.set_len(whole) } else { (&mut &*file).write_all(b"\n") }
}

/// Enough of a line for its number: up to 20 digits and a comma.
const NUMBERED_BYTES: usize = LINE_START.len() + 21;

fn first_line_seq(file: &File) -> io::Result<Option<Seq>> {
    let mut start = [0; NUMBERED_BYTES];
    let filled = file.read_at(&mut start, 0)?;
    Ok(line_seq(&start[..filled]))
}

fn last_line_seq(file: &File, bytes: u64) -> io::Result<Option<Seq>> {
    let Some(before_newline) = bytes.checked_sub(1) else { return Ok(None) };
    let begin = end_of_line_before(file, before_newline)?;
    let mut start = [0; NUMBERED_BYTES];
    let filled = file.read_at(&mut start, begin)?;
    Ok(line_seq(&start[..filled]))
}

/// Where the last newline before `end` ends; 0 if there is none.
fn end_of_line_before(file: &File, mut end: u64) -> io::Result<u64> {
    let mut chunk = vec![0; LOOK_BACK_BYTES as usize];
    while end > 0 {
        let begin = end.saturating_sub(LOOK_BACK_BYTES);
        let chunk = &mut chunk[..(end - begin) as usize];
        file.read_exact_at(chunk, begin)?;
        if let Some(newline) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + newline as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// Whole lines from a reader, starting with the first line that begins at or after `skip` bytes.
pub(super) fn skip_to_line(mut file: File, skip: u64) -> io::Result<BufReader<File>> {
    // The byte before tells whether a line begins right there.
    file.seek(SeekFrom::Start(skip.saturating_sub(1)))?;
    let mut reader = BufReader::new(file);
    if skip > 0 {
        skip_line(&mut reader)?;
    }
    Ok(reader)
}

/// Reads past the next newline without keeping anything.
fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let found = buffer.iter().position(|byte| *byte == b'\n');
        let used = found.map_or(buffer.len(), |newline| newline + 1);
        reader.consume(used);
        if found.is_some() || used == 0 {
            return Ok(());
        }
    }
}
