//! Disks that are small or read-only: a tmpfs in a mount namespace of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mount that only its holder's namespace has, reached through `/proc`. Gone when dropped.
pub(crate) struct PrivateMount {
    holder: Child,
}

impl PrivateMount {
    /// Mounts a tmpfs on `folder` with these mount options; `None` where this user may not.
    pub(crate) fn tmpfs(folder: &Path, options: &str) -> Option<PrivateMount> {
        // Without root's rights, a user namespace in which they are had.
        ["-m", "-rm"].into_iter().find_map(|namespaces| Self::mount(namespaces, folder, options))
    }

    fn mount(namespaces: &str, folder: &Path, options: &str) -> Option<PrivateMount> {
        // `cat` ends when this process does, whatever becomes of it.
        let script = "mount -t tmpfs -o \"$1\" tmpfs \"$0\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command.args([namespaces, "sh", "-c", script]).arg(folder).arg(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut mount = PrivateMount { holder: command.spawn().ok()? };
        let mut line = String::new();
        let stdout = mount.holder.stdout.take()?;
        BufReader::new(stdout).read_line(&mut line).ok()?;
        (line == "mounted\n").then_some(mount)
    }

    /// How this process reaches what the holder sees at `path`.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Drop for PrivateMount {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
