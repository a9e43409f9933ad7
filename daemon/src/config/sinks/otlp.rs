//! `type = "otlp"`: events, and the daemon's metrics, go to whatever takes OpenTelemetry's protocol.

use hookring_sinks::Secret;
use hookring_sinks::otlp::{Encoding, Given, OtlpConfig, Preset, Signal};
use hookring_sinks::webhook::{Setting, SettingError};

use super::connection::connection;
use super::{Context, Kind, SinkKind, SinkStart};
use crate::config::names::closest;
use crate::config::reader::Section;
use crate::config::schema::ms;
use crate::config::units::{DAY_MS, HOUR_MS, SECOND_MS};

/// A receiver is to have what happens from when it is set up.
pub(super) const KIND: Kind = Kind {
    name: "otlp",
    start: SinkStart::Now,
    keys: &[
        "preset",
        "region",
        "api_key",
        "endpoint",
        "logs_endpoint",
        "traces_endpoint",
        "metrics_endpoint",
        "signals",
        "encoding",
        "compression",
        "headers",
        "content",
        "service_name",
        "resource",
        "span_timeout",
        "metrics_interval",
        "timeout",
        "connect_timeout",
        "ca_file",
        "client_cert",
        "client_key",
        "proxy",
        "refuse_local",
    ],
    read: |section, _: Context<'_>| SinkKind::Otlp(Box::new(read(section))),
};

