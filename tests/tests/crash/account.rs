//! The account of a run: what was acknowledged, against what the journal holds.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::PathBuf;

use hookring_tests::Bed;

use crate::numbered::{Number, payload};
use crate::victims::{HookStream, ProducerStream, segments};

/// Problems that are told one by one.
const MAX_TOLD: usize = 20;

/// Which events' publish returned.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// By stream and life: every event up to this one.
    pub(crate) last: HashMap<(u32, u32), u32>,
}

impl Acknowledged {
    /// Every event of a life up to `last`.
    pub(crate) fn add(&mut self, stream: u32, life: u32, last: u32) {
        self.last.insert((stream, life), last);
    }

    /// What producers wrote down.
    pub(crate) fn add_producers(&mut self, streams: &[ProducerStream<'_>]) {
        for stream in streams {
            let lives = 0..stream.lives();
            lives.for_each(|life| self.add(stream.stream(), life, stream.acknowledged_in(life)));
        }
    }

    /// The events of hooks that exited 0.
    pub(crate) fn add_hooks(&mut self, hooks: &HookStream<'_>) {
        hooks.ended().iter().for_each(|life| self.add(hooks.stream(), *life, 1));
    }
}

/// What the journal holds.
#[derive(Default)]
pub(crate) struct Account {
    /// By stream: the event that was last met.
    newest: HashMap<u32, Number>,
    /// By stream and life: the last event, all before which are there, too, or in `gaps`.
    last: HashMap<(u32, u32), u32>,
    /// Events that are not there though a later one of their process is.
    gaps: Vec<Number>,
    ids: HashSet<u128>,
    from_spool: u64,
    bytes: u64,
    segments: usize,
    problems: Vec<String>,
}

impl Account {
    /// Reads the journal's files as any program would.
    pub(crate) fn of(bed: &Bed) -> Account {
        Account::of_files(&segments(bed))
    }

    /// The same of files with the journal's lines in them.
    pub(crate) fn of_files(files: &[PathBuf]) -> Account {
        let mut account = Account::default();
        for path in files {
            let text = fs::read(path).expect("a segment");
            account.segments += 1;
            account.bytes += text.len() as u64;
            let text = std::str::from_utf8(&text).expect("a segment is text");
            // The daemon may be writing behind the last newline.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            whole.lines().for_each(|line| account.enter(line));
        }
        account
    }

    /// The last event of a life; 0: there is none.
    pub(crate) fn last_of(&self, stream: u32, life: u32) -> u32 {
        self.last.get(&(stream, life)).copied().unwrap_or(0)
    }

    /// Compares with what was acknowledged.
    ///
    /// # Panics
    /// If something was lost, doubled, torn or put out of order.
    pub(crate) fn settle(self, acknowledged: &Acknowledged) {
        self.settle_but_for(acknowledged, |_| false);
    }

    /// The same where some events may be lost. How many of those are.
    pub(crate) fn settle_but_for(
        mut self,
        acknowledged: &Acknowledged,
        may_be_lost: impl Fn(Number) -> bool,
    ) -> u64 {
        let mut lost = std::mem::take(&mut self.gaps);
        for (&(stream, life), &last) in &acknowledged.last {
            let missing = self.last_of(stream, life) + 1..=last;
            lost.extend(missing.map(|event| Number { stream, life, event }));
        }
        let (allowed, lost): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|number| may_be_lost(*number));
        self.problems.extend(lost.iter().map(|number| format!("lost: {number:?}")));
        let events: u64 = acknowledged.last.values().map(|last| u64::from(*last)).sum();
        println!("{events} events acknowledged, {} problems", self.problems.len());
        let told = self.problems[..self.problems.len().min(MAX_TOLD)].join("\n");
        assert!(self.problems.is_empty(), "{} problems:\n{told}", self.problems.len());
        assert!(events > 0, "nothing was published");
        allowed.len() as u64
    }

    fn enter(&mut self, line: &str) {
        let from = between(line, "\"from\":\"", "\"");
        // What the daemon says of itself is nobody's account.
        if from == "segment" || from == "daemon" {
            return;
        }
        self.from_spool += u64::from(from.starts_with("spool/"));
        let id = between(line, "\"id\":\"", "\"").replace('-', "");
        let id = u128::from_str_radix(&id, 16).expect("an id");
        let place =
            format!("journal number {}, from {from}", between(line, "\"seq\":", ",").trim());
        if !self.ids.insert(id) {
            self.problems.push(format!("doubled: id {id:032x}, {place}"));
        }
        match check_payload(line) {
            Ok(number) => self.enter_number(number, &place),
            Err(what) => self.problems.push(format!("torn: {what}, {place}")),
        }
    }

    /// A process publishes its events one after the other, so no number may be left out.
    fn enter_number(&mut self, number: Number, place: &str) {
        let newest =
            self.newest.entry(number.stream).or_insert(Number { event: 0, life: 0, ..number });
        let before = self.last.entry((number.stream, number.life)).or_insert(0);
        let what = if number.event <= *before {
            "doubled or late"
        } else if number < *newest {
            "after an event of a later process"
        } else {
            ""
        };
        if !what.is_empty() {
            self.problems.push(format!("{what}: {number:?} after {newest:?}, {place}"));
        }
        let skipped = *before + 1..number.event;
        self.gaps.extend(skipped.map(|event| Number { event, ..number }));
        *before = number.event.max(*before);
        *newest = number.max(*newest);
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { ids, from_spool, bytes, segments, .. } = self;
        let mib = bytes >> 20;
        write!(f, "{} events journaled, {from_spool} of them from the spool, ", ids.len())?;
        write!(f, "{mib} MiB in {segments} segments")
    }
}

/// Which event a line holds, if its payload is the one that this event has.
fn check_payload(line: &str) -> Result<Number, String> {
    let (_, rest) = line.split_once(",\"payload\":").ok_or("no payload")?;
    let numbers = between(rest, "{\"of\":[", "]");
    let numbers: Vec<u32> = numbers.split(',').filter_map(|text| text.parse().ok()).collect();
    let [stream, life, event, fill_bytes] = numbers[..] else {
        return Err(format!("a payload that begins with {:?}", &rest[..rest.len().min(40)]));
    };
    let number = Number { stream, life, event };
    let expected = payload(number, fill_bytes as usize);
    let after = rest.as_bytes().strip_prefix(expected.as_slice());
    let whole = matches!(after, Some(b"}" | b",\"event\":\"Numbered\"}"));
    if whole { Ok(number) } else { Err(format!("another payload than that of {number:?}")) }
}

/// What stands between two texts; nothing if they are not there.
fn between<'a>(line: &'a str, begin: &str, end: &str) -> &'a str {
    let rest = line.split_once(begin).map_or("", |(_, rest)| rest);
    rest.split_once(end).map_or("", |(found, _)| found)
}
