//! The key of the short hashes that stand for secrets: made once, kept beside the journal, so that equal
//! secrets can be joined for as long as it is there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::rand::{GetRandomFlags, getrandom};

/// The key in this file, and whether it was made just now, because it was not there.
///
/// # Errors
///
/// The file cannot be read or made, or is no key.
pub fn load_or_make(path: &Path) -> Result<([u8; 32], bool)> {
    match load(path)? {
        Some(key) => Ok((key, false)),
        None => Ok((make(path)?, true)),
    }
}

/// The key in this file; `None` if it is not there.
///
/// # Errors
///
/// The file cannot be read, or is no key.
pub fn load(path: &Path) -> Result<Option<[u8; 32]>> {
    match fs::read(path) {
        Ok(bytes) => {
            let key = <[u8; 32]>::try_from(bytes.as_slice());
            key.map(Some).ok().with_context(|| {
                format!(
                    "{} is not a key of 32 bytes; remove it and a new one is made, with which equal secrets get \
                     another hash than before",
                    path.display()
                )
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read the key {}", path.display())),
    }
}

/// What is to be said of a key's file if others than its owner may read or change it.
pub fn openness(path: &Path) -> Option<String> {
    const OTHERS: u32 = 0o077;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & OTHERS != 0).then(|| {
        let path = path.display();
        format!(
            "others than its owner may use {path} (mode {mode:04o}), and whoever has this key can try guesses at \
             secrets from their hashes; run: chmod 600 {path}"
        )
    })
}

/// A key that is not kept.
///
/// # Errors
///
/// The system has no random numbers.
pub fn random() -> Result<[u8; 32]> {
    let mut key = [0; 32];
    let filled =
        getrandom(&mut key, GetRandomFlags::empty()).context("cannot get random numbers")?;
    anyhow::ensure!(filled == key.len(), "cannot get random numbers: there are too few");
    Ok(key)
}

/// Whole or not at all: a name is given to it once it is written.
fn make(path: &Path) -> Result<[u8; 32]> {
    let key = random()?;
    let unfinished = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(&key)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().with_context(|| format!("cannot make the key {}", path.display()))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("redaction.key");
        assert_eq!(load(&path).unwrap(), None);
        let (key, is_new) = load_or_make(&path).unwrap();
        assert!(is_new);
        assert_eq!(load_or_make(&path).unwrap(), (key, false));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(openness(&path), None);
        for mode in [0o640, 0o602, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let said = openness(&path).unwrap();
            assert!(
                said.contains(&format!("(mode {mode:04o})")) && said.contains("chmod 600"),
                "{said}"
            );
            assert_eq!(load(&path).unwrap(), Some(key), "it is used all the same");
        }
        assert_ne!(random().unwrap(), key);
        fs::write(&path, b"short").unwrap();
        let error = load_or_make(&path).unwrap_err().to_string();
        assert!(error.contains("is not a key of 32 bytes; remove it"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"short", "nothing is replaced unasked");
    }
}
