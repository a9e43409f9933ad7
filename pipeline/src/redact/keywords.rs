//! Finds the keywords of all rules in one pass.
//!
//! A small table knows every three bytes that a keyword begins with, or has behind its first byte: so
//! one look at every other place of a text passes over most of what can be no keyword. Where it has a
//! doubt, another table is asked whether one begins with those four bytes, and only then the few that
//! do are compared. An automaton over so many
//! keywords (more than a thousand) does not stay in the nearest cache, and takes a step that waits
//! for the one before with every byte; these looks do not wait for each other.

/// The shortest keyword, in bytes.
pub(super) const MIN_BYTES: usize = 4;

/// What a keyword stands for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// A part of a name that may mean a secret.
    Name,
    /// The rule with this index.
    Rule(u16),
    /// A form of the environment's value with this index, which must be there byte for byte.
    Environment(u16),
}

/// Keywords, and what each stands for.
pub(super) struct Keywords<T> {
    /// A bit for each hash of three bytes at the first or second place of a keyword.
    windows: Box<Bits<{ 1 << (WINDOW_BITS - 5) }>>,
    /// A bit for each hash of a keyword's first four bytes.
    begins: Box<Bits<{ 1 << (BEGIN_BITS - 5) }>>,
    /// By the hash of its first four bytes, or the next that is free: where a keyword's kind is.
    slots: Vec<Option<Group>>,
    /// By their first four bytes, then by their text.
    keywords: Vec<Keyword<T>>,
}

/// The keywords that begin with the same four bytes.
#[derive(Copy, Clone)]
struct Group {
    begin: u32,
    first: u32,
    behind: u32,
}

struct Keyword<T> {
    /// In lower case.
    text: Box<[u8]>,
    /// Its last four bytes, which say more than the first of what it may be.
    end: u32,
    targets: Vec<T>,
}

/// The tables have 16 and 4 KiB, so that both stay in the nearest cache.
const WINDOW_BITS: u32 = 17;
const BEGIN_BITS: u32 = 15;

type Bits<const WORDS: usize> = [u32; WORDS];

/// Bytes that one step of the pass goes on by, and those that it sees: it looks at every other one of
/// them together with the two behind it.
const STEP: usize = 16;
const STEP_BYTES: usize = STEP + 2;

impl<T: Copy + PartialEq> Keywords<T> {
    /// Takes each keyword with what it stands for; ASCII letters match in either case.
    ///
    /// # Panics
    ///
    /// If one is shorter than [`MIN_BYTES`].
    pub(super) fn new(mut all: Vec<(Vec<u8>, T)>) -> Keywords<T> {
        all.iter_mut().for_each(|(text, _)| text.make_ascii_lowercase());
        all.sort_by(|(a, _), (b, _)| begin(a).cmp(&begin(b)).then_with(|| a.cmp(b)));
        let mut found = Keywords {
            windows: Box::new([0; 1 << (WINDOW_BITS - 5)]),
            begins: Box::new([0; 1 << (BEGIN_BITS - 5)]),
            slots: vec![None; (2 * all.len()).next_power_of_two()],
            keywords: Vec::with_capacity(all.len()),
        };
        for (text, target) in all {
            match found.keywords.last_mut() {
                Some(last) if *last.text == *text => {
                    if !last.targets.contains(&target) {
                        last.targets.push(target);
                    }
                }
                _ => found.add(&text, target),
            }
        }
        found
    }

    fn add(&mut self, text: &[u8], target: T) {
        assert!(text.len() >= MIN_BYTES, "a keyword of fewer than {MIN_BYTES} bytes");
        for window in [[text[0], text[1], text[2], 0], [text[1], text[2], text[3], 0]] {
            let place = window_place(u32::from_le_bytes(window) | LOWER);
            self.windows[place >> 5] |= 1 << (place & 31);
        }
        let begin = begin(text).unwrap_or_default();
        let place = begin_place(begin);
        self.begins[place >> 5] |= 1 << (place & 31);
        let at = self.keywords.len() as u32;
        let slot = self.slot(begin);
        let group = self.slots[slot].get_or_insert(Group { begin, first: at, behind: at });
        group.behind = at + 1;
        let end = begin_at(text, text.len() - MIN_BYTES).unwrap_or_default();
        self.keywords.push(Keyword { text: text.into(), end, targets: vec![target] });
    }

    /// Calls `hit` with each place where a keyword begins, its length and what it stands for, in the
    /// order of the text.
    #[inline]
    pub(super) fn each_hit(&self, text: &[u8], mut hit: impl FnMut(usize, usize, &[T])) {
        let mut at = 0;
        while let Some(step) = text.get(at..at + STEP_BYTES) {
            let mut doubts = self.doubts(step);
            while doubts != 0 {
                let place = at + 2 * doubts.trailing_zeros() as usize;
                doubts &= doubts - 1;
                self.around(text, place, &mut hit);
            }
            at += STEP;
        }
        (at..text.len()).step_by(2).for_each(|place| self.around(text, place, &mut hit));
    }

