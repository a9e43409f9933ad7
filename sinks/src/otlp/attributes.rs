//! A list of attributes in the making, within limits.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};

/// Attributes of one span, event or record at most. What is more is dropped, and said in the record.
pub(super) const MAX_ATTRIBUTES: usize = 64;
/// A longer text is cut, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 4096;
/// The same for what people and tools said, in bytes.
pub(super) const MAX_CONTENT_BYTES: usize = 16 << 10;
/// Texts in a list at most.
const MAX_LIST: usize = 32;

/// Attributes, and what did not fit.
#[derive(Clone, Default, Debug)]
pub(super) struct Attributes {
    pub(super) list: Vec<KeyValue>,
    /// So many were left out.
    pub(super) dropped: u32,
    /// So many texts were cut.
    pub(super) cut: u64,
}

impl Attributes {
    /// With room for so many.
    pub(super) fn with_capacity(count: usize) -> Attributes {
        Attributes { list: Vec::with_capacity(count), ..Attributes::default() }
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        let text = self.cut(text, MAX_TEXT_BYTES);
        self.add(name, Value::StringValue(text));
    }

    /// If there is one.
    pub(super) fn some(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub(super) fn content(&mut self, name: &str, text: &str) {
        let text = self.cut(text, MAX_CONTENT_BYTES);
        self.add(name, Value::StringValue(text));
    }

    /// A text of JSON, an array, whose members come behind those of the one that is there, if there is one. It is left
    /// out where both together would be too long.
    pub(super) fn add_to_content(&mut self, name: &str, array: &str) {
        let Some(before) = self.list.iter_mut().find(|it| it.key == name) else {
            return self.content(name, array);
        };
        let value = before.value.as_mut().and_then(|it| it.value.as_mut());
        let Some(Value::StringValue(before)) = value else { return };
        let members = array.strip_prefix('[').filter(|_| before.ends_with(']'));
        match members.filter(|it| before.len() + it.len() <= MAX_CONTENT_BYTES) {
            Some(members) => {
                before.pop();
                before.push(',');
                before.push_str(members);
            }
            None => self.cut += 1,
        }
    }

    pub(super) fn number(&mut self, name: &str, number: i64) {
        self.add(name, Value::IntValue(number));
    }

    /// If there is one. A number that OTLP cannot have is the largest that it can.
    pub(super) fn count(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(name, i64::try_from(number).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn truth(&mut self, name: &str, truth: bool) {
        self.add(name, Value::BoolValue(truth));
    }

    /// Nothing if there are none.
    pub(super) fn texts<'t>(&mut self, name: &str, texts: impl Iterator<Item = &'t str>) {
        let mut values = Vec::new();
        for text in texts {
            if values.len() == MAX_LIST {
                self.cut += 1;
                break;
            }
            let text = self.cut(text, MAX_TEXT_BYTES);
            values.push(AnyValue { value: Some(Value::StringValue(text)) });
        }
        if !values.is_empty() {
            self.add(name, Value::ArrayValue(ArrayValue { values }));
        }
    }

    fn add(&mut self, name: &str, value: Value) {
        if self.list.len() == MAX_ATTRIBUTES {
            self.dropped += 1;
            return;
        }
        let value = Some(AnyValue { value: Some(value) });
        self.list.push(KeyValue { key: name.to_owned(), value, key_strindex: 0 });
    }

    fn cut(&mut self, text: &str, max_bytes: usize) -> String {
        if text.len() <= max_bytes {
            return text.to_owned();
        }
        self.cut += 1;
        format!("{}…", &text[..text.floor_char_boundary(max_bytes)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_a_limit_is_cut_or_dropped_and_counted() {
        let mut attributes = Attributes::default();
        attributes.text("short", "x");
        attributes.text("long", &"ä".repeat(MAX_TEXT_BYTES));
        attributes.texts("none", std::iter::empty());
        attributes.texts("many", std::iter::repeat_n("x", MAX_LIST + 5));
        attributes.count("most", Some(u64::MAX));
        assert_eq!((attributes.list.len(), attributes.cut), (4, 2));
        for at in 0..MAX_ATTRIBUTES {
            attributes.number(&format!("n{at}"), 1);
        }
        assert_eq!((attributes.list.len(), attributes.dropped), (MAX_ATTRIBUTES, 4));
        let long = attributes.list[1].value.as_ref().and_then(|it| it.value.as_ref());
        let Some(Value::StringValue(long)) = long else { panic!("a text") };
        assert_eq!(long.len(), MAX_TEXT_BYTES + '…'.len_utf8());
    }
}
