//! What a new configuration changes, in words for the log.

use super::schema::SinkConfig;
use super::show::{ShownKey, ShownSection};

/// Sinks that come, go, and change.
pub(super) fn sinks(earlier: &[SinkConfig], now: &[SinkConfig]) -> Vec<String> {
    let find = |sinks: &[SinkConfig], name: &str| {
        sinks.iter().find(|sink| sink.name == name && sink.enabled).cloned()
    };
    let names = earlier.iter().chain(now).map(|sink| &sink.name);
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.dedup();
    let change = |name: &String| {
        let what = match (find(earlier, name), find(now, name)) {
            (None, Some(_)) => "added",
            (Some(_), None) if now.iter().any(|sink| sink.name == *name) => "switched off",
            (Some(_), None) => "removed",
            (Some(before), Some(after)) if before != after => "changed",
            _ => return None,
        };
        Some(format!("sink {name} {what}"))
    };
    names.into_iter().filter_map(change).collect()
}

/// Settings that are not of a sink. Their values stay out of the log: they may come from the
/// environment.
pub(super) fn keys(earlier: &[ShownSection], now: &[ShownSection]) -> Vec<String> {
    let mut changes = Vec::new();
    for section in now.iter().filter(|section| !section.path.starts_with("sinks.")) {
        let before = earlier.iter().find(|before| before.path == section.path);
        let value = |key: &ShownKey| {
            before?.keys.iter().find(|before| before.key == key.key)?.value.as_ref()
        };
        for key in section.keys.iter().filter(|key| value(key) != key.value.as_ref()) {
            let when = match (section.path.as_str(), key.key) {
                ("journal", "cache_bytes") => " (from the next start on)",
                _ => "",
            };
            changes.push(format!("{}.{} changed{when}", section.path, key.key));
        }
    }
    changes
}
