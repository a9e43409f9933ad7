//! The places that events go to: a file, two web servers, a program. All but the file fail all the time.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookring_faults::{FaultServer, Reply};
use hookring_tests::{Bed, SMALL};
use serde_json::Value;

use crate::arrivals::Arrivals;
use crate::numbered::Rng;
use crate::seed::Seed;

/// Their names as sinks.
pub(crate) const SINKS: [&str; 4] = ["file", "single", "batches", "program"];

/// See the module.
pub(crate) struct Places {
    elsewhere: Bed,
    single: Server,
    batches: Server,
    seed: u64,
}

/// A web server, and what it took.
struct Server {
    server: FaultServer,
    mood: Arc<Mutex<Mood>>,
}

struct Mood {
    rng: Rng,
    /// So many requests of a hundred are not taken.
    faults_percent: u64,
    arrivals: Arrivals,
}

impl Places {
    pub(crate) fn start(seed: &Seed) -> Places {
        let (single, batches) = (Server::start(seed.rng(2001)), Server::start(seed.rng(2002)));
        Places { elsewhere: Bed::new(), single, batches, seed: seed.rng(2003).bits() }
    }

    /// A folder on another disk than the journal's.
    pub(crate) fn folder(&self) -> &Bed {
        &self.elsewhere
    }

    /// The configuration with sinks for all of them.
    pub(crate) fn config(&self, batch_events: &str, batch_age: &str) -> String {
        let (file, taken) = (self.file(), self.taken());
        let program = env!("CARGO_BIN_EXE_take_events");
        let common = format!("batch_events = {batch_events}\nbatch_age = \"{batch_age}\"\n");
        [
            SMALL.to_owned(),
            format!("[sinks.file]\ntype = \"jsonl\"\nrotate_bytes = \"1TiB\"\npath = \"{}\"", file.display()),
            common.clone(),
            format!("[sinks.single]\ntype = \"webhook\"\ntimeout = \"1s\"\nurl = \"{}\"", self.single.server.url("/e")),
            format!("batch_events = {batch_events}"),
            format!("[sinks.batches]\ntype = \"webhook\"\nbatches = true\ntimeout = \"1s\"\nurl = \"{}\"", self.batches.server.url("/e")),
            common.clone(),
            format!("[sinks.program]\ntype = \"exec\"\ntimeout = \"1s\"\ncommand = [\"{program}\", \"{}\", \"{}\"]", taken.display(), self.seed),
            common,
        ]
        .join("\n")
    }

    /// From now on the servers fail more often, or less.
    pub(crate) fn change(&self, rng: &mut Rng) {
        for server in [&self.single, &self.batches] {
            server.lock().faults_percent = [0, 2, 20, 100][rng.below(4) as usize];
        }
    }

    /// From now on everything is taken.
    pub(crate) fn calm(&self) {
        for server in [&self.single, &self.batches] {
            server.lock().faults_percent = 0;
        }
        fs::write(self.taken().with_added_extension("calm"), "").expect("a sign");
    }

    /// What each place has, which has nothing afterwards.
    pub(crate) fn arrivals(&self) -> [(&'static str, Arrivals); 4] {
        let mut file = Arrivals::default();
        for line in fs::read_to_string(self.file()).expect("the file").lines() {
            file.enter(&serde_json::from_str(line).expect("JSON"));
        }
        let mut program = Arrivals::default();
        for line in fs::read_to_string(self.taken()).expect("the program's file").lines() {
            let (id, of) = line.split_once(' ').expect("an id and numbers");
            let value = |text| serde_json::from_str::<Value>(text).expect("JSON");
            program.note(&value(id), &value(of));
        }
        let taken = |server: &Server| std::mem::take(&mut server.lock().arrivals);
        [
            ("file", file),
            ("single", taken(&self.single)),
            ("batches", taken(&self.batches)),
            ("program", program),
        ]
    }

    fn file(&self) -> PathBuf {
        self.elsewhere.path().join("events.jsonl")
    }

    fn taken(&self) -> PathBuf {
        self.elsewhere.path().join("taken")
    }
}

impl Server {
    fn start(rng: Rng) -> Server {
        let server = FaultServer::start();
        server.count_only();
        let mood = Mood { rng, faults_percent: 20, arrivals: Arrivals::default() };
        let mood = Arc::new(Mutex::new(mood));
        let its = Arc::clone(&mood);
        server.set_rule(move |request| {
            its.lock().unwrap_or_else(PoisonError::into_inner).reply(&request.body)
        });
        Server { server, mood }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mood {
    fn reply(&mut self, body: &[u8]) -> Reply {
        // (A connection is asked about before anything came on it.)
        let body: Value = match body {
            [] => Value::Null,
            body => serde_json::from_slice(body).expect("JSON"),
        };
        let events = body.as_array().map_or(1, Vec::len);
        if events == 1 && self.rng.percent(self.faults_percent / 10) {
            let event = body.get(0).unwrap_or(&body);
            self.arrivals.reject(event);
            // It is a dead letter, until somebody has it sent again.
            return Reply::status(if event.is_null() { 500 } else { 400 });
        }
        if self.rng.percent(self.faults_percent) {
            let is_early = body.is_null();
            return self.fault(events).unwrap_or(if is_early {
                Reply::ok()
            } else {
                Reply::status(500)
            });
        }
        match &body {
            Value::Null => {}
            Value::Array(events) => events.iter().for_each(|event| self.arrivals.enter(event)),
            event => self.arrivals.enter(event),
        }
        Reply::ok()
    }

    /// What is no end of an event.
    fn fault(&mut self, events: usize) -> Option<Reply> {
        let zero: [(&str, &str); 1] = [("Retry-After", "0")];
        Some(match self.rng.below(12) {
            0 => Reply::status(500),
            1 => Reply::with(503, &zero, "later"),
            2 => Reply::with(429, &[("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")], ""),
            3 => Reply::status(408),
            4 | 5 if events > 1 => Reply::status(413),
            6 if events > 1 => Reply::status(400),
            7 => Reply::endless_body(502),
            9 if self.rng.percent(10) => Reply::status(410),
            8 => Reply::drip(Duration::from_millis(300)),
            _ => {
                let faults = Reply::faults();
                let at = self.rng.below(faults.len() as u64) as usize;
                faults.into_iter().nth(at)?.1
            }
        })
    }
}
