//! Whether a text may be a secret, or only stands where one would: placeholders, references, paths,
//! code, words.

use super::names::Strength;

/// Shannon's entropy in bits per byte.
pub(super) fn entropy_bits(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    let total = bytes.len() as f64;
    let of = |count: u32| f64::from(count) / total;
    counts.iter().filter(|count| **count > 0).map(|&count| -of(count) * of(count).log2()).sum()
}

/// Whether it stands for a secret that is not there.
pub(super) fn is_placeholder(value: &str) -> bool {
    const WHOLE: &[&str] = &[
        "",
        "any",
        "bool",
        "boolean",
        "bytes",
        "changeit",
        "default",
        "empty",
        "false",
        "hidden",
        "include",
        "inherit",
        "invalid",
        "masked",
        "missing",
        "n/a",
        "nil",
        "no",
        "none",
        "not set",
        "null",
        "number",
        "object",
        "off",
        "omit",
        "on",
        "optional",
        "pass",
        "passwd",
        "password",
        "required",
        "same-origin",
        "secret",
        "set",
        "str",
        "string",
        "test",
        "token",
        "true",
        "undefined",
        "unknown",
        "unset",
        "user",
        "username",
        "valid",
        "value",
        "yes",
    ];
    const PARTS: &[&str] = &[
        "changeme",
        "change-me",
        "change_me",
        "dummy",
        "example",
        "goes-here",
        "goes_here",
        "insert",
        "my-secret",
        "placeholder",
        "redacted",
        "replace-me",
        "replace_me",
        "replaceme",
        "xxxx",
        "your-",
        "your_",
        "your ",
        "yourpass",
        "yoursecret",
        "yourtoken",
        "****",
        "....",
        "{{",
        "process.env",
        "os.environ",
        "getenv",
        "env.",
        "secrets.",
        "env(",
    ];
    /// A longer text is not a placeholder for having one of those in it.
    const MAX_BYTES: usize = 48;
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    let first = value.bytes().next();
    WHOLE.contains(&lower.as_str())
        || is_reference(value)
        || value.starts_with('<') && value.ends_with('>')
        || value.len() <= MAX_BYTES && PARTS.iter().any(|part| lower.contains(part))
        || value.bytes().all(|byte| Some(byte) == first)
        || value
            .chars()
            .all(|char| matches!(char, '*' | 'x' | 'X' | '.' | '•' | '-' | '_' | '?' | '…' | '#'))
}

/// Whether it names a variable instead of having its value: `$NAME`, `${NAME}`, `$(command)`, `%NAME%`.
fn is_reference(value: &str) -> bool {
    if let Some(behind) = value.strip_prefix('$') {
        // `$2b$10$…` is a password's hash, `$ecret1` a password.
        let name = behind.trim_end_matches([';', '"', '\'', '}']).trim_start_matches(['{', '(']);
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_upper = !name.bytes().any(|byte| byte.is_ascii_lowercase());
        return behind.starts_with(['{', '(']) || is_name && (is_upper || !has_digit(name));
    }
    let inner = value.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'));
    inner.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        || value.starts_with('`')
        || value.starts_with("{{")
}

/// Whether it is the path of a file, and not the text of a key with slashes in it.
pub(super) fn is_path(value: &str) -> bool {
    const MAX_SEGMENT_BYTES: usize = 32;
    const MAX_ENTROPY_BITS: f64 = 4.2;
    /// No text of so few bytes has more, as 2^4.2 is 18.4.
    const SURE_BYTES: usize = 18;
    let bytes = value.as_bytes();
    let drive = bytes.len() > 2 && bytes[1] == b':' && matches!(bytes[2], b'\\' | b'/');
    let begins = drive || ["/", "~/", "./", "../"].iter().any(|begin| value.starts_with(begin));
    let short = |segment: &str| {
        segment.len() <= SURE_BYTES
            || segment.len() <= MAX_SEGMENT_BYTES
                && entropy_bits(segment.as_bytes()) < MAX_ENTROPY_BITS
    };
    begins && !value.contains(['+', '=']) && value.split(['/', '\\']).all(short)
}

/// Whether it is an address without a user in it.
pub(super) fn is_plain_url(value: &str) -> bool {
    value.split_once("://").is_some_and(|(scheme, rest)| {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
            && !host.contains('@')
    })
}

/// Whether it is a UUID in its usual form.
pub(super) fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether the value of a JSON member may be a secret, as its name is one of that strength.
pub(super) fn may_be_value(value: &str, strength: Strength) -> bool {
    if is_placeholder(value) || is_path(value) {
        return false;
    }
    match strength {
        Strength::Any => true,
        Strength::Some => {
            value.len() >= 6 && !is_words(value) && !is_plain_url(value) && !is_uuid(value)
        }
        Strength::Strict => is_random(value, 16),
    }
}

/// Whether it has at least `min_bytes` and looks as if chance had made it.
pub(super) fn is_random(value: &str, min_bytes: usize) -> bool {
    let has_letter = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    value.len() >= min_bytes
        && has_letter
        && value.bytes().filter(u8::is_ascii_digit).count() >= 2
        && !value.contains(char::is_whitespace)
        && !is_uuid(value)
        && !is_plain_url(value)
        && !is_path(value)
        && entropy_bits(value.as_bytes()) >= 3.0
}

/// Words, identifiers and code: letters with nothing but what joins them, or a call.
pub(super) fn is_words(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_.,: /?!'|&*".contains(&byte))
}

/// Whether an unquoted value is an expression of a programming language.
pub(super) fn is_code(value: &str) -> bool {
    let is_accessed = value.split('.').count() > 1
        && value.split('.').all(|part| {
            part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        });
    value.contains(['(', '{', '[', ']', '}', '<', '>'])
        || is_identifier(value)
        || value.contains("::")
        || value.contains("->")
        || is_accessed && value.split('.').all(|part| part.len() < 30)
}

/// Words joined by underscores, some with a number at their ends: `_types_net_4`.
fn is_identifier(value: &str) -> bool {
    const MAX_DIGITS: usize = 4;
    let is_word = |part: &str| {
        let letters = part.trim_end_matches(|char: char| char.is_ascii_digit());
        part.len() - letters.len() <= MAX_DIGITS
            && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    value.matches('_').count() > 1 && value.split('_').all(is_word)
}

/// Whether there is a digit in it.
pub(super) fn has_digit(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit())
}
