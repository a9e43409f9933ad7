//! Spans as a text: each with its attributes below its parent, without times and what else chance decides.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::inbox::{Ids, Item, number, text};

/// What chance, the machine or the version decides, and must be there all the same.
const VARYING: [&str; 4] =
    ["log.record.uid", "hookring.seq", "hookring.hook.elapsed_us", "host.name"];
/// The span's parent is not on another machine.
const FLAGS: u64 = 0x100;

/// All traces, after what every span has.
///
/// # Panics
/// If they are no trees, or a span is outside of its parent's time.
pub(crate) fn tree(spans: &BTreeMap<Ids, Item>) -> String {
    assert_are_valid(spans);
    let shared = shared(spans.values());
    let mut out = format!("every span:\n{}", lines(&shared, "  "));
    let roots = spans.iter().filter(|(_, span)| parent(span).is_empty());
    let mut seen = 0;
    for ((trace, id), _) in in_order(roots.collect()) {
        writeln!(out, "trace {trace}").expect("text");
        seen += branch(&mut out, (spans, &shared), (trace, id), 1);
    }
    assert_eq!(seen, spans.len(), "there is a circle");
    out
}

/// Whether each has its parent.
pub(crate) fn have_parents(spans: &BTreeMap<Ids, Item>) -> bool {
    spans.iter().all(|((trace, _), item)| {
        let parent = parent(item);
        parent.is_empty() || spans.contains_key(&(trace.clone(), parent.to_owned()))
    })
}

/// Whatever became of their sessions.
///
/// # Panics
/// If one is not as OTLP wants it.
pub(crate) fn assert_are_valid(spans: &BTreeMap<Ids, Item>) {
    assert!(have_parents(spans), "one has no parent");
    for ((trace, id), (span, _)) in spans {
        let is_id = |it: &str, digits| it.len() == digits && it.bytes().any(|it| it != b'0');
        assert!(is_id(trace, 32) && is_id(id, 16), "{span}");
        assert!(!text(span, "name").is_empty() && number(span, "startTimeUnixNano") > 0, "{span}");
        assert_eq!(number(span, "flags"), FLAGS, "{span}");
        assert_within(span, number(span, "endTimeUnixNano"));
    }
}

/// A span and what is below it. Returns how many these are.
fn branch(
    out: &mut String,
    (spans, shared): (&BTreeMap<Ids, Item>, &Map<String, Value>),
    (trace, id): (&str, &str),
    depth: usize,
) -> usize {
    let (span, _) = &spans[&(trace.to_owned(), id.to_owned())];
    let margin = "    ".repeat(depth);
    let (kind, status) = (text(span, "kind"), status(span));
    writeln!(out, "{margin}{} [{kind}{status}] {id}", text(span, "name")).expect("text");
    out.push_str(&lines(&own(span, shared), &format!("{margin}  ")));
    for event in span["events"].as_array().into_iter().flatten() {
        let its = shown(event["attributes"].as_object().expect("attributes"));
        writeln!(out, "{margin}  event {}: {}", text(event, "name"), its.join(", ")).expect("text");
    }
    let children = spans.iter().filter(|((its, _), it)| its == trace && parent(it) == id);
    let children = in_order(children.collect());
    let below = children.iter().map(|((_, child), item)| {
        assert_within(span, number(&item.0, "startTimeUnixNano"));
        branch(out, (spans, shared), (trace, child), depth + 1)
    });
    1 + below.sum::<usize>()
}

/// As they began.
fn in_order<'s>(mut spans: Vec<(&'s Ids, &'s Item)>) -> Vec<(&'s Ids, &'s Item)> {
    spans.sort_by_key(|(ids, item)| (number(&item.0, "startTimeUnixNano"), *ids));
    spans
}

fn parent((span, _): &Item) -> &str {
    span["parentSpanId"].as_str().unwrap_or_default()
}

fn status(span: &Value) -> String {
    let code = span["status"]["code"].as_str();
    let code = code.filter(|it| *it != "STATUS_CODE_UNSET");
    let message = span["status"]["message"].as_str().unwrap_or_default();
    code.map(|it| format!(" {it} {message:?}")).unwrap_or_default()
}

fn assert_within(span: &Value, time_ns: u64) {
    let [start_ns, end_ns] = ["startTimeUnixNano", "endTimeUnixNano"].map(|it| number(span, it));
    assert!((start_ns..=end_ns).contains(&time_ns), "{time_ns} is outside of {span}");
}

/// What all items have with the same value, or with a varying one; the resource's, too.
pub(crate) fn shared<'i>(items: impl Iterator<Item = &'i Item> + Clone) -> Map<String, Value> {
    let (first, resource) = items.clone().next().expect("an item");
    let mut shared = first["attributes"].as_object().expect("attributes").clone();
    shared.retain(|name, value| {
        items.clone().all(|(item, _)| match item["attributes"].get(name) {
            Some(its) => its == value || is_varying(name),
            None => false,
        })
    });
    assert!(items.clone().all(|it| it.1 == *resource), "another resource");
    let of_resource = resource.iter().map(|(name, value)| (format!("resource {name}"), value));
    shared.extend(of_resource.map(|(name, value)| (name, value.clone())));
    shared
}

/// What an item has beside that.
pub(crate) fn own(item: &Value, shared: &Map<String, Value>) -> Map<String, Value> {
    let mut own = item["attributes"].as_object().expect("attributes").clone();
    own.retain(|name, _| !shared.contains_key(name));
    own
}

/// In the order of their names.
pub(crate) fn shown(attributes: &Map<String, Value>) -> Vec<String> {
    let shown = |(name, value): (&String, &Value)| match is_varying(name) {
        true => format!("{name} …"),
        false => format!("{name} = {value}"),
    };
    let mut shown: Vec<_> = attributes.iter().map(shown).collect();
    shown.sort();
    shown
}

/// The same, each on a line.
pub(crate) fn lines(attributes: &Map<String, Value>, margin: &str) -> String {
    shown(attributes).iter().map(|it| format!("{margin}{it}\n")).collect()
}

fn is_varying(name: &str) -> bool {
    VARYING.contains(&name.trim_start_matches("resource "))
}
