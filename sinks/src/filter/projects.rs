//! Patterns for directories: what they are compiled from, and how a directory is written for them.

use std::path::Path;

/// What a pattern is compiled from: itself without a `/` at its end and, if it is for all that is below a
/// directory, one for the directory itself.
///
/// # Errors
///
/// It can match no absolute path.
pub(super) fn globs(pattern: &str) -> Result<Vec<String>, String> {
    if !is_absolute(pattern) {
        return Err("it is relative, and agents' directories are absolute: begin it with `/`, `~/` or `**/`".to_owned());
    }
    let pattern = without_end(pattern);
    let mut folder = pattern;
    while let Some(rest) = without(folder, "/**") {
        folder = rest;
    }
    let mut globs = vec![pattern.to_owned()];
    if folder != pattern {
        globs.push(if folder.is_empty() { "/".to_owned() } else { folder.to_owned() });
    }
    Ok(globs)
}

/// A directory without a `/` at its end, but for the root itself.
pub(super) fn directory(text: &str) -> &str {
    match text.trim_end_matches('/') {
        "" if !text.is_empty() => "/",
        trimmed => trimmed,
    }
}

/// The pattern with the home directory for `~/` at its beginning, or for `~` alone; others stay as they are.
///
/// # Errors
///
/// It begins so, and no home directory is known.
pub fn in_home(pattern: &str, home: Option<&Path>) -> Result<String, String> {
    let below = match pattern.strip_prefix('~') {
        Some(below) if below.is_empty() || below.starts_with('/') => below,
        _ => return Ok(pattern.to_owned()),
    };
    let home = home.and_then(Path::to_str).ok_or("no home directory is known for `~/`")?;
    let home = home.trim_end_matches('/');
    Ok(if home.is_empty() && below.is_empty() {
        "/".to_owned()
    } else {
        // What stands for others in a pattern stands for itself in the home directory's name.
        format!("{}{below}", escaped(home))
    })
}

fn without_end(mut pattern: &str) -> &str {
    while let Some(shorter) = without(pattern, "/").filter(|shorter| !shorter.is_empty()) {
        pattern = shorter;
    }
    pattern
}

/// The pattern without this end, unless a backslash takes its meaning away.
fn without<'p>(pattern: &'p str, end: &str) -> Option<&'p str> {
    let rest = pattern.strip_suffix(end)?;
    let backslashes = rest.bytes().rev().take_while(|byte| *byte == b'\\').count();
    (backslashes % 2 == 0).then_some(rest)
}

