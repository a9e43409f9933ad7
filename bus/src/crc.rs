//! CRC-32C (Castagnoli, RFC 3720 appendix B.4), with the machine's instruction where one is known
//! to be there, else from tables.

const POLYNOMIAL: u32 = 0x82F6_3B78;

/// A CRC of fewer bytes takes the small table: in a process that has just begun, the large ones
/// cost a cache miss per step.
const LARGE_BYTES: usize = 512;
/// What each half of a byte does: 64 bytes, one cache line.
const SMALL_TABLE: [u32; 16] = small_table();
/// What each byte does, at eight distances ("slicing-by-8", Kounavis and Berry, 2005).
static TABLES: [[u32; 256]; 8] = tables();

const fn small_table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut half = 0;
    while half < 16 {
        table[half] = shift(half as u32, 4);
        half += 1;
    }
    table
}

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        tables[0][byte] = shift(byte as u32, 8);
        byte += 1;
    }
    let mut slice = 1;
    while slice < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[slice - 1][byte];
            tables[slice][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        slice += 1;
    }
    tables
}

/// A CRC after `bits` zero bits more.
const fn shift(mut crc: u32, bits: usize) -> u32 {
    let mut bit = 0;
    while bit < bits {
        crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
        bit += 1;
    }
    crc
}

/// A running CRC-32C.
#[derive(Copy, Clone)]
pub struct Crc32c {
    state: u32,
    instruction: bool,
}

impl Crc32c {
    /// Computes in portable code.
    pub fn portable() -> Crc32c {
        Crc32c { state: !0, instruction: false }
    }

    /// Computes with the machine's CRC-32C instruction.
    ///
    /// # Safety
    /// The machine must have it ([`detect`], or [`is_promised`]).
    pub unsafe fn with_instruction() -> Crc32c {
        Crc32c {
            state: !0,
            instruction: cfg!(any(target_arch = "x86_64", target_arch = "aarch64")),
        }
    }

    /// The fastest form that this machine is known to have.
    #[cfg(feature = "std")]
    pub fn fastest() -> Crc32c {
        if detect() {
            // SAFETY: just detected.
            unsafe { Crc32c::with_instruction() }
        } else {
            Crc32c::portable()
        }
    }

    /// Adds bytes.
    #[must_use]
    pub fn update(self, bytes: &[u8]) -> Crc32c {
        let state = if self.instruction {
            // SAFETY: `instruction` is only set where the caller vouched for it.
            unsafe { by_instruction(self.state, bytes) }
        } else {
            by_table(self.state, bytes)
        };
        Crc32c { state, ..self }
    }

    /// The check sum of what was added.
    pub fn value(self) -> u32 {
        !self.state
    }
}

/// Whether this machine has a CRC-32C instruction, as far as the kernel tells every new process for
/// nothing: in `AT_HWCAP` and `AT_HWCAP2` of its auxiliary vector. Where it is `false`, it may still be.
///
/// On aarch64 that is the instruction's own bit. On x86_64 there is none for SSE 4.2, and to ask the
/// processor costs microseconds in a virtual machine. But the kernel says whether programs may use
/// FSGSBASE (Linux 5.9), which no processor had before it had SSE 4.2; and SSE 4.2 is executed wherever
/// the processor has it, since nothing can switch it off.
pub fn is_promised(hwcap: usize, hwcap2: usize) -> bool {
    const X86_HWCAP2_FSGSBASE: usize = 1 << 1;
    const AARCH64_HWCAP_CRC32: usize = 1 << 7;
    if cfg!(target_arch = "x86_64") {
        hwcap2 & X86_HWCAP2_FSGSBASE != 0
    } else {
        cfg!(target_arch = "aarch64") && hwcap & AARCH64_HWCAP_CRC32 != 0
    }
}

/// Whether this machine has a CRC-32C instruction.
#[cfg(feature = "std")]
pub fn detect() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("sse4.2");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("crc");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

fn by_table(state: u32, bytes: &[u8]) -> u32 {
    if bytes.len() < LARGE_BYTES {
        return bytes.iter().fold(state, |state, byte| {
            let state = state ^ u32::from(*byte);
            let state = (state >> 4) ^ SMALL_TABLE[(state & 15) as usize];
            (state >> 4) ^ SMALL_TABLE[(state & 15) as usize]
        });
    }
    let (chunks, rest) = bytes.as_chunks::<8>();
    let state = chunks.iter().fold(state, |state, chunk| {
        let word = u64::from_le_bytes(*chunk) ^ u64::from(state);
        let steps = word.to_le_bytes().into_iter().zip(TABLES.iter().rev());
        steps.fold(0, |state, (byte, table)| state ^ table[usize::from(byte)])
    });
    by_table(state, rest)
}

/// Bytes of each of the three blocks that the instruction takes side by side: it gives a result
/// after three cycles, but can begin a new one in each.
const BLOCK_BYTES: usize = 1024;
/// What a block of zeros behind them does to each bit of a CRC.
static BLOCK_SHIFT: [u32; 32] = block_shift();

