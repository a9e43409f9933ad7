//! Disks that are small or read-only: a tmpfs in a mount namespace of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mount that only its holder's namespace has, reached through `/proc`. Gone when dropped.
pub(crate) struct PrivateMount {
    holder: Child,
}

impl PrivateMount {
    /// Mounts a tmpfs on `folder` with these mount options, and has it hold the folders `on_it`, too, each as one
    /// of the same name; `None` where this user may not.
    pub(crate) fn tmpfs(folder: &Path, options: &str, on_it: &[PathBuf]) -> Option<PrivateMount> {
        // Without root's rights, a user namespace in which they are had.
        let namespaces = ["-m", "-rm"].into_iter();
        namespaces.map(|it| Self::mount(it, folder, options, on_it)).find_map(|mount| mount)
    }

    fn mount(
        namespaces: &str,
        folder: &Path,
        options: &str,
        on_it: &[PathBuf],
    ) -> Option<PrivateMount> {
        // `cat` ends when this process does, whatever becomes of it.
        let script = r#"set -e
            mount -t tmpfs -o "$1" tmpfs "$0"
            disk=$0
            shift
            for folder; do
                its=$disk/$(basename "$folder")
                mkdir -m 700 "$its"
                mount --bind "$its" "$folder"
            done
            echo mounted
            exec cat"#;
        let mut command = Command::new("unshare");
        command.args([namespaces, "sh", "-c", script]).arg(folder).arg(options).args(on_it);
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
