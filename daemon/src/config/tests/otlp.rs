//! `type = "otlp"`: what is read, shown and refused.

use hookring_sinks::otlp::{Encoding, OtlpConfig, Scheme, Signal};
use hookring_sinks::{OtlpSink, Secret};

use super::*;

fn otlp(text: &str) -> OtlpConfig {
    let config = parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    match config.sinks.into_iter().next().map(|sink| sink.kind) {
        Some(SinkKind::Otlp(otlp)) => *otlp,
        other => panic!("{other:?}"),
    }
}

fn with(lines: &str) -> String {
    format!("[sinks.apm]\ntype = \"otlp\"\n{lines}\n")
}

#[test]
fn without_a_key_it_goes_to_the_collector_of_this_computer() {
    let config = otlp(&with(""));
    let urls: Vec<_> = config.endpoints.iter().map(|it| it.url.to_string()).collect();
    assert_eq!(urls, ["http://127.0.0.1:4318"; 3]);
    assert!(!config.has_content && config.gzip);
    // It can be made of it.
    drop(OtlpSink::new(config, Default::default()));
}

#[test]
fn every_key_is_read_and_shown_as_it_is() {
    let text = with(
        "preset = \"honeycomb\"\nregion = \"eu\"\napi_key = { env = \"SECRET\" }\nsignals = [\"traces\"]\n\
         encoding = \"json\"\ncompression = \"none\"\ncontent = true\nservice_name = \"agents\"\n\
         resource = { \"deployment.environment.name\" = \"test\" }\nspan_timeout = \"2h\"\nmetrics_interval = \"20s\"\ntimeout = \"5s\"\n\
         connect_timeout = \"2s\"\nheaders = { X-From = \"ci\" }\nproxy = { env = \"SECRET\" }",
    );
    let config = otlp(&text);
    let [endpoint] = &config.endpoints[..] else { panic!("one endpoint: {config:?}") };
    assert_eq!(
        (endpoint.signal, &*endpoint.url.to_string()),
        (Signal::Traces, "https://api.eu1.honeycomb.io")
    );
    let secret = || Secret::Env("SECRET".to_owned());
    assert_eq!(config.api_key, Some((Scheme::Header("x-honeycomb-team"), secret())));
    assert_eq!((config.encoding, config.gzip, config.has_content), (Encoding::Json, false, true));
    assert_eq!(config.service_name.as_deref(), Some("agents"));
    assert_eq!(config.resource, [("deployment.environment.name".to_owned(), "test".to_owned())]);
    let seconds = [
        config.span_timeout,
        config.connection.timeout,
        config.connection.connect_timeout,
        config.metrics_interval,
    ]
    .map(|it| it.as_secs());
    assert_eq!(seconds, [7200, 5, 2, 20]);
    let shown = parse(&text).unwrap().to_toml();
    assert_snapshot!(shown.split("[sinks.apm.filter]").next().unwrap());
    assert!(!shown.contains("hunter2") && !format!("{config:?}").contains("hunter2"));
    assert_eq!(
        parse(&shown).unwrap_or_else(|errors| panic!("{errors}")).sinks,
        parse(&text).unwrap().sinks
    );
}

#[test]
fn the_variables_that_are_asked_are_shown() {
    let shown = |lines: &str| {
        let shown = parse(&with(lines)).unwrap_or_else(|errors| panic!("{errors}")).to_toml();
        let sink = shown.split("[sinks.apm]").nth(1).expect("the sink");
        let lines = sink.lines().filter(|line| line.contains("OTEL_"));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let resource = [
        "# service_name is not set; OTEL_SERVICE_NAME is asked",
        "resource = {} # default; OTEL_RESOURCE_ATTRIBUTES is asked",
    ];
    let all = shown("compression = \"none\"\n");
    assert_eq!(all.len(), 12, "{all:?}");
    assert!(
        all.contains(&"# endpoint is not set; OTEL_EXPORTER_OTLP_ENDPOINT is asked".to_owned())
    );
    let timeout = "timeout = \"30s\" # default; OTEL_EXPORTER_OTLP_TIMEOUT is asked".to_owned();
    assert!(all.contains(&timeout) && all.ends_with(&resource.map(str::to_owned)), "{all:?}");
    // Whoever says where to goes elsewhere.
    assert_eq!(shown("endpoint = \"https://example.com\"\n"), resource);
}

#[test]
fn a_port_that_is_for_grpc_is_doubted() {
    let doubts = |lines: &str| -> Vec<String> {
        let config = parse(&with(lines)).unwrap_or_else(|errors| panic!("{errors}"));
        config.doubts.iter().map(Warning::to_string).collect()
    };
    let found = doubts("endpoint = \"https://otel.example.com:4317\"\n");
    let [doubt] = &found[..] else { panic!("one: {found:?}") };
    assert!(doubt.contains("sinks.apm.endpoint: port 4317 is usually for gRPC"), "{doubt}");
    for lines in ["", "endpoint = \"https://otel.example.com:4318/4317\"\n"] {
        assert_eq!(doubts(lines), [""; 0], "{lines}");
    }
}

#[test]
fn what_is_wrong_is_told_at_its_place() {
    assert_snapshot!(errors(
        "[sinks.a]\ntype = \"otlp\"\npreset = \"honeycom\"\nsignals = [\"log\", \"profiles\"]\n\
         [sinks.b]\ntype = \"otlp\"\npreset = \"datadog\"\n\
         [sinks.c]\ntype = \"otlp\"\nendpoint = \"collector:4318\"\n\
         [sinks.d]\ntype = \"otlp\"\nendpoint = \"https://ada:hunter2@example.com\"\n\
         [sinks.e]\ntype = \"otlp\"\nendpoint = \"http://example.com\"\n\
         headers = { Authorization = { env = \"SECRET\" } }\n\
         [sinks.f]\ntype = \"otlp\"\npreset = \"grafana\"\napi_key = { env = \"SECRET\" }\n\
         [sinks.g]\ntype = \"otlp\"\nlogs_endpoint = \"https://example.com/v1/logs\"\nurl = \"x\"\n\
         [sinks.i]\ntype = \"otlp\"\npreset = \"honeycomb\"\napi_key = \"hunter2\"\n\
         [sinks.j]\ntype = \"otlp\"\npreset = \"honeycomb\"\napi_key = { file = \"/no/such/key\" }\n\
         [sinks.k]\ntype = \"otlp\"\npreset = \"elastic\"\nendpoint = \"https://a.test\"\n\
         headers = { Authorization = { file = \"/no/such/key\" } }\n\
         [sinks.l]\ntype = \"otlp\"\npreset = \"langfuse\"\nendpoint = \"https://langfuse.test\"\n\
         signals = [\"logs\"]\napi_key = { env = \"SECRET\" }\n\
         [sinks.m]\ntype = \"otlp\"\npreset = \"datadog\"\nregion = \"eu\"\napi_key = { env = \"SECRET\" }\n\
         [sinks.n]\ntype = \"otlp\"\nendpoint = \"http://127.0.0.1:4319/v1/logs\"\n\
         [sinks.h]\ntype = \"otlp\"\nresource = { team = { env = \"SECRET\" } }\n"
    ));
}
