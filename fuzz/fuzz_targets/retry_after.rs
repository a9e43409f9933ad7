//! The header `Retry-After` of any server: read or left, and never read as another time than it says.
#![no_main]

use std::time::{Duration, SystemTime};

use hookring_sinks::retry_after::parse;
use libfuzzer_sys::fuzz_target;

/// The years that a date with four digits can have, in seconds from the epoch.
const YEAR_10000_S: u64 = 253_402_300_800;

fuzz_target!(|value: &str| {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let waits = [0, 784_111_777, 1_700_000_000].map(|now| parse(value, at(now)));
    let digits = value.trim_ascii();
    let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    match waits {
        [None, None, None] => assert!(!is_number || digits.len() > 64, "{value:?} is a number"),
        [Some(first), Some(second), Some(third)] if is_number => {
            assert!(first == second && second == third, "seconds do not hang on the clock");
            let said = digits.parse().unwrap_or(u64::MAX);
            assert_eq!(first, Duration::from_secs(said));
        }
        // A date is the same moment, whenever it is looked at.
        [Some(first), Some(second), Some(third)] => {
            assert!(first.as_secs() < YEAR_10000_S, "{value:?}: {first:?}");
            assert!(value.bytes().any(|it| it.is_ascii_digit()), "{value:?}");
            for (wait, now) in [(second, 784_111_777), (third, 1_700_000_000)] {
                assert_eq!(wait, first.saturating_sub(Duration::from_secs(now)), "{value:?}");
            }
        }
        other => panic!("{value:?} is read now and then: {other:?}"),
    }
});
