//! All rules that hold, found by what they are about.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use serde::Deserialize;

use super::compile::{Rule, Trigger, compile};
use super::path_index::PathIndex;
use super::pattern::Names;
use super::rule::{RiskError, UserRule};
use super::{Level, Options};

/// Rules that actions are held against.
pub struct Rules {
    pub(super) all: Vec<Rule>,
    programs: HashMap<Box<str>, Program, BuildHasherDefault<NameHasher>>,
    pub(super) by_trigger: [Vec<u16>; 8],
    pub(super) paths: PathIndex,
}

/// What is known of a program.
#[derive(Default)]
pub(super) struct Program {
    pub(super) rules: Vec<u16>,
    pub(super) spec: Option<&'static Spec>,
}

/// How a program's words are read, as the data file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    names: Vec<String>,
    /// Options whose value is the next word.
    #[serde(default)]
    pub(super) valued: Vec<String>,
    /// `-name` is one option, not letters.
    #[serde(default)]
    pub(super) single_dash: bool,
    /// What is done to the files that are its operands.
    pub(super) files: Option<FileUse>,
    /// The first operands that are no files.
    #[serde(default)]
    pub(super) skip: usize,
    /// Options with which it writes what it would read.
    #[serde(default)]
    pub(super) write_flags: Vec<String>,
    /// Options whose value is a file that is written.
    #[serde(default)]
    pub(super) written: Vec<String>,
    /// Its operands may be addresses.
    #[serde(default)]
    pub(super) network: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileUse {
    Read,
    Write,
    /// The last operand is written, the others are read.
    Last,
    /// As `Last`, and the others are gone then.
    Moved,
}

/// What is said of a rule.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct RuleInfo {
    /// Its id.
    pub id: &'static str,
    /// Its level.
    pub level: Level,
    /// What it finds.
    pub description: &'static str,
}

/// The data file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    programs: HashMap<String, Vec<String>>,
    paths: HashMap<String, Vec<String>>,
    program: Vec<Spec>,
    rule: Vec<UserRule>,
}

static DATA: LazyLock<Data> = LazyLock::new(|| {
    toml::from_str(include_str!("rules.toml")).expect("the rules that are built in are TOML")
});

/// The rules that are built in, in their order.
pub fn built_in_rules() -> impl Iterator<Item = RuleInfo> {
    DATA.rule.iter().map(|rule| RuleInfo {
        id: &rule.id,
        level: Level::from_name(&rule.level).expect("a built-in rule's level is one"),
        description: &rule.description,
    })
}

impl Rules {
    /// The rules that are built in, less those that are switched off, and the user's.
    ///
    /// # Errors
    ///
    /// If something is wrong with what the user says.
    ///
    /// # Panics
    ///
    /// If the built-in rules are wrong, which a test rules out.
    pub fn new(options: &Options) -> Result<Rules, RiskError> {
        check_ids(options)?;
        let mut rules = Rules {
            all: Vec::new(),
            programs: HashMap::default(),
            by_trigger: Default::default(),
            paths: PathIndex::default(),
        };
        let mut names = Names { programs: DATA.programs.clone(), ..Names::default() };
        for (name, globs) in &DATA.paths {
            let globs: Vec<_> = globs.iter().map(String::as_str).collect();
            let set = rules.paths.add(name, &globs).expect("the paths that are built in are right");
            names.paths.insert(name.clone(), set);
        }
        for spec in &DATA.program {
            for name in &spec.names {
                rules.programs.entry(name.as_str().into()).or_default().spec = Some(spec);
            }
        }
        for rule in DATA.rule.iter().filter(|rule| !options.disabled.contains(&rule.id)) {
            let compiled = compile(rule, &names, &mut rules.paths);
            rules.add(compiled.unwrap_or_else(|error| panic!("a built-in rule is wrong: {error}")));
        }
        for rule in options.rules.iter().filter(|rule| !options.disabled.contains(&rule.id)) {
            let compiled = compile(rule, &names, &mut rules.paths)?;
            rules.add(compiled);
        }
        Ok(rules)
    }

    pub(super) fn program(&self, name: &str) -> Option<&Program> {
        self.programs.get(name)
    }

    pub(super) fn triggered(&self, trigger: Trigger) -> &[u16] {
        &self.by_trigger[trigger as usize]
    }

    fn add(&mut self, rule: Rule) {
        let id = self.all.len() as u16;
        for program in &rule.programs {
            self.programs.entry(program.clone()).or_default().rules.push(id);
        }
        if rule.trigger != Trigger::Program {
            self.by_trigger[rule.trigger as usize].push(id);
        }
        self.all.push(rule);
    }
}

/// Each id once, and none switched off that is not there.
fn check_ids(options: &Options) -> Result<(), RiskError> {
    let own = options.rules.iter();
    let mut ids: Vec<&str> = DATA.rule.iter().chain(own).map(|rule| rule.id.as_str()).collect();
    let is_known = |id: &String| ids.contains(&id.as_str());
    if let Some(id) = options.disabled.iter().find(|id| !is_known(id)) {
        let shared =
            |other: &&str| other.bytes().zip(id.bytes()).take_while(|(a, b)| a == b).count();
        let nearest = ids.iter().max_by_key(|it| shared(it)).filter(|it| shared(it) * 2 > id.len());
        return Err(RiskError::UnknownId {
            id: id.clone(),
            nearest: nearest.map(|it| (*it).to_owned()),
        });
    }
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(RiskError::DuplicateId { id: pair[0].to_owned() }),
        None => Ok(()),
    }
}

/// FNV-1a: names are short, and who chooses them gains nothing by collisions with a fixed few.
#[derive(Clone)]
struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> NameHasher {
        NameHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
