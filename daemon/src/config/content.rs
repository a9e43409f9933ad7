//! `[redact]`, `[capture]` and `[risk]`: what is taken out of payloads, what is kept of them, and how
//! risky they are.

use hookring_pipeline::Keep;
use hookring_pipeline::redact::{self, MIN_TEXT_BYTES, RedactError, Redactor, UserPattern};
use hookring_pipeline::risk::{self, RiskError, Rules, UserRule};

use super::reader::{Section, Texts};
use super::units::{KIB, MIB};

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
        if !pattern.name.is_empty() && !pattern.pattern.is_empty() {
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
    let Err(error) = Redactor::new(config.options([0; 32], Vec::new())) else { return };
    let (key, list, text) = match &error {
        RedactError::UnknownRule { id } => ("disable", lists.1, id),
        RedactError::ShortKey { key, .. } => ("keys", lists.0, key),
        _ => return section.fail("keys", error.to_string(), None),
    };
    let at = list.texts.iter().position(|it| it == text).unwrap_or(0);
    section.fail_element(key, (list, at), error.to_string(), None);
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
    let disabled = section.texts("disable", r#"["paths.outside-cwd"]"#);
    let mut rules = Vec::new();
    section.tables("rules", |mut table| {
        let rule = rule(&mut table);
        let options = risk::Options { rules: vec![rule.clone()], disabled: Vec::new() };
        if let Err(error) = Rules::new(&options) {
            table.fail(faulty_key(&error), error.to_string(), None);
        } else {
            rules.push(rule);
        }
        table.finish();
    });
    let options = risk::Options { rules, disabled: disabled.texts.clone() };
    if let Err(error) = Rules::new(&options) {
        let at = match &error {
            RiskError::UnknownId { id, .. } => disabled.texts.iter().position(|it| it == id),
            _ => None,
        };
        section.fail_element(
            "disable",
            (&disabled, at.unwrap_or(usize::MAX)),
            error.to_string(),
            None,
        );
    }
    section.finish();
    options
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

fn faulty_key(error: &RiskError) -> &'static str {
    match error {
        RiskError::Level { .. } => "level",
        RiskError::Glob { .. } => "paths",
        RiskError::Pattern { field, .. } | RiskError::Choice { field, .. } => field,
        _ => "id",
    }
}
