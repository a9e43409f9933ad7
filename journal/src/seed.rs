//! Finds out what the checksums of a segment's lines continue from when its first line is damaged,
//! so that one bad line costs one line even if it is the first.
//!
//! A CRC can be run backwards: the checksum at the end of a line and the line's bytes give the value
//! it began with. When two lines give the same one, that is it (by chance: one in four billion).

use crate::line::{CHECKED_AT, parse_prefix};

/// How many lines are looked at before it is given up.
pub(crate) const LINES_TRIED_MAX: usize = 64;

/// The value that a line's checksum continued from if the line is whole; `None` if it cannot be.
pub(crate) fn of_line(line: &[u8]) -> Option<u32> {
    let (_, crc) = parse_prefix(line)?;
    Some(unwind(crc, &line[CHECKED_AT..]))
}

/// What `crc32c_append` was given as its first argument when it returned `crc` for `bytes`.
fn unwind(crc: u32, bytes: &[u8]) -> u32 {
    let unwound = bytes.iter().rev().fold(!crc, |state, &byte| {
        // The step was: index = (before ^ byte) & 0xff; after = (before >> 8) ^ TABLE[index].
        // The top byte of `after` is the table's alone, and no two entries share it.
        let index = INDEX_OF_TOP[(state >> 24) as usize];
        (state ^ TABLE[usize::from(index)]) << 8 | u32::from(index ^ byte)
    });
    !unwound
}

/// CRC-32C (Castagnoli), reflected: what one byte does to the state.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut state = index as u32;
        let mut bit = 0;
        while bit < 8 {
            state = if state & 1 == 1 { state >> 1 ^ 0x82f6_3b78 } else { state >> 1 };
            bit += 1;
        }
        table[index] = state;
        index += 1;
    }
    table
};

const INDEX_OF_TOP: [u8; 256] = {
    let mut index_of_top = [0; 256];
    let mut index = 0;
    while index < 256 {
        index_of_top[(TABLE[index] >> 24) as usize] = index as u8;
        index += 1;
    }
    index_of_top
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn unwinding_gives_back_the_beginning(
            seed: u32, bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            prop_assert_eq!(unwind(crc32c::crc32c_append(seed, &bytes), &bytes), seed);
        }
    }
}
