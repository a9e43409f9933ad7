//! What a webhook sink can be told, and what of that cannot be.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue};

use super::client::{self, TlsError};
use super::sign::{KeyError, Keys};
use super::target::Target;
use crate::secret::{Secret, SecretError};

/// How long name, connection and TLS may each take by default.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may take by default.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Keys that a request is signed with at most: the new one and the old one.
pub const MAX_KEYS: usize = 2;
/// Headers of the user's at most.
pub const MAX_HEADERS: usize = 32;

/// What a receiver wants to read.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Format {
    /// `{"type", "timestamp", "data"}`, with an id and a signature in headers: Standard Webhooks 1.0.0.
    StandardWebhooks,
    /// CloudEvents 1.0.2 in the structured mode, or its batch format.
    CloudEvents,
    /// CloudEvents 1.0.2 in the binary mode: its attributes are headers. One event per request.
    CloudEventsBinary,
    /// The event as it is; a batch is an array.
    Json,
    /// A message that people read: `{"text"}`.
    Slack,
}

/// Where requests go, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookConfig {
    /// The address.
    pub url: Target,
    /// What the receiver wants to read.
    pub format: Format,
    /// Whether a request has a batch, or one event.
    pub batches: bool,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// What requests are signed with, the newest first; at most [`MAX_KEYS`].
    pub keys: Vec<Secret>,
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

