//! `[http]`: where the daemon serves its metrics. Without the table nothing listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use hookring_sinks::Secret;

use super::reader::Section;
use crate::http::check_tls;

/// Where it listens if nothing else is said.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9477);

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// The address and port; port 0: any.
    pub listen: SocketAddr,
    /// What whoever asks must show.
    pub token: Option<Secret>,
    /// If it is TLS.
    pub tls: Option<TlsFiles>,
}

/// Files of PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// What the server shows of itself, its own certificate first.
    pub cert: PathBuf,
    /// The key of that.
    pub key: PathBuf,
    /// Who may sign the certificates that whoever asks must have.
    pub client_ca: Option<PathBuf>,
}

pub(super) fn http(root: &mut Section<'_, '_>) -> Option<HttpConfig> {
    let mut section = root.optional_section("http")?;
    let listen = section.socket_address("listen", DEFAULT_LISTEN);
    let token = section.secret("token");
    let cert = section.optional_path("tls_cert");
    let key = section.optional_path("tls_key");
    let client_ca = section.optional_path("client_ca");
    let has = |key: &str| section.has(key);
    let (has_token, has_cert) = (has("token"), has("tls_cert"));
    let (has_key, has_ca) = (has("tls_key"), has("client_ca"));
    if has_cert != has_key {
        let (there, missing) =
            if has_cert { ("tls_cert", "tls_key") } else { ("tls_key", "tls_cert") };
        let message = format!("`{missing}` is missing beside it");
        section.fail(there, message, Some("TLS takes a certificate and its key".to_owned()));
    }
    if has_ca && !(has_cert || has_key) {
        let message = "clients show certificates in TLS only".to_owned();
        section.fail("client_ca", message, Some("add `tls_cert` and `tls_key`".to_owned()));
    }
    let is_local = listen.ip().is_loopback();
    if !is_local && !has_token && !has_ca && section.is_known("listen") {
        let message = "whoever reaches this address could read the metrics".to_owned();
        let help =
            "add a `token`, or `tls_cert`, `tls_key` and `client_ca`; or listen on 127.0.0.1";
        section.fail("listen", message, Some(help.to_owned()));
    }
    if !is_local && has_token && !has_cert {
        let message = "the token goes over the network for everybody to read; TLS hides it";
        section.doubt("token", message);
    }
    let tls = cert.zip(key).map(|(cert, key)| TlsFiles { cert, key, client_ca });
    if let Some(Err((key, message))) = tls.as_ref().map(check_tls) {
        section.fail(key, message, Some("the daemon must be able to read it".to_owned()));
    }
    section.finish();
    Some(HttpConfig { listen, token, tls })
}
