//! Log records as a text: what all have in common, then each with what else it has, as the events came.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::inbox::{Ids, Item, number, text};
use crate::tree::{lines, own, shared, shown};

/// All records, with the names of the spans that they belong to.
///
/// # Panics
/// If one belongs to a span that is not there.
pub(crate) fn records(logs: &BTreeMap<String, Item>, spans: &BTreeMap<Ids, Item>) -> String {
    let mut logs: Vec<_> = logs.values().collect();
    logs.sort_by_key(|(record, _)| number(&record["attributes"], "hookring.seq"));
    let shared = shared(logs.iter().copied());
    let mut out = format!("every record:\n{}", lines(&shared, "  "));
    for (record, _) in logs {
        let (severity, body) = (text(record, "severityText"), text(record, "body"));
        let (level, span) = (severity_number(record), span_name(record, spans));
        writeln!(out, "{severity} ({level}) {body:?} in {span}").expect("text");
        writeln!(out, "  {}", shown(&own(record, &shared)).join(", ")).expect("text");
        assert!(number(record, "timeUnixNano") > 0, "{record}");
        assert_eq!(number(record, "timeUnixNano"), number(record, "observedTimeUnixNano"));
    }
    out
}

/// Each has its event's name, which bodies begin with.
pub(crate) fn assert_are_named(logs: &BTreeMap<String, Item>) {
    for (record, _) in logs.values() {
        let (name, body) = (text(record, "eventName"), text(record, "body"));
        assert_eq!(body.split(' ').next(), Some(name.as_str()), "{record}");
    }
}

/// Whether the spans that they belong to are there.
pub(crate) fn have_spans(logs: &BTreeMap<String, Item>, spans: &BTreeMap<Ids, Item>) -> bool {
    let ids = logs.values().map(|(record, _)| ids(record));
    ids.filter(|it| !it.1.is_empty()).all(|it| spans.contains_key(&it))
}

/// By its name or its number.
fn severity_number(record: &Value) -> u64 {
    match record["severityNumber"].as_str() {
        Some("SEVERITY_NUMBER_DEBUG") => 5,
        Some("SEVERITY_NUMBER_INFO") => 9,
        Some("SEVERITY_NUMBER_WARN") => 13,
        Some("SEVERITY_NUMBER_ERROR") => 17,
        Some(other) => panic!("{other}"),
        None => number(record, "severityNumber"),
    }
}

fn span_name(record: &Value, spans: &BTreeMap<Ids, Item>) -> String {
    let ids = ids(record);
    if ids.1.is_empty() {
        assert_eq!(ids.0, "", "{record}");
        return "no span".to_owned();
    }
    let (span, _) = spans.get(&ids).unwrap_or_else(|| panic!("no such span: {record}"));
    format!("{} {}", text(span, "name"), ids.1)
}

/// Empty where there are none.
fn ids(record: &Value) -> Ids {
    let id = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    (id("traceId"), id("spanId"))
}
