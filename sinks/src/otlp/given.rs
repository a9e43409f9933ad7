//! What a person and the environment say of an otlp sink, made into its settings.
//!
//! What is said goes before what a preset has, that before the environment's `OTEL_EXPORTER_OTLP_*`, and that before
//! the defaults. The environment's headers and certificates go to the environment's endpoint alone: they are secrets
//! of whoever is there.

use std::time::Duration;

use zeroize::Zeroizing;

use super::answer::Signal;
use super::config::{Endpoint, OtlpConfig, Own, distinct};
use super::encode::Encoding;
use super::environment::{Env, Variable, Variables, variable};
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

impl Given {
    /// The settings. What only one place says is left at its default.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with what was given.
    pub fn settings(self, env: Env<'_>) -> Result<OtlpConfig, Vec<SettingError>> {
        let env = Variables(env);
        let mut faults = Vec::new();
        let places = self.places(&env);
        let usual = match self.preset {
            Some(preset) => preset.signals(),
            // Whoever says where logs and traces go, and no more, wants no metrics.
            None if places.is_one_by_one() && !places.own.contains(&Signal::Metrics) => {
                &Signal::OF_EVENTS
            }
            None => &Signal::ALL,
        };
        let signals = if self.signals.is_empty() { usual } else { &self.signals };
        let mut config = OtlpConfig::new(Vec::new());
        for signal in Signal::ALL.into_iter().filter(|it| signals.contains(it)) {
            let is_env = places.is_env;
            let own = if is_env { env.own(signal, &self, &mut faults) } else { Own::default() };
            match self.endpoint(signal, &places, &env) {
                Ok(endpoint) => config.endpoints.push(Endpoint { own, ..endpoint }),
                Err(error) => faults.push(error),
            }
        }
        // Whoever gave a wrong address forgot none.
        if faults.iter().any(|it: &SettingError| it.setting != Setting::Signals) {
            faults.retain(|it| it.setting != Setting::Signals);
        }
        self.check_signals(&mut faults);
        self.check_region(signals.iter().all(|it| places.own.contains(it)), &mut faults);
        self.add_key(&mut config, &mut faults);
        config.connection = self.connection;
        let headers = &mut config.connection.headers;
        for (name, value) in self.preset.iter().flat_map(|it| it.headers()) {
            if !headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name)) {
                let value = Secret::Text(Zeroizing::new((*value).to_owned()));
                headers.push(((*name).to_owned(), value));
            }
        }
        let named = self.service_name.filter(|it| !it.is_empty());
        config.service_name = named.or_else(|| env.get("OTEL_SERVICE_NAME"));
        config.resource = self.resource;
        for (name, value) in env.pairs("OTEL_RESOURCE_ATTRIBUTES", &mut faults) {
            // The name of the service has a variable of its own, which goes before this one.
            let is_said = name == "service.name" && config.service_name.is_some();
            if !is_said && !config.resource.iter().any(|it| it.0 == name) {
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
        if faults.is_empty() { Ok(config) } else { Err(distinct(faults)) }
    }

    /// Who says where signals go. Whoever says where to goes elsewhere than the environment.
    fn places(&self, env: &Variables<'_>) -> Places {
        let said: Vec<_> =
            Signal::ALL.into_iter().filter(|it| self.own_endpoint(*it).0.is_some()).collect();
        let is_general = self.preset.is_some() || self.endpoint.is_some();
        let is_env = said.is_empty() && !is_general;
        if !is_env {
            return Places { is_env, is_general, own: said };
        }
        let is_own = |it: &Signal| env.of(*it, "ENDPOINT").is_some_and(|it| it.is_own);
        Places {
            is_env,
            is_general: env.get(&variable(None, "ENDPOINT")).is_some(),
            own: Signal::ALL.into_iter().filter(is_own).collect(),
        }
    }

    /// Where a signal goes, as it is, and the setting that says so.
    fn own_endpoint(&self, signal: Signal) -> (&Option<String>, Setting) {
        match signal {
            Signal::Logs => (&self.logs_endpoint, Setting::LogsEndpoint),
            Signal::Traces => (&self.traces_endpoint, Setting::TracesEndpoint),
            Signal::Metrics => (&self.metrics_endpoint, Setting::MetricsEndpoint),
        }
    }

    /// What a known place does not take.
    fn check_signals(&self, faults: &mut Vec<SettingError>) {
        let Some(preset) = self.preset else { return };
        let taken = preset.signals();
        if let Some(signal) = self.signals.iter().find(|it| !taken.contains(it)) {
            let names: Vec<_> = taken.iter().map(|it| format!("{:?}", it.name())).collect();
            let message = format!("this place does not take {}", signal.name());
            let help = format!("leave `signals` out, or say `signals = [{}]`", names.join(", "));
            faults.push(fault(Setting::Signals, &message, &help));
        }
    }

    /// A region is where a known place is, for whoever does not say that otherwise. `has_own`: each signal has an
    /// address of its own.
    fn check_region(&self, has_own: bool, faults: &mut Vec<SettingError>) {
        let message = match (&self.region, self.preset, &self.endpoint) {
            (Some(_), Some(_), None) if has_own => "what is sent has addresses that say where to",
            (None, ..) | (Some(_), Some(_), None) => return,
            (Some(_), _, Some(_)) => "`endpoint` says where to already",
            (Some(_), None, None) => "no place is known whose region this is",
        };
        let help = "leave `region` out, or give a `preset` without an `endpoint`";
        faults.push(fault(Setting::Region, message, help));
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
            (None, Some(_)) => {
                let name = self.preset.map(Preset::name);
                let (message, help) = match name {
                    Some(name) => (format!("`{name}` takes no key"), "leave `api_key` out"),
                    None => {
                        let message = "nobody knows which header this key belongs in";
                        (message.to_owned(), "choose a `preset`")
                    }
                };
                let help = format!("{help}, or give it in `headers`");
                faults.push(fault(Setting::ApiKey, &message, &help));
            }
            _ => {}
        }
    }

    /// Where a signal goes.
    fn endpoint(
        &self,
        signal: Signal,
        places: &Places,
        env: &Variables<'_>,
    ) -> Result<Endpoint, SettingError> {
        if let (Some(own), setting) = self.own_endpoint(signal) {
            return endpoint(signal, own, setting);
        }
        if let Some(base) = &self.endpoint {
            let found = endpoint(signal, &below(base, signal, key)?, Setting::Url)?;
            let checked = self.preset.map_or(Ok(()), |it| it.check_endpoint(base));
            checked.map_err(|(message, help)| fault(Setting::Url, message, help))?;
            return Ok(found);
        }
        if let Some(preset) = self.preset {
            let base = preset.endpoint(self.region.as_deref());
            let base = base.map_err(|help| {
                let setting = if preset.has_regions() || self.region.is_some() {
                    Setting::Region
                } else {
                    Setting::Url
                };
                fault(setting, "it is not known where this place is", &help)
            })?;
            return endpoint(signal, &below(&base, signal, key)?, Setting::Region);
        }
        if !places.is_env {
            return Err(nobody_says(signal, key, ""));
        }
        let found = env.of(signal, "ENDPOINT");
        let (name, text) = match found {
            Some(Variable { name, text, is_own: true }) => (name, Ok(text)),
            Some(Variable { name, text, is_own: false }) => {
                (name, below(&text, signal, endpoint_variable))
            }
            None if places.is_one_by_one() => {
                let names: Vec<_> = places.own.iter().map(|it| it.name()).collect();
                let but =
                    format!(": the environment has an endpoint for {} alone", names.join(" and "));
                return Err(nobody_says(signal, endpoint_variable, &but));
            }
            None => (String::new(), below(DEFAULT_ENDPOINT, signal, endpoint_variable)),
        };
        let found = text.and_then(|text| endpoint(signal, &text, Setting::Environment));
        found.map_err(|error| {
            fault(Setting::Environment, &format!("{name}: {}", error.message), &error.help)
        })
    }
}

