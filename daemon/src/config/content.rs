//! `[redact]`, `[capture]` and `[risk]`: what is taken out of payloads, what is kept of them, and how
//! risky they are.

use hookring_pipeline::Keep;
use hookring_pipeline::redact::{self, MIN_TEXT_BYTES, RedactError, Redactor, UserPattern};
use hookring_pipeline::risk::{self, RiskError, Rules, UserRule};

use super::names::closest;
use super::reader::{Section, Texts};
use super::units::{KIB, MIB};

/// So many ids are named at most that begin as one that is none.
const MAX_NAMED: usize = 5;

/// `[redact]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RedactConfig {
    /// Names of members whose values are secrets, too.
    pub keys: Vec<String>,
    /// Rules that are switched off.
    pub disable: Vec<String>,
    /// Longer texts are cut to this. 1 KiB to 64 MiB.
    pub max_text_bytes: u64,
    /// The user's patterns.
    pub patterns: Vec<UserPattern>,
}

impl RedactConfig {
    /// What a redactor is made of by this.
    pub fn options(&self, key: [u8; 32], environment: Vec<(String, String)>) -> redact::Options {
        redact::Options {
            key,
            environment,
            extra_keys: self.keys.clone(),
            patterns: self.patterns.clone(),
            disabled: self.disable.clone(),
            max_text_bytes: usize::try_from(self.max_text_bytes).unwrap_or(usize::MAX),
        }
    }
}

