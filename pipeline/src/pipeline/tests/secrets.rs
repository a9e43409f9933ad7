//! No secret is in an event, wherever it came from.

use super::*;

/// Options with a pattern of the user's.
fn with_pattern(pattern: redact::UserPattern) -> Options {
    let redactor = redact::Options {
        key: [0; 32],
        environment: Vec::new(),
        extra_keys: Vec::new(),
        patterns: vec![pattern],
        disabled: Vec::new(),
        max_text_bytes: 64 << 10,
    };
    Options { redactor: Redactor::new(redactor).unwrap(), ..Options::plain() }
}

#[test]
fn a_users_address_can_be_left_out() {
    let pattern = redact::UserPattern {
        name: "our-addresses".to_owned(),
        pattern: r"[\w.+-]+@example\.org".to_owned(),
        keywords: vec!["@example.org".to_owned()],
    };
    let mut pipeline = Pipeline::new(with_pattern(pattern));
    let payload =
        r#"{"hook_event_name":"stop","conversation_id":"c","user_email":"ada@example.org"}"#;
    let (line, _) = line_and(&mut pipeline, &received(payload.as_bytes()));
    assert!(!line.contains("ada@") && line.contains(r#""user_id":"[redacted:our-addr"#), "{line}");
}

#[test]
fn secrets_in_what_the_command_line_said_are_taken_out() {
    let secret = ["ghp", "_", "Zq3Rt8Yw1Lk6Np4Vx9Bc2Hd7Jf5Gm0Sa1Tx2"].concat();
    let (argument, directory) = (format!("--token={secret}"), format!("/tmp/{secret}"));
    let mut record = received(b"{}");
    (record.agent, record.event) = (Some(&*secret), Some(&*secret));
    record.directory = Some(directory.as_bytes());
    let arguments = [argument.as_bytes()];
    record.arguments = &arguments;
    let (line, written) = line_and(&mut pipeline(), &record);
    assert!(!line.contains(&secret), "{line}");
    assert_eq!(written.redacted.secrets(), 4, "{line}");
    let event: Json = serde_json::from_str(&line).unwrap();
    assert!(event["event_type"].as_str().unwrap().starts_with("[redacted:github-token:"));
}

/// What a shell puts together may be a secret, though no part of it was.
#[test]
fn no_secret_that_a_command_puts_together_is_shown() {
    let secret = format!("ghp_{}", "a1B2c3D4e5F6".repeat(3));
    let hex: String =
        format!("rm -rf / {secret}").bytes().map(|byte| format!("{byte:02x}")).collect();
    let reversed: String = format!("rm -rf / {secret}").chars().rev().collect();
    let (first, second) = secret.split_at(16);
    for command in [
        format!("echo {hex} | xxd -r -p | sh"),
        format!("echo '{reversed}' | rev | sh"),
        format!("A={first};eval \"rm -rf / ${{A}}{second}\""),
        format!("eval \"rm -rf / {first}\"'{second}'"),
        format!("printf 'rm -rf / \\147{}' | sh", &secret[1..]),
    ] {
        let payload = json!({"hook_event_name": "PreToolUse", "tool_name": "Bash",
            "tool_input": {"command": command}});
        let (line, written) = line_and(&mut pipeline(), &received(payload.to_string().as_bytes()));
        assert!(line.contains("destructive.rm-root"), "{line}");
        assert!(!line.contains(&secret), "{line}");
        assert!(written.redacted.secrets() > 0, "{line}");
    }
}

/// A directory that was clean may be none once the options are others.
#[test]
fn a_new_pattern_holds_for_the_directory_of_the_event_before() {
    let mut record = received(b"{}");
    record.directory = Some(b"/srv/TICKET-123456/x");
    let mut pipeline = pipeline();
    for _ in 0..2 {
        let (line, written) = line_and(&mut pipeline, &record);
        assert!(line.contains("TICKET-123456") && written.redacted.is_empty(), "{line}");
    }
    pipeline.set_options(with_pattern(redact::UserPattern {
        name: "ticket".to_owned(),
        pattern: "TICKET-[0-9]+".to_owned(),
        keywords: vec!["TICKET-".to_owned()],
    }));
    for _ in 0..2 {
        let (line, written) = line_and(&mut pipeline, &record);
        assert!(!line.contains("TICKET-123456"), "{line}");
        assert_eq!(written.redacted.secrets(), 1, "{line}");
    }
}

#[test]
fn arguments_that_hold_json_and_members_that_nobody_knows_are_left_out_with_the_content() {
    let keep = Keep { prompts: false, tool_output: true };
    let mut pipeline = Pipeline::new(Options { keep, ..Options::plain() });
    let payload = r#"{"hook_event_name":"Stop","session_id":"s","never_heard_of":["said"]}"#;
    let mut record = received(payload.as_bytes());
    let arguments: [&[u8]; 3] = [b"plain", br#"{"a":"said"}"#, b" \n{\"a\":\"said\"}"];
    record.arguments = &arguments;
    let (line, _) = line_and(&mut pipeline, &record);
    assert!(!line.contains("said") && line.contains("\"plain\""), "{line}");
    assert_eq!(line.matches("[not kept: ").count(), 3, "{line}");
}
