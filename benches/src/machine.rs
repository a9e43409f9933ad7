//! The machine that figures were taken on. No result is worth anything without it.

use std::fmt;
use std::fs;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a reader needs beside a figure to compare it with another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// The processor's name and the number of cores that this process may use.
    pub cpu: String,
    /// The kernel's name and version.
    pub kernel: String,
    /// The compiler that `rustc` on the search path is.
    pub rustc: String,
    /// Time that a cache line takes from one core to another; see [`hop`].
    pub hop: Duration,
}

impl Machine {
    /// Looks at this machine; what cannot be found out is named `unknown`.
    pub fn look() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            cpu: format!("{}, cores: {cores}", cpu_model()),
            kernel: said_by("uname", &["-sr"]),
            rustc: said_by("rustc", &["--version"]),
            hop: hop(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, kernel, rustc, hop } = self;
        write!(f, "{cpu} | {kernel} | {rustc} | core to core {} ns", hop.as_nanos())
    }
}

/// Half the time that a word takes to another thread and back, the median of many.
///
/// Hypervisors move virtual cores closer together and further apart within minutes, which changes
/// whatever crosses them by a factor of three to ten.
pub fn hop() -> Duration {
    const ROUNDS: u32 = 20_001;
    let (ball, start) = (AtomicU32::new(0), Barrier::new(2));
    // Odd: on its way out; even: back again.
    let wait_for = |value| {
        while ball.load(Ordering::Acquire) != value {
            std::hint::spin_loop();
        }
    };
    let mut times: Vec<Duration> = thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for round in 0..ROUNDS {
                wait_for(2 * round + 1);
                ball.store(2 * round + 2, Ordering::Release);
            }
        });
        start.wait();
        let there_and_back = |round| {
            let sent = Instant::now();
            ball.store(2 * round + 1, Ordering::Release);
            wait_for(2 * round + 2);
            sent.elapsed()
        };
        (0..ROUNDS).map(there_and_back).collect()
    });
    times.sort_unstable();
    times[times.len() / 2] / 2
}

fn cpu_model() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned());
    model.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// The first line that a program prints.
fn said_by(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text.ok().and_then(|text| text.lines().next().map(str::to_owned));
    line.unwrap_or_else(|| format!("{program} unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_a_figure_needs() {
        let text = Machine::look().to_string();
        assert!(text.contains("cores: "), "{text}");
        assert!(text.contains("rustc 1."), "{text}");
        assert!(text.contains("core to core"), "{text}");
    }
}
