//! One connection: requests are read whole, and get what they are to get.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustls::{ServerConnection, StreamOwned};

use crate::{Received, Reply, Shared, Step};

/// A larger request is not read.
pub const MAX_REQUEST_BYTES: usize = 256 << 20;

/// Plain or with TLS.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

pub(crate) fn serve(shared: &Shared, socket: TcpStream) {
    let reply = shared.to_connection();
    // Whatever goes wrong ends the connection, which the client sees.
    let served = match reply {
        Some(reply) => act(shared, &reply, &mut (&socket), &socket).map(|_| ()),
        None => serve_requests(shared, &socket),
    };
    // What a handshake failed at was told; the client reads that only if nothing resets the connection.
    let is_told = |error: &io::Error| {
        error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>()).is_some()
    };
    if served.as_ref().err().is_some_and(is_told) {
        let _ = socket.shutdown(Shutdown::Write);
        let _ = io::copy(&mut (&socket), &mut io::sink());
    }
    let _ = socket.shutdown(Shutdown::Both);
}

fn serve_requests(shared: &Shared, socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match &shared.tls {
        None => Box::new(socket.try_clone()?),
        Some(config) => {
            let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(connection, socket.try_clone()?))
        }
    };
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    while let Some(request) = request(&mut stream)? {
        let reply = shared.to_request(request);
        if !act(shared, &reply, stream.get_mut(), socket)? {
            break;
        }
    }
    Ok(())
}

/// The next request; `None` at the end of the connection.
fn request(stream: &mut impl BufRead) -> io::Result<Option<Received>> {
    let Some(line) = line(stream)? else { return Ok(None) };
    let mut request = Received {
        line: line.rsplit_once(' ').map_or(line.clone(), |(line, _)| line.to_owned()),
        ..Received::default()
    };
    loop {
        let line = line_of(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if request.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = usize::from_str_radix(&line_of(stream)?, 16).map_err(io::Error::other)?;
            read_more(stream, &mut request.body, size)?;
            line_of(stream)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = request.header("content-length") {
        let size = length.parse().map_err(io::Error::other)?;
        read_more(stream, &mut request.body, size)?;
    }
    Ok(Some(request))
}

fn read_more(stream: &mut impl BufRead, body: &mut Vec<u8>, size: usize) -> io::Result<()> {
    let begin = body.len();
    if size > MAX_REQUEST_BYTES - begin {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    body.resize(begin + size, 0);
    stream.read_exact(&mut body[begin..])
}

fn line_of(stream: &mut impl BufRead) -> io::Result<String> {
    line(stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Whether the connection goes on.
fn act(
    shared: &Shared,
    reply: &Reply,
    stream: &mut dyn Write,
    socket: &TcpStream,
) -> io::Result<bool> {
    for step in &reply.steps {
        match step {
            Step::Send(bytes) => stream.write_all(bytes)?,
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[*byte])?;
                    stream.flush()?;
                    if shared.wait(*pause) {
                        return Ok(false);
                    }
                }
            }
            Step::Endless(bytes) => loop {
                stream.write_all(bytes)?;
            },
            Step::Silence => {
                wait_for_close(shared, socket)?;
                return Ok(false);
            }
            Step::Pause(time) => {
                if shared.wait(*time) {
                    return Ok(false);
                }
            }
            Step::Close => return Ok(false),
            Step::Reset => {
                set_socket_linger(socket, Some(Duration::ZERO))?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }
    stream.flush()?;
    Ok(true)
}

/// Waits until the client, or the server, closes the connection.
fn wait_for_close(shared: &Shared, socket: &TcpStream) -> io::Result<()> {
    const LOOK_INTERVAL: Duration = Duration::from_millis(5);
    socket.set_nonblocking(true)?;
    while !shared.wait(LOOK_INTERVAL) {
        match socket.peek(&mut [0]) {
            Ok(0) => break,
            // What it sends stays where it is.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
