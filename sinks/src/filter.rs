//! Which events a sink takes.
//!
//! A filter looks at the members of an event's line, never at its payload: what is not there (a session
//! without an id, an event without a tool) matches no list that names some.

mod projects;

use std::borrow::Cow;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use hookring_journal::model::Level;
use serde::Deserialize;

pub use projects::in_home;

/// What a filter takes, before it is compiled. The default takes everything.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FilterOptions {
    /// Only these, if any is named.
    pub include: Match,
    /// None of these.
    pub exclude: Match,
    /// Only events of this risk or a higher one.
    pub min_risk: Option<Level>,
    /// Leave out what another event told before.
    pub without_duplicates: bool,
    /// The share of sessions of which all events are taken, 0 to 1; what is of no session is taken. A session
    /// is in the sample of every sink that takes as much, or none.
    pub sample: Option<f64>,
}

/// Names, each list as globs: `*` stands for anything, `?` for a character, `[ab]` and `{a,b}` for a choice.
/// An event matches if it matches each list that is not empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Match {
    /// Of `namespace`.
    pub namespaces: Vec<String>,
    /// Of `event_type`.
    pub event_types: Vec<String>,
    /// Of `source.agent`.
    pub agents: Vec<String>,
    /// Of `tool_name`, in upper or lower case: `Bash` and `bash` are one tool of two agents.
    pub tools: Vec<String>,
    /// Of `working_directory`; here `*` ends at a `/`, and `**` does not. `/a/**` takes `/a`, too; a `/` at the end
    /// is the same as none. They are absolute: [`in_home`] is for `~/`.
    pub projects: Vec<String>,
    /// Of `session_id`.
    pub sessions: Vec<String>,
}

/// A pattern that is none.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the pattern {pattern:?} in `{list}`: {reason}")]
pub struct FilterError {
    /// The list that it is in, by its name in [`Match`].
    pub list: &'static str,
    /// Where in that list, from 0.
    pub at: usize,
    /// Whether the list is one of [`FilterOptions::exclude`].
    pub is_exclude: bool,
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why an event is not taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum LeftOut {
    /// It is not in this list of those that are taken.
    NotIncluded(&'static str),
    /// It is in this list, or these lists, of those that are not taken.
    Excluded,
    /// Its risk is too low.
    LowRisk,
    /// Another event told the same.
    Duplicate,
    /// Its session is not in the sample.
    NotSampled,
    /// Its line cannot be read, so nothing is known of it.
    Unreadable,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LeftOut::NotIncluded(list) => write!(f, "it is not in `{list}`"),
            LeftOut::Excluded => f.write_str("it is in `exclude`"),
            LeftOut::LowRisk => f.write_str("its risk is below `min_risk`"),
            LeftOut::Duplicate => f.write_str("another event told the same (`duplicates`)"),
            LeftOut::NotSampled => f.write_str("its session is not in the sample (`sample`)"),
            LeftOut::Unreadable => f.write_str("its line cannot be read"),
        }
    }
}

/// A compiled filter. Cheap to ask from one thread; clone it for another.
#[derive(Clone, Debug)]
pub struct Filter {
    include: Lists,
    exclude: Option<Lists>,
    min_risk: Option<Level>,
    without_duplicates: bool,
    sample: Option<f64>,
}

/// A line's members that filters look at.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    event_type: Option<Text<'a>>,
    #[serde(borrow)]
    source: Option<Source<'a>>,
    #[serde(borrow)]
    tool_name: Option<Text<'a>>,
    #[serde(borrow)]
    working_directory: Option<Text<'a>>,
    #[serde(borrow)]
    session_id: Option<Text<'a>>,
    #[serde(borrow)]
    duplicate_of: Option<Text<'a>>,
    security_risk: Option<Level>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    agent: Option<Text<'a>>,
}

