//! Whom it connects to: certificates, proxies, local addresses, names.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use hookring_faults::{Authority, Presented, Step};

use super::*;

/// Files of PEM in a folder.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().expect("a folder"))
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }
}

#[test]
fn a_good_certificate_of_the_given_authority_is_taken() {
    let (files, authority) = (Files::new(), Authority::new());
    let server = FaultServer::start_tls(&authority, Presented::Good);
    let ca_file = Some(files.put("ca.pem", &authority.pem()));
    let mut sink = sink(by(Connection { ca_file, ..Connection::default() }, &server));
    for _ in 0..3 {
        assert_eq!(name(&send_one(&mut sink)), "accepted");
    }
    assert_eq!((server.requests(), server.connections()), (3, 1));
}

#[test]
fn a_bad_certificate_is_refused_and_nothing_is_sent() {
    let (files, authority) = (Files::new(), Authority::new());
    let ca_file = Some(files.put("ca.pem", &authority.pem()));
    let others = Some(files.put("others.pem", &Authority::new().pem()));
    let unknown = "if you trust its authority, name that one's certificate in `ca_file`";
    for (presented, ca_file, said) in [
        (Presented::Expired, &ca_file, "certificate has expired, at 2002-01-01T00:00:00Z"),
        (Presented::NotYet, &ca_file, "not valid yet, only from 4001-01-01T00:00:00Z on"),
        (Presented::OtherName, &ca_file, "is not for 127.0.0.1, but for other.test"),
        (Presented::SelfSigned, &ca_file, unknown),
        (Presented::Authoritys, &ca_file, "is an authority's (CA:TRUE), used as a server's"),
        (Presented::Good, &others, unknown),
        // The system's authorities do not know them.
        (Presented::Good, &None, unknown),
        (Presented::OtherName, &None, "certificate"),
    ] {
        let server = FaultServer::start_tls(&authority, presented);
        let mut sink =
            sink(by(Connection { ca_file: ca_file.clone(), ..Connection::default() }, &server));
        let outcome = send_one(&mut sink);
        assert_eq!(name(&outcome), "refused", "{presented:?}: {outcome:?}");
        let words = words(&outcome);
        assert!(words.contains(said), "{presented:?}: {words}");
        let is_debug = ["(\"", "Other", "UNIX", "Context"].iter().any(|it| words.contains(it));
        assert!(!is_debug, "{words}");
        assert_eq!(server.requests(), 0);
    }
}

#[test]
fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let (files, authority) = (Files::new(), Authority::new());
    let server = FaultServer::start_tls(&authority, Presented::GoodAndAsking);
    let ca_file = Some(files.put("ca.pem", &authority.pem()));
    let with = |pems: Option<(String, String)>| {
        let (cert, key) = pems.unzip();
        let connection = Connection {
            ca_file: ca_file.clone(),
            client_cert: cert.map(|pem| files.put("client.pem", &pem)),
            client_key: key.map(|pem| files.put("client.key", &pem)),
            ..Connection::default()
        };
        by(connection, &server)
    };
    for pems in [None, Some(Authority::new().client_pem())] {
        let outcome = send_one(&mut sink(with(pems)));
        assert_eq!(name(&outcome), "refused", "{outcome:?}");
    }
    assert_eq!(name(&send_one(&mut sink(with(Some(authority.client_pem()))))), "accepted");
    assert_eq!(server.requests(), 1);
}

#[test]
fn plain_http_in_place_of_tls_is_told_with_the_way_out() {
    let server = FaultServer::start();
    server.set(Reply::status(400).early());
    let url = server.url("/").replace("http:", "https:");
    let outcome = send_one(&mut sink(WebhookConfig::new(Target::parse(&url).expect("a URL"))));
    assert_eq!(name(&outcome), "failed", "{outcome:?}");
    let hint = "what came back is not TLS; if this port speaks plain HTTP, its address begins with `http://`";
    assert!(words(&outcome).ends_with(hint), "{outcome:?}");
}

#[test]
fn tls_in_place_of_plain_http_is_told_with_the_way_out() {
    let server = FaultServer::start_tls(&Authority::new(), Presented::Good);
    let url = server.url("/").replace("https:", "http:");
    let outcome = send_one(&mut sink(WebhookConfig::new(Target::parse(&url).expect("a URL"))));
    assert_eq!(name(&outcome), "failed", "{outcome:?}");
    let hint = "; if this port speaks TLS, its address begins with `https://`";
    assert!(words(&outcome).ends_with(hint), "{outcome:?}");
    // One that closes without a word may be such a port, too.
    let server = FaultServer::start();
    server.set(Reply::close().early());
    let outcome = send_one(&mut sink(config(&server)));
    let said = format!("the connection was closed{hint}");
    assert!(words(&outcome).ends_with(&said), "{outcome:?}");
}

/// A handshake that never ends holds nobody for longer than the limit, and what is no TLS is a failure.
#[test]
fn a_handshake_that_leads_nowhere_is_a_failure() {
    let server = FaultServer::start();
    let url = server.url("/").replace("http:", "https:");
    for reply in [
        Reply::silence(),
        Reply::drip(Duration::from_secs(1)),
        Reply::steps([Step::Drip(vec![22, 3, 3, 64, 0, 2, 0, 0, 0], Duration::from_millis(100))]),
        Reply::not_http(),
        Reply::close(),
        Reply::reset(),
        Reply::endless_head(),
    ] {
        server.set(reply.clone().early());
        let mut config = WebhookConfig::new(Target::parse(&url).expect("a URL"));
        config.connection.connect_timeout = SHORT;
        let outcome = send_one(&mut sink(config));
        assert_eq!(name(&outcome), "failed", "{reply:?}: {outcome:?}");
        assert!(words(&outcome).starts_with("cannot send to https://127.0.0.1:"), "{outcome:?}");
    }
}

