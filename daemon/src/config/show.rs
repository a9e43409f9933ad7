//! What `hookring config show` prints: every key with the value in force and where it comes from, as
//! a configuration that means the same. What came from the environment stays the expression that it
//! was in the file, so that no secret is shown.

/// A table and what was read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShownSection {
    pub(super) path: String,
    pub(super) keys: Vec<ShownKey>,
    /// One of a list of tables.
    is_element: bool,
}

/// A key with its value as TOML; None where it has neither a value nor a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShownKey {
    pub(super) key: &'static str,
    pub(super) value: Option<String>,
    pub(super) origin: Origin,
    /// The variable of the environment that is asked where the file says nothing.
    pub(super) variable: Option<&'static str>,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    /// A line of the file, from 1.
    Line(usize),
}

impl ShownSection {
    /// A table of which nothing was read yet.
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), keys: Vec::new(), is_element: false }
    }

    /// One of the tables of a list.
    pub(super) fn element(path: &str) -> Self {
        Self { is_element: true, ..Self::new(path) }
    }

    /// Whether it is one of the tables of a list.
    pub(super) fn is_element(&self) -> bool {
        self.is_element
    }

    /// The text of a key, as it is shown.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let value = json_value(self.keys.iter().find(|it| it.key == key)?);
        value.as_str().map(str::to_owned)
    }

    /// Whether the keys have the same values, wherever they stand.
    pub(super) fn has_same_values(&self, other: &Self) -> bool {
        let values = |section: &Self| -> Vec<_> {
            section.keys.iter().map(|it| (it.key, it.value.clone())).collect()
        };
        values(self) == values(other)
    }
}

/// The sections as TOML, each value with a comment that says where it comes from.
pub(super) fn render(sections: &[ShownSection]) -> String {
    let sections: Vec<String> = sections.iter().map(render_section).collect();
    sections.join("\n")
}

/// The sections as JSON.
pub(super) fn json(sections: &[ShownSection]) -> serde_json::Value {
    let mut root = serde_json::json!({});
    for section in sections {
        // `sinks.NAME`, whose name has no dot, is an object in an object.
        let mut at = &mut root;
        for part in section.path.split('.') {
            at = &mut at[part];
        }
        let keys = section.keys.iter().map(|it| (it.key.to_owned(), json_value(it)));
        if section.is_element {
            let list = at.as_array_mut().map(std::mem::take).unwrap_or_default();
            *at = list.into_iter().chain([keys.collect()]).collect();
        } else {
            *at = keys.collect();
        }
    }
    root
}

/// The value that stands as TOML: only text, numbers and truth values do.
fn json_value(key: &ShownKey) -> serde_json::Value {
    let Some(value) = &key.value else { return serde_json::Value::Null };
    let document = format!("value = {value}").parse::<toml::Table>();
    let value = document.ok().and_then(|mut document| document.remove("value"));
    value.and_then(|value| serde_json::to_value(value).ok()).unwrap_or_default()
}

fn render_section(section: &ShownSection) -> String {
    let line = |it: &ShownKey| match &it.value {
        Some(value) => format!("{} = {value}", it.key),
        None => format!("# {} is not set", it.key),
    };
    let lines: Vec<String> = section.keys.iter().map(line).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let mut out = if section.is_element {
        format!("[[{}]]\n", section.path)
    } else {
        format!("[{}]\n", section.path)
    };
    for (line, it) in lines.iter().zip(&section.keys) {
        let asked = it.variable.map_or(String::new(), |name| format!("; {name} is asked"));
        let origin = match it.origin {
            _ if it.value.is_none() => String::new(),
            Origin::Default => format!("  # default{asked}"),
            Origin::Line(number) => format!("  # line {number}"),
        };
        let (width, behind) = if it.value.is_none() { (0, asked) } else { (width, origin) };
        out.push_str(&format!("{line:width$}{behind}\n"));
    }
    out
}

/// `text` as a TOML string that says exactly this.
pub(super) fn quote_literal(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// `text` as a TOML string that says this once its expressions are replaced.
pub(super) fn quote_value(text: &str) -> String {
    quote_literal(&text.replace('$', "$$"))
}
