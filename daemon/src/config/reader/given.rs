//! What variables of the environment gave stays out of what is said about the configuration: it may be a secret, and
//! messages go to terminals and logs.

use super::Reader;

/// What is shorter is in messages by chance, in bytes.
const MIN_BYTES: usize = 4;

/// What a variable gave to a key.
pub(super) struct Given {
    key: String,
    name: String,
    value: String,
}

impl Given {
    pub(super) fn new(key: &str, (name, value): (String, String)) -> Given {
        Given { key: key.to_owned(), name, value }
    }

    /// The value, and what it has several parts of, as lists and patterns have: messages may quote one.
    fn parts(&self) -> impl Iterator<Item = &str> {
        let is_joint = |char: char| char.is_whitespace() || matches!(char, '|' | ',');
        let parts = std::iter::once(&*self.value).chain(self.value.split(is_joint));
        parts.filter(|part| part.len() >= MIN_BYTES)
    }
}

impl Reader<'_> {
    /// Puts the variables' names in the place of their values in all that was found wrong or doubtful.
    pub(in crate::config) fn hide_values(&mut self) {
        let given = std::mem::take(&mut self.given);
        let hide = |key: &str, text: &mut String| {
            for it in given.iter().filter(|it| it.key.starts_with(key)) {
                for part in it.parts() {
                    // As it is, and as it is quoted.
                    let quoted = format!("{part:?}");
                    for form in [part, quoted.trim_matches('"')] {
                        if text.contains(form) {
                            *text = text.replace(form, &format!("${{{}}}", it.name));
                        }
                    }
                }
            }
        };
        for fault in &mut self.faults {
            hide(&fault.key, &mut fault.message);
            fault.help.iter_mut().for_each(|help| hide(&fault.key, help));
        }
        self.doubts.iter_mut().for_each(|doubt| hide(&doubt.key, &mut doubt.message));
    }
}
