//! The promises of `docs/guarantees.md`: each names tests that would catch its breach, and they exist.

use std::fs;

use crate::{Document, root};

/// Says what the promises stand on, and promises nothing itself.
const GROUND: &str = "What this rests on";

/// The sections that promise something, by their headings.
fn promises(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let sections = text.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'));
    sections.filter(|(heading, _)| *heading != GROUND)
}

/// The file and the names of the tests of each item of the list of tests.
fn tests_of(section: &str) -> Vec<(&str, Vec<&str>)> {
    let list = section.split_once("**Tests.**").map_or("", |(_, list)| list);
    let items = list.split("\n- ").skip(1);
    let codes = items.map(|item| item.split('`').skip(1).step_by(2).collect::<Vec<_>>());
    codes
        .filter_map(|codes| codes.split_first().map(|(file, rest)| (*file, rest.to_vec())))
        .collect()
}

/// Whether a test of this name stands in the source.
fn has_test(source: &str, name: &str) -> bool {
    let (attribute, function) = ("#[test]\n", format!("fn {name}("));
    source.split(attribute).skip(1).any(|rest| {
        let first = rest.lines().map(str::trim).find(|line| !line.starts_with("#["));
        first.is_some_and(|line| line.starts_with(&function))
    })
}

#[test]
fn each_promise_names_tests_and_they_exist() {
    let document = Document::read("docs/guarantees.md");
    let mut seen = 0;
    for (promise, section) in promises(&document.text) {
        for part in ["**Promise.**", "**Conditions.**", "**Tests.**"] {
            assert!(section.contains(part), "{promise}: {part} is missing");
        }
        let tests = tests_of(section);
        assert!(!tests.is_empty(), "{promise}: no tests");
        for (file, names) in tests {
            let source = fs::read_to_string(root().join(file))
                .unwrap_or_else(|error| panic!("{promise}: {file}: {error}"));
            assert!(!names.is_empty(), "{promise}: no test in {file}");
            for name in names {
                assert!(has_test(&source, name), "{promise}: no test {name} in {file}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 80, "{seen}");
}

#[test]
fn a_test_is_told_from_what_is_none() {
    let source =
        "#[test]\n#[cfg(unix)]\nfn one() {}\nfn two() {}\n    #[test]\n    fn three(x: u8) {}";
    let found = ["one", "two", "three", "thre"].map(|name| has_test(source, name));
    assert_eq!(found, [true, false, true, false]);
}
