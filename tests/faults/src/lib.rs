//! A web server on loopback for tests: it takes every request, or fails as it is told to, on std's
//! `TcpListener`. Tests of the sinks, of the whole system and benches use it.
//!
//! It speaks as much of HTTP/1.1 as clients of ours do: requests with `Content-Length` or in chunks, one after
//! another on a connection.

mod certificates;
mod connection;
mod reply;

use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use certificates::{Authority, Presented};
pub use connection::MAX_REQUEST_BYTES;
pub use reply::{Reply, Step};

/// Longer than anything takes; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that arrived whole.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// What stands before the version: `POST /path`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it was sent, but for chunks.
    pub body: Vec<u8>,
}

impl Received {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(its, _)| its == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Decides what a request gets.
type Rule = Box<dyn Fn(&Received) -> Reply + Send>;

/// A server. It ends, with all its connections, when it is dropped.
pub struct FaultServer {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
}

/// What its threads share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    tls: Option<Arc<rustls::ServerConfig>>,
}

struct State {
    next: VecDeque<Reply>,
    rule: Rule,
    received: Vec<Received>,
    /// Those that were answered well.
    taken: Vec<usize>,
    is_ended: bool,
    is_counting: bool,
    requests: usize,
    connections: usize,
    open: Vec<TcpStream>,
}

impl FaultServer {
    /// A server that takes everything.
    ///
    /// # Panics
    /// If there is no port on loopback.
    pub fn start() -> FaultServer {
        FaultServer::with(None)
    }

    /// The same with TLS, showing what is `presented` by an authority.
    ///
    /// # Panics
    /// If there is no port on loopback.
    pub fn start_tls(authority: &Authority, presented: Presented) -> FaultServer {
        FaultServer::with(Some(Arc::new(authority.server(presented))))
    }

    fn with(tls: Option<Arc<rustls::ServerConfig>>) -> FaultServer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let state = State {
            next: VecDeque::new(),
            rule: Box::new(|_| Reply::ok()),
            received: Vec::new(),
            taken: Vec::new(),
            is_ended: false,
            is_counting: false,
            requests: 0,
            connections: 0,
            open: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), tls });
        let its = Arc::clone(&shared);
        thread::spawn(move || its.accept(&listener));
        FaultServer { address, scheme, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL with a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// What every request gets from now on, but for those of [`FaultServer::next`].
    pub fn set(&self, reply: Reply) {
        self.set_rule(move |_| reply.clone());
    }

    /// The same, decided by the request.
    pub fn set_rule(&self, rule: impl Fn(&Received) -> Reply + Send + 'static) {
        self.shared.lock().rule = Box::new(rule);
    }

    /// What the next requests get, one each.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.lock().next.extend(replies);
    }

    /// Keeps no request from now on, and counts them only: for benches.
    pub fn count_only(&self) {
        self.shared.lock().is_counting = true;
    }

    /// Every request that arrived whole, whatever it got.
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// Those of them that got an answer of 2xx.
    pub fn taken(&self) -> Vec<Received> {
        let state = self.shared.lock();
        state.taken.iter().map(|at| state.received[*at].clone()).collect()
    }

    /// How many requests arrived whole.
    pub fn requests(&self) -> usize {
        self.shared.lock().requests
    }

    /// How often somebody connected.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Waits until so many requests have arrived whole.
    ///
    /// # Panics
    /// If they do not.
    pub fn wait_for_requests(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while state.requests < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} requests of {count} arrived", state.requests);
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.shared.end();
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Shared>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.lock().is_ended {
                return;
            }
            let Ok(stream) = stream else { continue };
            let Ok(second) = stream.try_clone() else { continue };
            let mut state = self.lock();
            state.connections += 1;
            state.open.retain(|it| it.peer_addr().is_ok());
            state.open.push(second);
            drop(state);
            let shared = Arc::clone(self);
            thread::spawn(move || connection::serve(&shared, stream));
        }
    }

    fn end(&self) {
        let mut state = self.lock();
        state.is_ended = true;
        for stream in state.open.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }

    /// The answer to a connection, before anything was read; `None`: to its requests.
    fn to_connection(&self) -> Option<Reply> {
        let mut state = self.lock();
        if state.next.front().is_some_and(|it| it.is_early) {
            return state.next.pop_front();
        }
        let is_next = !state.next.is_empty();
        let usual = (state.rule)(&Received::default());
        (usual.is_early && !is_next).then_some(usual)
    }

    /// Notes a request. Returns its answer.
    fn to_request(&self, request: Received) -> Reply {
        let mut state = self.lock();
        let reply = state.next.pop_front().unwrap_or_else(|| (state.rule)(&request));
        state.requests += 1;
        if !state.is_counting {
            state.received.push(request);
            if reply.is_success {
                let at = state.received.len() - 1;
                state.taken.push(at);
            }
        }
        self.changed.notify_all();
        reply
    }

    /// Waits until the server ends, or `limit` is over. True if it ended.
    fn wait(&self, limit: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, limit, |state| !state.is_ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_ended
    }
}
