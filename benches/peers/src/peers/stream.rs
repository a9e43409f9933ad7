//! A pipe with a name, and TCP on loopback. A record is its length and its bytes; a batch is one
//! write.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::byte_ring::records;
use super::{Mode, Place, Receiver, Sender};
use crate::payloads::Tally;

/// The most that an unprivileged process may have in a pipe.
const PIPE_BYTES: libc::c_int = 1024 * 1024;
/// What a read takes at most.
const BUFFER_BYTES: usize = 256 * 1024;

/// The reading end of a stream, and what it has of a record that is not whole yet.
pub(super) struct StreamReader<R> {
    stream: R,
    buffer: Vec<u8>,
    used: usize,
    /// Where a read that finds nothing would be in the writer's way: it asks first.
    asks: Option<RawFd>,
}

impl<R: Read> StreamReader<R> {
    fn new(stream: R, asks: Option<RawFd>) -> StreamReader<R> {
        StreamReader { stream, buffer: vec![0; BUFFER_BYTES], used: 0, asks }
    }
}

fn is_readable(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointer is to one live element.
    unsafe { libc::poll(&raw mut poll, 1, 0) > 0 }
}

impl<R: Read> Receiver for StreamReader<R> {
    fn receive(&mut self, tally: &mut Tally) -> Result<()> {
        if self.asks.is_some_and(|fd| !is_readable(fd)) {
            return Ok(());
        }
        let found = match self.stream.read(&mut self.buffer[self.used..]) {
            Ok(0) => anyhow::bail!("the stream ended"),
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let end = self.used + found;
        let whole = records(&self.buffer[..end], tally);
        self.buffer.copy_within(whole..end, 0);
        self.used = end - whole;
        Ok(())
    }
}

fn pipe_path(place: &Place) -> PathBuf {
    place.dir.join("pipe")
}

pub(super) fn pipe_reader(place: &Place) -> Result<StreamReader<File>> {
    let path = pipe_path(place);
    let name = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name ends with a zero byte.
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    ensure!(made == 0, "could not make a pipe: {}", io::Error::last_os_error());
    let mut options = OpenOptions::new();
    // With a writing end of its own it neither waits for a writer nor ever ends.
    options.read(true).write(true);
    let sleeps = place.shape.mode == Mode::Sleeping;
    if !sleeps {
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(&path).context("could not open the pipe")?;
    // SAFETY: the descriptor is open.
    let set = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_BYTES) };
    ensure!(set >= 0, "could not make the pipe larger: {}", io::Error::last_os_error());
    // Reads and writes of a pipe exclude each other; asking does not.
    let asks = (!sleeps).then(|| file.as_raw_fd());
    Ok(StreamReader::new(file, asks))
}

pub(super) fn pipe_writer(place: &Place) -> Result<StreamWriter<File>> {
    let file = OpenOptions::new().write(true).open(pipe_path(place))?;
    // Only writes of so many bytes stay in one piece among those of others.
    let most = if place.shape.producers > 1 { libc::PIPE_BUF } else { usize::MAX };
    Ok(StreamWriter { stream: file, buffer: Vec::new(), most })
}

/// A connection for each producer.
pub(super) struct TcpReader {
    listener: TcpListener,
    connections: Vec<StreamReader<TcpStream>>,
    producers: usize,
    sleeps: bool,
}

impl TcpReader {
    pub(super) fn new(place: &Place) -> Result<TcpReader> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        std::fs::write(port_path(place), listener.local_addr()?.port().to_string())?;
        let sleeps = place.shape.mode == Mode::Sleeping;
        Ok(TcpReader {
            listener,
            connections: Vec::new(),
            producers: place.shape.producers,
            sleeps,
        })
    }
}

impl Receiver for TcpReader {
    fn receive(&mut self, tally: &mut Tally) -> Result<()> {
        // All producers have connected by now, or are about to.
        while self.connections.len() < self.producers {
            let (stream, _) = self.listener.accept()?;
            stream.set_nonblocking(!self.sleeps)?;
            self.connections.push(StreamReader::new(stream, None));
        }
        self.connections.iter_mut().try_for_each(|connection| connection.receive(tally))
    }
}

fn port_path(place: &Place) -> PathBuf {
    place.dir.join("port")
}

pub(super) fn tcp_writer(place: &Place) -> Result<StreamWriter<TcpStream>> {
    let port = std::fs::read_to_string(port_path(place))?.parse()?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    Ok(StreamWriter { stream, buffer: Vec::new(), most: usize::MAX })
}

/// The writing end of a stream.
pub(super) struct StreamWriter<W> {
    stream: W,
    buffer: Vec<u8>,
    /// Most bytes of a write.
    most: usize,
}

impl<W: Write> StreamWriter<W> {
    fn add(&mut self, payload: &[u8]) {
        self.buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(payload);
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl<W: Write> Sender for StreamWriter<W> {
    fn send(&mut self, payload: &[u8]) -> Result<()> {
        self.add(payload);
        self.flush()
    }

    fn send_batch(&mut self, payloads: &[&[u8]]) -> Result<()> {
        for payload in payloads {
            if self.buffer.len() + payload.len() + size_of::<u32>() > self.most {
                self.flush()?;
            }
            self.add(payload);
        }
        self.flush()
    }
}
