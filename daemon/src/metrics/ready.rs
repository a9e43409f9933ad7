//! Whether the daemon does what it is there for: events move from the bus into the journal.

use std::time::{Duration, Instant};

use super::Snapshot;
use crate::run::status::PlaceStatus;

/// The daemon looks at itself each second. One that has not for so long hangs, but for the ten seconds that it gives
/// sinks which a reload stops.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(15);

/// What is in the way, in words; nothing: it is ready. `snapshot` is what it said last, if it has said anything.
pub fn not_ready(snapshot: Option<&Snapshot>, now: Instant) -> Vec<String> {
    let Some(Snapshot { status, taken, is_collecting }) = snapshot else {
        return vec!["the daemon has not begun yet".to_owned()];
    };
    let age = now.saturating_duration_since(*taken);
    let hangs = (age > SNAPSHOT_LIMIT)
        .then(|| format!("the daemon has not looked at itself for {} s", age.as_secs()));
    let stands = (!is_collecting)
        .then(|| "the collector does not answer: its disk hangs, or the daemon stops".to_owned());
    let journal = &status.journal;
    let paused = journal.paused.as_ref().map(|why| format!("the journal takes nothing: {why}"));
    let rotation = journal.rotation_error.as_ref().filter(|_| journal.paused.is_none());
    let rotation = rotation.map(|why| format!("the journal cannot begin a segment: {why}"));
    let places = no_place(&status.places);
    [hangs, stands, paused, rotation, places].into_iter().flatten().collect()
}

/// Hooks have nowhere to leave their events. Where one place is used they take that one.
fn no_place(places: &[PlaceStatus]) -> Option<String> {
    let refused =
        |place: &PlaceStatus| Some(format!("{}: {}", place.path, place.refused.as_ref()?));
    let refused: Option<Vec<_>> = places.iter().map(refused).collect();
    let refused = refused.filter(|refused| !refused.is_empty())?;
    Some(format!("no place can be used in which hooks leave events ({})", refused.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::status::Status;

    fn snapshot(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
        let (status, taken) = (Status::default(), Instant::now());
        let mut snapshot = Snapshot { status, taken, is_collecting: true };
        change(&mut snapshot);
        snapshot
    }

    #[test]
    fn hooks_need_one_place() {
        let place = |path: &str, refused: Option<&str>| PlaceStatus {
            path: path.to_owned(),
            refused: refused.map(str::to_owned),
            ..PlaceStatus::default()
        };
        let reasons = |places: Vec<PlaceStatus>| {
            let snapshot = snapshot(|it| it.status.places = places);
            not_ready(Some(&snapshot), snapshot.taken)
        };
        let open = || place("/a", Some("others may enter it"));
        assert!(reasons(vec![open(), place("/b", None)]).is_empty());
        let [said] = &reasons(vec![open(), place("/b", Some("missing"))])[..] else { panic!() };
        assert!(said.contains("(/a: others may enter it; /b: missing)"), "{said}");
    }

    #[test]
    fn what_is_in_the_way_is_told() {
        let full = || Some("no space left".to_owned());
        for (snapshot, late, said) in [
            (snapshot(|_| {}), 0, None),
            (snapshot(|it| it.is_collecting = false), 0, Some("the collector does not answer")),
            (snapshot(|it| it.status.journal.paused = full()), 0, Some("takes nothing: no space")),
            (snapshot(|it| it.status.journal.rotation_error = full()), 0, Some("begin a segment")),
            (snapshot(|_| {}), 16, Some("for 16 s")),
        ] {
            let now = snapshot.taken + Duration::from_secs(late);
            let reasons = not_ready(Some(&snapshot), now);
            assert_eq!(reasons.len(), usize::from(said.is_some()), "{reasons:?}");
            assert!(said.is_none_or(|said| reasons[0].contains(said)), "{reasons:?}");
        }
        assert_eq!(not_ready(None, Instant::now()).len(), 1);
    }
}
