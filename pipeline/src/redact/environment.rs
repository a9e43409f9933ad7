//! Picks the daemon's own variables whose values are secrets, and the forms in which such a value may
//! stand in a payload.

use std::fmt::Write as _;

use hookring_journal::text::push_json_characters;

use super::names::words;
use super::plausible::{is_path, is_placeholder, is_plain_url};

/// Shorter values would be found in other words, in bytes.
const MIN_BYTES: usize = 8;

/// Values of letters only count from this length on, in bytes.
const MIN_WORD_BYTES: usize = 20;

/// The values of the variables that are named like secrets, longest first, each once.
pub(super) fn secrets(environment: &[(String, String)]) -> Vec<&str> {
    let is_secret =
        |(name, value): &&(String, String)| is_secret_name(name) && may_be_secret(value);
    let whole = environment.iter().filter(is_secret).map(|(_, value)| value.as_str());
    let inner = environment.iter().filter_map(|(_, value)| password_in_url(value));
    let inner = inner.filter(|password| may_be_secret(password));
    let mut values: Vec<_> = whole.chain(inner).collect();
    values.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    values.dedup();
    values
}

/// How a value may be written: as it is, in strings of JSON inside each other, in a URL, in a form.
pub(super) fn forms(value: &str) -> Vec<Vec<u8>> {
    let mut url = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    let form = url.replace("%20", "+");
    let mut forms = json_forms(value);
    forms.extend([url.into_bytes(), form.into_bytes()]);
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// A text as it is, and as it is in strings of JSON inside each other.
pub(super) fn json_forms(text: &str) -> Vec<Vec<u8>> {
    /// As many as layers are looked into: what is not found here, nobody decodes.
    const LEVELS: usize = 6;
    let mut forms = vec![text.as_bytes().to_vec()];
    let mut form = text.to_owned();
    for _ in 0..LEVELS {
        let mut next = Vec::new();
        push_json_characters(&mut next, &form);
        form = String::from_utf8_lossy(&next).into_owned();
        forms.push(next);
    }
    forms.dedup();
    forms
}

fn is_secret_name(name: &str) -> bool {
    const ENDINGS: [&str; 7] =
        ["key", "token", "secret", "password", "passwd", "passphrase", "dsn"];
    const WORDS: [&str; 6] = ["pass", "credential", "credentials", "keys", "tokens", "secrets"];
    /// These say too little where another word follows (`AUTH_HOST`).
    const LAST: [&str; 10] =
        ["pat", "pw", "pwd", "auth", "creds", "cookie", "cookies", "jwt", "psk", "dbpass"];
    const HARMLESS_LAST: [&str; 9] =
        ["file", "path", "dir", "id", "url", "name", "type", "sock", "public"];
    let words = words(&name.to_ascii_lowercase());
    let is_secret = |word: &String| {
        ENDINGS.iter().any(|ending| word.ends_with(ending)) || WORDS.contains(&word.as_str())
    };
    let last = words.last().map(String::as_str).unwrap_or_default();
    // (`PWD` alone is the directory.)
    let is_last = LAST.contains(&last) && *words != ["pwd"];
    (is_last || words.iter().any(is_secret)) && !HARMLESS_LAST.contains(&last)
}

/// The password of an address, as in `postgres://user:password@host/database`.
fn password_in_url(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    // (A password may have slashes in it which nobody encoded.)
    let (user, _) = authority.rsplit_once('@').or_else(|| rest.rsplit_once('@'))?;
    user.split_once(':')
        .map(|(_, password)| password)
        .filter(|it| !it.contains(char::is_whitespace))
}

fn may_be_secret(value: &str) -> bool {
    let is_word = value.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_.,: ".contains(&byte));
    let min_bytes = if is_word { MIN_WORD_BYTES } else { MIN_BYTES };
    value.trim().len() >= min_bytes
        && !is_placeholder(value)
        && !is_path(value)
        && !is_plain_url(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_of_secrets_are_picked_longest_first() {
        let all = [
            ("DEPLOY_TOKEN", "abc123def4"),
            ("PGPASSWORD", "pa ss/word\"1"),
            ("SHOP_DSN", "https://k1@host/1"),
            ("SSH_AUTH_SOCK", "/run/user/1000/agent.1"),
            ("KEYBOARD_LAYOUT", "de-latin1-x"),
            ("API_KEY", "true"),
            ("API_KEY_FILE", "abc123def4567"),
            ("SOME_SECRET", "development"),
            ("HOME", "/home/somebody1"),
            ("COPY_OF_TOKEN", "abc123def4"),
            ("OTHER_TOKEN", "/etc/token/of/it"),
            ("SHORT_KEY", "a1b2c3d"),
            ("GH_PAT", "pat-a1b2c3d4"),
            ("DB_PW", "pw-a1b2c3d4"),
            ("SOME_AUTH", "au-a1b2c3d4"),
            ("X_CREDS", "cr-a1b2c3d4"),
            ("COOKIE", "co-a1b2c3d4"),
            ("JWT", "jw-a1b2c3d4"),
            ("DATABASE_URL", "postgres://shop:in-a1b2c3@db.test/1"),
            ("QUEUE_URL", "amqp://svc:in/b1c2d3@mq.test"),
            ("AUTH_HOST", "10.0.0.1:80"),
            ("PWD", "/srv/a=b/c1"),
            ("XAUTHORITY", "something1"),
        ];
        let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = [
            "https://k1@host/1",
            "pa ss/word\"1",
            "pat-a1b2c3d4",
            "au-a1b2c3d4",
            "co-a1b2c3d4",
            "cr-a1b2c3d4",
            "jw-a1b2c3d4",
            "pw-a1b2c3d4",
            "abc123def4",
            "in-a1b2c3",
            "in/b1c2d3",
        ];
        assert_eq!(secrets(&all), expected);
    }

    #[test]
    fn a_value_has_its_forms() {
        let forms = forms("a b/\"1");
        let expected = [
            "a b/\"1",
            r#"a b/\"1"#,
            r#"a b/\\\"1"#,
            r#"a b/\\\\\\\"1"#,
            "a%20b%2F%221",
            "a+b%2F%221",
        ];
        // In three more layers of JSON, too.
        assert_eq!(forms.len(), expected.len() + 3);
        for form in expected {
            assert!(forms.contains(&form.as_bytes().to_vec()), "{form}");
        }
    }
}
