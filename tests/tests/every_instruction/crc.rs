//! Which form of the CRC a hook computes with, told by its instructions: the machine's own where the
//! kernel's auxiliary vector promises it, and the portable one where it does not.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use hookring_bus::crc;
use hookring_tests::left_out;

use super::tracee::Tracee;
use super::{Victim, Yard};

/// Kinds of entries in the auxiliary vector (getauxval(3)).
const AT_NULL: u64 = 0;
const AT_BASE: u64 = 7;
const AT_HWCAP: u64 = 16;
const AT_HWCAP2: u64 = 26;
/// The bit of `AT_HWCAP2` by which a hook knows that there is the instruction.
const FSGSBASE: u64 = 1 << 1;
/// No instruction is longer.
const INSTRUCTION_BYTES: usize = 15;

#[test]
fn a_hook_takes_the_crc_instruction_where_the_kernel_promises_it_and_nowhere_else() {
    if !crc::detect() {
        left_out("crc", "this machine has no CRC-32C instruction");
        return;
    }
    let mut yard = Yard::new();
    for (hwcap, hwcap2, is_promised) in [(0, FSGSBASE, true), (u64::MAX, !FSGSBASE, false)] {
        let Some(mut hook) = yard.start(Victim::Hook) else { return };
        let path = format!("/proc/{}/mem", hook.pid());
        let memory = File::options().read(true).write(true).open(path).expect("its memory");
        let vector = auxiliary(&memory, hook.registers().rsp);
        let place = |kind| vector.iter().find(|entry| entry.0 == kind).expect("an entry").1;
        if word(&memory, place(AT_BASE)) != 0 {
            left_out("static", "this hook is built with std, and asks the processor");
            return;
        }
        for (kind, value) in [(AT_HWCAP, hwcap), (AT_HWCAP2, hwcap2)] {
            memory.write_all_at(&u64::to_le_bytes(value), place(kind)).expect("it is written");
        }
        let taken = crc_instructions(&mut hook, &memory);
        assert_eq!(taken > 0, is_promised, "{taken} CRC instructions with {hwcap2:#x}");
        assert_eq!(yard.take_all().victims, 1);
    }
    yard.check();
}

/// The kind of each entry in the auxiliary vector of a process that has not begun, and where its value
/// stands. `stack` is where the kernel put the number of arguments.
fn auxiliary(memory: &File, stack: u64) -> Vec<(u64, u64)> {
    let arguments = word(memory, stack);
    let mut at = stack + 8 * (arguments + 2);
    while word(memory, at) != 0 {
        at += 8;
    }
    let entries = (at + 8..).step_by(16).map(|at| (word(memory, at), at + 8));
    entries.take_while(|entry| entry.0 != AT_NULL).collect()
}

fn word(memory: &File, at: u64) -> u64 {
    let mut bytes = [0; 8];
    memory.read_exact_at(&mut bytes, at).expect("its memory");
    u64::from_le_bytes(bytes)
}

/// Runs it to its end; how many of its instructions are the one for the CRC.
fn crc_instructions(hook: &mut Tracee, memory: &File) -> usize {
    let mut taken = 0;
    loop {
        let mut code = [0; INSTRUCTION_BYTES];
        // What the end of the mapping cuts off stays 0.
        memory.read_at(&mut code, hook.registers().rip).expect("its code");
        taken += usize::from(is_crc(&code));
        if hook.step(1) == 0 {
            return taken;
        }
    }
}

/// `CRC32` of a byte or a word (Intel's manual, volume 2A): F2, REX or not, 0F 38 F0 or F1.
fn is_crc(code: &[u8]) -> bool {
    matches!(code, [0xF2, 0x0F, 0x38, 0xF0 | 0xF1, ..])
        || matches!(code, [0xF2, 0x40..=0x4F, 0x0F, 0x38, 0xF0 | 0xF1, ..])
}
