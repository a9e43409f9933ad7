//! What a receiver has, whoever it is: requests in the JSON of OTLP, with attributes as plain values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A trace's id, and a span's.
pub(crate) type Ids = (String, String);

/// Requests by signal, in the order of their arrival.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) requests: Vec<(String, Value)>,
}

/// A span, a record or a metric, and the attributes of its resource.
pub(crate) type Item = (Value, Map<String, Value>);

impl Inbox {
    /// By trace and id.
    ///
    /// # Panics
    /// If one came twice and is not the same.
    pub(crate) fn spans(&self) -> BTreeMap<Ids, Item> {
        let mut spans: BTreeMap<Ids, Item> = BTreeMap::new();
        for item in self.items("traces", ["resourceSpans", "scopeSpans", "spans"]) {
            let ids = (text(&item.0, "traceId"), text(&item.0, "spanId"));
            let before = spans.insert(ids, item.clone());
            assert!(before.is_none_or(|it| it == item), "another span has this id: {item:?}");
        }
        spans
    }

    /// By the event's id.
    ///
    /// # Panics
    /// As [`Inbox::spans`].
    pub(crate) fn logs(&self) -> BTreeMap<String, Item> {
        let mut logs: BTreeMap<String, Item> = BTreeMap::new();
        for item in self.items("logs", ["resourceLogs", "scopeLogs", "logRecords"]) {
            let before = logs.insert(text(&item.0["attributes"], "log.record.uid"), item.clone());
            assert!(before.is_none_or(|it| it == item), "another record of the event: {item:?}");
        }
        logs
    }

    /// How many records arrived, those that came twice too.
    pub(crate) fn log_count(&self) -> usize {
        self.items("logs", ["resourceLogs", "scopeLogs", "logRecords"]).len()
    }

    /// By name, each as it was told last.
    pub(crate) fn metrics(&self) -> BTreeMap<String, Item> {
        let items = self.items("metrics", ["resourceMetrics", "scopeMetrics", "metrics"]);
        items.into_iter().map(|item| (text(&item.0, "name"), item)).collect()
    }

    fn items(&self, signal: &str, [resources, scopes, items]: [&str; 3]) -> Vec<Item> {
        let mut found = Vec::new();
        let of_signal = self.requests.iter().filter(|it| it.0 == signal);
        for of_resource in of_signal.flat_map(|(_, request)| list(request, resources)) {
            let resource = &of_resource["resource"]["attributes"];
            let resource = resource.as_object().expect("the resource's attributes");
            for of_scope in list(of_resource, scopes) {
                assert_eq!(of_scope["scope"]["name"], "hookring", "{of_scope}");
                assert!(of_scope["scope"]["version"].is_string(), "{of_scope}");
                let items = list(of_scope, items).iter();
                found.extend(items.map(|item| (item.clone(), resource.clone())));
            }
        }
        found
    }
}

/// A list that must be there.
pub(crate) fn list<'v>(of: &'v Value, name: &str) -> &'v [Value] {
    of[name].as_array().unwrap_or_else(|| panic!("there is no {name} in {of}"))
}

/// A text that must be there.
pub(crate) fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_else(|| panic!("there is no {name} in {of}")).to_owned()
}

/// A number of 64 bits, which JSON has as a text; 0 where there is none.
pub(crate) fn number(of: &Value, name: &str) -> u64 {
    match &of[name] {
        Value::Null => 0,
        Value::String(digits) => digits.parse().expect("a number"),
        number => number.as_u64().expect("a number"),
    }
}
