//! What settings become of what a person, a known place and the environment say.

use std::collections::HashMap;
use std::path::Path;

use super::super::answer::Signal;
use super::super::config::{Endpoint, OtlpConfig, Own};
use super::super::encode::Encoding;
use super::super::given::Given;
use super::super::metrics::Temporality;
use super::super::preset::{Preset, Scheme};
use super::*;
use crate::http::{Connection, Setting, SettingError};
use crate::secret::Secret;

pub(super) const PREFERENCE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

pub(super) fn settings(
    given: Given,
    env: &[(&str, &str)],
) -> Result<OtlpConfig, Vec<SettingError>> {
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

pub(super) fn key() -> Option<Secret> {
    Some(Secret::Env("KEY".to_owned()))
}

pub(super) fn some(text: &str) -> Option<String> {
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
        ("OTEL_RESOURCE_ATTRIBUTES", "team=core%2Cweb,deployment%2Eenvironment.name=test"),
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
        let headers = config.endpoints[at].own.headers.iter();
        headers.map(|(name, it)| (&**name, it.read().expect("a text").to_string())).collect()
    };
    assert_eq!(headers(0), [("api-key", "a b".to_owned()), ("x", "1".to_owned())]);
    assert_eq!(headers(1), [("api-key", "c%2".to_owned())]);
    for endpoint in &config.endpoints {
        assert_eq!(
            (config.encoding_of(endpoint), config.is_gzip(endpoint)),
            (Encoding::Json, false)
        );
        let ms = if endpoint.signal == Signal::Metrics { 1000 } else { 1500 };
        assert_eq!(config.connection_of(endpoint).timeout, Duration::from_millis(ms));
    }
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
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=a"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
        ("OTEL_SERVICE_NAME", "agents"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=core,service.name=theirs,"),
    ];
    let headers = vec![("Api-Key".to_owned(), Secret::Env("KEY".to_owned()))];
    let given = Given {
        connection: Connection { headers, ..Connection::default() },
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
    assert_eq!(config.endpoints[0].own, Own::default());
    assert_eq!((config.encoding, config.gzip), (Encoding::Protobuf, true));
    assert_eq!(config.connection.timeout, Duration::from_secs(9));
    assert_eq!(config.service_name.as_deref(), Some("mine"));
    assert_eq!(config.resource, [("team".to_owned(), "web".to_owned())]);
}

#[test]
fn metrics_have_a_place_and_a_temporality_of_their_own() {
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example.com"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://metrics.example.com/x"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "api-key=a"),
        (PREFERENCE, "Delta"),
    ];
    let config = good(Given::default(), &env);
    assert_eq!(urls(&config)[2], "https://metrics.example.com/x");
    let headers = config.endpoints.iter().map(|it| it.own.headers.len());
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

/// Whoever names places for some signals did not forget that there is a collector on this computer.
#[test]
fn where_the_environment_names_one_place_the_rest_goes_to_no_default() {
    let variable = |signal: &str| format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
    let found = |signals: &[Signal], named: &[&str]| -> Result<_, Vec<SettingError>> {
        let named: Vec<_> = named.iter().map(|it| variable(it)).collect();
        let env: Vec<_> = named.iter().map(|it| (&**it, "https://a.test/x")).collect();
        let config = settings(Given { signals: signals.to_vec(), ..Given::default() }, &env)?;
        Ok(config.endpoints.iter().map(|it| it.signal).collect::<Vec<_>>())
    };
    assert_eq!(found(&[], &["LOGS", "TRACES"]), Ok(Signal::OF_EVENTS.to_vec()));
    assert_eq!(found(&[], &["LOGS", "TRACES", "METRICS"]), Ok(Signal::ALL.to_vec()));
    assert_eq!(found(&[Signal::Traces], &["TRACES"]), Ok(vec![Signal::Traces]));
    for (signals, named, missing) in [
        (&[][..], &["TRACES"][..], &["logs"][..]),
        (&[], &["LOGS"], &["traces"]),
        (&[], &["METRICS"], &["logs", "traces"]),
        (&Signal::ALL, &["LOGS", "TRACES"], &["metrics"]),
        (&[Signal::Logs], &["TRACES"], &["logs"]),
    ] {
        let faults = found(signals, named).expect_err("nobody says where");
        let told = |name: &&str| {
            let help = format!(
                "add `OTEL_EXPORTER_OTLP_ENDPOINT`, or `{}`, or leave `{name}` out of `signals`",
                variable(&name.to_ascii_uppercase())
            );
            let named = named.join(" and ").to_ascii_lowercase();
            let message = format!(
                "nobody says where {name} go: the environment has an endpoint for {named} alone"
            );
            SettingError { setting: Setting::Signals, message, help }
        };
        assert_eq!(faults, missing.iter().map(told).collect::<Vec<_>>());
    }
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a.test");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://b.test/x");
    let config = good(Given::default(), &[general, own]);
    assert_eq!(
        urls(&config),
        ["https://a.test/v1/logs", "https://b.test/x", "https://a.test/v1/metrics"]
    );
}

