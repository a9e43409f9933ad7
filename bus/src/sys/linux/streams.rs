//! Reading and writing what somebody else reads and writes, too, without waiting for them: between a
//! `poll` that says yes and a plain `read`, another reader may take what was there, and the `read` would
//! never end.

use super::calls::{self, call};
use super::files::IoVec;
use crate::sys::Errno;

const RWF_NOWAIT: usize = 8;
const OWN_POSITION: isize = -1;

/// Reads at the file's own position what is there by now. [`Errno::AGAIN`]: nothing yet, or it stands
/// on a disk. [`Errno::NOTSUP`]: this kind of file cannot say (a terminal).
pub fn read_now(fd: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    let vector = IoVec { base: buffer.as_mut_ptr(), bytes: buffer.len() };
    match call!(PREADV2, fd, &raw const vector, 1, OWN_POSITION, 0, RWF_NOWAIT) {
        // A sandbox may refuse what it does not know.
        Err(Errno::NOSYS | Errno::NOTSUP | Errno::PERM) => read_pipe_now(fd, buffer),
        read => read,
    }
}

/// The same for a pipe before Linux 6.5.
#[cold]
fn read_pipe_now(fd: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    const GETFL: usize = 3;
    const ACCESS: usize = 3;
    const NONBLOCK: usize = 2;
    // From a pipe that is open for writing as well, it would not read: it would write.
    if call!(FCNTL, fd, GETFL)? & ACCESS != 0 {
        return Err(Errno::NOTSUP);
    }
    let vector = IoVec { base: buffer.as_mut_ptr(), bytes: buffer.len() };
    match call!(VMSPLICE, fd, &raw const vector, 1, NONBLOCK) {
        Err(errno) if !matches!(errno, Errno::AGAIN | Errno::INTR) => Err(Errno::NOTSUP),
        read => read,
    }
}

/// Writes at the file's own position as much as there is room for by now; errors as of [`read_now`],
/// and a pipe before Linux 6.5 cannot say.
pub fn write_now(fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
    let vector = IoVec { base: bytes.as_ptr(), bytes: bytes.len() };
    match call!(PWRITEV2, fd, &raw const vector, 1, OWN_POSITION, 0, RWF_NOWAIT) {
        Err(Errno::NOSYS | Errno::NOTSUP | Errno::INVAL | Errno::PERM) => Err(Errno::NOTSUP),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    /// Both ways of reading a pipe say the same; the second is what older kernels have.
    #[test]
    fn a_pipe_is_read_without_waiting() {
        for read in [read_now, read_pipe_now] {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let mut buffer = [0; 8];
            assert_eq!(read(reader.as_raw_fd(), &mut buffer), Err(Errno::AGAIN));
            writer.write_all(b"in two pieces").unwrap();
            assert_eq!(read(reader.as_raw_fd(), &mut buffer), Ok(8));
            assert_eq!(&buffer, b"in two p");
            assert_eq!(read(reader.as_raw_fd(), &mut buffer), Ok(5));
            assert_eq!(&buffer[..5], b"ieces");
            assert_eq!(read(reader.as_raw_fd(), &mut buffer), Err(Errno::AGAIN));
            drop(writer);
            assert_eq!(read(reader.as_raw_fd(), &mut buffer), Ok(0));
        }
    }

    #[test]
    fn what_is_no_pipe_for_reading_is_left_alone_by_the_older_way() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(read_pipe_now(file.as_raw_fd(), &mut [0; 8]), Err(Errno::NOTSUP));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(read_pipe_now(file.as_raw_fd(), &mut [0; 8]), Err(Errno::NOTSUP));
        let (reader, writer) = std::io::pipe().unwrap();
        assert_eq!(read_pipe_now(writer.as_raw_fd(), &mut [0; 8]), Err(Errno::NOTSUP));
        let mut options = std::fs::OpenOptions::new();
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let both = options.read(true).write(true).open(path).unwrap();
        assert_eq!(read_pipe_now(both.as_raw_fd(), &mut [0; 8]), Err(Errno::NOTSUP));
        assert_eq!(
            read_now(reader.as_raw_fd(), &mut [0; 8]),
            Err(Errno::AGAIN),
            "it was written to"
        );
    }

    #[test]
    fn a_full_pipe_is_written_without_waiting() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let mut bytes = 0;
        let errno = loop {
            match write_now(writer.as_raw_fd(), &[0; 4096]) {
                Ok(written) => bytes += written,
                Err(errno) => break errno,
            }
        };
        // Before Linux 6.5 it cannot say, which it does at once.
        assert!(errno == Errno::AGAIN && bytes >= 4096 || errno == Errno::NOTSUP, "{errno:?}");
    }
}
