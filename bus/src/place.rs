//! Where the bus is: the directories in which hooks and the daemon meet.
//!
//! A hook may see less of the machine than the daemon does (a desktop program, cron, ssh, a
//! sandbox), so there are three standard places, and the daemon drains all of them. `HOOKRING_DIR`
//! replaces them by one. A place holds the ring in `ring` and the spool in `spool/`.

use crate::sys::{self, Errno, Fd, Open, Stat};
use core::ffi::CStr;

/// The ring's file name in its place.
pub const RING: &CStr = c"ring";
/// A ring file that cannot be used is kept under this name; only the newest one is.
pub const RING_BAD: &CStr = c"ring.bad";
/// The spool's directory name in its place.
pub const SPOOL: &CStr = c"spool";
/// How many standard places there are.
pub const STANDARD: usize = 3;

/// The longest path that is taken, with its closing zero, in bytes.
pub const MAX_PATH_BYTES: usize = 512;

/// A path with its closing zero, without allocation.
#[derive(Clone)]
pub struct Path {
    bytes: [u8; MAX_PATH_BYTES],
    len: usize,
}

impl Path {
    /// The empty path.
    pub fn new() -> Path {
        Path { bytes: [0; MAX_PATH_BYTES], len: 0 }
    }

    /// Appends text; `None` where it does not fit or holds a zero.
    #[must_use]
    pub fn join(mut self, text: &[u8]) -> Option<Path> {
        self.push(text)?;
        Some(self)
    }

    /// Appends in place: a hook's stack is small, and each copy of a path takes a share of it.
    fn push(&mut self, text: &[u8]) -> Option<()> {
        // The last byte stays zero.
        let room = self.bytes.get_mut(self.len..MAX_PATH_BYTES - 1)?.get_mut(..text.len())?;
        if text.contains(&0) {
            return None;
        }
        room.copy_from_slice(text);
        self.len += text.len();
        Some(())
    }

    /// Appends a number in decimal.
    fn push_number(&mut self, number: u32) -> Option<()> {
        let mut digits = [0; 10];
        let mut rest = number;
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        self.push(digits.get(digits.len() - used..)?)
    }

    /// The path without its closing zero.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The path with its closing zero.
    pub fn as_c_str(&self) -> &CStr {
        // `push` lets no zero in, and the bytes behind the text are zero.
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

impl Default for Path {
    fn default() -> Self {
        Path::new()
    }
}

/// Which places count for this process.
#[derive(Copy, Clone, Debug)]
pub struct Places<'a> {
    only: Option<&'a [u8]>,
    uid: u32,
}

/// Why a directory is not used.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It does not exist.
    Missing,
    /// It is not a directory, or a symbolic link.
    NotADirectory,
    /// It belongs to somebody else, or others may enter it.
    NotPrivate(Stat),
    /// The system refused.
    System(Errno),
}

