//! Cursors of sinks that are not configured: a sink was renamed, perhaps, and begins anew under its new name, unless
//! somebody has already had that go on where the old one was.

use std::fmt;

use hookring_journal::{CursorError, OLDEST, Seq, stored_cursors};
use hookring_sinks::Switch;
use serde::{Deserialize, Serialize};

use super::{Config, Warning};
use crate::paths::Paths;

/// More than so many are not named one by one.
const MAX_NAMED: usize = 8;

/// The cursor of a sink that is not configured, also not as switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Orphan {
    /// The sink's name.
    pub sink: String,
    /// The number that it would have got next.
    pub next_seq: Seq,
    /// The sink that goes on there, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followed_by: Option<String>,
}

impl Config {
    /// Finds them. `before`: those that were known, so that it stays known who follows them.
    ///
    /// # Errors
    ///
    /// The cursors cannot be read.
    pub fn orphans(&self, paths: &Paths, before: &[Orphan]) -> Result<Vec<Orphan>, CursorError> {
        let cursors = stored_cursors(&paths.cursors)?;
        let is_configured = |name: &str| self.sinks.iter().any(|sink| sink.name == name);
        let has_cursor = |name: &str| cursors.iter().any(|it| it.0 == name);
        let new = self.sinks.iter().map(|sink| &*sink.name).filter(|name| !has_cursor(name));
        let orders: Vec<_> = new.filter_map(|name| Some((name, order(paths, name)?))).collect();
        let mut orphans: Vec<_> = cursors
            .iter()
            .filter(|(sink, _)| !is_configured(sink))
            .map(|(sink, next_seq)| {
                let known = before.iter().find(|it| it.sink == *sink);
                let follower = known.and_then(|it| it.followed_by.clone());
                let followed_by = follower.filter(|name| is_configured(name));
                Orphan { sink: sink.clone(), next_seq: *next_seq, followed_by }
            })
            .collect();
        for (name, to) in orders {
            // The old one may have gone on since somebody looked where it is.
            let near = orphans.iter_mut().filter(|it| it.next_seq >= to);
            if let Some(orphan) = near.min_by_key(|it| it.next_seq) {
                orphan.followed_by = Some(name.to_owned());
            }
        }
        Ok(orphans)
    }

    /// The same as a warning, if there are any. What cannot be read is for the daemon to say.
    pub fn orphan_warning(&self, paths: &Paths, before: &[Orphan]) -> Option<Warning> {
        let orphans = self.orphans(paths, before).unwrap_or_default();
        (!orphans.is_empty()).then_some(Warning::Orphans { orphans })
    }
}

/// The number that a sink is told to go to, once it runs.
fn order(paths: &Paths, sink: &str) -> Option<Seq> {
    let order = Switch::new(&paths.cursors, sink).wants_reset().ok()?;
    order.filter(|to| *to != OLDEST)
}

/// Says it in one line.
pub(super) fn write(orphans: &[Orphan], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_any_left = orphans.iter().any(|it| it.followed_by.is_none());
    if let [Orphan { sink, next_seq, followed_by }] = orphans {
        write!(f, "there is a cursor of sink {sink}, which is not configured")?;
        match followed_by {
            Some(follower) => write!(f, ": {follower} goes on where it was")?,
            None => write!(
                f,
                ": if it has another name now, run `hookring sink reset NAME --to {next_seq}` before `hookring \
                 reload` or the start, and that goes on where {sink} was, else it begins anew"
            )?,
        }
        return write!(f, "; `hookring sink forget {sink}` removes the cursor");
    }
    write!(f, "there are cursors of {} sinks that are not configured: ", orphans.len())?;
    for (at, Orphan { sink, next_seq, followed_by }) in orphans.iter().take(MAX_NAMED).enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        match followed_by {
            Some(follower) => write!(f, "{comma}{sink} (followed by {follower})")?,
            None => write!(f, "{comma}{sink} (at {next_seq})")?,
        }
    }
    if orphans.len() > MAX_NAMED {
        write!(f, " and {} more", orphans.len() - MAX_NAMED)?;
    }
    if is_any_left {
        f.write_str(
            "; if one has another name now, run `hookring sink reset NAME --to NUMBER` before `hookring reload` or the \
             start, and that goes on where the old one was, else it begins anew",
        )?;
    }
    f.write_str("; `hookring sink forget OLD` removes a cursor")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(orphans: Vec<Orphan>) -> String {
        Warning::Orphans { orphans }.to_string()
    }

    fn orphan(sink: &str, next_seq: Seq, follower: Option<&str>) -> Orphan {
        Orphan { sink: sink.to_owned(), next_seq, followed_by: follower.map(str::to_owned) }
    }

    #[test]
    fn one_line_says_what_is_to_be_done_with_one_or_with_many() {
        assert!(said(vec![orphan("old", 17, None)]).contains("reset NAME --to 17` before"));
        assert_eq!(
            said(vec![orphan("old", 17, Some("new"))]),
            "there is a cursor of sink old, which is not configured: new goes on where it was; `hookring sink forget \
             old` removes the cursor"
        );
        let many = said(vec![orphan("a", 1, None), orphan("b", 22, Some("new"))]);
        assert!(
            many.starts_with(
                "there are cursors of 2 sinks that are not configured: a (at 1), b (followed by \
                 new); if one has another name now, run `hookring sink reset NAME --to NUMBER`"
            ),
            "{many}"
        );
        let followed = said(vec![orphan("a", 1, Some("c")), orphan("b", 22, Some("d"))]);
        assert!(!followed.contains("reset") && followed.contains("sink forget OLD"), "{followed}");
        let too_many = said((0..100).map(|n| orphan(&format!("s{n}"), n, None)).collect());
        assert!(too_many.contains("s7 (at 7) and 92 more; "), "{too_many}");
        assert_eq!(too_many.lines().count(), 1);
    }
}
