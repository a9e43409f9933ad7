//! Payloads are kept, whatever they are.

use super::*;

#[test]
fn half_a_surrogate_pair_stays_in_the_payload_only() {
    for (lone, decoded) in [
        (r"\ud800", "\u{fffd}"),
        (r"\udc00", "\u{fffd}"),
        (r"\ud800\ud800", "\u{fffd}\u{fffd}"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\\\ud800", "\\\u{fffd}"),
        (r"x\uDFFFx", "x\u{fffd}x"),
    ] {
        let payload = format!(r#"{{"session_id":"{lone}","cwd":"\ud83d\ude00\\ud800"}}"#);
        let (line, written) = line_and(&mut pipeline(), &received(payload.as_bytes()));
        assert_eq!(written, Written::default());
        assert!(line.ends_with(&format!(r#","payload":{payload}}}"#)), "{line}");
        let fields: Fields<'_> = serde_json::from_str(&line).unwrap();
        assert_eq!(fields.session_id.as_deref(), Some(decoded));
        assert_eq!(fields.working_directory.as_deref(), Some(r"😀\ud800"));
    }
}

#[test]
fn what_is_not_json_is_kept_beside_the_reason() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    for (payload, reason) in [
        ("   ", "nothing but whitespace at byte 3"),
        ("hello\n\"world\" \\ \u{1}\u{7f} ä", "unexpected character at byte 0"),
        ("\0\0", "unexpected character at byte 0"),
        ("[\"a\",\"cut of", "unexpected end of input at byte 12"),
        ("{\"a\" \"b\"", "unexpected character at byte 5"),
        ("{} {}", "trailing characters at byte 3"),
        (&deep, "more than 128 levels at byte 128"),
    ] {
        let (line, written) = fields_and(&received(payload.as_bytes()));
        assert_eq!(line["payload_text"], payload);
        assert_eq!(line["parse_error"], reason);
        assert_eq!(written.not_json.unwrap().to_string(), reason);
        assert_eq!((line.get("payload"), line.get("payload_base64")), (None, None));
    }
}

#[test]
fn text_of_gits_hooks_never_claimed_to_be_json() {
    for (payload, member, kept) in [
        (&b"refs/heads/main 1234 refs/heads/main 5678\n"[..], "payload_text", None),
        (b"refs/heads/\xe4", "payload_base64", Some(BASE64.encode(b"refs/heads/\xe4"))),
    ] {
        let mut record = received(payload);
        (record.agent, record.event) = (Some("git"), Some("pre-push"));
        let (line, written) = fields_and(&record);
        let kept = kept.unwrap_or_else(|| text(payload).to_owned());
        assert_eq!((&line[member], written), (&Json::from(kept), Written::default()));
        assert_eq!((line.get("parse_error"), line.get("payload")), (None, None));
        assert_eq!((&line["event_type"], &line["event"]), (&json!("git.push"), &json!("pre-push")));
    }
    let mut json = received(b"{\"type\":\"E\"}");
    json.agent = Some("git");
    assert_eq!(fields(&json)["payload"]["type"], "E", "whoever hands over JSON has it as JSON");
}

#[test]
fn what_is_not_utf8_is_kept_as_base64() {
    for payload in [&b"\xff"[..], b"[\"a\",\"\xff\"]", b"\xed\xa0\x80", b"ab\xc3", b"a\0\xfe"] {
        let line = line_of(payload);
        let bytes = BASE64.decode(line["payload_base64"].as_str().unwrap()).unwrap();
        assert_eq!(bytes, payload);
        assert!(line["parse_error"].as_str().unwrap().starts_with("invalid UTF-8 at byte "));
        assert_eq!((line.get("payload"), line.get("payload_text")), (None, None));
    }
    let mut latin1 = received(b"{}");
    latin1.directory = Some(b"/tmp/\xe4");
    latin1.arguments = &[b"plain", b"\xe4"];
    let line = fields(&latin1);
    assert_eq!(line["working_directory_base64"], BASE64.encode(b"/tmp/\xe4"));
    assert_eq!(line["arguments_base64"], json!([BASE64.encode("plain"), BASE64.encode(b"\xe4")]));
    assert_eq!((line.get("working_directory"), line.get("arguments")), (None, None));
}

#[test]
fn a_large_payload_is_whole() {
    // Long texts are cut; these are many.
    let texts = vec![format!("\"{}\"", "ä\\n".repeat(500)); 2000].join(", ");
    let payload = format!("{{\"cwd\":\"/d\", \"a\":[{texts}]}}");
    let mut out = Vec::new();
    let written = pipeline().write(&received(payload.as_bytes()), &mut out);
    assert_eq!(written, Written::default());
    let expected = payload.replace("\", \"", "\",\"");
    assert!(out.ends_with(format!(",\"payload\":{expected}").as_bytes()));
    let start = String::from_utf8_lossy(&out[..300]);
    assert!(start.contains(",\"working_directory\":\"/d\""), "{start}");
}

/// Whether the event says that its payload was no JSON until something was done to it.
fn is_mended(line: &Json) -> bool {
    let warnings = line["normalise_warnings"].as_array();
    let mut warnings = warnings.into_iter().flatten().filter_map(Json::as_str);
    warnings.any(|warning| warning.starts_with("the payload was mended: "))
}

#[test]
fn a_wrong_byte_hides_nothing_of_what_an_agent_does() {
    let whole = r#"{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"rm -rf /"}}"#;
    let deep = ["[".repeat(300), "]".repeat(300)].join("7");
    let with = |old: &str, new: &[u8]| {
        let (before, behind) = whole.split_once(old).expect("it is there");
        [before.as_bytes(), new, behind.as_bytes()].concat()
    };
    for (payload, what) in [
        (with("-rf /", b"-rf / \xff"), "U+FFFD (1)"),
        (with("-rf /", b"-rf /\n\x01"), "escaped (2)"),
        (with("{\"session", b"\xef\xbb\xbf{\"session"), "a byte order mark was left out (1)"),
        (with("\"}}", b"\",},}"), "commas with nothing behind them were left out (2)"),
        (with("{\"comm", format!("{{\"a\":{deep},\"comm").as_bytes()), "became strings (1)"),
        (with("\"}}", b""), "its end is missing and was closed (1)"),
        (with("\"}}", b"\",\"a\":NaN}}"), "words without quotes became strings (1)"),
        (with("\"}}", b" \\x\"}}\0"), "backslashes that begin no escape were doubled (1)"),
    ] {
        let (line, written) = fields_and(&received(&payload));
        let members = ["event_type", "session_id", "tool_name", "security_risk"];
        let expected = ["tool.pre", "s", "Bash", "critical"];
        assert_eq!(members.map(|name| &line[name]), expected, "{line}");
        assert!(is_mended(&line) && line["payload"].is_object(), "{line}");
        let mut warnings = line["normalise_warnings"].as_array().into_iter().flatten();
        assert!(warnings.any(|it| it.as_str().unwrap().ends_with(what)), "{line}");
        assert_eq!((written.not_json, line.get("parse_error")), (None, None));
    }
    // Nothing of what follows gets lost, so that all of it is a text.
    let followed = with("\"}}", b"\"}} more");
    let (line, written) = fields_and(&received(&followed));
    assert_eq!(
        (&line["event_type"], &line["security_risk"]),
        (&json!("tool.pre"), &json!("critical"))
    );
    assert_eq!((line["payload_text"].as_str(), line.get("payload")), (Some(text(&followed)), None));
    assert!(written.not_json.is_some() && !is_mended(&line), "{line}");
}

#[test]
fn what_is_too_deep_is_text_in_the_payload() {
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let (line, written) = line_and(&mut pipeline(), &received(nested(10_000).as_bytes()));
    let text = Json::from(nested(9_900)).to_string();
    let expected = nested(100).replacen('1', &text, 1);
    assert!(line.ends_with(&format!(",\"payload\":{expected}}}")), "{line}");
    assert_eq!(written, Written { warnings: 1, ..Written::default() });
}

#[test]
fn secrets_in_what_was_mended_are_taken_out_and_counted_once() {
    let secret = ["ghp", "_", "Zq3Rt8Yw1Lk6Np4Vx9Bc2Hd7Jf5Gm0Sa1Tx2"].concat();
    let levels = ["[".repeat(200), "]".repeat(200)];
    for payload in [
        format!(r#"{{"a":"{secret}","b":"cut"#),
        format!(r#"{{"a":"{secret}"}} more"#),
        format!("{{\"a\":\"x\u{1}{secret}\"}}"),
        format!("{{\"a\":{}\"{secret}\"{}}}", levels[0], levels[1]),
        format!("{{\"tool_input\":{}}}", json!(format!("{{\"command\":\"echo {secret}"))),
    ] {
        let (line, written) = line_and(&mut pipeline(), &received(payload.as_bytes()));
        assert!(!line.contains(&secret), "{line}");
        assert_eq!(written.redacted.secrets(), 1, "{line}");
    }
}

#[test]
fn a_tools_input_that_is_almost_json_in_a_string_is_mended_too() {
    let payload = json!({
        "hook_event_name": "preToolUse", "conversation_id": "c", "tool_name": "Shell",
        "tool_input": "{\"command\":\"rm -rf /\n\",}",
    });
    let line = line_of(payload.to_string().as_bytes());
    assert_eq!(
        (&line["command"], &line["security_risk"]),
        (&json!("rm -rf /\n"), &json!("critical"))
    );
    let warnings = [
        "tool_parameters was mended: control characters in strings were escaped (1)",
        "tool_parameters was mended: commas with nothing behind them were left out (1)",
    ];
    assert_eq!(line["normalise_warnings"], json!(warnings));
    assert_eq!(line["payload"], payload);
}

/// Names of agents, most of them known.
fn agent() -> impl Strategy<Value = Option<String>> {
    let known: Vec<_> = agents::AGENTS.iter().map(|agent| agent.name.to_owned()).collect();
    prop_oneof![prop::sample::select(known).prop_map(Some), any::<Option<String>>()]
}

proptest! {
    #[test]
    fn any_bytes_become_one_event_that_gives_them_back(
        payload in prop::collection::vec(any::<u8>(), 0..100),
        agent in agent(), event: Option<String>, directory: Option<Vec<u8>>,
        arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..4),
    ) {
        let mut record = received(&payload);
        (record.agent, record.event) = (agent.as_deref(), event.as_deref());
        record.directory = directory.as_deref();
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        record.arguments = &arguments;
        let (line, written) = fields_and(&record);
        if let Some(text) = line["payload_text"].as_str() {
            prop_assert_eq!(text.as_bytes(), &payload);
        } else if let Some(text) = line["payload_base64"].as_str() {
            prop_assert_eq!(BASE64.decode(text).unwrap(), payload);
        } else if payload.is_empty() {
            prop_assert_eq!(line.get("payload"), None);
        } else if is_mended(&line) {
            let is_object = payload.contains(&b'{');
            prop_assert!(is_object);
        } else {
            prop_assert_eq!(&line["payload"], &serde_json::from_slice::<Json>(&payload).unwrap());
        }
        prop_assert_eq!(written.not_json.is_some(), line.get("parse_error").is_some());
        prop_assert_eq!(line["event"].as_str(), event.as_deref());
        let named = agent.as_deref().filter(|name| !name.is_empty());
        prop_assert_eq!(line["source"]["agent"].as_str(), named);
    }
}

/// The payloads of the recorded session, and those that real agents wrote if that folder is beside the
/// project: one pipeline gets them all, as a daemon does.
#[test]
fn real_payloads_keep_every_token() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/payloads");
    let session = concat!(env!("CARGO_MANIFEST_DIR"), "/../daemon/demo/session.jsonl");
    let mut files = vec![std::path::PathBuf::from(session)];
    if let Ok(entries) = std::fs::read_dir(beside) {
        files.extend(entries.map(|entry| entry.unwrap().path()));
        files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    }
    let mut pipeline = pipeline();
    let (mut count, mut duplicates, mut marked) = (0, 0, 0);
    for file in files {
        let content = std::fs::read(&file).unwrap();
        for payload in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let id = u128::from(count + 1_u32).to_be_bytes();
            let (line, written) = line_and(&mut pipeline, &Received { id, ..received(payload) });
            let line: Fields<'_> = serde_json::from_str(&line).unwrap();
            match (line.payload, line.payload_text) {
                (Some(kept), None) if kept.get() == tokens(text(payload)) => {}
                (Some(kept), None) => {
                    assert!(line.redactions.is_some() || line.cut_bytes.is_some());
                    let was = serde_json::from_slice(payload).unwrap();
                    assert!(is_like(&serde_json::from_str(kept.get()).unwrap(), &was));
                    marked += 1;
                }
                (None, Some(kept)) => assert_eq!(kept.as_bytes(), payload),
                _ => panic!("{}: neither or both", file.display()),
            }
            assert_eq!(written.not_json.is_some(), line.parse_error.is_some());
            duplicates += u32::from(written.is_duplicate);
            count += 1;
        }
    }
    assert!(count > 0);
    eprintln!("{count} payloads, {duplicates} of them duplicates, {marked} not whole");
}

/// Whether a value is what it was, but for texts that say what is missing in them.
fn is_like(kept: &Json, was: &Json) -> bool {
    let is_marked = |text: &str| text.contains("[redacted:") || text.contains("[cut: ");
    match (kept, was) {
        (Json::Object(kept), Json::Object(was)) => {
            let is_there = |(key, was): (&String, &Json)| match kept.get(key) {
                Some(kept) => is_like(kept, was),
                // A key that held a secret.
                None => kept.keys().any(|key| is_marked(key)),
            };
            kept.len() == was.len() && was.iter().all(is_there)
        }
        (Json::Array(kept), Json::Array(was)) => {
            kept.len() == was.len() && kept.iter().zip(was).all(|(kept, was)| is_like(kept, was))
        }
        (Json::String(kept), was) if is_marked(kept) => was != kept,
        (kept, was) => kept == was,
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A JSON text without the whitespace outside of its strings.
fn tokens(text: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let kept = text.chars().filter(|&character| {
        let keep = inside || !" \t\r\n".contains(character);
        if character == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && character == '\\' && !escaped;
        keep
    });
    kept.collect()
}

#[test]
fn a_patch_of_several_files_has_all_that_it_wrote() {
    let patch = |names: &[&str]| {
        let files = names.iter().map(|name| format!("*** Update File: {name}\n"));
        json!({"command": format!("*** Begin Patch\n{}*** End Patch", files.collect::<String>())})
    };
    let files = |event: &str, input: Json, code: u32| {
        let payload = json!({"session_id": "s", "hook_event_name": event, "tool_name": "apply_patch",
            "tool_use_id": "t", "tool_input": input, "tool_response": {"metadata": {"exit_code": code}}});
        let payload = payload.to_string();
        let (line, _) =
            fields_and(&Received { agent: Some("codex"), ..received(payload.as_bytes()) });
        (line["file_path"].clone(), line.get("files_modified").cloned())
    };
    let (one, two) = (patch(&["b"]), patch(&["b", "/a"]));
    assert_eq!(files("PostToolUse", two.clone(), 0), (json!("b"), Some(json!(["b", "/a"]))));
    assert_eq!(files("PostToolUse", one, 0), (json!("b"), None));
    assert_eq!(files("PostToolUse", two.clone(), 1), (json!("b"), None), "it failed");
    assert_eq!(files("PreToolUse", two, 0), (json!("b"), None), "it is yet to be made");
}
