//! What an otlp sink can be told, and what of that cannot be.

use std::time::Duration;

use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue};

use super::answer::Signal;
use super::encode::{Encoding, Resources};
use super::metrics::Temporality;
use super::preset::Scheme;
use super::signals::{DEFAULT_SPAN_TIMEOUT, Making};
use crate::http::{
    Connection, Made, Setting, SettingError, SetupError, Target, client, header_value, read_headers,
};
use crate::secret::Secret;

/// Attributes of all resources at most.
pub const MAX_RESOURCE_ATTRIBUTES: usize = 32;
/// How often the daemon's metrics are sent by default.
pub const DEFAULT_METRICS_INTERVAL: Duration = Duration::from_secs(60);

/// Where requests go, and what is in them. [`super::Given`] makes one of what a person and the environment say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtlpConfig {
    /// Each signal that is sent, and where to; at least one, in the order of [`Signal::ALL`].
    pub endpoints: Vec<Endpoint>,
    /// What goes into a header as the place wants it.
    pub api_key: Option<(Scheme, Secret)>,
    /// How requests are made.
    pub connection: Connection,
    /// How requests are written.
    pub encoding: Encoding,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// Whether what people and tools said goes along.
    pub has_content: bool,
    /// `service.name` of all resources; `None`: the agent's name.
    pub service_name: Option<String>,
    /// More attributes of all resources; at most [`MAX_RESOURCE_ATTRIBUTES`].
    pub resource: Vec<(String, String)>,
    /// How long a session may be silent before its spans are ended.
    pub span_timeout: Duration,
    /// How long it is from one request with metrics to the next.
    pub metrics_interval: Duration,
    /// From when on metrics count.
    pub temporality: Temporality,
}

/// Where a signal goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// What is sent.
    pub signal: Signal,
    /// The whole address.
    pub url: Target,
    /// The setting that says so.
    pub setting: Setting,
    /// Headers that only these requests have.
    pub headers: Vec<(String, Secret)>,
}

impl OtlpConfig {
    /// Sends to these endpoints with the defaults.
    pub fn new(endpoints: Vec<Endpoint>) -> OtlpConfig {
        OtlpConfig {
            endpoints,
            api_key: None,
            connection: Connection::default(),
            encoding: Encoding::Protobuf,
            gzip: true,
            has_content: false,
            service_name: None,
            resource: Vec::new(),
            span_timeout: DEFAULT_SPAN_TIMEOUT,
            metrics_interval: DEFAULT_METRICS_INTERVAL,
            temporality: Temporality::Cumulative,
        }
    }

    /// Everything that keeps these settings from being used: what does not agree, and files that cannot be
    /// used. Secrets are not read, and nothing is connected to.
    pub fn faults(&self) -> Vec<SettingError> {
        let each = self.endpoints.iter();
        let mut faults: Vec<_> =
            each.flat_map(|it| self.connection_of(it).faults(it.setting, &it.url)).collect();
        let is_open = |it: &&Endpoint| !it.url.is_encrypted() && !it.url.is_loopback();
        if self.api_key.is_some()
            && let Some(open) = self.endpoints.iter().find(is_open)
        {
            faults.push(SettingError {
                setting: open.setting,
                message: "the key would go over the network for everybody to read".to_owned(),
                help: "use `https://`".to_owned(),
            });
        }
        if self.resource.len() > MAX_RESOURCE_ATTRIBUTES {
            faults.push(SettingError {
                setting: Setting::Resource,
                message: format!("there are more than {MAX_RESOURCE_ATTRIBUTES} attributes"),
                help: "remove some".to_owned(),
            });
        }
        // Two endpoints of one address are one mistake.
        let mut seen = Vec::new();
        faults.retain(|it| {
            let is_new = !seen.contains(it);
            seen.push(it.clone());
            is_new
        });
        faults
    }

    /// Every secret that the settings name.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let own = self.endpoints.iter().flat_map(|it| &it.headers);
        let key = self.api_key.iter();
        key.map(|it| &it.1).chain(self.connection.secrets()).chain(own.map(|it| &it.1))
    }

    /// How an endpoint's requests are made.
    pub(super) fn connection_of(&self, endpoint: &Endpoint) -> Connection {
        let mut connection = self.connection.clone();
        let own = &endpoint.headers;
        let is_own = |name: &str| own.iter().any(|it| it.0.eq_ignore_ascii_case(name));
        connection.headers.retain(|it| !is_own(&it.0));
        connection.headers.extend_from_slice(own);
        connection
    }

    /// Whether metrics are wanted.
    pub(super) fn has_metrics(&self) -> bool {
        self.endpoints.iter().any(|it| it.signal == Signal::Metrics)
    }

    pub(super) fn making(&self) -> Making {
        let signals = self.endpoints.iter().map(|it| it.signal);
        Making {
            signals: signals.filter(|it| Signal::OF_EVENTS.contains(it)).collect(),
            encoding: self.encoding,
            has_content: self.has_content,
            resources: Resources {
                service_name: self.service_name.clone(),
                attributes: self.resource.clone(),
            },
            span_timeout: self.span_timeout,
        }
    }
}

/// What requests are made with.
pub(super) struct Carried {
    pub(super) agent: Agent,
    /// Of each endpoint's requests.
    pub(super) headers: Vec<Vec<(HeaderName, HeaderValue)>>,
}

impl Carried {
    /// Reads all secrets.
    pub(super) fn make(config: &OtlpConfig) -> Made<Carried, SetupError> {
        let mut texts = Vec::new();
        let mut common = read_headers(&config.connection.headers, &mut texts)?;
        if let Some((scheme, secret)) = &config.api_key {
            let text = secret.read()?;
            let (name, value) = scheme.header(&text);
            texts.push(text);
            let failed = |reason| SetupError::Header { name: name.to_string(), reason };
            common.push((name.clone(), header_value(&value).map_err(failed)?));
            // It may come back as it was sent.
            texts.push(value);
        }
        let mut headers = Vec::new();
        for endpoint in &config.endpoints {
            let own = read_headers(&endpoint.headers, &mut texts)?;
            let is_general = |it: &&(HeaderName, _)| !own.iter().any(|(name, _)| *name == it.0);
            headers.push(common.iter().filter(is_general).cloned().chain(own.clone()).collect());
        }
        let proxy = config.connection.read_proxy(&mut texts)?;
        let agent = client::agent(&config.connection, proxy)?;
        Ok((Carried { agent, headers }, texts))
    }
}
