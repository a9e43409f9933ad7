//! Writes the small parts of a line: hex, decimal numbers, times, escaped strings.

/// Lower-case hex, two digits per byte.
pub fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        let pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        out.extend_from_slice(&pair);
    }
}

/// The number in decimal, without padding.
pub fn push_decimal(out: &mut Vec<u8>, value: u64) {
    let mut digits = [b'0'; DECIMAL_DIGITS];
    let first = write_decimal(&mut digits, value, b'0');
    out.extend_from_slice(&digits[first..]);
}

/// Digits of the largest `u64`.
pub const DECIMAL_DIGITS: usize = 20;

/// Right-aligns the number in `field`, fills the rest with `fill`, returns where the digits begin.
pub fn write_decimal(field: &mut [u8; DECIMAL_DIGITS], mut value: u64, fill: u8) -> usize {
    let mut at = DECIMAL_DIGITS;
    loop {
        at -= 1;
        field[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    field[..at].fill(fill);
    at
}

/// RFC 3339 in UTC with nine digits of a second, always 30 bytes: `2026-11-21T05:17:00.000000001Z`.
pub fn push_timestamp(out: &mut Vec<u8>, unix_ns: i64) {
    const NS_PER_S: i64 = 1_000_000_000;
    const S_PER_DAY: i64 = 86_400;
    let second = unix_ns.div_euclid(NS_PER_S);
    let (year, month, day) = civil(second.div_euclid(S_PER_DAY));
    let of_day = second.rem_euclid(S_PER_DAY);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    put_digits(&mut text[0..4], year);
    put_digits(&mut text[5..7], month);
    put_digits(&mut text[8..10], day);
    put_digits(&mut text[11..13], of_day / 3600);
    put_digits(&mut text[14..16], of_day / 60 % 60);
    put_digits(&mut text[17..19], of_day % 60);
    put_digits(&mut text[20..29], unix_ns.rem_euclid(NS_PER_S));
    out.extend_from_slice(&text);
}

fn put_digits(field: &mut [u8], mut value: i64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01, by shifting the year's start to March so
/// that the leap day comes last (the proleptic Gregorian calendar repeats every 146,097 days).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The text as a JSON string with its quotes.
pub fn push_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_json_characters(out, text);
    out.push(b'"');
}

/// The text as it stands between the quotes of a JSON string.
pub fn push_json_characters(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len());
    let mut at = 0;
    loop {
        let stop = find_special(bytes, at);
        out.extend_from_slice(&bytes[at..stop]);
        let Some(&byte) = bytes.get(stop) else { break };
        push_escape(out, byte);
        at = stop + 1;
    }
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            push_hex(out, &[byte]);
        }
    }
}

/// Bytes looked at in one step on long stretches: wide enough for vector instructions.
const WIDE: usize = 32;

/// The first byte at or after `from` that cannot stand as it is inside a JSON string: a quote, a
/// backslash or a control character; the length of `bytes` if there is none.
#[inline]
pub fn find_special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    // Eight bytes in a register first: most keys and many values end there.
    while let Some(word) = bytes.get(at..at + 8) {
        let special = special_bytes(word);
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
        if at - from >= WIDE {
            at = skip_wide(bytes, at);
        }
    }
    bytes[at..].iter().position(|&byte| is_special(byte)).map_or(bytes.len(), |found| at + found)
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Sets the high bit of the lowest special byte (little endian); higher marks may be false.
#[inline]
fn special_bytes(word: &[u8]) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let word = word.try_into().map_or(0, u64::from_le_bytes);
    // A byte minus n borrows into its high bit if it is below n; bytes with a high bit of their
    // own (UTF-8 beyond ASCII) are masked out. A borrow can only spoil bytes above a real find.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word;
    let quote = below(word ^ (ONES * b'"' as u64), 1);
    let backslash = below(word ^ (ONES * b'\\' as u64), 1);
    (below(word, 0x20) | quote | backslash) & HIGHS
}

/// Passes over whole stretches without a special byte.
#[inline]
fn skip_wide(bytes: &[u8], mut at: usize) -> usize {
    while let Some(stretch) = bytes.get(at..at + WIDE) {
        // No early exit, so that the compiler can use vector instructions.
        if stretch.iter().fold(false, |any, &byte| any | is_special(byte)) {
            break;
        }
        at += WIDE;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_at_their_limits() {
        assert_eq!(text(|out| push_decimal(out, 0)), "0");
        assert_eq!(text(|out| push_decimal(out, u64::MAX)), u64::MAX.to_string());
        let mut field = [0; DECIMAL_DIGITS];
        assert_eq!(write_decimal(&mut field, 42, b' '), 18);
        assert_eq!(&field, b"                  42");
    }

    proptest! {
        #[test]
        fn a_time_reads_as_jiff_writes_it(unix_ns: i64) {
            let expected = jiff::Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap();
            prop_assert_eq!(text(|out| push_timestamp(out, unix_ns)), format!("{expected:.9}"));
        }

        #[test]
        fn an_escaped_string_reads_back(input in any::<String>()) {
            let written = text(|out| push_json_string(out, &input));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), input);
        }

        #[test]
        fn special_bytes_are_found_like_one_by_one(
            input in proptest::collection::vec(
                prop_oneof![20 => b' '..=b'!', 20 => 0x80u8.., 1 => any::<u8>()], 0..200),
            from in 0usize..200,
        ) {
            let from = from.min(input.len());
            let expected = (from..input.len()).find(|&at| is_special(input[at]));
            prop_assert_eq!(find_special(&input, from), expected.unwrap_or(input.len()));
        }
    }
}
