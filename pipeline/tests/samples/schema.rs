//! As much of JSON Schema as `docs/event.schema.json` uses; another keyword in it is a panic.

use std::sync::OnceLock;

use serde_json::Value;

/// Checks an event against the schema.
///
/// # Panics
/// If it is not valid.
pub(crate) fn assert_valid(event: &Value) {
    if let Err(fault) = validate(event) {
        panic!("{fault}: {event}");
    }
}

/// What is wrong with an event by the schema.
pub(crate) fn validate(event: &Value) -> Result<(), String> {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let text = include_str!("../../../docs/event.schema.json");
        serde_json::from_str(text).expect("the schema")
    });
    check(schema, schema, event, "event")
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return if *schema == true { Ok(()) } else { Err(format!("{at}: nothing is allowed")) };
    };
    for (keyword, what) in keywords {
        match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" | "format" | "default" | "examples" => {}
            "$ref" => {
                let pointer = what.as_str().expect("a pointer").trim_start_matches('#');
                check(root, root.pointer(pointer).expect("a definition"), value, at)?;
            }
            "type" => is_of_type(what, value).then_some(()).ok_or(format!("{at} is no {what}"))?,
            "const" => (what == value).then_some(()).ok_or(format!("{at} is not {what}"))?,
            "enum" => {
                let is_one = what.as_array().expect("values").contains(value);
                is_one.then_some(()).ok_or(format!("{at} is none of {what}"))?;
            }
            "minimum" => {
                let is_less =
                    value.as_f64().zip(what.as_f64()).is_some_and(|(is, least)| is < least);
                (!is_less).then_some(()).ok_or(format!("{at} is below {what}"))?;
            }
            "anyOf" | "oneOf" => {
                let all = what.as_array().expect("schemas").iter();
                let fitting = all.filter(|one| check(root, one, value, at).is_ok()).count();
                let is_right = if keyword == "oneOf" { fitting == 1 } else { fitting > 0 };
                is_right.then_some(()).ok_or(format!("{at} fits {fitting} of {keyword}"))?;
            }
            "allOf" => {
                for one in what.as_array().expect("schemas") {
                    check(root, one, value, at)?;
                }
            }
            "if" => {
                if check(root, what, value, at).is_ok() {
                    check(root, keywords.get("then").expect("what follows"), value, at)?;
                }
            }
            // With its `if`.
            "then" => {}
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, what, item, &format!("{at}[{n}]"))?;
                }
            }
            "required" => {
                for name in what.as_array().expect("names").iter().filter_map(Value::as_str) {
                    let is_there = value.as_object().is_none_or(|object| object.contains_key(name));
                    is_there.then_some(()).ok_or(format!("{at}.{name} is missing"))?;
                }
            }
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = what.get(name) {
                        check(root, schema, member, &format!("{at}.{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                let known = keywords.get("properties");
                for (name, member) in value.as_object().into_iter().flatten() {
                    if known.and_then(|known| known.get(name)).is_none() {
                        check(root, what, member, &format!("{at}.{name}"))?;
                    }
                }
            }
            other => panic!("the schema uses {other}, which this test does not know"),
        }
    }
    Ok(())
}

fn is_of_type(types: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the schema has the type {other}"),
    };
    match types {
        Value::Array(types) => types.iter().filter_map(Value::as_str).any(is),
        one => one.as_str().is_some_and(is),
    }
}

/// No member stands in an event that the schema does not name.
pub(crate) fn unknown_members(event: &Value) -> Vec<String> {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/event.schema.json")).expect("the schema");
    let names = event.as_object().expect("an object").keys();
    names.filter(|name| schema["properties"].get(name).is_none()).cloned().collect()
}
