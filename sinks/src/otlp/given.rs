//! What a person and the environment say of an otlp sink, made into its settings.
//!
//! What is said goes before what a preset has, that before the environment's `OTEL_EXPORTER_OTLP_*`, and that before
//! the defaults. The environment's headers and certificates go to the environment's endpoint alone: they are secrets
//! of whoever is there.
//!
//! Source: the OpenTelemetry specification, "OpenTelemetry Protocol Exporter", and "Environment Variable
//! Specification".

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::answer::Signal;
use super::config::{Endpoint, OtlpConfig};
use super::encode::Encoding;
use super::metrics::Temporality;
use super::preset::Preset;
use crate::http::{Connection, DEFAULT_TIMEOUT, Setting, SettingError, Target, TargetError};
use crate::secret::Secret;

/// Where a collector on this computer listens.
pub const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:4318";

/// The settings that others hang on, as far as they were said.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// A place that is known.
    pub preset: Option<Preset>,
    /// The region, zone or site of that.
    pub region: Option<String>,
    /// The key for it.
    pub api_key: Option<Secret>,
    /// Where all signals go, each to a path of its own below it.
    pub endpoint: Option<String>,
    /// Where logs go, as it is.
    pub logs_endpoint: Option<String>,
    /// Where traces go, as it is.
    pub traces_endpoint: Option<String>,
    /// Where metrics go, as it is.
    pub metrics_endpoint: Option<String>,
    /// What is sent; empty: all that the place takes.
    pub signals: Vec<Signal>,
    /// How requests are made, but for how long they may take.
    pub connection: Connection,
    /// How requests are written.
    pub encoding: Option<Encoding>,
    /// Whether bodies are compressed.
    pub gzip: Option<bool>,
    /// How long all of a request may take.
    pub timeout: Option<Duration>,
    /// `service.name`.
    pub service_name: Option<String>,
    /// More attributes of resources.
    pub resource: Vec<(String, String)>,
}

/// Looks a variable of the environment up.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

