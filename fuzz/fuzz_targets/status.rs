//! Any bytes as the daemon's status file: refused or shown, without anything that could steer a
//! terminal, and what is read is what was written.
//!
//! Input: a byte (bit 0: a daemon runs, as far as its lock tells), the file.
#![no_main]

use std::fs::{self, File};
use std::path::Path;

use hookring::cli::args::StatusArgs;
use hookring::cli::status_command::status;
use hookring::paths::Paths;
use hookring::run::status::Status;
use hookring_fuzz::{assert_harmless, private_dir};
use hookring_journal::LOCK_NAME;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&mode, content)) = input.split_first() else { return };
    let dir = private_dir();
    let named = |name: &str| (name == "HOOKRING_DIR").then(|| dir.path().as_os_str().to_owned());
    let paths = Paths::resolve(&named, Some("/home/ada".into())).expect("a folder is named");
    fs::write(&paths.status_file, content).expect("a status file");
    let _daemon = (mode & 1 != 0).then(|| hold_lock(&paths.journal));
    if let Ok(read) = Status::read(&paths.status_file) {
        let written = serde_json::to_vec(&read.expect("it is there")).expect("JSON");
        let again: Status = serde_json::from_slice(&written).expect("what was written is read");
        assert_eq!(serde_json::to_vec(&again).expect("JSON"), written);
    }
    for check in [false, true] {
        let mut shown = Vec::new();
        let done = status(&StatusArgs { json: false, check }, &paths, &mut shown);
        assert_harmless(std::str::from_utf8(&shown).expect("UTF-8"));
        if let Err(error) = done {
            assert!(error.chain().count() > 0);
        }
    }
    let mut shown = Vec::new();
    if status(&StatusArgs { json: true, check: true }, &paths, &mut shown).is_ok() {
        serde_json::from_slice::<serde::de::IgnoredAny>(&shown).expect("JSON");
    }
});

/// As a daemon does.
fn hold_lock(journal: &Path) -> File {
    fs::create_dir(journal).expect("a journal's directory");
    let lock = File::create(journal.join(LOCK_NAME)).expect("a lock's file");
    lock.lock().expect("the lock");
    lock
}
