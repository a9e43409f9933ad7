//! Which session `--session` means: an id, or as much of its beginning as `hookring tail` shows.

use std::io::Write;

use anyhow::{Result, bail};
use hookring_journal::{self as journal, Filter};

use super::style::{WARNING, printable};
use super::view::SESSION_CHARS;
use crate::paths::Paths;

/// How many sessions are listed where several are meant.
const LISTED: usize = 10;

/// Puts the whole id into the filter, where a session of an event within its times begins with what
/// it has. Says so on `err` where none does: then nothing passes, for now.
///
/// # Errors
/// Several sessions begin so, or the journal could not be read.
pub(super) fn complete(filter: &mut Filter, paths: &Paths, err: &mut dyn Write) -> Result<()> {
    let Some(given) = filter.session.clone() else { return Ok(()) };
    let mut found = journal::sessions(&paths.journal, filter, &given, LISTED + 1)?;
    // Fewer characters than are shown may be those of any session; whole, they are an id.
    if given.chars().count() < SESSION_CHARS {
        found.retain(|id| *id == given);
    }
    if found.len() > 1 {
        let more = if found.len() > LISTED { ", …" } else { "" };
        let ids: Vec<_> = found.iter().take(LISTED).map(|id| printable(id)).collect();
        bail!(
            "several sessions begin with `{}`, name one: {}{more}",
            printable(&given),
            ids.join(", ")
        );
    }
    match found.pop_first() {
        Some(id) => filter.session = Some(id),
        None => writeln!(
            err,
            "{WARNING}no event of a session `{}`{WARNING:#}: give its id, or its first {SESSION_CHARS} characters or more",
            printable(&given)
        )?,
    }
    Ok(())
}
