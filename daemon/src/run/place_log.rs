//! Says in the log what is wrong with a place: once, and when it is right again.

use hookring_bus::drain::PlaceReport;

/// What was said.
#[derive(Default)]
pub(super) struct PlaceLog {
    said: Vec<String>,
}

impl PlaceLog {
    /// Says what is new.
    pub(super) fn note(&mut self, places: &[PlaceReport]) {
        let without_ring = no_ring(places.iter().map(|place| place.lanes)).map(str::to_owned);
        let now: Vec<String> = places.iter().flat_map(wrongs).chain(without_ring).collect();
        let (fresh, over) = (added(&self.said, &now), added(&now, &self.said));
        fresh.for_each(|wrong| tracing::warn!("{wrong}; this is tried again every second"));
        over.for_each(|wrong| tracing::info!("no longer: {wrong}"));
        self.said = now;
    }
}

fn added<'a>(before: &'a [String], now: &'a [String]) -> impl Iterator<Item = &'a String> {
    now.iter().filter(|wrong| !before.contains(wrong))
}

/// What keeps events from being collected there. A place that is simply not there is no news.
fn wrongs(place: &PlaceReport) -> impl Iterator<Item = String> {
    let path = &place.path;
    let refused = place.refused.as_ref().filter(|reason| *reason != "missing");
    let unreadable = (place.unreadable_spool_entries > 0)
        .then(|| format!("{path}/spool has entries that cannot be read; they are kept"));
    let wrongs = [
        refused.map(|reason| format!("{path} is not used: {reason}")),
        place.ring_error.as_ref().map(|error| format!("{path} has no ring: {error}")),
        place.spool_error.as_ref().map(|error| format!("{path} has no spool: {error}")),
        place
            .spool_held_up
            .as_ref()
            .map(|why| format!("{path} has a spool that is held up: {why}")),
        unreadable,
    ];
    wrongs.into_iter().flatten()
}

/// What is said where no place has a ring, by the lanes of all of them.
pub(crate) fn no_ring(lanes: impl Iterator<Item = usize>) -> Option<&'static str> {
    let text = "there is no ring: hooks leave their events in spools, which takes them longer";
    lanes.max().filter(|most| *most == 0).map(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_found_and_a_missing_place_is_not() {
        let place = |refused: Option<&str>, ring_error: Option<&str>, unreadable_spool_entries| {
            PlaceReport {
                path: "/x".to_owned(),
                refused: refused.map(str::to_owned),
                ring_error: ring_error.map(str::to_owned),
                unreadable_spool_entries,
                lanes: usize::from(ring_error.is_none() && refused.is_none()),
                ..PlaceReport::default()
            }
        };
        let said = |place: &PlaceReport| wrongs(place).collect::<Vec<_>>();
        assert_eq!(said(&place(Some("missing"), None, 0)), Vec::<String>::new());
        assert_eq!(said(&place(Some("a file"), None, 0)), ["/x is not used: a file"]);
        let both = said(&place(None, Some("no room"), 7));
        assert_eq!(both[0], "/x has no ring: no room");
        assert_eq!(both.len(), 2);
        let mut log = PlaceLog::default();
        log.note(&[place(None, Some("no room"), 7)]);
        assert_eq!(log.said[..2], both);
        assert_eq!(log.said[2..], [no_ring([0].into_iter()).unwrap()]);
        assert_eq!((no_ring([0, 1].into_iter()), no_ring([].into_iter())), (None, None));
        assert_eq!(added(&both, &log.said[..2]).count(), 0);
        log.note(&[place(None, None, 0)]);
        assert!(log.said.is_empty());
    }
}
