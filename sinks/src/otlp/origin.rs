//! Who spans and records come from: what becomes a resource of OTLP.

use std::sync::Arc;

use super::event::Event;

/// One agent on one machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Origin {
    pub(super) host: Box<str>,
    /// `None` where nobody knows whose events they are.
    pub(super) agent: Option<Box<str>>,
    pub(super) version: Option<Box<str>>,
}

/// The last origins, so that equal ones are one.
#[derive(Default)]
pub(super) struct Origins(Vec<Arc<Origin>>);

impl Origins {
    /// So many are remembered; an older one that comes again is made anew.
    const MAX: usize = 32;

    pub(super) fn of(&mut self, event: &Event<'_>) -> Arc<Origin> {
        if let Some(at) = self.0.iter().position(|it| it.is_of(event)) {
            return Arc::clone(&self.0[at]);
        }
        let boxed = |text: Option<&str>| text.map(Box::from);
        let origin = Arc::new(Origin {
            host: Box::from(&*event.host),
            agent: boxed(event.agent()),
            version: boxed(event.source.version.as_deref()),
        });
        if self.0.len() == Origins::MAX {
            self.0.remove(0);
        }
        self.0.push(Arc::clone(&origin));
        origin
    }
}

impl Origin {
    fn is_of(&self, event: &Event<'_>) -> bool {
        *self.host == *event.host
            && self.agent.as_deref() == event.agent()
            && self.version.as_deref() == event.source.version.as_deref()
    }
}
