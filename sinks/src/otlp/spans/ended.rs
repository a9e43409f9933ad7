//! What has ended, and where it is: an end that comes late, or once more, makes no second span, and what comes late
//! may still hang below it.

use std::collections::{HashMap, VecDeque};

use super::Context;
use crate::otlp::ids::{SpanId, TraceId};

/// Where a span is, for what hangs below it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    /// When it began; 0 if that is not known.
    pub(super) start_ns: u64,
}

impl Place {
    pub(super) fn context(self) -> Context {
        Context { trace: Some(self.trace), span: Some(self.span) }
    }
}

/// The spans that ended last, of all sessions, by what they are called within their session.
#[derive(Default)]
pub(super) struct Ended {
    places: HashMap<SpanId, Place>,
    order: VecDeque<SpanId>,
}

impl Ended {
    /// So many are remembered, in about 3 MB: an end that comes later than this many others makes a second span.
    pub(super) const MAX: usize = 50_000;

    pub(super) fn get(&self, name: SpanId) -> Option<Place> {
        self.places.get(&name).copied()
    }

    pub(super) fn add(&mut self, name: SpanId, place: Place) {
        if self.places.insert(name, place).is_some() {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > Ended::MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_is_known_up_to_a_limit() {
        let mut ended = Ended::default();
        let name = |at: usize| SpanId((at as u64 + 1).to_be_bytes());
        let place = |start_ns| Place { trace: TraceId([1; 16]), span: SpanId([2; 8]), start_ns };
        for at in 0..Ended::MAX {
            ended.add(name(at), place(1));
        }
        ended.add(name(0), place(2));
        assert_eq!(ended.get(name(0)), Some(place(2)));
        ended.add(name(Ended::MAX), place(3));
        assert_eq!((ended.get(name(0)), ended.get(name(1))), (None, Some(place(1))));
        assert_eq!(ended.places.len(), ended.order.len());
    }
}
