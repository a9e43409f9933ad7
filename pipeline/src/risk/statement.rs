//! Statements of SQL and its like: found where one begins, not where its words are quoted.

/// What a statement begins with, and words that it must not have: `delete from !where`.
#[derive(Debug)]
pub(super) struct Statement {
    words: Vec<Box<str>>,
    without: Vec<Box<str>>,
}

impl Statement {
    pub(super) fn parse(text: &str) -> Statement {
        let (without, words): (Vec<_>, Vec<_>) =
            text.split_whitespace().partition(|word| word.starts_with('!'));
        Statement {
            words: words.into_iter().map(Box::from).collect(),
            without: without.into_iter().map(|word| Box::from(&word[1..])).collect(),
        }
    }

    /// Whether one of the text's statements is it.
    pub(super) fn is_in(&self, text: &str) -> bool {
        text.split(';').any(|statement| self.is_statement(statement))
    }

    fn is_statement(&self, text: &str) -> bool {
        // Comments before it.
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let mut words = lines.flat_map(str::split_whitespace);
        let begins = self
            .words
            .iter()
            .all(|own| words.next().is_some_and(|word| word.eq_ignore_ascii_case(own)));
        begins && !words.any(|word| self.without.iter().any(|it| word.eq_ignore_ascii_case(it)))
    }
}
