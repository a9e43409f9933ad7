//! Which event a payload is, for `HOOKRING_SKIP`: the one thing that this command ever looks up in
//! a payload, and only if that variable is set.

/// Members in which agents put the event's name.
const NAME_KEYS: [&[u8]; 4] =
    [b"hook_event_name", b"hookEventName", b"agent_action_name", b"hookName"];

/// Whether the event, named on the command line or in the payload, is in the comma-separated list.
pub(crate) fn is_skipped(list: &[u8], event: &[u8], payload: &[u8]) -> bool {
    if list.is_empty() {
        return false;
    }
    let name = if event.is_empty() { find(payload) } else { Some(event) };
    name.is_some_and(|name| {
        list.split(|byte| *byte == b',').any(|entry| entry.trim_ascii() == name)
    })
}

/// The string value of the first of [`NAME_KEYS`] at the top level. Reads no further than it must;
/// text that is not JSON has none.
fn find(payload: &[u8]) -> Option<&[u8]> {
    let mut rest = payload.trim_ascii_start().strip_prefix(b"{")?;
    loop {
        let (key, after) = string(rest.trim_ascii_start())?;
        let value = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        if NAME_KEYS.contains(&key) {
            return string(value).map(|(name, _)| name);
        }
        rest = skip_value(value)?.strip_prefix(b",")?;
    }
}

/// A string's raw content, and what follows it.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some((&text[..at], &text[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// What follows a value: the comma or brace behind it.
fn skip_value(mut text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0u32;
    loop {
        match text.first()? {
            b'"' => {
                text = string(text)?.1;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b',' | b'}' | b']' if depth == 0 => return Some(text),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        text = &text[1..];
    }
}
