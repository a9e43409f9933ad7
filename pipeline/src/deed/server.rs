//! The files that a tool of an MCP server is given: nobody but the server knows what its parameters mean, so that
//! whatever is named like a path counts as one.

use std::borrow::Cow;

use super::{MAX_FILES, MAX_PATH_BYTES};
use crate::document::Value;

/// Names of parameters that have a path, or a list of them.
const NAMES: &[&str] = &[
    "path",
    "paths",
    "file",
    "files",
    "file_path",
    "filePath",
    "file_paths",
    "filename",
    "filepath",
    "absolute_path",
    "source",
    "source_path",
    "sourcePath",
    "destination",
    "destination_path",
    "destinationPath",
    "dest",
    "target",
    "target_file",
    "old_path",
    "oldPath",
    "new_path",
    "newPath",
    "directory",
    "dir",
];

/// Names of those that have a URI; one of a file counts.
const URIS: &[&str] = &["uri", "uris", "url", "fileUri", "file_uri"];

/// All of them, in the order in which they stand.
pub(super) fn files<'a>(input: Value<'a>) -> Vec<Cow<'a, str>> {
    let one_or_many = |value: Value<'a>| value.as_str().into_iter().chain(texts(value));
    let mut files: Vec<Cow<'a, str>> = Vec::new();
    for (key, value) in input.members() {
        let is_one_of = |names: &[&str]| names.iter().any(|name| key.is_text(name));
        let (is_path, is_uri) = (is_one_of(NAMES), is_one_of(URIS));
        if !is_path && !is_uri {
            continue;
        }
        for text in one_or_many(value).take(MAX_FILES - files.len()) {
            let path = of_a_uri(&text).map(Cow::Owned);
            let path = path.or_else(|| (is_path && is_a_path(&text)).then_some(text));
            files.extend(path.filter(|path| !path.is_empty() && path.len() <= MAX_PATH_BYTES));
        }
    }
    files
}

/// The SQL that a tool is given: as `sql`, or as a query where the tool's or the server's name says that a database is
/// asked.
pub(super) fn statements<'a>(tool_name: Option<&str>, input: Value<'a>) -> Option<Cow<'a, str>> {
    const DATABASES: &[&str] = &[
        "bigquery",
        "clickhouse",
        "database",
        "db",
        "duckdb",
        "mariadb",
        "neon",
        "oracle",
        "postgres",
        "redshift",
        "snowflake",
        "sql",
        "supabase",
    ];
    let text = |key: &str| input.get(key).and_then(Value::as_str);
    let name = tool_name.unwrap_or_default().to_ascii_lowercase();
    let is_database = || DATABASES.iter().any(|it| name.contains(it));
    let query =
        || ["query", "statement"].iter().find_map(|key| text(key)).filter(|_| is_database());
    text("sql").or_else(query)
}

fn texts(value: Value<'_>) -> impl Iterator<Item = Cow<'_, str>> {
    value.elements().filter_map(Value::as_str)
}

fn is_a_path(text: &str) -> bool {
    !text.contains("://") && !text.contains('\n')
}

/// The path in a `file://` URI, decoded.
pub(super) fn of_a_uri(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("file") {
        return None;
    }
    // A host stands before it, mostly an empty one.
    let path = &rest[rest.find('/')?..];
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, behind @ ..] = rest {
        let digits = behind.get(..2).filter(|_| *byte == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    #[test]
    fn what_is_named_like_a_path_is_one() {
        let input = br#"{"path":"/a","paths":["b","c d"],"source":"e","uri":"file:///%2Fetc/p%61ss","url":"https://x.test/f",
            "destination":"https://x.test/g","file":"File://localhost/h%zz%","content":"/i","target":"","source_path":7}"#;
        let mut document = Document::default();
        document.parse(input).expect("JSON");
        let found = files(document.root().expect("a value"));
        assert_eq!(found, ["/a", "b", "c d", "e", "//etc/pass", "/h%zz%"]);
    }

    #[test]
    fn what_a_database_is_asked_is_known_by_the_tools_name() {
        let mut document = Document::default();
        for (input, tool, is_found) in [
            (r#"{"sql":"drop table x"}"#, "mcp__x__run", true),
            (r#"{"query":"drop table x"}"#, "mcp__postgres__query", true),
            (r#"{"query":"drop table x"}"#, "mcp__docs__search", false),
            (r#"{"statement":"drop table x"}"#, "mcp__my-DB__run", true),
            (r#"{"query":7}"#, "mcp__db__query", false),
        ] {
            document.parse(input.as_bytes()).expect("JSON");
            let found = statements(Some(tool), document.root().expect("a value"));
            assert_eq!(found.is_some(), is_found, "{input} {tool}");
        }
    }

    #[test]
    fn files_are_as_many_as_an_event_has() {
        let input = serde_json::json!({"a": 1, "paths": vec!["x"; 1000], "path": "y"}).to_string();
        let mut document = Document::default();
        document.parse(input.as_bytes()).expect("JSON");
        assert_eq!(files(document.root().expect("a value")).len(), MAX_FILES);
    }
}
