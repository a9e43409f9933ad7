//! What is counted of each event as it is made, by the collector's thread. In the steady state that takes a few
//! look-ups and no memory.

use std::sync::Arc;
use std::time::Duration;

use hookring_journal::model::{EventType, Namespace};
use hookring_pipeline::{Failure, OWN_AGENT, Step, Summary, Watch};

use super::Metrics;
use super::family::{
    ERRORS, EVENTS, HOOK_BOUNDS, HOOK_DURATION, LABELS_LIMITED, TOOL_BOUNDS, TOOL_CALLS,
    TOOL_DURATION,
};
use super::labels::{LIMITS, Values, labels};
use super::series::{Counter, Histogram, Listed, Series};
use super::text::Text;

/// What those who read see of it.
pub(super) struct Events {
    events: Listed<Counter>,
    hooks: Listed<Histogram>,
    tools: Listed<Histogram>,
    calls: Listed<Counter>,
    errors: [Counter; Failure::ALL.len()],
    /// In the order of [`LIMITS`].
    limited: [Counter; LIMITS.len()],
}

impl Default for Events {
    fn default() -> Self {
        let errors =
            Failure::ALL.map(|failure| Counter::new(labels(ERRORS.labels, [failure.name()])));
        let limited = LIMITS.map(|(name, _)| Counter::new(labels(LABELS_LIMITED.labels, [name])));
        let (events, hooks) = (Listed::default(), Listed::default());
        let (tools, calls) = (Listed::default(), Listed::default());
        Events { events, hooks, tools, calls, errors, limited }
    }
}

impl Events {
    pub(super) fn write(&self, text: &mut Text) {
        let mut samples = text.family(&EVENTS);
        self.events.all().iter().for_each(|it| samples.prepared(&it.labels, it.value()));
        let mut samples = text.family(&HOOK_DURATION);
        self.hooks.all().iter().for_each(|it| samples.histogram(it));
        let mut samples = text.family(&TOOL_DURATION);
        self.tools.all().iter().for_each(|it| samples.histogram(it));
        let mut samples = text.family(&TOOL_CALLS);
        self.calls.all().iter().for_each(|it| samples.prepared(&it.labels, it.value()));
        let mut samples = text.family(&ERRORS);
        self.errors.iter().for_each(|it| samples.prepared(&it.labels, it.value()));
        let mut samples = text.family(&LABELS_LIMITED);
        self.limited.iter().for_each(|it| samples.prepared(&it.labels, it.value()));
    }
}

/// Counts events, one after the other; for the one thread that makes them.
pub struct EventMetrics {
    metrics: Arc<Metrics>,
    agents: Values,
    /// Types that nobody knows; those that are known have a number already.
    types: Values,
    tools: Values,
    events: Series<Counter>,
    hooks: Series<Histogram>,
    durations: Series<Histogram>,
    /// Of each outcome, by tool.
    calls: Series<Counter>,
}

/// What people want to be told of the first time: an agent's series of these begin with 0, as soon as it sends anything.
/// One that begins with 1 has not risen.
const BEGIN_WITH_0: [EventType; 3] =
    [EventType::PermissionDenied, EventType::ToolFail, EventType::TurnFail];

/// A call that is said to have taken longer counts as this: an agent may say anything.
const LONGEST_CALL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How a call can end, by whether it did what it was to do.
const OUTCOMES: [&str; 2] = ["failure", "success"];

const NS_PER_US: u64 = 1000;

impl EventMetrics {
    /// What is counted shows in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> EventMetrics {
        let [agents, types, tools] = LIMITS.map(|(name, _)| Values::new(name));
        let events = Series::new(&metrics.events.events);
        let hooks = Series::new(&metrics.events.hooks);
        let durations = Series::new(&metrics.events.tools);
        let calls = Series::new(&metrics.events.calls);
        EventMetrics { metrics, agents, types, tools, events, hooks, durations, calls }
    }

    /// Counts an event.
    pub fn note(&mut self, it: &Summary<'_>) {
        let [agents_limited, types_limited, _] = &self.metrics.events.limited;
        let agent = self.agents.id(it.agent, agents_limited);
        // Under a name that is known it is the same series.
        let named = || EventType::ALL.iter().copied().find(|kind| kind.name() == it.event_type);
        let (kind, event_type, namespace) = match it.kind.or_else(named) {
            Some(kind) => (kind as usize, kind.name(), kind.namespace()),
            None => {
                let unknown = self.types.id(it.event_type, types_limited);
                let number = EventType::ALL.len() + usize::from(unknown);
                (number, self.types.text(unknown), Namespace::Hook)
            }
        };
        let agents = &self.agents;
        let counter = |event_type: &str, namespace: Namespace| {
            let values = [event_type, namespace.name(), agents.text(agent)];
            Counter::new(labels(EVENTS.labels, values))
        };
        let row = usize::from(agent);
        if !self.events.has_row(row) && it.agent != OWN_AGENT {
            for first in BEGIN_WITH_0 {
                self.events.of(row, first as usize, || counter(first.name(), first.namespace()));
            }
        }
        self.events.of(row, kind, || counter(event_type, namespace)).add(1);
        // A producer that publishes for long is no hook's process.
        if it.elapsed_us > 0 {
            let hook = self.hooks.of(0, kind, || {
                let labels = labels(HOOK_DURATION.labels, [event_type]);
                Histogram::new(labels, HOOK_BOUNDS)
            });
            hook.add(u64::from(it.elapsed_us) * NS_PER_US);
        }
        // What was told before was counted then.
        if !it.is_duplicate {
            self.note_end(it);
        }
    }

    fn note_end(&mut self, it: &Summary<'_>) {
        if matches!(it.kind, Some(EventType::ToolPost | EventType::ToolFail)) {
            self.note_call(it);
        }
        if let Some(failure) = it.failure {
            self.metrics.events.errors[failure as usize].add(1);
        }
    }

    fn note_call(&mut self, it: &Summary<'_>) {
        let [.., limited] = &self.metrics.events.limited;
        let tool = self.tools.id(it.tool.unwrap_or_default(), limited);
        let text = self.tools.text(tool);
        let (place, outcome) = (usize::from(tool), usize::from(it.success != Some(false)));
        let counter =
            |outcome: usize| Counter::new(labels(TOOL_CALLS.labels, [text, OUTCOMES[outcome]]));
        // The other outcome begins with 0.
        self.calls.of(1 - outcome, place, || counter(1 - outcome));
        self.calls.of(outcome, place, || counter(outcome)).add(1);
        let Some(duration_ms) = it.duration_ms else { return };
        let call = self.durations.of(outcome, place, || {
            Histogram::new(labels(TOOL_DURATION.labels, [text, OUTCOMES[outcome]]), TOOL_BOUNDS)
        });
        let took = Duration::from_millis(duration_ms).min(LONGEST_CALL);
        call.add(took.as_nanos() as u64);
    }

    /// Lets those who read see what they kept from being listed; to be called now and then.
    pub fn settle(&mut self) {
        self.events.list();
        self.hooks.list();
        self.durations.list();
        self.calls.list();
    }
}

impl Watch for EventMetrics {
    fn done(&mut self, _step: Step) {}

    fn made(&mut self, summary: &Summary<'_>) {
        self.note(summary);
    }
}
