//! Which session `--session` means: an id, or as much of its beginning as `hookring tail` shows.

use std::io::Write;

use anyhow::{Result, bail};
use hookring_journal::{self as journal, Filter};

use super::style::{WARNING, printable};
use super::view::SESSION_CHARS;
use crate::paths::Paths;

/// How many sessions are listed where several are meant.
const LISTED: usize = 10;

/// How to give a session.
pub(super) const HINT: &str = "give its id, or its first 8 characters or more";
const _: () = assert!(SESSION_CHARS == 8);

/// Puts the whole id into the filter, where a session of an event within its times begins with what
/// it has. Says so on `err` where none does: then nothing passes, for now.
///
/// # Errors
/// Several sessions begin so, or the journal could not be read.
pub(super) fn complete(filter: &mut Filter, paths: &Paths, err: &mut dyn Write) -> Result<()> {
    let Some(given) = filter.session.clone() else { return Ok(()) };
    match find(&given, filter, paths)? {
        Some(id) => filter.session = Some(id),
        None => writeln!(err, "{WARNING}{}{WARNING:#}: {HINT}", none_of(&given))?,
    }
    Ok(())
}

/// What is to be said where no event is of a session that begins so; how to give one is [`HINT`].
pub(super) fn none_of(given: &str) -> String {
    format!("no event of a session `{}`", printable(given))
}

/// The whole id, where a session of an event within the times of `filter` begins so.
///
/// # Errors
/// Several sessions begin so, or the journal could not be read.
pub(super) fn find(given: &str, filter: &Filter, paths: &Paths) -> Result<Option<String>> {
    let mut found = journal::sessions(&paths.journal, filter, given, LISTED + 1)?;
    // Fewer characters than are shown may be those of any session; whole, they are an id.
    if given.chars().count() < SESSION_CHARS {
        found.retain(|id| id == given);
    }
    if found.len() > 1 {
        let more = if found.len() > LISTED { ", …" } else { "" };
        let ids: Vec<_> = found.iter().take(LISTED).map(|id| printable(id)).collect();
        bail!(
            "several sessions begin with `{}`, name one: {}{more}",
            printable(given),
            ids.join(", ")
        );
    }
    Ok(found.pop_first())
}
