//! A sample: a payload, and what the hook command is told beside it.

use std::path::PathBuf;

use hookring_pipeline::Received;
use hookring_pipeline::agents::Agent;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One line of `AGENT.jsonl`.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    /// Only `--agent` tells whose it is.
    #[serde(default, rename = "named")]
    pub(crate) is_named: bool,
    /// What `--event` says.
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    arguments: Vec<String>,
    /// How long after the sample before it, in ms; by default so long that nothing is taken for the same.
    #[serde(default)]
    after_ms: Option<u64>,
    /// What it is for.
    #[serde(default)]
    pub(crate) note: Option<String>,
    #[serde(default)]
    payload: Option<Box<RawValue>>,
    /// A payload that is not JSON.
    #[serde(default)]
    text: Option<String>,
}

/// A record without its times and id.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) agent: Option<&'static str>,
    pub(crate) event: Option<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) after_ms: u64,
    pub(crate) payload: Vec<u8>,
}

impl Sample {
    /// The samples of an agent.
    pub(crate) fn all(agent: &Agent) -> Vec<Sample> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
        let path = folder.join(format!("{}.jsonl", agent.name));
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let read = |line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{path:?}: {error}: {line}"))
        };
        text.lines().map(read).collect()
    }

    /// The payload as it stands on the hook's stdin.
    pub(crate) fn payload_text(&self) -> &str {
        let json = self.payload.as_deref().map(RawValue::get);
        json.or(self.text.as_deref()).unwrap_or_default()
    }

    pub(crate) fn received(&self, agent: Option<&'static str>) -> Record {
        Record {
            agent,
            event: self.event.clone(),
            arguments: self.arguments.clone(),
            after_ms: self.after_ms.unwrap_or(60_000),
            payload: self.payload_text().as_bytes().to_vec(),
        }
    }
}

impl Record {
    /// With the id and the time of the record of this number.
    pub(crate) fn at<T>(
        &self,
        id: u64,
        timestamp_ns: i64,
        make: impl FnOnce(&Received<'_>) -> T,
    ) -> T {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_bytes).collect();
        make(&Received {
            id: u128::from(id).to_be_bytes(),
            timestamp_ns,
            monotonic_ns: u64::try_from(timestamp_ns).ok(),
            agent: self.agent,
            event: self.event.as_deref(),
            directory: Some(b"/home/ada/app"),
            pid: 42,
            elapsed_us: 3,
            arguments: &arguments,
            truncated: false,
            payload: &self.payload,
        })
    }
}
