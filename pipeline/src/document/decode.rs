//! From the characters of a JSON string, as they are written, to those that they mean.

/// Decodes what stands between the quotes of a grammatical JSON string. Half a surrogate pair becomes
/// U+FFFD, and so does whatever is not as the grammar wants it.
pub(super) fn decode(mut characters: &str) -> String {
    let mut text = String::with_capacity(characters.len());
    while let Some(backslash) = memchr::memchr(b'\\', characters.as_bytes()) {
        text.push_str(&characters[..backslash]);
        let (character, used) = escaped(&characters.as_bytes()[backslash + 1..]);
        text.push(character);
        // (In a grammatical string, an escape ends where a character does.)
        let behind = (backslash + 1 + used).min(characters.len());
        characters = &characters[characters.ceil_char_boundary(behind)..];
    }
    text.push_str(characters);
    text
}

/// The character that an escape means, and how many bytes it takes behind its backslash.
fn escaped(behind: &[u8]) -> (char, usize) {
    let simple = match behind.first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(behind),
        Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
        _ => char::REPLACEMENT_CHARACTER,
    };
    (simple, 1)
}

fn unicode(behind: &[u8]) -> (char, usize) {
    let Some(unit) = unit(behind) else { return (char::REPLACEMENT_CHARACTER, 1) };
    let low = behind[5..].strip_prefix(b"\\").and_then(self::unit);
    match (unit, low) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11)
        }
        _ => (char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), 5),
    }
}

/// The UTF-16 unit that `u` and four hex digits mean.
fn unit(characters: &[u8]) -> Option<u32> {
    let digits = characters.strip_prefix(b"u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
