//! What stands in the place of a secret: `[redacted:RULE:HASH]`; and of what was cut off: `[cut: N bytes]`.

use std::sync::LazyLock;

use hmac::{Hmac, Mac as _};
use memchr::memmem::Finder;
use sha2::Sha256;

/// The first bytes of a secret's keyed hash.
pub(super) type Hash = [u8; 4];

const OPENING: &str = "[redacted:";
const CUT: &str = "[cut: ";
const HASH_DIGITS: usize = 8;

/// The longest id of a rule, in bytes.
pub(super) const MAX_ID_BYTES: usize = 64;

/// Hashes secrets with the daemon's key.
pub(super) struct Hasher(Hmac<Sha256>);

impl Hasher {
    pub(super) fn new(key: [u8; 32]) -> Hasher {
        // (An HMAC's key may have any length.)
        Hasher(Hmac::new_from_slice(&key).expect("a key of 32 bytes"))
    }

    pub(super) fn hash(&self, secret: &[u8]) -> Hash {
        let mut mac = self.0.clone();
        mac.update(secret);
        let all = mac.finalize().into_bytes();
        [all[0], all[1], all[2], all[3]]
    }
}

/// Appends the marker of a secret.
pub(super) fn push(out: &mut String, id: &str, hash: Hash) {
    out.push_str(OPENING);
    out.push_str(id);
    out.push_str(&format!(":{:08x}]", u32::from_be_bytes(hash)));
}

/// The markers in a text: where each begins and ends. Only those with an id that `is_id` knows, so that
/// a stranger cannot write something else in the shape of one.
pub(super) fn find(text: &str, is_id: impl Fn(&str) -> bool) -> Vec<(usize, usize)> {
    // (Made once: most texts are short.)
    static OPENINGS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(OPENING));
    let mut found = Vec::new();
    for at in OPENINGS.find_iter(text.as_bytes()) {
        if let Some(length) = length(&text[at + OPENING.len()..], &is_id) {
            found.push((at, at + OPENING.len() + length));
        }
    }
    found
}

/// Those of the markers that stand right beside what may belong to a secret.
pub(super) fn glued(text: &str, markers: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let is_glue = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-+.~!$%^*#".contains(byte))
    };
    let bytes = text.as_bytes();
    let is_glued = |&(begin, end): &(usize, usize)| {
        is_glue(begin.checked_sub(1).map(|at| &bytes[at])) || is_glue(bytes.get(end))
    };
    markers.iter().copied().filter(is_glued).collect()
}

/// How many bytes of a marker stand behind its opening.
fn length(behind: &str, is_id: impl Fn(&str) -> bool) -> Option<usize> {
    let id_bytes = behind.bytes().take(MAX_ID_BYTES + 1).position(|byte| byte == b':')?;
    let hash = behind.as_bytes().get(id_bytes + 1..id_bytes + 1 + HASH_DIGITS)?;
    let is_hash = hash.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let end = id_bytes + 1 + HASH_DIGITS;
    let is_marker =
        is_hash && behind.as_bytes().get(end) == Some(&b']') && is_id(&behind[..id_bytes]);
    is_marker.then_some(end + 1)
}

/// The longest marker of a cut, in bytes.
pub(super) const CUT_BYTES: usize = "[cut: 18446744073709551615 bytes]".len();

/// Cuts a text so that it has at most `max_bytes` together with the marker, which says how many it had.
/// None of the secrets' markers, which begin and end there, is cut in two.
pub(super) fn cut(
    text: &str,
    max_bytes: usize,
    original_bytes: usize,
    markers: &[(usize, usize)],
) -> String {
    let end = text.floor_char_boundary(max_bytes.saturating_sub(CUT_BYTES));
    let inside = markers.iter().find(|(begin, behind)| *begin < end && end < *behind);
    let end = inside.map_or(end, |(begin, _)| *begin);
    format!("{}{CUT}{original_bytes} bytes]", &text[..end])
}

/// A text without its markers, and without that of a cut at its end.
pub(super) fn without(text: &str, markers: &[(usize, usize)]) -> String {
    let end = cut_at(text).unwrap_or(text.len());
    let mut out = String::with_capacity(end);
    let mut at = 0;
    for &(begin, behind) in markers.iter().filter(|(_, behind)| *behind <= end) {
        // (One marker may stand in what only looks like another.)
        out.push_str(&text[at..begin.max(at)]);
        at = behind;
    }
    out.push_str(&text[at..end]);
    out
}

/// Whether a text was cut.
pub(super) fn is_cut(text: &str) -> bool {
    cut_at(text).is_some()
}

/// Where the marker of a cut begins at a text's end.
fn cut_at(text: &str) -> Option<usize> {
    let (before, digits) = text.strip_suffix(" bytes]")?.rsplit_once(CUT)?;
    let is_cut = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_cut.then_some(before.len())
}
