use std::sync::{LazyLock, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod users;

fn options() -> Options {
    let environment = [("SHOP_TOKEN", "q\"7/é zz9\\top"), ("HOME", "/home/somebody")];
    Options {
        key: [7; 32],
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        extra_keys: vec!["internal_pin".to_owned(), "nip".to_owned()],
        patterns: vec![],
        disabled: vec![],
        max_text_bytes: 1 << 20,
    }
}

fn redactor() -> Redactor {
    Redactor::new(options()).unwrap()
}

fn redact_with(redactor: &mut Redactor, payload: &str) -> (String, Redacted) {
    let mut document = Document::default();
    document.parse(payload.as_bytes()).unwrap();
    let redacted = redactor.redact(&mut document);
    let mut out = Vec::new();
    document.root().unwrap().write_to(&mut out);
    (String::from_utf8(out).unwrap(), redacted)
}

fn redact(payload: &Value) -> Value {
    let (out, _) = redact_with(&mut redactor(), &payload.to_string());
    serde_json::from_str(&out).unwrap()
}

/// What may be a token of GitHub; put together here, so that nobody takes it for one in this file.
fn token() -> String {
    ["gh", "p_", "4Zk9sQ2vT7xW1", "mB6nR3yL8cJ5hD0", "fGpKaEuV"].concat()
}

fn is_marker(text: &Value, rule: &str) -> bool {
    text.as_str()
        .is_some_and(|text| text.starts_with(&format!("[redacted:{rule}:")) && text.ends_with(']'))
}

#[test]
fn every_built_in_rule_can_be_used() {
    let redactor = redactor();
    for rule in redactor.engine.rules.iter().filter(|rule| rule.kind == rules::Kind::Pattern) {
        assert!(!rule.regex().is_match(b""), "{} matches nothing at all", rule.id);
    }
    let file = rules::built_in().unwrap();
    for entry in &file.rules {
        let is_pattern = entry.kind == rules::Kind::Pattern;
        assert_eq!(is_pattern, !entry.keywords.is_empty(), "{}", entry.id);
        assert!(entry.id.len() <= marker::MAX_ID_BYTES, "{}", entry.id);
        assert!(!entry.class.is_empty() && !entry.description.is_empty(), "{}", entry.id);
        assert_eq!(
            file.rules.iter().filter(|other| other.id == entry.id).count(),
            1,
            "{}",
            entry.id
        );
        for keyword in &entry.keywords {
            assert!(keyword.len() >= keywords::MIN_BYTES, "{keyword}");
        }
    }
}

#[test]
fn the_document_lists_all_rules() {
    let document = include_str!("../../../docs/redaction.md");
    let (_, listed) = document.split_once("|---|---|---|\n").expect("a table");
    let row =
        |rule: RuleInfo<'_>| format!("| `{}` | {} | {} |\n", rule.id, rule.class, rule.description);
    assert_eq!(listed, redactor().rules().map(row).collect::<String>());
}

#[test]
fn only_the_secret_goes_and_its_hash_joins_equal_ones() {
    let token = token();
    let out = redact(&json!({"a": format!("git clone with {token}, please"), "b": [{"c": token}]}));
    let first = out["a"].as_str().unwrap();
    let marker = out["b"][0]["c"].as_str().unwrap();
    assert!(is_marker(&out["b"][0]["c"], "github-token"), "{marker}");
    assert_eq!(first, format!("git clone with {marker}, please"));
    let other = redact(&json!({"c": token.replace('4', "5")}));
    assert_ne!(other["c"], marker);
    let mut keyed = Redactor::new(Options { key: [8; 32], ..options() }).unwrap();
    let (again, _) = redact_with(&mut keyed, &json!({"c": token}).to_string());
    assert!(!again.contains(marker));
}

#[test]
fn members_are_known_by_their_names_at_any_depth() {
    let out = redact(&json!({
        "a": [{"Client-Secret": "few"}, {"credentials": {"user": "somebody1", "list": ["hunter2!", 7, true, null]}}],
        "internalPin": 1234, "nip": 77, "password": 99, "token": 17, "secret_scanning": true, "secret": false,
        "env": [{"name": "DB_PASSWORD", "value": "correct-horse1"}],
        "max_tokens": 4096, "session_id": "4a1b2c3d4e5f6a7b8c9d", "public_key": "ssh-rsa AAAAB3NzaC1yc2E",
        "properties": {"password": {"type": "string", "description": "The password to use"}},
        "api_key": "${API_KEY}", "token_count": 12,
    }));
    assert!(is_marker(&out["a"][0]["Client-Secret"], "key-name"), "{out}");
    assert!(is_marker(&out["a"][1]["credentials"]["user"], "key-name"));
    assert!(is_marker(&out["a"][1]["credentials"]["list"][0], "key-name"));
    assert_eq!(
        out["a"][1]["credentials"]["list"].as_array().unwrap()[1..],
        [json!(7), json!(true), json!(null)]
    );
    assert!(is_marker(&out["internalPin"], "key-name") && is_marker(&out["password"], "key-name"));
    assert!(is_marker(&out["nip"], "key-name"));
    assert!(is_marker(&out["env"][0]["value"], "key-name"));
    let kept = [
        "token",
        "secret_scanning",
        "secret",
        "max_tokens",
        "session_id",
        "public_key",
        "properties",
        "api_key",
    ];
    for key in kept {
        assert!(!out[key].to_string().contains("redacted"), "{key}");
    }
}

#[test]
fn secrets_are_found_in_every_wrapping() {
    let token = token();
    let inner = json!({"deep": {"list": [token]}}).to_string();
    let twice = json!({"again": inner}).to_string();
    let escaped: String = token.chars().map(|char| format!("\\u{:04x}", char as u32)).collect();
    let base64 = BASE64_STANDARD.encode(format!("export GITHUB=1 {token}"));
    let percent: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let texts = [
        inner.clone(),
        twice.clone(),
        format!("log: {twice} end"),
        base64.clone(),
        BASE64_STANDARD.encode(&base64),
        format!("https://host/?q={percent}&r=1"),
        format!("cat <<EOF\nT={token}\nEOF"),
        format!("before\n{token}"),
        BASE64_STANDARD.encode(&twice),
        format!("data:text/plain;base64,{base64}"),
    ];
    for text in texts {
        let out = redact(&json!({"tool_response": {"stdout": text}}));
        let out = out["tool_response"]["stdout"].as_str().unwrap();
        assert!(out.contains("[redacted:github-token:"), "{text} gave {out}");
        assert!(!out.contains(&token) && !out.contains(&percent));
    }
    let (out, redacted) =
        redact_with(&mut redactor(), &format!(r#"{{"a":"x {escaped} y","{token}":1}}"#));
    assert_eq!(redacted.rules().collect::<Vec<_>>(), [("github-token", 2)], "{out}");
    let (out, _) = redact_with(&mut redactor(), r#"{"p\u0061ssword":"a b"}"#);
    assert!(out.contains("key-name"), "{out}");
}

#[test]
fn a_secret_is_found_as_deep_as_the_document_says() {
    const DOCUMENTED_LAYERS: usize = 6;
    assert_eq!(text::MAX_LAYERS as usize, DOCUMENTED_LAYERS);
    let mut hidden = token();
    for layer in 1..=DOCUMENTED_LAYERS {
        hidden = BASE64_STANDARD.encode(hidden);
        assert!(is_marker(&redact(&json!(hidden)), "github-token"), "in {layer} layers");
    }
}

#[test]
fn values_of_the_environment_go_in_any_form() {
    let value = "q\"7/é zz9\\top";
    let inner = json!({"x": format!("- {value} -")}).to_string();
    let texts = [
        value.to_owned(),
        inner,
        "u=q%227%2F%C3%A9%20zz9%5Ctop".to_owned(),
        "f=q%227%2F%C3%A9+zz9%5Ctop".to_owned(),
    ];
    for text in texts {
        let out = redact(&json!({"prompt": format!("see {text}")}));
        assert!(
            out["prompt"].as_str().unwrap().contains("[redacted:environment:"),
            "{text} gave {out}"
        );
    }
}

#[test]
fn a_text_that_is_not_json_is_redacted_too() {
    let token = token();
    let redactor = redactor();
    let mut redacted = Redacted::default();
    let out = redactor.redact_text(&format!("{{\"cut off\": \"{token}"), &mut redacted).unwrap();
    assert!(out.starts_with("{\"cut off\": \"[redacted:github-token:"));
    let bytes = [b"\xff\xfe ", token.as_bytes(), b" \xff"].concat();
    let out = redactor.redact_bytes(&bytes, &mut redacted).unwrap();
    assert!(out.starts_with(b"\xff\xfe [redacted:") && out.ends_with(b"] \xff"));
    assert_eq!(redacted.secrets(), 2);
    for order in [encoded::ByteOrder::Little, encoded::ByteOrder::Big] {
        let out =
            redactor.redact_bytes(&order.bytes(&format!("{token} é")), &mut redacted).unwrap();
        let text = order.text(&out[encoded::UTF16_MARK_BYTES..]);
        assert!(text.starts_with("[redacted:github-token:") && text.ends_with("] é"), "{text}");
        assert!(redactor.redact_bytes(&order.bytes("nothing"), &mut redacted).is_none());
    }
    assert!(redactor.redact_text("nothing here", &mut redacted).is_none());
}

#[test]
fn long_texts_are_cut_behind_the_last_whole_marker() {
    let mut redactor = Redactor::new(Options { max_text_bytes: 100, ..options() }).unwrap();
    let long = format!("{}é{} {}", "x y".repeat(22), "z ".repeat(10), token());
    for text in [
        long.clone(),
        "ä".repeat(400),
        format!("{}{} {}", "- ".repeat(27), token(), "- ".repeat(40)),
    ] {
        let (out, redacted) = redact_with(&mut redactor, &json!({"a": text, "n": [1]}).to_string());
        let value: Value = serde_json::from_str(&out).unwrap();
        let cut = value["a"].as_str().unwrap();
        assert!(
            cut.len() <= 100 && cut.ends_with(&format!("[cut: {} bytes]", text.len())),
            "{cut}"
        );
        assert!(
            !cut.contains("ghp_")
                && cut.matches("[redacted").count() == cut.matches(":github-token:").count()
        );
        assert!(redacted.cut_bytes() > 0);
        assert_eq!(redact_with(&mut redactor, &out).0, out);
    }
}

#[test]
fn a_stranger_cannot_hide_something_in_the_shape_of_a_marker() {
    let token = token();
    let out = redact(
        &json!({"a": format!("[redacted:{token}:01234567]"), "password": "[redacted:nothing:01234567]"}),
    );
    assert!(!out.to_string().contains(&token));
    assert_eq!(out["password"], "[redacted:nothing:01234567]", "a word for what is not there");
}

#[test]
fn a_marker_beside_or_inside_a_secret_does_not_hide_it() {
    let (marker, cut) = ("[redacted:jwt:12345678]", "[cut: 5 bytes]");
    let token = token();
    let split = format!("{}{marker}{}{marker}{}", &token[..9], &token[9..21], &token[21..]);
    let password = ["Tr0ub", "4dor&3xKq9"].concat();
    let out = redact(&json!({
        "a": {"password": format!("{password}{marker}")}, "b": {"password": format!("{password}{cut}")},
        "c": {format!("password {marker}"): password}, "d": {format!("password {marker}"): marker},
        "e": format!("use {split} for it"), "f": format!("DB_PASSWORD={password}{marker} make"),
        "g": {"password": marker}, "h": {"name": format!("{marker}DB_PASSWORD"), "value": password},
    }));
    assert!(is_marker(&out["a"]["password"], "key-name"), "{out}");
    assert!(is_marker(&out["b"]["password"], "key-name"), "{out}");
    assert!(is_marker(&out["c"][format!("password {marker}")], "key-name"), "{out}");
    assert_eq!(out["d"][format!("password {marker}")], marker);
    assert_eq!(out["g"]["password"], marker);
    assert!(is_marker(&out["h"]["value"], "key-name"), "{out}");
    for part in [&token[..9], &token[9..21], &token[21..], &password] {
        assert!(!out.to_string().contains(part), "{part} in {out}");
    }
    let (again, redacted) = redact_with(&mut redactor(), &out.to_string());
    assert_eq!(again, out.to_string());
    assert!(redacted.is_empty());
}

#[test]
fn a_private_key_goes_whatever_stands_before_its_lines() {
    let line = |seed: usize| -> String {
        let digit = |at: usize| char::from(b"AbC9dEf8GhI7+kL6/nO5"[(at * 7 + seed) % 20]);
        (0..64).map(digit).collect()
    };
    let lines: Vec<_> = (0..9).map(line).collect();
    let mut redactor = redactor();
    let mut redact =
        |text: &str| redact_with(&mut redactor, &json!({ "text": text }).to_string()).0;
    let kinds = ["-----BEGIN RSA PRIV|ATE KEY-----", "---- BEGIN SSH2 ENCRYPTED PRIV|ATE KEY ----"];
    let prefixes = [
        "",
        "     #\u{2192}",
        "# \u{2502} ",
        "# | ",
        "src/key.pem-#-",
        "> ",
        "+",
        "// ",
        "# \t",
        "\u{1b}[38;5;231m",
        "\u{1b}[38;5;246m  #\u{1b}[0m \u{2502} \u{1b}[38;5;186m",
    ];
    for begin in kinds.map(|kind| kind.replace('|', "")) {
        let end = begin.replace("BEGIN", "END");
        for (prefix, has_end) in
            prefixes.iter().flat_map(|prefix| [(prefix, true), (prefix, false)])
        {
            let mut all = vec![begin.as_str()];
            all.extend(lines.iter().map(String::as_str));
            all.extend(has_end.then_some(end.as_str()));
            let number = |(at, line): (usize, &&str)| {
                format!("{}{line}\n", prefix.replace('#', &at.to_string()))
            };
            let text: String = all.iter().enumerate().map(number).collect();
            for text in [
                text.clone(),
                format!("Read it:\n{text}\nWhat now, with all of this?"),
                text[begin.len() + 40..].to_owned(),
            ] {
                if !has_end && !text.contains("BEGIN") {
                    continue;
                }
                let out = redact(&text);
                let left = lines.iter().filter(|line| out.contains(&line[..30])).count();
                assert_eq!(left, 0, "{text} gave {out}");
                assert!(!text.contains("What now") || out.contains("What now"), "{out}");
            }
        }
        let ruler = "=".repeat(70);
        let said = format!(
            "Look for {begin} in /srv/app/src/keys, parsePrivateKeyEncodingOptions, {ruler}. {end}"
        );
        assert!(redact(&said).contains(&said));
    }
}

#[test]
fn secrets_given_to_commands_and_in_the_next_line_are_found() {
    let secret = ["Zk9sQ2vT7", "xW1mB6nR3yL8cJ5"].concat();
    let texts = [
        "CREATE USER 'shop'@'%' IDENTIFIED BY '§';",
        "alter role shop with password '§'",
        "curl -s -b 'sid=§; theme=dark' https://host.test/",
        "openssl enc -aes-256-cbc -pass pass:§ -in a",
        "sqlcmd -S db -U sa -P '§' -Q 'select 1'",
        "vault login §",
        "vault login -no-print -method=token §",
        "gh secret set NPM --body \"§\"",
        "aws configure set aws_secret_access_key § --profile x",
        "FROM node\nENV NPM_TOKEN §\nRUN npm ci",
        "<add key=\"ApiKey\" value=\"§\"/>",
        "{\"password\":\n    \"§\", x",
        "db_password: |\n  §\nport: 1",
        "API_KEY: >-\n  §\nport: 1",
        "setx API_KEY §",
        "rclone config create x s3 secret_access_key §",
        "echo '§' | sudo -S apt update",
        "echo § | sudo -k -S -p '' true",
        "printf '%s' § | docker login -u me --password-stdin ghcr.io",
        "echo \"ada:§\" | sudo chpasswd",
        "auth: { user: 'ada', pass: '§' }",
        "- name: DB_PASSWORD\n  value: §\n",
        "Authorization: SSWS ¶",
        "https://app.host.test/api/f?code=¶==",
        "oc login --server=x sha256~¶",
    ];
    let mut redactor = redactor();
    for text in texts {
        let text = text.replace('§', &secret).replace('¶', &secret.repeat(2));
        assert!(text.contains(&secret), "{text}");
        let (out, _) = redact_with(&mut redactor, &json!({ "text": text }).to_string());
        assert!(!out.contains(&secret), "{text} gave {out}");
        let (again, redacted) = redact_with(&mut redactor, &out);
        assert!(again == out && redacted.is_empty(), "{out} gave {again}");
    }
}

proptest! {
    #[test]
    fn what_is_redacted_is_json_and_stays_as_it_is(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{\"", "\":\"", "\"}", "password", "=", ": ", " ", "token", "\\\"", "\n", "\\u0070", "%70assword%3D", "hunter2x9",
            "Zk9sQ2vT7xW1mB6n", "[redacted:jwt:0123abcd]", "[redacted:", "secret", "[", "]", "--api-key ", "://a:", "b1c2@h",
            "cGFzc3dvcmQ9aHVudGVyMng5eQ", "cookie: ", "a=b1", "; ", "authorization: ", "bearer ", concat!("-----BEGIN PRIV", "ATE KEY-----"),
            "\"", "'", "<password>", "</password>", "é", "[cut: 7 bytes]", "\\", "eyJhbGciOiJub25l.eyJzdWIiOiIxMjM0", "\t",
            "\u{1b}[31m", "\\x3d", "\\075", "[redacted:github-token:89abcdef]", "_key", "ghp_4Zk9sQ2vT7xW", "1mB6nR3yL8cJ5hD0fGpKaEuV",
        ]), 0..24),
        as_key: bool,
    ) {
        static REDACTOR: LazyLock<Mutex<Redactor>> = LazyLock::new(|| {
            Mutex::new(Redactor::new(Options { max_text_bytes: 160, ..options() }).unwrap())
        });
        let mut redactor = REDACTOR.lock().unwrap_or_else(PoisonError::into_inner);
        let text = pieces.concat();
        let payload = if as_key { json!({&text: "x1y2z3w4", "b": [text]}) } else { json!([text, {"secret": text}]) };
        let (once, _) = redact_with(&mut redactor, &payload.to_string());
        let value: Value = serde_json::from_str(&once).unwrap();
        let (twice, redacted) = redact_with(&mut redactor, &once);
        prop_assert_eq!(&twice, &once, "from {}", payload);
        prop_assert!(redacted.is_empty());
        prop_assert!(value.is_object() || value.is_array());
    }
}

#[test]
fn what_stands_behind_thousands_of_keywords_is_found() {
    let secret = ["q7Zk9", "sQ2vT7xW1m"].concat();
    for unit in ["token=", "-key://", "password:", "curl -s ", "Cookie: a; "] {
        let text = format!("{}DB_PASSWORD={secret} curl -u me:{secret}", unit.repeat(3000));
        let out = redact(&json!({ "text": text })).to_string();
        assert!(!out.contains(&secret), "{unit}");
    }
}
