//! Checks [`Document`] against serde_json, which accepts the same language but for the depth limit
//! and (where it only skips over values) the UTF-8 of strings.

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::json;

use super::*;

/// The text as it is written, after a document that had another.
fn compacted(input: &[u8]) -> Result<String, NotJson> {
    let mut document = Document::default();
    document.parse(br#"{"other":["text"]}"#).unwrap();
    document.parse(input)?;
    let mut out = Vec::new();
    document.root().unwrap().write_to(&mut out);
    Ok(String::from_utf8(out).unwrap())
}

/// By serde_json, and by counting brackets outside of strings.
fn oracle_accepts(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    serde_json::from_str::<IgnoredAny>(text).is_ok() && depth(&tokens(text)) <= MAX_DEPTH as usize
}

fn depth(tokens: &[String]) -> usize {
    let (mut depth, mut deepest) = (0, 0);
    for token in tokens {
        match token.as_str() {
            "{" | "[" => depth += 1,
            "}" | "]" => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The tokens of a valid text, by a way of cutting that shares nothing with the code under test.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let mut token = String::from(character);
        match character {
            ' ' | '\t' | '\n' | '\r' => continue,
            '{' | '}' | '[' | ']' | ',' | ':' => {}
            '"' => loop {
                let next = characters.next().unwrap();
                token.push(next);
                match next {
                    '\\' => token.push(characters.next().unwrap()),
                    '"' => break,
                    _ => {}
                }
            },
            _ => {
                while let Some(next) = characters.next_if(|c| !" \t\n\r{}[],:\"".contains(*c)) {
                    token.push(next);
                }
            }
        }
        tokens.push(token);
    }
    tokens
}

#[track_caller]
fn agrees_with_oracle(input: &[u8]) {
    let result = compacted(input);
    assert_eq!(result.is_ok(), oracle_accepts(input), "{:?}", String::from_utf8_lossy(input));
    if let Ok(output) = result {
        let expected = tokens(std::str::from_utf8(input).unwrap());
        assert_eq!(output, expected.concat(), "tokens are kept, whitespace is gone");
    }
}

#[test]
fn whitespace_goes_and_tokens_stay() {
    let input = b" {\r\n\t\"a b\" : [ 1 , -0.0e+10 ,true,false , null , \"\\u00e4 \\n\" ] , \"\" : { } , \"e\":[ ]} ";
    let output = r#"{"a b":[1,-0.0e+10,true,false,null,"\u00e4 \n"],"":{},"e":[]}"#;
    assert_eq!(compacted(input).unwrap(), output);
}

#[test]
fn what_others_would_change_is_kept() {
    for text in [
        "1e999999",
        "-123456789012345678901234567890.000000000000000000001E-0007",
        r#""\ud800""#,
        r#"{"a":1,"a":2,"a":1}"#,
        r#"{"b":1,"a":2}"#,
        "\"\u{7f}\u{2028}\u{10ffff}\"",
        r#""\u0000\/""#,
    ] {
        assert_eq!(compacted(text.as_bytes()).unwrap(), text);
        agrees_with_oracle(text.as_bytes());
    }
}

#[test]
fn errors_say_where_and_why() {
    for (input, offset, reason, display) in [
        ("", 0, Reason::Empty, "nothing but whitespace at byte 0"),
        (" \n", 2, Reason::Empty, "nothing but whitespace at byte 2"),
        ("{} {}", 3, Reason::TrailingCharacters, "trailing characters at byte 3"),
        ("{\"a\":[1,2", 9, Reason::UnexpectedEnd, "unexpected end of input at byte 9"),
        ("\"abc", 4, Reason::UnexpectedEnd, "unexpected end of input at byte 4"),
        ("[1,]", 3, Reason::UnexpectedByte, "unexpected character at byte 3"),
        ("{\"a\" 1}", 5, Reason::UnexpectedByte, "unexpected character at byte 5"),
        ("\"a\nb\"", 2, Reason::ControlCharacter, "control character in a string at byte 2"),
        ("\"\\x\"", 2, Reason::InvalidEscape, "invalid escape at byte 2"),
        ("[01]", 2, Reason::InvalidNumber, "invalid number at byte 2"),
        ("hello", 0, Reason::UnexpectedByte, "unexpected character at byte 0"),
    ] {
        let error = compacted(input.as_bytes()).unwrap_err();
        assert_eq!(error, NotJson { offset, reason }, "{input:?}");
        assert_eq!(error.to_string(), display);
    }
    let invalid = compacted(b"{\"a\":\"\xff\"}").unwrap_err();
    assert_eq!(invalid.to_string(), "invalid UTF-8 at byte 6");
    // A file that begins with a byte order mark is not JSON.
    assert_eq!(compacted(b"\xef\xbb\xbf{}").unwrap_err().offset, 0);
}

#[test]
fn depth_ends_at_the_limit() {
    let nested = |levels: usize| {
        let mut text = "[{\"a\":".repeat(levels / 2) + &"[".repeat(levels % 2);
        text += if levels % 2 == 1 { "" } else { "1" };
        text + &"]".repeat(levels % 2) + &"}]".repeat(levels / 2)
    };
    for levels in [1, 2, 127, 128] {
        assert_eq!(compacted(nested(levels).as_bytes()).unwrap(), nested(levels));
    }
    for levels in [129, 130, 10_000] {
        let error = compacted(nested(levels).as_bytes()).unwrap_err();
        assert_eq!(error.reason, Reason::TooDeep);
        assert_eq!(error.to_string().split(" at ").next().unwrap(), "more than 128 levels");
    }
    let unclosed = vec![b'['; 10_000];
    assert_eq!(compacted(&unclosed).unwrap_err().reason, Reason::TooDeep);
}

/// A value as serde_json would have it, by way of our index.
fn tree(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Object => {
            let members = value.members();
            members.map(|(key, value)| (key.as_str().unwrap().into_owned(), tree(value))).collect()
        }
        Kind::Array => value.elements().map(tree).collect(),
        Kind::String | Kind::EscapedString => value.as_str().unwrap().into(),
        Kind::Number => value.as_i64().map_or_else(|| value.as_f64().into(), Into::into),
        Kind::Bool => value.as_bool().into(),
        Kind::Null => serde_json::Value::Null,
    }
}

fn document(text: &str) -> Document {
    let mut document = Document::default();
    document.parse(text.as_bytes()).unwrap();
    document
}

fn written(document: &Document) -> serde_json::Value {
    let mut out = Vec::new();
    document.root().unwrap().write_to(&mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn values_are_found_by_their_keys() {
    let document = document(
        r#"{"a":[1,{"no":2}],"b\"":"x\n","a":{"n":{"s":"\ud83d\ude00\ud800"}},"z":-1e5,"t":true}"#,
    );
    let root = document.root().unwrap();
    assert_eq!(root.path(&["a", "n", "s"]).unwrap().as_str().unwrap(), "😀\u{fffd}");
    assert_eq!(root.get("b\"").unwrap().as_str().unwrap(), "x\n");
    assert_eq!(
        (root.get("z").unwrap().as_f64(), root.get("z").unwrap().as_i64()),
        (Some(-1e5), None)
    );
    assert_eq!(root.get("t").unwrap().as_bool(), Some(true));
    assert!(root.get("b").is_none() && root.path(&["z", "n"]).is_none());
    let first = root.members().next().unwrap().1;
    assert_eq!(first.elements().next().unwrap().as_i64(), Some(1));
    assert!(first.elements().nth(1).unwrap().get("no").unwrap().as_str().is_none());
}

proptest! {
    #[test]
    fn every_member_is_found_and_no_other(keys in prop::collection::vec("[a-c_]{0,3}|[a-zé]{0,9}", 0..9), other in "[a-c_]{0,3}") {
        let members = keys.iter().zip(0..).map(|(key, at)| format!("{}:{at}", json!(key)));
        let members = members.collect::<Vec<_>>().join(",");
        let mut document = document(&format!(r#"{{"A":0,{members}{}"B":{{{members}}}}}"#, if keys.is_empty() { "" } else { "," }));
        for is_replaced in [false, true] {
            if is_replaced {
                let id = document.root().unwrap().get("A").unwrap().id();
                document.replace(id, "else".to_owned());
            }
            let root = document.root().unwrap();
            for key in keys.iter().chain([&other]) {
                let expected = keys.iter().rposition(|it| it == key).map(|at| at as i64);
                prop_assert_eq!(root.get(key).and_then(Value::as_i64), expected, "{}", key);
                prop_assert_eq!(root.path(&["B", key]).and_then(Value::as_i64), expected, "{}", key);
            }
        }
    }
}

#[test]
fn escapes_that_may_hide_a_letter_are_known() {
    for (text, places) in [
        (r#"{"a":"\\n\n\"\t"}"#, vec![]),
        (r#"{"a":"\u0041\/"}"#, vec![6, 12]),
        (r#"{"a\\x41":"\\\\u0041"}"#, vec![4, 14]),
        (r#"["\\\n","\\0","\\"]"#, vec![10]),
    ] {
        assert_eq!(document(text).hiding_escapes().collect::<Vec<_>>(), places, "{text}");
    }
}

#[test]
fn a_key_that_was_replaced_is_found_by_what_stands_there_now() {
    for new in ["b", "zz", "another_one", "Q7", ""] {
        let mut document = document(r#"{"a":1,"o":{"a":2}}"#);
        let keys: Vec<_> =
            document.values().filter(|value| value.is_text("a")).map(Value::id).collect();
        keys.iter().for_each(|key| document.replace(*key, new.to_owned()));
        let root = document.root().unwrap();
        assert_eq!(root.get(new).and_then(Value::as_i64), Some(1), "{new}");
        assert_eq!(root.path(&["o", new]).and_then(Value::as_i64), Some(2), "{new}");
        assert!(root.get("a").is_none() && root.path(&["o", "a"]).is_none());
    }
}

#[test]
fn a_member_is_found_however_its_key_is_written() {
    let escaped = document(r#"{"session\u005fid":1,"o":{"k\u0065y":2}}"#);
    assert_eq!(escaped.root().unwrap().get("session_id").unwrap().as_i64(), Some(1));
    assert_eq!(escaped.root().unwrap().path(&["o", "key"]).unwrap().as_i64(), Some(2));
}

#[test]
fn what_is_replaced_is_gone_for_every_reader() {
    let mut document = document(r#"{"k":"old","o":{"deep":[1,"x\u0041"]},"n":17,"last":[]}"#);
    let id = |document: &Document, path: &[&str]| document.root().unwrap().path(path).unwrap().id();
    let inner = document.root().unwrap().path(&["o", "deep"]).unwrap().elements().nth(1).unwrap();
    let inner = inner.id();
    document.replace(inner, "new\n\"".to_owned());
    document.replace(id(&document, &["n"]), "seventeen".to_owned());
    let key = document.root().unwrap().members().next().unwrap().0.id();
    document.replace(key, "K".to_owned());
    let expected = json!({"K":"old","o":{"deep":[1,"new\n\""]},"n":"seventeen","last":[]});
    assert_eq!(written(&document), expected);
    let root = document.root().unwrap();
    assert_eq!(tree(root), expected);
    assert!(root.get("k").is_none() && root.get("n").unwrap().as_i64().is_none());
    assert!(root.get("n").unwrap().is_text("seventeen"));

    // The whole around it, and then another text.
    document.replace(id(&document, &["o"]), "gone".to_owned());
    assert_eq!(written(&document)["o"], "gone");
    assert!(document.root().unwrap().path(&["o", "deep"]).is_none());
    // What is inside of it is not there any more.
    document.replace(inner, "late".to_owned());
    assert_eq!(written(&document)["o"], "gone");
    document.parse(br#"{"k":"old"}"#).unwrap();
    assert_eq!(written(&document), json!({"k":"old"}));
}

#[test]
fn a_place_in_the_text_is_of_one_string() {
    let document = document(r#"{"key":"value","n":[1,"s"]}"#);
    let found = |offset| {
        let id = document.string_at(offset)?;
        Some(document.value(id).as_str().unwrap().into_owned())
    };
    let places = [(0, None), (1, Some("key")), (5, Some("key")), (6, None), (7, Some("value"))];
    let later =
        [(13, Some("value")), (14, None), (20, None), (23, Some("s")), (26, None), (99, None)];
    for (offset, expected) in places.into_iter().chain(later) {
        assert_eq!(found(offset).as_deref(), expected, "{offset}");
    }
}

/// Any JSON text, with whitespace wherever it may stand.
fn json_text() -> impl Strategy<Value = String> {
    let space = "[ \t\r\n]{0,3}";
    let number = r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,6})?";
    let string = r#"("([^\x00-\x1f"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,40}")"#;
    let leaf = prop_oneof![Just("true".to_owned()), Just("null".to_owned()), number, string];
    let value = leaf.prop_recursive(6, 60, 6, move |inner| {
        let element = (space, inner, space).prop_map(|(a, value, b)| a + &value + &b);
        let member = (space, string, space, element.clone())
            .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
        prop_oneof![
            prop::collection::vec(element, 0..6).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(","))),
        ]
    });
    (space, value, space).prop_map(|(a, value, b)| a + &value + &b)
}

proptest! {
    #[test]
    fn any_json_is_accepted_token_for_token(text in json_text()) {
        prop_assert!(oracle_accepts(text.as_bytes()), "the test's own texts are JSON");
        agrees_with_oracle(text.as_bytes());
    }

    #[test]
    fn almost_json_is_judged_as_the_oracle_does(
        text in json_text(), at: prop::sample::Index, byte: u8, keep in 0u8..4,
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len() + 1);
        match keep {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, byte),
            2 if at < bytes.len() => bytes[at] = byte,
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.push(byte),
        }
        agrees_with_oracle(&bytes);
    }

    #[test]
    fn any_bytes_are_judged_as_the_oracle_does(
        bytes in prop::collection::vec(
            prop_oneof![prop::sample::select(&b"{}[]:,\"\\ \n0123.eE+-tfnu/al"[..]), any::<u8>()],
            0..40),
    ) {
        agrees_with_oracle(&bytes);
    }

    #[test]
    fn long_strings_end_where_they_end(
        lead in 0usize..70, fill in prop::sample::select(vec!["x", "ä", "𝄞"]),
        special in prop::sample::select(vec!["", "\\n", "\n", "\\", "\\u12"]), tail in 0usize..70,
    ) {
        let text = format!("\"{}{special}{}\"", fill.repeat(lead), fill.repeat(tail));
        agrees_with_oracle(text.as_bytes());
    }

    #[test]
    fn the_index_is_the_oracles_tree(text in json_text()) {
        // (The oracle refuses lone surrogates and numbers out of range.)
        if let Ok(expected) = serde_json::from_str::<serde_json::Value>(&text) {
            let found = tree(document(&text).root().unwrap());
            // Numbers beyond an i64 are rounded on one side only.
            if !text.contains(|digit: char| digit.is_ascii_digit()) {
                prop_assert_eq!(found, expected);
            }
        }
    }
}