/// A pattern that only this text matches.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for char in text.chars() {
        if "\\*?[]{},!".contains(char) {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

/// Whether a path that begins with a `/` can match, as far as a pattern's beginning tells.
fn is_absolute(pattern: &str) -> bool {
    match pattern.strip_prefix('{') {
        Some(choices) => alternatives(choices).into_iter().all(is_absolute),
        None => pattern.starts_with('/') || pattern == "**" || pattern.starts_with("**/"),
    }
}

/// What stands between the commas of a choice, up to its end; of choices in it, those belong to them.
fn alternatives(choices: &str) -> Vec<&str> {
    let (mut found, mut begin, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, byte) in choices.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b',' if depth == 0 => {
                found.push(&choices[begin..at]);
                begin = at + 1;
            }
            b'}' if depth == 0 => {
                found.push(&choices[begin..at]);
                return found;
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    // It is not closed, which the compiler of globs says better.
    Vec::new()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Filter, FilterOptions, Match};
    use super::*;

    /// Whether an event of this directory is taken by this pattern; `None`: it is no pattern.
    fn takes(pattern: &str, directory: &str) -> Option<bool> {
        let include = Match { projects: vec![pattern.to_owned()], ..Match::default() };
        let filter = Filter::new(&FilterOptions { include, ..FilterOptions::default() }).ok()??;
        let line = serde_json::json!({ "working_directory": directory }).to_string();
        Some(filter.takes(line.as_bytes()))
    }

    #[test]
    fn what_a_pattern_takes() {
        for (pattern, taken, left) in [
            ("/a/b", &["/a/b", "/a/b/"][..], &["/a", "/a/b/c", "/a/bc"][..]),
            ("/a/b/", &["/a/b", "/a/b/"], &["/a/b/c"]),
            ("/a/*", &["/a/b", "/a/b/"], &["/a", "/a/", "/a/b/c"]),
            ("/a/**", &["/a", "/a/", "/a/b", "/a/b/c"], &["/", "/ab", "/b/a"]),
            ("/a/**/", &["/a", "/a/b/c"], &["/ab"]),
            ("/a/**/**", &["/a", "/a/b/c"], &["/ab"]),
            ("/**", &["/", "/a", "/a/b"], &["a"]),
            ("/", &["/"], &["/a"]),
            ("**", &["/", "/a/b"], &[]),
            ("**/a", &["/a", "/b/a"], &["/a/b"]),
            ("**/a/**", &["/a", "/b/a", "/b/a/c"], &["/ab"]),
            ("{/a,/b{1,2}}/**", &["/a", "/a/c", "/b1", "/b2/c"], &["/b", "/c"]),
        ] {
            for directory in taken {
                assert_eq!(takes(pattern, directory), Some(true), "{pattern} {directory}");
            }
            for directory in left {
                assert_eq!(takes(pattern, directory), Some(false), "{pattern} {directory}");
            }
        }
    }

    #[test]
    fn what_matches_no_absolute_path_is_refused() {
        for pattern in ["app", "./app", "../app", "*", "", "~ada/app", "{/a,b}/c", "{a,/b}", "?a"] {
            assert!(globs(pattern).unwrap_err().contains("relative"), "{pattern}");
            assert_eq!(takes(pattern, "/app"), None, "{pattern}");
        }
    }

    #[test]
    fn the_home_directory_stands_for_itself() {
        let home = |pattern| in_home(pattern, Some(Path::new("/home/a[b]*"))).unwrap();
        for (pattern, taken, left) in [
            ("~", "/home/a[b]*", "/home/ab"),
            ("~/", "/home/a[b]*", "/home/ab"),
            ("~/app", "/home/a[b]*/app", "/home/abc/app"),
            ("~/**", "/home/a[b]*", "/home/ab/c"),
        ] {
            assert_eq!(takes(&home(pattern), taken), Some(true), "{pattern}");
            assert_eq!(takes(&home(pattern), left), Some(false), "{pattern}");
        }
        assert_eq!(home("/a/~/b"), "/a/~/b");
        assert_eq!(home("~ada"), "~ada", "of other users nobody knows");
        assert_eq!(in_home("~", Some(Path::new("/"))).unwrap(), "/");
        assert_eq!(in_home("~/a", Some(Path::new("/"))).unwrap(), "/a");
        assert!(in_home("~/a", None).unwrap_err().contains("home directory"));
        assert_eq!(in_home("/a", None).unwrap(), "/a");
    }

    proptest! {
        #[test]
        fn a_folder_with_all_below_it_is_the_folder_and_all_below_it(
            folder in prop::collection::vec("[^/\u{0}]{1,8}", 0..4),
            below in prop::collection::vec("[^/\u{0}]{1,8}", 1..4),
            (end, pattern_end) in ("/{0,2}", "/{0,2}"),
        ) {
            let path: String = folder.iter().map(|name| format!("/{name}")).collect();
            let inside = format!("{path}/{}", below.join("/"));
            let exactly = format!("{}{pattern_end}", escaped(&path));
            let all = format!("{}/**{pattern_end}", escaped(&path));
            let here = if path.is_empty() { "/".to_owned() } else { format!("{path}{end}") };
            prop_assert_eq!(takes(&all, &here), Some(true));
            prop_assert_eq!(takes(&all, &format!("{inside}{end}")), Some(true));
            if !path.is_empty() {
                prop_assert_eq!(takes(&exactly, &here), Some(true));
                prop_assert_eq!(takes(&exactly, &inside), Some(false));
                prop_assert_eq!(takes(&all, &format!("{path}x")), Some(false));
                prop_assert_eq!(takes(&all, "/"), Some(false));
            }
        }

        #[test]
        fn no_text_causes_a_panic(pattern in ".{0,40}", directory in ".{0,40}") {
            takes(&pattern, &directory);
            let _ = in_home(&pattern, Some(Path::new("/home/ada")));
        }

        #[test]
        fn the_home_directory_is_found_whatever_it_is_called(name in "[^/\u{0}]{1,12}") {
            let home = format!("/{name}");
            let pattern = in_home("~/**", Some(Path::new(&home))).unwrap();
            prop_assert_eq!(takes(&pattern, &home), Some(true));
            let below = format!("{home}/app");
            prop_assert_eq!(takes(&pattern, &below), Some(true));
        }
    }
}
