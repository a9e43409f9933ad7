//! What stands in the bus's places while no daemon tells of it: `hookring status` looks itself.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;

use hookring_bus::{drain, place::Places, sys};
use jiff::Timestamp;

use super::style::{ERROR, FAINT, WARNING};
use super::table::{Align, Cell, Table, human_bytes};
use crate::paths::Paths;
use crate::run::status::PlaceStatus;

/// What the bus calls a place that is not there.
pub const MISSING: &str = "missing";

/// Looks into each place. Nothing is created, locked or changed. What only the last daemon knew is
/// taken from what it `said`: damage that it found, entries that it could not remove, and what was
/// dropped at rings and spools that are gone.
pub fn look(paths: &Paths, said: &[PlaceStatus]) -> Vec<PlaceStatus> {
    let hookring_dir = paths.override_dir.as_ref().map(|dir| dir.as_os_str().as_bytes());
    let places = Places::new(hookring_dir, sys::effective_uid());
    let with_what_was_said = |now: PlaceStatus| {
        let Some(said) = said.iter().find(|said| said.path == now.path) else { return now };
        let now = PlaceStatus {
            stuck_spool_entries: said.stuck_spool_entries,
            dropped_events: now.dropped_events.max(said.dropped_events),
            unstored_events: now.unstored_events.max(said.unstored_events),
            ..now
        };
        now.after(std::slice::from_ref(said), Timestamp::now())
    };
    drain::look(&places).iter().map(PlaceStatus::from).map(with_what_was_said).collect()
}

/// Shows them, each that is not used with its reason.
///
/// # Errors
/// The result could not be written.
pub fn show(places: &[PlaceStatus], out: &mut dyn Write) -> io::Result<()> {
    use Align::{Left, Right};
    let titles = [
        ("BUS", Left),
        ("LANES", Right),
        ("IN USE", Right),
        ("WAITING", Right),
        ("SPOOL", Right),
        ("ENTRIES", Right),
        ("DROPPED", Right),
    ];
    let mut table = Table::with_titles(titles);
    let is_any_there = places.iter().any(|place| place.refused.is_none());
    for place in places {
        let path = Cell::from(&place.path);
        if let Some(reason) = &place.refused {
            let reason = if reason != MISSING {
                Cell::styled(&format!("not used: {reason}"), WARNING)
            } else if is_any_there {
                // Nothing is made there as long as another one is.
                continue;
            } else {
                Cell::styled("not there; made when it is needed", FAINT)
            };
            let nothing = || Cell::from("");
            table.row([path, reason, nothing(), nothing(), nothing(), nothing(), nothing()]);
            continue;
        }
        let dropped = if place.dropped_events > 0 { ERROR } else { FAINT };
        table.row([
            path,
            Cell::from(place.lanes),
            Cell::from(place.locked_lanes),
            Cell::from(human_bytes(place.used_bytes)),
            Cell::from(human_bytes(place.spool_bytes)),
            Cell::from(place.spool_entries),
            Cell::styled(&place.dropped_events.to_string(), dropped),
        ]);
    }
    write!(out, "\n{table}")
}
