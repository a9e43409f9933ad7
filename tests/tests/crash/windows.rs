//! Whether a daemon that was just killed stood between two steps that belong together.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use hookring_bus::layout::{CONTROL_BYTES, CONTROL_OFFSET, word};
use hookring_tests::Bed;

use crate::victims::segments;

/// Kills that came in each.
#[derive(Default, Debug)]
pub(crate) struct Windows {
    /// Its last line was written, and what that says was not released from ring or spool.
    unreleased: u32,
    /// A segment was begun that did not have its name.
    unnamed: u32,
}

impl Windows {
    /// Whether kills came in both.
    pub(crate) fn are_hit(&self) -> bool {
        self.unreleased > 0 && self.unnamed > 0
    }

    /// Looks at what a dead daemon left.
    pub(crate) fn count(&mut self, bed: &Bed) {
        self.unnamed += u32::from(bed.path().join("journal/segment.new").exists());
        self.unreleased += u32::from(is_last_line_unreleased(bed).unwrap_or(false));
    }
}

/// `None`: there is no such line, or none that is whole.
fn is_last_line_unreleased(bed: &Bed) -> Option<bool> {
    let text = fs::read(segments(bed).pop()?).ok()?;
    let end = text.iter().rposition(|byte| *byte == b'\n')?;
    let line = text.get(..end)?.rsplit(|byte| *byte == b'\n').next()?;
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    let from: Vec<_> = line["from"].as_str()?.split('/').collect();
    match from[..] {
        ["ring", _, lane, end] => {
            let end = u64::from_str_radix(end, 16).expect("a position");
            let lane = usize::from_str_radix(lane, 16).expect("a lane");
            Some(head(&bed.path().join("ring"), lane)? < end)
        }
        ["spool", file] => Some(bed.path().join("spool").join(file).exists()),
        _ => None,
    }
}

/// Up to where the reader has released a lane.
fn head(ring: &Path, lane: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    let at = CONTROL_OFFSET + lane * CONTROL_BYTES + word::HEAD;
    File::open(ring).ok()?.read_exact_at(&mut bytes, at as u64).ok()?;
    Some(u64::from_le_bytes(bytes))
}
