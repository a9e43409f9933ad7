"""Directories: those above a journal are synced, and what keeps its owner out is given back."""

from mutants import Equivalent, Mutation, bus, journal

STORAGE = "journal/src/storage.rs"
PLACE = "bus/src/place.rs"
MODES = "bus/src/sys/mod.rs"

STORES = journal("storage::")
PLACES = bus("place::")

MUTATIONS = [
    # The directories above the journal.
    Mutation(
        "only the directory right above a journal is synced",
        STORAGE,
        "    above.iter().rev().try_for_each(",
        "    above.iter().take(1).try_for_each(",
        STORES,
    ),
    Mutation(
        "the directories above a journal are synced from below",
        STORAGE,
        "    above.iter().rev().try_for_each(",
        "    above.iter().try_for_each(",
        STORES,
    ),
    Mutation(
        "directories of another file system are synced",
        STORAGE,
        "        && found.dev() == below.dev()\n",
        "",
        STORES,
    ),
    Mutation(
        "a disk that fails above a journal is passed over",
        STORAGE,
        "        Err(error) if is_no_sync_here(&error) => Ok(()),",
        "        Err(error) if is_no_sync_here(&error) || error.raw_os_error() == Some(5) => Ok(()),",
        STORES,
    ),
    Mutation(
        "a directory that has no sync ends the start",
        STORAGE,
        "        Err(error) if is_no_sync_here(&error) => Ok(()),\n",
        "",
        STORES,
    ),
    Mutation(
        "a directory that is made is not synced into the one above",
        STORAGE,
        "    missing.iter().rev().filter_map(|made| made.parent()).try_for_each(sync)",
        "    missing.iter().take(0).filter_map(|made| made.parent()).try_for_each(sync)",
        STORES,
    ),
    # Modes, as a umask that takes rights from the owner leaves them.
    Mutation(
        "a place that keeps its owner out in part stays so",
        PLACE,
        "    if let Some(mode) = stat.mode_for_owner(uid) {",
        "    if let Some(mode) = stat.mode_for_owner(uid + 1) {",
        PLACES,
    ),
    Mutation(
        "a directory that its owner may read only is good enough",
        MODES,
        "(self.mode & wanted != wanted).then_some(wanted)",
        "(self.mode & wanted == 0).then_some(wanted)",
        PLACES,
    ),
    Mutation(
        "a directory that others may enter is taken for its owner's",
        MODES,
        "        let wanted = if self.is_private_dir(uid) {",
        "        let wanted = if self.is_dir() {",
        PLACES,
    ),
    Mutation(
        "a file that others may open is taken for its owner's",
        MODES,
        "        } else if self.is_private_file(uid) {",
        "        } else if self.is_own_file(uid) {",
        PLACES,
    ),
    Mutation(
        "what a link leads to is given back",
        "bus/src/sys/linux/files.rs",
        "    let flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;",
        "    let flags = O_PATH | O_CLOEXEC;",
        PLACES,
    ),
    Mutation(
        "a closed directory above a place stays closed",
        PLACE,
        "if sys::mkdir(None, parent).is_ok() || is_closed() {",
        "if sys::mkdir(None, parent).is_ok() {",
        PLACES,
    ),
    Mutation(
        "an open directory above a place is changed",
        PLACE,
        "if sys::mkdir(None, parent).is_ok() || is_closed() {",
        "if sys::mkdir(None, parent).is_ok() || is_closed() || true {",
        PLACES,
    ),
]

EQUIVALENT: list[Equivalent] = []
