//! A single value of the configuration: what type it has, and whether it fits.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

/// What is wrong with a value. Neither text may quote it: it may have come from the environment.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// A value with its expressions replaced.
pub(super) struct Scalar {
    pub(super) value: Value,
    /// Its text may be what nobody should see.
    pub(super) from_env: bool,
}

pub(super) enum Value {
    Text(String),
    /// The largest number stands for every larger one.
    Integer(i128),
    Boolean(bool),
    /// The name of another type, with its article.
    Other(&'static str),
}

impl Wrong {
    pub(super) fn new(message: &str, help: Option<String>) -> Self {
        Self { message: message.to_owned(), help }
    }

    /// The same, with another suggestion where it has none.
    pub(super) fn or(self, help: impl FnOnce() -> Option<String>) -> Self {
        Self { help: self.help.or_else(help), ..self }
    }
}

impl Scalar {
    /// A whole number; one that came from the environment may stand in a string.
    pub(super) fn integer(&self, expected: &str) -> Result<i128, Wrong> {
        match &self.value {
            Value::Integer(number) => Ok(*number),
            Value::Text(text) if self.from_env => {
                text.trim().parse().map_err(|_| Wrong::new("this is not a whole number", None))
            }
            _ => Err(self.mismatch(expected)),
        }
    }

    pub(super) fn text(&self, expected: &str) -> Result<&str, Wrong> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.mismatch(expected)),
        }
    }

    pub(super) fn mismatch(&self, expected: &str) -> Wrong {
        let found = match &self.value {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Boolean(_) => "a boolean",
            Value::Other(name) => name,
        };
        let is_quoted = matches!(&self.value, Value::Text(text)
            if text.parse::<u64>().is_ok() || text.parse::<bool>().is_ok());
        let help = is_quoted.then(|| "write it without the quotes".to_owned());
        Wrong::new(&format!("expected {expected}, found {found}"), help)
    }
}

/// `value`, if it is within `range`; `show` writes a limit for the message.
pub(super) fn in_range(
    value: i128,
    range: &RangeInclusive<u64>,
    show: impl Fn(u64) -> String,
) -> Result<u64, Wrong> {
    if let Ok(value) = u64::try_from(value)
        && range.contains(&value)
    {
        return Ok(value);
    }
    let (least, most) = (show(*range.start()), show(*range.end()));
    let help = if value < i128::from(*range.start()) {
        format!("the least is {least}")
    } else {
        format!("the most is {most}")
    };
    Err(Wrong::new(&format!("this must be between {least} and {most}"), Some(help)))
}

/// What `value` becomes when it is made to fit.
pub(super) fn nearest(value: i128, range: &RangeInclusive<u64>) -> u64 {
    let within = value.clamp(i128::from(*range.start()), i128::from(*range.end()));
    u64::try_from(within).unwrap_or(*range.end())
}

/// Whole milliseconds, as many as fit.
pub(super) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The absolute path that `text` is, with the home directory for `~/`.
pub(super) fn absolute(text: &str, home: Option<&Path>) -> Result<PathBuf, Wrong> {
    let wrong = |message: &str, help: &str| Err(Wrong::new(message, Some(help.to_owned())));
    if text.contains('\0') {
        return wrong("a file's name cannot contain a NUL character", "remove it");
    }
    if text.ends_with('/') {
        return wrong("this names a directory", "add the file's name");
    }
    match (text.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => Ok(home.join(below)),
        (Some(_), None) => {
            wrong("no home directory is known", "give the path in full, or set HOME")
        }
        (None, _) if text.starts_with('/') => Ok(PathBuf::from(text)),
        (None, _) => wrong(
            "a path must be absolute",
            "begin it with `/`, or with `~/` for the home directory",
        ),
    }
}

/// What a value of the document is called in a message.
pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
