//! What is planted: payloads of agents and what a hook is told beside them, with a secret somewhere.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::{hiding, shapes};

/// Variables of the daemon that are named like secrets.
pub(crate) const VARIABLES: &[&str] =
    &["HOOKRING_TEST_API_KEY", "ACME_PASSWORD", "SHOP_DSN", "DEPLOY_TOKEN_2"];

/// The daemon's configuration has a pattern for these.
pub(crate) const PATTERN: &str = "TICKET-(?P<secret>[0-9A-F]{12})";

/// How many [`harmless`] makes.
pub(crate) const HARMLESS: usize = 5;

/// One hook, with a secret in what it is given.
#[derive(Clone, Default)]
pub(crate) struct Plant {
    pub(crate) what: String,
    pub(crate) secret: String,
    pub(crate) agent: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) arguments: Vec<String>,
    /// The name of the folder that the hook runs in.
    pub(crate) folder: Option<String>,
    /// The daemon's variable that has it.
    pub(crate) variable: Option<&'static str>,
    pub(crate) payload: Vec<u8>,
}

impl fmt::Debug for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = &self.payload[..self.payload.len().min(1000)];
        write!(
            f,
            "{} {:?} ",
            self.what,
            (&self.agent, &self.event, &self.arguments, &self.folder)
        )?;
        write!(f, "{}", payload.escape_ascii())
    }
}

impl Plant {
    /// All that the hook is given.
    pub(crate) fn given(&self) -> Vec<&[u8]> {
        let names = [&self.agent, &self.event, &self.folder].into_iter().flatten();
        let texts = names.chain(&self.arguments).map(String::as_bytes);
        texts.chain([self.payload.as_slice()]).collect()
    }
}

/// So many of each kind in turn.
pub(crate) fn plants(chance: &mut Chance, count: usize) -> Vec<Plant> {
    let kinds = [
        by_shape,
        by_shape,
        in_context,
        by_name,
        not_json,
        in_argument,
        in_name,
        in_folder,
        by_pattern,
        in_layers,
        large,
    ];
    // Of no shape that a rule knows, and with some that JSON escapes.
    let values: Vec<_> =
        VARIABLES.iter().map(|_| chance.fill("zq{d2}\"{a3}\\{w9} {d3}\t{a4}")).collect();
    let plant = |at: usize| match kinds.get(at % (kinds.len() + 1)) {
        Some(kind) => kind(chance, at / (kinds.len() + 1)),
        None => in_environment(chance, at / (kinds.len() + 1), &values),
    };
    (0..count).map(plant).collect()
}

fn token(chance: &mut Chance) -> String {
    let template = chance.pick(shapes::TOKENS);
    chance.fill(template)
}

/// A token that can be a part of a file's name.
fn short_token(chance: &mut Chance) -> String {
    loop {
        let token = token(chance);
        if token.len() < 120
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return token;
        }
    }
}

/// The text around a secret, and the secret.
fn filled(template: &str, chance: &mut Chance) -> (String, String) {
    let filled = chance.fill(template);
    let secret = filled.split_once('«').and_then(|(_, rest)| rest.split_once('»'));
    let secret = secret.map_or(filled.as_str(), |(secret, _)| secret).trim().to_owned();
    (filled.replace(['«', '»'], ""), secret)
}

fn wrapped(template: &str, wrapping: &str, chance: &mut Chance) -> Plant {
    let (text, secret) = filled(template, chance);
    let value = hiding::wrap(wrapping, &text, chance);
    let payload = hiding::payload(value, chance);
    let line = hiding::line(wrapping, &payload, &secret);
    Plant {
        what: format!("{template} ({wrapping})"),
        secret,
        payload: line.into_bytes(),
        ..Plant::default()
    }
}

fn by_shape(chance: &mut Chance, _: usize) -> Plant {
    let template = chance.pick(shapes::TOKENS);
    let wrapping = chance.pick(hiding::WRAPPINGS);
    wrapped(template, wrapping, chance)
}

fn in_context(chance: &mut Chance, _: usize) -> Plant {
    let template = chance.pick(&shapes::always_found());
    let wrapping =
        chance.pick(&["whole", "json", "shell", "heredoc", "log", "json lines", "numbered lines"]);
    wrapped(template, wrapping, chance)
}

fn by_name(chance: &mut Chance, at: usize) -> Plant {
    let (name, secret) = shapes::named(chance);
    let mut value = json!({ name: secret, "user": "bob" });
    for level in 0..chance.below(8) {
        value = match level % 3 {
            0 => json!({ "config": value }),
            1 => json!([{ "n": level }, value]),
            _ => Value::from(value.to_string()),
        };
    }
    let payload = hiding::payload(value, chance).to_string().into_bytes();
    Plant { what: format!("{name} {at}"), secret, payload, ..Plant::default() }
}

fn not_json(chance: &mut Chance, at: usize) -> Plant {
    let secret = token(chance);
    let payload = match at % 5 {
        0 => format!("remember {secret} for me").into_bytes(),
        1 => format!(
            "{{\"hook_event_name\":\"PreToolUse\",\"tool_input\":{{\"command\":\"echo {secret}\""
        )
        .into_bytes(),
        2 => [b"\xff\xfe binary \xc3 ", secret.as_bytes(), b" \xe4\x00 end"].concat(),
        3 => format!("GET /x?key={secret} HTTP/1.1\r\nHost: a.test\r\n\r\n").into_bytes(),
        _ => format!("# {}\n", BASE64_STANDARD.encode(format!("export KEY={secret}; make all")))
            .into_bytes(),
    };
    Plant { what: format!("not JSON {at}"), secret, payload, ..Plant::default() }
}