/// The variable of one signal goes before that of all, which then may be anything.
#[test]
fn each_signal_listens_to_variables_of_its_own() {
    let env = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7000"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "60000"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "3600000"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/cert.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/key.pem"),
    ];
    let config = settings(Given::default(), &env).expect("settings");
    let of = |at: usize| {
        let endpoint: &Endpoint = &config.endpoints[at];
        let seconds = config.connection_of(endpoint).timeout.as_secs();
        (config.encoding_of(endpoint), config.is_gzip(endpoint), seconds)
    };
    assert_eq!(of(0), (Encoding::Protobuf, false, 60));
    assert_eq!(of(1), (Encoding::Json, false, 7));
    assert_eq!(of(2), (Encoding::Protobuf, true, 3600));
    let files = |at: usize| {
        let Connection { ca_file, client_cert, client_key, .. } =
            config.connection_of(&config.endpoints[at]);
        [ca_file, client_cert, client_key].map(|it| it.unwrap_or_default().display().to_string())
    };
    assert_eq!(files(0), ["/all.pem", "", ""]);
    assert_eq!(files(1), ["/traces.pem", "/cert.pem", "/key.pem"]);
    assert_eq!(files(2), ["/all.pem", "", ""]);
    let connection = Connection { ca_file: Some("/mine.pem".into()), ..Connection::default() };
    let mine = settings(Given { connection, ..Given::default() }, &env).expect("settings");
    assert!(mine.endpoints.iter().all(|it| it.own.ca_file.is_none()));
}

#[test]
fn a_file_that_cannot_be_used_is_told_with_its_variable() {
    let (good, bad) = ("https://otel.example.com", "/no/such/file");
    let faults = |env: &[(&str, &str)]| {
        let env: Vec<_> =
            env.iter().copied().chain([("OTEL_EXPORTER_OTLP_ENDPOINT", good)]).collect();
        let faults = settings(Given::default(), &env).expect("settings").faults();
        let [fault] = &faults[..] else { panic!("one fault: {faults:?}") };
        assert_eq!(fault.setting, Setting::Environment);
        fault.message.clone()
    };
    for variable in ["OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE"] {
        let said = faults(&[(variable, bad)]);
        assert!(said.starts_with(&format!("{variable}: cannot read /no/such/file")), "{said}");
    }
    let env = [("OTEL_EXPORTER_OTLP_CERTIFICATE", bad)];
    let plain = settings(Given::default(), &env).expect("settings").faults();
    let is_told = |it: &SettingError| {
        it.message.starts_with("OTEL_EXPORTER_OTLP_CERTIFICATE: certificates are for addresses")
    };
    assert!(plain.iter().any(is_told), "{plain:?}");
    for name in ["CLIENT_CERTIFICATE", "CLIENT_KEY"] {
        let variable = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
        let said = faults(&[(&variable, bad)]);
        assert!(said.starts_with(&format!("{variable}: ")) && said.contains("together"), "{said}");
    }
}

#[test]
fn where_signals_go_is_said_without_what_may_be_secret() {
    assert_eq!(
        good(Given::default(), &[]).destinations(),
        "logs, traces and metrics to http://127.0.0.1:4318 as protobuf, gzip"
    );
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example.com/hunter2"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://b.test:4318/x?key=hunter2"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
    ];
    assert_eq!(
        good(Given::default(), &env).destinations(),
        "logs and traces to https://otel.example.com as protobuf, gzip; metrics to https://b.test:4318 as JSON, not \
         compressed"
    );
}

/// Events wait for them.
#[test]
fn metrics_may_take_a_part_of_what_others_may_unless_they_have_a_limit_of_their_own() {
    let seconds = |timeout: Option<u64>, env: &[(&str, &str)]| {
        let config =
            good(Given { timeout: timeout.map(Duration::from_secs), ..Given::default() }, env);
        config
            .endpoints
            .iter()
            .map(|it| config.connection_of(it).timeout.as_secs())
            .collect::<Vec<_>>()
    };
    let general = ("OTEL_EXPORTER_OTLP_TIMEOUT", "12000");
    let own = ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "20000");
    assert_eq!(seconds(None, &[]), [30, 30, 5]);
    assert_eq!(seconds(Some(3600), &[]), [3600, 3600, 600]);
    assert_eq!(seconds(Some(3), &[]), [3, 3, 1]);
    assert_eq!(seconds(Some(1), &[]), [1, 1, 1]);
    assert_eq!(seconds(None, &[general]), [12, 12, 2]);
    assert_eq!(seconds(None, &[general, own]), [12, 12, 20]);
    assert_eq!(seconds(Some(60), &[general, own]), [60, 60, 10]);
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
        assert!(config.endpoints.iter().all(|it| it.own == Own::default()));
        assert_eq!(config.connection, Connection::default());
    }
    let config = settings(Given::default(), &env).expect("settings");
    let connection = config.connection_of(&config.endpoints[0]);
    assert_eq!(connection.ca_file.as_deref(), Some(Path::new("/no/such/file")));
    assert_eq!(config.endpoints[0].own.headers.len(), 1);
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

pub(super) fn langfuse() -> Given {
    Given { preset: Some(Preset::Langfuse), api_key: key(), ..Given::default() }
}

#[test]
fn a_langfuse_of_ones_own_has_an_address_of_its_own() {
    for (given, url) in [
        (
            Given { endpoint: some("https://a.test/api/public/otel/"), ..langfuse() },
            "https://a.test/api/public/otel/v1/traces",
        ),
        (Given { traces_endpoint: some("https://a.test/x"), ..langfuse() }, "https://a.test/x"),
    ] {
        assert_eq!(urls(&good(given, &[])), [url]);
    }
}
