//! What the documentation says is so: its commands run, its tables are complete, its links lead
//! somewhere.

mod commands;
mod exec;
mod guarantees;
mod journal;
mod service;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// A file of the documentation.
struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    /// By its path from the root.
    fn read(path: &str) -> Document {
        let path = root().join(path);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Document { path, text }
    }

    /// All of them.
    fn all() -> Vec<Document> {
        let mut paths: Vec<_> = ["", "docs", "docs/sinks", "docs/backends"]
            .map(|it| root().join(it))
            .iter()
            .flat_map(|dir| fs::read_dir(dir).expect("a directory"))
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|it| it == "md"))
            .collect();
        paths.sort();
        assert!(paths.len() >= 8, "{paths:?}");
        paths.iter().map(|path| Document::read(path.to_str().expect("text"))).collect()
    }

    /// The blocks in this language, without their fences.
    fn blocks(&self, language: &str) -> Vec<&str> {
        let parts: Vec<_> = self.text.split("```").collect();
        let inside = parts.iter().skip(1).step_by(2);
        inside.filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n')).collect()
    }

    /// The text without its blocks.
    fn prose(&self) -> String {
        self.text.split("```").step_by(2).collect()
    }

    /// What stands between single backticks in the prose.
    fn code(&self) -> Vec<String> {
        self.prose()
            .split('`')
            .skip(1)
            .step_by(2)
            .map(|code| code.replace("\\|", "|").replace('\n', " "))
            .collect()
    }

    /// The rows of every table, without the lines above them, as cells.
    fn rows(&self) -> Vec<Vec<String>> {
        let prose = self.prose();
        let lines: Vec<_> = prose.lines().collect();
        let is_rule = |line: &str| line.starts_with("|-") || line.starts_with("| -");
        let row = |(at, line): (usize, &&str)| {
            let is_head = lines.get(at + 1).is_some_and(|next| is_rule(next));
            let inside = line.strip_prefix('|')?.trim_end().strip_suffix('|')?;
            let cells = || inside.replace("\\|", "\u{1}");
            (!is_head && !is_rule(line))
                .then(|| cells().split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect())
        };
        lines.iter().enumerate().filter_map(row).collect()
    }

    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }
}

#[test]
fn links_lead_somewhere() {
    for document in Document::all() {
        let folder = document.path.parent().expect("a folder");
        for part in document.prose().split("](").skip(1) {
            let link = part.split(')').next().expect("its end");
            let file = link.split('#').next().expect("a file");
            if link.contains("://") || file.is_empty() {
                continue;
            }
            assert!(folder.join(file).exists(), "{}: nothing is at {link}", document.name());
        }
    }
}

#[test]
fn files_that_are_named_exist() {
    let folders = [
        "bus/",
        "producer/",
        "pipeline/",
        "journal/",
        "sinks/",
        "daemon/",
        "benches/",
        "fuzz/",
        "tests/",
        "docs/",
        "xtask/",
    ];
    for document in Document::all() {
        for code in document.code() {
            let is_path =
                folders.iter().any(|folder| code.starts_with(folder) && code.len() > folder.len());
            if is_path && !code.contains([' ', '<', '*', '{']) {
                assert!(root().join(&code).exists(), "{}: there is no {code}", document.name());
            }
        }
    }
}

#[test]
fn json_is_json() {
    let documents = Document::all();
    let blocks: Vec<_> = documents.iter().flat_map(|document| document.blocks("json")).collect();
    assert!(blocks.len() >= 8);
    for block in blocks {
        let parsed = serde_json::from_str::<serde_json::Value>(block);
        assert!(parsed.is_ok(), "{parsed:?} in:\n{block}");
    }
}
