//! What a command prints, where that can be told without running it: `echo`, `printf`, `cat` of a
//! heredoc, `base64 -d` and `xxd -r` of such texts.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::script::{Command, CommandId, Flags, Ids, Operator, Script, Span, Via, Word};

/// How many commands a text may pass through.
const MAX_STEPS: u8 = 6;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Script {
    /// The text that a command reads from its standard input.
    pub(super) fn input_text(&mut self, id: CommandId) -> Option<(Span, Via)> {
        self.input_text_within(id, MAX_STEPS)
    }

    /// The text that takes the place of a word: what the substitution in it prints.
    pub(super) fn output_text(&mut self, word: &Word) -> Option<(Span, Via)> {
        let nested = word.nested?;
        let last = self.last_outermost(Ids { begin: nested, end: self.parsed_end(nested) });
        self.output_within(last?, MAX_STEPS)
    }

    /// Behind the commands of the one substitution that begins with `first`.
    fn parsed_end(&self, first: CommandId) -> u32 {
        let head = &self.commands[first as usize];
        let is_in =
            |command: &&Command| command.depth > head.depth || command.subshell == head.subshell;
        first + self.commands[first as usize..].iter().take(16).take_while(is_in).count() as u32
    }

    /// The last command that stands in no other of them.
    fn last_outermost(&self, ids: Ids) -> Option<CommandId> {
        let is_outermost = |id: &usize| {
            let parent = self.commands[*id].parent;
            parent.is_none_or(|parent| !ids.range().contains(&(parent as usize)))
        };
        ids.range().rev().take(16).find(is_outermost).map(|id| id as u32)
    }

    fn input_text_within(&mut self, id: CommandId, steps: u8) -> Option<(Span, Via)> {
        let command = self.commands[id as usize];
        for at in command.redirects.range().rev() {
            let redirect = self.redirects[at];
            match redirect.operator {
                Operator::HereString => return Some((redirect.target.value, Via::default())),
                Operator::Heredoc => {
                    return Some((self.bodies[redirect.body? as usize], Via::default()));
                }
                // `< <(…)`
                Operator::Read => return self.output_text(&redirect.target),
                _ => {}
            }
        }
        let from = self.last_outermost(command.input)?;
        self.output_within(from, steps)
    }

    fn output_within(&mut self, id: CommandId, steps: u8) -> Option<(Span, Via)> {
        let steps = steps.checked_sub(1)?;
        let command = self.commands[id as usize];
        let words = command.words;
        let program = self.program(&command)?;
        match program {
            "echo" => self.echoed(words),
            "printf" => self.printed(words),
            "cat" | "tee" if words.len() == 1 => self.input_text_within(id, steps),
            "base64" | "gbase64" | "openssl" if self.decodes(words) => {
                let (text, via) = self.input_text_within(id, steps)?;
                Some((self.decode_base64(text)?, via.with(Via::DECODED)))
            }
            "xxd" if self.decodes(words) => {
                let (text, via) = self.input_text_within(id, steps)?;
                Some((self.decode_hex(text)?, via.with(Via::DECODED)))
            }
            "rev" => {
                let (text, via) = self.input_text_within(id, steps)?;
                let reversed: String = self.text(text).trim_end().chars().rev().collect();
                Some((self.store(&reversed)?, via.with(Via::DECODED)))
            }
            _ => None,
        }
    }

    fn decodes(&self, words: Ids) -> bool {
        let is_option = |word: &Word| {
            matches!(self.value(word), "-d" | "-D" | "-di" | "--decode" | "-r" | "-rp" | "-rps")
        };
        self.words[words.range()].iter().any(is_option)
    }

    fn echoed(&mut self, words: Ids) -> Option<(Span, Via)> {
        let mut rest = Ids { begin: words.begin + 1, ..words };
        let mut has_escapes = false;
        while !rest.is_empty() {
            match self.value(&self.words[rest.begin as usize]) {
                "-e" | "-ne" | "-en" => has_escapes = true,
                "-n" | "-E" => {}
                _ => break,
            }
            rest.begin += 1;
        }
        if rest.is_empty() {
            return None;
        }
        let via = self.outputs_in(rest);
        let text = self.join(rest)?;
        Some((if has_escapes { self.unescaped(text)? } else { text }, via))
    }

    fn printed(&mut self, words: Ids) -> Option<(Span, Via)> {
        let rest = Ids { begin: words.begin + 1, ..words };
        let format = self.words[words.range()].get(1)?;
        let has_arguments = rest.len() > 1 && self.value(format).starts_with('%');
        let text = match has_arguments {
            true => self.join(Ids { begin: rest.begin + 1, ..rest })?,
            false => self.words[rest.begin as usize].value,
        };
        Some((self.unescaped(text)?, Via::default()))
    }

    /// Texts with other commands' output in them are not what those print.
    fn outputs_in(&self, words: Ids) -> Via {
        let is_output = |word: &Word| word.flags.has(Flags::OUTPUT);
        match self.words[words.range()].iter().any(is_output) {
            true => Via::SHELL,
            false => Via::default(),
        }
    }

    fn unescaped(&mut self, text: Span) -> Option<Span> {
        if memchr::memchr(b'\\', self.text(text).as_bytes()).is_none() {
            return Some(text);
        }
        let base = self.scratch.text.len();
        let content = self.text(text).to_owned();
        unescape(&content, &mut self.scratch.text);
        self.store_scratch(base)
    }

    fn decode_base64(&mut self, text: Span) -> Option<Span> {
        let characters: Vec<u8> =
            self.text(text).bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let decoded = String::from_utf8(LENIENT.decode(characters).ok()?).ok()?;
        self.store(&decoded)
    }

    fn decode_hex(&mut self, text: Span) -> Option<Span> {
        let digits: Vec<u8> = self.text(text).bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(text, 16).ok()
        };
        let bytes: Option<Vec<u8>> = digits.chunks_exact(2).map(byte).collect();
        let decoded = String::from_utf8(bytes?).ok()?;
        self.store(&decoded)
    }
}

/// Appends the text with the escapes of `$'…'`, `echo -e` and `printf` replaced.
pub(super) fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(backslash) = rest.find('\\') {
        out.push_str(&rest[..backslash]);
        rest = &rest[backslash + 1..];
        let Some(kind) = rest.chars().next() else {
            out.push('\\');
            return;
        };
        rest = &rest[kind.len_utf8()..];
        match kind {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' | 'b' | 'f' | 'v' | 'e' | 'E' => out.push(' '),
            'x' => rest = numbered(rest, 16, 2, out),
            'u' => rest = numbered(rest, 16, 4, out),
            'U' => rest = numbered(rest, 16, 8, out),
            '0'..='7' => {
                // Its first digit is a part of the number.
                let from = &text[text.len() - rest.len() - 1..];
                rest = numbered(from, 8, if kind == '0' { 4 } else { 3 }, out);
            }
            other => out.push(other),
        }
    }
    out.push_str(rest);
}

/// Appends the character whose number the text begins with; gives what is behind that.
fn numbered<'a>(text: &'a str, radix: u32, max_digits: usize, out: &mut String) -> &'a str {
    let digits = text.chars().take(max_digits).take_while(|it| it.is_digit(radix)).count();
    let number = u32::from_str_radix(&text[..digits], radix).ok();
    out.push(number.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
    &text[digits..]
}
