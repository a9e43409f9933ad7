//! What a user adds, switches off or gets wrong.

use super::*;

#[test]
fn what_a_user_gets_wrong_is_named() {
    let pattern = |name: &str, pattern: &str, keywords: &[&str]| UserPattern {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        keywords: keywords.iter().map(|&keyword| keyword.to_owned()).collect(),
    };
    let with = |patterns: Vec<UserPattern>| {
        Redactor::new(Options { patterns, ..options() }).err().unwrap().to_string()
    };
    let wrong = with(vec![pattern("ours", "abc(d", &[])]);
    assert!(wrong.contains("`ours`") && wrong.contains("byte 3"), "{wrong}");
    let wrong = with(vec![pattern("ours", r"ab\p{Nonsense}", &[])]);
    assert!(wrong.contains("byte 2"), "{wrong}");
    assert!(with(vec![pattern("ours", r"(\w{1000}){100}", &[])]).contains("bytes when compiled"));
    assert!(with(vec![pattern("Not This", "x", &[])]).contains("`Not This`"));
    assert!(with(vec![pattern("jwt", "x", &[])]).contains("another name"));
    assert!(with(vec![pattern("ours", "x", &["abc"])]).contains("`abc`"));
    let disabled = vec!["nonsense".to_owned()];
    assert!(
        Redactor::new(Options { disabled, ..options() })
            .err()
            .unwrap()
            .to_string()
            .contains("`nonsense`")
    );
    assert!(Redactor::new(Options { max_text_bytes: 10, ..options() }).is_err());
    assert!(Redactor::new(Options { extra_keys: vec!["_".to_owned()], ..options() }).is_err());
}

#[test]
fn rules_are_added_and_switched_off() {
    let patterns = vec![
        UserPattern {
            name: "ticket".to_owned(),
            pattern: "T-(?P<secret>[0-9]{6})".to_owned(),
            keywords: vec!["T-12".to_owned()],
        },
        UserPattern {
            name: "badge".to_owned(), pattern: "\"ä[0-9]+".to_owned(), keywords: vec![]
        },
    ];
    let disabled = vec!["github-token".to_owned(), "key-name".to_owned(), "environment".to_owned()];
    let mut redactor = Redactor::new(Options { patterns, disabled, ..options() }).unwrap();
    let payload =
        json!({"a": "see T-123456", "b": "its \"ä12", "c": token(), "password": "x1y2z3"});
    let (out, redacted) = redact_with(&mut redactor, &payload.to_string());
    let out: Value = serde_json::from_str(&out).unwrap();
    assert!(out["a"].as_str().unwrap().starts_with("see T-[redacted:ticket:"), "{out}");
    assert!(out["b"].as_str().unwrap().starts_with("its [redacted:badge:"), "{out}");
    assert_eq!((out["c"].as_str(), out["password"].as_str()), (Some(&*token()), Some("x1y2z3")));
    assert_eq!(redacted.rules().collect::<Vec<_>>(), [("ticket", 1), ("badge", 1)]);
}

/// What is left of a text with a redactor of these keys.
fn left(keys: &[&str], text: &str) -> String {
    let extra_keys = keys.iter().map(|&key| key.to_owned()).collect();
    let redactor = Redactor::new(Options { extra_keys, ..options() }).unwrap();
    redactor.redact_text(text, &mut Redacted::default()).unwrap_or_else(|| text.to_owned())
}

#[test]
fn whatever_a_listed_name_is_given_goes_but_code_and_placeholders() {
    let keys = ["user_email", "internal_pin"];
    for (text, value) in [
        ("user_email: ada@mail.test", "ada@mail.test"),
        ("USER_EMAIL=ada", "ada"),
        ("\"userEmail\": \"Ada Lovelace\"", "Ada Lovelace"),
        ("internal_pin = 1234", "1234"),
        ("x --internal-pin 1234 y", "1234"),
        ("internal_pin: /srv/pins/ada", "/srv/pins/ada"),
        (r#"{"user_email": "ada", "n": 1}"#, "\"ada\""),
        (r#"{"a": {"user-email": ["https://mail.test/ada"]}}"#, "https"),
        (r#"{"name": "internal_pin", "value": "ada"}"#, "ada"),
        (r#"{"internal_pin": 1234}"#, "1234"),
    ] {
        let out = left(&keys, text);
        assert!(out.contains("[redacted:") && !out.contains(value), "{text} {out}");
        assert_eq!(left(&keys, &out), out, "{text}");
    }
    for text in [
        "user_email = form.cleaned_data[\"user\"]",
        "user_email: Option<String>,",
        "user_email=$USER_EMAIL",
        "user_email: {user_email}",
        r#"{"user_email": null, "internal_pin": "<pin>"}"#,
        "if user_email == other {",
    ] {
        assert_eq!(left(&keys, text), text);
    }
}

#[test]
fn a_text_in_which_each_replacement_shows_something_new_goes_whole() {
    let patterns = vec![UserPattern {
        name: "first".to_owned(),
        pattern: "^[^q]*(q)".to_owned(),
        keywords: Vec::new(),
    }];
    let redactor = Redactor::new(Options { patterns, ..options() }).unwrap();
    let left = |text: &str| redactor.redact_text(text, &mut Redacted::default()).unwrap();
    assert!(!left("qqq").contains('q') && left("qqq").contains("[redacted:first:"));
    let out = left(&"q".repeat(12));
    assert!(out.starts_with("[redacted:unsettled:") && out.ends_with(']'), "{out}");
    assert!(!out[1..].contains('['), "{out}");
}
