//! Texts that do not stand in the input: they are put behind it in the buffer, within a limit.

use super::script::{Flags, Script, Span, Word};
use super::{MAX_DERIVED_BYTES, MAX_VARIABLES};

impl Script {
    /// Whether that much more may be derived; if not, something is cut.
    pub(super) fn take_derived(&mut self, bytes: usize) -> bool {
        let sum = self.derived_bytes + bytes;
        if sum > MAX_DERIVED_BYTES {
            self.is_cut = true;
            return false;
        }
        self.derived_bytes = sum;
        true
    }

    /// Moves the scratch text from `base` on to the buffer; `None` if that would be too much.
    pub(super) fn store_scratch(&mut self, base: usize) -> Option<Span> {
        let fits = self.take_derived(self.scratch.text.len() - base);
        let begin = self.buffer.len() as u32;
        if fits {
            self.buffer.push_str(&self.scratch.text[base..]);
        }
        self.scratch.text.truncate(base);
        fits.then_some(Span { begin, end: self.buffer.len() as u32 })
    }

    /// Puts a text behind the others.
    pub(super) fn store(&mut self, text: &str) -> Option<Span> {
        let base = self.scratch.text.len();
        self.scratch.text.push_str(text);
        self.store_scratch(base)
    }

    /// The words' values with blanks between them, as one text.
    pub(super) fn join(&mut self, words: Span) -> Option<Span> {
        let words = self.words[words.range()].to_vec();
        self.join_values(&words)
    }

    /// The same for words that need not be in a list.
    pub(super) fn join_values(&mut self, words: &[Word]) -> Option<Span> {
        if let [word] = words {
            return Some(word.value);
        }
        let base = self.scratch.text.len();
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                self.scratch.text.push(' ');
            }
            let Script { scratch, buffer, .. } = self;
            scratch.text.push_str(&buffer[word.value.range()]);
        }
        self.store_scratch(base)
    }

    /// Notes a variable's value, which takes the place of an earlier one.
    pub(super) fn set_variable(&mut self, name: Span, value: Word) {
        if let Some(at) = self.find_variable(self.text(name)) {
            self.variables[at].value = value;
        } else if self.variables.len() < MAX_VARIABLES {
            self.variables.push(super::script::Variable { name, value });
        }
    }

    /// The last value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<Word> {
        self.find_variable(name).map(|at| self.variables[at].value)
    }

    fn find_variable(&self, name: &str) -> Option<usize> {
        self.variables.iter().rposition(|variable| self.text(variable.name) == name)
    }
}

impl Word {
    /// One that is what it looks like.
    pub(super) fn plain(source: Span) -> Word {
        Word { source, value: source, flags: Flags::NONE, nested: None }
    }
}
