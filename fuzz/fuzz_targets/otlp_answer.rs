//! The body of a receiver's answer: read or refused, whatever it is, and never more told than was said.
#![no_main]

use hookring_sinks::otlp::{AnswerError, Encoding, MAX_ANSWER_BYTES, Signal, read_answer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, u8, Option<&str>, &[u8])| {
    let (is_json, signal, content_type, body) = input;
    let sent = if is_json { Encoding::Json } else { Encoding::Protobuf };
    let signal = Signal::ALL[usize::from(signal) % Signal::ALL.len()];
    match read_answer(signal, content_type, sent, body) {
        Ok(taken) => {
            assert!(taken.words.len() <= body.len(), "{taken:?}");
            let is_empty = body.iter().all(u8::is_ascii_whitespace);
            assert!(!is_empty || (taken.rejected, &*taken.words) == (0, ""), "{taken:?}");
        }
        Err(AnswerError::TooLong) => assert!(body.len() > MAX_ANSWER_BYTES),
        Err(_) => assert!(!body.is_empty()),
    }
});
