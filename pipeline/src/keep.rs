//! Which content of payloads is kept: what people and agents write to each other, and what tools
//! answer, can be left out entirely.

use crate::agents::{Facts, Field};
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
        let inside = facts.get(Field::ToolInput).filter(|_| !self.prompts);
        // Where the input is JSON in a string, all of it goes.
        let as_text = inside.filter(|_| has_prompt(nested));
        let inside = inside.into_iter().flat_map(prompts_inside).chain(as_text);
        known
            .chain(unknown)
            .chain(inside)
            .map(|value| (value.id(), marker(value.original_bytes())))
            .collect()
    }
}

/// Whether a tool is given a prompt, as the one that begins a subagent is.
pub(crate) fn has_prompt(input: Option<Value<'_>>) -> bool {
    input.is_some_and(|input| prompts_inside(input).next().is_some())
}

/// What is a prompt among what a tool is given.
pub(crate) fn prompts_inside(input: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    ["prompt", "description", "plan", "questions", "todos"]
        .into_iter()
        .filter_map(move |key| input.get(key))
}

/// What stands for content that is not kept.
pub(crate) fn marker(bytes: usize) -> String {
    format!("[not kept: {bytes} bytes]")
}
