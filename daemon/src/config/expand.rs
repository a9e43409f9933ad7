//! Environment variables in a string of the configuration: `${VAR}`, `${VAR:-default}`,
//! `${VAR:?message}`, and `$$` for a dollar sign. `:-` and `:?` treat an empty variable as unset, as
//! the shell does.

use std::ops::Range;

/// What a string became.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// It contains an expression, so its text may be what nobody should see.
    pub(super) from_env: bool,
    /// What each variable gave, behind its name.
    pub(super) given: Vec<(String, String)>,
}

/// What is wrong with an expression, and where in the string.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExpandError {
    pub(super) range: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
}

/// Replaces every expression in `text`, or says what is wrong with each that cannot be.
pub(super) fn expand(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Expanded, Vec<ExpandError>> {
    let (given, buffer) = (Vec::new(), String::with_capacity(text.len()));
    let mut out = Expanded { text: buffer, from_env: false, given };
    let mut errors = Vec::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
        out.text.push_str(&text[at..dollar]);
        let rest = &text[dollar..];
        let (length, result) = if rest.starts_with("$$") {
            (2, Ok("$".to_owned()))
        } else if let Some(inner) = rest.strip_prefix("${") {
            out.from_env = true;
            match inner.find('}') {
                Some(end) => {
                    let value = expression(&inner[..end], env);
                    let name = name_of(inner).to_owned();
                    out.given.extend(value.iter().map(|value| (name.clone(), value.clone())));
                    (end + 3, value)
                }
                None => (rest.len(), Err(wrong("`${` without `}`", "close it: `${NAME}`"))),
            }
        } else {
            let name = name_of(&rest[1..]);
            (1 + name.len(), Err(lone_dollar(name)))
        };
        at = dollar + length;
        match result {
            Ok(value) => out.text.push_str(&value),
            Err((message, help)) => errors.push(ExpandError { range: dollar..at, message, help }),
        }
    }
    out.text.push_str(&text[at..]);
    if errors.is_empty() { Ok(out) } else { Err(errors) }
}

/// A message and a suggestion.
type Wrong = (String, String);

fn wrong(message: &str, help: &str) -> Wrong {
    (message.to_owned(), help.to_owned())
}

/// What stands between `${` and `}`.
fn expression(inner: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Wrong> {
    let name = name_of(inner);
    if name.is_empty() {
        return Err(wrong(
            "an environment variable's name is missing here",
            "a name has letters, digits and `_`, and does not begin with a digit: `${NAME}`",
        ));
    }
    let unset = |state: &str, because: &str| {
        let message = format!("the environment variable `{name}` is {state}{because}");
        Err((message, format!("set it, or give a default: `${{{name}:-default}}`")))
    };
    let operator = &inner[name.len()..];
    let value = env(name);
    let filled = value.clone().filter(|value| !value.is_empty());
    if operator.is_empty() {
        value.map_or_else(|| unset("not set", ""), Ok)
    } else if let Some(default) = operator.strip_prefix(":-") {
        let default = plain(default)?;
        Ok(filled.unwrap_or(default))
    } else if let Some(message) = operator.strip_prefix(":?") {
        let state = if value.is_some() { "empty" } else { "not set" };
        let because = if message.is_empty() { String::new() } else { format!(": {message}") };
        filled.map_or_else(|| unset(state, &because), Ok)
    } else {
        let help = format!("write `${{{name}}}`, `${{{name}:-default}}` or `${{{name}:?message}}`");
        Err((format!("unknown operator after `{name}`"), help))
    }
}

/// A default is taken as it is, but for `$$`; no expression may stand in it.
fn plain(default: &str) -> Result<String, Wrong> {
    let without_pairs = default.replace("$$", "");
    if without_pairs.contains('$') {
        return Err(wrong(
            "a default cannot contain an expression",
            "give the default as plain text; `$$` is a dollar sign",
        ));
    }
    Ok(default.replace("$$", "$"))
}

fn lone_dollar(name: &str) -> Wrong {
    let help = if name.is_empty() {
        "write `$$` for a dollar sign, `${NAME}` for a variable".to_owned()
    } else {
        format!("write `${{{name}}}` for the variable, `$${name}` for a dollar sign")
    };
    ("`$` without `{`".to_owned(), help)
}

/// The variable's name that `text` begins with; empty if it begins with none.
fn name_of(text: &str) -> &str {
    let end = text.find(|char: char| char != '_' && !char.is_ascii_alphanumeric());
    let name = &text[..end.unwrap_or(text.len())];
    if name.starts_with(|char: char| char.is_ascii_digit()) { "" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/ada".into()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOME}".into()),
            _ => None,
        }
    }

    #[test]
    fn expressions_become_their_values() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("${HOME}/x", "/home/ada/x"),
            ("${HOME}${HOME}", "/home/ada/home/ada"),
            ("$$HOME $${HOME}", "$HOME ${HOME}"),
            ("[${EMPTY}]", "[]"),
            ("${NESTED}", "${HOME}"),
            ("${NONE:-d}${EMPTY:-e}${HOME:-f}", "de/home/ada"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b ü $$5}", "a:-b ü $5"),
            ("${HOME:?must be set}", "/home/ada"),
        ] {
            assert_eq!(expand(text, &env).unwrap().text, expected, "{text}");
        }
        assert!(!expand("$$", &env).unwrap().from_env);
        assert!(expand("${NONE:-x}", &env).unwrap().from_env);
    }

    #[test]
    fn every_error_of_a_string_is_found_at_its_place() {
        let text = "ü${NONE} $HOME ${1X} ${HOME-x} ${E:?say why} ${HOME:-$x} $ ${open";
        let found: Vec<_> = expand(text, &env)
            .unwrap_err()
            .into_iter()
            .map(|error| format!("{}: {}; {}", &text[error.range], error.message, error.help))
            .collect();
        insta::assert_snapshot!(found.join("\n"), @r"
    ${NONE}: the environment variable `NONE` is not set; set it, or give a default: `${NONE:-default}`
    $HOME: `$` without `{`; write `${HOME}` for the variable, `$$HOME` for a dollar sign
    ${1X}: an environment variable's name is missing here; a name has letters, digits and `_`, and does not begin with a digit: `${NAME}`
    ${HOME-x}: unknown operator after `HOME`; write `${HOME}`, `${HOME:-default}` or `${HOME:?message}`
    ${E:?say why}: the environment variable `E` is not set: say why; set it, or give a default: `${E:-default}`
    ${HOME:-$x}: a default cannot contain an expression; give the default as plain text; `$$` is a dollar sign
    $: `$` without `{`; write `$$` for a dollar sign, `${NAME}` for a variable
    ${open: `${` without `}`; close it: `${NAME}`
    ");
        let error = expand("${EMPTY:?}", &env).unwrap_err();
        assert_eq!(error[0].message, "the environment variable `EMPTY` is empty");
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer_and_ranges_fit(text in "[${}:?\\-aü1]{0,24}") {
            if let Err(errors) = expand(&text, &env) {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    prop_assert!(text.get(error.range).is_some());
                }
            }
        }

        #[test]
        fn doubled_dollars_give_the_text_itself(text in any::<String>()) {
            prop_assert_eq!(expand(&text.replace('$', "$$"), &env).unwrap().text, text);
        }
    }
}
