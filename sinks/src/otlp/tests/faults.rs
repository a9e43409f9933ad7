//! What settings are refused, and with which way out.

use zeroize::Zeroizing;

use super::super::answer::Signal;
use super::super::given::Given;
use super::super::preset::Preset;
use super::given::{PREFERENCE, key, langfuse, settings, some};
use crate::http::Setting;
use crate::secret::Secret;

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
            Given { logs_endpoint: some("https://a.test/x"), ..Given::default() },
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://b.test")],
            Setting::Signals,
            "where traces go",
        ),
        (
            Given { endpoint: some("https://a.test/x/v1/traces/"), ..Given::default() },
            &[],
            Setting::Url,
            "address of traces alone",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a.test/v1/logs")],
            Setting::Environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT: this is the address of logs alone",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_HEADERS", "x a=1")],
            Setting::Environment,
            "OTEL_EXPORTER_OTLP_HEADERS has a name or a value that no header can have",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-a=hunter2%0d%0Ax")],
            Setting::Environment,
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS has a name or a value that no header can have",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_HEADERS", "api-key: hunter2")],
            Setting::Environment,
            "OTEL_EXPORTER_OTLP_HEADERS has a part that is no `name=value`",
        ),
        (
            Given { endpoint: some("https://a.test"), ..Given::default() },
            &[("OTEL_RESOURCE_ATTRIBUTES", "team=core,=x")],
            Setting::Environment,
            "OTEL_RESOURCE_ATTRIBUTES has a part that is no `name=value`",
        ),
        (
            Given { endpoint: some("https://a.test"), region: some("eu"), ..Given::default() },
            &[],
            Setting::Region,
            "`endpoint` says where to already",
        ),
        (
            Given { traces_endpoint: some("https://a.test/x"), region: some("eu"), ..langfuse() },
            &[],
            Setting::Region,
            "has addresses that say where to",
        ),
        (
            Given { preset: Some(Preset::Elastic), api_key: key(), ..Given::default() },
            &[],
            Setting::Url,
            "not known where",
        ),
        (
            Given { region: some("eu"), ..Given::default() },
            &[],
            Setting::Region,
            "no place is known",
        ),
        (
            Given { signals: vec![Signal::Logs, Signal::Traces], ..langfuse() },
            &[],
            Setting::Signals,
            "does not take logs",
        ),
        (
            Given { endpoint: some("https://langfuse.a.test"), ..langfuse() },
            &[],
            Setting::Url,
            "below `/api/public/otel`",
        ),
        (
            Given { preset: Some(Preset::Datadog), region: some("eu"), ..langfuse() },
            &[],
            Setting::Region,
            "not known where",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            Setting::Environment,
            "grpc",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")],
            Setting::Environment,
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL is \"grpc\"",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "0")],
            Setting::Environment,
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT is \"0\"",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "here")],
            Setting::Environment,
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: ",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a.test/?k=v")],
            Setting::Environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT: nothing can be below",
        ),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_COMPRESSION", "zip")],
            Setting::Environment,
            "zip",
        ),
        (Given::default(), &[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")], Setting::Environment, "soon"),
        (
            Given::default(),
            &[("OTEL_EXPORTER_OTLP_TIMEOUT", "3600001")],
            Setting::Environment,
            "OTEL_EXPORTER_OTLP_TIMEOUT is \"3600001\"",
        ),
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
        let is_once = faults.len() == 1 || setting != Setting::Environment;
        assert!(is_once, "a variable of all signals is told of once: {faults:?}");
        assert!(faults[0].message.contains(word) && !faults[0].help.is_empty(), "{faults:?}");
    }
}

/// The way out is one that the place of the mistake has.
#[test]
fn the_way_out_is_named_as_it_stands_there() {
    let env = |name: &'static str, text: &'static str| (Given::default(), vec![(name, text)]);
    let given = |given: Given| (given, Vec::new());
    for ((given, env), message, help) in [
        (
            given(Given { preset: Some(Preset::Local), api_key: key(), ..Given::default() }),
            "`local` takes no key",
            "leave `api_key` out, or give it in `headers`",
        ),
        (
            given(Given { endpoint: some("https://a.test/v1/traces"), ..Given::default() }),
            "this is the address of traces alone",
            "or give it as `traces_endpoint`, which",
        ),
        (
            env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a.test/v1/traces"),
            "OTEL_EXPORTER_OTLP_ENDPOINT: this is the address of traces alone",
            "or give it as `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, which",
        ),
        (
            env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a.test/?k=v"),
            "OTEL_EXPORTER_OTLP_ENDPOINT: nothing can be below",
            "give it as `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` and",
        ),
        (
            env("OTEL_EXPORTER_OTLP_TIMEOUT", "99999999"),
            "OTEL_EXPORTER_OTLP_TIMEOUT is \"99999999\"",
            "from 1 to 3600000, which is an hour",
        ),
        (
            given(Given { preset: Some(Preset::Elastic), api_key: key(), ..Given::default() }),
            "it is not known where this place is",
            "give the `endpoint` that Elastic Cloud shows",
        ),
    ] {
        let faults = settings(given, &env).expect_err(message);
        assert!(faults[0].message.starts_with(message), "{faults:?}");
        assert!(faults[0].help.contains(help), "{faults:?}");
    }
}

/// A region says where what has no address of its own goes.
#[test]
fn a_region_beside_addresses_is_good_for_the_rest() {
    let given = |signals: &[Signal]| Given {
        preset: Some(Preset::Honeycomb),
        region: some("eu"),
        api_key: key(),
        logs_endpoint: some("https://a.test/x"),
        signals: signals.to_vec(),
        ..Given::default()
    };
    assert!(settings(given(&[]), &[]).is_ok());
    let faults = settings(given(&[Signal::Logs]), &[]).expect_err("it says nothing");
    assert_eq!(faults[0].setting, Setting::Region, "{faults:?}");
}
