//! Any payload, JSON or not: what is redacted is JSON where the payload was, and nothing more is found
//! in it; a secret that is put into the payload is gone.
#![no_main]

use std::cell::RefCell;

use hookring_pipeline::document::Document;
use hookring_pipeline::redact::{Options, Redacted, Redactor};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The only secret of the environment.
const SECRET: &str = "zq8Kw51bxT7m";

const MAX_TEXT_BYTES: usize = 4096;

thread_local!(static REDACTOR: RefCell<Redactor> = RefCell::new(redactor()));

fuzz_target!(|input: &[u8]| {
    REDACTOR.with_borrow_mut(|redactor| {
        let mut document = Document::default();
        if document.parse(input).is_ok() {
            check_document(redactor, &mut document);
        }
        check_bytes(redactor, input);
        check_planted(redactor, &String::from_utf8_lossy(input));
    });
});

fn redactor() -> Redactor {
    let environment = vec![("FUZZ_TOKEN".to_owned(), SECRET.to_owned())];
    let (extra_keys, patterns, disabled) = (Vec::new(), Vec::new(), Vec::new());
    let options = Options {
        key: [1; 32],
        environment,
        extra_keys,
        patterns,
        disabled,
        max_text_bytes: MAX_TEXT_BYTES,
    };
    Redactor::new(options).expect("the built-in rules")
}

fn check_document(redactor: &mut Redactor, document: &mut Document) {
    let once = written(redactor, document);
    let mut again = Document::default();
    again.parse(&once).expect("still JSON");
    assert_eq!(
        written(redactor, &mut again),
        once,
        "more is found in {}",
        String::from_utf8_lossy(&once)
    );
}

fn written(redactor: &mut Redactor, document: &mut Document) -> Vec<u8> {
    let redacted = redactor.redact(document);
    let mut out = Vec::new();
    document.root().expect("a value").write_to(&mut out);
    assert!(!redacted.is_empty() || out == document.original());
    out
}

fn check_bytes(redactor: &Redactor, input: &[u8]) {
    let mut redacted = Redacted::default();
    let out = redactor.redact_bytes(input, &mut redacted);
    assert_eq!(out.is_none(), redacted.is_empty());
}

/// Whatever stands around it.
fn check_planted(redactor: &mut Redactor, around: &str) {
    let middle = around.floor_char_boundary(around.len() / 2);
    let text = format!("{} {SECRET} {}", &around[..middle], &around[middle..]);
    let mut document = Document::default();
    document.parse(Value::from(text).to_string().as_bytes()).expect("a string");
    let out = String::from_utf8(written(redactor, &mut document)).expect("UTF-8");
    assert!(!out.contains(SECRET), "{out}");
}
