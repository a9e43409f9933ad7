//! Which files are accepted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

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
fn a_file_that_others_can_read_or_change_gets_a_warning() {
    for mode in [0o600, 0o400, 0o711] {
        assert_eq!(load(b"", mode).1.unwrap().1, [], "{mode:o}");
    }
    for (mode, what) in [
        (0o644, "read"),
        (0o640, "read"),
        (0o604, "read"),
        (0o620, "changed"),
        (0o602, "changed"),
        (0o666, "read and changed"),
        (0o642, "read and changed"),
    ] {
        let (dir, result) = load(b"", mode);
        let file = dir.path().join("c.toml");
        let file = file.display();
        assert_eq!(
            result.unwrap().1[0].to_string(),
            format!("{file} can be {what} by others (mode 0{mode:o}): run `chmod 600 {file}`")
        );
    }
    let roots = Warning::OpenToOthers { file: "/c".into(), mode: 0o646, is_own: false };
    assert!(roots.to_string().ends_with("run `chmod go-w /c`"), "this user has to read it");
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
fn no_sink_writes_into_our_own_files() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().canonicalize().unwrap();
    let (state, out) = (dir.join("state"), dir.join("out"));
    for made in ["state/journal", "state/sinks", "state/spool", "out"] {
        fs::create_dir_all(dir.join(made)).unwrap();
    }
    let segment = state.join("journal/00000000000000000001.jsonl");
    fs::write(&segment, "").unwrap();
    fs::hard_link(&segment, out.join("second-name")).unwrap();
    fs::write(out.join("own"), "").unwrap();
    fs::hard_link(out.join("own"), out.join("own-second")).unwrap();
    symlink(&state, out.join("link")).unwrap();
    symlink(&out, state.join("sinks/far")).unwrap();
    let config = out.join("named.toml");
    let check = |path: &Path| {
        let text = format!("[sinks.a]\ntype = \"jsonl\"\npath = \"{}\"\n", path.display());
        fs::write(&config, &text).unwrap();
        Config::parse(&config, text.as_bytes(), &paths(&state), &env)
    };
    let refused = [
        "state/journal/00000000000000000001.jsonl",
        "state/journal/new.jsonl",
        "state/journal/lock",
        "state/ring",
        "state/spool/x",
        "state/status.json",
        "state/cursors/not/there/yet",
        "state/hookring.toml",
        "state/x",
        "state/sinks",
        "state/sinks/../status.json",
        "out/../state/ring",
        "out/link/journal/x.jsonl",
        "out/link/sinks/../ring",
        "out/second-name",
        "out/named.toml",
    ];
    for path in refused {
        let errors = check(&dir.join(path)).expect_err(path);
        let problem = &errors.problems[0];
        assert_eq!((errors.problems.len(), problem.key.as_deref()), (1, Some("sinks.a.path")));
        assert_eq!(problem.place.as_ref().map(|place| (place.line, place.column)), Some((3, 8)));
        assert!(problem.message.contains("hookring's own"), "{path}: {errors}");
    }
    let allowed =
        ["state/sinks/a", "state/sinks/b/c", "state/sinks/far/a", "state2/x", "out/x", "out/own"];
    for path in allowed {
        check(&dir.join(path)).unwrap_or_else(|errors| panic!("{path}: {errors}"));
    }
}

#[test]
fn somebody_elses_file_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can give a file away");
        let may_leave_out = std::env::var_os("HOOKRING_TEST_ALL").is_none();
        assert!(may_leave_out, "HOOKRING_TEST_ALL is set, and this needs root");
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
    let (with, other) = (read("[http]\n"), read("[http]\nlisten = \"127.0.0.1:1\"\n"));
    let none = read("");
    assert_eq!(with.changes_from(&none), ["http added"]);
    assert_eq!(other.changes_from(&with), ["http.listen changed"]);
    assert_eq!(none.changes_from(&with), ["http removed"]);
}
