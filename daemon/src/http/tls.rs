//! Certificates and keys from files of PEM.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use crate::config::TlsFiles;

/// A larger file of PEM is none.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// Why there is no TLS. Never says what is in a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("there is no {what} in PEM in {}", path.display())]
    Missing { path: PathBuf, what: &'static str },
    #[error("certificate and key are not of use: {0}")]
    Unfit(#[from] rustls::Error),
    #[error("client_ca is not of use: {0}")]
    Clients(#[from] VerifierBuilderError),
}

impl TlsError {
    /// The key of the configuration that it is about.
    pub(super) fn key(&self, files: &TlsFiles) -> &'static str {
        match self {
            TlsError::Missing { what: "private key", .. } | TlsError::Unfit(_) => "tls_key",
            TlsError::Read { path, .. } | TlsError::Missing { path, .. } => match path {
                path if *path == files.cert => "tls_cert",
                path if *path == files.key => "tls_key",
                _ => "client_ca",
            },
            TlsError::Clients(_) => "client_ca",
        }
    }
}

/// What makes TLS of a connection. Reads the files anew.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            let roots = Arc::new(roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let pem = read(&files.key)?;
    let missing = |_| TlsError::Missing { path: files.key.clone(), what: "private key" };
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(missing)?;
    let mut config = builder.with_single_cert(certificates(&files.cert)?, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if found.is_empty() {
        return Err(TlsError::Missing { path: path.to_owned(), what: "certificate" });
    }
    Ok(found)
}

/// Up to the limit; what is beyond cannot be of a certificate.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let mut pem = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_PEM_BYTES).read_to_end(&mut pem).map_err(failed)?;
    Ok(pem)
}
