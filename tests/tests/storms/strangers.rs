//! Somebody else's directory under our name, and rings that are another machine's or another boot's.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

use hookring_bus::crc::Crc32c;
use hookring_tests::{Bed, SMALL, wait_for};

use crate::agents::{Agents, plain, wait_for_hooks};
use crate::numbered::Rng;
use crate::users::User;
use crate::{Seed, calm, count, dropped, new_bed, short_or_long};

const AGENTS: u32 = 4;

fn agents<'a, C>(bed: &Bed, seed: &'a Seed, command: C) -> Agents<'a, C> {
    Agents::of(bed, AGENTS, seed, command)
}

/// The first place is ours, missing, or somebody else's, in turns; the second is there all the time.
#[test]
fn somebody_elses_directory_comes_and_goes_and_nothing_goes_with_it() {
    let Some(user) = User::new(3, SMALL) else { return };
    let seed = Seed::choose();
    let mut rng = seed.rng(1000);
    user.make_dir(&user.run_dir());
    let place = user.run_dir().join("hookring");
    let daemon = user.start();
    let mut agents = agents(user.bed(), &seed, |_| user.command("hookring-emit"));
    // What was in a directory that is moved away and back comes out late.
    agents.loners = AGENTS;
    let ((), hooked) = agents.while_they_run(|ended| {
        for round in 0..short_or_long(8, 100) {
            wait_for_hooks(ended, rng.below(40) as u32);
            // Ours goes out of the way whole, as an administrator would have it.
            let aside = user.run_dir().join(format!("aside-{round}"));
            let _ = fs::rename(&place, &aside);
            make_foreign(&place, &mut rng);
            wait_for_hooks(ended, rng.below(40) as u32);
            remove_foreign(&place);
            // The old one comes back, or, as with a login, an empty one.
            if rng.percent(50) && !place.exists() {
                let _ = fs::rename(&aside, &place);
            }
            if !place.exists() {
                user.make_dir(&place);
            }
            wait_for("the directory to be used", || place.join("ring").exists().then_some(()));
        }
    });
    // What was spooled into a directory that is now aside is there for its owner, and not lost.
    for round in 0.. {
        let aside = user.run_dir().join(format!("aside-{round}"));
        if round >= short_or_long(8, 100) {
            break;
        }
        if aside.exists() {
            user.make_dir(&place.join("spool"));
            move_entries(&aside.join("spool"), &place.join("spool"));
        }
    }
    // The first daemon may not have seen that the directory is ours again.
    let (_, status) = user.calm(daemon);
    let (account, _) = user.calm(user.start());
    account.settle(&hooked.acknowledged);
    assert_eq!(dropped(&status), 0, "{status}");
    assert_eq!((count(&status, "condemned_lanes"), count(&status, "damaged_bytes")), (0, 0));
}

/// Root's directory, which others may even write to.
fn make_foreign(place: &Path, rng: &mut Rng) {
    // The daemon or a hook may have been faster; then there is none this time.
    if fs::create_dir(place).is_ok() {
        let mode = [0o700, 0o755, 0o777][rng.below(3) as usize];
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).expect("its mode");
    }
}

fn remove_foreign(place: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    if fs::metadata(place).is_ok_and(|it| it.uid() == 0) {
        let found: Vec<_> = fs::read_dir(place).expect("the directory").collect();
        assert!(found.is_empty(), "somebody used root's directory: {found:?}");
        fs::remove_dir(place).expect("it goes");
    }
}

fn move_entries(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        if entry.file_name() != "usage" {
            fs::rename(entry.path(), to.join(entry.file_name())).expect("an entry is moved");
        }
    }
}

/// Where docs/ring-format.md has the boot id and the header's CRC.
const BOOT_AT: u64 = 72;
const CRC_AT: u64 = 88;

/// Makes the ring one of another boot, with all that it holds.
fn of_another_boot(ring: &Path, rng: &mut Rng) {
    let file = OpenOptions::new().read(true).write(true).open(ring).expect("the ring");
    let mut header = [0; CRC_AT as usize];
    file.read_exact_at(&mut header, 0).expect("its header");
    for byte in &mut header[BOOT_AT as usize..] {
        *byte = rng.bits() as u8;
    }
    let crc = Crc32c::portable().update(&header).value();
    file.write_all_at(&header[BOOT_AT as usize..], BOOT_AT).expect("another boot");
    file.write_all_at(&crc.to_le_bytes(), CRC_AT).expect("its CRC");
}

/// The machine went down, with a ring on a disk that outlived that; events in it count.
#[test]
fn rings_of_another_boot_are_emptied_and_replaced_over_and_over() {
    let seed = Seed::choose();
    let bed = new_bed();
    let mut rng = seed.rng(1000);
    let agents = agents(&bed, &seed, plain(&bed));
    let rounds = short_or_long(6, 60);
    let (daemon, hooked) = agents.while_they_run(|ended| {
        let mut daemon = bed.start();
        for _ in 0..rounds {
            wait_for_hooks(ended, rng.below(40) as u32);
            daemon.kill();
            wait_for_hooks(ended, 1 + rng.below(20) as u32);
            of_another_boot(&bed.path().join("ring"), &mut rng);
            wait_for_hooks(ended, rng.below(20) as u32);
            daemon = bed.start();
            assert!(count(&bed.status(), "retired_rings") >= 1);
        }
        daemon
    });
    let (account, status) = calm(&bed, daemon);
    account.settle(&hooked.acknowledged);
    assert_eq!(dropped(&status), 0, "{status}");
    assert_eq!((count(&status, "condemned_lanes"), count(&status, "damaged_bytes")), (0, 0));
}
