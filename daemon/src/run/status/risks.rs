//! How many events had which risk.

use hookring_journal::model::Level;
use serde::{Deserialize, Serialize};

/// Events since the start by their `security_risk`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RisksStatus {
    /// Worth a note.
    pub low: u64,
    /// Worth a look.
    pub medium: u64,
    /// Can lose work or leak data.
    pub high: u64,
    /// Can lose a machine or its secrets.
    pub critical: u64,
}

impl From<[u64; Level::ALL.len()]> for RisksStatus {
    fn from([low, medium, high, critical]: [u64; Level::ALL.len()]) -> Self {
        RisksStatus { low, medium, high, critical }
    }
}
