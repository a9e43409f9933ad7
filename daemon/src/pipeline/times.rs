//! When a record was published, by the wall clock and by the machine's own.
//!
//! A stamp counts from the machine's start, finely, but says nothing in another boot or time
//! namespace. The id has the hook's wall clock, in milliseconds. Where both say the same, the stamp's
//! digits count.

use hookring_bus::drain::{Batch, Record};

/// Stamp and id that are further apart are not of the same clocks.
const MAX_APART_NS: u64 = 5_000_000_000;

const NS_PER_MS: u64 = 1_000_000;

/// A record's times, in ns.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Times {
    /// The wall clock.
    pub(super) wall_ns: i64,
    /// `CLOCK_BOOTTIME` of this boot, if that is what it was stamped with.
    pub(super) monotonic_ns: Option<u64>,
}

impl Times {
    pub(super) fn of(batch: &Batch, record: &Record<'_>) -> Times {
        let stamps = (record.header.stamp_ns, record.stamp_ns);
        from(stamps, record.header.id, (batch.boottime_ns(), batch.realtime_ns()))
    }
}

/// `published_ns` is what the hook stamped, `ordered_ns` what the reader made of it. The last two are
/// both clocks at one moment since.
fn from(
    (published_ns, ordered_ns): (u64, u64),
    id: [u8; 16],
    (boottime_ns, realtime_ns): (u64, u64),
) -> Times {
    let wall_at = |stamp_ns| realtime_ns.saturating_sub(boottime_ns.saturating_sub(stamp_ns));
    // A clock that was set back since would have all of them in the future; a made-up one may.
    let in_id = in_id(id).filter(|wall_ns| *wall_ns <= realtime_ns.saturating_add(MAX_APART_NS));
    // Set to the time of its arrival: it is not of this clock.
    let is_future = published_ns > boottime_ns;
    let by_stamp = wall_at(if is_future { ordered_ns } else { published_ns });
    let is_off = |wall_ns: &u64| is_future || wall_ns.abs_diff(by_stamp) > MAX_APART_NS;
    let by_id = in_id.filter(is_off);
    Times {
        wall_ns: i64::try_from(by_id.unwrap_or(by_stamp)).unwrap_or(i64::MAX),
        monotonic_ns: Some(published_ns).filter(|_| !is_future && by_id.is_none()),
    }
}

/// The wall clock in a UUID of version 7.
fn in_id(id: [u8; 16]) -> Option<u64> {
    let is_version_7 = id[6] >> 4 == 7 && id[8] >> 6 == 0b10;
    let millis = id[..6].iter().fold(0, |millis, byte| (millis << 8) | u64::from(*byte));
    millis.checked_mul(NS_PER_MS).filter(|_| is_version_7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookring_bus::ident::Ids;

    const S: u64 = 1_000_000_000;
    const NOW_NS: u64 = 1_800_000_000 * S;
    /// The machine runs for a day.
    const CLOCKS: (u64, u64) = (86_400 * S, NOW_NS);

    fn id_at(wall_ns: u64) -> [u8; 16] {
        Ids::new([7; 16]).next(wall_ns)
    }

    fn times(wall_ns: u64, monotonic_ns: Option<u64>) -> Times {
        Times { wall_ns: wall_ns as i64, monotonic_ns }
    }

    #[test]
    fn a_stamp_that_its_id_confirms_has_the_finer_time() {
        let stamp_ns = 86_390 * S + 123;
        let wall_ns = NOW_NS - 10 * S + 123;
        for id_ns in [wall_ns, wall_ns - 4 * S, wall_ns + 4 * S] {
            let found = from((stamp_ns, stamp_ns), id_at(id_ns), CLOCKS);
            assert_eq!(found, times(wall_ns, Some(stamp_ns)));
        }
        // One that was only raised to that of another in its lane, too.
        let found = from((stamp_ns, stamp_ns + 9 * S), id_at(wall_ns), CLOCKS);
        assert_eq!(found, times(wall_ns, Some(stamp_ns)));
    }

    #[test]
    fn the_id_wins_where_the_stamp_is_of_another_clock() {
        // Of an earlier boot, three days ago, when the machine had run for an hour.
        let id_ns = NOW_NS - 3 * 86_400 * S;
        assert_eq!(from((3600 * S, 3600 * S), id_at(id_ns), CLOCKS), times(id_ns, None));
        // A time namespace that is ahead: the reader set it to the time of its arrival.
        let id_ns = NOW_NS - 2 * S;
        let stamps = (1_000_000 * S, 86_400 * S);
        assert_eq!(from(stamps, id_at(id_ns), CLOCKS), times(id_ns, None));
    }

    #[test]
    fn an_id_that_tells_no_time_leaves_it_to_the_stamp() {
        let (stamp_ns, wall_ns) = (3600 * S, NOW_NS - 82_800 * S);
        let mut version_4 = id_at(NOW_NS - S);
        version_4[6] = 0x40;
        let mut other_variant = id_at(NOW_NS - S);
        other_variant[8] = 0xc0;
        let future = id_at(NOW_NS + 60 * S);
        for id in [[0; 16], [0xff; 16], version_4, other_variant, future] {
            let found = from((stamp_ns, stamp_ns), id, CLOCKS);
            assert_eq!(found, times(wall_ns, Some(stamp_ns)), "{id:x?}");
            let found = from((1_000_000 * S, 86_399 * S), id, CLOCKS);
            assert_eq!(found, times(NOW_NS - S, None), "{id:x?}");
        }
    }
}
