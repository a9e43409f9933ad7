//! Payloads without secrets, but with much that looks like some: made by chance from the texts in
//! `clean/*.txt`, and recorded ones, where they lie beside the project.

use std::path::Path;

use hookring_pipeline::document::{Document, Value};

use crate::chance::Chance;
use crate::hiding;

/// Texts of one kind each, parted by lines of `----`, with the parts of templates.
const TEXTS: [&str; 4] = [
    include_str!("clean/code.txt"),
    include_str!("clean/config.txt"),
    include_str!("clean/output.txt"),
    include_str!("clean/prose.txt"),
];

/// Each text in some payloads, with other hashes and ids each time.
pub(crate) fn payloads(chance: &mut Chance) -> Vec<String> {
    let texts = TEXTS.iter().flat_map(|texts| texts.split("\n----\n"));
    let mut lines = Vec::new();
    for text in texts {
        for wrapping in ["whole", "json", "shell", "numbered lines"] {
            let filled = fill(text, chance);
            let value = hiding::wrap(wrapping, &filled, chance);
            lines.push(hiding::payload(value, chance).to_string());
        }
        // As objects, where a text is JSON.
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&fill(text, chance)) {
            lines.push(hiding::payload(value, chance).to_string());
        }
    }
    lines
}

/// Fills what stands between `‹` and `›`, so that the texts can have braces.
fn fill(text: &str, chance: &mut Chance) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('‹') {
        let (part, behind) = behind.split_once('›').expect("a closing mark");
        out.push_str(before);
        out.push_str(&chance.fill(&format!("{{{part}}}")));
        rest = behind;
    }
    out + rest
}

/// The payloads of real agents that may lie beside the project.
pub(crate) fn recorded() -> Option<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/payloads");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let texts = files.iter().map(|path| std::fs::read_to_string(path).expect("a file of payloads"));
    Some(texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect())
}

/// All keys, strings and numbers of a JSON text, in order; strings that hold JSON count as they are.
pub(crate) fn strings(line: &str) -> Vec<String> {
    let mut document = Document::default();
    document.parse(line.as_bytes()).expect("JSON");
    let text = |value: Value<'_>| match value.as_str() {
        Some(text) => Some(text.into_owned()),
        None => value.as_f64().map(|number| number.to_string()),
    };
    document.values().filter_map(text).collect()
}

/// Where two texts begin to differ, with what is around it.
pub(crate) fn difference(before: &str, after: &str) -> String {
    let at = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        let begin = text.floor_char_boundary(at.saturating_sub(50));
        text[begin..text.floor_char_boundary(at + 70)].to_owned()
    };
    format!("{:?}\n    -> {:?}", part(before), part(after))
}
