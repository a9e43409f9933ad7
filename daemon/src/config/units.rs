//! Sizes and spans of time as the configuration writes them: `64MiB`, `100ms`.

use std::time::Duration;

/// One kibibyte.
pub const KIB: u64 = 1 << 10;
/// One mebibyte.
pub const MIB: u64 = 1 << 20;
/// One gibibyte.
pub const GIB: u64 = 1 << 30;
/// One tebibyte.
pub const TIB: u64 = 1 << 40;

/// Milliseconds in a second, the unit below it and those above it.
pub(super) const SECOND_MS: u64 = 1_000;
pub(super) const HOUR_MS: u64 = 3_600 * SECOND_MS;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;

/// A unit: its name, what it is worth, and what people write for it (in lower case).
type Unit = (&'static str, u64, &'static [&'static str]);

const SIZES: [Unit; 5] = [
    ("B", 1, &["byte", "bytes"]),
    ("KiB", KIB, &["k", "kb", "ki"]),
    ("MiB", MIB, &["m", "mb", "mi"]),
    ("GiB", GIB, &["g", "gb", "gi"]),
    ("TiB", TIB, &["t", "tb", "ti"]),
];

const SPANS: [Unit; 5] = [
    ("ms", 1, &["msec", "millis", "millisecond", "milliseconds"]),
    ("s", SECOND_MS, &["sec", "secs", "second", "seconds"]),
    ("m", 60 * SECOND_MS, &["min", "mins", "minute", "minutes"]),
    ("h", HOUR_MS, &["hr", "hrs", "hour", "hours"]),
    ("d", DAY_MS, &["day", "days"]),
];

/// Why a text is no size or span of time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misread {
    /// A suggestion.
    pub(super) help: String,
    /// What it would be if the suggestion was followed, where that says a value.
    pub(super) meant: Option<u64>,
}

/// Bytes from `64MiB`, `64 MiB` or `1024`.
pub(super) fn parse_size(text: &str) -> Result<u64, Misread> {
    let suggest = "write a whole number with B, KiB, MiB, GiB or TiB, such as \"64MiB\"";
    parse(text, &SIZES, Some(1), suggest)
}

/// A span of time from `100ms` or `7 d`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, Misread> {
    let suggest = "write a whole number with ms, s, m, h or d, such as \"100ms\"";
    parse(text, &SPANS, None, suggest).map(Duration::from_millis)
}

/// Bytes in the largest unit that leaves no rest, as [`parse_size`] reads them.
pub(super) fn format_size(bytes: u64) -> String {
    format(bytes, &SIZES)
}

/// A span of whole milliseconds in the largest unit that leaves no rest.
pub(super) fn format_duration(duration: Duration) -> String {
    format(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &SPANS)
}

/// `bare` is what a number without a unit counts, where that is allowed.
fn parse(text: &str, units: &[Unit], bare: Option<u64>, suggest: &str) -> Result<u64, Misread> {
    let text = text.trim();
    let split = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, name) = (&text[..split], text[split..].trim_start());
    let worth = match units.iter().find(|unit| unit.0 == name) {
        Some(unit) => Some(unit.1),
        None if name.is_empty() => bare,
        None => None,
    };
    if let Some(worth) = worth
        && let Ok(number) = number.parse::<u64>()
        && let Some(value) = number.checked_mul(worth)
    {
        return Ok(value);
    }
    let lower = name.to_lowercase();
    let meant = |unit: &&Unit| unit.0.to_lowercase() == lower || unit.2.contains(&lower.as_str());
    match units.iter().find(meant) {
        Some(unit) if worth.is_none() && !number.is_empty() => {
            let meant = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit.1));
            Err(Misread { help: format!("did you mean \"{number}{}\"?", unit.0), meant })
        }
        _ => Err(Misread { help: suggest.to_owned(), meant: None }),
    }
}

fn format(value: u64, units: &[Unit]) -> String {
    let fits = |unit: &&Unit| value != 0 && value.is_multiple_of(unit.1);
    let (name, worth, _) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    format!("{}{name}", value / worth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("64B", 64),
            ("64MiB", 64 * MIB),
            (" 2 TiB ", 2 * TIB),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, suggestion, meant) in [
            ("64mib", "did you mean \"64MiB\"?", 64 * MIB),
            ("64 MB", "did you mean \"64MiB\"?", 64 * MIB),
            ("8k", "did you mean \"8KiB\"?", 8 * KIB),
        ] {
            let misread = Misread { help: suggestion.to_owned(), meant: Some(meant) };
            assert_eq!(parse_size(text).unwrap_err(), misread, "{text}");
        }
        for text in
            ["", "MiB", "1.5GiB", "-1", "64 parsecs", "18446744073709551616", "99999999999TiB"]
        {
            let Misread { help, meant } = parse_size(text).unwrap_err();
            assert!(help.starts_with("write a whole number") && meant.is_none(), "{text}");
        }
    }

    #[test]
    fn spans_of_time() {
        for (text, ms) in [("0ms", 0), ("100ms", 100), ("90 s", 90_000), ("7d", 7 * DAY_MS)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(parse_duration("2 hours").unwrap_err().help, "did you mean \"2h\"?");
        for text in ["", "100", "1 month", "1h30m", "99999999999999999999d"] {
            assert!(
                parse_duration(text).unwrap_err().help.starts_with("write a whole number"),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value: u64, shift in 0_u32..64) {
            let value = value >> shift;
            prop_assert_eq!(parse_size(&format_size(value)), Ok(value));
            let span = Duration::from_millis(value);
            prop_assert_eq!(parse_duration(&format_duration(span)), Ok(span));
        }
    }
}
