//! How text looks on a terminal: the program's colours, and text from outside made harmless.
//!
//! Colours are written as they stand here to [`anstream::stdout`] or [`anstream::stderr`], which
//! take them out where nobody would see them: in a pipe, in a file, with `NO_COLOR` set.

use std::borrow::Cow;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};

/// What went wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// What may go wrong.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// What is in order.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Titles.
pub const HEADING: Style = Style::new().bold();
/// What stands there to guide the eye: line numbers, rules, arrows.
pub const GUIDE: Style = AnsiColor::Blue.on_default().bold();
/// What may be passed over.
pub const FAINT: Style = Style::new().dimmed();

/// The same colours for help texts and usage errors.
pub const HELP: clap::builder::Styles = clap::builder::Styles::styled()
    .header(HEADING)
    .usage(HEADING)
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default())
    .error(ERROR)
    .valid(GOOD)
    .invalid(WARNING);

/// Whether colours are to be seen there, for what is not written through an `anstream`.
pub fn is_coloured(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

/// `text` with everything escaped that could steer a terminal or disguise what is shown: control
/// characters (C0, DEL, C1), line and paragraph separators, and the marks that change the direction
/// of writing. They appear as Rust writes them: `\n`, `\u{1b}`.
///
/// For text that came from outside: an event's name, a path, a line of a file. It is meant to be
/// read, not to be turned back: a backslash stays a single one.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => out.extend(char.escape_default()),
            _ if steers(char) => {
                let _infallible = write!(out, "\\u{{{:x}}}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    Cow::Owned(out)
}

fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn harmless_text_is_passed_on_without_a_copy() {
        assert!(matches!(printable("Grüße, 世界 \\ 🦀"), Cow::Borrowed("Grüße, 世界 \\ 🦀")));
    }

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(printable("a\x1b[2Jb\r\n\t\0\x7f"), r"a\u{1b}[2Jb\r\n\t\u{0}\u{7f}");
        assert_eq!(printable("\u{9b}31m"), r"\u{9b}31m", "the one-character form of ESC [");
        assert_eq!(printable("exe.\u{202e}fdp"), r"exe.\u{202e}fdp");
    }

    #[test]
    fn colours_vanish_where_nobody_would_see_them() {
        let mut out = anstream::AutoStream::never(Vec::new());
        std::io::Write::write_fmt(&mut out, format_args!("{ERROR}error{ERROR:#}: x")).unwrap();
        assert_eq!(out.into_inner(), b"error: x");
    }

    proptest! {
        #[test]
        fn nothing_that_steers_is_left(text in any::<String>()) {
            prop_assert!(!printable(&text).contains(steers));
        }
    }
}
