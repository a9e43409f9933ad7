//! Which content of payloads is kept: what people and agents write to each other, and what tools
//! answer, can be left out entirely.

use crate::agents::{Facts, Field, is_same};
use crate::document::{Kind, NodeId, Value};

/// Which content is kept.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Prompts, answers, thoughts, descriptions of tasks.
    pub prompts: bool,
    /// What tools answer, and their errors.
    pub tool_output: bool,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { prompts: true, tool_output: true }
    }
}

const PROMPTS: &[Field] = &[Field::Prompt, Field::Answer, Field::Task, Field::Message];
const TOOL_OUTPUT: &[Field] = &[Field::ToolOutput, Field::Error];

impl Keep {
    /// Whether an argument of a hook is kept: JSON may hold anything, as what Codex' `notify` is given.
    pub(crate) fn keeps_argument(self, argument: &[u8]) -> bool {
        self.is_all() || !argument.trim_ascii_start().starts_with(b"{")
    }

    /// Whether all content is.
    pub(crate) fn is_all(self) -> bool {
        self.prompts && self.tool_output
    }

    /// What is not kept of a payload, and what stands there instead. If something is not to be kept,
    /// neither is what nobody knows the meaning of.
    pub(crate) fn withheld(
        self,
        root: Option<Value<'_>>,
        nested: Option<Value<'_>>,
        facts: &Facts<'_>,
    ) -> Vec<(NodeId, String)> {
        let Some(root) = root.filter(|_| !self.is_all()) else { return Vec::new() };
        if root.kind() != Kind::Object {
            return vec![(root.id(), marker(root.original_bytes()))];
        }
        let of = |fields: &'static [Field], kept: bool| fields.iter().filter(move |_| !kept);
        let fields = of(PROMPTS, self.prompts).chain(of(TOOL_OUTPUT, self.tool_output));
        let known = fields.filter_map(|field| facts.get(*field));
        let unknown = root.members().map(|(_, value)| value).filter(|value| {
            let is_long = !matches!(value.kind(), Kind::Number | Kind::Bool | Kind::Null);
            is_long && !facts.knows(value.id())
        });
        let tool = facts.tool_name.as_deref();
        let inside = facts.get(Field::ToolInput).filter(|_| !self.prompts);
        // Where the input is JSON in a string, all of it goes.
        let as_text = inside.filter(|_| has_prompt(nested, tool));
        let inside =
            inside.into_iter().flat_map(|input| prompts_inside(input, tool)).chain(as_text);
        let is_answered_by_user = !self.prompts && tool.is_some_and(asks_the_user);
        let users = facts.get(Field::ToolOutput).filter(|_| is_answered_by_user);
        known
            .chain(unknown)
            .chain(inside)
            .chain(users)
            .map(|value| (value.id(), marker(value.original_bytes())))
            .collect()
    }
}

/// Whether a tool is given a prompt, as the one that begins a subagent is.
fn has_prompt(input: Option<Value<'_>>, tool: Option<&str>) -> bool {
    input.is_some_and(|input| prompts_inside(input, tool).next().is_some())
}

/// What is a prompt among what a tool is given.
pub(crate) fn prompts_inside<'a>(
    input: Value<'a>,
    tool: Option<&str>,
) -> impl Iterator<Item = Value<'a>> + use<'a> {
    let is_tool = |(name, _): &&(&str, _)| tool.is_some_and(|tool| is_same(name, tool));
    let own = TOOLS.iter().find(is_tool).map_or(&[][..], |(_, names)| names);
    ANY_TOOLS.iter().chain(own).filter_map(move |key| input.get(key))
}

/// What people and agents write to each other, in the words of any tool.
const ANY_TOOLS: &[&str] =
    &["prompt", "description", "plan", "question", "questions", "answers", "annotations", "todos"];

/// The same in the words of one.
const TOOLS: &[(&str, &[&str])] = &[
    ("SendMessage", &["content", "message", "summary"]),
    ("Skill", &["args"]),
    ("SlashCommand", &["command"]),
    ("TaskCreate", &["subject", "activeForm", "metadata"]),
    ("TaskUpdate", &["subject", "activeForm", "metadata"]),
];

/// What such a tool answers is what the user said.
fn asks_the_user(tool: &str) -> bool {
    let names = ["AskUserQuestion", "ask_user", "ask_followup_question", "request_user_input"];
    names.iter().any(|name| is_same(name, tool))
}

/// What stands for content that is not kept.
pub(crate) fn marker(bytes: usize) -> String {
    format!("[not kept: {bytes} bytes]")
}
