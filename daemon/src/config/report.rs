//! The result of a check, for programs.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Config, ConfigErrors, Place, Problem, Warning};

/// What `hookring config check --json` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigReport {
    /// The file.
    pub file: String,
    /// Nothing is wrong with it.
    pub valid: bool,
    /// What is wrong with it.
    pub errors: Vec<ProblemReport>,
    /// How many more errors there were.
    pub errors_left_out: usize,
    /// What may go wrong later.
    pub warnings: Vec<String>,
}

/// One error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProblemReport {
    /// The key's full path, as far as it can be told.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// The line, cut around the place if it is long.
    pub source: Option<String>,
}

impl ConfigReport {
    /// What was found out about the file `path`.
    pub fn new(path: &Path, result: &Result<(Config, Vec<Warning>), ConfigErrors>) -> Self {
        match result {
            Ok((_, warnings)) => Self {
                file: path.to_string_lossy().into_owned(),
                valid: true,
                warnings: warnings.iter().map(Warning::to_string).collect(),
                ..Self::default()
            },
            Err(errors) => Self { file: path.to_string_lossy().into_owned(), ..errors.into() },
        }
    }
}

impl From<&ConfigErrors> for ConfigReport {
    fn from(errors: &ConfigErrors) -> Self {
        Self {
            file: errors.file.to_string_lossy().into_owned(),
            errors: errors.problems.iter().map(ProblemReport::from).collect(),
            errors_left_out: errors.left_out,
            warnings: errors.warnings.iter().map(Warning::to_string).collect(),
            ..Self::default()
        }
    }
}

impl From<&Problem> for ProblemReport {
    fn from(problem: &Problem) -> Self {
        let place = problem.place.as_ref();
        Self {
            key: problem.key.clone(),
            message: problem.message.clone(),
            help: problem.help.clone(),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            source: place.map(|place: &Place| place.source.clone()),
        }
    }
}
