//! The header `Retry-After` (RFC 9110, section 10.2.3): for how long a server wants to be left alone, in
//! seconds or as a date.

use std::time::{Duration, SystemTime};

/// A longer value is none, in bytes.
const MAX_BYTES: usize = 64;

/// How long to wait from `now` on; `None` if the value is neither a number nor a date. A date that is over
/// is no wait.
pub fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim_ascii();
    if value.len() > MAX_BYTES {
        return None;
    }
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is as long as can be.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn seconds_and_all_three_forms_of_a_date() {
        let now = at(784_111_777 - 30);
        for (value, seconds) in [
            ("0", 0),
            (" 120 ", 120),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 30),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 30),
            ("Sun Nov  6 08:49:37 1994", 30),
            ("Sat, 05 Nov 1994 08:49:37 GMT", 0),
        ] {
            assert_eq!(parse(value, now), Some(Duration::from_secs(seconds)), "{value}");
        }
        assert_eq!(parse("99999999999999999999999", now), Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn anything_else_says_nothing() {
        for value in
            ["", " ", "-1", "1.5", "soon", "1 2", "Sun, 99 Nov 1994 08:49:37 GMT", &"1".repeat(65)]
        {
            assert_eq!(parse(value, at(0)), None, "{value}");
        }
    }
}
