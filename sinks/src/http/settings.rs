//! What sinks that speak HTTP can be told, and what of that cannot be.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::client::{self, TlsError};
use super::target::Target;
use crate::secret::{Secret, SecretError};

/// How long name, connection and TLS may each take by default.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may take by default.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Headers of the user's at most.
pub const MAX_HEADERS: usize = 32;

/// A setting that something is wrong with.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Setting {
    /// The address, or what makes it up.
    Url,
    /// What requests are signed with.
    Keys,
    /// Headers of the user's.
    Headers,
    /// Whether a request has a batch.
    Batches,
    /// Who may sign the server's certificate.
    CaFile,
    /// The certificate of the daemon.
    ClientCert,
    /// The key of that.
    ClientKey,
    /// The proxy.
    Proxy,
    /// What a known place is to be shown.
    ApiKey,
    /// Where a known place is.
    Region,
    /// Where logs go.
    LogsEndpoint,
    /// Where traces go.
    TracesEndpoint,
    /// Where metrics go.
    MetricsEndpoint,
    /// What is sent.
    Signals,
    /// Attributes of all resources.
    Resource,
    /// What the environment says.
    Environment,
}

/// What is wrong with a setting. The texts have no secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingError {
    /// Which one.
    pub setting: Setting,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Counts how often secrets are to be read anew: whoever has one of the same count raises it for all.
#[derive(Clone, Debug, Default)]
pub struct Reloads(Arc<AtomicU64>);

