//! A daemon with all kinds of sinks, the hooks that publish to it, and all that is to be seen of both.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;

use flate2::read::MultiGzDecoder;
use hookring_faults::FaultServer;
use hookring_tests::{Bed, Daemon, wait_for};
use ruzstd::decoding::StreamingDecoder;

use crate::chance::Chance;
use crate::plant::{PATTERN, Plant, VARIABLES};
use crate::search::Search;

/// Secrets, and where each is to be seen.
type Found = Vec<(String, String)>;

pub(crate) struct Stand {
    bed: Bed,
    /// Takes what webhooks and the sink of OTLP send.
    server: FaultServer,
    /// Outside of the bed: the hooks' folders are named after secrets.
    folders: tempfile::TempDir,
    /// How many hooks run before there is a daemon.
    early: usize,
    variables: Vec<(&'static str, String)>,
    places: Cell<usize>,
    bytes: Cell<usize>,
}

impl Stand {
    pub(crate) fn new(chance: &mut Chance, plants: &[Plant]) -> Stand {
        let bed = Bed::new();
        let sink = |name: &str, compress: &str| {
            format!(
                "[sinks.{name}-file]\ntype = \"jsonl\"\nrotate_bytes = \"4KiB\"\ncompress = \"{compress}\"\n"
            )
        };
        let server = FaultServer::start();
        let hook = |format: &str| {
            format!(
                "[sinks.{format}]\ntype = \"webhook\"\nstart = \"oldest\"\nbatches = true\n\
                 format = \"{format}\"\nurl = \"{}\"\n",
                server.url("/")
            )
        };
        let apm = format!(
            "[sinks.apm]\ntype = \"otlp\"\nstart = \"oldest\"\nendpoint = \"{}\"\ncontent = true\n\
             compression = \"none\"\n",
            server.url("")
        );
        bed.configure(&format!(
            "[log]\nlevel = \"trace\"\n[http]\nlisten = \"127.0.0.1:0\"\n[redact]\nmax_text = \"4KiB\"\n\
             [[redact.patterns]]\nname = \"ticket\"\npattern = '{PATTERN}'\nkeywords = [\"ticket-\"]\n\
             [sinks.screen]\ntype = \"stdout\"\nstart = \"oldest\"\n{}{}{}{}{}{}\
             [sinks.program]\ntype = \"exec\"\ncommand = [{:?}, {:?}, {:?}]\n",
            sink("plain", "none"),
            sink("gzip", "gzip"),
            sink("zstd", "zstd"),
            hook("cloudevents"),
            hook("slack"),
            apm,
            env!("CARGO_BIN_EXE_sink_program"),
            bed.path().join("hookring.toml"),
            bed.path()
        ));
        let value = |name: &&'static str| {
            let plant = plants.iter().find(|plant| plant.variable == Some(name))?;
            Some((*name, plant.secret.clone()))
        };
        Stand {
            bed,
            server,
            folders: tempfile::tempdir().expect("a folder"),
            early: chance.below(plants.len()),
            variables: VARIABLES.iter().filter_map(value).collect(),
            places: Cell::new(0),
            bytes: Cell::new(0),
        }
    }

    /// Runs the hooks and the daemon, and looks everywhere.
    pub(crate) fn run(&self, plants: &[Plant], search: &Search<'_>) -> Found {
        let (early, late) = plants.split_at(self.early);
        early.iter().for_each(|plant| self.hook(plant));
        let daemon = self.start();
        late.iter().for_each(|plant| self.hook(plant));
        // The daemon's own events are among them, so wait for more than those.
        wait_for("all hooks' events", || (self.hooks_events() >= plants.len()).then_some(()));
        let mut found = Found::new();
        self.look_at_ring_and_spool(search);
        self.look_at_commands(search, &mut found);
        self.look_at_metrics(search, &mut found);
        assert_eq!(daemon.stop(), 0);
        assert_eq!(self.hooks_events(), plants.len(), "each once");
        let kept = fs::read_to_string(self.bed.path().join("program.requests"));
        assert!(kept.is_ok_and(|kept| kept.contains("deliver")), "the program got events");
        self.look_at_files(self.bed.path(), search, &mut found);
        let requests = self.server.received();
        for line in ["POST /", "POST /v1/logs", "POST /v1/traces"] {
            assert!(requests.iter().any(|it| it.line == line), "{line} was never sent");
        }
        for request in requests {
            let mut bytes = request.body;
            bytes.extend(request.headers.iter().flat_map(|(_, value)| value.bytes()));
            self.look(&request.line, &bytes, search, &mut found);
        }
        found
    }

    /// How much was searched.
    pub(crate) fn looked_at(&self) -> String {
        format!("{} places with {} bytes looked at", self.places.get(), self.bytes.get())
    }

