//! `hookring journal export`: a copy of the journal's lines, to standard output or to a new file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use hookring_journal::export::Exported;
use hookring_journal::{self as journal, Filter};
use jiff::Timestamp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::args::ExportArgs;
use super::progress::Progress;
use super::style::ERROR;
use super::table::counted;
use super::tail_command::say_skipped;
use super::{Exit, require_journal, session};
use crate::paths::Paths;

/// What is written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes events as they stand in the journal.
///
/// # Errors
/// There is no journal, it could not be read, or the output not written.
pub fn export(
    args: &ExportArgs,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    require_journal(paths)?;
    if is_empty_range(args.since, args.until, err)? {
        return Ok(Exit::Usage);
    }
    let mut filter = Filter { since: args.since, until: args.until, session: args.session.clone() };
    session::complete(&mut filter, paths, err)?;
    let exported = match &args.output {
        None => copy(&filter, paths, out, err, &|| ())?,
        Some(path) => {
            let cannot = || format!("cannot write {}", path.display());
            match Target::choose(path, args.force)? {
                Target::InPlace(path) => {
                    let opened = OpenOptions::new().write(true).open(path);
                    copy(&filter, paths, &mut opened.with_context(cannot)?, err, &|| ())?
                }
                Target::New(path) => {
                    let mut file = NewFile::create(&path).with_context(cannot)?;
                    let interrupts = Interrupts::of(&file).with_context(cannot)?;
                    let exported =
                        copy(&filter, paths, &mut file.file, err, &|| interrupts.obey())?;
                    file.finish(&path, args.force)?;
                    exported
                }
            }
        }
    };
    if args.output.is_some() {
        writeln!(err, "{}", counted(exported.events, "event"))?;
    } else if exported.events == 0 && filter != Filter::default() {
        writeln!(err, "no event matches")?;
    }
    say_skipped(exported.skipped.bad_lines, err)?;
    Ok(Exit::Fine)
}

/// Whether nothing can be in a range; says so on `err`.
pub(super) fn is_empty_range(
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    err: &mut dyn Write,
) -> Result<bool> {
    let Some((since, until)) = since.zip(until).filter(|(since, until)| since >= until) else {
        return Ok(false);
    };
    writeln!(
        err,
        "{ERROR}error{ERROR:#}: the range is empty, it begins at {since} and ends at {until}: \
         --since must be before --until, and a span counts back from now, so 7d is before 2h"
    )?;
    Ok(true)
}

fn copy(
    filter: &Filter,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
    now_and_then: &dyn Fn(),
) -> Result<Exported> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
    let mut progress = Progress::new(err);
    let exported = journal::export(&paths.journal, filter, &mut out, |done, total| {
        progress.show(done, total);
        now_and_then();
    });
    progress.clear();
    if exported.is_err() {
        // What is buffered goes nowhere: it would only fail again.
        let _ = out.into_parts();
    }
    Ok(exported?)
}

/// What `-o` names.
enum Target {
    /// A pipe or a device: there is nothing to overwrite.
    InPlace(PathBuf),
    /// A file that is not there, or may be replaced; behind a link, the file that it leads to.
    New(PathBuf),
}

impl Target {
    fn choose(path: &Path, force: bool) -> Result<Target> {
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Target::New(path.to_owned()));
            }
            found => found.with_context(|| format!("cannot write {}", path.display()))?,
        };
        if found.is_dir() {
            bail!("cannot write {}: it is a directory, name a file in it", path.display());
        }
        if !found.is_file() {
            return Ok(Target::InPlace(path.to_owned()));
        }
        if !force {
            return Err(is_there(path));
        }
        let path = path.canonicalize();
        Ok(Target::New(path.context("cannot follow the link to the file to replace")?))
    }
}

fn is_there(path: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{} is there already; choose another name, or replace it with --force",
        path.display()
    )
}

/// A file that has another name until it is complete, and is gone if that never happens.
struct NewFile {
    file: File,
    /// Its name until then.
    part: PathBuf,
}

impl NewFile {
    fn create(path: &Path) -> io::Result<NewFile> {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().ok_or(io::ErrorKind::InvalidFilename)?);
        name.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        Ok(NewFile { file, part })
    }

    /// Gives it its name, once its bytes are on the disk.
    fn finish(self, path: &Path, force: bool) -> Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        self.file.sync_all().with_context(cannot)?;
        let named = if force { fs::rename(&self.part, path) } else { name(&self.part, path) };
        match named {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(is_there(path)),
            named => named.with_context(cannot),
        }
    }
}

/// Renames, but never over a file that came meanwhile.
fn name(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        // This file system has no links.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        linked => linked,
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After a rename it is not there any more.
        let _ = fs::remove_file(&self.part);
    }
}

/// Signals that end the process, once the incomplete file is gone.
struct Interrupts {
    part: PathBuf,
    /// The signal that came; 0: none.
    signal: Arc<AtomicUsize>,
}

impl Interrupts {
    fn of(file: &NewFile) -> io::Result<Interrupts> {
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_usize(
                number,
                Arc::clone(&signal),
                number.unsigned_abs() as usize,
            )?;
        }
        Ok(Interrupts { part: file.part.clone(), signal })
    }

    /// Ends the process if a signal came, the way that signal does it.
    fn obey(&self) {
        let signal = self.signal.load(Ordering::Relaxed);
        if signal != 0 {
            let _ = fs::remove_file(&self.part);
            let _ = signal_hook::low_level::emulate_default_handler(signal as i32);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_complete_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let entries = || fs::read_dir(dir.path()).unwrap().count();
        let mut file = NewFile::create(&path).unwrap();
        file.file.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(entries(), 0, "an export that failed leaves nothing");
        for (force, text) in [(false, "one"), (true, "two")] {
            let mut file = NewFile::create(&path).unwrap();
            file.file.write_all(text.as_bytes()).unwrap();
            file.finish(&path, force).unwrap();
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), entries()), (text, 1));
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        // One that came while the export ran is left alone.
        let error = NewFile::create(&path).unwrap().finish(&path, false).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error:#}");
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), entries()), ("two", 1));
    }

    #[test]
    fn what_is_no_file_is_written_in_place_and_what_is_there_is_asked_about() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("out"), dir.path().join("link"));
        assert!(matches!(Target::choose(Path::new("/dev/null"), false), Ok(Target::InPlace(_))));
        assert!(matches!(Target::choose(&path, false), Ok(Target::New(_))));
        assert!(Target::choose(dir.path(), true).is_err());
        fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Target::choose(&path, false).is_err() && Target::choose(&link, false).is_err());
        let Ok(Target::New(chosen)) = Target::choose(&link, true) else { panic!("a new file") };
        assert_eq!(chosen, path.canonicalize().unwrap());
    }
}