fn in_argument(chance: &mut Chance, at: usize) -> Plant {
    let secret = token(chance);
    let argument = match at % 4 {
        0 => secret.clone(),
        1 => format!("--token={secret}"),
        2 => {
            json!({"type": "agent-turn-complete", "input-messages": [format!("use {secret} now")]})
                .to_string()
        }
        _ => format!("https://bob:{secret}@host.test/x"),
    };
    let arguments = vec!["first".to_owned(), argument];
    Plant {
        what: "argument".to_owned(),
        secret,
        arguments,
        payload: b"{}".to_vec(),
        ..Plant::default()
    }
}

fn in_name(chance: &mut Chance, at: usize) -> Plant {
    let secret = short_token(chance);
    let name = Some(secret.clone());
    let (agent, event) = if at.is_multiple_of(2) { (name, None) } else { (None, name) };
    Plant {
        what: "name".to_owned(),
        secret,
        agent,
        event,
        payload: b"{\"a\":1}".to_vec(),
        ..Plant::default()
    }
}

fn in_folder(chance: &mut Chance, _: usize) -> Plant {
    let secret = short_token(chance);
    let folder = Some(format!("work-{secret}"));
    Plant {
        what: "folder".to_owned(),
        secret,
        folder,
        payload: b"{\"b\":2}".to_vec(),
        ..Plant::default()
    }
}

fn in_environment(chance: &mut Chance, at: usize, values: &[String]) -> Plant {
    let variable = VARIABLES[at % VARIABLES.len()];
    let secret = values[at % VARIABLES.len()].clone();
    let wrapping = chance.pick(&["whole", "prose", "key", "json", "shell", "list", "log"]);
    let value = hiding::wrap(wrapping, &secret, chance);
    let payload = hiding::payload(value, chance).to_string().into_bytes();
    let what = format!("{variable} ({wrapping})");
    Plant { what, secret, payload, variable: Some(variable), ..Plant::default() }
}

fn by_pattern(chance: &mut Chance, _: usize) -> Plant {
    let secret = chance.fill("{U12}").replace(|letter: char| letter > 'F', "7");
    let text = format!("TICKET-{secret}");
    let wrapping = chance.pick(hiding::WRAPPINGS);
    let value = hiding::wrap(wrapping, &text, chance);
    let payload = hiding::payload(value, chance);
    let line = hiding::line(wrapping, &payload, &secret);
    Plant {
        what: format!("pattern ({wrapping})"),
        secret,
        payload: line.into_bytes(),
        ..Plant::default()
    }
}

/// Within a few layers of JSON, base64, percent and backslash escapes, in any order.
fn in_layers(chance: &mut Chance, _: usize) -> Plant {
    let secret = token(chance);
    let mut text = format!("run {secret} && make");
    let mut what = "layers".to_owned();
    for _ in 0..1 + chance.below(4) {
        let layer = chance.pick(&["json", "base64", "percent", "escape"]);
        what = format!("{what} {layer}");
        text = match layer {
            "json" => json!({"level": "info", "body": text}).to_string(),
            "base64" => format!("echo {} | base64 -d", BASE64_STANDARD.encode(&text)),
            "percent" => text.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            _ => {
                let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
                units.collect()
            }
        };
    }
    let payload = hiding::payload(Value::from(text), chance).to_string().into_bytes();
    Plant { what, secret, payload, ..Plant::default() }
}

/// Too large for a lane: it goes through the spool.
fn large(chance: &mut Chance, _: usize) -> Plant {
    let mut plant = by_shape(chance, 0);
    let padding = vec![json!(chance.fill("{a400} {a400}")); 250];
    let mut payload: Value = serde_json::from_slice(&plant.payload).expect("JSON");
    payload["padding"] = Value::from(padding);
    // An escape that only the line has is lost here.
    plant.payload = payload.to_string().into_bytes();
    plant.what = format!("large {}", plant.what);
    plant
}

/// What redaction leaves alone, hidden where it would have to be looked for.
pub(crate) fn harmless(chance: &mut Chance) -> Vec<Plant> {
    let mut word = || chance.fill("harmless{a12}");
    let plant = |secret: String, payload: Value| {
        let payload = payload.to_string().into_bytes();
        Plant { what: "harmless".to_owned(), secret, payload, ..Plant::default() }
    };
    let words: Vec<_> = (0..HARMLESS).map(|_| word()).collect();
    let escaped: String = words[1].bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let percent: String = words[3].bytes().map(|byte| format!("%{byte:02x}")).collect();
    vec![
        plant(words[0].clone(), json!({"note": words[0]})),
        plant(words[1].clone(), json!({"note": escaped})),
        plant(
            words[2].clone(),
            json!({"note": BASE64_STANDARD.encode(json!({"x": words[2]}).to_string())}),
        ),
        plant(words[3].clone(), json!({"note": percent})),
        Plant { arguments: vec![words[4].clone()], ..plant(words[4].clone(), json!({})) },
    ]
}
