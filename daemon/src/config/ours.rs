//! The files that are hookring's own: no sink may write there.

use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use hookring_bus::place::Places;
use hookring_bus::sys;

use crate::paths::Paths;

/// Directories and files, links resolved.
pub(super) struct Ours {
    dirs: Vec<PathBuf>,
    /// In the first of them, but the sinks' own.
    sinks: PathBuf,
    config: PathBuf,
}

impl Ours {
    /// `config` is the configuration that is read.
    pub(super) fn new(paths: &Paths, config: &Path) -> Ours {
        let hookring_dir = paths.override_dir.as_ref().map(|dir| dir.as_os_str().as_bytes());
        let places = Places::new(hookring_dir, sys::effective_uid());
        let places = (0..places.count()).filter_map(|place| places.path(place));
        let places = places
            .map(|path| PathBuf::from(std::ffi::OsString::from_vec(path.as_bytes().to_vec())));
        let state = resolve(&paths.state);
        let configs = paths.config_file.parent().map(resolve);
        Ours {
            sinks: state.join("sinks"),
            config: resolve(config),
            dirs: [state].into_iter().chain(configs).chain(places.map(|it| resolve(&it))).collect(),
        }
    }

    /// Whether this is one of them, or would be, by whatever name.
    pub(super) fn has(&self, path: &Path) -> bool {
        let path = resolve(path);
        let is_below = self.dirs.iter().any(|dir| path.starts_with(dir));
        let is_sinks = path.starts_with(&self.sinks) && path != self.sinks;
        (is_below && !is_sinks) || path == self.config || self.has_other_name_of(&path)
    }

    /// Whether one of them is the same file under a second name.
    fn has_other_name_of(&self, path: &Path) -> bool {
        let Ok(found) = fs::symlink_metadata(path) else { return false };
        if !found.is_file() || found.nlink() < 2 {
            return false;
        }
        let is_same = |it: &Metadata| (it.dev(), it.ino()) == (found.dev(), found.ino());
        let below = ["", "journal", "cursors", "dead_letters", "spool"];
        let dirs = self.dirs.iter().flat_map(|dir| below.map(|name| dir.join(name)));
        let entries = dirs.filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
        let mut ours = entries.filter_map(|entry| entry.metadata().ok());
        ours.any(|it| is_same(&it)) || fs::metadata(&self.config).is_ok_and(|it| is_same(&it))
    }
}

/// The path without links and dots, as far as it exists; what does not exist has neither.
fn resolve(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            resolved.pop();
            continue;
        }
        resolved.push(component);
        resolved = resolved.canonicalize().unwrap_or(resolved);
    }
    resolved
}
