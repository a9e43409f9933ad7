//! What a request gets: bytes, pauses and ends, good ones and others.

use std::time::Duration;

/// One thing that the server does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Sends these.
    Send(Vec<u8>),
    /// Sends these one by one, with so long between them.
    Drip(Vec<u8>, Duration),
    /// Sends these again and again, until the client closes the connection.
    Endless(Vec<u8>),
    /// Says nothing more, until the client closes the connection.
    Silence,
    /// Nothing for so long.
    Pause(Duration),
    /// Closes the connection.
    Close,
    /// Resets it.
    Reset,
}

/// What a request gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub(crate) steps: Vec<Step>,
    /// It is of 2xx.
    pub(crate) is_success: bool,
    /// Does not wait for a request.
    pub(crate) is_early: bool,
}

impl Reply {
    /// 200.
    pub fn ok() -> Reply {
        Reply::status(200)
    }

    /// An answer of this status.
    pub fn status(status: u16) -> Reply {
        Reply::with(status, &[], "")
    }

    /// An answer with these headers and this body, if the status has one.
    pub fn with(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut head = head(status, headers);
        let has_body = !matches!(status, 100..=199 | 204 | 304);
        if has_body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let body = if has_body { body } else { "" };
        let bytes = format!("{head}\r\n{body}").into_bytes();
        Reply { is_success: (200..300).contains(&status), ..Reply::steps([Step::Send(bytes)]) }
    }

    /// Anything else. It counts as no success.
    pub fn steps(steps: impl IntoIterator<Item = Step>) -> Reply {
        Reply { steps: steps.into_iter().collect(), is_success: false, is_early: false }
    }

    /// The same, but to a connection at once, before anything is read from it.
    #[must_use]
    pub fn early(self) -> Reply {
        Reply { is_early: true, ..self }
    }

    /// The request is taken and no answer comes.
    pub fn silence() -> Reply {
        Reply::steps([Step::Silence])
    }

    /// The connection is closed in place of an answer.
    pub fn close() -> Reply {
        Reply::steps([Step::Close])
    }

    /// The connection is reset in place of an answer.
    pub fn reset() -> Reply {
        Reply::steps([Step::Reset])
    }

    /// A good answer, a byte now and then.
    pub fn drip(pause: Duration) -> Reply {
        let head = format!("{}Content-Length: 0\r\n\r\n", head(200, &[]));
        Reply::steps([Step::Drip(head.into_bytes(), pause)])
    }

    /// A good head, and a body that comes a byte now and then. The head says that the request is taken.
    pub fn drip_body(pause: Duration) -> Reply {
        let head = format!("{}Content-Length: 1000\r\n\r\n", head(200, &[]));
        let steps = [Step::Send(head.into_bytes()), Step::Drip(vec![b'x'; 1000], pause)];
        Reply { is_success: true, ..Reply::steps(steps) }
    }

    /// A status with a body that never ends.
    pub fn endless_body(status: u16) -> Reply {
        let head = format!("{}Content-Length: 999999999999\r\n\r\n", head(status, &[]));
        let steps = [Step::Send(head.into_bytes()), Step::Endless(vec![b'x'; 4096])];
        Reply { is_success: (200..300).contains(&status), ..Reply::steps(steps) }
    }

    /// Headers that never end.
    pub fn endless_head() -> Reply {
        let line = format!("X-More: {}\r\n", "x".repeat(1000));
        Reply::steps([Step::Send(head(200, &[]).into_bytes()), Step::Endless(line.into_bytes())])
    }

    /// Answers of 100 that never end.
    pub fn endless_continue() -> Reply {
        Reply::steps([Step::Endless(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())])
    }

    /// A head that says another length than the body has, after which the connection is closed.
    pub fn wrong_length(status: u16, said: usize, body: &str) -> Reply {
        let bytes = format!("{}Content-Length: {said}\r\n\r\n{body}", head(status, &[]));
        let steps = [Step::Send(bytes.into_bytes()), Step::Close];
        Reply { is_success: (200..300).contains(&status), ..Reply::steps(steps) }
    }

    /// A body in chunks that are none.
    pub fn bad_chunks(status: u16) -> Reply {
        let bytes = format!("{}Transfer-Encoding: chunked\r\n\r\nzz\r\n!", head(status, &[]));
        let steps = [Step::Send(bytes.into_bytes()), Step::Close];
        Reply { is_success: (200..300).contains(&status), ..Reply::steps(steps) }
    }

    /// Half a head, after which the connection is closed.
    pub fn half_head() -> Reply {
        Reply::steps([Step::Send(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), Step::Close])
    }

    /// What another protocol says.
    pub fn not_http() -> Reply {
        Reply::steps([Step::Send(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), Step::Close])
    }

    /// Every way in which a request gets no answer that can be read, by name: nothing is taken by any of them.
    /// Some last until the client gives up.
    pub fn faults() -> Vec<(&'static str, Reply)> {
        let pause = Duration::from_millis(20);
        vec![
            ("closes at once", Reply::close().early()),
            ("resets at once", Reply::reset().early()),
            ("closes", Reply::close()),
            ("resets", Reply::reset()),
            ("says nothing", Reply::silence()),
            ("never reads", Reply::silence().early()),
            ("drips", Reply::drip(Duration::from_secs(1))),
            ("drips fast", Reply::steps([Step::Drip(vec![b'H'; 10_000], pause)])),
            ("half a head", Reply::half_head()),
            ("not HTTP", Reply::not_http()),
            ("endless head", Reply::endless_head()),
            ("endless 100", Reply::endless_continue()),
        ]
    }
}

fn head(status: u16, headers: &[(&str, &str)]) -> String {
    let mut head = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}
