//! Certificates for tests, made anew in each run: good ones, and others.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// What a server shows, and asks for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Presented {
    /// A good one for 127.0.0.1 and localhost.
    Good,
    /// The same, and the client must show one of the same authority.
    GoodAndAsking,
    /// One that is over.
    Expired,
    /// One that is for later.
    NotYet,
    /// One for another name.
    OtherName,
    /// One that nobody signed but itself.
    SelfSigned,
    /// The authority's own, which is none of a server.
    Authoritys,
}

/// An authority of its own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Default for Authority {
    fn default() -> Authority {
        Authority::new()
    }
}

impl Authority {
    /// A new one that nobody trusts yet.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new() -> Authority {
        // With the names of a server: so is what `openssl req -x509` makes.
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority { issuer: CertifiedIssuer::self_signed(params, key).expect("an authority") }
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A client's certificate and its key, as PEM.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn client_pem(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["client.test".to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn server(&self, presented: Presented) -> ServerConfig {
        let names = match presented {
            Presented::OtherName => vec!["other.test".to_owned()],
            _ => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        };
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(names).expect("parameters");
        if presented == Presented::Expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        if presented == Presented::NotYet {
            params.not_before = date_time_ymd(4001, 1, 1);
            params.not_after = date_time_ymd(4002, 1, 1);
        }
        let certificate = match presented {
            Presented::SelfSigned => params.self_signed(&key).map(|it| it.der().clone()),
            Presented::Authoritys => Ok(self.issuer.der().clone()),
            _ => params.signed_by(&key, &self.issuer).map(|it| it.der().clone()),
        };
        let certificate = certificate.expect("a certificate");
        let key = if presented == Presented::Authoritys { self.issuer.key() } else { &key };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS");
        let builder = match presented {
            Presented::GoodAndAsking => builder.with_client_cert_verifier(self.client_verifier()),
            _ => builder.with_no_client_auth(),
        };
        builder.with_single_cert(vec![certificate], key).expect("a server")
    }

    fn client_verifier(&self) -> Arc<dyn rustls::server::danger::ClientCertVerifier> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.issuer.der().to_vec())).expect("an authority");
        let provider = Arc::new(ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a verifier")
    }
}
