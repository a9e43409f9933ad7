//! Every change that the writer and a repair make to the disk goes through here, so that tests can put
//! a disk in its place that is full, fails, or forgets what was not synced.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;

/// The journal's directory as its writer, or a repair, changes it. Names are file names, without a directory.
pub trait Storage: Send {
    /// Creates a file for writing, in place of one that is there.
    ///
    /// # Errors
    ///
    /// What the system says, here as in all other operations.
    fn create(&self, name: &str) -> io::Result<Box<dyn SegmentFile>>;
    /// Opens a file that is there for writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn SegmentFile>>;
    /// Renames a file, over one that has the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and deletions survive power loss.
    fn sync(&self) -> io::Result<()>;
    /// Which file has this name.
    fn id(&self, name: &str) -> io::Result<FileId>;
}

/// Tells a file from any other: its device and its inode.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &fs::Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A segment, or what a repair set aside, as it is changed.
pub trait SegmentFile: Send {
    /// Writes some of `bytes` at `offset`, returns how many.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Cuts the file to `len` bytes and releases what is reserved beyond.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
    /// Sets disk space aside so that the file can grow to `len` bytes; its length stays.
    fn reserve(&mut self, len: u64) -> io::Result<()>;
    /// Sets the time at which the file counts as changed last.
    fn set_modified(&mut self, time: SystemTime) -> io::Result<()>;
    /// Makes the file's bytes survive power loss. After an error, what was written since the last
    /// success may be lost, and asking again would not tell (the kernel reports it once).
    fn sync(&mut self) -> io::Result<()>;
    /// Which file this is, whatever its name is by now.
    fn id(&self) -> io::Result<FileId>;
    /// Whether it has a name at all.
    fn is_linked(&self) -> io::Result<bool>;
    /// How long it is.
    fn bytes(&self) -> io::Result<u64>;
}

/// The real file system.
#[derive(Debug)]
pub struct RealStorage {
    dir: PathBuf,
}

impl RealStorage {
    /// Works in `dir`, which must exist.
    pub fn new(dir: &Path) -> RealStorage {
        RealStorage { dir: dir.to_owned() }
    }
}

