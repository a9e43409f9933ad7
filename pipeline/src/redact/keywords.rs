//! Finds the keywords of all rules in one pass: a bit table passes over what can begin none of them,
//! and where it has a doubt the few keywords that begin with those four bytes are compared. (There are
//! too many of them for an automaton that stays in the nearest cache.)

use std::ops::Range;

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

/// All keywords.
pub(super) struct Keywords {
    begins: Box<Begins>,
    /// By a part of the hash: which keywords begin with four bytes that have it.
    groups: Vec<Vec<Group>>,
    /// Sorted, in lower case.
    texts: Vec<Vec<u8>>,
    /// What each stands for.
    targets: Vec<Vec<Target>>,
}

/// The keywords that begin with the same four bytes.
struct Group {
    begin: [u8; WINDOW_BYTES],
    keywords: Range<usize>,
}

const GROUP_BITS: u32 = 12;

/// A bit for each hash of four bytes that a keyword may begin with.
type Begins = [u8; 1 << (PLACE_BITS - 3)];

const PLACE_BITS: u32 = 17;

/// Bytes that the table is asked about.
const WINDOW_BYTES: usize = 4;

/// Positions that one step of the pass looks at, and the bytes which that takes.
const STEP: usize = 8;
const STEP_BYTES: usize = STEP + WINDOW_BYTES;

impl Keywords {
    /// Takes each keyword with what it stands for; ASCII letters match in either case.
    ///
    /// # Panics
    ///
    /// If one is shorter than [`MIN_BYTES`].
    pub(super) fn new(all: Vec<(Vec<u8>, Target)>) -> Keywords {
        let mut sorted = all;
        for (text, _) in &mut sorted {
            text.make_ascii_lowercase();
        }
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut begins: Box<Begins> = Box::new([0; 1 << (PLACE_BITS - 3)]);
        let (mut texts, mut targets) = (Vec::<Vec<u8>>::new(), Vec::<Vec<Target>>::new());
        for (text, target) in sorted {
            match (texts.last(), targets.last_mut()) {
                (Some(last), Some(its)) if *last == text => {
                    if !its.contains(&target) {
                        its.push(target);
                    }
                }
                _ => {
                    note_begin(&mut begins, &text);
                    texts.push(text);
                    targets.push(vec![target]);
                }
            }
        }
        let mut groups: Vec<Vec<Group>> = (0..1 << GROUP_BITS).map(|_| Vec::new()).collect();
        for (at, text) in texts.iter().enumerate() {
            let begin = window(text).unwrap_or_default();
            let group = &mut groups[group(begin)];
            match group.iter_mut().find(|known| known.begin == begin) {
                Some(known) => known.keywords.end = at + 1,
                None => group.push(Group { begin, keywords: at..at + 1 }),
            }
        }
        Keywords { begins, groups, texts, targets }
    }

    /// Calls `hit` with each place where a keyword begins, its length and what it stands for, in the
    /// order of the text.
    pub(super) fn each_hit(&self, text: &[u8], mut hit: impl FnMut(usize, usize, &[Target])) {
        let mut at = 0;
        while let Some(step) = text.get(at..at + STEP_BYTES) {
            let mut doubts = self.doubts(step);
            while doubts != 0 {
                let place = at + doubts.trailing_zeros() as usize;
                doubts &= doubts - 1;
                self.begin_at(text, place, &mut hit);
            }
            at += STEP;
        }
        for place in at..text.len() {
            self.begin_at(text, place, &mut hit);
        }
    }

    /// A bit for each of the first eight positions at which a keyword may begin.
    #[inline]
    fn doubts(&self, step: &[u8]) -> u32 {
        let low = u64_at(step, 0);
        let high = u64_at(step, WINDOW_BYTES);
        let mut doubts = 0;
        for position in 0..4 {
            doubts |= self.doubt((low >> (8 * position)) as u32) << position;
            doubts |= self.doubt((high >> (8 * position)) as u32) << (position + 4);
        }
        doubts
    }

    #[inline]
    fn doubt(&self, window: u32) -> u32 {
        let place = place(window);
        u32::from(self.begins[place >> 3] >> (place & 7)) & 1
    }

    fn begin_at(&self, text: &[u8], at: usize, hit: &mut impl FnMut(usize, usize, &[Target])) {
        let Some(begin) = window(&text[at..]) else { return };
        let Some(group) = self.groups[group(begin)].iter().find(|it| it.begin == begin) else {
            return;
        };
        for keyword in group.keywords.clone() {
            let bytes = self.texts[keyword].len();
            let there = text.get(at + WINDOW_BYTES..at + bytes);
            if there.is_some_and(|there| {
                there.eq_ignore_ascii_case(&self.texts[keyword][WINDOW_BYTES..])
            }) {
                hit(at, bytes, &self.targets[keyword]);
            }
        }
    }
}

/// The first four bytes in lower case; `None` if there are fewer.
fn window(text: &[u8]) -> Option<[u8; WINDOW_BYTES]> {
    let first = text.first_chunk::<WINDOW_BYTES>()?;
    Some(first.map(|byte| byte.to_ascii_lowercase()))
}

fn group(begin: [u8; WINDOW_BYTES]) -> usize {
    place(u32::from_le_bytes(begin)) >> (PLACE_BITS - GROUP_BITS)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes)
}

/// Where the table has the bit of four bytes. Letters count as lower case (other bytes that this
/// changes only make the table less sure).
#[inline]
fn place(window: u32) -> usize {
    const LOWER: u32 = 0x2020_2020;
    ((window | LOWER).wrapping_mul(0x9e37_79b1) >> (32 - PLACE_BITS)) as usize
}

fn note_begin(begins: &mut Begins, text: &[u8]) {
    assert!(text.len() >= MIN_BYTES, "a keyword of fewer than {MIN_BYTES} bytes");
    let place = place(u32::from_le_bytes([text[0], text[1], text[2], text[3]]));
    begins[place >> 3] |= 1 << (place & 7);
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
}
