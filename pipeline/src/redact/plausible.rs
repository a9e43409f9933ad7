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
    let value = value.trim();
    let first = value.bytes().next();
    WHOLE.iter().any(|whole| value.eq_ignore_ascii_case(whole))
        || is_reference(value)
        || is_access(value)
        || is_request(value)
        || is_mask(value)
        || value.bytes().all(|byte| Some(byte) == first)
}

/// Words that ask for a value: `your-api-key`, `<password>`, `changeme2`. What has digits or signs among
/// its letters is made up by nobody who only wants to say that.
fn is_request(value: &str) -> bool {
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
        "your-",
        "your_",
        "your ",
        "yourpass",
        "yoursecret",
        "yourtoken",
    ];
    /// A longer text is not a placeholder for having one of those in it.
    const MAX_BYTES: usize = 48;
    if value.len() > MAX_BYTES {
        return false;
    }
    let is_plain = |text: &str| text.split(['-', '_', '.', ' ', ':', '/']).all(is_word);
    if let Some(inner) = value.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        return is_plain(inner);
    }
    if is_marker_like(value) {
        return true;
    }
    let inner = value.trim_matches(['[', ']', '<', '>', '(', ')', '{', '}', '"', '\'']);
    let lower = inner.to_ascii_lowercase();
    PARTS.iter().any(|part| lower.contains(part)) && is_plain(inner)
}

/// What a rule that is gone, or another daemon, put in a secret's place.
fn is_marker_like(value: &str) -> bool {
    let inner = value.strip_prefix("[redacted:").and_then(|rest| rest.strip_suffix(']'));
    inner.and_then(|inner| inner.split_once(':')).is_some_and(|(id, hash)| {
        id.split('-').all(is_word)
            && hash.len() == 8
            && hash.bytes().all(|it| it.is_ascii_hexdigit())
    })
}

