//! Listens, and answers each connection within its limits.

use std::collections::VecDeque;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::guard::Guard;
use super::{State, routes, tls};
use crate::config::HttpConfig;
use crate::metrics::Metrics;

/// So many connections are answered at a time. For one more, that which has been there longest gives way: each is for
/// one request, which is answered in milliseconds unless whoever asked does not read or write.
pub(super) const MAX_CONNECTIONS: usize = 32;
/// The longest head of a request.
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// How long it is waited after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// The same if a connection cannot be accepted: too many files are open, say.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The request's head; before it, the hand-shake of TLS as long again.
    pub(super) head: Duration,
    /// All of it, also writing the answer to somebody who does not read.
    pub(super) connection: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { head: Duration::from_secs(10), connection: Duration::from_secs(30) }
    }
}

/// What it takes to answer.
struct Ready {
    listener: StdListener,
    router: Router,
    tls: Option<TlsAcceptor>,
}

/// Serves until it is told to stop. What fails is tried again.
pub(super) fn run(
    config: &HttpConfig,
    limits: Limits,
    metrics: &Arc<Metrics>,
    state: &State,
    mut stopped: watch::Receiver<bool>,
) {
    let runtime = match Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return state.fails(format!("cannot serve [http]: {error}")),
    };
    loop {
        match ready(config, metrics) {
            Ok(ready) => match serve(&runtime, ready, limits, state, &mut stopped) {
                Ok(()) => return,
                Err(error) => state.fails(format!("cannot listen on {}: {error}", config.listen)),
            },
            Err(error) => state.fails(error),
        }
        let is_told = async { stopped.wait_for(|is| *is).await.map(|_| ()) };
        // Also if nobody is there any more who could tell.
        if runtime.block_on(async { timeout(RETRY, is_told).await }).is_ok() {
            return;
        }
    }
}

/// Reads secrets and takes the port. May wait for a program that says the token.
fn ready(config: &HttpConfig, metrics: &Arc<Metrics>) -> Result<Ready, String> {
    let guard = Guard::new(config).map_err(|error| format!("cannot serve [http]: {error}"))?;
    let tls = config.tls.as_ref().map(tls::acceptor).transpose();
    let tls = tls.map_err(|error| format!("cannot serve [http]: {error}"))?;
    let failed = |error: std::io::Error| format!("cannot listen on {}: {error}", config.listen);
    let listener = StdListener::bind(config.listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(Ready { listener, router: routes::router(Arc::clone(metrics), guard), tls })
}

fn serve(
    runtime: &Runtime,
    Ready { listener, router, tls }: Ready,
    limits: Limits,
    state: &State,
    stopped: &mut watch::Receiver<bool>,
) -> std::io::Result<()> {
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        state.listens(listener.local_addr()?);
        tokio::select! {
            () = accept_all(listener, router, tls, limits) => {}
            // Or nobody is there any more who could tell.
            _ = stopped.wait_for(|is| *is) => {}
        }
        Ok(())
    })
}

async fn accept_all(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: Limits,
) {
    // The oldest first.
    let mut running: VecDeque<AbortHandle> = VecDeque::with_capacity(MAX_CONNECTIONS);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("cannot accept a connection: {error}");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        running.retain(|connection| !connection.is_finished());
        if running.len() >= MAX_CONNECTIONS
            && let Some(oldest) = running.pop_front()
        {
            tracing::debug!("too many connections to [http]: the oldest is closed");
            oldest.abort();
        }
        let (router, tls) = (router.clone(), tls.clone());
        let task = tokio::spawn(async move {
            // What goes wrong is between this connection and whoever made it.
            let _ = timeout(limits.connection, answer(stream, router, tls, limits.head)).await;
        });
        running.push_back(task.abort_handle());
        // However many come at once, each is looked at before it is the oldest.
        yield_now().await;
    }
}

async fn answer(stream: TcpStream, router: Router, tls: Option<TlsAcceptor>, head: Duration) {
    match tls {
        None => answer_on(stream, router, head).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(head, tls.accept(stream)).await {
                answer_on(stream, router, head).await;
            }
        }
    }
}

async fn answer_on(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, head: Duration) {
    let answered = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(head)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = answered {
        tracing::debug!("a connection to [http] ended: {error}");
    }
}
