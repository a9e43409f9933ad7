//! Words: what quotes and backslashes leave of the characters.

use super::Dialect;
use super::parser::Parser;
use super::script::{CommandId, Flags, Script, Span, Word};

/// A word that is being read. Its value so far is the scratch text from `base` on.
pub(super) struct State {
    base: usize,
    source_begin: usize,
    /// There were quotes, so that it is a word even if it is empty.
    is_quoted: bool,
    pub(super) flags: Flags,
    pub(super) nested: Option<CommandId>,
}

impl State {
    /// For text that is no word of its own.
    pub(super) fn inside(base: usize) -> State {
        State { base, source_begin: 0, is_quoted: false, flags: Flags::NONE, nested: None }
    }

    /// Whether the value was empty when the scratch text was that long.
    pub(super) fn is_at_start_before(&self, length: usize) -> bool {
        length == self.base
    }

    pub(super) fn is_at_start(&self, script: &Script) -> bool {
        script.scratch.text.len() == self.base
    }
}

impl Parser<'_> {
    /// Reads a word; with `splits`, variables that hold several words become those.
    pub(super) fn word(&mut self, splits: bool) {
        if let Some(word) = self.read_word(splits) {
            self.script.scratch.words.push(word);
        }
    }

    /// Reads one word, which is empty if none stands here.
    pub(super) fn single_word(&mut self) -> Word {
        let here = self.span(self.at, self.at);
        self.read_word(false).unwrap_or(Word::plain(here))
    }

    fn read_word(&mut self, splits: bool) -> Option<Word> {
        let begin = self.at;
        self.skip_plain();
        if self.is_at_break() && !self.is_at_process() {
            return (self.at > begin).then(|| Word::plain(self.span(begin, self.at)));
        }
        if self.at == begin
            && let Some(word) = self.whole_quoted()
        {
            return Some(word);
        }
        let base = self.script.scratch.text.len();
        let mut state = State { source_begin: begin, ..State::inside(base) };
        self.push_source(begin);
        while let Some(byte) = self.peek() {
            if self.is_at_break() && !self.is_at_process() {
                break;
            }
            self.piece(byte, &mut state, splits);
        }
        self.end_word(&mut state)
    }

    /// Reads what begins with this byte, which is not a plain one.
    fn piece(&mut self, byte: u8, state: &mut State, splits: bool) {
        let begin = self.at;
        match byte {
            b'\'' => self.single_quoted(state),
            b'"' => self.double_quoted(state),
            b'\\' if self.dialect == Dialect::Posix => self.escaped(state),
            b'$' => self.dollar(state, false, splits),
            b'`' if self.dialect == Dialect::Posix => self.backticks(state),
            b'<' | b'>' => self.process(state),
            b'~' => {
                if state.is_at_start(self.script) {
                    state.flags.add(Flags::TILDE);
                }
                self.at += 1;
                self.push_source(begin);
            }
            // The mark of a secret that was there is no pattern.
            b'[' if self.is_at(b"[redacted:") => {
                self.at += b"[redacted:".len();
                self.push_source(begin);
            }
            _ => {
                state.flags.add(Flags::GLOB);
                self.at += 1;
                self.skip_plain();
                self.push_source(begin);
                return;
            }
        }
        let begin = self.at;
        self.skip_plain();
        self.push_source(begin);
    }

    /// The word that was read so far, and the state for another one behind it.
    pub(super) fn end_word(&mut self, state: &mut State) -> Option<Word> {
        let base = state.base;
        if self.script.scratch.text.len() == base && !state.is_quoted {
            return None;
        }
        let source = self.span(state.source_begin, self.at);
        let is_verbatim = self.script.scratch.text[base..] == self.script.buffer[source.range()];
        let value = if is_verbatim {
            self.script.scratch.text.truncate(base);
            source
        } else {
            self.script.store_scratch(base).unwrap_or(source)
        };
        let word = Word { source, value, flags: state.flags, nested: state.nested };
        *state = State { source_begin: state.source_begin, ..State::inside(base) };
        Some(word)
    }

    /// A word that is one pair of quotes around characters that mean themselves.
    fn whole_quoted(&mut self) -> Option<Word> {
        let bytes = &self.script.buffer.as_bytes()[self.at..self.end];
        let inside = &bytes[1..];
        let length = match bytes[0] {
            b'\'' => memchr::memchr(b'\'', inside)?,
            b'"' => {
                let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | b'$' | b'`');
                inside.iter().position(ends).filter(|at| inside[*at] == b'"')?
            }
            _ => return None,
        };
        if inside.get(length + 1).is_some_and(|byte| !is_break(*byte)) {
            return None;
        }
        let begin = self.at;
        self.at += length + 2;
        let value = self.span(begin + 1, self.at - 1);
        Some(Word { value, flags: Flags::QUOTED, ..Word::plain(self.span(begin, self.at)) })
    }

    fn single_quoted(&mut self, state: &mut State) {
        self.mark_quoted(state);
        let begin = self.at + 1;
        let rest = &self.script.buffer.as_bytes()[begin..self.end];
        let length = memchr::memchr(b'\'', rest);
        self.at = begin + length.unwrap_or(rest.len());
        self.push_source(begin);
        self.at = (self.at + 1).min(self.end);
    }

    pub(super) fn double_quoted(&mut self, state: &mut State) {
        self.mark_quoted(state);
        self.at += 1;
        self.expand_quoted(state, Some(b'"'));
    }

    /// Reads as within double quotes, up to the closing byte, which is gone past, or to the end.
    pub(super) fn expand_quoted(&mut self, state: &mut State, close: Option<u8>) {
        loop {
            let begin = self.at;
            let rest = &self.script.buffer.as_bytes()[begin..self.end];
            let ends = |byte: &u8| matches!(byte, b'\\' | b'$' | b'`') || Some(*byte) == close;
            self.at += rest.iter().position(ends).unwrap_or(rest.len());
            self.push_source(begin);
            match self.peek() {
                None => return,
                byte if byte == close => {
                    self.at += 1;
                    return;
                }
                Some(b'$') => self.dollar(state, true, false),
                Some(b'`') if self.dialect == Dialect::Posix => self.backticks(state),
                Some(b'\\') if self.dialect == Dialect::Posix => self.escaped_in_quotes(),
                _ => {
                    let begin = self.at;
                    self.at += 1;
                    self.push_source(begin);
                }
            }
        }
    }

    /// A backslash outside of quotes.
    fn escaped(&mut self, state: &mut State) {
        let begin = self.at + 1;
        self.at = begin;
        match self.peek() {
            None => self.script.scratch.text.push('\\'),
            Some(b'\n') => self.at += 1,
            Some(_) => {
                state.flags.add(Flags::QUOTED);
                self.at = self.next_character(begin);
                self.push_source(begin);
            }
        }
    }

    /// Within double quotes a backslash stays unless it quotes something.
    fn escaped_in_quotes(&mut self) {
        let begin = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'\n') => self.at += 1,
            Some(b'"' | b'\\' | b'$' | b'`') => {
                self.at += 1;
                self.push_source(begin + 1);
            }
            _ => self.push_source(begin),
        }
    }

    fn next_character(&self, at: usize) -> usize {
        self.script.buffer.ceil_char_boundary(at + 1).min(self.end)
    }

    fn mark_quoted(&self, state: &mut State) {
        state.is_quoted = true;
        state.flags.add(Flags::QUOTED);
    }

    /// Adds the source from `begin` up to here to the word.
    pub(super) fn push_source(&mut self, begin: usize) {
        self.push_span(self.span(begin, self.at));
    }

    pub(super) fn push_span(&mut self, span: Span) {
        let Script { scratch, buffer, .. } = &mut *self.script;
        scratch.text.push_str(&buffer[span.range()]);
    }

    fn skip_plain(&mut self) {
        let rest = &self.script.buffer.as_bytes()[self.at..self.end];
        let plain = rest.iter().position(|byte| CLASSES[usize::from(*byte)] != PLAIN);
        self.at += plain.unwrap_or(rest.len());
    }

    fn is_at_break(&self) -> bool {
        self.peek().is_none_or(is_break)
    }

    fn is_at_process(&self) -> bool {
        self.is_at(b"<(") || self.is_at(b">(")
    }
}

const PLAIN: u8 = 0;
const SPECIAL: u8 = 1;
const BREAK: u8 = 2;

/// What a byte does outside of quotes.
const CLASSES: [u8; 256] = {
    let mut classes = [PLAIN; 256];
    let (breaks, specials) = (b" \t\r\n;&|()<>", b"'\"\\$`~*?[{");
    let mut at = 0;
    while at < breaks.len() {
        classes[breaks[at] as usize] = BREAK;
        at += 1;
    }
    at = 0;
    while at < specials.len() {
        classes[specials[at] as usize] = SPECIAL;
        at += 1;
    }
    classes
};

fn is_break(byte: u8) -> bool {
    CLASSES[usize::from(byte)] == BREAK
}
