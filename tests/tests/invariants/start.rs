//! What a hook process does not do: each of these would take it longer than all the rest of its work.

use std::fs;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};

use hookring_tests::{Bed, programs};

/// More faults than this would be pages that nobody meant to touch.
const MAX_FAULTS: i64 = 10;

/// The executable segments of a 64-bit ELF file, by its program headers.
fn code(elf: &[u8]) -> Vec<&[u8]> {
    let word = |at: usize, bytes: usize| {
        elf[at..at + bytes].iter().rev().fold(0, |word, byte| (word << 8) | usize::from(*byte))
    };
    assert_eq!(&elf[..5], b"\x7fELF\x02");
    let (table, size, count) = (word(32, 8), word(54, 2), word(56, 2));
    let headers = (0..count).map(|at| table + at * size);
    // Of type LOAD, with the flag X.
    let executable = headers.filter(|at| word(*at, 4) == 1 && word(at + 4, 4) & 1 != 0);
    executable.map(|at| &elf[word(at + 8, 8)..][..word(at + 32, 8)]).collect()
}

/// A virtual machine traps the instruction, which takes it longer than a hook does for the rest.
#[test]
fn no_hook_asks_the_processor_what_it_can() {
    let program = programs().join("hookring-emit");
    let objdump = Command::new("objdump").arg("-d").arg(&program).output();
    if let Ok(output) = objdump.as_ref()
        && output.status.success()
    {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.lines().any(|line| line.contains("syscall")), "objdump shows the code");
        let found: Vec<_> = text.lines().filter(|line| line.contains("cpuid")).collect();
        assert!(found.is_empty(), "{found:?}");
        return;
    }
    // May find the bytes within another instruction; then a disassembler has to tell.
    let elf = fs::read(program).expect("the program");
    let code = code(&elf);
    let has = |bytes: [u8; 2]| code.iter().any(|code| code.windows(2).any(|at| at == bytes));
    assert!(has([0x0f, 0x05]), "a system call");
    assert!(!has([0x0f, 0xa2]), "CPUID");
}

#[test]
fn a_hook_touches_few_pages() {
    let bed = Bed::new();
    let daemon = bed.start();
    let mut faults = Vec::new();
    for _ in 0..10 {
        let mut command = bed.command("hookring-emit");
        command.args(["--agent", "claude-code", "--arg", "{}"]).stdin(Stdio::null());
        faults.push(faults_of(&mut command));
    }
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.status()["counts"]["ring_events"], 10);
    // Those of the fork are counted, too; the first run has the program to read.
    assert!(faults.iter().min().is_some_and(|least| *least <= MAX_FAULTS), "{faults:?}");
}

/// Runs it to its end, and says how many pages were faulted in for it.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
fn faults_of(command: &mut Command) -> i64 {
    let child = command.spawn().expect("the hook starts");
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: a child of ours that nobody waits for, and places for what is said.
    let ended = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!((ended, status), (child.id() as i32, 0));
    // SAFETY: zeroed, and filled in where the call succeeded.
    unsafe { usage.assume_init() }.ru_minflt
}