/// Borrowed where no escape stands in the way.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Filter {
    /// Compiles the patterns; `None`: everything is taken.
    ///
    /// # Errors
    ///
    /// The first pattern that is none.
    pub fn new(options: &FilterOptions) -> Result<Option<Filter>, FilterError> {
        if *options == FilterOptions::default() {
            return Ok(None);
        }
        let has_exclude = options.exclude != Match::default();
        let exclude = has_exclude.then(|| Lists::new(&options.exclude, true)).transpose()?;
        Ok(Some(Filter {
            include: Lists::new(&options.include, false)?,
            exclude,
            min_risk: options.min_risk,
            without_duplicates: options.without_duplicates,
            sample: options.sample,
        }))
    }

    /// Whether the event on this line is taken.
    pub fn takes(&self, line: &[u8]) -> bool {
        self.judge(line).is_none()
    }

    /// Why the event on this line is not taken; `None`: it is.
    pub fn judge(&self, line: &[u8]) -> Option<LeftOut> {
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(line) else {
            return Some(LeftOut::Unreadable);
        };
        if let Some(list) = self.include.mismatch(&seen) {
            return Some(LeftOut::NotIncluded(list));
        }
        if self.exclude.as_ref().is_some_and(|lists| lists.mismatch(&seen).is_none()) {
            return Some(LeftOut::Excluded);
        }
        if seen.security_risk < self.min_risk {
            return Some(LeftOut::LowRisk);
        }
        if self.without_duplicates && seen.duplicate_of.is_some() {
            return Some(LeftOut::Duplicate);
        }
        let session = seen.session_id.as_ref().zip(self.sample);
        let is_sampled = session.is_none_or(|(session, share)| place(&session.0) < share);
        (!is_sampled).then_some(LeftOut::NotSampled)
    }
}