impl<'a> Places<'a> {
    /// The places of `uid`. `hookring_dir` is the variable's value; it must be an absolute path, else
    /// it is ignored (a hook and the daemon have different working directories).
    pub fn new(hookring_dir: Option<&'a [u8]>, uid: u32) -> Places<'a> {
        let only = hookring_dir.filter(|dir| dir.first() == Some(&b'/')).map(without_end);
        Places { only, uid }
    }

    /// The user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// How many places there are.
    pub fn count(&self) -> usize {
        if self.only.is_some() { 1 } else { STANDARD }
    }

    /// Whether a ring may stand in this place: the last standard one, in the home directory, is on a
    /// disk and for the spool only.
    pub fn has_ring(&self, place: usize) -> bool {
        self.only.is_some() || place + 1 < STANDARD
    }

    /// The path of a place, in the order in which a hook tries them. `None`: this user has it not.
    pub fn path(&self, place: usize) -> Option<Path> {
        let mut path = Path::new();
        self.find(place, &mut path)?;
        Some(path)
    }

    fn find(&self, place: usize, path: &mut Path) -> Option<()> {
        match (self.only, place) {
            (Some(dir), 0) => path.push(dir),
            (None, 0) => {
                path.push(b"/run/user/")?;
                path.push_number(self.uid)?;
                path.push(b"/hookring")
            }
            (None, 1) => {
                path.push(b"/dev/shm/hookring-")?;
                path.push_number(self.uid)
            }
            (None, 2) => {
                push_home(self.uid, path)?;
                path.push(b"/.local/state/hookring")
            }
            _ => None,
        }
    }

    /// Opens a place that exists and is this user's own.
    // Not inlined, as are the others here that hold a path: a hook has half a page of stack.
    #[inline(never)]
    pub fn open(&self, place: usize) -> Result<Fd, Refused> {
        let mut path = Path::new();
        self.find(place, &mut path).ok_or(Refused::Missing)?;
        open_private(None, path.as_c_str(), self.uid)
    }

    /// Opens a place, and creates it where it is missing.
    #[inline(never)]
    pub fn create(&self, place: usize) -> Result<Fd, Refused> {
        let path = self.path(place).ok_or(Refused::Missing)?;
        if self.only.is_some() || place + 1 == STANDARD {
            make_parents(&path, self.uid);
        }
        // An existing directory is judged by `open_private`, any other failure as well.
        let _ = sys::mkdir(None, path.as_c_str());
        open_private(None, path.as_c_str(), self.uid)
    }
}

/// The same directory without slashes and dots at its end: with those, the system would follow a link
/// in its place after all.
fn without_end(dir: &[u8]) -> &[u8] {
    let shorter = dir.strip_suffix(b"/.").or_else(|| dir.strip_suffix(b"/"));
    match shorter {
        Some([]) | None => dir,
        Some(shorter) => without_end(shorter),
    }
}

/// Opens a directory that must be `uid`'s own, mode 0700, and no symbolic link. One that nobody else
/// may enter, and its owner only in part, is given that mode: somebody made it under a umask that takes
/// rights from the owner, too, and died or is about to do this.
pub fn open_private(at: Option<&Fd>, path: &CStr, uid: u32) -> Result<Fd, Refused> {
    const ENOTDIR: Errno = Errno(20);
    let open = || sys::open(at, path, Open::Dir);
    let opened = match open() {
        Err(Errno::ACCES) if sys::give_back(at, path, uid).is_ok() => open(),
        opened => opened,
    };
    let dir = opened.map_err(|errno| match errno {
        Errno::NOENT => Refused::Missing,
        ENOTDIR | Errno::LOOP => Refused::NotADirectory,
        errno => Refused::System(errno),
    })?;
    let stat = sys::fstat(&dir).map_err(Refused::System)?;
    if !stat.is_private_dir(uid) {
        return Err(Refused::NotPrivate(stat));
    }
    if let Some(mode) = stat.mode_for_owner(uid) {
        // Where that is not to be had, what needs it fails and says so.
        let _ = sys::set_mode(&dir, mode);
    }
    Ok(dir)
}

/// Creates the directories above `path`; those that exist, or cannot be made, are left as they are, but
/// for one that is of no use to anybody: its maker has not set its mode yet, or died before.
fn make_parents(path: &Path, uid: u32) {
    for (at, byte) in path.as_bytes().iter().enumerate().skip(1) {
        if *byte == b'/'
            && let Some(parent) = path.as_bytes().get(..at)
            && let Some(parent) = Path::new().join(parent)
        {
            let parent = parent.as_c_str();
            let is_closed = || sys::stat(None, parent).is_ok_and(|stat| stat.mode & 0o100 == 0);
            if sys::mkdir(None, parent).is_ok() || is_closed() {
                let _ = sys::give_back(None, parent, uid);
            }
        }
    }
}

/// Appends the home directory that `/etc/passwd` names. Only this file is asked: a hook has no C library,
/// and both sides must come to the same answer.
#[cold]
fn push_home(uid: u32, path: &mut Path) -> Option<()> {
    let file = sys::open(None, c"/etc/passwd", Open::Read).ok()?;
    let mut lines = Lines { file, offset: 0 };
    let mut buffer = [0; 512];
    while let Some(line) = lines.next(&mut buffer) {
        // name:password:uid:gid:comment:home:shell
        let mut fields = line.split(|byte| *byte == b':').skip(2);
        if fields.next().and_then(number) == Some(uid) {
            return path.push(fields.nth(2)?);
        }
    }
    None
}

fn number(text: &[u8]) -> Option<u32> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a file line by line without allocation; a line longer than the buffer is cut.
struct Lines {
    file: Fd,
    offset: u64,
}

impl Lines {
    fn next<'b>(&mut self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let read = sys::pread(&self.file, buffer, self.offset).ok().filter(|n| *n > 0)?;
        let line = buffer.get(..read)?.split(|byte| *byte == b'\n').next()?;
        self.offset += line.len() as u64 + 1;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn c_path(path: &std::path::Path) -> Path {
        Path::new().join(path.as_os_str().as_encoded_bytes()).unwrap()
    }

    #[test]
    fn the_standard_places_in_their_order() {
        let places = Places::new(None, 4_000_000_000);
        let path =
            |place| places.path(place).map(|p| String::from_utf8(p.as_bytes().to_vec()).unwrap());
        assert_eq!(path(0).unwrap(), "/run/user/4000000000/hookring");
        assert_eq!(path(1).unwrap(), "/dev/shm/hookring-4000000000");
        assert_eq!(path(2), None);
        let root = Places::new(None, 0).path(2).unwrap();
        assert!(root.as_bytes().ends_with(b"/.local/state/hookring"));
    }

