//! What a text may be decoded to: behind JSON, escapes, percent signs and base64. Written without the
//! redactor's own code; the tests of whole programs use it, too.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

/// Shorter runs of base64 hold no secret.
const MIN_RUN_BYTES: usize = 16;

/// What a text may be decoded to in one step.
pub(crate) fn forms(text: &str) -> Vec<String> {
    let mut forms = Vec::new();
    match serde_json::from_str::<Value>(text) {
        Ok(value) => strings(&value, &mut forms),
        Err(_) if text.contains('\\') => forms.push(unescaped(text)),
        Err(_) => {}
    }
    if text.contains('%') {
        forms.push(unpercented(text));
    }
    forms.extend(decoded_runs(text));
    forms.retain(|form| form != text);
    forms
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
        let number = |skipped: usize, length: usize, radix: u32| {
            let digits = rest.get(at + 1 + skipped..at + 1 + length)?;
            Some((char::from(u8::from_str_radix(digits, radix).ok()?), 1 + length))
        };
        let short = match rest[at + 1..].chars().next() {
            Some('x') => number(1, 3, 16),
            Some('0'..='7') => number(0, 3, 8),
            _ => None,
        };
        let (letter, length) =
            match (rest[at + 1..].chars().next(), digits.and_then(char::from_u32)) {
                _ if short.is_some() => short.unwrap_or_default(),
                (Some('u'), Some(letter)) => (letter, 6),
                (Some('n'), _) => ('\n', 2),
                (Some('t'), _) => ('\t', 2),
                (Some(letter), _) => (letter, 1 + letter.len_utf8()),
                (None, _) => break,
            };
        out.push(letter);
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
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What runs of base64's characters hold, read from each of four places at which one may begin.
fn decoded_runs(text: &str) -> Vec<String> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engines = [GeneralPurpose::new(&STANDARD, config), GeneralPurpose::new(&URL_SAFE, config)];
    let is_digit = |letter: char| letter.is_ascii_alphanumeric() || "+/-_".contains(letter);
    let mut out = Vec::new();
    for run in text.split(|letter| !is_digit(letter)).filter(|run| run.len() >= MIN_RUN_BYTES) {
        for begin in 0..4 {
            let digits = &run[begin..];
            let digits = &digits[..digits.len() - usize::from(digits.len() % 4 == 1)];
            for bytes in engines.iter().filter_map(|engine| engine.decode(digits).ok()) {
                let units =
                    bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
                let wide = String::from_utf16(&units.collect::<Vec<_>>());
                out.extend(wide.ok().filter(|_| bytes.starts_with(&[0xff, 0xfe])));
                let decoded = String::from_utf8_lossy(&bytes).into_owned();
                // What is mostly no text holds none.
                let broken = decoded.chars().filter(|&it| it == '\u{fffd}' || it < ' ').count();
                out.extend((broken * 4 < decoded.len()).then_some(decoded));
            }
        }
    }
    out
}
