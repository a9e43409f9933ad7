//! What a webhook sink can be told, and what of that cannot be.

use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue};

use super::sign::{KeyError, Keys};
use crate::http::{self, Connection, Made, Setting, SettingError, Target, client};
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
    /// How requests are made.
    pub connection: Connection,
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
            connection: Connection::default(),
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
        faults.extend(self.connection.faults(Setting::Url, &self.url));
        faults
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

/// What requests are made with.
pub(super) struct Carried {
    pub(super) agent: Agent,
    pub(super) keys: Keys,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Carried {
    /// Reads all secrets.
    pub(super) fn make(config: &WebhookConfig) -> Made<Carried, SetupError> {
        let mut texts = Vec::new();
        let mut keys = Vec::new();
        for secret in &config.keys {
            let text = secret.read().map_err(http::SetupError::from)?;
            let key = Keys::parse([text.as_str()]);
            let place = || secret.to_string();
            keys.push(key.map_err(|source| SetupError::Key { place: place(), source })?);
            texts.push(text);
        }
        let headers = http::read_headers(&config.connection.headers, &mut texts)?;
        let proxy = config.connection.read_proxy(&mut texts)?;
        let agent = client::agent(&config.connection, proxy).map_err(http::SetupError::from)?;
        Ok((Carried { agent, keys: Keys::joined(keys), headers }, texts))
    }
}
