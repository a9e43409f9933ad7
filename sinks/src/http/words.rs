//! What a server says, in a form that can be shown.

use ureq::http::Uri;
use zeroize::Zeroizing;

/// What of it is shown, in characters.
const MAX_WORDS_CHARS: usize = 300;
/// A shorter part of a secret, or of an address, says nothing, in bytes.
const MIN_SECRET_BYTES: usize = 4;

/// The beginning of what a server says, on one line, without what is secret: some send back what they got, in
/// whole or in parts.
pub(crate) fn words(body: &[u8], uri: &Uri, secrets: &[Zeroizing<String>]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    let is_joint = |char: char| char.is_whitespace() || "/?&=,;\"".contains(char);
    let address = uri.path_and_query().map_or("", |it| it.as_str());
    let secrets = secrets.iter().map(|secret| secret.as_str());
    let wholes = secrets.clone().chain([address]);
    let parts = wholes.flat_map(|whole| std::iter::once(whole).chain(whole.split(is_joint)));
    let parts = parts.filter(|part| part.len() >= MIN_SECRET_BYTES);
    let mut parts: Vec<&str> = parts.chain(secrets.filter(|it| !it.is_empty())).collect();
    // The longest first, which have the others in them.
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    for part in parts {
        text = text.replace(part, "***");
    }
    let line: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(MAX_WORDS_CHARS).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}
