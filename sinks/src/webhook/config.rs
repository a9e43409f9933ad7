//! What a webhook sink can be told, and what of that cannot be.

use std::path::PathBuf;
use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue};

use super::sign::{KeyError, Keys};
use crate::http::{
    self, Connection, DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, Setting, SettingError, Target,
};
use crate::secret::Secret;

/// Keys that a request is signed with at most: the new one and the old one.
pub const MAX_KEYS: usize = 2;

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
    /// Headers that every request has; at most [`MAX_HEADERS`](super::MAX_HEADERS).
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
        add(
            self.keys.len() > MAX_KEYS,
            Setting::Keys,
            "a request is signed with two keys at most",
            "keep the newest two",
        );
        faults.extend(self.connection().faults(&[(Setting::Url, &self.url)]));
        faults
    }

    /// What is the same for whatever speaks HTTP.
    pub(super) fn connection(&self) -> Connection<'_> {
        Connection {
            headers: &self.headers,
            ca_file: self.ca_file.as_deref(),
            client_cert: self.client_cert.as_deref(),
            client_key: self.client_key.as_deref(),
            proxy: self.proxy.as_ref(),
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            refuse_local: self.refuse_local,
        }
    }
}

/// Why a sink cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("cannot sign with the secret in {place}")]
    Key { place: String, source: KeyError },
    #[error(transparent)]
    Http(#[from] http::SetupError),
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
            let text = secret.read().map_err(http::SetupError::from)?;
            let key = Keys::parse([text.as_str()]);
            let place = || secret.to_string();
            keys.push(key.map_err(|source| SetupError::Key { place: place(), source })?);
            texts.push(text);
        }
        let connection = config.connection();
        let headers = connection.read_headers(&mut texts)?;
        let proxy = connection.read_proxy(&mut texts)?;
        Ok(Secrets { keys: Keys::joined(keys), headers, proxy, texts })
    }
}
