//! Payloads as agents send them.

const SESSION: &str = include_str!("../../daemon/demo/session.jsonl");
/// Text as it stands in files: this one's.
const TEXT: &str = include_str!("payloads.rs");
/// The payloads that are used: near 1.5 KB.
const PAYLOAD_BYTES: std::ops::RangeInclusive<usize> = 1200..=1800;

/// The payloads, and how long they are on average.
pub fn payloads() -> (Vec<&'static [u8]>, usize) {
    let lines = SESSION.lines().map(str::as_bytes);
    let payloads: Vec<_> = lines.filter(|line| PAYLOAD_BYTES.contains(&line.len())).collect();
    let mean = payloads.iter().map(|payload| payload.len()).sum::<usize>() / payloads.len();
    (payloads, mean)
}

/// What Claude Code sends when it has edited a file of about so many bytes.
pub fn large(bytes: usize) -> Vec<u8> {
    let text = TEXT.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let text = text.repeat(bytes.div_ceil(text.len()));
    // Cut where no escape is cut in two.
    let end = (0..=bytes).rev().find(|end| !text[..*end].ends_with('\\')).unwrap_or(0);
    let text = &text[..end];
    format!(
        r#"{{"session_id":"s","cwd":"/home/ada/app","hook_event_name":"PostToolUse","tool_name":"Edit","tool_use_id":"t","tool_input":{{"file_path":"/home/ada/app/a.rs","old_string":"a","new_string":"b"}},"tool_response":{{"filePath":"/home/ada/app/a.rs","originalFile":"{text}"}}}}"#
    )
    .into_bytes()
}
