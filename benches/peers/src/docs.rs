//! Puts a run's table and plots into the documentation.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::document::Document;
use crate::{plot, report};

const BEGIN: &str = "<!-- run.sh --docs writes from here -->";
const END: &str = "<!-- to here -->";

/// Writes the plots into `docs/performance/` and, with the table, links to them into
/// `docs/performance.md`, instead of what the last run left there.
pub(crate) fn write(document: &Document) -> Result<()> {
    let is_fit = document.is_whole && !document.is_quick;
    ensure!(is_fit, "the documentation takes whole runs only: neither --quick nor --only");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let links = plot::write(document, &docs.join("performance"))?;
    let links = links.iter().map(|(title, file)| format!("![{title}](performance/{file})\n\n"));
    let section = format!("{}```text\n{}```", links.collect::<String>(), report::table(document));
    let path = docs.join("performance.md");
    let text = fs::read_to_string(&path).context("could not read docs/performance.md")?;
    let text = between(&text, &section).context("docs/performance.md lacks its marks")?;
    fs::write(&path, text).context("could not write docs/performance.md")
}

/// The text with another section between the marks.
fn between(text: &str, section: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, behind) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{section}\n\n{END}{behind}"))
}
