//! What arrived at one place.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use crate::account::Acknowledged;
use crate::numbered::Number;

/// Problems that are told one by one.
const MAX_TOLD: usize = 20;

/// See the module.
#[derive(Default)]
pub(crate) struct Arrivals {
    ids: BTreeMap<Number, String>,
    numbers: HashMap<String, Number>,
    /// By stream: the event that was last met for the first time.
    newest: HashMap<u32, Number>,
    /// Ids of events that the place would not take, and so may come later than those after them.
    rejected: HashSet<String>,
    repeats: u64,
    problems: Vec<String>,
}

impl Arrivals {
    /// Notes an event, as the journal has it.
    pub(crate) fn enter(&mut self, event: &Value) {
        self.note(&event["id"], &event["payload"]["of"]);
    }

    /// Notes an event that the place will not take now.
    pub(crate) fn reject(&mut self, event: &Value) {
        self.rejected.extend(event["id"].as_str().map(str::to_owned));
    }

    /// Notes an event by its id and the numbers of its payload.
    pub(crate) fn note(&mut self, id: &Value, of: &Value) {
        let number = |at: usize| of[at].as_u64().and_then(|it| u32::try_from(it).ok());
        let (Some(id), Some(stream), Some(life), Some(event)) =
            (id.as_str(), number(0), number(1), number(2))
        else {
            return self.problems.push(format!("not an event of a hook: {id} {of}"));
        };
        let number = Number { stream, life, event };
        match self.ids.entry(number) {
            Entry::Occupied(known) if known.get() == id => self.repeats += 1,
            Entry::Occupied(known) => {
                self.problems.push(format!("{number:?} came as {} and as {id}", known.get()));
            }
            Entry::Vacant(new) => {
                new.insert(id.to_owned());
                if let Some(other) = self.numbers.insert(id.to_owned(), number) {
                    self.problems.push(format!("{id} is {other:?} and {number:?}"));
                }
                let newest = self.newest.entry(stream).or_insert(number);
                if number < *newest && !self.rejected.contains(id) {
                    self.problems.push(format!("{number:?} came after {newest:?}"));
                }
                *newest = number.max(*newest);
            }
        }
    }

    /// Compares with what was acknowledged.
    ///
    /// # Panics
    /// If something did not arrive, or not as it should.
    pub(crate) fn settle(mut self, sink: &str, acknowledged: &Acknowledged) {
        for (&(stream, life), &last) in &acknowledged.last {
            let all = (1..=last).map(|event| Number { stream, life, event });
            let missing = all.filter(|number| !self.ids.contains_key(number));
            self.problems.extend(missing.map(|number| format!("lost: {number:?}")));
        }
        let Arrivals { ids, rejected, repeats, problems, .. } = self;
        println!(
            "{sink}: {} events, {repeats} of them again, {} rejected at first, {} problems",
            ids.len(),
            rejected.len(),
            problems.len()
        );
        let told = problems[..problems.len().min(MAX_TOLD)].join("\n");
        assert!(problems.is_empty(), "{sink}: {} problems:\n{told}", problems.len());
        assert!(!ids.is_empty(), "{sink}: nothing arrived");
    }
}
