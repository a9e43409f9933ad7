//! A real server on a port of its own, asked over plain connections and over TLS.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Instant;

use hookring_sinks::Secret;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::metrics::Snapshot;
use crate::run::status::Status;

fn any_port() -> HttpConfig {
    let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    HttpConfig { listen, token: None, tls: None }
}

fn metrics(is_collecting: bool) -> Arc<Metrics> {
    let metrics = Metrics::default();
    let (status, taken) =
        (Status { version: "1.2".to_owned(), ..Status::default() }, Instant::now());
    metrics.set_snapshot(Snapshot { status, taken, is_collecting });
    Arc::new(metrics)
}

fn started(config: &HttpConfig, metrics: Arc<Metrics>) -> Http {
    let mut http = Http::new(metrics);
    http.apply(Some(config));
    http
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..30_000 {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(2));
    }
    panic!("waited for nothing");
}

fn address(http: &Http) -> SocketAddr {
    wait_for(|| {
        let said = http.running.as_ref()?.state.lock().clone();
        said.address
    })
}

fn error(http: &Http) -> String {
    wait_for(|| http.status()?.error)
}

/// The whole answer to a request with these lines.
fn ask(mut stream: impl Read + Write, lines: &str) -> String {
    let request = format!("{lines}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    // TLS may end without saying so, and a client that is refused finds its connection gone.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("text")
}

fn get(address: SocketAddr, path: &str, header: &str) -> String {
    let stream = TcpStream::connect(address).expect("a connection");
    ask(stream, &format!("GET {path} HTTP/1.1\r\nHost: localhost{header}"))
}

fn has_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "not {status}: {answer}");
}

#[test]
fn each_path_has_its_answer_and_no_other_is_there() {
    let http = started(&any_port(), metrics(true));
    let address = address(&http);
    let answer = get(address, "/metrics", "");
    has_status(&answer, 200);
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with('\n') && answer.contains("hookring_build_info{version=\"1.2\"} 1\n"));
    let answer = get(address, "/metrics", "\r\nAccept: application/openmetrics-text;version=1.0.0");
    assert!(
        answer.contains(
            "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
        )
    );
    assert!(answer.contains("# TYPE hookring_events counter\n") && answer.ends_with("# EOF\n"));
    let answer = get(address, "/healthz", "");
    has_status(&answer, 200);
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    let answer = get(address, "/readyz", "");
    has_status(&answer, 200);
    assert!(answer.ends_with("{\"ready\":true,\"reasons\":[]}\n"), "{answer}");
    has_status(&get(address, "/", ""), 404);
    has_status(&get(address, "/metrics/", ""), 404);
    for (method, status) in [("POST", 405), ("DELETE", 405), ("HEAD", 200)] {
        let stream = TcpStream::connect(address).expect("a connection");
        let lines = format!("{method} /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0");
        has_status(&ask(stream, &lines), status);
    }
    let status = http.status().expect("it is wanted");
    assert_eq!((status.listen, status.error), (address.to_string(), None));
}

#[test]
fn one_that_is_not_ready_says_why() {
    let http = started(&any_port(), metrics(false));
    let answer = get(address(&http), "/readyz", "");
    has_status(&answer, 503);
    let body = answer.split("\r\n\r\n").nth(1).expect("a body");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["ready"], false);
    assert!(body["reasons"][0].as_str().unwrap().contains("collector"), "{body}");
    has_status(&get(address(&http), "/healthz", ""), 200);
}

#[test]
fn names_that_somebody_else_made_lead_here_and_requests_without_the_token_get_nothing() {
    let token = Some(Secret::Text("hunter2".to_owned().into()));
    let http = started(&HttpConfig { token, ..any_port() }, metrics(true));
    let address = address(&http);
    for path in ["/metrics", "/healthz", "/readyz", "/no"] {
        let answer = get(address, path, "");
        has_status(&answer, 401);
        assert!(
            !answer.contains("hunter") && answer.contains("www-authenticate: Bearer\r\n"),
            "{answer}"
        );
    }
    has_status(&get(address, "/metrics", "\r\nAuthorization: Bearer hunter2"), 200);
    has_status(&get(address, "/metrics", ".evil.example\r\nAuthorization: Bearer hunter2"), 421);
}

#[test]
fn what_is_no_request_and_what_is_too_long_ends_its_connection_only() {
    let http = started(&any_port(), metrics(true));
    let address = address(&http);
    let long = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(100_000));
    let many = format!("GET /metrics HTTP/1.1\r\nHost: localhost{}", "\r\nX: x".repeat(1000));
    for lines in ["\0\0\0", "GET", "GET / HTTP/9.9", &long, &many] {
        let mut stream = TcpStream::connect(address).expect("a connection");
        // It may hang up before it has read all of that.
        let _ = stream.write_all(format!("{lines}\r\n\r\n").as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{lines:.20}");
    }
    has_status(&get(address, "/healthz", ""), 200);
}

/// Nothing ends by these while a test runs.
const LONG: Limits =
    Limits { head: Duration::from_secs(3600), connection: Duration::from_secs(3600) };
const HEAD: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n";

fn started_within(limits: Limits, metrics: Arc<Metrics>) -> Http {
    let mut http = Http { limits, ..Http::new(metrics) };
    http.apply(Some(&any_port()));
    http
}

/// A connection that fails rather than wait for ever for what does not come.
fn patient(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    stream
}

