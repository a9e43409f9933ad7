//! The daemon's HTTP server: its metrics, whether it lives, and whether it works. One thread, begun only if the
//! configuration has `[http]`; what it serves it takes from [`Metrics`], and the collector waits for none of it.

mod guard;
mod negotiate;
mod routes;
mod serve;
mod tls;

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{HttpConfig, TlsFiles};
use crate::metrics::Metrics;
use crate::run::status::HttpStatus;
use serve::Limits;

/// How long one that is told to stop is waited for: it lets its port go, unless a program that says its token hangs.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// The server, if one is wanted.
pub(crate) struct Http {
    metrics: Arc<Metrics>,
    limits: Limits,
    running: Option<Server>,
}

struct Server {
    config: HttpConfig,
    state: Arc<State>,
    stop: watch::Sender<bool>,
    /// Disconnected when the thread ends.
    ended: Receiver<()>,
}

/// What the server's thread says of itself.
#[derive(Default)]
struct State {
    said: Mutex<Said>,
}

#[derive(Clone, Default)]
struct Said {
    /// Where it listens.
    address: Option<SocketAddr>,
    /// Why it does not; it is tried again.
    error: Option<String>,
}

/// Whether these files make TLS; else the key of the configuration that is wrong, and why.
pub(crate) fn check_tls(files: &TlsFiles) -> Result<(), (&'static str, String)> {
    tls::acceptor(files).map(drop).map_err(|error| (error.key(files), error.to_string()))
}

impl State {
    fn listens(&self, address: SocketAddr) {
        let mut said = self.lock();
        if said.address.is_none() {
            tracing::info!("metrics are served on {address}");
        }
        *said = Said { address: Some(address), error: None };
    }

    /// Tried again and again, and said once.
    fn fails(&self, error: String) {
        let mut said = self.lock();
        if said.error.as_ref() != Some(&error) {
            tracing::error!("{error}; it is tried again");
        }
        *said = Said { address: None, error: Some(error) };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Http {
    /// Serves these figures, once it is wanted.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Http {
        Http { metrics, limits: Limits::default(), running: None }
    }

    /// Begins, ends or begins anew, as the configuration says. One that has secrets reads them again.
    pub(crate) fn apply(&mut self, wanted: Option<&HttpConfig>) {
        let stays = |server: &Server| {
            let has_files = server.config.token.is_some() || server.config.tls.is_some();
            wanted == Some(&server.config) && !has_files
        };
        if self.running.as_ref().is_some_and(stays) {
            return;
        }
        if let Some(server) = self.running.take() {
            server.stop();
        }
        self.running = wanted.and_then(|config| {
            Server::start(config.clone(), self.limits, Arc::clone(&self.metrics))
                .inspect_err(|error| tracing::error!("cannot start a thread for [http]: {error}"))
                .ok()
        });
    }

    /// Where it listens, if it is wanted.
    pub(crate) fn status(&self) -> Option<HttpStatus> {
        self.running.as_ref().map(|server| {
            let Said { address, error } = server.state.lock().clone();
            let listen = address.unwrap_or(server.config.listen).to_string();
            HttpStatus { listen, tls: server.config.tls.is_some(), error }
        })
    }
}

impl Server {
    fn start(config: HttpConfig, limits: Limits, metrics: Arc<Metrics>) -> std::io::Result<Server> {
        let state = Arc::new(State::default());
        let (stop, stopped) = watch::channel(false);
        let (alive, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("http".to_owned());
        let (its_config, its_state) = (config.clone(), Arc::clone(&state));
        thread.spawn(move || {
            let _alive = alive;
            serve::run(&its_config, limits, &metrics, &its_state, stopped);
        })?;
        Ok(Server { config, state, stop, ended })
    }

    fn stop(self) {
        // One that has ended is not told.
        let _ = self.stop.send(true);
        let _ = self.ended.recv_timeout(STOP_LIMIT);
    }
}

#[cfg(test)]
mod tests;
