//! Redaction over a corpus: made-up secrets in realistic payloads, and payloads without any.

use std::collections::BTreeMap;

use hookring_pipeline::document::Document;
use hookring_pipeline::redact::{Options, Redacted, Redactor};
use hookring_pipeline::{Pipeline, Received};
use proptest::prelude::*;
use serde_json::Value;

mod chance;
mod clean;
mod decoded;
mod hiding;
mod leaks;
mod shapes;

use chance::Chance;

const SEED: u64 = 20_261_126;

fn redactor() -> Redactor {
    let options = Options {
        key: [3; 32],
        environment: vec![("HOOKRING_TEST_TOKEN".to_owned(), "zq8#Kw/51 bx".to_owned())],
        extra_keys: vec!["pin".to_owned()],
        patterns: vec![],
        disabled: vec![],
        max_text_bytes: 1 << 20,
    };
    Redactor::new(options).unwrap()
}

fn redact(redactor: &mut Redactor, line: &str) -> (String, Redacted) {
    let mut document = Document::default();
    document.parse(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
    let redacted = redactor.redact(&mut document);
    let mut out = Vec::new();
    document.root().unwrap().write_to(&mut out);
    (String::from_utf8(out).unwrap(), redacted)
}

/// A secret in a payload.
struct Hidden {
    what: String,
    secret: String,
    line: String,
}

/// Splits a filled template into the whole text and the secret in it.
fn text_and_secret(filled: &str) -> (String, String) {
    let secret = filled.split_once('«').and_then(|(_, rest)| rest.split_once('»'));
    let secret = secret.map_or(filled, |(secret, _)| secret).trim();
    (filled.replace(['«', '»'], ""), secret.to_owned())
}

fn hide(template: &str, wrapping: &str, chance: &mut Chance) -> Hidden {
    let (text, secret) = text_and_secret(&chance.fill(template));
    let value = hiding::wrap(wrapping, &text, chance);
    let payload = hiding::payload(value, chance);
    let line = hiding::line(wrapping, &payload, &secret);
    Hidden { what: format!("{template} ({wrapping})"), secret, line }
}

fn hide_named(name: &str, template: &str, depth: usize, chance: &mut Chance) -> Hidden {
    let secret = chance.fill(template);
    let value = match depth % 3 {
        0 => serde_json::json!({name: secret, "user": "bob"}),
        1 => serde_json::json!({"headers": [{name: [secret]}]}),
        _ => Value::from(serde_json::json!({"config": {name: {"value": secret}}}).to_string()),
    };
    let line = hiding::payload(value, chance).to_string();
    Hidden { what: format!("{name}: {template}"), secret, line }
}

fn corpus() -> Vec<Hidden> {
    let mut chance = Chance(SEED);
    let mut corpus = Vec::new();
    let templates = shapes::TOKENS.iter().chain(shapes::IN_CONTEXT).chain(shapes::BEHIND_USER_KEY);
    for (at, template) in templates.enumerate() {
        // So that each shape meets some wrappings, and each wrapping many shapes.
        for step in 0..4 {
            let wrapping = hiding::WRAPPINGS[(at * 5 + step * 7) % hiding::WRAPPINGS.len()];
            corpus.push(hide(template, wrapping, &mut chance));
        }
    }
    for (at, (name, template)) in shapes::NAMED.iter().enumerate() {
        corpus.extend((0..3).map(|step| hide_named(name, template, at + step, &mut chance)));
    }
    corpus
}

#[test]
fn secrets_of_the_corpus_are_removed() {
    let mut redactor = redactor();
    let corpus = corpus();
    let mut missed = Vec::new();
    let mut by_rule = BTreeMap::<String, u64>::new();
    for hidden in &corpus {
        assert!(
            leaks::leaks(&hidden.line, &hidden.secret),
            "not planted: {} in {}",
            hidden.what,
            hidden.line
        );
        let (out, redacted) = redact(&mut redactor, &hidden.line);
        serde_json::from_str::<Value>(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
        for (rule, times) in redacted.rules() {
            *by_rule.entry(rule.to_owned()).or_default() += times;
        }
        if leaks::leaks(&out, &hidden.secret) {
            missed.push((hidden, out));
        }
    }
    for (hidden, out) in &missed {
        println!("missed: {}\n  in  {}\n  out {out}", hidden.what, hidden.line);
    }
    let removed = corpus.len() - missed.len();
    let recall = removed as f64 / corpus.len() as f64;
    println!("seed {SEED}: {removed} of {} secrets removed: {:.2} %", corpus.len(), recall * 100.0);
    println!("{} rules found something: {by_rule:?}", by_rule.len());
    assert!(corpus.len() >= 300);
    assert!(recall >= 0.99, "{recall}");
}

#[test]
fn what_is_no_secret_stays() {
    let mut lines = clean::payloads(&mut Chance(SEED));
    let own = lines.len();
    match clean::recorded() {
        Some(recorded) => lines.extend(recorded),
        None => println!("left out: the recorded payloads, since ../shared/payloads is not there"),
    }
    let mut redactor = redactor();
    let (mut strings, mut wrong_strings, mut wrong_lines) = (0, 0, 0);
    for line in &lines {
        let (out, redacted) = redact(&mut redactor, line);
        let (before, after) = (clean::strings(line), clean::strings(&out));
        let wrong = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        strings += before.len();
        wrong_strings += wrong;
        wrong_lines += usize::from(wrong > 0);
        if wrong > 0 {
            let pairs = before.iter().zip(&after).filter(|(before, after)| before != after);
            let around: Vec<_> =
                pairs.map(|(before, after)| clean::difference(before, after)).collect();
            println!(
                "false hit: {:?}\n  {}",
                redacted.rules().collect::<Vec<_>>(),
                around.join("\n  ")
            );
        }
    }
    let share = |part: usize, all: usize| part as f64 / all as f64;
    println!(
        "{} payloads ({own} of our own), {wrong_lines} with a false hit: {:.2} %; {strings} strings, {wrong_strings}: {:.3} %",
        lines.len(),
        share(wrong_lines, lines.len()) * 100.0,
        share(wrong_strings, strings) * 100.0,
    );
    assert!(own >= 100);
    assert!(share(wrong_lines, lines.len()) <= 0.01);
    assert!(share(wrong_strings, strings) <= 0.01);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_planted_secret_can_be_found_again(seed: u64, shape: prop::sample::Index, wrapping: prop::sample::Index) {
        thread_local!(static REDACTOR: std::cell::RefCell<Redactor> = std::cell::RefCell::new(redactor()));
        let template = shapes::TOKENS[shape.index(shapes::TOKENS.len())];
        let wrapping = hiding::WRAPPINGS[wrapping.index(hiding::WRAPPINGS.len())];
        let hidden = hide(template, wrapping, &mut Chance(seed));
        let (out, _) = REDACTOR.with_borrow_mut(|redactor| redact(redactor, &hidden.line));
        prop_assert!(!leaks::leaks(&out, &hidden.secret), "{}: {} gave {out}", hidden.what, hidden.line);
        let (again, redacted) = REDACTOR.with_borrow_mut(|redactor| redact(redactor, &out));
        prop_assert_eq!(again, out);
        prop_assert!(redacted.is_empty());
    }

    /// All of it: the members that are made of a payload, what the command line said, and payloads that are no JSON.
    #[test]
    fn no_planted_secret_is_in_an_event(seed: u64, kind in 0_usize..5) {
        let mut chance = Chance(seed);
        let hidden = anything(kind, &mut chance);
        let template = chance.pick(shapes::TOKENS);
        let token = chance.fill(template);
        let argument = format!("--token={token}");
        let (line, payload) = event(&hidden.line, &[argument.as_bytes()]);
        prop_assert!(!leaks::leaks(&line, &hidden.secret), "{}: {} gave {line}", hidden.what, hidden.line);
        prop_assert!(!leaks::leaks(&line, &token), "{argument} gave {line}");
        let (again, payload_again) = event(&payload, &[]);
        prop_assert_eq!(payload, payload_again, "{}", again);
    }
}

/// `HOOKRING_TEST_LONG=1` tries many more. Proptest prints the case that fails.
fn cases() -> u32 {
    let is_long = std::env::var_os("HOOKRING_TEST_LONG").is_some_and(|value| value == "1");
    if is_long { 20_000 } else { 400 }
}

/// A secret that is known by its shape, by what is around it, or by a name, in JSON and not.
fn anything(kind: usize, chance: &mut Chance) -> Hidden {
    let wrapping = hiding::WRAPPINGS[chance.below(hiding::WRAPPINGS.len())];
    match kind {
        0 | 1 => hide(shapes::TOKENS[chance.below(shapes::TOKENS.len())], wrapping, chance),
        2 => {
            let plain = ["whole", "json", "shell", "heredoc", "log", "json lines"];
            let template = chance.pick(&shapes::always_found());
            hide(template, plain[chance.below(plain.len())], chance)
        }
        3 => {
            let (name, secret) = shapes::named(chance);
            hide_named(name, &secret, chance.below(9), chance)
        }
        _ => {
            let template = chance.pick(shapes::TOKENS);
            let secret = chance.fill(template);
            let line = ["remember {} for me", "{\"a\":\"{}\"", "curl 'https://a.test/?k={}' # x"];
            let line = line[chance.below(line.len())].replace("{}", &secret);
            Hidden { what: "no JSON".to_owned(), secret, line }
        }
    }
}

/// The line of the event that a payload becomes, and the payload in it.
fn event(payload: &str, arguments: &[&[u8]]) -> (String, String) {
    thread_local!(static PIPELINE: std::cell::RefCell<Pipeline> =
        std::cell::RefCell::new(Pipeline::new(hookring_pipeline::Options::plain())));
    let received = Received {
        id: [1; 16],
        timestamp_ns: 1,
        monotonic_ns: None,
        agent: None,
        event: None,
        directory: None,
        pid: 1,
        elapsed_us: 1,
        arguments,
        truncated: false,
        payload: payload.as_bytes(),
    };
    let mut members = Vec::new();
    PIPELINE.with_borrow_mut(|pipeline| {
        pipeline.forget();
        pipeline.write(&received, &mut members);
    });
    let members = String::from_utf8(members).expect("UTF-8");
    let line = format!("{{\"version\":2{members}}}");
    let line_as_json: Value =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let payload = match &line_as_json["payload_text"] {
        Value::String(text) => text.clone(),
        _ => members.rsplit_once(",\"payload\":").expect("a payload").1.to_owned(),
    };
    (line, payload)
}

#[test]
fn a_keyword_with_a_quote_is_found_as_deep_as_layers_are_looked_into() {
    let mut redactor = redactor();
    let secret = "+NiSnw/EX65p0RbH/jmmmPFvAIIstHiwfQCrp0qV7=";
    for text in [format!("\"auth\": \"{secret}\""), "use zq8#Kw/51 bx".replace("bx", "bx \\ \"")] {
        let mut line = serde_json::json!({ "note": text }).to_string();
        for layer in 0..5 {
            let (out, redacted) = redact(&mut redactor, &line);
            assert!(!redacted.is_empty(), "{layer} layers: {line}");
            assert!(!leaks::leaks(&out, secret) && !leaks::leaks(&out, "zq8#Kw/51"), "{out}");
            line = serde_json::json!({ "layer": line }).to_string();
        }
    }
}
