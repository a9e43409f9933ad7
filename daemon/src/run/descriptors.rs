//! Descriptors: as many as the system allows, and enough to begin with.
//!
//! A daemon that cannot open its files looks like one that runs, while events wait.

use std::fs::File;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the daemon opens besides its sinks': journal, signals, three places with ring, old rings and
/// spool, and what is open for a moment.
const OWN_FILES: usize = 24;
/// What a sink opens: cursor, segment, its own file or its program's three pipes, and what is open for a moment
/// (the other ends of those).
const SINK_FILES: usize = 10;
/// What serving metrics takes: connections, and what waits for them.
const HTTP_FILES: usize = 40;

/// Raises the limit as far as it goes.
///
/// # Errors
/// It is too low for a daemon with so many sinks.
pub(super) fn prepare(sinks: usize, has_http: bool) -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where that is refused, the limit that there is may do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let needed = OWN_FILES + SINK_FILES * sinks + if has_http { HTTP_FILES } else { 0 };
    // Tried, not computed: whoever started us may have left files open.
    let opened: Result<Vec<File>, _> = (0..needed).map(|_| File::open("/")).collect();
    opened.map(drop).with_context(|| {
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.map_or("not limited".to_owned(), |limit| limit.to_string());
        format!(
            "cannot open {needed} more files at a time, which this daemon needs; raise the limit, now {limit}, with `ulimit -n` or LimitNOFILE= of its service"
        )
    })
}
