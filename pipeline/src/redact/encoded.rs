//! Runs of base64 (and base64url) in a text: where they are, and the text in them, if it is one.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Shorter runs hold no secret that something else would not find, in bytes.
pub(super) const MIN_RUN_BYTES: usize = 24;

/// Lines of at least so many characters may go on in the next line.
const MIN_LINE_BYTES: usize = 60;

/// A whole block of the alphabet's characters at every so many bytes is in each run that is long enough.
const BLOCK_BYTES: usize = 8;
const STRIDE_BYTES: usize = 16;
const _: () = assert!(STRIDE_BYTES + BLOCK_BYTES <= MIN_RUN_BYTES);

/// Characters at a run's begin that must decode to text, and the places that are tried as one.
const PROBE_BYTES: usize = 16;
const MAX_PROBES: usize = 8;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Calls `found` with each run that is wanted and holds text, lines that go on and padding included, and
/// the text.
pub(super) fn each_text(
    encoded: &str,
    is_wanted: impl Fn(&Range<usize>) -> bool,
    mut found: impl FnMut(Range<usize>, String),
) {
    let bytes = encoded.as_bytes();
    let (mut done, mut last_end) = (0, 0);
    each_run(bytes, |run| {
        // (A run may be read from two places; but not again as a line of another.)
        if run.start >= done || run.end == last_end {
            last_end = run.end;
            let run = whole(bytes, run);
            done = run.end;
            if is_wanted(&run)
                && let Some(text) = text(&bytes[run.clone()])
            {
                found(run, text);
            }
        }
    });
}

/// Calls `found` with each run that seems to hold text, from where the text begins, without padding; if
/// that is not sure, from both places where it may.
pub(super) fn each_run(text: &[u8], mut found: impl FnMut(Range<usize>)) {
    let mut at = 0;
    let mut done = 0;
    while let Some(block) = text.get(at..at + BLOCK_BYTES) {
        if !(is_digit(block[BLOCK_BYTES - 1]) && block.iter().all(|&byte| is_digit(byte))) {
            at += STRIDE_BYTES;
            continue;
        }
        let before = text[done..at].iter().rev().take_while(|byte| is_digit(**byte)).count();
        let behind = text[at..].iter().take_while(|byte| is_digit(**byte)).count();
        let (begin, end) = (at - before, at + behind);
        let escape = escape_bytes(&text[..end], begin);
        let begins = [Some(begin), (escape > 0).then_some(begin + escape)];
        for begin in begins.into_iter().flatten() {
            if end.saturating_sub(begin) < MIN_RUN_BYTES {
                break;
            }
            let sure = text_begin(&text[begin..end]);
            if sure != Some(0) && is_broken_text(&text[begin..end]) {
                found(begin..end);
            }
            if let Some(skipped) = sure {
                found(begin + skipped..end);
                break;
            }
        }
        done = end;
        at = end.next_multiple_of(STRIDE_BYTES).max(at + STRIDE_BYTES);
    }
}

/// How many of a run's first characters belong to an escape, as the `n` of `\\n` does; 0 if none do.
fn escape_bytes(text: &[u8], begin: usize) -> usize {
    let is_escape = begin > 0 && text[begin - 1] == b'\\';
    match text.get(begin).filter(|_| is_escape) {
        Some(b'n' | b'r' | b't' | b'b' | b'f') => 1,
        Some(b'u') => 5,
        _ => 0,
    }
}

/// The whole of a run: with lines that go on with it, and padding.
fn whole(text: &[u8], run: Range<usize>) -> Range<usize> {
    let mut line = run.clone();
    loop {
        let line_break = match text.get(line.end..) {
            Some([b'\n', ..]) => 1,
            Some([b'\r', b'\n', ..]) => 2,
            _ => break,
        };
        let next = line.end + line_break;
        let digits = text[next..].iter().take_while(|byte| is_digit(**byte)).count();
        if line.len() < MIN_LINE_BYTES || !line.len().is_multiple_of(4) || digits == 0 {
            break;
        }
        line = next..next + digits;
    }
    let padding = text[line.end..].iter().take(2).take_while(|byte| **byte == b'=').count();
    run.start..line.end + padding
}

/// The text that a run holds, as far as it is text.
fn text(run: &[u8]) -> Option<String> {
    let mut digits = Vec::with_capacity(run.len());
    // (What is no digit is a line break or padding.)
    for line in run.split(|byte| !is_digit(*byte)) {
        digits.extend(line.iter().map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => *byte,
        }));
    }
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    let bytes = LENIENT.decode(&digits).ok()?;
    let (first, behind) = bytes.split_at_checked(UTF16_MARK_BYTES)?;
    let text = match byte_order(&bytes) {
        Some(order) => order.text(behind),
        None if is_utf16(&bytes) => ByteOrder::Little.text(first) + &ByteOrder::Little.text(behind),
        None => String::from_utf8_lossy(&bytes).into_owned(),
    };
    Some(text)
}