    fn hooks_events(&self) -> usize {
        let is_hooks =
            |line: &&Vec<u8>| !line.windows(16).any(|part| part == b"\"from\":\"daemon\",");
        self.bed.lines().iter().filter(is_hooks).count()
    }

    fn start(&self) -> Daemon {
        let _ = fs::remove_file(self.bed.path().join("status.json"));
        let file = |name: &str| File::create(self.bed.path().join(name)).expect("a file");
        let mut command = self.bed.command("hookring");
        command.arg("run").envs(self.variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(file("stdout.jsonl")).stderr(file("daemon.log"));
        let daemon = self.bed.adopt(command.spawn().expect("the daemon starts"));
        wait_for("the daemon to start", || {
            self.bed.path().join("status.json").exists().then_some(())
        });
        daemon
    }

    fn hook(&self, plant: &Plant) {
        let mut command = self.bed.command("hookring-emit");
        for (option, name) in [("--agent", &plant.agent), ("--event", &plant.event)] {
            name.iter().for_each(|name| {
                command.args([option, name]);
            });
        }
        let folder = self.folders.path().join(plant.folder.as_deref().unwrap_or("work"));
        fs::create_dir_all(&folder).expect("a folder");
        command.current_dir(folder).arg("--").args(&plant.arguments);
        let output = self.bed.run_hook(&mut command, &plant.payload);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }

    /// What was read is zeroed and unlinked right after it was journaled: nothing is to be left.
    fn look_at_ring_and_spool(&self, search: &Search<'_>) {
        let ring = self.bed.path().join("ring");
        wait_for("the ring to be zeroed", || {
            let bytes = fs::read(&ring).expect("the ring");
            search.in_bytes(&bytes).is_empty().then_some(())
        });
        wait_for("the spool to be empty", || {
            let entries =
                fs::read_dir(self.bed.path().join("spool")).into_iter().flatten().flatten();
            let mut files = entries.filter(|entry| entry.path().is_file());
            let is_left = |entry: fs::DirEntry| {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                !search.in_bytes(&bytes).is_empty()
            };
            (!files.any(is_left)).then_some(())
        });
    }

    fn look_at_commands(&self, search: &Search<'_>, found: &mut Found) {
        for args in [
            &["status"][..],
            &["status", "--json"],
            &["tail", "-n", "100000"],
            &["tail", "-n", "100000", "--json"],
            &["journal", "export"],
            &["journal", "verify"],
            &["config", "show"],
        ] {
            // Asked with the daemon's variables: `config show` has them, too.
            let mut command = self.bed.command("hookring");
            let output = command.args(args).envs(self.variables.iter().cloned()).output();
            let output = output.expect("hookring runs");
            self.look(&args.join(" "), &[output.stdout, output.stderr].concat(), search, found);
        }
    }

    /// Labels hold what agents say.
    fn look_at_metrics(&self, search: &Search<'_>, found: &mut Found) {
        let address = wait_for("an address", || {
            let address = self.bed.status()["http"]["listen"].as_str()?.to_owned();
            Some(address).filter(|it| !it.ends_with(":0"))
        });
        let mut stream = TcpStream::connect(&address).expect("it listens");
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the metrics");
        let answer_text = String::from_utf8_lossy(&answer);
        assert!(answer_text.contains("hookring_events_total{"), "{answer_text}");
        self.look("the metrics", &answer, search, found);
    }

    fn look_at_files(&self, folder: &Path, search: &Search<'_>, found: &mut Found) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let path = entry.path();
            self.look(
                &format!("the name {}", path.display()),
                entry.file_name().as_bytes(),
                search,
                found,
            );
            if path.is_dir() {
                self.look_at_files(&path, search, found);
            } else if path.is_file() {
                self.look(&path.display().to_string(), &content(&path), search, found);
            }
        }
    }

    fn look(&self, place: &str, bytes: &[u8], search: &Search<'_>, found: &mut Found) {
        self.places.set(self.places.get() + 1);
        self.bytes.set(self.bytes.get() + bytes.len());
        found
            .extend(search.in_bytes(bytes).into_iter().map(|it| (place.to_owned(), it.to_owned())));
    }
}

/// A file's bytes, behind those of its compression.
fn content(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = BufReader::new(File::open(path).expect("a file"));
    let read = match path.extension().and_then(|it| it.to_str()) {
        Some("gz") => MultiGzDecoder::new(file).read_to_end(&mut bytes),
        Some("zst") => StreamingDecoder::new(file).expect("a zstd frame").read_to_end(&mut bytes),
        _ => { file }.read_to_end(&mut bytes),
    };
    read.expect("its content");
    bytes
}
