//! What settings become of what a person, a known place and the environment say.

use std::collections::HashMap;
use std::path::Path;

use zeroize::Zeroizing;

use super::super::answer::Signal;
use super::super::config::OtlpConfig;
use super::super::encode::Encoding;
use super::super::given::Given;
use super::super::metrics::Temporality;
use super::super::preset::{Preset, Scheme};
use super::*;
use crate::http::{Setting, SettingError};
use crate::secret::Secret;

const PREFERENCE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

fn settings(given: Given, env: &[(&str, &str)]) -> Result<OtlpConfig, Vec<SettingError>> {
    let env: HashMap<&str, &str> = env.iter().copied().collect();
    given.settings(&|name| env.get(name).map(|it| (*it).to_owned()))
}

fn good(given: Given, env: &[(&str, &str)]) -> OtlpConfig {
    let config = settings(given, env).expect("good settings");
    assert_eq!(config.faults(), []);
    config
}

fn urls(config: &OtlpConfig) -> Vec<String> {
    config.endpoints.iter().map(|it| it.url.uri().to_string()).collect()
}

fn key() -> Option<Secret> {
    Some(Secret::Env("KEY".to_owned()))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn without_anything_it_is_the_collector_of_this_computer() {
    let config = good(Given::default(), &[]);
    assert_eq!(
        urls(&config),
        ["logs", "traces", "metrics"].map(|it| format!("http://127.0.0.1:4318/v1/{it}"))
    );
    assert_eq!(config.temporality, Temporality::Cumulative);
    assert_eq!(
        (config.encoding, config.gzip, config.has_content),
        (Encoding::Protobuf, true, false)
    );
}

#[test]
fn the_environment_is_listened_to() {
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example.com:4318/base/"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example.com"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=c%2"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_SERVICE_NAME", "agents"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=core%2Cweb,deployment.environment.name=test"),
    ];
    let config = good(Given::default(), &env);
    assert_eq!(
        urls(&config),
        [
            "https://otel.example.com:4318/base/v1/logs",
            "https://traces.example.com/",
            "https://otel.example.com:4318/base/v1/metrics"
        ]
    );
    let headers = |at: usize| -> Vec<(&str, String)> {
        let headers = config.endpoints[at].headers.iter();
        headers.map(|(name, it)| (&**name, it.read().expect("a text").to_string())).collect()
    };
    assert_eq!(headers(0), [("api-key", "a b".to_owned()), ("x", "1".to_owned())]);
    assert_eq!(headers(1), [("api-key", "c%2".to_owned())]);
    assert_eq!((config.encoding, config.gzip), (Encoding::Json, false));
    assert_eq!(config.connection.timeout, Duration::from_millis(1500));
    assert_eq!(config.service_name.as_deref(), Some("agents"));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        config.resource,
        [pair("team", "core,web"), pair("deployment.environment.name", "test")]
    );
}

#[test]
fn what_a_person_says_goes_first() {
    let env = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_SERVICE_NAME", "agents"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=core"),
    ];
    let given = Given {
        encoding: Some(Encoding::Protobuf),
        gzip: Some(true),
        timeout: Some(Duration::from_secs(9)),
        service_name: some("mine"),
        resource: vec![("team".to_owned(), "web".to_owned())],
        signals: vec![Signal::Traces],
        ..Given::default()
    };
    let config = good(given, &env);
    assert_eq!(urls(&config), ["http://127.0.0.1:4318/v1/traces"]);
    assert_eq!((config.encoding, config.gzip), (Encoding::Protobuf, true));
    assert_eq!(config.connection.timeout, Duration::from_secs(9));
    assert_eq!(config.service_name.as_deref(), Some("mine"));
    assert_eq!(config.resource, [("team".to_owned(), "web".to_owned())]);
}

