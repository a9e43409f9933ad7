//! Where the files are in every kind of environment, and each reason to refuse a folder.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn resolve(variables: &[(&str, &str)], home: Option<&str>) -> Result<Paths, PathsError> {
    let env = |name: &str| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    };
    Paths::resolve(&env, home.map(PathBuf::from))
}

#[test]
fn without_variables_everything_is_below_the_home_directory() {
    let paths = resolve(&[], Some("/home/ada")).unwrap();
    assert_eq!(
        paths,
        Paths {
            override_dir: None,
            home: Some("/home/ada".into()),
            state: "/home/ada/.local/state/hookring".into(),
            journal: "/home/ada/.local/state/hookring/journal".into(),
            cursors: "/home/ada/.local/state/hookring/cursors".into(),
            dead_letters: "/home/ada/.local/state/hookring/dead_letters".into(),
            sinks: "/home/ada/.local/state/hookring/sinks".into(),
            status_file: "/home/ada/.local/state/hookring/status.json".into(),
            redaction_key: "/home/ada/.local/state/hookring/redaction.key".into(),
            config_file: "/home/ada/.config/hookring/hookring.toml".into(),
        }
    );
}

#[test]
fn xdg_variables_move_state_and_configuration_apart() {
    let paths =
        resolve(&[("XDG_STATE_HOME", "/var/st"), ("XDG_CONFIG_HOME", "/etc/xdg")], None).unwrap();
    assert_eq!(paths.journal, Path::new("/var/st/hookring/journal"));
    assert_eq!(paths.config_file, Path::new("/etc/xdg/hookring/hookring.toml"));
    assert_eq!(paths.override_dir, None);
}

#[test]
fn xdg_variables_that_are_relative_or_empty_are_ignored() {
    let variables = [("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "")];
    assert_eq!(resolve(&variables, Some("/h")), resolve(&[], Some("/h")));
}

#[test]
fn one_variable_puts_everything_under_one_folder() {
    let variables = [("HOOKRING_DIR", "/srv/ring"), ("XDG_STATE_HOME", "/var/st")];
    let paths = resolve(&variables, None).unwrap();
    assert_eq!(paths.override_dir.as_deref(), Some(Path::new("/srv/ring")));
    assert_eq!(paths.state, Path::new("/srv/ring"));
    assert_eq!(paths.journal, Path::new("/srv/ring/journal"));
    assert_eq!(paths.cursors, Path::new("/srv/ring/cursors"));
    assert_eq!(paths.config_file, Path::new("/srv/ring/hookring.toml"));
}

#[test]
fn an_empty_override_is_none_and_a_relative_one_an_error() {
    assert_eq!(resolve(&[("HOOKRING_DIR", "")], Some("/h")), resolve(&[], Some("/h")));
    let error = resolve(&[("HOOKRING_DIR", "ring")], Some("/h")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "HOOKRING_DIR is `ring`, which is not an absolute path: give it in full, starting with `/`"
    );
}

#[test]
fn no_home_directory_is_an_error_that_says_what_to_set() {
    for home in [None, Some(""), Some("relative")] {
        let error = resolve(&[("XDG_STATE_HOME", "/var/st")], home).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no home directory is known: set HOME, or set HOOKRING_DIR to an absolute path"
        );
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_missing_directory_is_made_private_with_its_parents() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/c");
    ensure_private_dir(&path).unwrap();
    ensure_private_dir(&path).unwrap();
    for made in ["a", "a/b", "a/b/c"] {
        assert_eq!(mode(&root.path().join(made)), 0o700, "{made}");
    }
}

#[test]
fn a_symbolic_link_is_refused_with_and_without_a_slash_at_the_end() {
    let root = tempfile::tempdir().unwrap();
    let link = root.path().join("link");
    ensure_private_dir(&root.path().join("real")).unwrap();
    symlink(root.path().join("real"), &link).unwrap();
    for path in [link.clone(), link.join(""), link.join(".")] {
        let error = ensure_private_dir(&path).unwrap_err();
        assert!(matches!(&error, PrivateDirError::SymbolicLink(at) if *at == link), "{error}");
    }
    symlink(root.path().join("nowhere"), root.path().join("dangling")).unwrap();
    let error = ensure_private_dir(&root.path().join("dangling")).unwrap_err();
    assert!(matches!(error, PrivateDirError::SymbolicLink(_)), "{error}");
    assert!(!root.path().join("nowhere").exists());
}

#[test]
fn links_above_the_directory_are_followed() {
    let root = tempfile::tempdir().unwrap();
    ensure_private_dir(&root.path().join("real")).unwrap();
    symlink(root.path().join("real"), root.path().join("home")).unwrap();
    ensure_private_dir(&root.path().join("home/state")).unwrap();
    assert!(root.path().join("real/state").is_dir());
}

#[test]
fn every_mode_that_lets_others_in_is_refused_with_the_command_that_helps() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("open");
    fs::create_dir(&path).unwrap();
    for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700 | bit)).unwrap();
        let message = ensure_private_dir(&path).unwrap_err().to_string();
        let expected = format!(
            "{0} is open to other users (mode {1:04o}): run `chmod 700 {0}`",
            path.display(),
            0o700 | bit
        );
        assert_eq!(message, expected);
        assert_eq!(mode(&path), 0o700 | bit, "a refused directory is left as it is");
    }
}

#[test]
fn a_file_in_its_place_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    fs::write(&path, "").unwrap();
    let error = ensure_private_dir(&path).unwrap_err();
    assert!(matches!(error, PrivateDirError::NotADirectory(_)), "{error}");
    let error = ensure_private_dir(&path.join("below")).unwrap_err();
    assert!(matches!(error, PrivateDirError::Open { .. }), "{error}");
}

#[test]
fn somebody_elses_directory_is_refused() {
    // Only root may give a directory away; to everybody else, `/` is somebody else's.
    let root = tempfile::tempdir().unwrap();
    let path = if rustix::process::geteuid().is_root() {
        let path = root.path().join("theirs");
        ensure_private_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        path
    } else {
        PathBuf::from("/")
    };
    let error = ensure_private_dir(&path).unwrap_err();
    assert!(matches!(error, PrivateDirError::OtherOwner { .. }), "{error}");
}

#[test]
fn a_parent_that_cannot_be_written_is_named_with_its_cause() {
    let error = ensure_private_dir(Path::new("/proc/hookring/state")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot create the directory /proc/hookring/state; check who may write above it, or set \
         HOOKRING_DIR to another place"
    );
    assert!(std::error::Error::source(&error).is_some());
}