impl Storage for RealStorage {
    fn create(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        let file = private_file().create(true).truncate(true).open(self.dir.join(name))?;
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(private_file().open(self.dir.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        Ok(FileId::of(&fs::symlink_metadata(self.dir.join(name))?))
    }
}

impl SegmentFile for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    #[cfg(target_os = "linux")]
    fn reserve(&mut self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&*self, FallocateFlags::KEEP_SIZE, 0, len) {
            // This file system cannot: the disk may be found full later, no harm beyond that.
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            result => Ok(result?),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn reserve(&mut self, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn set_modified(&mut self, time: SystemTime) -> io::Result<()> {
        File::set_modified(self, time)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn id(&self) -> io::Result<FileId> {
        Ok(FileId::of(&self.metadata()?))
    }

    fn is_linked(&self) -> io::Result<bool> {
        Ok(rustix::fs::fstat(self)?.st_nlink > 0)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Options for a file that only its owner may read and that is no symbolic link.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Opens a file for reading that is no symbolic link.
pub(crate) fn open_read(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
}

/// Creates `dir` with mode 0700 if it is missing, and gives it that mode if it has another.
///
/// # Errors
///
/// If it cannot be created, is not a directory (a symbolic link to one is not), or is not ours.
pub(crate) fn prepare_dir(dir: &Path) -> io::Result<()> {
    create_dir(dir, &sync_dir)?;
    let metadata = fs::symlink_metadata(dir)?;
    if !metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    if metadata.mode() & 0o777 != 0o700 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Creates `dir` with mode 0700, and what is missing above it, so that it survives power loss.
///
/// # Errors
///
/// If it cannot be created or synced. That it is there already is no error.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    create_dir(dir, &sync_dir)
}

fn create_dir(dir: &Path, sync: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<_> = dir.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // From above: a name is of use only if the directory that it is in has one.
    missing.iter().rev().filter_map(|made| made.parent()).try_for_each(sync)
}

/// Makes the names by which `dir` is found survive power loss, up to the root of its file system,
/// whoever made the directories: a hook syncs none. Those that this user cannot open or sync are passed
/// over: somebody else made them.
///
/// # Errors
///
/// If `dir` is not there, or the disk fails.
pub fn sync_ancestors(dir: &Path) -> io::Result<()> {
    sync_ancestors_with(dir, &sync_dir)
}

fn sync_ancestors_with(dir: &Path, sync: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut below = fs::metadata(dir)?;
    let mut above = Vec::new();
    // The system goes up from where links lead, not from where they stand, and also where the path goes
    // through another process's root.
    let mut path = dir.join("..");
    while let Ok(found) = fs::metadata(&path)
        && found.dev() == below.dev()
        && found.ino() != below.ino()
    {
        above.push(path.clone());
        path.push("..");
        below = found;
    }
    above.iter().rev().try_for_each(|path| match sync(path) {
        Err(error) if is_no_sync_here(&error) => Ok(()),
        synced => synced,
    })
}

/// The file system does not sync such a directory, as opposed to a disk that fails.
fn is_no_sync_here(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match File::open(path) {
        // A directory in which one may create and which one may not read: it cannot be synced.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        dir => dir?.sync_all(),
    }
}

/// The right to change the journal in a directory; ends when it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct WriterLock {
    file: File,
}

/// Name of the file that the writer's lock is on.
pub const LOCK_NAME: &str = "lock";

/// A lock that is still taken after these tries belongs to a writer.
const LOCK_TRIES: u32 = 10;
const LOCK_RETRY: std::time::Duration = std::time::Duration::from_millis(5);

impl WriterLock {
    /// `Ok(None)`: another process has it.
    pub(crate) fn take(dir: &Path) -> io::Result<Option<WriterLock>> {
        let file = private_file().create(true).open(dir.join(LOCK_NAME))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(WriterLock { file })),
                // Somebody may only be asking whether it is taken (`is_in_use`).
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_RETRY),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether the lock is still on the file that others would ask for it; they find no other one.
    pub(crate) fn is_in_place(&self, dir: &Path) -> bool {
        let named = fs::symlink_metadata(dir.join(LOCK_NAME));
        let ours = self.file.metadata();
        matches!((named, ours), (Ok(named), Ok(ours)) if FileId::of(&named) == FileId::of(&ours))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn every_directory_that_is_made_is_synced_into_the_one_above() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a/b/journal");
        let synced = RefCell::new(Vec::new());
        let sync = |path: &Path| {
            synced.borrow_mut().push(path.to_owned());
            sync_dir(path)
        };
        create_dir(&dir, &sync).unwrap();
        let expected = [temp.path().to_owned(), temp.path().join("a"), temp.path().join("a/b")];
        assert_eq!(synced.take(), expected);
        create_dir(&dir, &sync).unwrap();
        assert!(synced.take().is_empty(), "what was there before is `sync_ancestors`'s");
        sync_dir(Path::new("")).unwrap();
        assert!(sync_dir(&dir.join("missing")).is_err());
    }

    #[test]
    fn every_directory_above_is_synced_whoever_made_it() {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap();
        let dir = root.join("a/b/journal");
        fs::create_dir_all(&dir).unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        let synced = RefCell::new(Vec::new());
        let sync = |path: &Path| {
            synced.borrow_mut().push(fs::canonicalize(path)?);
            sync_dir(path)
        };
        sync_ancestors_with(&root.join("link/b/journal"), &sync).unwrap();
        let synced = synced.into_inner();
        assert!(synced.ends_with(&[root.clone(), root.join("a"), root.join("a/b")]), "{synced:?}");
        let device = |path: &Path| path.metadata().unwrap().dev();
        assert!(synced.iter().all(|path| device(path) == device(&dir)));
        let top = &synced[0];
        assert!(top.parent().is_none_or(|above| device(above) != device(&dir)), "{synced:?}");
        sync_ancestors_with(&root.join("missing"), &sync_dir).unwrap_err();
    }

    /// What is above a mount point is another file system's.
    #[cfg(target_os = "linux")]
    #[test]
    fn directories_above_a_file_system_are_left_alone() {
        let synced = RefCell::new(Vec::new());
        let sync = |path: &Path| {
            synced.borrow_mut().push(fs::canonicalize(path)?);
            Ok(())
        };
        sync_ancestors_with(Path::new("/proc/sys"), &sync).unwrap();
        assert_eq!(synced.take(), [Path::new("/proc")]);
    }

    #[test]
    fn a_directory_that_has_no_sync_is_passed_over_and_a_disk_that_fails_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let fail = |errno: rustix::io::Errno| {
            sync_ancestors_with(temp.path(), &|_| Err(io::Error::from(errno)))
        };
        for errno in [rustix::io::Errno::INVAL, rustix::io::Errno::ROFS, rustix::io::Errno::ACCESS]
        {
            fail(errno).unwrap();
        }
        fail(rustix::io::Errno::IO).unwrap_err();
    }

    /// A device has nothing that could be synced, and the system says so if it is asked.
    #[test]
    fn a_sync_asks_the_system() {
        let nothing = Path::new("/dev/null");
        SegmentFile::sync(&mut File::open(nothing).unwrap()).unwrap_err();
        RealStorage::new(nothing).sync().unwrap_err();
        sync_dir(nothing).unwrap_err();
        let temp = tempfile::tempdir().unwrap();
        let mut file = File::create(temp.path().join("file")).unwrap();
        SegmentFile::sync(&mut file).unwrap();
        RealStorage::new(temp.path()).sync().unwrap();
    }
}