impl Given {
    /// The settings. What only one place says is left at its default.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with what was given.
    pub fn settings(self, env: Env<'_>) -> Result<OtlpConfig, Vec<SettingError>> {
        let env = Variables { env };
        let mut faults = Vec::new();
        // Whoever says where to goes elsewhere than the environment.
        let own = [&self.logs_endpoint, &self.traces_endpoint, &self.metrics_endpoint];
        let is_one_by_one = self.preset.is_none() && self.endpoint.is_none();
        let is_env = is_one_by_one && own.iter().all(|it| it.is_none());
        let usual = match self.preset {
            Some(preset) => preset.signals(),
            // Whoever says where logs and traces go, and no more, wants no metrics.
            None if is_one_by_one && !is_env && self.metrics_endpoint.is_none() => {
                &Signal::OF_EVENTS
            }
            None => &Signal::ALL,
        };
        let signals = if self.signals.is_empty() { usual } else { &self.signals };
        let mut config = OtlpConfig::new(Vec::new());
        for signal in Signal::ALL.into_iter().filter(|it| signals.contains(it)) {
            match self.endpoint(signal, is_env, &env) {
                Ok(endpoint) => config.endpoints.push(endpoint),
                Err(error) => faults.push(error),
            }
        }
        faults.dedup();
        // Whoever gave a wrong address forgot none.
        if faults.iter().any(|it: &SettingError| it.setting != Setting::Signals) {
            faults.retain(|it| it.setting != Setting::Signals);
        }
        self.add_key(&mut config, &mut faults);
        config.connection = self.connection;
        let headers = &mut config.connection.headers;
        for (name, value) in self.preset.iter().flat_map(|it| it.headers()) {
            if !headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name)) {
                let value = Secret::Text(Zeroizing::new((*value).to_owned()));
                headers.push(((*name).to_owned(), value));
            }
        }
        config.service_name = self.service_name.or_else(|| env.get("OTEL_SERVICE_NAME"));
        config.resource = self.resource;
        for (name, value) in env.pairs("OTEL_RESOURCE_ATTRIBUTES") {
            if !config.resource.iter().any(|it| it.0 == name) {
                config.resource.push((name, value.to_string()));
            }
        }
        (config.encoding, config.gzip) =
            (self.encoding.unwrap_or_default(), self.gzip.unwrap_or(true));
        config.connection.timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        config.temporality = match self.preset {
            Some(preset) if preset.temporality() != Temporality::Cumulative => preset.temporality(),
            _ => env.temporality(&mut faults),
        };
        if is_env {
            let (encoding, gzip, timeout) = (self.encoding, self.gzip, self.timeout);
            env.complete(&mut config, encoding, gzip, timeout, &mut faults);
        }
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    fn add_key(&self, config: &mut OtlpConfig, faults: &mut Vec<SettingError>) {
        let scheme = self.preset.and_then(Preset::scheme);
        match (scheme, &self.api_key) {
            (Some(scheme), Some(key)) => config.api_key = Some((scheme, key.clone())),
            (Some(_), None) if self.connection.headers.is_empty() => faults.push(fault(
                Setting::ApiKey,
                "this place wants a key",
                "add `api_key = { env = \"NAME\" }`, or give it in `headers`",
            )),
            (None, Some(_)) => faults.push(fault(
                Setting::ApiKey,
                "nobody knows which header this key belongs in",
                "choose a `preset`, or give it in `headers`",
            )),
            _ => {}
        }
    }

    /// Where a signal goes.
    fn endpoint(
        &self,
        signal: Signal,
        is_env: bool,
        env: &Variables<'_>,
    ) -> Result<Endpoint, SettingError> {
        let (own, setting) = match signal {
            Signal::Logs => (&self.logs_endpoint, Setting::LogsEndpoint),
            Signal::Traces => (&self.traces_endpoint, Setting::TracesEndpoint),
            Signal::Metrics => (&self.metrics_endpoint, Setting::MetricsEndpoint),
        };
        if let Some(own) = own {
            return endpoint(signal, own, setting, Vec::new());
        }
        if let Some(base) = &self.endpoint {
            return endpoint(signal, &below(base, signal)?, Setting::Url, Vec::new());
        }
        if let Some(preset) = self.preset {
            let base = preset.endpoint(self.region.as_deref());
            let base = base.map_err(|help| {
                fault(Setting::Region, "it is not known where this place is", &help)
            })?;
            return endpoint(signal, &below(&base, signal)?, Setting::Region, Vec::new());
        }
        if !is_env {
            let message = format!("nobody says where {} go", signal.name());
            let help = format!(
                "add `endpoint`, or `{0}_endpoint`, or leave `{0}` out of `signals`",
                signal.name()
            );
            return Err(fault(Setting::Signals, &message, &help));
        }
        let headers = env.headers(signal);
        if let Some(own) = env.of(signal, "ENDPOINT") {
            return endpoint(signal, &own, Setting::Environment, headers);
        }
        let base = env.general("ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let text = below(&base, signal)
            .map_err(|error| SettingError { setting: Setting::Environment, ..error })?;
        endpoint(signal, &text, Setting::Environment, headers)
    }
}

fn fault(setting: Setting, message: &str, help: &str) -> SettingError {
    SettingError { setting, message: message.to_owned(), help: help.to_owned() }
}

/// The signal's own address below a general one.
fn below(base: &str, signal: Signal) -> Result<String, SettingError> {
    if base.contains('?') {
        let help = "give it as `logs_endpoint`, `traces_endpoint` and `metrics_endpoint`, which are used as they are";
        return Err(fault(Setting::Url, "nothing can be below an address with a query", help));
    }
    Ok(format!("{}/v1/{}", base.trim_end_matches('/'), signal.name()))
}

fn endpoint(
    signal: Signal,
    text: &str,
    setting: Setting,
    headers: Vec<(String, Secret)>,
) -> Result<Endpoint, SettingError> {
    let parsed = Target::parse(text);
    let failed = |error: TargetError| match setting {
        Setting::Environment => {
            let name = format!("OTEL_EXPORTER_OTLP_ENDPOINT, or that of {}", signal.name());
            fault(setting, &format!("{name}: {error}"), error.help())
        }
        _ => {
            let help = error.help().replace(
                "`url = \"https://example.com/events\"`",
                "`https://otel.example.com:4318`",
            );
            fault(setting, &error.to_string(), &help)
        }
    };
    Ok(Endpoint { signal, url: parsed.map_err(failed)?, setting, headers })
}

