//! Which process holds the journal's lock, by what the kernel says.

use std::fs;
use std::path::{Path, PathBuf};

use hookring_journal as journal;
use rustix::process::Pid;

use super::status::Status;
use crate::paths::Paths;

/// The process that the status file names, if that holds the journal's lock: then it is a daemon that runs. A repair
/// holds it, too, and writes no status.
pub fn running_daemon(paths: &Paths) -> Option<Pid> {
    let status = Status::read(&paths.status_file).ok().flatten()?;
    let pid = writer_of(&status)?;
    holds_lock(pid, &paths.journal).then_some(pid)
}

/// The process that wrote a status; somebody else may have its number by now.
pub fn writer_of(status: &Status) -> Option<Pid> {
    i32::try_from(status.pid).ok().and_then(Pid::from_raw)
}

/// Whether the process holds the lock of this journal, by what the kernel says of its descriptors.
/// Where that is not told, as on systems other than Linux, nobody does.
pub fn holds_lock(pid: Pid, journal: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let id = |it: fs::Metadata| (it.dev(), it.ino());
    let Ok(lock) = fs::metadata(journal.join(journal::LOCK_NAME)).map(id) else { return false };
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        let is_lock = fs::metadata(descriptor.path()).is_ok_and(|it| id(it) == lock);
        let told = || fs::read_to_string(process.join("fdinfo").join(descriptor.file_name()));
        let is_writer = |line: &str| line.starts_with("lock:") && line.contains("WRITE");
        is_lock && told().is_ok_and(|told| told.lines().any(is_writer))
    })
}
