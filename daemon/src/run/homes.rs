//! Two home directories: what people mean by one is `HOME`, but where a hook leaves events that fit
//! nowhere else is below the one in `/etc/passwd`, because hook and daemon may have different
//! variables. Where the two differ, somebody may look in the wrong place.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use hookring_bus::place::{Places, STANDARD};

use crate::paths::Paths;

/// What should be said about it at the start, if anything.
pub(super) fn warning(paths: &Paths, places: &Places<'_>) -> Option<String> {
    // With `HOOKRING_DIR`, no home directory matters.
    if paths.override_dir.is_some() {
        return None;
    }
    let last = places.path(STANDARD - 1);
    let last = last.map(|path| PathBuf::from(OsStr::from_bytes(path.as_bytes())));
    about(paths.home.as_deref(), last.as_deref(), &paths.state)
}

/// `last` is the place below the home directory of `/etc/passwd`.
fn about(home: Option<&Path>, last: Option<&Path>, state: &Path) -> Option<String> {
    let Some(last) = last else {
        return Some(
            "this user has no home directory in /etc/passwd: a hook that can use neither of the \
             places in memory has nowhere to leave its event"
                .to_owned(),
        );
    };
    let home = home?;
    // `<home>/.local/state/hookring`
    let passwd_home = last.ancestors().nth(3)?;
    if is_same(home, passwd_home) {
        return None;
    }
    Some(format!(
        "HOME is {}, but /etc/passwd says {}: a hook that can use neither of the places in memory \
         leaves its event in {}, from where it is collected; the journal is in {}",
        home.display(),
        passwd_home.display(),
        last.display(),
        state.display()
    ))
}

/// Home directories are often behind a link.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.components().collect());
    real(one) == real(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_is_not_passwds_is_told_with_both_places() {
        let dir = tempfile::tempdir().expect("a directory");
        let (real, link) = (dir.path().join("ada"), dir.path().join("link"));
        std::fs::create_dir(&real).expect("a directory");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        let last = real.join(".local/state/hookring");
        let about = |home: &Path| about(Some(home), Some(&last), Path::new("/elsewhere/state"));
        assert_eq!(about(&real), None);
        assert_eq!(about(&dir.path().join("ada/")), None);
        assert_eq!(about(&link), None, "the same behind a link");
        let said = about(dir.path()).expect("a warning");
        for path in [dir.path(), &real, &last, Path::new("/elsewhere/state")] {
            assert!(said.contains(path.to_str().expect("text")), "{said}");
        }
    }

    #[test]
    fn a_user_who_is_not_in_passwd_has_no_last_place() {
        assert!(about(Some(Path::new("/home/ada")), None, Path::new("/s")).is_some());
    }
}