/// The environment. An empty variable is none.
struct Variables<'e> {
    env: Env<'e>,
}

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.env)(name).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty())
    }

    fn general(&self, what: &str) -> Option<String> {
        self.get(&format!("OTEL_EXPORTER_OTLP_{what}"))
    }

    fn of(&self, signal: Signal, what: &str) -> Option<String> {
        self.get(&format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.name().to_ascii_uppercase()))
    }

    /// The signal's own, else the general ones.
    fn headers(&self, signal: Signal) -> Vec<(String, Secret)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_HEADERS", signal.name().to_ascii_uppercase());
        let name =
            if self.get(&own).is_some() { own } else { "OTEL_EXPORTER_OTLP_HEADERS".to_owned() };
        let pairs = self.pairs(&name).into_iter();
        pairs.map(|(name, value)| (name, Secret::Text(value))).collect()
    }

    /// What a receiver prefers. `lowmemory` is about sums that may fall, which there are none of, and delta for others.
    fn temporality(&self, faults: &mut Vec<SettingError>) -> Temporality {
        let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        let text = self.get(name).unwrap_or_default();
        match text.to_ascii_lowercase().as_str() {
            "" | "cumulative" => Temporality::Cumulative,
            "delta" | "lowmemory" => Temporality::Delta,
            _ => {
                let message = format!("{name} is {text:?}, which cannot be used");
                faults.push(fault(Setting::Environment, &message, "use `cumulative` or `delta`"));
                Temporality::Cumulative
            }
        }
    }

    /// `a=b,c=d`, with what is percent-encoded in values decoded. What is no pair is left out.
    fn pairs(&self, name: &str) -> Vec<(String, Zeroizing<String>)> {
        let text = Zeroizing::new(self.get(name).unwrap_or_default());
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), decoded(value.trim())));
        pairs.filter(|(name, _)| !name.is_empty()).collect()
    }

    /// What was not said otherwise.
    fn complete(
        &self,
        config: &mut OtlpConfig,
        encoding: Option<Encoding>,
        gzip: Option<bool>,
        timeout: Option<Duration>,
        faults: &mut Vec<SettingError>,
    ) {
        let mut wrong = |what: &str, text: &str, help: &str| {
            let message = format!("OTEL_EXPORTER_OTLP_{what} is {text:?}, which cannot be used");
            faults.push(fault(Setting::Environment, &message, help));
        };
        match self.general("PROTOCOL").as_deref().filter(|_| encoding.is_none()) {
            None | Some("http/protobuf") => {}
            Some("http/json") => config.encoding = Encoding::Json,
            Some(other) => wrong(
                "PROTOCOL",
                other,
                "OTLP is spoken over HTTP here: use `http/protobuf` or `http/json`, with the port for them, \
                 usually 4318; or say `encoding` and `endpoint`",
            ),
        }
        match self.general("COMPRESSION").as_deref().filter(|_| gzip.is_none()) {
            None | Some("gzip") => {}
            Some("none") => config.gzip = false,
            Some(other) => wrong("COMPRESSION", other, "use `gzip` or `none`"),
        }
        if let Some(text) = self.general("TIMEOUT").filter(|_| timeout.is_none()) {
            match text.parse::<u64>() {
                Ok(ms @ 1..) => {
                    config.connection.timeout = Duration::from_millis(ms.min(3_600_000));
                }
                _ => wrong("TIMEOUT", &text, "it is a number of milliseconds"),
            }
        }
        let path = |what| self.general(what).map(PathBuf::from);
        let Connection { ca_file, client_cert, client_key, .. } = &mut config.connection;
        *ca_file = ca_file.take().or_else(|| path("CERTIFICATE"));
        *client_cert = client_cert.take().or_else(|| path("CLIENT_CERTIFICATE"));
        *client_key = client_key.take().or_else(|| path("CLIENT_KEY"));
    }
}

/// A text with its `%20`s decoded. What is no such escape stays.
fn decoded(text: &str) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|it| char::from(*it).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())
}
