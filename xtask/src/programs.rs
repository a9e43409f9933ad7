//! Builds the programs that people, tests and benches run, and puts them side by side.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The profile in the workspace's `Cargo.toml` that static programs are built with.
const STATIC_PROFILE: &str = "emit";

/// Whether this system can have the static programs; elsewhere they are built with std.
const STATIC: bool = cfg!(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
));

/// What rustc is told about a static program. Each argument saves page faults or instructions in a
/// process that lives for a tenth of a millisecond.
const STATIC_ARGS: &[&str] = &[
    // Fixed addresses: nothing to relocate at start.
    "-Crelocation-model=static",
    "-Cforce-unwind-tables=no",
    // No loader and no C runtime: the kernel jumps straight to our `_start`.
    "-Clink-arg=-static",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-Wl,--build-id=none",
];

/// Relative to the workspace's root: headers, code and constants in one segment.
const STATIC_LAYOUT: &str = "xtask/static.ld";

/// The built programs `hookring`, `hookring-emit` and `hookring-floor`, in one folder.
pub(crate) struct Programs {
    dir: PathBuf,
}

impl Programs {
    /// Builds all of them (cargo rebuilds only what changed) and copies them side by side.
    pub(crate) fn build() -> Result<Self> {
        let dir = target_dir().join("hookring");
        fs::create_dir_all(&dir).with_context(|| format!("could not create {}", dir.display()))?;
        build_release("hookring", "hookring", &dir)?;
        for (package, program) in
            [("hookring-producer", "hookring-emit"), ("hookring-benches", "hookring-floor")]
        {
            if STATIC {
                build_static(package, program, &dir)?;
            } else {
                build_release(package, program, &dir)?;
            }
        }
        Ok(Self { dir })
    }

    /// The folder that holds them.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Cargo, the one that runs this program, in the workspace's root and with its target folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("CARGO_TARGET_DIR", target_dir());
    command
}

fn build_release(package: &str, program: &str, dir: &Path) -> Result<()> {
    build(cargo().args(["build", "--release", "--package", package, "--bin", program]), program)?;
    place("release", program, dir)
}

/// One package in a build of its own: together with others, cargo would turn their features on.
fn build_static(package: &str, program: &str, dir: &Path) -> Result<()> {
    let mut command = cargo();
    command.args(["rustc", "--package", package, "--bin", program, "--no-default-features"]);
    command.args(["--profile", STATIC_PROFILE, "--"]).args(STATIC_ARGS);
    let layout = root().join(STATIC_LAYOUT);
    let text = fs::read(&layout).with_context(|| format!("could not read {}", layout.display()))?;
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    command.args([
        "-Clink-arg=-T".to_owned(),
        format!("-Clink-arg={}", layout.display()),
        // Cargo does not look into that file, but it sees when an argument changes.
        format!("--cfg=hookring_layout=\"{:016x}\"", hasher.finish()),
    ]);
    build(&mut command, program)?;
    place(STATIC_PROFILE, program, dir)
}

fn build(command: &mut Command, program: &str) -> Result<()> {
    let status = command.status().context("could not run cargo")?;
    ensure!(status.success(), "could not build {program}: cargo ended with {status}");
    Ok(())
}

/// Copies a built program into `dir`; by renaming, because the old one may be running.
fn place(profile_dir: &str, program: &str, dir: &Path) -> Result<()> {
    let file = format!("{program}{}", env::consts::EXE_SUFFIX);
    let from = target_dir().join(profile_dir).join(&file);
    let fresh = dir.join(format!(".{file}.new"));
    let to = dir.join(&file);
    fs::copy(&from, &fresh)
        .and_then(|_| fs::rename(&fresh, &to))
        .with_context(|| format!("could not copy {} to {}", from.display(), to.display()))
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, else `target` in the workspace's root.
fn target_dir() -> PathBuf {
    // `CARGO_TARGET_DIR` is relative to the folder cargo was called in, and `join` leaves an
    // absolute one as it is.
    match (env::var_os("CARGO_TARGET_DIR"), env::current_dir()) {
        (Some(dir), Ok(here)) if !dir.is_empty() => here.join(dir),
        _ => root().join("target"),
    }
}

fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}