/// The lists of a [`Match`], compiled; empty ones are not there.
#[derive(Clone, Debug)]
struct Lists(Vec<(&'static str, GlobSet)>);

impl Lists {
    fn new(names: &Match, is_exclude: bool) -> Result<Lists, FilterError> {
        let lists = [
            ("namespaces", &names.namespaces),
            ("event_types", &names.event_types),
            ("agents", &names.agents),
            ("tools", &names.tools),
            ("projects", &names.projects),
            ("sessions", &names.sessions),
        ];
        let named = lists.into_iter().filter(|(_, patterns)| !patterns.is_empty());
        named
            .map(|(list, patterns)| Ok((list, compile(list, patterns, is_exclude)?)))
            .collect::<Result<_, _>>()
            .map(Lists)
    }

    /// The first list that the event does not match.
    fn mismatch(&self, seen: &Seen<'_>) -> Option<&'static str> {
        let matches = |(list, globs): &&(&'static str, GlobSet)| {
            let text = match *list {
                "namespaces" => seen.namespace.as_ref(),
                "event_types" => seen.event_type.as_ref(),
                "agents" => seen.source.as_ref().and_then(|source| source.agent.as_ref()),
                "tools" => seen.tool_name.as_ref(),
                "projects" => seen.working_directory.as_ref(),
                _ => seen.session_id.as_ref(),
            };
            text.is_some_and(|text| match *list {
                "projects" => globs.is_match(projects::directory(&text.0)),
                _ => globs.is_match(&*text.0),
            })
        };
        self.0.iter().find(|list| !matches(list)).map(|(list, _)| *list)
    }
}

fn compile(
    list: &'static str,
    patterns: &[String],
    is_exclude: bool,
) -> Result<GlobSet, FilterError> {
    let failed = |at: usize, reason: String| FilterError {
        list,
        at,
        is_exclude,
        pattern: patterns[at].clone(),
        reason,
    };
    let mut set = GlobSetBuilder::new();
    for (at, pattern) in patterns.iter().enumerate() {
        let globs = match list {
            "projects" => projects::globs(pattern).map_err(|reason| failed(at, reason))?,
            _ => vec![pattern.clone()],
        };
        for glob in globs {
            let glob = GlobBuilder::new(&glob)
                .literal_separator(list == "projects")
                .case_insensitive(list == "tools")
                .build();
            set.add(glob.map_err(|error| failed(at, error.kind().to_string()))?);
        }
    }
    set.build().map_err(|error| failed(0, error.kind().to_string()))
}

/// Where in [0, 1) a session lies: FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>) with the final mix
/// of MurmurHash3, the same on every machine and in every version.
fn place(session: &str) -> f64 {
    let mut hash = session.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^= hash >> 33;
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"event_type":"tool.pre","namespace":"hook","source":{"agent":"claude-code"},"session_id":"s1","working_directory":"/home/me/work/app","tool_name":"Bash","security_risk":"high","payload":{"namespace":"log"}}"#;

    fn names(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|pattern| (*pattern).to_owned()).collect()
    }

    fn judged(options: &FilterOptions, line: &str) -> Option<LeftOut> {
        Filter::new(options).unwrap().and_then(|filter| filter.judge(line.as_bytes()))
    }

    #[test]
    fn each_list_that_names_something_must_match() {
        use LeftOut::NotIncluded;
        let include = |include| FilterOptions { include, ..FilterOptions::default() };
        type Set = fn(&mut Match, Vec<String>);
        for (set, patterns, expected) in [
            ((|it, names| it.event_types = names) as Set, &["tool.*"][..], None),
            (|it, names| it.event_types = names, &["turn.*", "tool.pre"], None),
            (|it, names| it.event_types = names, &["turn.*"], Some(NotIncluded("event_types"))),
            (|it, names| it.namespaces = names, &["log"], Some(NotIncluded("namespaces"))),
            (|it, names| it.agents = names, &["cursor"], Some(NotIncluded("agents"))),
            (|it, names| it.tools = names, &["B?sh", "mcp__*"], None),
            (|it, names| it.tools = names, &["bash"], None),
            (|it, names| it.agents = names, &["Claude-Code"], Some(NotIncluded("agents"))),
            (|it, names| it.projects = names, &["/home/me/*"], Some(NotIncluded("projects"))),
            (|it, names| it.projects = names, &["/home/me/**"], None),
            (|it, names| it.sessions = names, &["s1"], None),
        ] {
            let mut wanted = Match::default();
            set(&mut wanted, names(patterns));
            assert_eq!(judged(&include(wanted.clone()), LINE), expected, "{patterns:?}");
            // The other way round, for what is left out.
            let options = FilterOptions { exclude: wanted, ..FilterOptions::default() };
            let other = if expected.is_none() { Some(LeftOut::Excluded) } else { None };
            assert_eq!(judged(&options, LINE), other, "{patterns:?}");
        }
        let both =
            Match { agents: names(&["claude-code"]), tools: names(&["Read"]), ..Match::default() };
        assert_eq!(judged(&include(both.clone()), LINE), Some(NotIncluded("tools")));
        let options = FilterOptions { exclude: both, ..FilterOptions::default() };
        assert_eq!(judged(&options, LINE), None, "left out is what matches all lists");
        let tools = Match { tools: names(&["*"]), ..Match::default() };
        assert_eq!(judged(&include(tools), "{}"), Some(NotIncluded("tools")));
    }

    #[test]
    fn risk_duplicates_and_lines_that_cannot_be_read() {
        let min_risk = |level| FilterOptions { min_risk: Some(level), ..FilterOptions::default() };
        assert_eq!(judged(&min_risk(Level::High), LINE), None);
        assert_eq!(judged(&min_risk(Level::Critical), LINE), Some(LeftOut::LowRisk));
        assert_eq!(judged(&min_risk(Level::Low), "{}"), Some(LeftOut::LowRisk));
        let once = FilterOptions { without_duplicates: true, ..FilterOptions::default() };
        assert_eq!(judged(&once, LINE), None);
        assert_eq!(judged(&once, r#"{"duplicate_of":"x"}"#), Some(LeftOut::Duplicate));
        assert_eq!(judged(&once, "{"), Some(LeftOut::Unreadable));
        assert_eq!(judged(&FilterOptions::default(), "{"), None, "no filter looks at nothing");
    }

    #[test]
    fn a_sample_takes_whole_sessions_and_about_its_share() {
        let options = FilterOptions { sample: Some(0.25), ..FilterOptions::default() };
        let line = |session| format!(r#"{{"session_id":"session-{session}"}}"#);
        let taken = (0..4000).filter(|session| judged(&options, &line(*session)).is_none());
        let taken = taken.count();
        assert!((900..1100).contains(&taken), "{taken}");
        assert_eq!(judged(&options, r#"{"event_type":"daemon.start"}"#), None);
        for (share, expected) in [(0.0, Some(LeftOut::NotSampled)), (1.0, None)] {
            let options = FilterOptions { sample: Some(share), ..FilterOptions::default() };
            assert_eq!(judged(&options, LINE), expected);
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let include = Match { tools: names(&["Bash", "a[b"]), ..Match::default() };
        let error =
            Filter::new(&FilterOptions { include, ..FilterOptions::default() }).unwrap_err();
        assert_eq!((error.list, error.at, error.is_exclude), ("tools", 1, false));
        assert!(error.to_string().starts_with(r#"cannot use the pattern "a[b" in `tools`: "#));
    }
}
