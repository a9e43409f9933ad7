//! Looks for a secret in an output in every way that a curious reader might: as it is, and decoded.

use crate::decoded::forms;

const MAX_DEPTH: u32 = 5;

/// Whether the secret can be read from a text, decoded or not.
pub(crate) fn leaks(text: &str, secret: &str) -> bool {
    in_text(text, secret, MAX_DEPTH)
}

fn in_text(text: &str, secret: &str, depth: u32) -> bool {
    text.contains(secret)
        || (depth > 0 && forms(text).iter().any(|form| in_text(form, secret, depth - 1)))
}
