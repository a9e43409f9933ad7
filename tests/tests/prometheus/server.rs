//! A Prometheus of its own, where `tests/real.sh` put it, and its answers.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hookring_tests::Bed;
use serde_json::Value;

/// One of its programs, where `tests/real.sh` put them.
pub(crate) fn program(name: &str) -> Command {
    let dir = std::env::var_os("HOOKRING_TEST_REAL_DIR");
    let dir = PathBuf::from(dir.expect("tests/real.sh says where it installed Prometheus"));
    Command::new(dir.join("prometheus/usr/bin").join(name))
}

/// The rules that users take.
pub(crate) fn rules() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/hookring.rules.yml"))
}

/// Killed when dropped.
pub(crate) struct Prometheus {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// One that scrapes twice a second and goes by our rules, with its files in the bed.
    pub(crate) fn scraping(bed: &Bed, target: &str) -> Prometheus {
        Prometheus::going_by(bed, target, &rules())
    }

    /// The same with other rules.
    pub(crate) fn going_by(bed: &Bed, target: &str, rules: &Path) -> Prometheus {
        let path = |name: &str| bed.path().join(name);
        let config = format!(
            "global: {{ scrape_interval: 500ms, evaluation_interval: 1s }}\nrule_files: [\"{}\"]\nscrape_configs:\n  - job_name: hookring\n    static_configs:\n      \
             - targets: [\"{target}\"]\n",
            rules.display()
        );
        fs::write(path("prometheus.yml"), config).expect("its configuration");
        // It takes no port 0. Whoever takes this one meanwhile has it end, and the test fail with its log.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("its address").to_string();
        drop(free);
        let child = program("prometheus")
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(File::create(path("prometheus.log")).expect("its log"))
            .spawn()
            .expect("it starts");
        Prometheus { child, address }
    }

    /// The values of a query's series; none while it cannot be asked.
    pub(crate) fn values(&self, query: &str) -> Vec<f64> {
        let escape = |byte: u8| format!("%{byte:02X}");
        let query: String = query.bytes().map(escape).collect();
        let Some(body) = get(&self.address, &format!("/api/v1/query?query={query}"), "") else {
            return Vec::new();
        };
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
        series.iter().filter_map(value).collect()
    }
}

/// The body of an answer.
pub(crate) fn get(address: &str, path: &str, header: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}
