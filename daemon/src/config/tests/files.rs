//! Which files are accepted.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Writes `content` to a file in a new directory and loads it by name.
fn load(
    content: &[u8],
    mode: u32,
) -> (tempfile::TempDir, Result<(Config, Vec<Warning>), ConfigErrors>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let result = Config::load(Some(&file), &paths(dir.path()), &env);
    (dir, result)
}

#[test]
fn only_a_file_that_was_named_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths(dir.path());
    let (config, warnings) = Config::load(None, &paths, &env).unwrap();
    assert_eq!((config.file, warnings), (None, vec![]));
    let found = Config::load(Some(&paths.config_file), &paths, &env).unwrap_err();
    let expected = format!(
        "error: cannot open the file: No such file or directory (os error 2)\n --> {}\n  = help: \
         check the name; without a configuration, the defaults apply\n",
        paths.config_file.display()
    );
    assert_eq!(found.to_string(), expected);
    fs::write(&paths.config_file, "[bus]\nlanes = 2\n").unwrap();
    let (config, _) = Config::load(None, &paths, &env).unwrap();
    assert_eq!((config.bus.lanes, config.file), (2, Some(paths.config_file)));
}

#[test]
fn a_file_that_others_can_change_gets_a_warning() {
    for mode in [0o600, 0o644] {
        assert_eq!(load(b"", mode).1.unwrap().1, [], "{mode:o}");
    }
    for mode in [0o620, 0o602, 0o666] {
        let (dir, result) = load(b"", mode);
        let file = dir.path().join("c.toml");
        let file = file.display();
        assert_eq!(
            result.unwrap().1[0].to_string(),
            format!("{file} can be changed by others (mode 0{mode:o}): run `chmod go-w {file}`")
        );
    }
}

#[test]
fn a_file_may_be_as_large_as_the_limit() {
    let limit = usize::try_from(MAX_CONFIG_BYTES).unwrap();
    assert!(load(&vec![b'\n'; limit], 0o600).1.is_ok());
    let found = load(&vec![b'\n'; limit + 1], 0o600).1.unwrap_err();
    assert_eq!(found.problems[0].message, "the file is larger than 1 MiB");
}

#[test]
fn what_is_not_a_regular_file_is_refused_and_a_link_to_one_is_not() {
    let (dir, result) = load(b"", 0o600);
    result.unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("dir")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).unwrap();
    for file in [at("dir"), at("pipe"), "/dev/null".into()] {
        let found = Config::load(Some(&file), &paths(dir.path()), &env).unwrap_err();
        assert_eq!(found.problems[0].message, "not a regular file", "{}", file.display());
    }
    std::os::unix::fs::symlink(at("c.toml"), at("link")).unwrap();
    assert!(Config::load(Some(&at("link")), &paths(dir.path()), &env).is_ok());
}

#[test]
fn somebody_elses_file_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can give a file away");
        return;
    }
    let (dir, result) = load(b"", 0o644);
    result.unwrap();
    let file = dir.path().join("c.toml");
    std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
    let found = Config::load(Some(&file), &paths(dir.path()), &env).unwrap_err();
    assert_eq!(found.problems[0].message, "the file belongs to user 12345, not to user 0 or root");
}

#[test]
fn a_file_that_is_gone_at_a_reload_is_an_error_and_one_that_comes_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths(dir.path());
    let (none, _) = Config::load(None, &paths, &env).unwrap();
    assert_eq!(none.reload(None, &paths, &env).unwrap().0, none);
    fs::write(&paths.config_file, "[bus]\nlanes = 2\n").unwrap();
    let (some, _) = none.reload(None, &paths, &env).unwrap();
    assert_eq!(some.changes_from(&none), ["bus.lanes changed"]);
    fs::remove_file(&paths.config_file).unwrap();
    let gone = some.reload(None, &paths, &env).unwrap_err().to_string();
    assert!(gone.starts_with("error: the file is gone\n"), "{gone}");
    assert!(gone.contains("an empty file stands for the defaults"), "{gone}");
}

#[test]
fn a_reload_names_what_it_changes_and_no_value() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths(dir.path());
    let read =
        |text: &str| Config::parse(&paths.config_file, text.as_bytes(), &paths, &env).unwrap();
    let earlier = read(
        "[sinks.a]\ntype = \"jsonl\"\n[sinks.b]\ntype = \"jsonl\"\n[sinks.c]\ntype = \"jsonl\"\n\
         [sinks.d]\ntype = \"jsonl\"\n",
    );
    let now = read(
        "[journal]\ncache_bytes = \"1MiB\"\nretention_age = \"2d\"\n[log]\nlevel = \"debug\"\n\
         [sinks.b]\ntype = \"jsonl\"\nenabled = false\n[sinks.c]\ntype = \"jsonl\"\ncompress = \"gzip\"\n\
         [sinks.d]\ntype = \"jsonl\"\n[sinks.e]\ntype = \"stdout\"\n",
    );
    assert_eq!(
        now.changes_from(&earlier),
        [
            "sink a removed",
            "sink b switched off",
            "sink c changed",
            "sink e added",
            "journal.retention_age changed",
            "journal.cache_bytes changed (from the next start on)",
            "log.level changed",
        ]
    );
    assert_eq!(now.changes_from(&now), Vec::<String>::new());
}
