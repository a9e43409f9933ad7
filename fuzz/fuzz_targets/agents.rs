//! Any payloads of any agent, one after the other: each becomes one line that has the documented
//! members, and in it what the agent wrote.
//!
//! Input: a byte for the agent (0: the command line names none; beyond the known ones: one that nobody
//! knows), a byte for the event's name (0: likewise), and the payloads with [`CUT`] between them.
#![no_main]

use hookring_fuzz::{event, line_of, received, with_pipeline, without_whitespace};
use hookring_journal::Fields;
use hookring_pipeline::agents::AGENTS;
use hookring_pipeline::{Pipeline, Received};
use libfuzzer_sys::fuzz_target;

const CUT: &[u8] = b"\n--\n";
/// Later ones are left out.
const MAX_PAYLOADS: usize = 8;

fuzz_target!(|input: &[u8]| {
    let [agent, name, content @ ..] = input else { return };
    let (agent, name) = said(usize::from(*agent), usize::from(*name));
    with_pipeline(|pipeline| {
        let payloads = payloads(content).take(MAX_PAYLOADS);
        for (turn, payload) in payloads.enumerate() {
            let (id, timestamp_ns) = ([turn as u8; 16], turn as i64 * 700_000_000);
            let received = received(payload);
            check(pipeline, &Received { id, timestamp_ns, agent, event: name, ..received });
        }
    });
});

fn payloads(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(content);
    std::iter::from_fn(move || {
        let content = rest.take()?;
        let Some(at) = content.windows(CUT.len()).position(|window| window == CUT) else {
            return Some(content);
        };
        rest = Some(&content[at + CUT.len()..]);
        Some(&content[..at])
    })
}

/// What the command line says.
fn said(agent: usize, name: usize) -> (Option<&'static str>, Option<&'static str>) {
    let known = agent.checked_sub(1).and_then(|at| AGENTS.get(at));
    let named = known.map_or("other", |agent| agent.name);
    let events = known.map_or(&[][..], |agent| agent.events);
    let event = name.checked_sub(1).map(|at| events.get(at).map_or("other", |(name, _)| *name));
    ((agent > 0).then_some(named), event)
}

fn check(pipeline: &mut Pipeline, received: &Received<'_>) {
    let mut members = Vec::new();
    let written = pipeline.write(received, &mut members);
    let line = line_of(&event(&members));
    let fields: Fields<'_> = serde_json::from_str(&line).expect("the documented members");
    assert_eq!(written.is_duplicate, fields.duplicate_of.is_some());
    let warnings = fields.normalise_warnings.iter().flatten();
    let is_mended = warnings.into_iter().any(|all| all.starts_with("the payload was mended: "));
    assert_eq!(written.warnings as usize, fields.normalise_warnings.map_or(0, |all| all.len()));
    assert_eq!(written.not_json.is_some(), fields.parse_error.is_some());
    if let Some(name) = received.agent {
        assert_eq!(fields.source.and_then(|source| source.agent).as_deref(), Some(name));
    }
    if received.event.is_some() {
        assert_eq!(fields.event.as_deref(), received.event);
    }
    if fields.redactions.is_some() || fields.cut_bytes.is_some() || is_mended {
        return;
    }
    match (fields.payload, fields.payload_text, fields.payload_base64) {
        (Some(kept), None, None) => {
            assert_eq!(kept.get().as_bytes(), without_whitespace(received.payload));
        }
        (None, Some(kept), None) => assert_eq!(kept.as_bytes(), received.payload),
        (None, None, Some(kept)) => {
            assert!(std::str::from_utf8(received.payload).is_err());
            assert_eq!(kept.len(), received.payload.len().div_ceil(3) * 4);
        }
        (None, None, None) => assert!(received.payload.is_empty()),
        several => panic!("the payload stands there more than once: {several:?}"),
    }
}
