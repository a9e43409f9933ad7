//! What holds for any sequence of events: spans are valid, and always the same.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Events of few sessions, prompts, calls and agents in any order, with a clock that jumps; in the end, all
/// sessions end.
fn scripts() -> impl Strategy<Value = Script> {
    const TYPES: [&str; 12] = [
        "prompt.submit",
        "turn.end",
        "turn.fail",
        "tool.pre",
        "tool.pre",
        "tool.post",
        "tool.fail",
        "agent.start",
        "agent.stop",
        "permission.denied",
        "notify",
        "session.end",
    ];
    let event = (
        proptest::sample::select(&TYPES[..]),
        0..2_u8,
        proptest::option::of(0..2_u8),
        proptest::option::of(0..3_u8),
        proptest::option::weighted(0.4, 0..2_u8),
        prop_oneof![4 => 0..20_u64, 1 => 0..20_000_u64],
        proptest::option::of(0..5_000_u64),
        any::<bool>(),
        proptest::bool::weighted(0.2),
    );
    proptest::collection::vec(event, 0..60).prop_map(|events| {
        let mut script = Script::default();
        for (event_type, session, prompt, call, agent, at_s, duration_ms, is_task, is_other) in
            events
        {
            let named = |letter: char, it: Option<u8>| it.map(|it| format!("{letter}{it}"));
            let members = json!({
                "session_id": format!("s{session}"),
                "source": {"agent": agent_name(is_other)},
                "prompt_id": named('p', prompt),
                "tool_use_id": named('t', call),
                "agent_id": named('a', agent),
                "payload": {"prompt": "do", "last_assistant_message": "done", "tool_response": "so"},
                "tool_name": if is_task { "Task" } else { "Bash" },
                "duration_ms": duration_ms,
            });
            script.add(at_s, event_type, members);
        }
        for (session, is_other) in [("s0", false), ("s1", false), ("s0", true), ("s1", true)] {
            let source = json!({"agent": agent_name(is_other)});
            script.add(30, "session.end", json!({"session_id": session, "source": source}));
        }
        script
    })
}

fn agent_name(is_other: bool) -> &'static str {
    if is_other { "droid" } else { "claude-code" }
}

/// A call within its session.
type Call = (Option<String>, Option<String>, Option<String>);

