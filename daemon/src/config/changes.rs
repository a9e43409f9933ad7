//! What a new configuration changes, in words for the log.

use super::show::{ShownKey, ShownSection};
use super::sinks::SinkConfig;

/// So many changes are told one by one at most: the log has them in one line.
pub const MAX_CHANGES: usize = 24;
/// The longest name of a table of a list that is told whole, in characters.
const NAME_CHARS: usize = 64;

/// The lists of tables, what one of them is called, and the key by which it is known.
const LISTS: [(&str, &str, &str); 2] =
    [("redact.patterns", "redaction pattern", "name"), ("risk.rules", "risk rule", "id")];

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
    let is_elsewhere =
        |section: &ShownSection| section.path.starts_with("sinks.") || section.is_element();
    let find = |sections: &'_ [ShownSection], path: &str| {
        sections.iter().find(|section| section.path == path).cloned()
    };
    for section in earlier.iter().filter(|section| !is_elsewhere(section)) {
        if find(now, &section.path).is_none() {
            changes.push(format!("{} removed", section.path));
        }
    }
    for section in now.iter().filter(|section| !is_elsewhere(section)) {
        let Some(before) = find(earlier, &section.path) else {
            changes.push(format!("{} added", section.path));
            continue;
        };
        let value = |key: &ShownKey| {
            before.keys.iter().find(|before| before.key == key.key)?.value.as_ref()
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

/// Tables of lists that come, go, and change: by their names, whatever their order.
pub(super) fn tables(earlier: &[ShownSection], now: &[ShownSection]) -> Vec<String> {
    let mut changes = Vec::new();
    for (path, called, key) in LISTS {
        let of = |sections: &'_ [ShownSection]| -> Vec<(String, ShownSection)> {
            let listed = sections.iter().filter(|it| it.is_element() && it.path == path);
            listed.map(|it| (it.text(key).unwrap_or_default(), it.clone())).collect()
        };
        let (earlier, now) = (of(earlier), of(now));
        let mut say = |name: &str, what: &str| {
            let short: String = name.chars().take(NAME_CHARS).collect();
            let end = if short.len() < name.len() { "…" } else { "" };
            changes.push(format!("{called} {short}{end} {what}"));
        };
        for (name, section) in &now {
            match earlier.iter().find(|(before, _)| before == name) {
                None => say(name, "added"),
                Some((_, before)) if !before.has_same_values(section) => say(name, "changed"),
                Some(_) => {}
            }
        }
        for (name, _) in &earlier {
            if !now.iter().any(|(later, _)| later == name) {
                say(name, "removed");
            }
        }
    }
    changes
}

/// The first of them, and how many more there are.
pub(super) fn bounded(mut changes: Vec<String>) -> Vec<String> {
    let more = changes.len().saturating_sub(MAX_CHANGES);
    if more > 0 {
        changes.truncate(MAX_CHANGES);
        changes.push(format!("and {more} more"));
    }
    changes
}
