//! A server on loopback for hooks that post their payload: takes it, answers 204, keeps nothing.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::{Context as _, Result};

/// The largest body it reads; longer ones are cut and answered.
const BODY_LIMIT_BYTES: u64 = 1024 * 1024;

/// The server; its thread ends with the process.
pub(crate) struct Loopback {
    /// Where to post to.
    pub(crate) url: String,
}

impl Loopback {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("could not listen on loopback")?;
        let url = format!("http://{}/", listener.local_addr()?);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that breaks off exits with an error, which fails the bench.
                let _ = answer(&stream);
            }
        });
        Ok(Self { url })
    }
}

fn answer(mut stream: &TcpStream) -> io::Result<()> {
    let mut request = BufReader::new(stream);
    let mut body_bytes = 0;
    for line in request.by_ref().lines() {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(length) = line.strip_prefix("content-length:") {
            body_bytes = length.trim().parse().unwrap_or(0);
        }
    }
    io::copy(&mut request.take(BODY_LIMIT_BYTES.min(body_bytes)), &mut io::sink())?;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
}
