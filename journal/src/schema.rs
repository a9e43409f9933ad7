//! What the types cannot say of the JSON Schema: no member is `null`, words may come, the shape has one version, and
//! not every output has the members of the journal.

use serde_json::{Value, json};

use crate::event::EVENT_VERSION;

/// Members that the journal writes, and that not every output has.
const OF_THE_JOURNAL: &[&str] = &["crc", "seq", "from"];

/// Makes the schema that was derived from the types fit what is written, and what may be written later in the
/// same version.
pub(crate) fn fit(schema: &mut Value) {
    loosen(schema);
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !OF_THE_JOURNAL.iter().any(|own| name == own));
    }
    let version = &mut schema["properties"]["version"];
    let description = version["description"].take();
    *version = json!({"const": EVENT_VERSION, "description": description, "type": "integer"});
}

fn loosen(schema: &mut Value) {
    match schema {
        Value::Object(_) => {
            forbid_null(schema);
            open_words(schema);
            let members = schema.as_object_mut().into_iter().flatten();
            members.for_each(|(_, inner)| loosen(inner));
        }
        Value::Array(all) => all.iter_mut().for_each(loosen),
        _ => {}
    }
}

/// What an `Option` may hold it holds if it is there: a member without a value is left out.
fn forbid_null(schema: &mut Value) {
    let list = |schema: &Value, keyword: &str| schema.get(keyword)?.as_array().cloned();
    if let Some(mut types) = list(schema, "type") {
        types.retain(|name| name != "null");
        schema["type"] = if let [only] = &types[..] { only.clone() } else { types.into() };
    }
    let Some(mut choices) = list(schema, "anyOf") else { return };
    choices.retain(|choice| choice["type"] != "null");
    let Some(members) = schema.as_object_mut() else { return };
    if let [Value::Object(only)] = &choices[..] {
        members.remove("anyOf");
        members.extend(only.clone());
    } else {
        members.insert("anyOf".to_owned(), choices.into());
    }
}

/// Those that are known become examples, each with its meaning in the description: a list of `const`s would refuse
/// a word that comes later.
fn open_words(schema: &mut Value) {
    let Some(words) = schema["oneOf"].as_array().cloned() else { return };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line =
        |word: &Value| format!("- `{}`: {}", text(&word["const"]), text(&word["description"]));
    let lines: Vec<_> = words.iter().map(line).collect();
    let about = text(&schema["description"]);
    let names: Vec<_> = words.iter().map(|word| word["const"].clone()).collect();
    *schema = json!({
        "description": format!("{about}\n\nMore words may come; so far:\n\n{}", lines.join("\n")),
        "examples": names,
        "type": "string",
    });
}