/// The variables that are asked for keys that are not there. Each but the last two has others beside it, of one signal.
const VARIABLES: [(&str, &str); 13] = [
    ("endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("logs_endpoint", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"),
    ("traces_endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ("metrics_endpoint", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
    ("headers", "OTEL_EXPORTER_OTLP_HEADERS"),
    ("encoding", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ("compression", "OTEL_EXPORTER_OTLP_COMPRESSION"),
    ("timeout", "OTEL_EXPORTER_OTLP_TIMEOUT"),
    ("ca_file", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
    ("client_cert", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
    ("client_key", "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
    ("service_name", "OTEL_SERVICE_NAME"),
    ("resource", "OTEL_RESOURCE_ATTRIBUTES"),
];
/// The keys that have the environment asked for nothing but what the resource is.
const PLACES: [&str; 5] =
    ["preset", "endpoint", "logs_endpoint", "traces_endpoint", "metrics_endpoint"];
/// Where gRPC is spoken, usually.
const GRPC_PORT: u16 = 4317;

fn read(section: &mut Section<'_, '_>) -> OtlpConfig {
    let given = given(section);
    let is_env = !PLACES.iter().any(|key| section.has(key));
    let is_asked = |name: &str| is_env || !name.starts_with("OTEL_EXPORTER_OTLP_");
    for (key, variable) in VARIABLES.into_iter().filter(|it| is_asked(it.1)) {
        section.asks(key, variable);
    }
    check_key(section, &given);
    // What is wrong with a key that is there was told.
    let is_key_there = section.has("api_key") && given.api_key.is_none()
        || section.has("headers") && given.connection.headers.is_empty();
    let env = |name: &str| section.env(name);
    let found = given.settings(&env);
    let is_found = found.is_ok();
    let mut config = found.unwrap_or_else(|mut faults| {
        faults.retain(|it| !(is_key_there && it.setting == Setting::ApiKey));
        fail(section, faults);
        // The rest is looked at as if it was this one.
        OtlpConfig::new(Vec::new())
    });
    let second = ms(SECOND_MS);
    config.has_content = section.boolean("content", false);
    config.span_timeout =
        section.duration("span_timeout", config.span_timeout, second..=ms(30 * DAY_MS));
    config.metrics_interval =
        section.duration("metrics_interval", config.metrics_interval, second..=ms(HOUR_MS));
    if is_found {
        fail(section, config.faults());
    }
    if let Some(grpc) = config.endpoints.iter().find(|it| it.url.port() == Some(GRPC_PORT)) {
        section.doubt(
            key_of(grpc.setting),
            "port 4317 is usually for gRPC, which is not spoken; OTLP over HTTP usually has 4318",
        );
    }
    let is_open =
        config.endpoints.iter().find(|it| !it.url.is_encrypted() && !it.url.is_loopback());
    if let Some(open) = is_open {
        section.doubt(
            key_of(open.setting),
            "events go over the network for everybody to read; `https://` hides them",
        );
    }
    config
}

/// Says at once what the sink would say when it opens: of what a program has to say, only that can be known.
fn check_key(section: &mut Section<'_, '_>, given: &Given) {
    let scheme = given.preset.and_then(Preset::scheme);
    let (Some(scheme), Some(key)) = (scheme, &given.api_key) else { return };
    if let Some(Err(reason)) = section.try_secret(key, |key| scheme.check(key)) {
        section.fail("api_key", reason.to_owned(), None);
    }
}

/// What other settings hang on. What is not there is for a known place or the environment to say.
fn given(section: &mut Section<'_, '_>) -> Given {
    let preset = if section.has("preset") {
        section.choice("preset", None, &Preset::ALL)
    } else {
        section.optional_text("preset");
        None
    };
    let encodings = [("protobuf", Encoding::Protobuf), ("json", Encoding::Json)];
    let encoding = section.choice("encoding", Some(Encoding::Protobuf), &encodings);
    let compressions = [("gzip", true), ("none", false)];
    let gzip = section.choice("compression", Some(true), &compressions);
    let connection = connection(section);
    Given {
        preset,
        region: section.optional_text("region"),
        api_key: section.secret("api_key"),
        endpoint: address(section, "endpoint"),
        logs_endpoint: address(section, "logs_endpoint"),
        traces_endpoint: address(section, "traces_endpoint"),
        metrics_endpoint: address(section, "metrics_endpoint"),
        signals: signals(section),
        encoding: encoding.filter(|_| section.has("encoding")),
        gzip: gzip.filter(|_| section.has("compression")),
        timeout: Some(connection.timeout).filter(|_| section.has("timeout")),
        service_name: section.optional_text("service_name"),
        resource: resource(section),
        connection,
    }
}

/// What it leads to may have credentials in it, which no error is to quote.
fn address(section: &mut Section<'_, '_>, key: &'static str) -> Option<String> {
    let text = section.optional_text(key);
    if text.as_ref().is_some_and(|it| it.contains('@')) {
        section.hide_value(key);
    }
    text
}

fn signals(section: &mut Section<'_, '_>) -> Vec<Signal> {
    let list = section.texts("signals", "[\"logs\", \"traces\", \"metrics\"]");
    let mut signals = Vec::new();
    for (at, text) in list.texts.iter().enumerate() {
        match Signal::ALL.into_iter().find(|it| it.name() == text) {
            Some(signal) => signals.push(signal),
            None => {
                let message = "this must be one of \"logs\", \"traces\", \"metrics\"".to_owned();
                let meant = closest(text, &Signal::ALL.map(Signal::name));
                let help = meant.map(|it| format!("did you mean \"{it}\"?"));
                section.fail_element("signals", (&list, at), message, help);
            }
        }
    }
    signals
}

fn resource(section: &mut Section<'_, '_>) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    for (name, value) in section.secrets("resource", |_| true) {
        match value {
            Secret::Text(text) => attributes.push((name, text.to_string())),
            _ => section.fail(
                "resource",
                format!("`{name}` must be a text: it is in every request"),
                Some(
                    "for instance `resource = { \"deployment.environment.name\" = \"test\" }`"
                        .to_owned(),
                ),
            ),
        }
    }
    attributes
}

fn fail(section: &mut Section<'_, '_>, faults: Vec<SettingError>) {
    for SettingError { setting, message, help } in faults {
        let key = key_of(setting);
        if section.is_known(key) {
            section.fail(key, message, Some(help));
        }
    }
}

fn key_of(setting: Setting) -> &'static str {
    match setting {
        Setting::ApiKey => "api_key",
        Setting::Region => "region",
        Setting::LogsEndpoint => "logs_endpoint",
        Setting::TracesEndpoint => "traces_endpoint",
        Setting::MetricsEndpoint => "metrics_endpoint",
        Setting::Signals => "signals",
        Setting::Resource => "resource",
        Setting::Headers => "headers",
        Setting::CaFile => "ca_file",
        Setting::ClientCert => "client_cert",
        Setting::ClientKey => "client_key",
        Setting::Proxy => "proxy",
        // The environment speaks of the endpoint; the others are of other sinks.
        Setting::Url | Setting::Environment | Setting::Keys | Setting::Batches => "endpoint",
    }
}