/// Of each call that has an id, how many spans there should be: one for each beginning, and one for an end before
/// any. `prompt_id`s do not matter, nor whose end comes first.
fn expected_calls(events: &[Event<'_>]) -> BTreeMap<Call, usize> {
    let mut calls = BTreeMap::new();
    for event in events.iter().filter(|it| it.tool_use_id.is_some()) {
        let some = |text: Option<&str>| text.map(str::to_owned);
        let call = (
            some(event.agent()),
            some(event.session_id.as_deref()),
            some(event.tool_use_id.as_deref()),
        );
        let count = calls.get(&call).copied();
        match &*event.event_type {
            "tool.pre" => drop(calls.insert(call, count.unwrap_or(0) + 1)),
            "tool.post" | "tool.fail" => drop(calls.insert(call, count.unwrap_or(1))),
            _ => {}
        }
    }
    calls
}

fn apply(spans: &mut Spans, events: &[Event<'_>]) {
    for event in events {
        spans.apply(event);
    }
}

fn parts(finished: &[Finished]) -> Vec<(Seq, Span)> {
    finished.iter().map(|it| (it.seq, it.span.clone())).collect()
}

proptest! {
    #[test]
    fn spans_are_valid(script in scripts()) {
        let (_, finished) = run(&script.events(true));
        let mut ids: BTreeMap<&[u8], BTreeSet<&[u8]>> = BTreeMap::new();
        for Finished { span, .. } in &finished {
            prop_assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
            prop_assert!(span.trace_id.iter().any(|it| *it != 0));
            prop_assert!(span.span_id.iter().any(|it| *it != 0));
            prop_assert!(span.span_id != span.parent_span_id);
            let is_new = ids.entry(&span.trace_id).or_default().insert(&span.span_id);
            prop_assert!(is_new, "a second span of the same id: {span:?}");
            let keys: BTreeSet<_> = span.attributes.iter().map(|it| &it.key).collect();
            prop_assert_eq!(keys.len(), span.attributes.len(), "a key twice: {:?}", span);
        }
        let starts: BTreeMap<_, _> = finished.iter().map(|Finished { span, .. }| {
            ((&span.trace_id, &span.span_id), span.start_time_unix_nano)
        }).collect();
        for Finished { span, .. } in finished.iter().filter(|it| !it.span.parent_span_id.is_empty()) {
            let parent = starts.get(&(&span.trace_id, &span.parent_span_id));
            prop_assert!(parent.is_some(), "an orphan: {span:?}");
            prop_assert!(parent <= Some(&span.start_time_unix_nano), "before its parent: {span:?}");
        }
    }

    /// Whatever ends in between: prompts, sessions, patience.
    #[test]
    fn each_call_is_one_span(script in scripts()) {
        let events = script.events(false);
        let (_, finished) = run(&events);
        let mut calls = BTreeMap::new();
        for Finished { span, origin, .. } in &finished {
            let text = |name| attribute(&span.attributes, name);
            if let Some(id) = text(names::TOOL_CALL_ID) {
                let agent = origin.agent.as_deref().map(str::to_owned);
                *calls.entry((agent, text(names::SESSION), Some(id))).or_insert(0) += 1;
            }
        }
        prop_assert_eq!(calls, expected_calls(&events));
    }

    /// Killed at any moment, and nothing is applied again: what belongs to no prompt that has a name has a root of
    /// another id.
    #[test]
    fn no_root_comes_twice_after_a_loss(script in scripts(), at in any::<prop::sample::Index>()) {
        let mut events = script.events(false);
        events.iter_mut().for_each(|it| it.prompt_id = None);
        let (before, after) = events.split_at(at.index(events.len()));
        let mut ids = BTreeSet::new();
        for Finished { span, .. } in [run(before).1, run(after).1].concat() {
            let is_new = !span.parent_span_id.is_empty() || ids.insert(span.span_id.clone());
            prop_assert!(is_new, "a second root of the same id: {span:?}");
        }
    }

    /// However they are cut into batches, how often each is tried, and how much of it is accepted.
    #[test]
    fn batches_and_retries_change_nothing(
        script in scripts(),
        cuts in proptest::collection::vec((1..8_usize, 1..4_usize), 1..70),
    ) {
        let events = script.events(false);
        let (_, expected) = run(&events);
        let mut cuts = cuts.into_iter().cycle();
        let (mut spans, mut sent, mut contexts) = (Spans::new(TIMEOUT), Vec::new(), Vec::new());
        let mut rest = &events[..];
        while !rest.is_empty() {
            let (size, tries) = cuts.next().expect("endless");
            let mut batch = &rest[..size.min(rest.len())];
            for _ in 1..tries {
                apply(&mut spans, batch);
                // What is sent again may be half as much.
                batch = &batch[..batch.len().div_ceil(2)];
            }
            contexts.extend(batch.iter().map(|event| spans.apply(event)));
            let (first, last) = (batch[0].seq, batch[batch.len() - 1].seq);
            sent.extend_from_slice(spans.finished(first, last));
            spans.forget(last);
            rest = &rest[batch.len()..];
        }
        prop_assert_eq!(parts(&sent), parts(&expected));
        let mut spans = Spans::new(TIMEOUT);
        let expected: Vec<_> = events.iter().map(|event| spans.apply(event)).collect();
        prop_assert_eq!(contexts, expected);
    }

    /// Killed at any moment: what was applied before is applied again, and nothing of it is sent.
    #[test]
    fn a_restart_changes_nothing(script in scripts(), at in any::<prop::sample::Index>()) {
        let events = script.events(false);
        let (_, expected) = run(&events);
        let at = at.index(events.len());
        let mut spans = Spans::new(TIMEOUT);
        apply(&mut spans, &events[..at]);
        spans.forget(at as Seq);
        apply(&mut spans, &events[at..]);
        let later: Vec<_> = expected.into_iter().filter(|it| it.seq > at as Seq).collect();
        prop_assert_eq!(parts(spans.finished(0, Seq::MAX)), parts(&later));
    }
}
