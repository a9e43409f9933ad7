//! Both commands in both forms: what they print where, and how they end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

/// A directory with a configuration, and what a command printed.
struct Run {
    dir: tempfile::TempDir,
    out: String,
    err: String,
    exit: Exit,
}

impl Run {
    /// Runs `command` where the default configuration has this `content`, if any.
    fn new(
        content: Option<&str>,
        command: impl FnOnce(&Paths, &mut dyn Write, &mut dyn Write) -> io::Result<Exit>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().as_os_str().to_owned();
        let env = move |name: &str| (name == "HOOKRING_DIR").then(|| root.clone());
        let paths = Paths::resolve(&env, None).unwrap();
        if let Some(content) = content {
            fs::write(&paths.config_file, content).unwrap();
            fs::set_permissions(&paths.config_file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut out = anstream::AutoStream::never(Vec::new());
        let mut err = anstream::AutoStream::never(Vec::new());
        let exit = command(&paths, &mut out, &mut err).unwrap();
        let text = |stream: anstream::AutoStream<Vec<u8>>| {
            let text = String::from_utf8(stream.into_inner()).unwrap();
            text.replace(paths.state.to_str().unwrap(), "DIR")
        };
        Self { out: text(out), err: text(err), exit, dir }
    }

    fn check(content: Option<&str>, json: bool, file: Option<PathBuf>) -> Self {
        // Both name it.
        let (file, config) = if json { (None, file) } else { (file, None) };
        let args = ConfigCheckArgs { file, config, json };
        Self::new(content, |paths, out, err| check(&args, paths, &env, out, err))
    }

    fn show(content: Option<&str>) -> Self {
        Self::show_as(content, false)
    }

    fn show_as(content: Option<&str>, json: bool) -> Self {
        let args = ConfigShowArgs { file: None, json };
        Self::new(content, |paths, out, err| show(&args, paths, &env, out, err))
    }
}

fn env(name: &str) -> Option<String> {
    (name == "LEVEL").then(|| "trace".to_owned())
}

#[test]
fn a_good_configuration() {
    let run = Run::check(Some("[bus]\nlanes = 4\n"), false, None);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("fine: DIR/hookring.toml\n", ""));
    assert_eq!(run.exit, Exit::Fine);
    let run = Run::check(None, false, None);
    assert_eq!(run.out, "fine: there is no DIR/hookring.toml, the defaults apply\n");
    assert_eq!(run.exit, Exit::Fine);
}

#[test]
fn a_bad_configuration() {
    let run = Run::check(Some("[bus]\nlane = 4\n"), false, None);
    assert_eq!((run.out.as_str(), run.exit), ("", Exit::BadConfig));
    assert!(run.err.starts_with("error: bus.lane: unknown key\n --> DIR/hookring.toml:2:1\n"));
    let run = Run::check(None, false, Some("/nonexistent.toml".into()));
    assert_eq!(run.exit, Exit::BadConfig);
    assert!(run.err.starts_with("error: cannot open the file"), "{}", run.err);
}

#[test]
fn the_result_of_a_check_for_programs() {
    let run = Run::check(Some("[bus]\nlanes = 4\n"), true, None);
    let found: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        found,
        serde_json::json!({
            "file": "DIR/hookring.toml",
            "valid": true,
            "errors": [],
            "errors_left_out": 0,
            "warnings": [],
        })
    );
    let run = Run::check(Some("[bus]\nlane = 4\n"), true, None);
    let found: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        found["errors"],
        serde_json::json!([{
            "key": "bus.lane",
            "message": "unknown key",
            "help": "did you mean `lanes`?",
            "line": 2,
            "column": 1,
            "source": "lane = 4",
        }])
    );
    assert_eq!((run.exit, run.err.as_str()), (Exit::BadConfig, ""));
}

#[test]
fn warnings_are_said_and_do_not_fail_the_check() {
    let args = ConfigCheckArgs { file: None, config: None, json: false };
    let run = Run::new(Some(""), |paths, out, err| {
        fs::set_permissions(&paths.config_file, fs::Permissions::from_mode(0o666))?;
        check(&args, paths, &env, out, err)
    });
    assert_eq!(run.exit, Exit::Fine);
    let command = "run `chmod 600 DIR/hookring.toml`";
    let said = format!(
        "warning: DIR/hookring.toml can be read and changed by others (mode 0666): {command}\n"
    );
    assert_eq!(run.err, said);
    assert_eq!(run.out, "valid, with 1 warning: DIR/hookring.toml\n");
}