/// Reads `[redact]` and puts its patterns together once, to see that they can be used.
pub(super) fn redact(mut section: Section<'_, '_>) -> RedactConfig {
    let keys = section.texts("keys", r#"["customer_number"]"#);
    let disable = section.texts("disable", r#"["jwt"]"#);
    let range = MIN_TEXT_BYTES.max(1024) as u64..=64 * MIB;
    let max_text_bytes = section.size("max_text", 64 * KIB, range);
    let mut config = RedactConfig {
        keys: keys.texts.clone(),
        disable: disable.texts.clone(),
        max_text_bytes,
        patterns: Vec::new(),
    };
    check_redact(&mut section, &config, (&keys, &disable));
    section.tables("patterns", |mut table| {
        let name = table.required_text("name", r#""customer-number""#);
        let pattern = table.required_text("pattern", r#""CN-[0-9]{8}""#);
        let keywords = table.texts("keywords", r#"["CN-"]"#);
        let pattern = UserPattern { name, pattern, keywords: keywords.texts };
        if table.is_known("name") && table.is_known("pattern") {
            let patterns = [config.patterns.clone(), vec![pattern.clone()]].concat();
            let alone =
                RedactConfig { keys: Vec::new(), disable: Vec::new(), patterns, ..config.clone() };
            if let Err(error) = Redactor::new(alone.options([0; 32], Vec::new())) {
                let key = match error {
                    RedactError::BadName { .. } | RedactError::NameTaken { .. } => "name",
                    RedactError::ShortKeyword { .. } => "keywords",
                    _ => "pattern",
                };
                table.fail(key, error.to_string(), None);
                return table.finish();
            }
        }
        config.patterns.push(pattern);
        table.finish();
    });
    section.finish();
    config
}

fn check_redact(section: &mut Section<'_, '_>, config: &RedactConfig, lists: (&Texts, &Texts)) {
    if Redactor::new(config.options([0; 32], Vec::new())).is_ok() {
        return;
    }
    let (keys, disable) = lists;
    let of = |keys: &[String]| {
        let alone = RedactConfig { keys: keys.to_vec(), disable: Vec::new(), ..config.clone() };
        Redactor::new(alone.options([0; 32], Vec::new()))
    };
    match of(&[]) {
        Ok(redactor) => {
            let ids: Vec<_> = redactor.rules().map(|rule| rule.id).collect();
            check_disabled(section, disable, &ids, "docs/redaction.md");
        }
        Err(error) => return section.fail("keys", error.to_string(), None),
    }
    let Err(error) = of(&config.keys) else { return };
    let RedactError::ShortKey { key, .. } = &error else {
        return section.fail("keys", error.to_string(), None);
    };
    let at = keys.texts.iter().position(|it| it == key).unwrap_or(0);
    section.fail_element("keys", (keys, at), error.to_string(), None);
}

/// Says which of the ids that are switched off are none, each with what may have been meant.
fn check_disabled(section: &mut Section<'_, '_>, disabled: &Texts, ids: &[&str], document: &str) {
    for (at, id) in disabled.texts.iter().enumerate().filter(|(_, id)| !ids.contains(&id.as_str()))
    {
        let start = id.split(['*', '?', '[', '{']).next().unwrap_or_default();
        let is_pattern = start.len() < id.len();
        let is_part = start.ends_with(['.', '-']) || ids.iter().any(|it| is_before(start, it));
        let alike: Vec<_> = ids.iter().filter(|it| it.starts_with(start)).copied().collect();
        let message = if is_pattern {
            "this is a pattern, and rules are switched off by their whole ids"
        } else {
            "there is no rule with this id"
        };
        let help = match closest(id, ids) {
            _ if (is_pattern || is_part) && !start.is_empty() && !alike.is_empty() => {
                let more = alike.len().saturating_sub(MAX_NAMED);
                let named = alike[..alike.len() - more].join(", ");
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                format!("name each: {named}{more} ({document} has them)")
            }
            Some(id) if !is_pattern => format!("did you mean \"{id}\"?"),
            _ => format!("{document} has the ids"),
        };
        section.fail_element("disable", (disabled, at), message.to_owned(), Some(help));
    }
}

/// Whether an id is one of a group with this name.
fn is_before(group: &str, id: &str) -> bool {
    id.strip_prefix(group).is_some_and(|rest| rest.starts_with(['.', '-']))
}

/// Reads `[capture]`.
pub(super) fn capture(mut section: Section<'_, '_>) -> Keep {
    let prompts = section.boolean("prompts", true);
    let tool_output = section.boolean("tool_output", true);
    section.finish();
    Keep { prompts, tool_output }
}

/// Reads `[risk]` and puts its rules together once, to see that they can be used.
pub(super) fn risk(mut section: Section<'_, '_>) -> risk::Options {
    let disabled = section.texts("disable", r#"["write.outside"]"#);
    let mut rules = Vec::new();
    section.tables("rules", |mut table| {
        let rule = rule(&mut table);
        // What is missing has been said; what else is wrong is said at once with it.
        let said = |key: &str, value: &String, instead: &str| {
            if table.is_known(key) { value.clone() } else { instead.to_owned() }
        };
        let (id, level) = (said("id", &rule.id, "unnamed"), said("level", &rule.level, "low"));
        let checked = UserRule { id, level, ..rule.clone() };
        if fail_rule(&mut table, checked.clone()) && table.is_known("id") {
            rules.push(checked);
        }
        table.finish();
    });
    let ids = risk::built_in_rules().map(|rule| rule.id);
    let ids: Vec<_> = ids.chain(rules.iter().map(|rule| rule.id.as_str())).collect();
    check_disabled(&mut section, &disabled, &ids, "docs/risk.md");
    let options = risk::Options { rules: rules.clone(), disabled: Vec::new() };
    if let Err(error) = Rules::new(&options) {
        section.fail("rules", error.to_string(), None);
    }
    section.finish();
    risk::Options { rules, disabled: disabled.texts }
}

fn rule(table: &mut Section<'_, '_>) -> UserRule {
    let mut list = |key, example| table.texts(key, example).texts;
    let mut rule = UserRule {
        programs: list("programs", r#"["kubectl"]"#),
        subcommands: list("subcommands", r#"["delete"]"#),
        flags: list("flags", r#"["--all"]"#),
        without: list("without", r#"["--dry-run"]"#),
        operands: list("operands", r#"["ns"]"#),
        arguments: list("arguments", r#"["prod*"]"#),
        input: list("input", r#"["curl"]"#),
        code_input: list("code_input", r#"["curl"]"#),
        via: list("via", r#"["sudo"]"#),
        redirects: list("redirects", r#"["/dev/sd*"]"#),
        statements: list("statements", r#"["drop table"]"#),
        code: list("code", r#"["rmtree"]"#),
        variables: list("variables", r#"["LD_PRELOAD"]"#),
        paths: list("paths", r#"["**/secrets/**"]"#),
        hosts: list("hosts", r#"["*.example.com"]"#),
        tools: list("tools", r#"["Bash"]"#),
        permission_modes: list("permission_modes", r#"["bypassPermissions"]"#),
        parameters: list("parameters", r#"["dangerouslyDisableSandbox"]"#),
        ..UserRule::default()
    };
    rule.id = table.required_text("id", r#""ours.delete-namespace""#);
    rule.level = table.required_text("level", r#""high""#);
    rule.description = table.optional_text("description").unwrap_or_default();
    rule.access = table.optional_text("access");
    rule.shape = table.optional_text("shape");
    rule.bare = table.boolean("bare", false);
    rule
}

/// Says what is wrong with a rule, one fault of each key; whether nothing is.
fn fail_rule(table: &mut Section<'_, '_>, rule: UserRule) -> bool {
    let mut rest = Some(rule);
    let mut is_right = true;
    while let Some(rule) = rest {
        let options = risk::Options { rules: vec![rule.clone()], disabled: Vec::new() };
        let Err(error) = Rules::new(&options) else { break };
        is_right = false;
        let key = faulty_key(&error);
        if matches!(error, RiskError::Id { .. }) {
            let message = "an id is made of letters, digits, `.`, `-` and `_`, and not empty";
            let help = "for instance `id = \"ours.delete-namespace\"`".to_owned();
            table.fail("id", message.to_owned(), Some(help));
        } else {
            table.fail(key, error.to_string(), None);
        }
        // The id stands for what is about the rule as a whole: another one would have the same said twice.
        let is_general = key == "id" && !is_about_id(&error);
        rest = without(&rule, key).filter(|_| !is_general);
    }
    is_right
}

/// The rule with something in the place of a key's value that is not wrong, so that what else is can be seen; `None`
/// if nobody knows what that would be.
fn without(rule: &UserRule, key: &str) -> Option<UserRule> {
    // (Not empty, as a rule needs some of them.)
    let plain = || vec!["unnamed".to_owned()];
    let mut other = rule.clone();
    match key {
        "id" => other.id = "unnamed".to_owned(),
        "level" => other.level = "low".to_owned(),
        "access" => other.access = None,
        "via" => other.via.clear(),
        "programs" => other.programs = plain(),
        "operands" => other.operands = plain(),
        "arguments" => other.arguments = plain(),
        "redirects" => other.redirects = plain(),
        "paths" => other.paths = plain(),
        "input" => other.input = plain(),
        "code_input" => other.code_input = plain(),
        _ => {}
    }
    // (The same again would not end.)
    (other != *rule).then_some(other)
}

fn is_about_id(error: &RiskError) -> bool {
    matches!(error, RiskError::Id { .. } | RiskError::DuplicateId { .. })
}

fn faulty_key(error: &RiskError) -> &'static str {
    match error {
        RiskError::Level { .. } => "level",
        RiskError::Glob { .. } => "paths",
        RiskError::Pattern { field, .. } | RiskError::Choice { field, .. } => field,
        _ => "id",
    }
}