/// How the two bytes of a unit of UTF-16 follow each other.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// The mark before a text in UTF-16, in bytes.
pub(super) const UTF16_MARK_BYTES: usize = 2;

/// What the mark at the begin of a text in UTF-16 says, if there is one.
pub(super) fn byte_order(bytes: &[u8]) -> Option<ByteOrder> {
    match bytes {
        [0xff, 0xfe, ..] => Some(ByteOrder::Little),
        [0xfe, 0xff, ..] => Some(ByteOrder::Big),
        _ => None,
    }
}

impl ByteOrder {
    /// The text in UTF-16, without a mark; with a sign for what is none, an odd byte at the end too.
    pub(super) fn text(self, bytes: &[u8]) -> String {
        let pairs = bytes.chunks(2).map(|unit| [unit[0], unit.get(1).copied().unwrap_or(0xdc)]);
        let units = pairs.map(|pair| match self {
            ByteOrder::Little => u16::from_le_bytes(pair),
            ByteOrder::Big => u16::from_be_bytes(pair),
        });
        char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }

    /// The bytes of a text in UTF-16, with its mark.
    pub(super) fn bytes(self, text: &str) -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        let pairs = units.map(|unit| match self {
            ByteOrder::Little => unit.to_le_bytes(),
            ByteOrder::Big => unit.to_be_bytes(),
        });
        pairs.flatten().collect()
    }
}

/// Where in a run text begins, if there is any: at its begin, or behind a character that may also join
/// it with something else.
fn text_begin(run: &[u8]) -> Option<usize> {
    let mut probes = 0;
    let mut begin = 0;
    let last = run.len().checked_sub(PROBE_BYTES)?;
    loop {
        if is_text(&run[begin..begin + PROBE_BYTES]) {
            return Some(begin);
        }
        probes += 1;
        let is_joint = |byte: &u8| matches!(byte, b'/' | b'-' | b'_' | b'+');
        match run[begin..last.max(begin)].iter().position(is_joint) {
            Some(joint) if probes < MAX_PROBES => begin += 1 + joint,
            _ => return None,
        }
    }
}

/// Whether the characters decode to text.
fn is_text(digits: &[u8]) -> bool {
    if !may_be_text(digits) {
        return false;
    }
    let bytes = probe(digits);
    let is_cut = |error: std::str::Utf8Error| error.error_len().is_none();
    is_utf16(&bytes)
        || byte_order(&bytes).is_some_and(|order| {
            order.text(&bytes[UTF16_MARK_BYTES..]).bytes().all(|byte| is_plain(byte) && byte < 0x80)
        })
        || bytes.iter().all(|&byte| is_plain(byte))
            && std::str::from_utf8(&bytes).err().is_none_or(is_cut)
}

/// Whether the characters decode to ASCII but for one or two bytes of another encoding. By chance, many
/// do: so this only counts where a run begins.
fn is_broken_text(digits: &[u8]) -> bool {
    const MAX_OTHER: usize = 2;
    let mut other = 0;
    digits[..PROBE_BYTES].chunks_exact(4).all(|four| {
        for byte in three_bytes(four) {
            other += match byte {
                0x80.. => 1,
                _ if is_plain(byte) => 0,
                _ => MAX_OTHER + 1,
            };
        }
        other <= MAX_OTHER
    })
}

/// What the first characters of a run decode to.
fn probe(digits: &[u8]) -> [u8; PROBE_BYTES / 4 * 3] {
    let mut bytes = [0; PROBE_BYTES / 4 * 3];
    for (three, four) in bytes.chunks_exact_mut(3).zip(digits.chunks_exact(4)) {
        three.copy_from_slice(&three_bytes(four));
    }
    bytes
}

/// What four characters decode to.
#[inline]
fn three_bytes(four: &[u8]) -> [u8; 3] {
    let digits = four.iter().map(|digit| u32::from(DIGITS[usize::from(*digit)]));
    let [_, three @ ..] = digits.fold(0, |value, digit| value << 6 | digit).to_be_bytes();
    three
}

/// Whether a byte may be in a text: the control characters there are those of lines and of colours.
#[inline]
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b | b' '..=b'~' | 0x80..)
}

