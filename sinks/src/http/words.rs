//! What a server says, in a form that can be shown.

use std::cmp::Reverse;

use ureq::http::Uri;
use ureq::http::uri::PathAndQuery;
use zeroize::Zeroizing;

/// What of it is shown, in characters.
const MAX_WORDS_CHARS: usize = 300;
/// A shorter part of a secret, or of an address, says nothing, in bytes.
const MIN_PART_BYTES: usize = 4;
/// Parts of headers that are no secret: how what follows is to be understood. In lower case.
const SCHEMES: [&str; 4] = ["basic", "bearer", "digest", "token"];
/// Words of addresses that nobody would choose for a secret. In lower case.
const COMMON: [&str; 22] = [
    "api",
    "collector",
    "events",
    "hook",
    "hooks",
    "ingest",
    "intake",
    "json",
    "logs",
    "metrics",
    "opentelemetry",
    "otel",
    "otlp",
    "proto",
    "public",
    "receiver",
    "services",
    "spans",
    "traces",
    "v1",
    "v2",
    "webhook",
];
/// What addresses of OTLP end with, whoever they are of.
const ENDS: [&str; 3] = ["/v1/logs", "/v1/traces", "/v1/metrics"];

/// The beginning of what a server says, on one line, without what is secret: some send back what they got, in
/// whole or in parts, escaped in the way of JSON, HTML or URLs, or unescaped.
///
/// Escapes change no ASCII letter and no digit, so runs of those are looked for, besides the wholes. Of an address, words
/// that all addresses have are no secret.
pub(crate) fn words(body: &[u8], uri: &Uri, secrets: &[Zeroizing<String>]) -> String {
    let mut wholes: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
    wholes.extend(secret_parts(uri));
    let decoded: Vec<_> = wholes.iter().map(|whole| percent_decoded(whole)).collect();
    wholes.extend(decoded.iter().map(|whole| whole.as_str()));
    let line = shown(hidden(String::from_utf8_lossy(body).into_owned(), &wholes));
    let short: String = line.chars().take(MAX_WORDS_CHARS).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}

/// What of an address may be secret: the path, without an end that is no person's, and the query.
fn secret_parts(uri: &Uri) -> impl Iterator<Item = &str> {
    let (path, query) = (uri.path(), uri.query());
    let whole = uri.path_and_query().filter(|_| query.is_some()).map(PathAndQuery::as_str);
    let bare = path.trim_end_matches('/');
    let bare = ENDS.iter().find_map(|end| bare.strip_suffix(end)).unwrap_or(path);
    let is_told = |it: &&str| {
        let mut words = pieces(it).filter(|it| !it.is_empty());
        it.len() >= MIN_PART_BYTES && !words.all(|word| is_one_of(&COMMON, word))
    };
    [whole, Some(bare), query].into_iter().flatten().filter(is_told)
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii_alphanumeric())
}

fn is_one_of(words: &[&str], text: &str) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// `text` without these and their parts.
fn hidden(mut text: String, wholes: &[&str]) -> String {
    let is_part = |it: &&str| {
        it.len() >= MIN_PART_BYTES && !is_one_of(&SCHEMES, it) && !is_one_of(&COMMON, it)
    };
    let parts = wholes.iter().flat_map(|it| pieces(it)).filter(is_part);
    let is_there = |it: &&str| !it.is_empty();
    let mut secrets: Vec<&str> = wholes.iter().copied().filter(is_there).chain(parts).collect();
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
    fn what_all_addresses_have_is_no_secret_and_what_a_person_put_before_it_is() {
        let body = "path /v1/traces: no pipeline for traces; see http://127.0.0.1:4319/otlp/v1/traces or /api/public/otel";
        for address in
            ["/v1/traces", "/otlp/v1/traces", "/api/public/otel/v1/traces", "/v1/logs/", "/otlp"]
        {
            assert_eq!(said(body, address, "none"), body, "{address}");
        }
        for (address, expected) in [
            ("/hunter2/v1/traces", "no ***/v1/traces here, nor ***"),
            ("/hunter2/v1/traces?key=hunter3", "no *** here, nor ***"),
        ] {
            let body = format!("no {address} here, nor hunter2");
            assert_eq!(said(&body, address, "none"), expected);
        }
        assert_eq!(said("no hunter3 for logs", "/otlp?logs=hunter3", "none"), "no *** for logs");
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
