//! A run as JSON: all that the table and the plots are made of.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use hookring_benches::figures::Figures;
use hookring_benches::machine::Machine;
use serde::{Deserialize, Serialize};

use crate::peers::Peer;
use crate::run::Run;

/// What was measured, and where.
#[derive(Serialize, Deserialize)]
pub(crate) struct Document {
    /// See [`Machine`].
    pub(crate) cpu: String,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// Processes that wanted a core in the minute before the run: what else the machine had to do.
    pub(crate) load: String,
    /// Every measurement of a cache line's way from core to core.
    pub(crate) hops_ns: Vec<f64>,
    pub(crate) is_quick: bool,
    /// No block was left out, and none failed.
    pub(crate) is_whole: bool,
    pub(crate) has_aeron: bool,
    pub(crate) figures: Figures,
}

impl Document {
    /// Of a run that is over.
    pub(crate) fn of(run: Run, machine: Machine, load: String, is_whole: bool) -> Document {
        let has_aeron = Peer::all().any(|peer| peer == Peer::Aeron);
        let Machine { cpu, kernel, rustc, .. } = machine;
        let Run { is_quick, hops: hops_ns, figures, .. } = run;
        Document { cpu, kernel, rustc, load, hops_ns, is_quick, is_whole, has_aeron, figures }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
    }

    pub(crate) fn read(path: &Path) -> Result<Document> {
        let text = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no run's", path.display()))
    }
}

/// The first of the system's load averages.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