/// Who says where signals go: a person or the environment.
struct Places {
    is_env: bool,
    /// There is an address, or a known place, for all.
    is_general: bool,
    /// Those with an address of their own.
    own: Vec<Signal>,
}

impl Places {
    /// Nobody says where the others go.
    fn is_one_by_one(&self) -> bool {
        !self.is_general && !self.own.is_empty()
    }
}

/// How an endpoint is called, of one signal or of all.
type Naming = fn(Option<Signal>) -> String;

/// The key of the configuration.
fn key(signal: Option<Signal>) -> String {
    signal.map_or("endpoint".to_owned(), |it| format!("{}_endpoint", it.name()))
}

fn endpoint_variable(signal: Option<Signal>) -> String {
    variable(signal, "ENDPOINT")
}

fn nobody_says(signal: Signal, naming: Naming, but: &str) -> SettingError {
    let name = signal.name();
    let help = format!(
        "add `{}`, or `{}`, or leave `{name}` out of `signals`",
        naming(None),
        naming(Some(signal))
    );
    fault(Setting::Signals, &format!("nobody says where {name} go{but}"), &help)
}

pub(super) fn fault(setting: Setting, message: &str, help: &str) -> SettingError {
    SettingError { setting, message: message.to_owned(), help: help.to_owned() }
}

/// The signal's own address below a general one.
fn below(base: &str, signal: Signal, naming: Naming) -> Result<String, SettingError> {
    if base.contains('?') {
        let [logs, traces, metrics] = Signal::ALL.map(|it| naming(Some(it)));
        let help =
            format!("give it as `{logs}`, `{traces}` and `{metrics}`, which are used as they are");
        return Err(fault(Setting::Url, "nothing can be below an address with a query", &help));
    }
    let base = base.trim_end_matches('/');
    let path = |signal: Signal| format!("/v1/{}", signal.name());
    if let Some(own) = Signal::ALL.into_iter().find(|it| base.ends_with(&path(*it))) {
        let (name, path) = (own.name(), path(own));
        let message =
            format!("this is the address of {name} alone: `{path}` would stand in it twice");
        let help = format!(
            "leave `{path}` out, or give it as `{}`, which is used as it is",
            naming(Some(own))
        );
        return Err(fault(Setting::Url, &message, &help));
    }
    Ok(format!("{base}{}", path(signal)))
}

fn endpoint(signal: Signal, text: &str, setting: Setting) -> Result<Endpoint, SettingError> {
    let failed = |error: TargetError| {
        let example = "`https://otel.example.com:4318`";
        let help = error.help().replace("`url = \"https://example.com/events\"`", example);
        fault(setting, &error.to_string(), &help)
    };
    let url = Target::parse(text).map_err(failed)?;
    Ok(Endpoint { signal, url, setting, own: Own::default() })
}
