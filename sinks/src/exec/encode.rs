//! The requests, each a line of JSON whose first members stand in an order that is promised, so that a shell
//! can read them. Events are put in as the journal has them, without being parsed.

use hookring_journal::Batch;
use serde_json::json;

use crate::jsonl::encode::encode_line;

/// The version of the protocol: `docs/sinks/exec.md` says what may change within it.
pub(super) const PROTOCOL: u64 = 1;

/// A request with no more than a few parameters. `method` needs no escapes.
pub(super) fn request(id: u64, method: &str, params: &serde_json::Value) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}\n")
        .into_bytes()
}

/// What a program is told first.
pub(super) fn initialize(id: u64, sink: &str) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let params = json!({"protocol": PROTOCOL, "hookring": version, "sink": sink});
    request(id, "initialize", &params)
}

/// A batch. Its name is that of its numbers, so that it is the same when it is sent again.
pub(super) fn deliver(id: u64, batch: &Batch, replay: bool) -> Vec<u8> {
    let (first, last) = (batch.first(), batch.last());
    let mut out = Vec::with_capacity(batch.bytes().len() + 256);
    out.extend_from_slice(
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"deliver","params":{{"batch":"{first}-{last}","replay":{replay},"events":["#
        )
        .as_bytes(),
    );
    for line in batch.lines() {
        encode_line(&line, &mut out);
        // In place of the newline.
        if let Some(end) = out.last_mut() {
            *end = b',';
        }
    }
    if let Some(end) = out.last_mut().filter(|end| **end == b',') {
        *end = b']';
    } else {
        out.push(b']');
    }
    out.extend_from_slice(b"}}\n");
    out
}

/// The answer to what was not asked for: a method that there is not, or a line that is no message.
pub(super) fn error(id: &str, code: i64, message: &str) -> Vec<u8> {
    let error = json!({"code": code, "message": message});
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}\n").into_bytes()
}