#[test]
fn what_is_shown_can_be_checked() {
    let run = Run::show(Some("[log]\nlevel = \"${LEVEL}\"\n"));
    assert_eq!((run.exit, run.err.as_str()), (Exit::Fine, ""));
    assert!(run.out.starts_with("# DIR/hookring.toml\n\n[bus]\n"), "{}", run.out);
    assert!(run.out.contains("level = \"${LEVEL}\"  # line 2\n"), "{}", run.out);
    let file = run.dir.path().join("shown.toml");
    fs::write(&file, &run.out).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Run::check(None, false, Some(file)).exit, Exit::Fine);
    assert!(
        Run::show(None).out.starts_with("# there is no DIR/hookring.toml, the defaults apply\n")
    );
}

#[test]
fn a_configuration_is_shown_to_programs() {
    let run = Run::show_as(
        Some("[log]\nlevel = \"${LEVEL}\"\n[sinks.a]\ntype = \"jsonl\"\nenabled = false\n"),
        true,
    );
    assert_eq!((run.exit, run.err.as_str()), (Exit::Fine, ""));
    let shown: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(shown["file"], "DIR/hookring.toml");
    let settings = &shown["settings"];
    assert_eq!(settings["log"], serde_json::json!({ "level": "${LEVEL}" }));
    assert_eq!(
        (&settings["bus"]["lanes"], &settings["bus"]["lane_bytes"]),
        (&32.into(), &"256KiB".into())
    );
    let sink = &settings["sinks"]["a"];
    assert_eq!((&sink["enabled"], &sink["rotate_age"]), (&false.into(), &serde_json::Value::Null));
    let run = Run::show_as(None, true);
    assert!(run.out.starts_with("{\n  \"file\": null,\n"), "{}", run.out);
}

#[test]
fn a_sink_whose_file_is_a_directory_gets_a_warning() {
    let sink =
        |enabled| format!("[sinks.a]\ntype = \"jsonl\"\npath = \"/tmp\"\nenabled = {enabled}\n");
    let run = Run::check(Some(&sink(true)), false, None);
    assert_eq!(run.exit, Exit::Fine, "the others run all the same");
    assert_eq!(
        run.err,
        "warning: sinks.a.path is /tmp, a directory, so the sink cannot start: name a file in it\n"
    );
    assert!(run.out.starts_with("valid, with 1 warning"), "{}", run.out);
    assert_eq!(Run::check(Some(&sink(false)), false, None).err, "");
}

#[test]
fn a_cursor_without_a_sink_gets_a_warning_as_soon_as_it_is_known_which_sinks_there_are() {
    let sink = "[sinks.after]\ntype = \"jsonl\"\n";
    let both = format!("{sink}[sinks.before]\ntype = \"jsonl\"\nenabled = false\n");
    let wrong = format!("{sink}lane = 4\n");
    for (content, json, is_said) in [
        (Some(sink), false, true),
        (Some(sink), true, true),
        (None, false, true),
        (Some(&*both), false, false),
        (Some(&*wrong), false, false),
        (Some(&*wrong), true, false),
    ] {
        let args = ConfigCheckArgs { file: None, config: None, json };
        let run = Run::new(content, |paths, out, err| {
            hookring_journal::Cursor::open(&paths.cursors, "before", 17).expect("a cursor");
            check(&args, paths, &env, out, err)
        });
        let warning = "there is a cursor of sink before, which is not configured: if it has another name now, run \
                       `hookring sink reset NAME --to 17`";
        let text = if json { &run.out } else { &run.err };
        assert_eq!(text.contains(warning), is_said, "{content:?}: {text}");
        let is_wrong = content == Some(&*wrong);
        assert_eq!(run.exit, if is_wrong { Exit::BadConfig } else { Exit::Fine }, "{text}");
    }
}

#[test]
fn a_bad_configuration_is_not_shown() {
    let run = Run::show(Some("lanes = 4\n"));
    assert_eq!((run.out.as_str(), run.exit), ("", Exit::BadConfig));
    assert!(run.err.contains("lanes: unknown key"), "{}", run.err);
}
