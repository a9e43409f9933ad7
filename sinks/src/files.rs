//! Files by which processes tell each other something: opened so that nothing else than a file can hold up
//! who reads it, written whole, and private.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hookring_journal::storage::create_private_dir;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// No small file is read beyond so many bytes.
const READ_MAX_BYTES: u64 = 64 << 10;

/// Opens a file, with mode 0600 if it is made. It must be a regular one, and no link to one: opening or reading
/// another might never end.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Without NONBLOCK, opening a named pipe would wait for its other end.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let opened = options.mode(0o600).custom_flags(flags.bits().cast_signed()).open(path);
    let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        // A link; a socket, or a pipe that nobody reads.
        Some(Errno::LOOP | Errno::NXIO) => no_file(),
        _ => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

/// Opens one to read it; `None` if it is not there.
pub(crate) fn open_to_read(path: &Path) -> io::Result<Option<File>> {
    match open(path, OpenOptions::new().read(true)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file that is to take another's place in one step, under the same name with `.new` behind it until then.
/// Dropped before, it leaves nothing behind.
pub(crate) struct NewFile<'a> {
    path: &'a Path,
    new: PathBuf,
    writer: BufWriter<File>,
    is_placed: bool,
}

impl<'a> NewFile<'a> {
    pub(crate) fn create(path: &'a Path) -> io::Result<NewFile<'a>> {
        let new = path.with_added_extension("new");
        let file = open(&new, OpenOptions::new().write(true).create(true).truncate(true))?;
        Ok(NewFile { path, new, writer: BufWriter::new(file), is_placed: false })
    }

    /// Not synced: a loss of power may take it.
    pub(crate) fn place(mut self) -> io::Result<()> {
        self.writer.flush()?;
        fs::rename(&self.new, self.path)?;
        self.is_placed = true;
        Ok(())
    }

    pub(crate) fn place_synced(mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        self.place()
    }
}

impl Write for NewFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.is_placed {
            // What brought this about is told; the next one begins the file anew.
            let _ = fs::remove_file(&self.new);
        }
    }
}

/// Writes a file in one step, in a folder that is made if it is missing. Not synced: a loss of power may
/// take it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        create_private_dir(dir)?;
    }
    let mut file = NewFile::create(path)?;
    file.write_all(bytes)?;
    file.place()
}

/// Its content; `None` if it is not there.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open_to_read(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(READ_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Removes it. Says whether it was there.
pub(crate) fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        mkfifoat(CWD, path("pipe"), Mode::RWXU).expect("a pipe");
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("a socket");
        fs::write(path("file"), "a").expect("a file");
        std::os::unix::fs::symlink(path("file"), path("link")).expect("a link");
        fs::create_dir(path("folder")).expect("a folder");
        for name in ["pipe", "socket", "link", "folder"] {
            let error = read(&path(name)).expect_err(name);
            assert_eq!(error.to_string(), "it is no regular file", "{name}");
            open(&path(name), OpenOptions::new().append(true).create(true)).expect_err(name);
        }
        assert_eq!(read(&path("file")).expect("readable").as_deref(), Some(&b"a"[..]));
        assert_eq!(read(&path("none")).expect("readable"), None);
    }

    #[test]
    fn what_cannot_be_written_whole_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a");
        let mut file = NewFile::create(&path).expect("a file");
        file.write_all(b"half").expect("written");
        drop(file);
        // Nothing takes the place of a folder.
        fs::create_dir(&path).expect("a folder");
        replace(&path, b"whole").expect_err("in the way");
        let names = fs::read_dir(dir.path()).expect("a folder").count();
        assert_eq!(names, 1);
        fs::remove_dir(&path).expect("removed");
        replace(&path, b"whole").expect("written");
        assert_eq!(read(&path).expect("readable").as_deref(), Some(&b"whole"[..]));
    }
}