/// Whether the first two bytes can begin a text, in UTF-8 or UTF-16: of what is none, most cannot.
#[inline]
fn may_be_text(digits: &[u8]) -> bool {
    let [a, b, c] = [digits[0], digits[1], digits[2]].map(|digit| DIGITS[usize::from(digit)]);
    let (first, second) = (a << 2 | b >> 4, b << 4 | c >> 2);
    match (first, second) {
        (0xff, 0xfe) | (0xfe, 0xff) => true,
        (0x80.., _) => matches!(first, 0xc2..=0xf4) && matches!(second, 0x80..=0xbf),
        _ => {
            is_plain(first)
                && (second == 0 || is_plain(second) && !matches!(second, 0x80..0xc2 | 0xf5..))
        }
    }
}

/// ASCII characters in UTF-16, low byte first, as PowerShell's encoded commands have them.
fn is_utf16(bytes: &[u8]) -> bool {
    let mut first = bytes.chunks_exact(2).take(PROBE_BYTES / 4);
    bytes.len() >= 8
        && first.all(|unit| unit[1] == 0 && matches!(unit[0], b'\t' | b'\n' | b'\r' | b' '..=b'~'))
}

#[inline]
fn is_digit(byte: u8) -> bool {
    DIGITS[usize::from(byte)] != NO_DIGIT
}

const NO_DIGIT: u8 = 0xff;

/// What each character means, in both alphabets.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut at = 0;
    while at < 26 {
        digits[b'A' as usize + at] = at as u8;
        digits[b'a' as usize + at] = at as u8 + 26;
        at += 1;
    }
    at = 0;
    while at < 10 {
        digits[b'0' as usize + at] = at as u8 + 52;
        at += 1;
    }
    digits[b'+' as usize] = 62;
    digits[b'-' as usize] = 62;
    digits[b'/' as usize] = 63;
    digits[b'_' as usize] = 63;
    digits
};

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    fn texts(input: &str) -> Vec<String> {
        let mut found = Vec::new();
        each_text(input, |_| true, |_, text| found.push(text));
        found
    }

    #[test]
    fn what_only_looks_like_base64_is_passed_over() {
        let inputs = [
            "/home/user/Documents/projects/connector/source",
            "97fa1bbf-c85d-406a-8109-267246420e69",
            "the quick brown fox jumps over the lazy dog",
            "AVeryLongIdentifierOfSomeFrameworksFactory",
        ];
        for input in inputs {
            assert_eq!(texts(input), [""; 0], "{input}");
        }
    }

    #[test]
    fn lines_of_a_folded_run_belong_together() {
        let secret = "one line of text and another one, so that it is folded: the end of all this";
        let encoded = BASE64_STANDARD.encode(secret);
        let folded = format!("{}\r\n{}", &encoded[..76], &encoded[76..]);
        assert_eq!(texts(&folded), [secret]);
    }

    #[test]
    fn text_of_two_byte_units_is_read() {
        let units: Vec<u8> =
            "Write-Output hello".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(texts(&BASE64_STANDARD.encode(units)), ["Write-Output hello"]);
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let marked = order.bytes("Write-Output hello");
            assert_eq!(texts(&BASE64_STANDARD.encode(marked)), ["Write-Output hello"]);
        }
    }

    #[test]
    fn text_is_read_past_what_is_none_and_from_an_escape_on() {
        let cases: [(&[u8], &str); 4] = [
            (b"un caf\xe9 et le reste", "un caf\u{fffd} et le reste"),
            (
                b"une longue phrase \xe9crite et le reste",
                "une longue phrase \u{fffd}crite et le reste",
            ),
            (b"\xe9crit \xe0 la main et le reste", "\u{fffd}crit \u{fffd} la main et le reste"),
            (b"\x1b[31mred\x1b[0m and the rest", "\u{1b}[31mred\u{1b}[0m and the rest"),
        ];
        for (bytes, text) in cases {
            assert_eq!(texts(&BASE64_STANDARD.encode(bytes)), [text]);
        }
    }

    proptest! {
        #[test]
        fn encoded_text_is_found_wherever_it_stands(
            text in "[ -~]{18,90}", before in "([ -~]{0,40}[ ,=\"./-])?", behind in "([ ,\"&.][ -~]{0,20})?", url: bool,
        ) {
            let encoded = if url { BASE64_URL_SAFE_NO_PAD.encode(&text) } else { BASE64_STANDARD.encode(&text) };
            // (More joints than are tried before it hide it.)
            prop_assume!(before.matches(['/', '-', '_', '+']).count() < MAX_PROBES - 1);
            let found = texts(&format!("{before}{encoded}{behind}"));
            // What stands before it may be read as text, too: then it reaches into this one.
            prop_assert!(found.iter().any(|found| *found == text || found.len() > text.len() / 2), "{:?}", found);
        }
    }
}
