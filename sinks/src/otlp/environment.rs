//! What the environment says of OTLP: its variables `OTEL_EXPORTER_OTLP_*`, each for all signals or for one, which goes
//! before that.
//!
//! Source: the OpenTelemetry specification, "OpenTelemetry Protocol Exporter", and "Environment Variable
//! Specification".

use std::path::PathBuf;
use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::answer::Signal;
use super::config::{NamedFile, Own, share};
use super::encode::Encoding;
use super::given::{Given, fault};
use super::metrics::Temporality;
use crate::http::{Setting, SettingError};
use crate::secret::Secret;

/// Looks a variable of the environment up.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// A variable may let a request take so long at most, in milliseconds.
const MAX_TIMEOUT_MS: u64 = 3_600_000;

const PAIRS_HELP: &str =
    "it is `name=value,name=value`, with `%20` for a space in a value, `%2C` for a comma";

/// The environment. An empty variable is none.
pub(super) struct Variables<'e>(pub(super) Env<'e>);

/// A variable that is set.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) text: String,
    /// It is of one signal.
    pub(super) is_own: bool,
}

/// The name of a variable, of one signal or of all.
pub(super) fn variable(signal: Option<Signal>, what: &str) -> String {
    let of = signal.map_or(String::new(), |it| format!("{}_", it.name().to_ascii_uppercase()));
    format!("OTEL_EXPORTER_OTLP_{of}{what}")
}

impl Variables<'_> {
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty())
    }

    /// The signal's own variable, else that of all.
    pub(super) fn of(&self, signal: Signal, what: &str) -> Option<Variable> {
        let names = [(variable(Some(signal), what), true), (variable(None, what), false)];
        names.into_iter().find_map(|(name, is_own)| {
            let text = self.get(&name)?;
            Some(Variable { name, text, is_own })
        })
    }

    /// What it says of a signal's requests, and nobody else does.
    pub(super) fn own(&self, signal: Signal, given: &Given, faults: &mut Vec<SettingError>) -> Own {
        let headers = self.headers(signal, &given.connection.headers, faults);
        let file = |what, said: &Option<PathBuf>| {
            let found = self.of(signal, what).filter(|_| said.is_none());
            found.map(|it| NamedFile { path: PathBuf::from(it.text), variable: it.name })
        };
        let speak = "OTLP is spoken over HTTP here: use `http/protobuf` or `http/json`, with the port for them, \
                     usually 4318; or say `encoding` and `endpoint`";
        let pack = "use `gzip` or `none`";
        let is_own_limit = self.of(signal, "TIMEOUT").is_some_and(|it| it.is_own);
        let count = "it is a number of milliseconds, from 1 to 3600000, which is an hour";
        Own {
            headers,
            encoding: match given.encoding {
                None => self.read(signal, "PROTOCOL", speak, faults, protocol),
                Some(_) => None,
            },
            gzip: match given.gzip {
                None => self.read(signal, "COMPRESSION", pack, faults, compression),
                Some(_) => None,
            },
            timeout: match given.timeout {
                None => {
                    let found = self.read(signal, "TIMEOUT", count, faults, timeout);
                    found.map(|it| if is_own_limit { it } else { share(signal, it) })
                }
                Some(_) => None,
            },
            ca_file: file("CERTIFICATE", &given.connection.ca_file),
            client_cert: file("CLIENT_CERTIFICATE", &given.connection.client_cert),
            client_key: file("CLIENT_KEY", &given.connection.client_key),
        }
    }

    /// The headers that nobody `said` otherwise. What they hold is not shown: it may be a key.
    fn headers(
        &self,
        signal: Signal,
        said: &[(String, Secret)],
        faults: &mut Vec<SettingError>,
    ) -> Vec<(String, Secret)> {
        let Some(Variable { name: variable, text, .. }) = self.of(signal, "HEADERS") else {
            return Vec::new();
        };
        let mut headers = Vec::new();
        for (name, value) in pairs_or_faults(&variable, Zeroizing::new(text), faults) {
            let is_header = HeaderName::try_from(&name).is_ok();
            if !is_header || HeaderValue::from_str(&value).is_err() {
                let message = format!("{variable} has a name or a value that no header can have");
                faults.push(fault(Setting::Environment, &message, PAIRS_HELP));
            } else if !said.iter().any(|it| it.0.eq_ignore_ascii_case(&name)) {
                headers.push((name, Secret::Text(value)));
            }
        }
        headers
    }

    /// What a signal's variable means; a fault with this help if it means nothing.
    fn read<T>(
        &self,
        signal: Signal,
        what: &str,
        help: &str,
        faults: &mut Vec<SettingError>,
        take: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let Variable { name, text, .. } = self.of(signal, what)?;
        let taken = take(&text);
        if taken.is_none() {
            faults.push(unusable(&name, &text, help));
        }
        taken
    }

    /// What a receiver prefers. `lowmemory` is about sums that may fall, which there are none of, and delta for others.
    pub(super) fn temporality(&self, faults: &mut Vec<SettingError>) -> Temporality {
        let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        let text = self.get(name).unwrap_or_default();
        match text.to_ascii_lowercase().as_str() {
            "" | "cumulative" => Temporality::Cumulative,
            "delta" | "lowmemory" => Temporality::Delta,
            _ => {
                faults.push(unusable(name, &text, "use `cumulative` or `delta`"));
                Temporality::Cumulative
            }
        }
    }

    /// The pairs of a variable.
    pub(super) fn pairs(
        &self,
        name: &str,
        faults: &mut Vec<SettingError>,
    ) -> Vec<(String, Zeroizing<String>)> {
        pairs_or_faults(name, Zeroizing::new(self.get(name).unwrap_or_default()), faults)
    }
}

/// The pairs of the text of a variable, which is not shown: it may hold a key.
fn pairs_or_faults(
    variable: &str,
    text: Zeroizing<String>,
    faults: &mut Vec<SettingError>,
) -> Vec<(String, Zeroizing<String>)> {
    pairs(&text).unwrap_or_else(|NotAPair| {
        let message = format!("{variable} has a part that is no `name=value`");
        faults.push(fault(Setting::Environment, &message, PAIRS_HELP));
        Vec::new()
    })
}

fn unusable(name: &str, text: &str, help: &str) -> SettingError {
    let message = format!("{name} is {text:?}, which cannot be used");
    fault(Setting::Environment, &message, help)
}

fn protocol(text: &str) -> Option<Encoding> {
    match text {
        "http/protobuf" => Some(Encoding::Protobuf),
        "http/json" => Some(Encoding::Json),
        _ => None,
    }
}

fn compression(text: &str) -> Option<bool> {
    match text {
        "gzip" => Some(true),
        "none" => Some(false),
        _ => None,
    }
}

fn timeout(text: &str) -> Option<Duration> {
    let ms = text.parse().ok().filter(|ms| (1..=MAX_TIMEOUT_MS).contains(ms))?;
    Some(Duration::from_millis(ms))
}

/// Something between two commas that is no name with a value.
struct NotAPair;

/// `a=b,c=d`, with what is percent-encoded decoded. A comma may stand at the end.
fn pairs(text: &str) -> Result<Vec<(String, Zeroizing<String>)>, NotAPair> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').ok_or(NotAPair)?;
        let name = decoded(name.trim());
        if name.is_empty() {
            return Err(NotAPair);
        }
        Ok((name.to_string(), decoded(value.trim())))
    };
    parts.map(pair).collect()
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
