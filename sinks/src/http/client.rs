//! The HTTP client: its limits, its certificates, and which addresses it connects to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::http::Uri;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy};

use super::settings::{Connection, Setting, SettingError};
use super::target::{bare, is_local};
use super::tls_words::tls_words;
use crate::secret::read_file;

/// A longer head of an answer is none, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long the body of an answer may take once its head is there: it decides nothing.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// What is read at once, in bytes; heads must fit.
const INPUT_BYTES: usize = 2 * MAX_HEAD_BYTES;
/// What is sent at once, in bytes. Each piece wakes the server.
const OUTPUT_BYTES: usize = 128 << 10;
/// How long the addresses of a name are used before it is looked up again.
const NAME_AGE: Duration = Duration::from_secs(10);
/// A larger file of certificates is none, in bytes: those of all authorities fit.
const MAX_PEM_BYTES: usize = 1 << 20;
/// How we say who we are.
const USER_AGENT: &str = concat!("hookring/", env!("CARGO_PKG_VERSION"));

/// A file of certificates that cannot be used. Its text is not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot use {}: it has no {what} in the form of PEM", path.display())]
    Missing { path: PathBuf, what: &'static str },
    #[error("cannot use {}: {reason}", path.display())]
    Bad { path: PathBuf, reason: String },
}

/// A client that connects as the settings say, each request and each of its phases within a limit. It keeps one
/// connection for the next request.
///
/// # Errors
///
/// If a file of certificates cannot be used.
pub(crate) fn agent(config: &Connection, proxy: Option<Proxy>) -> Result<Agent, TlsError> {
    let connect = Some(config.connect_timeout.min(config.timeout));
    let all = Some(config.timeout);
    let settings = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .tls_config(tls(config)?)
        .user_agent(USER_AGENT)
        .accept("")
        .timeout_global(all)
        .timeout_resolve(connect)
        .timeout_connect(connect)
        .timeout_send_request(all)
        .timeout_send_body(all)
        .timeout_recv_response(all)
        .timeout_recv_body(Some(BODY_TIMEOUT.min(config.timeout)))
        .max_response_header_size(MAX_HEAD_BYTES)
        .input_buffer_size(INPUT_BYTES)
        .output_buffer_size(OUTPUT_BYTES)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .build();
    let names = Names { refuse_local: config.refuse_local, ..Names::default() };
    Ok(Agent::with_parts(settings, DefaultConnector::new(), names))
}

/// What is wrong with the files of certificates, if anything is.
pub(super) fn file_fault(config: &Connection) -> Option<SettingError> {
    let fault = |setting, error: TlsError| {
        let cause = std::error::Error::source(&error).map(|it| format!(": {it}"));
        let message = format!("{error}{}", cause.unwrap_or_default());
        let help = "give a file of PEM that the daemon can read".to_owned();
        SettingError { setting, message, help }
    };
    if let Some(path) = &config.ca_file
        && let Err(error) = authorities(path)
    {
        return Some(fault(Setting::CaFile, error));
    }
    let (Some(cert), Some(key)) = (&config.client_cert, &config.client_key) else { return None };
    match (certificates(cert), private_key(key)) {
        (Err(error), _) => Some(fault(Setting::ClientCert, error)),
        (_, Err(error)) => Some(fault(Setting::ClientKey, error)),
        _ => client_cert(cert, key).err().map(|error| fault(Setting::ClientCert, error)),
    }
}

fn tls(config: &Connection) -> Result<TlsConfig, TlsError> {
    let roots = match &config.ca_file {
        Some(path) => RootCerts::Specific(Arc::new(authorities(path)?)),
        None => RootCerts::PlatformVerifier,
    };
    let client = match (&config.client_cert, &config.client_key) {
        (Some(cert), Some(key)) => Some(client_cert(cert, key)?),
        _ => None,
    };
    let provider = Arc::new(ring::default_provider());
    let tls = TlsConfig::builder().root_certs(roots).client_cert(client);
    Ok(tls.unversioned_rustls_crypto_provider(provider).build())
}

fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, TlsError> {
    let certificates = certificates(path)?;
    let mut store = rustls::RootCertStore::empty();
    let der = certificates.iter().map(|it| CertificateDer::from(it.der().to_vec()));
    if store.add_parsable_certificates(der).0 == 0 {
        let reason = "none of its certificates can be an authority's".to_owned();
        return Err(TlsError::Bad { path: path.to_owned(), reason });
    }
    Ok(certificates)
}

/// A certificate with its key, which must fit: the client panics at one that does not.
fn client_cert(cert: &Path, key: &Path) -> Result<ClientCert, TlsError> {
    let chain = certificates(cert)?;
    let private = private_key(key)?;
    let bad = |error: rustls::Error| {
        let fit = format!("it does not fit to the key in {}", key.display());
        let reason = match error {
            rustls::Error::InconsistentKeys(_) => fit,
            other => format!("{fit}: {}", tls_words(&other)),
        };
        TlsError::Bad { path: cert.to_owned(), reason }
    };
    let der = chain.iter().map(|it| CertificateDer::from(it.der().to_vec())).collect();
    let key_der = PrivateKeyDer::try_from(private.der().to_vec())
        .map_err(|reason| TlsError::Bad { path: key.to_owned(), reason: reason.to_owned() })?;
    CertifiedKey::from_der(der, key_der, &ring::default_provider()).map_err(bad)?;
    Ok(ClientCert::new_with_certs(&chain, private))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, TlsError> {
    let pem = read(path)?;
    let items = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = items.collect();
    if found.is_empty() {
        return Err(TlsError::Missing { path: path.to_owned(), what: "certificate" });
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKey<'static>, TlsError> {
    PrivateKey::from_pem(&read(path)?)
        .map_err(|_| TlsError::Missing { path: path.to_owned(), what: "private key" })
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let pem = read_file(path, MAX_PEM_BYTES).map_err(failed)?;
    if pem.len() > MAX_PEM_BYTES {
        let reason = "it is larger than 1 MiB".to_owned();
        return Err(TlsError::Bad { path: path.to_owned(), reason });
    }
    Ok(pem)
}

/// The name leads to this computer or its link's neighbours only.
#[derive(Debug, thiserror::Error)]
#[error("the address is a local one, which `refuse_local` refuses")]
pub(super) struct LocalRefused;

/// Looks names up. What it gives out is what is connected to, so that a name which changes its address after
/// a look at it leads nowhere else.
#[derive(Debug, Default)]
struct Names {
    inner: DefaultResolver,
    refuse_local: bool,
    last: Mutex<Option<Found>>,
}

#[derive(Debug)]
struct Found {
    host: String,
    port: Option<u16>,
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16();
        let addresses = match (bare(host).parse::<IpAddr>(), self.known(host, port)) {
            (Ok(ip), _) => {
                let of_scheme = if uri.scheme_str() == Some("https") { 443 } else { 80 };
                vec![SocketAddr::new(ip, port.unwrap_or(of_scheme))]
            }
            (_, Some(known)) => known,
            _ => {
                let found: Vec<_> =
                    self.inner.resolve(uri, config, timeout)?.iter().copied().collect();
                self.keep(host, port, &found);
                found
            }
        };
        let mut taken = self.empty();
        for address in addresses {
            if !(self.refuse_local && is_local(address.ip())) {
                taken.push(address);
            }
        }
        if taken.is_empty() { Err(ureq::Error::Other(LocalRefused.into())) } else { Ok(taken) }
    }
}

impl Names {
    fn known(&self, host: &str, port: Option<u16>) -> Option<Vec<SocketAddr>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |it: &&Found| it.host == host && it.port == port && it.at.elapsed() < NAME_AGE;
        last.as_ref().filter(fits).map(|it| it.addresses.clone())
    }

    fn keep(&self, host: &str, port: Option<u16>, addresses: &[SocketAddr]) {
        let (host, addresses) = (host.to_owned(), addresses.to_vec());
        let found = Found { host, port, addresses, at: Instant::now() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }
}
