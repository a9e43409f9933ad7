//! Metrics as a text: those that the session alone decides, with their values.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::inbox::{Item, list, number, text};

/// What the session decides all of.
const DECIDED: [&str; 8] = [
    "hookring_events",
    "hookring_tool_duration_seconds",
    "hookring_hook_duration_seconds",
    "hookring_publish_to_journal_seconds",
    "hookring_errors",
    "hookring_security_risk",
    "hookring_redactions",
    "hookring_active_sessions",
];

/// Those metrics.
///
/// # Panics
/// If any metric is not as OTLP has it.
pub(crate) fn figures(metrics: &BTreeMap<String, Item>) -> String {
    let mut out = String::new();
    for (name, (metric, resource)) in metrics {
        let (kind, data) = data(metric);
        let points = list(data, "dataPoints").iter();
        let lines: Vec<_> = points.filter_map(|it| point(it, kind, name)).collect();
        for needed in ["service.name", "service.version", "service.instance.id", "host.name"] {
            assert!(resource[needed].is_string(), "{name} is of {resource:?}");
        }
        if DECIDED.contains(&name.as_str()) && !lines.is_empty() {
            let (unit, how) = (text(metric, "unit"), how(data));
            writeln!(out, "{name} [{kind}{how}, {unit}]: {}", text(metric, "description"))
                .expect("text");
            lines.iter().for_each(|line| writeln!(out, "  {line}").expect("text"));
        }
    }
    out
}

/// Whether they tell of so many events of hooks, and of no session that goes on.
pub(crate) fn have(metrics: &BTreeMap<String, Item>, events: usize) -> bool {
    let sum = |name: &str, kind: &str| {
        let (metric, _) = metrics.get(name)?;
        let points = list(&metric[kind], "dataPoints").iter();
        let of_hooks = points.filter(|it| it["attributes"]["namespace"] != "system");
        Some(of_hooks.map(|it| it["asDouble"].as_f64().expect("a number")).sum::<f64>())
    };
    sum("hookring_events", "sum") == Some(events as f64)
        && sum("hookring_active_sessions", "gauge") == Some(0.0)
}

fn data(metric: &Value) -> (&'static str, &Value) {
    let kinds = ["sum", "gauge", "histogram"];
    let mut kinds = kinds.into_iter().filter(|kind| metric[kind].is_object());
    let kind = kinds.next().unwrap_or_else(|| panic!("it has no data: {metric}"));
    assert_eq!(kinds.next(), None, "{metric}");
    (kind, &metric[kind])
}

fn how(data: &Value) -> String {
    let rising = if data["isMonotonic"] == true { " that rises" } else { "" };
    let temporality = match &data["aggregationTemporality"] {
        Value::Null => "",
        it if *it == "AGGREGATION_TEMPORALITY_CUMULATIVE" || *it == 2 => ", cumulative",
        other => panic!("{other}"),
    };
    format!("{rising}{temporality}")
}

/// `None`: it is of the daemon's own events, whose number depends on its fortune, or of what never happened: sums that
/// begin at 0.
fn point(point: &Value, kind: &str, name: &str) -> Option<String> {
    let at_ns = number(point, "timeUnixNano");
    let start_ns = number(point, "startTimeUnixNano");
    assert!(at_ns > 0 && start_ns <= at_ns && (start_ns > 0) == (kind != "gauge"), "{point}");
    let empty = Map::new();
    let labels = point["attributes"].as_object().unwrap_or(&empty);
    let is_own = labels.get("namespace").is_some_and(|it| it == "system");
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let value = match kind {
        // How long tools take is what agents say.
        "histogram" if name == "hookring_tool_duration_seconds" => {
            format!("count {}, sum {:.3}", count(point), point["sum"].as_f64().expect("a number"))
        }
        "histogram" => format!("count {}", count(point)),
        _ => point["asDouble"].as_f64().expect("a number").to_string(),
    };
    let never_happened = kind == "sum" && value == "0";
    (!is_own && !never_happened).then(|| format!("{{{}}} {value}", labels.join(", ")))
}

/// How many values a histogram has, in all of its buckets.
fn count(point: &Value) -> u64 {
    let buckets = list(point, "bucketCounts");
    assert_eq!(buckets.len(), list(point, "explicitBounds").len() + 1, "{point}");
    let counts = buckets.iter().map(|it| match it {
        Value::String(digits) => digits.parse::<u64>().expect("a number"),
        number => number.as_u64().expect("a number"),
    });
    let count = number(point, "count");
    assert_eq!(counts.sum::<u64>(), count, "{point}");
    assert!(point["sum"].as_f64().is_some_and(|sum| sum >= 0.0), "{point}");
    count
}