#[test]
fn where_every_place_is_taken_the_oldest_connection_gives_way() {
    let http = started_within(LONG, metrics(true));
    let address = address(&http);
    let stuck = |_| {
        let mut stream = patient(address);
        stream.write_all(HEAD.as_bytes()).expect("it reads");
        stream
    };
    let mut stuck: Vec<_> = (0..serve::MAX_CONNECTIONS).map(stuck).collect();
    has_status(&get(address, "/healthz", ""), 200);
    // The first one is closed, the others are not.
    wait_for(|| stuck[0].write(b"x").err());
    for stream in &mut stuck[1..] {
        stream.write_all(b"\r\n").expect("it is there");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        has_status(&answer, 200);
    }
}

#[test]
fn a_connection_is_for_one_request() {
    let http = started_within(LONG, metrics(true));
    let mut stream = patient(address(&http));
    stream.write_all(format!("{HEAD}\r\n{HEAD}\r\n").as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    // It is reset, perhaps, since what comes behind the first is not read.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("text");
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 1, "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[test]
fn whoever_does_not_read_or_write_is_not_waited_for() {
    // More than the system takes of an answer that nobody reads.
    let status = Status { version: "x".repeat(64 << 20), ..Status::default() };
    let metrics = Arc::new(Metrics::default());
    metrics.set_snapshot(Snapshot { status, taken: Instant::now(), is_collecting: true });
    let short = Duration::from_millis(50);
    for (limits, request) in [
        (Limits { head: short, ..LONG }, HEAD.to_owned()),
        (Limits { connection: short, ..LONG }, HEAD.to_owned()),
        (Limits { connection: short, ..LONG }, format!("{HEAD}\r\n")),
    ] {
        let http = started_within(limits, Arc::clone(&metrics));
        let mut stream = TcpStream::connect(address(&http)).expect("a connection");
        stream.write_all(request.as_bytes()).expect("it reads");
        // One that is closed answers with a reset, and the next write fails.
        wait_for(|| stream.write(b"x").err());
    }
}

#[test]
fn a_port_that_is_taken_is_tried_again_until_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("its address");
    let mut http = started(&HttpConfig { listen, ..any_port() }, metrics(true));
    let said = error(&http);
    assert!(said.contains(&format!("cannot listen on {listen}: ")), "{said}");
    drop(taken);
    assert_eq!(address(&http), listen);
    // As a reload does; then the port is free again.
    http.apply(Some(&any_port()));
    assert_ne!(address(&http), listen);
    wait_for(|| TcpListener::bind(listen).ok());
    http.apply(None);
    assert!(http.status().is_none());
}

#[test]
fn a_secret_that_cannot_be_read_is_told_without_a_port() {
    let token = Some(Secret::File("/no/such/file".into()));
    let http = started(&HttpConfig { token, ..any_port() }, metrics(true));
    assert!(error(&http).contains("cannot read the secret in /no/such/file"));
}

/// Certificates for tests, in files.
struct Pki {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Pki {
        let dir = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).expect("a file");
        Pki { dir, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: &str) {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).expect("a file");
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("a file");
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn ask(&self, address: SocketAddr, client: Option<&str>) -> String {
        let read = |path: &Path| std::fs::read(path).expect("a file");
        let certificate = |name: &str| {
            CertificateDer::from_pem_slice(&read(&self.path(name))).expect("a certificate")
        };
        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca.pem")).expect("an authority");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = read(&self.path(&format!("{name}.key")));
                let key = PrivateKeyDer::from_pem_slice(&key).expect("a key");
                let chain = vec![certificate(&format!("{name}.pem"))];
                builder.with_client_auth_cert(chain, key).expect("fitting")
            }
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
        let stream = TcpStream::connect(address).expect("a connection");
        let mut stream = StreamOwned::new(connection, stream);
        let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut answer = Vec::new();
        let _ = stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_end(&mut answer).map(|_| ()));
        String::from_utf8(answer).expect("text")
    }
}

#[test]
fn over_tls_only_who_has_a_certificate_is_answered_if_that_is_wanted() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    pki.issue("server");
    pki.issue("client");
    stranger.issue("client");
    let [cert, key] = ["server.pem", "server.key"].map(|name| pki.path(name));
    let files = TlsFiles { cert, key, client_ca: None };
    let http = started(&HttpConfig { tls: Some(files.clone()), ..any_port() }, metrics(true));
    has_status(&pki.ask(address(&http), None), 200);
    // What is no TLS is not answered.
    assert!(!get(address(&http), "/healthz", "").starts_with("HTTP/1.1 200"));
    let client_ca = Some(pki.path("ca.pem"));
    let tls = Some(TlsFiles { client_ca, ..files.clone() });
    let http = started(&HttpConfig { tls, ..any_port() }, metrics(true));
    has_status(&pki.ask(address(&http), Some("client")), 200);
    assert_eq!(pki.ask(address(&http), None), "");
    std::fs::copy(stranger.path("client.pem"), pki.path("stranger.pem")).expect("a file");
    std::fs::copy(stranger.path("client.key"), pki.path("stranger.key")).expect("a file");
    assert_eq!(pki.ask(address(&http), Some("stranger")), "");
    let key = pki.path("ca.pem");
    let http =
        started(&HttpConfig { tls: Some(TlsFiles { key, ..files }), ..any_port() }, metrics(true));
    assert!(error(&http).contains("there is no private key in PEM in "));
}