/// Letters, and a short number at their end.
fn is_word(part: &str) -> bool {
    const MAX_DIGITS: usize = 4;
    let letters = part.trim_end_matches(|char: char| char.is_ascii_digit());
    part.len() - letters.len() <= MAX_DIGITS
        && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// What was made unreadable before: signs, and not much of what they cover.
fn is_mask(value: &str) -> bool {
    const MAX_SHOWN: usize = 12;
    let is_sign =
        |char: char| matches!(char, '*' | 'x' | 'X' | '.' | '•' | '-' | '_' | '?' | '…' | '#');
    let shown = value.chars().filter(|&char| !is_sign(char)).count();
    let is_covered = ["****", "....", "xxxx", "XXXX", "••••"].iter().any(|run| value.contains(run));
    shown == 0 || is_covered && shown <= MAX_SHOWN && value.chars().count() >= 2 * shown
}

/// Whether it names a variable instead of having its value: `$NAME`, `${NAME}`, `$(command)`, `%NAME%`.
fn is_reference(value: &str) -> bool {
    let is_name = |name: &str| {
        let bytes = name.as_bytes();
        bytes.first().is_some_and(|byte| !byte.is_ascii_digit())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let enclosed =
        |begin: &str, end: &str| value.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
    if let Some(inner) = enclosed("{{", "}}").or_else(|| enclosed("${{", "}}")) {
        return inner.split(['.', ' ', '|', '-']).all(|part| part.is_empty() || is_name(part));
    }
    if let Some(inner) = enclosed("${", "}") {
        // (What follows `:-` is taken if the variable has no value.)
        let (path, rest) = inner.split_at(inner.find([':', '-', '?']).unwrap_or(inner.len()));
        let default = rest.trim_start_matches([':', '-', '?', '=']);
        return path.split('.').all(is_name) && (default.is_empty() || is_words(default));
    }
    if enclosed("$(", ")").is_some() {
        return true;
    }
    // What a text is made of in several languages: `{password}`, `{self.password}`.
    if let Some(inner) = enclosed("{", "}") {
        return inner.split('.').all(|part| is_name(part) && part.split('_').all(is_word));
    }
    if let Some(behind) = value.strip_prefix('$') {
        // `$2b$10$…` is a password's hash, `$ecret1` a password, and `$XK29FJ` too.
        let name = behind.trim_end_matches([';', '"', '\'']);
        let name = name.strip_prefix("env:").unwrap_or(name);
        let is_upper = !name.bytes().any(|byte| byte.is_ascii_lowercase());
        return is_name(name) && name.split('_').all(is_word) && (is_upper || !has_digit(name));
    }
    enclosed("%", "%").is_some_and(is_name)
}

/// Whether it asks the environment in some language: `process.env.NAME`, `os.getenv("NAME")`.
fn is_access(value: &str) -> bool {
    const OBJECTS: [&str; 6] = ["env", "environ", "environment", "getenv", "secrets", "vars"];
    let head = value.split(['(', '[', '!']).next().unwrap_or_default();
    let mut parts = head.split(['.', ':', '_']).filter(|part| !part.is_empty());
    let is_called = head.len() < value.len() || head.contains('.');
    let names_it = || {
        head.split(['.', ':']).any(|part| OBJECTS.iter().any(|it| part.eq_ignore_ascii_case(it)))
    };
    is_called && parts.all(is_word) && names_it()
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

/// Whether it is a path that no password looks like: of several names, and none of letters of both
/// cases and digits.
pub(super) fn is_sure_path(value: &str) -> bool {
    let is_plain = |name: &str| {
        let is_name =
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-~: ".contains(&byte));
        let has = |is: fn(&u8) -> bool| name.as_bytes().iter().any(is);
        is_name
            && !(has(u8::is_ascii_digit)
                && has(u8::is_ascii_lowercase)
                && has(u8::is_ascii_uppercase))
    };
    let mut names = value.split(['/', '\\']).filter(|name| !matches!(*name, "" | "." | ".." | "~"));
    is_path(value) && names.clone().count() > 1 && names.all(is_plain)
}

/// Whether the value of a JSON member may be a secret, as its name is one of that strength.
pub(super) fn may_be_value(value: &str, strength: Strength) -> bool {
    let is_file = if strength >= Strength::Any { is_sure_path } else { is_path };
    if is_placeholder(value) || strength < Strength::Listed && is_file(value) {
        return false;
    }
    match strength {
        Strength::Any | Strength::Listed => true,
        Strength::Some => {
            let is_words = is_words(value) && !is_random_letters(value);
            value.len() >= 6 && !is_words && !is_plain_url(value) && !is_uuid(value)
        }
        Strength::Strict => is_random(value, 16) || is_random_letters(value),
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

/// Whether it is of letters only, and so many that words would look otherwise.
pub(super) fn is_random_letters(value: &str) -> bool {
    const LETTERS: std::ops::RangeInclusive<usize> = 20..=256;
    /// Signs of chance that must come together, as names of things have one at times.
    const MIN_SIGNS: usize = 2;
    let bytes = value.as_bytes();
    if !LETTERS.contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_alphabetic) {
        return false;
    }
    let count =
        |set: &[u8]| bytes.iter().filter(|it| set.contains(&it.to_ascii_lowercase())).count();
    let pairs =
        |is: fn(u8, u8) -> bool| bytes.windows(2).filter(|pair| is(pair[0], pair[1])).count();
    let turns = pairs(|a, b| a.is_ascii_lowercase() != b.is_ascii_lowercase());
    let steps = pairs(|a, b| a.to_ascii_lowercase() + 1 == b.to_ascii_lowercase());
    let is_vowel = |byte: &u8| b"aeiou".contains(&byte.to_ascii_lowercase());
    let longest = bytes.split(is_vowel).map(<[u8]>::len).max().unwrap_or_default();
    let signs = [
        turns * 100 >= bytes.len() * 35,
        count(b"jqxz") * 100 >= bytes.len() * 8,
        count(b"aeiou") * 100 <= bytes.len() * 23,
        longest >= 6,
    ];
    // (Not the alphabet.)
    signs.into_iter().filter(|sign| *sign).count() >= MIN_SIGNS && steps * 3 < bytes.len()
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
        || value.starts_with("self.")
        || value.starts_with("this.")
        || is_identifier(value)
        || value.contains("::")
        || value.contains("->")
        || is_accessed && value.split('.').all(|part| part.len() < 30)
}

/// Words joined by underscores, some with a number at their ends: `_types_net_4`.
fn is_identifier(value: &str) -> bool {
    value.matches('_').count() > 1 && value.split('_').all(is_word)
}

/// Whether it is the name of a constant: `TLS_MODE_2`, or where it may not be a text, `WBEM_128BITS` as well.
pub(super) fn is_constant(value: &str, is_quoted: bool) -> bool {
    let is_upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    value.bytes().all(is_upper)
        && if is_quoted { is_identifier(value) } else { value.contains('_') }
}

/// Whether it is several words with something between them, some with a number at their ends: `scram-sha-256`.
pub(super) fn is_joined_words(value: &str) -> bool {
    value.matches(['-', '_', '.']).count() > 1 && value.split(['-', '_', '.']).all(is_word)
}

/// Whether there is a sign in it that patterns and calls are made of, and what is random is not.
pub(super) fn has_brackets(value: &str) -> bool {
    value.contains(['(', ')', '[', ']', '{', '}', '<', '>', '\\'])
}

/// Whether there is a digit in it.
pub(super) fn has_digit(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_one_as_a_whole() {
        let placeholders = [
            "<password>",
            "<your-key-2>",
            "${VAR}",
            "${VAR:-}",
            "${{ secrets.DEPLOY_KEY }}",
            "{{ vault.password }}",
            "$DB_PASS2",
            "$env:DB_PASS",
            "$(cat /run/secrets/db)",
            "%DB_PASS%",
            "your-api-key",
            "YOUR_API_KEY_HERE",
            "changeme",
            "changeme123",
            "example-token",
            "sk-ant-api03-xxxxxxxxxxxxxxxxxxxxxxxx",
            "****",
            "ghp_****",
            "{password}",
            "{self.db_password}",
            "process.env.API_KEY",
            "os.environ[\"API_KEY\"]",
            "os.getenv(\"API_KEY\")",
            "env(\"API_KEY\")",
            "secrets.API_KEY",
        ];
        for value in placeholders {
            assert!(is_placeholder(value), "{value}");
            assert!(!may_be_value(value, Strength::Any), "{value}");
        }
        for value in ["/run/secrets/db_password", "./conf/secret.txt", "~/.ssh/id_rsa"] {
            assert!(!may_be_value(value, Strength::Any), "{value}");
        }
    }

    #[test]
    fn letters_of_chance_are_told_from_names() {
        for value in ["qXbTzKwPjLmRvNsGdFhYcQxZtBkWpJnV", "kqzvtrwpxjmbnfhdgcslkqwzxrtvbpmn"] {
            assert!(is_random_letters(value), "{value}");
        }
        let names = [
            "AWSSecretAccessKeyIdentifier",
            "HTTPSXMLRequestHandlerFactory",
            "thisismyveryownsecretpassword",
            "abcdefghijklmnopqrstuvwxyz",
            "getAuthenticationTokenFromEnvironment",
        ];
        for value in names {
            assert!(!is_random_letters(value), "{value}");
        }
    }

    #[test]
    fn what_only_has_a_part_of_a_placeholder_is_a_secret() {
        let secrets = [
            "/S3cret!pw",
            "./S3cretpw",
            "`S3cretpw`",
            "$XK29FJQ7PL0",
            "$ecret1",
            "${Xk29fj!",
            "${Xk29fj!}",
            "${DB_PASS:-Xk29fjQ7}",
            "{Xk29fj!}",
            "{Xk29fjQ7}",
            "<Xk29fjQ7pL0>",
            "fooxxxx29fjQ7pL0",
            "Insert7!pLq",
            "dummyhead77!",
            "example-Xk29fjQ7",
            "kenv.9a8b7c6d5e4f3g2h",
            "env.9a8b7c6d5e4f3g2h",
            "process.env.API_KEY || \"Xk29fjQ7\"",
        ];
        for value in secrets {
            assert!(may_be_value(value, Strength::Any), "{value}");
        }
    }
}