#[test]
fn metrics_have_a_place_and_a_temporality_of_their_own() {
    let env = [
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://metrics.example.com/x"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "api-key=a"),
        (PREFERENCE, "Delta"),
    ];
    let config = good(Given::default(), &env);
    assert_eq!(urls(&config)[2], "https://metrics.example.com/x");
    let headers = config.endpoints.iter().map(|it| it.headers.len());
    assert_eq!(headers.collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(config.temporality, Temporality::Delta);
    // Without a place for them there are none, unless somebody wants them.
    let own = || Given {
        logs_endpoint: some("https://a.test/logs"),
        traces_endpoint: some("https://a.test/traces"),
        ..Given::default()
    };
    assert_eq!(urls(&good(own(), &[])), ["https://a.test/logs", "https://a.test/traces"]);
    let wanted = Given { signals: vec![Signal::Logs, Signal::Metrics], ..own() };
    let faults = settings(wanted, &[]).expect_err("nobody says where");
    assert!(faults[0].message.contains("where metrics go"), "{faults:?}");
    let with_place = Given { metrics_endpoint: some("https://a.test/metrics"), ..own() };
    assert_eq!(urls(&good(with_place, &[]))[2], "https://a.test/metrics");
    let alone = Given {
        metrics_endpoint: some("https://a.test/metrics"),
        signals: vec![Signal::Metrics],
        ..Given::default()
    };
    assert_eq!(urls(&good(alone, &[])), ["https://a.test/metrics"]);
}

/// They are secrets of whoever is at the environment's endpoint.
#[test]
fn the_environments_headers_go_to_its_own_endpoint_alone() {
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://env.example.com"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file"),
    ];
    let endpoint = Given { endpoint: some("https://own.example.com"), ..Given::default() };
    let preset = Given { preset: Some(Preset::NewRelic), api_key: key(), ..Given::default() };
    for given in [endpoint, preset] {
        let config = good(given, &env);
        assert!(config.endpoints.iter().all(|it| it.headers.is_empty()));
        assert_eq!(config.connection.ca_file, None);
    }
    let config = settings(Given::default(), &env).expect("settings");
    assert_eq!(config.connection.ca_file.as_deref(), Some(Path::new("/no/such/file")));
    assert_eq!(config.endpoints[0].headers.len(), 1);
}

#[test]
fn a_known_place_has_its_address_key_and_signals() {
    let given = |preset, region: Option<&str>| Given {
        preset: Some(preset),
        region: region.map(str::to_owned),
        api_key: key(),
        ..Given::default()
    };
    let config = good(given(Preset::Datadog, Some("us5.datadoghq.com")), &[]);
    assert_eq!(
        urls(&config),
        ["logs", "traces", "metrics"].map(|it| format!("https://otlp.us5.datadoghq.com/v1/{it}"))
    );
    assert_eq!(config.temporality, Temporality::Delta);
    assert_eq!(config.api_key.as_ref().map(|it| it.0), Some(Scheme::Header("dd-api-key")));
    let config = good(given(Preset::Langfuse, None), &[]);
    assert_eq!(urls(&config), ["https://cloud.langfuse.com/api/public/otel/v1/traces"]);
    assert_eq!(config.connection.headers[0].0, "x-langfuse-ingestion-version");
    let config = good(
        Given {
            endpoint: some("https://my.ingest.us-east-1.aws.elastic.cloud:443"),
            ..given(Preset::Elastic, None)
        },
        &[],
    );
    assert_eq!(urls(&config)[0], "https://my.ingest.us-east-1.aws.elastic.cloud:443/v1/logs");
    assert_eq!(config.api_key.map(|it| it.0), Some(Scheme::ApiKey));
}

#[test]
fn what_is_wrong_is_told_with_a_way_out() {
    let text = |text: &str| Some(Secret::Text(Zeroizing::new(text.to_owned())));
    for (given, env, setting, word) in [
        (
            Given { preset: Some(Preset::Honeycomb), ..Given::default() },
            &[][..],
            Setting::ApiKey,
            "wants a key",
        ),
        (Given { api_key: text("k"), ..Given::default() }, &[], Setting::ApiKey, "which header"),
        (
            Given { preset: Some(Preset::Grafana), api_key: key(), ..Given::default() },
            &[],
            Setting::Region,
            "not known where",
        ),
        (Given { endpoint: some("collector:4318"), ..Given::default() }, &[], Setting::Url, ""),
        (
            Given { endpoint: some("https://a.test/?k=v"), ..Given::default() },
            &[],
            Setting::Url,
            "query",
        ),
        (Given { logs_endpoint: some("x"), ..Given::default() }, &[], Setting::LogsEndpoint, ""),
        (
            Given { logs_endpoint: some("https://a.test/x"), ..Given::default() },
            &[],
            Setting::Signals,
            "traces",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            Setting::Environment,
            "grpc",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_COMPRESSION", "zip")],
            Setting::Environment,
            "zip",
        ),
        (Given::default(), &[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")], Setting::Environment, "soon"),
        (
            Given { metrics_endpoint: some("https://a.test/x"), ..Given::default() },
            &[],
            Setting::Signals,
            "logs",
        ),
        (Given::default(), &[(PREFERENCE, "both")], Setting::Environment, "both"),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "here")],
            Setting::Environment,
            "ENDPOINT",
        ),
    ] {
        let shown = format!("{given:?} {env:?}");
        let faults = settings(given, env).expect_err(&shown);
        assert_eq!(faults[0].setting, setting, "{shown}: {faults:?}");
        assert!(faults[0].message.contains(word) && !faults[0].help.is_empty(), "{faults:?}");
    }
}
