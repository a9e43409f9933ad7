//! Looks for secrets in bytes in every way that a curious reader might: as they are, and behind JSON, escapes,
//! percent signs and base64, in any order. Written without the redactor's own code.

use std::collections::HashSet;

use crate::decoded::forms;

/// So many decodings on top of each other.
const MAX_DEPTH: u32 = 7;
/// Shorter texts hold none.
const MIN_BYTES: usize = 8;

/// What is looked for.
pub(crate) struct Search<'s>(Vec<&'s str>);

impl<'s> Search<'s> {
    pub(crate) fn new(secrets: impl IntoIterator<Item = &'s str>) -> Search<'s> {
        Search(secrets.into_iter().collect())
    }

    /// The secrets that can be read from these bytes.
    pub(crate) fn in_bytes(&self, bytes: &[u8]) -> Vec<&'s str> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        // A ring is zeroes, mostly; a journal and a sink have a line for each event.
        for part in bytes.split(|byte| matches!(byte, 0 | b'\n')).filter(|part| !part.is_empty()) {
            self.look(&String::from_utf8_lossy(part), MAX_DEPTH, &mut seen, &mut found);
        }
        // A secret may have several lines.
        let whole = String::from_utf8_lossy(bytes);
        found.extend(
            self.0.iter().filter(|secret| secret.contains('\n') && whole.contains(**secret)),
        );
        found.sort_unstable();
        found.dedup();
        found
    }

    fn look(&self, text: &str, depth: u32, seen: &mut HashSet<String>, found: &mut Vec<&'s str>) {
        if !seen.insert(text.to_owned()) {
            return;
        }
        found.extend(self.0.iter().filter(|secret| text.contains(**secret)));
        if depth > 0 {
            for form in forms(text).into_iter().filter(|form| form.len() >= MIN_BYTES) {
                self.look(&form, depth - 1, seen, found);
            }
        }
    }
}
