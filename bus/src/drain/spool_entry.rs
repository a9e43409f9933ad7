//! A spool entry as its name tells of it, and the oldest entries of a directory.

use crate::spool::{NAME_BYTES, entry_name};
use std::collections::{BinaryHeap, VecDeque};
use std::ffi::CString;

/// What an entry's name says. Sorts as the names do: by time.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Entry {
    pub(super) stamp_ns: u64,
    pub(super) id: [u8; 16],
}

impl Entry {
    /// From a name of 20 digits, a dash and 32 lower-case hex digits; `None`: no entry's name.
    pub(super) fn parse(name: &[u8]) -> Option<Entry> {
        if name.len() != NAME_BYTES || name[20] != b'-' {
            return None;
        }
        let stamp_ns = name[..20].iter().try_fold(0u64, |stamp, digit| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            // Twenty digits hold more than a stamp can be.
            stamp.checked_mul(10)?.checked_add(digit)
        })?;
        let mut id = [0; 16];
        for (byte, digits) in id.iter_mut().zip(name[21..].chunks_exact(2)) {
            *byte = hex_value(digits[0])? << 4 | hex_value(digits[1])?;
        }
        Some(Entry { stamp_ns, id })
    }

    /// Its name, for the system.
    pub(super) fn c_name(&self) -> CString {
        CString::new(&self.name()[..]).unwrap_or_default()
    }

    /// Its name, for people and journals.
    pub(super) fn text(&self) -> String {
        self.name().iter().map(|byte| char::from(*byte)).collect()
    }

    fn name(&self) -> [u8; NAME_BYTES] {
        let with_zero = entry_name(self.stamp_ns, &self.id);
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&with_zero[..NAME_BYTES]);
        name
    }
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The oldest of the entries that are added, up to a limit.
pub(super) struct Oldest {
    heap: BinaryHeap<Entry>,
    limit: usize,
    /// Entries were left out.
    pub(super) is_cut: bool,
}

impl Oldest {
    pub(super) fn new(limit: usize) -> Oldest {
        Oldest { heap: BinaryHeap::new(), limit, is_cut: false }
    }

    pub(super) fn add(&mut self, entry: Entry) {
        if self.heap.len() < self.limit {
            self.heap.push(entry);
            return;
        }
        self.is_cut = true;
        if let Some(mut newest) = self.heap.peek_mut()
            && entry < *newest
        {
            *newest = entry;
        }
    }

    /// What was kept, oldest first.
    pub(super) fn into_queue(self) -> VecDeque<Entry> {
        self.heap.into_sorted_vec().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_whole_names_are_entries() {
        let largest = format!("{}-{}", u64::MAX, "ab".repeat(16));
        let entry = Entry::parse(largest.as_bytes()).unwrap();
        assert_eq!((entry.stamp_ns, entry.id), (u64::MAX, [0xab; 16]));
        for name in [
            String::new(),
            "usage".to_owned(),
            largest.replace('-', "_"),
            largest.replace("ab", "AB"),
            largest.replace("ab", "ag"),
            largest.replace("18446744073709551615", "18446744073709551616"),
            largest.replace("18446744073709551615", "+8446744073709551615"),
            largest.replace("18446744073709551615", "0000000000000000001+"),
            format!("{largest}0"),
            format!(".bad-{largest}"),
        ] {
            assert_eq!(Entry::parse(name.as_bytes()), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_go_both_ways_and_sort_as_entries_do(
            entries in proptest::collection::vec((0u64.., any::<[u8; 16]>()), 2),
        ) {
            let entries = [0, 1].map(|at: usize| Entry { stamp_ns: entries[at].0, id: entries[at].1 });
            let names = entries.map(|entry| entry.text());
            prop_assert_eq!(names[0].cmp(&names[1]), entries[0].cmp(&entries[1]));
            prop_assert_eq!(Entry::parse(names[0].as_bytes()), Some(entries[0]));
            prop_assert_eq!(entries[0].c_name().into_bytes(), names[0].as_bytes());
        }

        #[test]
        fn the_oldest_are_kept(mut stamps in proptest::collection::vec(0u64..50, 0..40)) {
            let mut oldest = Oldest::new(10);
            for stamp_ns in &stamps {
                oldest.add(Entry { stamp_ns: *stamp_ns, id: [0; 16] });
            }
            prop_assert_eq!(oldest.is_cut, stamps.len() > 10);
            stamps.sort_unstable();
            stamps.truncate(10);
            let kept: Vec<_> = oldest.into_queue().iter().map(|entry| entry.stamp_ns).collect();
            prop_assert_eq!(kept, stamps);
        }
    }
}
