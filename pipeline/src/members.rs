//! Writes the members of an event, one after the other: `,"name":value`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hookring_journal::event::push_uuid;
use hookring_journal::text::{push_decimal, push_json_string};

/// Appends members to a line that has some already.
pub(crate) struct Members<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Members<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Members<'a> {
        Members { out }
    }

    /// How many bytes the line has.
    pub(crate) fn bytes(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written behind so many bytes.
    pub(crate) fn cut_back(&mut self, bytes: usize) {
        self.out.truncate(bytes);
    }

    /// Writes a member's name; its value is for the caller to write.
    pub(crate) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        push_json_string(self.name(name), text);
    }

    pub(crate) fn text_if(&mut self, name: &str, text: Option<impl AsRef<str>>) {
        if let Some(text) = text {
            self.text(name, text.as_ref());
        }
    }

    pub(crate) fn number(&mut self, name: &str, number: u64) {
        push_decimal(self.name(name), number);
    }

    pub(crate) fn number_if(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    pub(crate) fn truth(&mut self, name: &str, truth: bool) {
        self.name(name).extend_from_slice(if truth { b"true" } else { b"false" });
    }

    pub(crate) fn texts<T: AsRef<str>>(&mut self, name: &str, texts: impl IntoIterator<Item = T>) {
        let out = self.name(name);
        let mut separator = b'[';
        for text in texts {
            out.push(separator);
            separator = b',';
            push_json_string(out, text.as_ref());
        }
        end_list(out, separator);
    }

    pub(crate) fn uuid(&mut self, name: &str, id: &[u8; 16]) {
        let out = self.name(name);
        out.push(b'"');
        push_uuid(out, id);
        out.push(b'"');
    }

    pub(crate) fn base64(&mut self, name: &str, bytes: &[u8]) {
        push_base64(self.name(name), bytes);
    }

    pub(crate) fn base64s(&mut self, name: &str, all: &[Vec<u8>]) {
        let out = self.name(name);
        let mut separator = b'[';
        for bytes in all {
            out.push(separator);
            separator = b',';
            push_base64(out, bytes);
        }
        end_list(out, separator);
    }
}

fn end_list(out: &mut Vec<u8>, separator: u8) {
    if separator == b'[' {
        out.push(b'[');
    }
    out.push(b']');
}

fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let begin = out.len();
    out.resize(begin + bytes.len().div_ceil(3) * 4, 0);
    let written = BASE64.encode_slice(bytes, &mut out[begin..]);
    debug_assert_eq!(written, Ok(out.len() - begin));
    out.push(b'"');
}