const fn block_shift() -> [u32; 32] {
    let mut columns = [0; 32];
    let mut bit = 0;
    while bit < 32 {
        columns[bit] = shift(1 << bit, 8 * BLOCK_BYTES);
        bit += 1;
    }
    columns
}

/// The CRC of what `state` is the CRC of, with a block of zeros behind it.
fn behind_block(state: u32) -> u32 {
    let columns = BLOCK_SHIFT.iter().enumerate();
    columns.fold(0, |sum, (bit, column)| sum ^ (column & (state >> bit & 1).wrapping_neg()))
}

/// The CRC-32C instruction over bytes of which there are three blocks or more: the CRC of a sequence
/// is the exclusive or of those of its parts, each with zeros in the place of what follows it.
#[inline(always)]
fn three_by_three<'b>(
    state: &mut u32,
    bytes: &'b [u8],
    step: impl Fn(u32, u64) -> u32,
) -> &'b [u8] {
    let (triples, rest) = bytes.as_chunks::<{ 3 * BLOCK_BYTES }>();
    for triple in triples {
        let (words, _) = triple.as_chunks::<8>();
        let (first, behind) = words.split_at(BLOCK_BYTES / 8);
        let (second, third) = behind.split_at(BLOCK_BYTES / 8);
        let mut crcs = [*state, 0, 0];
        for ((a, b), c) in first.iter().zip(second).zip(third) {
            crcs[0] = step(crcs[0], u64::from_le_bytes(*a));
            crcs[1] = step(crcs[1], u64::from_le_bytes(*b));
            crcs[2] = step(crcs[2], u64::from_le_bytes(*c));
        }
        *state = behind_block(behind_block(crcs[0]) ^ crcs[1]) ^ crcs[2];
    }
    rest
}

/// # Safety
/// The machine must have SSE 4.2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
unsafe fn by_instruction(mut state: u32, bytes: &[u8]) -> u32 {
    use core::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};
    let step = |state, word| _mm_crc32_u64(u64::from(state), word) as u32;
    let rest = three_by_three(&mut state, bytes, step);
    let (words, rest) = rest.as_chunks::<8>();
    let state = words.iter().fold(state, |state, word| step(state, u64::from_le_bytes(*word)));
    rest.iter().fold(state, |state, byte| _mm_crc32_u8(state, *byte))
}

/// # Safety
/// The machine must have the CRC extension.
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "crc")]
unsafe fn by_instruction(mut state: u32, bytes: &[u8]) -> u32 {
    use core::arch::aarch64::{__crc32cb, __crc32cd};
    let step = |state, word| __crc32cd(state, word);
    let rest = three_by_three(&mut state, bytes, step);
    let (words, rest) = rest.as_chunks::<8>();
    let state = words.iter().fold(state, |state, word| step(state, u64::from_le_bytes(*word)));
    rest.iter().fold(state, |state, byte| __crc32cb(state, *byte))
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn by_instruction(state: u32, bytes: &[u8]) -> u32 {
    by_table(state, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_promised_is_one_bit_of_one_word() {
        #[cfg(target_arch = "x86_64")]
        let cases = [(0, 1 << 1, true), (usize::MAX, !(1 << 1), false)];
        #[cfg(target_arch = "aarch64")]
        let cases = [(1 << 7, 0, true), (!(1 << 7), usize::MAX, false)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let cases = [(0, 0, false), (usize::MAX, usize::MAX, false)];
        for (hwcap, hwcap2, expected) in cases {
            assert_eq!(is_promised(hwcap, hwcap2), expected, "{hwcap:#x}, {hwcap2:#x}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_keeps_what_its_kernel_promises() {
        let vector = std::fs::read("/proc/self/auxv").expect("the auxiliary vector");
        let (words, _) = vector.as_chunks::<{ size_of::<usize>() }>();
        let words: Vec<_> = words.iter().map(|word| usize::from_ne_bytes(*word)).collect();
        let value = |kind| words.chunks(2).find(|entry| entry[0] == kind).map_or(0, |it| it[1]);
        // AT_HWCAP and AT_HWCAP2.
        let is_promised = is_promised(value(16), value(26));
        assert!(!is_promised || detect(), "a hook would die of an instruction that is not there");
    }

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(Crc32c::portable().update(b"123456789").value(), 0xE306_9283);
    }

    proptest! {
        #[test]
        fn both_forms_agree_with_the_crc32c_crate(bytes: Vec<u8>, cut in 0usize..64) {
            let cut = cut.min(bytes.len());
            let expected = crc32c::crc32c(&bytes);
            for crc in [Crc32c::portable(), Crc32c::fastest()] {
                prop_assert_eq!(crc.update(&bytes[..cut]).update(&bytes[cut..]).value(), expected);
            }
        }

        #[test]
        fn long_inputs_agree_too(seed: u64, bytes in 0usize..20_000) {
            let mut word = seed | 1;
            let bytes: Vec<u8> = core::iter::repeat_with(|| {
                word = word.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
                word as u8
            }).take(bytes).collect();
            let expected = crc32c::crc32c(&bytes);
            prop_assert_eq!(Crc32c::portable().update(&bytes).value(), expected);
            prop_assert_eq!(Crc32c::fastest().update(&bytes).value(), expected);
        }
    }
}
