//! When the file is set aside, and under which name.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hookring_journal::Seq;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::config::{Compression, JsonlConfig};
use super::file::{ActiveFile, FileError, io_error, parent};

/// The time in a rotated file's name, UTC; sorts as text.
const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";
/// How long that is: `20260102T030405Z`.
const TIME_BYTES: usize = 16;

/// True if the next line should go to a new file, because this one would become too big (with the
/// lines that are pending) or is too old. An empty file is never rotated.
pub(super) fn is_due(
    config: &JsonlConfig,
    file: &ActiveFile,
    pending_bytes: usize,
    line_bytes: usize,
    now: SystemTime,
) -> bool {
    let bytes = file.bytes() + pending_bytes as u64;
    let too_big = config.rotate_bytes.is_some_and(|limit| bytes + line_bytes as u64 > limit);
    let too_old = config
        .rotate_age
        .is_some_and(|limit| now.duration_since(file.born()).is_ok_and(|age| age >= limit));
    bytes > 0 && (too_big || too_old)
}

/// Gives the file its rotated name, durably. The caller opens a new one.
pub(super) fn set_aside(
    active: &Path,
    file: &ActiveFile,
    now: SystemTime,
) -> Result<(), FileError> {
    let earlier = Rotated::list(active)?;
    let target = Rotated::name(active, now, file.first_seq().unwrap_or(0), &earlier);
    if target.symlink_metadata().is_ok() {
        // Made since the folder was listed: the next attempt sees it and takes another name.
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(io_error("rotate to", &target)(taken));
    }
    fs::rename(active, &target).map_err(io_error("rotate to", &target))?;
    sync_folder(parent(&target))
}

/// Makes renames and removals in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}

/// A file that was rotated before: `<stem>-<UTC time>-<first seq>.jsonl[.gz|.zst]`. The number has 20
/// digits, so that names sort as the files were made; in names that an earlier version gave it has
/// as few as it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rotated {
    pub(super) path: PathBuf,
    /// What its name is told from others by.
    stamp: String,
    time: DateTime,
    pub(super) first_seq: Seq,
    pub(super) compression: Compression,
    /// A compressed form that was never finished.
    pub(super) is_part: bool,
}

/// What the name of a compressed file ends with until it is whole.
pub(super) const PART_SUFFIX: &str = ".part";

impl Rotated {
    /// All rotated files of `active`, newest first.
    pub(super) fn list(active: &Path) -> Result<Vec<Rotated>, FileError> {
        let folder = parent(active);
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
            names.push(entry.map_err(io_error("list", folder))?.file_name());
        }
        let mut files: Vec<_> =
            names.iter().filter_map(|name| Rotated::parse(active, name)).collect();
        files.sort_unstable_by_key(|file| std::cmp::Reverse((file.time, file.first_seq)));
        Ok(files)
    }

    /// A name that sorts behind all `earlier` ones, whatever the clock says: where it was set back, or
    /// a number comes again within a second, the name's time is later than the clock's.
    fn name(active: &Path, at: SystemTime, first_seq: Seq, earlier: &[Rotated]) -> PathBuf {
        let at = jiff::Timestamp::try_from(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let mut own = stamp(TimeZone::UTC.to_datetime(at), first_seq);
        // Of those of one second, the last that was made may be any: an earlier version's numbers
        // sort as text only.
        if let Some(last) = earlier.iter().max_by(|one, other| one.stamp.cmp(&other.stamp))
            && own <= last.stamp
        {
            own = stamp(last.time, first_seq);
            if own <= last.stamp {
                own = stamp(last.time.saturating_add(Duration::from_secs(1)), first_seq);
            }
        }
        let (stem, extension) = split_name(active);
        let mut name = stem;
        name.push(format!("-{own}"));
        name.push(extension);
        parent(active).join(name)
    }

    /// Strict, so that no other file in the folder is ever touched.
    fn parse(active: &Path, name: &OsStr) -> Option<Rotated> {
        let (stem, extension) = split_name(active);
        let path = parent(active).join(name);
        let rest = name.as_encoded_bytes().strip_prefix(stem.as_encoded_bytes())?;
        let stamped = rest.strip_prefix(b"-")?;
        let (time, rest) = stamped.split_at_checked(TIME_BYTES)?;
        let rest = rest.strip_prefix(b"-")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (seq, rest) = rest.split_at(digits);
        let stamp = std::str::from_utf8(&stamped[..TIME_BYTES + 1 + digits]).ok()?.to_owned();
        let rest = rest.strip_prefix(extension.as_encoded_bytes())?;
        let (rest, is_part) = match rest.strip_suffix(PART_SUFFIX.as_bytes()) {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let compression = [Compression::None, Compression::Gzip, Compression::Zstd]
            .into_iter()
            .find(|compression| compression.suffix().as_bytes() == rest)?;
        let time = DateTime::strptime(TIME_FORMAT, time).ok()?;
        let first_seq = std::str::from_utf8(seq).ok()?.parse().ok()?;
        Some(Rotated { path, stamp, time, first_seq, compression, is_part })
    }
}

/// The part of a name by which the files sort.
fn stamp(time: DateTime, first_seq: Seq) -> String {
    format!("{}-{first_seq:020}", time.strftime(TIME_FORMAT))
}

/// `events.jsonl` is `events` and `.jsonl`; a name without a dot has no extension.
fn split_name(active: &Path) -> (OsString, OsString) {
    let stem = active.file_stem().unwrap_or_default().to_owned();
    let mut extension = OsString::new();
    if let Some(after_dot) = active.extension() {
        extension.push(".");
        extension.push(after_dot);
    }
    (stem, extension)
}
