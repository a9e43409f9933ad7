//! A process that runs one instruction at a time (Linux, ptrace).

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::ptr;

/// A traced process; killed when dropped. All calls come from the thread that started it.
pub(crate) struct Tracee {
    pid: libc::pid_t,
    /// How it ended, if it has.
    end: Option<Event>,
}

/// What a program did from where it stood up to its end or its own stop.
pub(crate) struct Way {
    /// How many instructions that took.
    pub(crate) instructions: usize,
    /// How many of them were done behind each system call: to such a place a process comes without
    /// standing still at every instruction before, which is what takes the time.
    calls: Vec<usize>,
}

/// Why a process stands still, or that it does not any more.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Event {
    Stopped(libc::c_int),
    Exited(libc::c_int),
    Killed(libc::c_int),
}

impl Tracee {
    /// Starts a program; it stands before its first instruction.
    ///
    /// # Errors
    /// It cannot be started, or this machine does not let it be traced.
    pub(crate) fn start(command: &mut Command) -> io::Result<Tracee> {
        // SAFETY: the closure makes one system call, which is allowed between fork and exec.
        unsafe { command.pre_exec(|| ptrace(libc::PTRACE_TRACEME, 0)) };
        let child = command.spawn()?;
        let mut tracee = Tracee { pid: child.id().cast_signed(), end: None };
        assert_eq!(tracee.wait(), Event::Stopped(libc::SIGTRAP), "the stop after exec");
        Ok(tracee)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> libc::pid_t {
        self.pid
    }

    /// Its registers, while it stands.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn registers(&self) -> libc::user_regs_struct {
        let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::uninit();
        let (nothing, to) = (ptr::null_mut::<libc::c_void>(), registers.as_mut_ptr());
        // SAFETY: a process that stands still and is ours; the kernel writes what there is room for.
        let result = unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.pid, nothing, to) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        // SAFETY: the kernel has filled it.
        unsafe { registers.assume_init() }
    }

    /// Runs until it stops itself with SIGSTOP.
    pub(crate) fn run_to_its_stop(&mut self) {
        self.resume(libc::PTRACE_CONT);
        assert_eq!(self.wait(), Event::Stopped(libc::SIGSTOP), "the program's own stop");
    }

    /// Runs so many instructions, fewer if it ends or stops itself before. Says how many it ran.
    pub(crate) fn step(&mut self, instructions: usize) -> usize {
        for done in 0..instructions {
            self.resume(libc::PTRACE_SINGLESTEP);
            if self.wait() != Event::Stopped(libc::SIGTRAP) {
                return done;
            }
        }
        instructions
    }

    /// Runs instruction by instruction to its end or its own stop, and says which way that was.
    pub(crate) fn explore(&mut self) -> Way {
        let mut way = Way { instructions: 0, calls: Vec::new() };
        loop {
            let is_call = self.is_before_call();
            if self.step(1) == 0 {
                return way;
            }
            way.instructions += 1;
            if is_call {
                way.calls.push(way.instructions);
            }
        }
    }

    /// Runs so many instructions of a way that another run of the same program has gone; fewer if it ends
    /// or stops itself before.
    pub(crate) fn follow(&mut self, way: &Way, instructions: usize) {
        let calls = way.calls.partition_point(|done| *done <= instructions);
        for _ in 0..calls {
            // To the call's beginning, and to its end.
            if self.run_to_call().is_none() || self.run_to_call().is_none() {
                return;
            }
        }
        let done = calls.checked_sub(1).map_or(0, |last| way.calls[last]);
        self.step(instructions - done);
    }

    /// Whether its next instruction is a system call.
    #[cfg(target_arch = "x86_64")]
    fn is_before_call(&self) -> bool {
        const SYSCALL: [u8; 2] = [0x0F, 0x05];
        let (at, nothing) = (self.registers().rip, ptr::null_mut::<libc::c_void>());
        let at = ptr::without_provenance_mut::<libc::c_void>(at as usize);
        // SAFETY: a process that stands still and is ours; of this one no memory is touched.
        let word = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid, at, nothing) };
        word.to_le_bytes().starts_with(&SYSCALL)
    }

    /// Nobody has looked how to tell: then each instruction is stood still at.
    #[cfg(not(target_arch = "x86_64"))]
    fn is_before_call(&self) -> bool {
        false
    }

    /// Runs up to a system call, or to the end of the one that it stands before, and says which
    /// (/proc, where -1 is none); `None`: it has ended.
    pub(crate) fn run_to_call(&mut self) -> Option<libc::c_long> {
        self.resume(libc::PTRACE_SYSCALL);
        if self.wait() != Event::Stopped(libc::SIGTRAP) {
            return None;
        }
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", self.pid)).expect("/proc");
        Some(call.split(' ').next().and_then(|number| number.trim().parse().ok()).unwrap_or(-1))
    }

    /// Lets it run to its end, if it is not there yet, and says its exit code.
    pub(crate) fn finish(mut self) -> i32 {
        loop {
            match self.end {
                Some(Event::Exited(code)) => return code,
                Some(end) => panic!("it was killed: {end:?}"),
                None => {
                    self.resume(libc::PTRACE_CONT);
                    self.wait();
                }
            }
        }
    }

    /// Lets it go on as if nobody had traced it, and says how it ended: with this code, or killed by
    /// this signal.
    pub(crate) fn leave(mut self) -> Result<i32, i32> {
        self.resume(libc::PTRACE_DETACH);
        hookring_tests::wait_for("a process to end", || self.is_at_its_end().then_some(()));
        match self.wait() {
            Event::Exited(code) => Ok(code),
            Event::Killed(signal) | Event::Stopped(signal) => Err(signal),
        }
    }

    /// Ends it where it stands.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if self.end.is_none() {
            // SAFETY: a process of ours that was not waited for yet.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            while self.end.is_none() {
                self.wait();
            }
        }
    }

    fn resume(&self, how: libc::c_uint) {
        ptrace(how, self.pid).expect("it stands still and is ours");
    }

    /// Whether it has ended.
    fn is_at_its_end(&self) -> bool {
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        let (pid, how) = (self.pid.cast_unsigned(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT);
        // SAFETY: a child of ours, and room for the answer.
        let result = unsafe { libc::waitid(libc::P_PID, pid, info.as_mut_ptr(), how) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        // SAFETY: zeros, or what the kernel filled in.
        let info = unsafe { info.assume_init() };
        // SAFETY: of a child's end, or still zero.
        (unsafe { info.si_pid() }) != 0
    }

    fn wait(&mut self) -> Event {
        let mut status = 0;
        // SAFETY: a child of ours; the status is a local.
        let waited = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) };
        assert_eq!(waited, self.pid, "{}", io::Error::last_os_error());
        let event = match status {
            _ if libc::WIFSTOPPED(status) => Event::Stopped(libc::WSTOPSIG(status)),
            _ if libc::WIFEXITED(status) => Event::Exited(libc::WEXITSTATUS(status)),
            _ => Event::Killed(libc::WTERMSIG(status)),
        };
        self.end = Some(event).filter(|event| !matches!(event, Event::Stopped(_)));
        event
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        self.end();
    }
}

/// The requests that need neither address nor data.
fn ptrace(request: libc::c_uint, pid: libc::pid_t) -> io::Result<()> {
    let nothing = ptr::null_mut::<libc::c_void>();
    // SAFETY: these requests read and write no memory of this process.
    let result = unsafe { libc::ptrace(request, pid, nothing, nothing) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
