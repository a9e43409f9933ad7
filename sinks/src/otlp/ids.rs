//! Ids of traces and spans, derived from what the events say: the same events have the same ids, however often
//! and by whom they are told.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest, Sha256};

/// A trace: one prompt of one session.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct TraceId(pub(super) [u8; 16]);

/// A span.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct SpanId(pub(super) [u8; 8]);

/// What a span stands for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// An agent at work on a prompt.
    Root,
    /// One call of a tool.
    Tool,
    /// A subagent.
    Agent,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Root => "root",
            Kind::Tool => "tool",
            Kind::Agent => "agent",
        }
    }
}

/// The trace of a prompt. `session`: the agent's name, a zero byte, and its id of the session; `prompt`: the agent's id
/// of it, or the id of the event that began it, or nothing for what belongs to none.
pub(super) fn trace_id(session: &str, prompt: &str) -> TraceId {
    let mut hash = Sha256::new();
    hash.update(b"hookring trace\0");
    hash.update(session.as_bytes());
    hash.update(b"\0");
    hash.update(prompt.as_bytes());
    TraceId(not_zero(&hash.finalize()))
}

/// The span of `key` in a trace. `again`: the id of the event that began it, where the same key was there before.
pub(super) fn span_id(trace: TraceId, kind: Kind, key: &str, again: Option<&str>) -> SpanId {
    let mut hash = Sha256::new();
    hash.update(trace.0);
    hash.update(kind.name().as_bytes());
    hash.update(b"\0");
    hash.update(key.as_bytes());
    if let Some(event) = again {
        hash.update(b"\0");
        hash.update(event.as_bytes());
    }
    SpanId(not_zero(&hash.finalize()))
}

/// The beginning of a hash; never zeros alone, which stand for no id.
fn not_zero<const BYTES: usize>(hash: &[u8]) -> [u8; BYTES] {
    let mut id = [0; BYTES];
    id.copy_from_slice(&hash[..BYTES]);
    if id == [0; BYTES] {
        id[BYTES - 1] = 1;
    }
    id
}

/// The spans that were begun last.
#[derive(Default)]
pub(super) struct Begun {
    ids: HashSet<SpanId>,
    order: VecDeque<SpanId>,
}

impl Begun {
    /// So many are remembered: a call's id that comes again later than this many spans gets the same id again.
    pub(super) const MAX: usize = 65_536;

    pub(super) fn has(&self, id: SpanId) -> bool {
        self.ids.contains(&id)
    }

    /// `false` if it is there already.
    pub(super) fn add(&mut self, id: SpanId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > Begun::MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_that_were_given_before() {
        // sha256sum of the same bytes says so.
        let trace = trace_id("claude-code\x003f1c", "p1");
        assert_eq!(trace.0, TRACE);
        assert_eq!(span_id(trace, Kind::Root, "", None).0, ROOT);
        assert_eq!(span_id(trace, Kind::Tool, "toolu_01", None).0, TOOL);
    }

    const TRACE: [u8; 16] = [
        0xf6, 0x06, 0xfc, 0xc3, 0x4b, 0x67, 0x9a, 0x12, 0x65, 0xda, 0x2e, 0xd9, 0x79, 0x87, 0x89,
        0x67,
    ];
    const ROOT: [u8; 8] = [0xde, 0x01, 0xb4, 0xe3, 0xb3, 0x81, 0xfd, 0x08];
    const TOOL: [u8; 8] = [0xc3, 0xc1, 0x48, 0x11, 0xd3, 0x41, 0x05, 0xbf];

    #[test]
    fn different_things_have_different_ids() {
        let traces = [trace_id("a", "b"), trace_id("a", ""), trace_id("b", "a"), trace_id("", "")];
        let mut ids: Vec<SpanId> = Vec::new();
        for trace in traces {
            for kind in [Kind::Root, Kind::Tool, Kind::Agent] {
                ids.push(span_id(trace, kind, "", None));
                ids.push(span_id(trace, kind, "x", None));
                ids.push(span_id(trace, kind, "x", Some("y")));
            }
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn no_id_is_zero() {
        assert_eq!(not_zero::<8>(&[0; 32]), [0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn what_was_begun_is_known_up_to_a_limit() {
        let mut begun = Begun::default();
        let id = |at: usize| SpanId((at as u64 + 1).to_be_bytes());
        for at in 0..Begun::MAX {
            assert!(begun.add(id(at)));
        }
        assert!(!begun.add(id(0)) && begun.has(id(0)));
        assert!(begun.add(id(Begun::MAX)));
        assert!(!begun.has(id(0)) && begun.has(id(1)));
        assert_eq!(begun.ids.len(), begun.order.len());
    }
}
