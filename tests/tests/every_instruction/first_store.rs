//! The first hook of all, which finds neither ring nor spool nor the directory for them, killed after each
//! instruction: a hook after it stores as ever, and a reader finds what was published, once and whole.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use hookring_bus::drain::{Drain, Options};
use hookring_bus::place::Places;
use hookring_bus::sys;
use hookring_tests::Bed;

use super::tracee::Tracee;
use super::{OTHER, PAYLOAD, chosen, spooled_bytes, start_tracee, take_all};

/// Where nothing is yet, time and again.
struct Desert {
    bed: Bed,
    place: PathBuf,
}

impl Desert {
    fn new() -> Desert {
        let bed = Bed::new();
        fs::write(bed.path().join("payload"), PAYLOAD).expect("the payload");
        let place = bed.path().join("folder/place");
        Desert { bed, place }
    }

    fn start(&self) -> Option<Tracee> {
        let mut command = self.bed.command("hookring-emit");
        let payload = File::open(self.bed.path().join("payload")).expect("the payload");
        start_tracee(command.env("HOOKRING_DIR", &self.place).stdin(payload))
    }

    /// Publishes another event, finds both, and clears the place.
    fn settle(&self, is_visible: bool, at: &str) {
        let mut command = self.bed.command("hookring-emit");
        let output = self.bed.run_hook(command.env("HOOKRING_DIR", &self.place), OTHER);
        assert!(output.status.success(), "{at}: {output:?}");
        let places = Places::new(Some(self.place.as_os_str().as_bytes()), sys::effective_uid());
        let mut drain = Drain::open(&places, Options::default()).expect("a reader");
        let found = take_all(&mut drain);
        assert_eq!((found.victims, found.others), (usize::from(is_visible), 1), "{at}");
        let counts = drain.counts();
        let damaged = (counts.condemned_lanes, counts.damaged_bytes, counts.bad_spool_entries);
        assert_eq!((damaged, drain.report()[0].dropped_events), ((0, 0, 0), 0), "{at}");
        fs::remove_dir_all(self.bed.path().join("folder")).expect("the place goes");
    }
}

#[test]
fn a_hooks_first_store_is_killed_after_each_instruction() {
    let desert = Desert::new();
    let Some(mut whole) = desert.start() else { return };
    let way = whole.explore();
    let instructions = way.instructions;
    desert.settle(true, "at its end");
    let chosen = chosen(instructions);
    println!("{} of {instructions} instructions", chosen.len());
    let (mut visible, mut invisible) = (0, 0);
    for step in chosen {
        let mut hook = desert.start().expect("it started before");
        hook.follow(&way, step);
        hook.kill();
        let is_visible = spooled_bytes(&desert.place) > 0;
        *(if is_visible { &mut visible } else { &mut invisible }) += 1;
        desert.settle(is_visible, &format!("instruction {step} of {instructions}"));
    }
    assert!(visible > 0 && invisible > 0, "{visible} and {invisible}");
}
