//! Looks for a secret in an output in every way that a curious reader might: as it is, and decoded.
//! Written without the redactor's own code.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

const MAX_DEPTH: u32 = 5;
const MIN_RUN_BYTES: usize = 16;

/// Whether the secret can be read from a text, decoded or not.
pub(crate) fn leaks(text: &str, secret: &str) -> bool {
    in_text(text, secret, MAX_DEPTH)
}

fn in_text(text: &str, secret: &str, depth: u32) -> bool {
    if text.contains(secret) {
        return true;
    }
    if depth == 0 {
        return false;
    }
    let mut next = vec![unescaped(text), unpercented(text)];
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        strings(&value, &mut next);
    }
    next.extend(decoded_runs(text));
    next.retain(|next| next != text);
    next.iter().any(|next| in_text(next, secret, depth - 1))
}

fn strings(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|value| strings(value, out)),
        Value::Object(all) => all.iter().for_each(|(key, value)| {
            out.push(key.clone());
            strings(value, out);
        }),
        _ => {}
    }
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let digits =
            rest.get(at + 2..at + 6).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let (char, length) = match (rest[at + 1..].chars().next(), digits.and_then(char::from_u32))
        {
            (Some('u'), Some(char)) => (char, 6),
            (Some('n'), _) => ('\n', 2),
            (Some(char), _) => (char, 1 + char.len_utf8()),
            (None, _) => break,
        };
        out.push(char);
        rest = &rest[at + length..];
    }
    out + rest
}

fn unpercented(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What runs of base64's characters hold, read from each of four places at which one may begin.
fn decoded_runs(text: &str) -> Vec<String> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engines = [GeneralPurpose::new(&STANDARD, config), GeneralPurpose::new(&URL_SAFE, config)];
    let is_digit = |char: char| char.is_ascii_alphanumeric() || "+/-_".contains(char);
    let mut out = Vec::new();
    for run in text.split(|char| !is_digit(char)).filter(|run| run.len() >= MIN_RUN_BYTES) {
        for begin in 0..4 {
            let digits = &run[begin..];
            let digits = &digits[..digits.len() - usize::from(digits.len() % 4 == 1)];
            for engine in &engines {
                if let Ok(bytes) = engine.decode(digits) {
                    let decoded = String::from_utf8_lossy(&bytes).into_owned();
                    // What is mostly no text holds none.
                    let broken =
                        decoded.chars().filter(|&char| char == '\u{fffd}' || char < ' ').count();
                    out.extend((broken * 4 < decoded.len()).then_some(decoded));
                }
            }
        }
    }
    out
}