    #[test]
    fn the_override_is_the_only_place_and_must_be_absolute() {
        let places = Places::new(Some(b"/x/y"), 0);
        assert_eq!(places.count(), 1);
        assert_eq!(places.path(0).unwrap().as_bytes(), b"/x/y");
        assert!(places.has_ring(0));
        assert_eq!(Places::new(Some(b"x"), 0).count(), STANDARD);
        assert_eq!(Places::new(Some(b""), 0).count(), STANDARD);
        for (dir, meant) in
            [("/x/y/", "/x/y"), ("/x/y/.//./", "/x/y"), ("/x/y.", "/x/y."), ("/", "/")]
        {
            let places = Places::new(Some(dir.as_bytes()), 0);
            assert_eq!(places.path(0).unwrap().as_bytes(), meant.as_bytes(), "{dir}");
        }
    }

    #[test]
    fn a_path_that_is_too_long_or_holds_a_zero_is_none() {
        assert!(Path::new().join(&[b'a'; MAX_PATH_BYTES]).is_none());
        assert!(Path::new().join(&[b'a'; MAX_PATH_BYTES - 1]).is_some());
        assert!(Path::new().join(b"a\0b").is_none());
    }

    #[test]
    fn links_files_and_open_directories_are_refused() {
        let uid = sys::effective_uid();
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("target");
        std::fs::create_dir(&target).unwrap();
        std::fs::set_permissions(&target, PermissionsExt::from_mode(0o700)).unwrap();
        let link = temp.path().join("link");
        symlink(&target, &link).unwrap();
        let open = |path: &std::path::Path, uid| open_private(None, c_path(path).as_c_str(), uid);
        assert!(open(&target, uid).is_ok());
        assert_eq!(open(&link, uid).unwrap_err(), Refused::NotADirectory);
        assert_eq!(open(&temp.path().join("none"), uid).unwrap_err(), Refused::Missing);
        assert!(matches!(open(&target, uid + 1), Err(Refused::NotPrivate(_))));
        std::fs::set_permissions(&target, PermissionsExt::from_mode(0o750)).unwrap();
        assert!(matches!(open(&target, uid), Err(Refused::NotPrivate(_))));
        let file = temp.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(open(&file, uid).unwrap_err(), Refused::NotADirectory);
    }

    fn mode(path: &std::path::Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &std::path::Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    /// As a umask of 0177, 0277 or 0777 leaves it.
    #[test]
    fn what_keeps_its_owner_out_is_given_back_and_nothing_else_is() {
        let uid = sys::effective_uid();
        let temp = tempfile::tempdir().unwrap();
        let [dir, file, link] = ["dir", "file", "link"].map(|name| temp.path().join(name));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        for taken in [0o600, 0o500, 0o000] {
            set_mode(&dir, taken);
            open_private(None, c_path(&dir).as_c_str(), uid).unwrap();
            assert_eq!(mode(&dir), 0o700, "{taken:o}");
        }
        let give_back = |path: &std::path::Path, uid| {
            sys::give_back(None, c_path(path).as_c_str(), uid).is_ok()
        };
        for (path, taken, given) in [
            (&dir, 0o500, Some(0o700)),
            (&dir, 0o000, Some(0o700)),
            (&dir, 0o550, None),
            (&dir, 0o001, None),
            (&dir, 0o700, None),
            (&file, 0o400, Some(0o600)),
            (&file, 0o000, Some(0o600)),
            (&file, 0o040, None),
            (&file, 0o600, None),
        ] {
            set_mode(path, taken);
            assert!(!give_back(path, uid + 1), "somebody else's");
            assert_eq!(give_back(path, uid), given.is_some(), "{path:?} {taken:o}");
            assert_eq!(mode(path), given.unwrap_or(taken), "{path:?} {taken:o}");
        }
        set_mode(&file, 0o400);
        assert!(!give_back(&link, uid));
        assert_eq!(mode(&file), 0o400, "behind a link");
    }

    #[test]
    fn a_directory_above_a_place_that_is_of_no_use_to_anybody_is_given_back() {
        let uid = sys::effective_uid();
        let temp = tempfile::tempdir().unwrap();
        let above = temp.path().join("above");
        let place = above.join("place");
        std::fs::create_dir(&above).unwrap();
        let places = Places::new(Some(place.as_os_str().as_encoded_bytes()), uid);
        for (found, left) in [(0o600, 0o700), (0o000, 0o700), (0o500, 0o500), (0o755, 0o755)] {
            let _ = std::fs::remove_dir(&place);
            set_mode(&above, found);
            // Where the directory is left as it is, only root makes something in it.
            assert_eq!(places.create(0).is_ok(), found != 0o500 || uid == 0, "{found:o}");
            assert_eq!(mode(&above), left, "{found:o}");
            set_mode(&above, 0o700);
        }
    }

    #[test]
    fn a_missing_place_is_created_with_its_parents() {
        let uid = sys::effective_uid();
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a/b");
        let places = Places::new(Some(dir.as_os_str().as_encoded_bytes()), uid);
        assert_eq!(places.open(0).unwrap_err(), Refused::Missing);
        places.create(0).unwrap();
        places.open(0).unwrap();
        let mode = std::fs::metadata(&dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
