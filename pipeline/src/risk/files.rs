//! The files that a command reads and writes, as far as its program is known.

use super::arguments::{Role, View};
use super::compile::Access;
use super::rules::{FileUse, Spec};
use crate::shell::{Operator, Word};

/// What a program does to its operand with this number; `None`: it is no file.
pub(super) fn uses(spec: &Spec, number: usize, operands: usize, writes: bool) -> Option<Access> {
    let use_ = spec.files.filter(|_| number >= spec.skip)?;
    Some(match use_ {
        FileUse::Read if writes => Access::Any,
        FileUse::Read => Access::Read,
        FileUse::Write => Access::Write,
        FileUse::Last | FileUse::Moved if number + 1 == operands && operands > 1 => Access::Write,
        FileUse::Last => Access::Read,
        FileUse::Moved => Access::Any,
    })
}

/// What a redirection does to its target; `None`: it is no file.
pub(super) fn redirected(operator: Operator) -> Option<Access> {
    match operator {
        Operator::Read => Some(Access::Read),
        Operator::Write | Operator::Append => Some(Access::Write),
        Operator::ReadWrite => Some(Access::Any),
        Operator::Duplicate | Operator::Heredoc | Operator::HereString => None,
    }
}

impl View<'_> {
    /// Calls `each` with the arguments that are files, by number, and what is done to them.
    pub(super) fn each_file(&mut self, mut each: impl FnMut(&mut Self, usize, Access)) {
        let Some(spec) = self.spec else { return };
        if spec.files.is_some() {
            let writes = spec.write_flags.iter().any(|flag| self.has_flag(flag));
            let operands = self.operands().count();
            let mut number = 0;
            for at in 0..self.arguments.len() {
                if self.arguments[at].role != Role::Operand {
                    continue;
                }
                let access = uses(spec, number, operands, writes);
                number += 1;
                let word = self.arguments[at].word;
                if let Some(access) = access
                    && !is_remote(self.text(&word))
                {
                    each(self, at, access);
                }
            }
        }
        for at in 1..self.arguments.len() {
            let option = self.arguments[at - 1].word;
            if spec.written.iter().any(|it| it == self.text(&option)) {
                each(self, at, Access::Write);
            }
        }
    }

    /// The redirections of this command that are files.
    pub(super) fn redirected_files(&self) -> impl Iterator<Item = (Word, Access)> + use<'_> {
        self.script
            .redirects(self.command)
            .iter()
            .filter_map(|it| Some((it.target, redirected(it.operator)?)))
    }
}

/// `host:path`, or an address.
pub(super) fn is_remote(text: &str) -> bool {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@[]".contains(&byte);
    match text.bytes().position(|byte| !is_host(byte)) {
        // One letter is a drive.
        Some(at) => text.as_bytes()[at] == b':' && at > 1,
        None => false,
    }
}
