//! What a server says, in a form that can be shown.

use std::cmp::Reverse;

use ureq::http::Uri;
use zeroize::Zeroizing;

/// What of it is shown, in characters.
const MAX_WORDS_CHARS: usize = 300;
/// A shorter part of a secret, or of an address, says nothing, in bytes.
const MIN_PART_BYTES: usize = 4;
/// Parts of headers that are no secret: how what follows is to be understood. In lower case.
const SCHEMES: [&str; 4] = ["basic", "bearer", "digest", "token"];

/// The beginning of what a server says, on one line, without what is secret: some send back what they got, in
/// whole or in parts, escaped in the way of JSON, HTML or URLs, or unescaped.
///
/// Escapes change no ASCII letter and no digit, so runs of those are looked for, besides the wholes.
pub(crate) fn words(body: &[u8], uri: &Uri, secrets: &[Zeroizing<String>]) -> String {
    let address = uri.path_and_query().map_or("", |it| it.as_str());
    let mut wholes: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
    wholes.push(address);
    let decoded: Vec<_> = wholes.iter().map(|whole| percent_decoded(whole)).collect();
    wholes.extend(decoded.iter().map(|whole| whole.as_str()));
    let line = shown(hidden(String::from_utf8_lossy(body).into_owned(), &wholes, address));
    let short: String = line.chars().take(MAX_WORDS_CHARS).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}

/// `text` without these and their parts.
fn hidden(mut text: String, wholes: &[&str], address: &str) -> String {
    // Of an address such as `/` nothing is secret.
    let is_secret = |it: &&str| !it.is_empty() && (*it != address || it.len() >= MIN_PART_BYTES);
    let is_part = |it: &&str| {
        it.len() >= MIN_PART_BYTES && !SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(it))
    };
    let is_joint = |char: char| !char.is_ascii_alphanumeric();
    let parts = wholes.iter().flat_map(|it| it.split(is_joint)).filter(is_part);
    let mut secrets: Vec<&str> = wholes.iter().copied().filter(is_secret).chain(parts).collect();
    // The longest first, which have the others in them.
    secrets.sort_by_key(|it| (Reverse(it.len()), *it));
    secrets.dedup();
    for secret in secrets {
        text = text.replace(secret, "***");
    }
    text
}

/// On one line, with nothing in it that a terminal would obey.
fn shown(text: String) -> String {
    let line: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// With the bytes that percent escapes stand for. What is no escape stays.
fn percent_decoded(text: &str) -> Zeroizing<String> {
    let bytes = text.as_bytes();
    let mut decoded = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |place: usize| char::from(*bytes.get(at + place)?).to_digit(16);
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    Zeroizing::new(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of a body if this was sent.
    fn said(body: &str, address: &str, secret: &str) -> String {
        let uri: Uri = format!("https://example.com{address}").parse().expect("a URL");
        words(body.as_bytes(), &uri, &[Zeroizing::new(secret.to_owned())])
    }

    #[test]
    fn a_secret_is_hidden_in_whatever_way_it_was_escaped() {
        let secret = "Bearer hunterA+hunterB/hunterC==";
        for body in [
            r#"{"error":"no hunterA+hunterB/hunterC=="}"#,
            r#"{"error":"no hunterA\u002BhunterB\/hunterC\u003d\u003d"}"#,
            r#"{"error":"no \"hunterA\\u002bhunterB\\/hunterC==\""}"#,
            "no hunterA%2BhunterB%2FhunterC%3D%3D",
            "no hunterA%252BhunterB%252FhunterC",
            "no hunterA hunterB/hunterC",
            "<p>no hunterA&#43;hunterB&#x2F;hunterC&equals;</p>",
            "no hunterB",
        ] {
            let said = said(body, "/", secret);
            assert!(said.contains("***") && !said.contains("hunter"), "{said}");
            assert!(said.contains("no "), "{said}");
        }
    }

    #[test]
    fn an_address_is_hidden_with_its_percent_escapes_and_without() {
        let address = "/T0%2FhunterA%20hunterB?key=hunterC%2BhunterD&name=h%C3%BCnter";
        for body in [
            "Cannot POST /T0%2FhunterA%20hunterB?key=hunterC%2BhunterD&name=h%C3%BCnter",
            "Cannot POST /T0/hunterA hunterB?key=hunterC+hunterD&name=hünter",
            r#"Cannot POST {"path":"\/T0\/hunterA hunterB","key":"hunterC\u002BhunterD"}"#,
            "Cannot POST hunterD",
        ] {
            let said = said(body, address, "none");
            assert!(said.starts_with("Cannot POST ") && said.contains("***"), "{said}");
            assert!(!said.contains("hunter") && !said.contains("nter"), "{said}");
        }
        // What is no escape is no fault.
        assert_eq!(*percent_decoded("%zz%4%C3%BC%2"), "%zz%4ü%2");
    }

    #[test]
    fn ordinary_words_of_an_answer_stay_readable() {
        let body = r#"{"error":"invalid_token","message":"Your Bearer token has ended at 12:30/UTC; see https://example.com/a-z?key=new"}"#;
        for (address, secret) in [
            ("/", "Bearer Zk3+Qw/hunterA=="),
            ("/v1/in?a=b&c=d", "Token s.Zk3-x_y"),
            ("/T0/B0/hunterA%2BhunterB", "Basic YWRhOmh1bnRlcjI="),
        ] {
            assert_eq!(said(body, address, secret), body, "{address}");
        }
        // But a secret that is such a word is one.
        assert_eq!(said("no token here", "/", "token"), "no *** here");
    }
}
