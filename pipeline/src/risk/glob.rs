//! Globs: `*` and `?`, and no more.

/// Whether the whole text is as the pattern says. Time: their lengths' product at worst.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    // Most globs end in a name, and most texts in another one.
    if let Some(last) = pattern.last()
        && !matches!(last, b'*' | b'?')
        && text.last() != Some(last)
    {
        return false;
    }
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where to go on if what follows the last star does not fit.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                star = Some((at_pattern + 1, at_text));
                at_pattern += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[at_text] => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => {
                let Some((behind_star, begin)) = star else { return false };
                star = Some((behind_star, begin + 1));
                at_pattern = behind_star;
                at_text = begin + 1;
            }
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

/// Whether it has something in it that stands for other characters.
pub(super) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}