#[test]
fn files_that_cannot_be_used_are_told_and_cause_no_panic() {
    let (files, authority) = (Files::new(), Authority::new());
    let server = FaultServer::start_tls(&authority, Presented::Good);
    let (cert, key) = authority.client_pem();
    let (_, other_key) = authority.client_pem();
    let [cert, key, other_key, ca, junk] = [
        ("cert", cert.as_str()),
        ("key", &key),
        ("other", &other_key),
        ("ca", &authority.pem()),
        ("junk", "-----BEGIN CERTIFICATE-----\naGk=\n-----END CERTIFICATE-----\n"),
    ]
    .map(|(name, text)| Some(files.put(name, text)));
    let missing = Some(files.0.path().join("missing"));
    for (ca_file, client_cert, client_key, setting, said) in [
        (&missing, &None, &None, Setting::CaFile, "cannot read"),
        (&key, &None, &None, Setting::CaFile, "no certificate"),
        (&junk, &None, &None, Setting::CaFile, "none of its certificates"),
        (&ca, &cert, &other_key, Setting::ClientCert, "does not fit"),
        (&ca, &cert, &cert, Setting::ClientKey, "no private key"),
        (&ca, &missing, &key, Setting::ClientCert, "cannot read"),
        (&ca, &cert, &None, Setting::ClientCert, "go together"),
        (&ca, &None, &key, Setting::ClientKey, "go together"),
    ] {
        let connection = Connection {
            ca_file: ca_file.clone(),
            client_cert: client_cert.clone(),
            client_key: client_key.clone(),
            ..Connection::default()
        };
        let config = by(connection, &server);
        let faults = config.faults();
        assert!(faults[0].setting == setting && faults[0].message.contains(said), "{faults:?}");
        if client_cert.is_some() == client_key.is_some() {
            WebhookSink::new(config, Reloads::default()).open().expect_err("it cannot be used");
        }
    }
}

#[test]
fn a_proxy_is_asked_for_what_is_not_this_computer() {
    let proxy = FaultServer::start();
    // It would connect, and says no.
    proxy.set(Reply::status(403));
    let url = Target::parse("http://events.test:81/x?key=hunter2").expect("a URL");
    let secret = format!("http://ada:hunter3@{}", proxy.address());
    let mut with_proxy = WebhookConfig::new(url);
    with_proxy.connection.proxy = Some(text(&secret));
    let outcome = send_one(&mut sink(with_proxy.clone()));
    assert_eq!(name(&outcome), "failed", "{outcome:?}");
    assert_eq!(words(&outcome), "cannot send to http://events.test:81: the proxy does not connect");
    let asked = &proxy.received()[0];
    assert_eq!(asked.line, "CONNECT events.test:81");
    assert_eq!(asked.header("proxy-authorization"), Some("Basic YWRhOmh1bnRlcjM="));
    assert!(!format!("{with_proxy:?}").contains("hunter"));

    let server = FaultServer::start();
    let proxy = Some(text(&secret));
    let local = by(Connection { proxy, ..Connection::default() }, &server);
    assert_eq!(local.faults()[0].setting, Setting::Proxy);
    for bad in ["socks5://127.0.0.1:1", "what is this"] {
        let mut config = with_proxy.clone();
        config.connection.proxy = Some(text(bad));
        assert_eq!(config.faults()[0].setting, Setting::Proxy);
        let error = WebhookSink::new(config, Reloads::default()).open().expect_err("no proxy");
        assert!(
            error.to_string().starts_with("cannot use the proxy in the configuration"),
            "{error}"
        );
    }
}

/// What counts is the address that is connected to, not the name.
#[test]
fn local_addresses_can_be_refused() {
    let server = FaultServer::start();
    let port = server.address().port();
    // Known to the resolver by a name that does not say what it is.
    let name_of_this = "ip6-localhost";
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"] {
        let url = Target::parse(&format!("http://{host}:{port}/")).expect("a URL");
        let mut config = WebhookConfig::new(url);
        config.connection.refuse_local = true;
        assert_eq!(config.faults()[0].setting, Setting::Url, "{host}");
        let mut sink = WebhookSink::new(config, Reloads::default());
        let outcome = send_one(&mut sink);
        assert_eq!(name(&outcome), "refused", "{host}: {outcome:?}");
        assert!(words(&outcome).contains("refuse_local"), "{outcome:?}");
    }
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    if hosts.lines().any(|line| line.starts_with("::1") && line.contains(name_of_this)) {
        let url = Target::parse(&format!("http://{name_of_this}:{port}/")).expect("a URL");
        let mut config = WebhookConfig::new(url);
        config.connection.refuse_local = true;
        assert_eq!(config.faults(), []);
        assert_eq!(name(&send_one(&mut sink(config))), "refused");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_port_that_nobody_listens_at_is_a_failure() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let url = Target::parse(&format!("http://{address}/")).expect("a URL");
    let outcome = send_one(&mut sink(WebhookConfig::new(url)));
    assert_eq!(name(&outcome), "failed", "{outcome:?}");
    assert!(words(&outcome).contains("refused"), "{outcome:?}");
}