impl WebhookConfig {
    /// Posts to `url` with the defaults.
    pub fn new(url: Target) -> WebhookConfig {
        WebhookConfig {
            url,
            format: Format::Json,
            batches: false,
            gzip: false,
            keys: Vec::new(),
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

    /// Everything that keeps these settings from being used: what does not agree, and files that cannot be
    /// used. Secrets are not read, and nothing is connected to.
    pub fn faults(&self) -> Vec<SettingError> {
        let mut faults = Vec::new();
        let mut add = |is_wrong: bool, setting, message: &str, help: &str| {
            if is_wrong {
                let (message, help) = (message.to_owned(), help.to_owned());
                faults.push(SettingError { setting, message, help });
            }
        };
        let is_signed = self.format == Format::StandardWebhooks;
        add(
            is_signed && self.keys.is_empty(),
            Setting::Keys,
            "this format is signed, and there is no secret to sign with",
            "add `secret = { env = \"NAME\" }`; it is `whsec_` and 24 to 64 bytes in base64",
        );
        add(
            !is_signed && !self.keys.is_empty(),
            Setting::Keys,
            "only the format \"standard-webhooks\" is signed",
            "choose that format, or remove the secret",
        );
        add(
            self.format == Format::CloudEventsBinary && self.batches,
            Setting::Batches,
            "a request in this format has one event",
            "leave it out, or choose `format = \"cloudevents\"`",
        );
        let is_open = !self.url.is_encrypted() && !self.url.is_loopback();
        let is_secret =
            |(name, it): &(String, Secret)| !matches!(it, Secret::Text(_)) || is_credential(name);
        let has_secrets = self.headers.iter().any(is_secret);
        add(
            is_open && (has_secrets || self.client_key.is_some()),
            Setting::Url,
            "the headers' secrets would go over the network for everybody to read",
            "use `https://`",
        );
        let is_tls = self.ca_file.is_some() || self.client_cert.is_some();
        add(
            !self.url.is_encrypted() && is_tls,
            Setting::Url,
            "certificates are for `https://` alone",
            "use that, or remove them",
        );
        add(
            self.client_cert.is_some() != self.client_key.is_some(),
            if self.client_cert.is_some() { Setting::ClientCert } else { Setting::ClientKey },
            "a client's certificate and its key go together",
            "give both, `client_cert` and `client_key`; they may be one file",
        );
        add(
            self.refuse_local && self.url.is_local(),
            Setting::Url,
            "this is a local address, and `refuse_local` is set",
            "use another address, or leave `refuse_local` out",
        );
        add(
            self.refuse_local && self.proxy.is_some(),
            Setting::Proxy,
            "with a proxy, nobody here knows which address is connected to",
            "leave `refuse_local` out, and have the proxy refuse what is local",
        );
        add(
            self.proxy.is_some() && self.url.is_loopback(),
            Setting::Proxy,
            "the target is this computer, which no proxy is asked for",
            "remove the proxy, or name the computer as the proxy knows it",
        );
        add(
            self.keys.len() > MAX_KEYS,
            Setting::Keys,
            "a request is signed with two keys at most",
            "keep the newest two",
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
            add(
                true,
                Setting::Proxy,
                reason,
                "for instance `proxy = \"http://proxy.example.com:3128\"`",
            );
        }
        for (name, _) in &self.headers {
            if let Err(reason) = header_name(name) {
                add(true, Setting::Headers, reason, "choose another name");
            }
        }
        faults.extend(client::file_fault(self));
        faults
    }
}

/// A setting that something is wrong with.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Setting {
    /// [`WebhookConfig::url`].
    Url,
    /// [`WebhookConfig::keys`].
    Keys,
    /// [`WebhookConfig::headers`].
    Headers,
    /// [`WebhookConfig::batches`].
    Batches,
    /// [`WebhookConfig::ca_file`].
    CaFile,
    /// [`WebhookConfig::client_cert`].
    ClientCert,
    /// [`WebhookConfig::client_key`].
    ClientKey,
    /// [`WebhookConfig::proxy`].
    Proxy,
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

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a sink cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("cannot sign with the secret in {place}")]
    Key { place: String, source: KeyError },
    #[error("cannot use the header {name}: {reason}")]
    Header { name: String, reason: &'static str },
    #[error("cannot use the proxy in {place}: {reason}")]
    Proxy { place: String, reason: &'static str },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What was read for requests to carry.
pub(super) struct Secrets {
    pub(super) keys: Keys,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) proxy: Option<ureq::Proxy>,
    /// All that was read, so that it is known whether it changed, and can be left out where it comes back.
    pub(super) texts: Vec<zeroize::Zeroizing<String>>,
}

impl Secrets {
    pub(super) fn read(config: &WebhookConfig) -> Result<Secrets, SetupError> {
        let mut texts = Vec::new();
        let mut keys = Vec::new();
        for secret in &config.keys {
            let text = secret.read()?;
            let key = Keys::parse([text.as_str()]);
            let place = || secret.to_string();
            keys.push(key.map_err(|source| SetupError::Key { place: place(), source })?);
            texts.push(text);
        }
        let mut headers = Vec::new();
        for (name, secret) in &config.headers {
            let failed = |reason| SetupError::Header { name: name.clone(), reason };
            let text = secret.read()?;
            let value = Some(&text).filter(|it| it.is_ascii());
            let value = value.and_then(|it| HeaderValue::from_str(it).ok());
            let mut value =
                value.ok_or_else(|| failed("its value has other characters than ASCII's"))?;
            value.set_sensitive(true);
            headers.push((header_name(name).map_err(failed)?, value));
            texts.push(text);
        }
        let proxy = match &config.proxy {
            Some(secret) => {
                let text = secret.read()?;
                let proxy = proxy(&text);
                let place = || secret.to_string();
                texts.push(text);
                Some(proxy.map_err(|reason| SetupError::Proxy { place: place(), reason })?)
            }
            None => None,
        };
        Ok(Secrets { keys: Keys::joined(keys), headers, proxy, texts })
    }
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
pub(super) fn header_name(name: &str) -> Result<HeaderName, &'static str> {
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
pub(super) fn proxy(url: &str) -> Result<ureq::Proxy, &'static str> {
    let proxy = ureq::Proxy::new(url).map_err(|_| "this is not the URL of a proxy")?;
    match proxy.protocol() {
        ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => Ok(proxy),
        _ => Err("only proxies of `http://` and `https://` can be used"),
    }
}
