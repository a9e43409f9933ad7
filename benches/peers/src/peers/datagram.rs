//! A Unix datagram socket; several at a time with `sendmmsg` and `recvmmsg`.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::ptr;

use anyhow::{Context as _, Result};

use super::{Mode, Place, Receiver, Sender};
use crate::payloads::Tally;

/// Datagrams of one system call.
const MANY: usize = 32;

fn path(place: &Place) -> PathBuf {
    place.dir.join("datagrams")
}

pub(super) struct Reader {
    socket: UnixDatagram,
    buffers: Vec<Vec<u8>>,
    flags: libc::c_int,
}

impl Reader {
    pub(super) fn new(place: &Place) -> Result<Reader> {
        let socket = UnixDatagram::bind(path(place)).context("could not bind a socket")?;
        let buffers = vec![vec![0; place.shape.max_bytes]; MANY];
        let sleeps = place.shape.mode == Mode::Sleeping;
        let flags = if sleeps { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        Ok(Reader { socket, buffers, flags })
    }
}

impl Receiver for Reader {
    fn receive(&mut self, tally: &mut Tally) -> Result<()> {
        let mut buffers = self.buffers.iter_mut();
        let mut parts: [libc::iovec; MANY] =
            std::array::from_fn(|_| buffers.next().map_or(EMPTY, |buffer| part_of(buffer)));
        let mut messages: [libc::mmsghdr; MANY] = std::array::from_fn(|i| message(&mut parts[i]));
        // SAFETY: every message has one part, a buffer that nothing else refers to during the call.
        let found = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                MANY as libc::c_uint,
                self.flags,
                ptr::null_mut(),
            )
        };
        let Ok(found) = usize::try_from(found) else {
            let error = io::Error::last_os_error();
            let is_empty = error.kind() == ErrorKind::WouldBlock;
            return if is_empty { Ok(()) } else { Err(error.into()) };
        };
        for (message, buffer) in messages[..found].iter().zip(&self.buffers) {
            tally.take(&buffer[..message.msg_len as usize]);
        }
        Ok(())
    }
}

pub(super) struct Writer {
    socket: UnixDatagram,
}

impl Writer {
    pub(super) fn new(place: &Place) -> Result<Writer> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path(place))?;
        Ok(Writer { socket })
    }
}

impl Sender for Writer {
    fn send(&mut self, payload: &[u8]) -> Result<()> {
        self.socket.send(payload)?;
        Ok(())
    }

    fn send_batch(&mut self, payloads: &[&[u8]]) -> Result<()> {
        for mut payloads in payloads.chunks(MANY) {
            while !payloads.is_empty() {
                let sent = send_many(&self.socket, payloads)?;
                payloads = &payloads[sent..];
            }
        }
        Ok(())
    }
}

/// Sends at least one of at most [`MANY`]; how many.
fn send_many(socket: &UnixDatagram, payloads: &[&[u8]]) -> io::Result<usize> {
    let at = |i: usize| payloads.get(i).copied().unwrap_or_default();
    let mut parts: [libc::iovec; MANY] = std::array::from_fn(|i| part_to_read(at(i)));
    let mut messages: [libc::mmsghdr; MANY] = std::array::from_fn(|i| message(&mut parts[i]));
    // SAFETY: every message has one part, a payload, which is only read.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), payloads.len() as libc::c_uint, 0)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

const EMPTY: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

fn part_of(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}

/// For calls that only read it.
fn part_to_read(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn message(part: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: made of integers and pointers, for which zero is a value.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = part;
    message.msg_hdr.msg_iovlen = 1;
    message
}
