//! What an otlp sink can be told, and what of that cannot be.

use std::path::PathBuf;
use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::answer::Signal;
use super::encode::{Encoding, Resources};
use super::metrics::Temporality;
use super::preset::Scheme;
use super::signals::{DEFAULT_SPAN_TIMEOUT, Making};
use crate::http::{
    Connection, DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, Setting, SettingError, SetupError,
    Target, header_value,
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
    /// Headers that every request has.
    pub headers: Vec<(String, Secret)>,
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
            headers: Vec::new(),
            encoding: Encoding::Protobuf,
            gzip: true,
            has_content: false,
            service_name: None,
            resource: Vec::new(),
            span_timeout: DEFAULT_SPAN_TIMEOUT,
            metrics_interval: DEFAULT_METRICS_INTERVAL,
            temporality: Temporality::Cumulative,
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
        let urls: Vec<_> = self.endpoints.iter().map(|it| (it.setting, &it.url)).collect();
        let headers: Vec<_> = self.all_headers().cloned().collect();
        let mut faults = self.connection(&headers).faults(&urls);
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
        let key = self.api_key.iter().map(|it| &it.1);
        key.chain(self.all_headers().map(|it| &it.1)).chain(&self.proxy)
    }

    fn all_headers(&self) -> impl Iterator<Item = &(String, Secret)> {
        self.headers.iter().chain(self.endpoints.iter().flat_map(|it| &it.headers))
    }

    pub(super) fn connection<'c>(&'c self, headers: &'c [(String, Secret)]) -> Connection<'c> {
        Connection {
            headers,
            ca_file: self.ca_file.as_deref(),
            client_cert: self.client_cert.as_deref(),
            client_key: self.client_key.as_deref(),
            proxy: self.proxy.as_ref(),
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            refuse_local: self.refuse_local,
        }
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

/// What was read for requests to carry.
pub(super) struct Secrets {
    /// Of each endpoint's requests.
    pub(super) headers: Vec<Vec<(HeaderName, HeaderValue)>>,
    pub(super) proxy: Option<ureq::Proxy>,
    /// All that was read, so that it is known whether it changed, and can be left out where it comes back.
    pub(super) texts: Vec<Zeroizing<String>>,
}

impl Secrets {
    pub(super) fn read(config: &OtlpConfig) -> Result<Secrets, SetupError> {
        let mut texts = Vec::new();
        let mut common = config.connection(&config.headers).read_headers(&mut texts)?;
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
            let own = config.connection(&endpoint.headers).read_headers(&mut texts)?;
            let is_general = |it: &&(HeaderName, _)| !own.iter().any(|(name, _)| *name == it.0);
            headers.push(common.iter().filter(is_general).cloned().chain(own.clone()).collect());
        }
        let proxy = config.connection(&[]).read_proxy(&mut texts)?;
        Ok(Secrets { headers, proxy, texts })
    }
}