impl Reloads {
    /// Has secrets read before the next request.
    pub fn raise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a sink cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("cannot use the key in {place}: {reason}")]
    Key { place: String, reason: &'static str },
    #[error("cannot use the header {name}: {reason}")]
    Header { name: String, reason: &'static str },
    #[error("cannot use the proxy in {place}: {reason}")]
    Proxy { place: String, reason: &'static str },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How requests are made, whatever is in them and wherever they go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Headers that every request has; at most [`MAX_HEADERS`].
    pub headers: Vec<(String, Secret)>,
    /// Who may sign the server's certificate, in place of the system's authorities: a file of PEM.
    pub ca_file: Option<PathBuf>,
    /// What the daemon shows of itself: a file of PEM, the certificate first.
    pub client_cert: Option<PathBuf>,
    /// The key of that: a file of PEM.
    pub client_key: Option<PathBuf>,
    /// What connects to the server: the URL of a proxy, which may have credentials.
    pub proxy: Option<Secret>,
    /// How long the name may take, and then the connection with its TLS.
    pub connect_timeout: Duration,
    /// How long all of a request may take.
    pub timeout: Duration,
    /// Whether this computer and its link's neighbours are refused as a target.
    pub refuse_local: bool,
}

impl Default for Connection {
    fn default() -> Connection {
        Connection {
            headers: Vec::new(),
            ca_file: None,
            client_cert: None,
            client_key: None,
            proxy: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: DEFAULT_TIMEOUT,
            refuse_local: false,
        }
    }
}

impl Connection {
    /// Every secret that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.headers.iter().map(|it| &it.1).chain(&self.proxy)
    }

    /// What does not agree, with this address that `setting` says, and files that cannot be used. Secrets are not read.
    pub(crate) fn faults(&self, setting: Setting, url: &Target) -> Vec<SettingError> {
        let mut faults = Vec::new();
        let mut add = |is_wrong: bool, setting, message: &str, help: &str| {
            if is_wrong {
                let (message, help) = (message.to_owned(), help.to_owned());
                faults.push(SettingError { setting, message, help });
            }
        };
        let is_encrypted = url.is_encrypted();
        add(
            !is_encrypted && !url.is_loopback() && self.has_secrets(),
            setting,
            "the headers' secrets would go over the network for everybody to read",
            "use `https://`",
        );
        for (file, setting) in
            [(&self.ca_file, Setting::CaFile), (&self.client_cert, Setting::ClientCert)]
        {
            let message = "certificates are for addresses with `https://` alone";
            let help = "use one, or leave this out";
            add(!is_encrypted && file.is_some(), setting, message, help);
        }
        add(
            self.refuse_local && url.is_local(),
            setting,
            "this is a local address, and `refuse_local` is set",
            "use another address, or leave `refuse_local` out",
        );
        add(
            self.client_cert.is_some() != self.client_key.is_some(),
            if self.client_cert.is_some() { Setting::ClientCert } else { Setting::ClientKey },
            "a client's certificate and its key go together",
            "give both, `client_cert` and `client_key`; they may be one file",
        );
        add(
            self.refuse_local && self.proxy.is_some(),
            Setting::Proxy,
            "with a proxy, nobody here knows which address is connected to",
            "leave `refuse_local` out, and have the proxy refuse what is local",
        );
        add(
            self.proxy.is_some() && url.is_loopback(),
            Setting::Proxy,
            "the target is this computer, which no proxy is asked for",
            "remove the proxy, or name the computer as the proxy knows it",
        );
        add(
            self.headers.len() > MAX_HEADERS,
            Setting::Headers,
            "there are more than 32 headers",
            "remove some",
        );
        if let Some(Secret::Text(text)) = &self.proxy
            && let Err(reason) = proxy(text)
        {
            let help = "for instance `proxy = \"http://proxy.example.com:3128\"`";
            add(true, Setting::Proxy, reason, help);
        }
        for (name, _) in &self.headers {
            if let Err(reason) = header_name(name) {
                add(true, Setting::Headers, reason, "choose another name");
            }
        }
        faults.extend(client::file_fault(self));
        faults
    }

    /// Whether something goes along that others must not read.
    fn has_secrets(&self) -> bool {
        let is_secret =
            |(name, it): &(String, Secret)| !matches!(it, Secret::Text(_)) || is_credential(name);
        self.client_key.is_some() || self.headers.iter().any(is_secret)
    }

    /// The proxy, ready to be used. What was read is added to `texts`.
    pub(crate) fn read_proxy(
        &self,
        texts: &mut Vec<Zeroizing<String>>,
    ) -> Result<Option<ureq::Proxy>, SetupError> {
        let Some(secret) = &self.proxy else { return Ok(None) };
        let text = secret.read()?;
        let proxy = proxy(&text);
        texts.push(text);
        let failed = |reason| SetupError::Proxy { place: secret.to_string(), reason };
        proxy.map(Some).map_err(failed)
    }
}

/// Headers, ready to be sent. What was read is added to `texts`.
///
/// # Errors
///
/// If a secret cannot be read, or cannot be in a header.
pub(crate) fn read_headers(
    headers: &[(String, Secret)],
    texts: &mut Vec<Zeroizing<String>>,
) -> Result<Vec<(HeaderName, HeaderValue)>, SetupError> {
    let mut read = Vec::new();
    for (name, secret) in headers {
        let failed = |reason| SetupError::Header { name: name.clone(), reason };
        let text = secret.read()?;
        read.push((header_name(name).map_err(failed)?, header_value(&text).map_err(failed)?));
        texts.push(text);
    }
    Ok(read)
}

/// A header's value, which is not to be shown.
///
/// # Errors
///
/// Why it cannot be one.
pub(crate) fn header_value(text: &str) -> Result<HeaderValue, &'static str> {
    let value = Some(text).filter(|it| it.is_ascii());
    let value = value.and_then(|it| HeaderValue::from_str(it).ok());
    let mut value = value.ok_or("its value has other characters than ASCII's")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether a header's value is likely to be secret, by its name.
pub fn is_credential(header: &str) -> bool {
    let name = header.to_ascii_lowercase();
    let parts = ["auth", "cookie", "key", "token", "secret", "password"];
    parts.iter().any(|part| name.contains(part))
}

/// A header that a user may set.
///
/// # Errors
///
/// Why it may not be set.
pub(crate) fn header_name(name: &str) -> Result<HeaderName, &'static str> {
    /// What a request is made of.
    const OURS: [&str; 12] = [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "proxy-authorization",
        "hookring-replay",
    ];
    let known = HeaderName::try_from(name).map_err(|_| "this is not a header's name")?;
    let is_ours = OURS.contains(&known.as_str())
        || ["webhook-", "ce-"].iter().any(|start| known.as_str().starts_with(start));
    if is_ours { Err("this header is set by hookring") } else { Ok(known) }
}

/// A proxy that can be spoken to.
///
/// # Errors
///
/// Why it cannot.
pub(crate) fn proxy(url: &str) -> Result<ureq::Proxy, &'static str> {
    let proxy = ureq::Proxy::new(url).map_err(|_| "this is not the URL of a proxy")?;
    match proxy.protocol() {
        ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => Ok(proxy),
        _ => Err("only proxies of `http://` and `https://` can be used"),
    }
}