    /// A bit for each of a step's places at which the table has a doubt.
    #[inline]
    fn doubts(&self, step: &[u8]) -> u32 {
        let [a, b, c] = [0, 6, STEP_BYTES - 8].map(|at| u64_at(step, at) | LOWER_LONG);
        let windows = [a, a >> 16, a >> 32, b, b >> 16, b >> 32, c >> 16, c >> 32];
        windows.into_iter().rev().fold(0, |doubts, window| {
            let place = window_place(window as u32);
            doubts << 1 | self.windows[place >> 5] >> (place & 31) & 1
        })
    }

    /// Looks for keywords that begin here or one byte before.
    #[inline(always)]
    fn around(&self, text: &[u8], at: usize, hit: &mut impl FnMut(usize, usize, &[T])) {
        for at in [at.wrapping_sub(1), at] {
            let Some(begin) = begin_at(text, at) else { continue };
            let place = begin_place(begin);
            if self.begins[place >> 5] >> (place & 31) & 1 == 1 {
                self.compare(text, at, begin, hit);
            }
        }
    }

    /// Holds the keywords of this begin against the text. (Seldom, so that what is done often stays small.)
    #[inline(never)]
    fn compare(
        &self,
        text: &[u8],
        at: usize,
        begin: u32,
        hit: &mut impl FnMut(usize, usize, &[T]),
    ) {
        let Some(group) = self.slots[self.slot(begin)] else { return };
        for keyword in &self.keywords[group.first as usize..group.behind as usize] {
            let bytes = keyword.text.len();
            let may_be = begin_at(text, at + bytes - MIN_BYTES) == Some(keyword.end);
            if may_be && text[at..at + bytes].eq_ignore_ascii_case(&keyword.text) {
                hit(at, bytes, &keyword.targets);
            }
        }
    }

    /// Where the group with this begin is, or would be.
    #[inline]
    fn slot(&self, begin: u32) -> usize {
        // (Half of the slots are free.)
        let mask = self.slots.len() - 1;
        let mut slot = (u64::from(begin).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        while self.slots[slot].is_some_and(|group| group.begin != begin) {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// Spreads bits upwards: 2^32 by the golden ratio, and odd.
const MULTIPLIER: u32 = 0x9e37_79b1;

/// Letters in lower case; other bytes that this changes only make a look less sure.
const LOWER: u32 = 0x2020_2020;
const LOWER_LONG: u64 = 0x2020_2020_2020_2020;

/// The four bytes at a place; `None` if there are fewer.
#[inline]
fn begin_at(text: &[u8], at: usize) -> Option<u32> {
    let first = text.get(at..)?.first_chunk::<MIN_BYTES>()?;
    Some(u32::from_le_bytes(*first) | LOWER)
}

/// The first four bytes.
fn begin(text: &[u8]) -> Option<u32> {
    begin_at(text, 0)
}

#[inline]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes)
}

/// Where the table of windows has the bit of the first three bytes, which are in lower case.
#[inline]
fn window_place(window: u32) -> usize {
    // (This shifts the fourth byte out.)
    (window.wrapping_mul(MULTIPLIER << 8) >> (32 - WINDOW_BITS)) as usize
}

/// Where the table of begins has the bit of four bytes.
#[inline]
fn begin_place(begin: u32) -> usize {
    (begin.wrapping_mul(MULTIPLIER) >> (32 - BEGIN_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_keyword_is_found_wherever_it_stands(
            keywords in prop::collection::vec("[a-c_:]{4,7}", 1..8), text in "[a-cA-C_:é]{0,60}",
        ) {
            let all = keywords.iter().zip(0..).map(|(text, at)| (text.clone().into_bytes(), Target::Rule(at)));
            let found = Keywords::new(all.collect());
            let mut hits = Vec::new();
            found.each_hit(text.as_bytes(), |at, length, targets| {
                hits.extend(targets.iter().map(|&target| (at, length, target)));
            });
            let mut expected = Vec::new();
            let lower = text.to_ascii_lowercase();
            for at in 0..text.len() {
                for (keyword, index) in keywords.iter().zip(0..) {
                    if lower.as_bytes()[at..].starts_with(keyword.as_bytes()) {
                        expected.push((at, keyword.len(), Target::Rule(index)));
                    }
                }
            }
            let key = |&(at, length, target): &(usize, usize, Target)| (at, length, format!("{target:?}"));
            expected.sort_by_key(key);
            hits.sort_by_key(key);
            prop_assert_eq!(hits, expected);
        }
    }

    #[test]
    fn begin_and_end_are_not_all_of_a_keyword() {
        let keywords = ["abcdefwxyz", "key_", "p@ss"].map(|text| text.as_bytes().to_vec());
        let all = keywords.into_iter().zip(0..).map(|(text, at)| (text, Target::Rule(at)));
        let found = Keywords::new(all.collect());
        let hits = |text: &str| {
            let mut hits = 0;
            found.each_hit(text.as_bytes(), |_, _, _| hits += 1);
            hits
        };
        for text in ["xabcdefwxyz", "ABCDEFWXYZ", "a key_", "P@SS"] {
            assert_eq!(hits(text), 1, "{text}");
        }
        for text in ["abcdeXwxyz", "abcd  wxyz", "abcdwxyz", "key\x7f", "p`ss"] {
            assert_eq!(hits(text), 0, "{text}");
        }
    }
}
