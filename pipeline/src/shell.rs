//! Shell commands as a shell would read them: words without their quotes, what is piped into what,
//! and what wrappers such as `sudo`, `xargs` and `sh -c` run in the end.
//!
//! Reading never fails: what no shell would take is read as well as it can be. What is hidden in a
//! command (substitutions, heredocs, code in a string, base64) is read in its turn, within the limits
//! below; [`Script::is_cut`] says when one was reached.

mod code;
mod compound;
mod expansion;
mod given;
mod heredoc;
mod interpret;
mod names;
mod output;
mod parser;
mod quotes;
mod script;
mod store;
mod unwrap;
mod wrappers;

pub use names::program_name;
pub use script::{
    Assignment, Command, CommandId, Flags, Function, Ids, Operator, Redirect, Script, Span, Via,
    Word,
};

/// What is read of a text; the rest is not looked at.
pub const MAX_BYTES: usize = 256 << 10;

/// What may come of a text by expansion, decoding and joining of words.
pub const MAX_DERIVED_BYTES: usize = 256 << 10;

/// How deep substitutions may lie within each other, and likewise wrappers.
pub const MAX_DEPTH: u8 = 12;

/// Commands in one script, those within others included.
pub const MAX_COMMANDS: usize = 4096;

/// Variables that a script sets and whose values are followed; later ones stay as they are written.
pub const MAX_VARIABLES: usize = 64;

/// Whose rules of quoting hold.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// POSIX shells, bash and zsh.
    #[default]
    Posix,
    /// PowerShell and cmd, as far as that goes: a backslash is a character like others.
    Windows,
}

/// Reads a text. To read many, keep a [`Script`] and its buffers.
pub fn parse(text: &str) -> Script {
    let mut script = Script::default();
    script.read(text, Dialect::Posix);
    script
}

#[cfg(test)]
mod tests;
