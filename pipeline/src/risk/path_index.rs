//! Which of many path globs a path meets, without trying them all: they are found by a component that
//! they name.

use std::collections::HashMap;

use super::glob;
use super::rule::RiskError;

/// Components of a path that are looked at: the last ones.
const MAX_COMPONENTS: usize = 32;

/// Sets of globs, as bits.
pub(super) type Sets = u128;

#[derive(Default)]
pub(super) struct PathIndex {
    globs: Vec<PathGlob>,
    /// By a component that a path must have.
    named: HashMap<Box<str>, Vec<u16>>,
    /// Those that name none.
    loose: Vec<u16>,
    sets: u32,
}

struct PathGlob {
    anchor: Anchor,
    components: Vec<Box<str>>,
    set: Sets,
    /// What it meets is not in the set, whatever else it meets.
    is_exception: bool,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Anchor {
    Root,
    Home,
    Anywhere,
}

impl PathIndex {
    /// Adds a set; gives its bit.
    ///
    /// # Errors
    ///
    /// If a glob cannot be one, or there are too many sets.
    pub(super) fn add(&mut self, rule: &str, globs: &[&str]) -> Result<Sets, RiskError> {
        if self.sets == Sets::BITS {
            return Err(RiskError::TooManyPaths { rule: rule.to_owned() });
        }
        let set = 1 << self.sets;
        self.sets += 1;
        for text in globs {
            let glob = PathGlob::parse(text, set).ok_or_else(|| RiskError::Glob {
                rule: rule.to_owned(),
                glob: (*text).to_owned(),
            })?;
            self.insert(glob);
        }
        Ok(set)
    }

    /// The sets that a normal path is in. `below_home` is its rest behind a home.
    pub(super) fn sets(&self, normal: &str, below_home: Option<&str>) -> Sets {
        let mut buffer = [""; MAX_COMPONENTS];
        let components = split(normal, &mut buffer);
        let (mut found, mut excepted) = (0, 0);
        let mut check = |id: u16| {
            let glob = &self.globs[usize::from(id)];
            if glob.matches(normal, components, below_home) {
                if glob.is_exception {
                    excepted |= glob.set;
                } else {
                    found |= glob.set;
                }
            }
        };
        for component in components {
            if let Some(ids) = self.named.get(*component) {
                ids.iter().copied().for_each(&mut check);
            }
        }
        self.loose.iter().copied().for_each(&mut check);
        found & !excepted
    }

    fn insert(&mut self, glob: PathGlob) {
        let id = self.globs.len() as u16;
        let name = glob.components.iter().rev().find(|it| !glob::is_glob(it));
        match name {
            Some(name) => self.named.entry(name.clone()).or_default().push(id),
            None => self.loose.push(id),
        }
        self.globs.push(glob);
    }
}

impl PathGlob {
    fn parse(text: &str, set: Sets) -> Option<PathGlob> {
        let (is_exception, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (anchor, rest) = match (text.strip_prefix("~/"), text.strip_prefix('/')) {
            (Some(rest), _) => (Anchor::Home, rest),
            (_, Some(rest)) => (Anchor::Root, rest),
            _ => (Anchor::Anywhere, text.strip_prefix("**/").unwrap_or(text)),
        };
        let components: Vec<Box<str>> = rest.split('/').map(Box::from).collect();
        let is_wrong = |it: &str| {
            it.is_empty() || it.contains(['[', '{']) || (it.contains("**") && it != "**")
        };
        let is_good = components.len() <= 8 && !components.iter().any(|it| is_wrong(it));
        is_good.then_some(PathGlob { anchor, components, set, is_exception })
    }

    fn matches(&self, normal: &str, components: &[&str], below_home: Option<&str>) -> bool {
        match self.anchor {
            Anchor::Root => normal.starts_with('/') && fits(&self.components, components),
            Anchor::Home => below_home.is_some_and(|rest| {
                let mut buffer = [""; MAX_COMPONENTS];
                fits(&self.components, split(rest, &mut buffer))
            }),
            Anchor::Anywhere if self.components.len() == 1 => {
                components.last().is_some_and(|last| glob::matches(&self.components[0], last))
            }
            Anchor::Anywhere => {
                (0..components.len()).any(|from| fits(&self.components, &components[from..]))
            }
        }
    }
}

/// Whether all components are as the glob's; `**` is any number of them, at least one at the end.
fn fits(glob: &[Box<str>], path: &[&str]) -> bool {
    match glob.split_first() {
        None => path.is_empty(),
        Some((first, rest)) if **first == *"**" => match rest.is_empty() {
            true => !path.is_empty(),
            false => (0..=path.len()).any(|skipped| fits(rest, &path[skipped..])),
        },
        Some((first, rest)) => {
            path.first().is_some_and(|name| glob::matches(first, name)) && fits(rest, &path[1..])
        }
    }
}

fn split<'a, 'b>(path: &'a str, buffer: &'b mut [&'a str; MAX_COMPONENTS]) -> &'b [&'a str] {
    let mut count = 0;
    for component in path.rsplit('/').filter(|it| !it.is_empty()).take(MAX_COMPONENTS) {
        count += 1;
        buffer[MAX_COMPONENTS - count] = component;
    }
    &buffer[MAX_COMPONENTS - count..]
}
