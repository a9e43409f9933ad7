//! What an otlp sink can be told, and what of that cannot be.

use std::path::PathBuf;
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

/// A request with metrics may take this part of what another may: events wait for it meanwhile.
pub const METRICS_SHARE: u32 = 6;
/// It may take so long even if that is more; never longer than another.
pub const METRICS_LEAST_TIMEOUT: Duration = Duration::from_secs(1);

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
    /// What only these requests have.
    pub own: Own,
}

/// What a signal's requests have in place of what all have: the environment can say it for each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Own {
    /// Headers beside those of all; one of the same name goes before.
    pub headers: Vec<(String, Secret)>,
    /// How they are written.
    pub encoding: Option<Encoding>,
    /// Whether bodies are compressed.
    pub gzip: Option<bool>,
    /// How long all of a request may take; `None`: as [`OtlpConfig::connection`] says, for metrics a
    /// [part](METRICS_SHARE) of that.
    pub timeout: Option<Duration>,
    /// See [`Connection::ca_file`].
    pub ca_file: Option<NamedFile>,
    /// See [`Connection::client_cert`].
    pub client_cert: Option<NamedFile>,
    /// See [`Connection::client_key`].
    pub client_key: Option<NamedFile>,
}

/// A file that a variable of the environment names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedFile {
    /// Its path.
    pub path: PathBuf,
    /// The variable.
    pub variable: String,
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
        let mut faults = Vec::new();
        for endpoint in &self.endpoints {
            let found = self.connection_of(endpoint).faults(endpoint.setting, &endpoint.url);
            faults.extend(found.into_iter().map(|it| endpoint.own.named(it)));
        }
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
        if self.resource.iter().any(|(name, _)| name.is_empty()) {
            faults.push(SettingError {
                setting: Setting::Resource,
                message: "an attribute has no name".to_owned(),
                help: "give it one, or leave it out".to_owned(),
            });
        }
        distinct(faults)
    }

    /// Where each signal goes and how it is written, such as `logs and traces to https://otel.example.com:4318 as
    /// protobuf, gzip`. Of addresses only what is no secret.
    pub fn destinations(&self) -> String {
        let mut destinations: Vec<(String, Vec<&str>)> = Vec::new();
        for endpoint in &self.endpoints {
            let encoding = match self.encoding_of(endpoint) {
                Encoding::Protobuf => "protobuf",
                Encoding::Json => "JSON",
            };
            let packing = if self.is_gzip(endpoint) { "gzip" } else { "not compressed" };
            let to = format!("to {} as {encoding}, {packing}", endpoint.url);
            let signal = endpoint.signal.name();
            match destinations.iter_mut().find(|it| it.0 == to) {
                Some((_, signals)) => signals.push(signal),
                None => destinations.push((to, vec![signal])),
            }
        }
        let words = destinations.iter().map(|(to, signals)| {
            let (last, others) = signals.split_last().unwrap_or((&"", &[]));
            let and = if others.is_empty() { "" } else { " and " };
            format!("{}{and}{last} {to}", others.join(", "))
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// Every secret that the settings name.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let own = self.endpoints.iter().flat_map(|it| &it.own.headers);
        let key = self.api_key.iter();
        key.map(|it| &it.1).chain(self.connection.secrets()).chain(own.map(|it| &it.1))
    }

    /// How an endpoint's requests are made.
    pub(super) fn connection_of(&self, endpoint: &Endpoint) -> Connection {
        let (mut connection, own) = (self.connection.clone(), &endpoint.own);
        let is_own = |name: &str| own.headers.iter().any(|it| it.0.eq_ignore_ascii_case(name));
        connection.headers.retain(|it| !is_own(&it.0));
        connection.headers.extend_from_slice(&own.headers);
        let of_all = share(endpoint.signal, connection.timeout);
        connection.timeout = own.timeout.unwrap_or(of_all);
        let path = |own: &Option<NamedFile>| own.as_ref().map(|it| it.path.clone());
        connection.ca_file = path(&own.ca_file).or(connection.ca_file);
        connection.client_cert = path(&own.client_cert).or(connection.client_cert);
        connection.client_key = path(&own.client_key).or(connection.client_key);
        connection
    }

    /// How an endpoint's requests are written.
    pub(super) fn encoding_of(&self, endpoint: &Endpoint) -> Encoding {
        endpoint.own.encoding.unwrap_or(self.encoding)
    }

    /// Whether an endpoint's bodies are compressed.
    pub(super) fn is_gzip(&self, endpoint: &Endpoint) -> bool {
        endpoint.own.gzip.unwrap_or(self.gzip)
    }

    /// Where a signal goes, if it is sent, and which endpoint that is.
    pub(super) fn endpoint(&self, signal: Signal) -> Option<(usize, &Endpoint)> {
        self.endpoints.iter().enumerate().find(|it| it.1.signal == signal)
    }

    pub(super) fn making(&self) -> Making {
        let of_events = |it: &&Endpoint| Signal::OF_EVENTS.contains(&it.signal);
        let endpoints = self.endpoints.iter().filter(of_events);
        Making {
            signals: endpoints.map(|it| (it.signal, self.encoding_of(it))).collect(),
            has_content: self.has_content,
            resources: self.resources(),
            span_timeout: self.span_timeout,
        }
    }

    pub(super) fn resources(&self) -> Resources {
        Resources { service_name: self.service_name.clone(), attributes: self.resource.clone() }
    }
}

impl Own {
    /// What is wrong with a file that a variable names is told by that.
    fn named(&self, fault: SettingError) -> SettingError {
        let file = match fault.setting {
            Setting::CaFile => &self.ca_file,
            Setting::ClientCert => &self.client_cert,
            Setting::ClientKey => &self.client_key,
            _ => &None,
        };
        let Some(NamedFile { variable, .. }) = file else { return fault };
        let message = format!("{variable}: {}", fault.message);
        SettingError { setting: Setting::Environment, message, ..fault }
    }
}

/// How long a request of a signal may take where those of all may take `timeout`.
pub(super) fn share(signal: Signal, timeout: Duration) -> Duration {
    match signal {
        Signal::Logs | Signal::Traces => timeout,
        Signal::Metrics => (timeout / METRICS_SHARE).max(METRICS_LEAST_TIMEOUT).min(timeout),
    }
}

/// What is wrong with several endpoints in the same way is one mistake.
pub(super) fn distinct(mut faults: Vec<SettingError>) -> Vec<SettingError> {
    let mut seen = Vec::new();
    faults.retain(|it| {
        let is_new = !seen.contains(it);
        seen.push(it.clone());
        is_new
    });
    faults
}

/// What each endpoint's requests are made with, in their order.
pub(super) struct Carried(pub(super) Vec<Client>);

/// The same of one endpoint.
pub(super) struct Client {
    pub(super) agent: Agent,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Carried {
    /// Reads all secrets.
    pub(super) fn make(config: &OtlpConfig) -> Made<Carried, SetupError> {
        let mut texts = Vec::new();
        let mut common = read_headers(&config.connection.headers, &mut texts)?;
        if let Some((scheme, secret)) = &config.api_key {
            let text = secret.read()?;
            let unusable = |reason| SetupError::Key { place: secret.to_string(), reason };
            scheme.check(&text).map_err(unusable)?;
            let (name, value) = scheme.header(&text);
            texts.push(text);
            let failed = |reason| SetupError::Header { name: name.to_string(), reason };
            common.push((name.clone(), header_value(&value).map_err(failed)?));
            // It may come back as it was sent.
            texts.push(value);
        }
        let proxy = config.connection.read_proxy(&mut texts)?;
        // Whoever connects in the same way shares a client, and so a connection.
        let mut agents: Vec<(Connection, Agent)> = Vec::new();
        let mut clients = Vec::new();
        for endpoint in &config.endpoints {
            let own = read_headers(&endpoint.own.headers, &mut texts)?;
            let is_general = |it: &&(HeaderName, _)| !own.iter().any(|(name, _)| *name == it.0);
            let headers = common.iter().filter(is_general).cloned().chain(own.clone()).collect();
            let connection = Connection { headers: Vec::new(), ..config.connection_of(endpoint) };
            let agent = match agents.iter().find(|it| it.0 == connection) {
                Some((_, agent)) => agent.clone(),
                None => client::agent(&connection, proxy.clone())?,
            };
            agents.push((connection, agent.clone()));
            clients.push(Client { agent, headers });
        }
        Ok((Carried(clients), texts))
    }
}
