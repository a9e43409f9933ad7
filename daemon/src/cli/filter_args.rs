//! The options with which a command looks at some events only: the same as a sink's filter.

use std::io::Write;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use hookring_journal::model::Level;
use hookring_journal::{self as journal, Line};
use hookring_sinks::{Filter, FilterOptions, Match, in_home};

use super::session::HINT;
use super::style::{WARNING, printable};
use super::{require_journal, session};
use crate::config::{self, Config, Env};
use crate::paths::Paths;

/// Which events are wanted. Names are patterns: `*` stands for anything.
#[derive(Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Which events")]
pub struct FilterArgs {
    /// Only events of this type, such as `tool.*`; may be given more than once, as those below
    #[arg(long = "type", value_name = "PATTERN")]
    types: Vec<String>,
    /// Only events of this namespace
    #[arg(long = "namespace", value_name = "PATTERN")]
    namespaces: Vec<String>,
    /// Only events of this agent
    #[arg(long = "agent", value_name = "PATTERN")]
    agents: Vec<String>,
    /// Only events about this tool, in upper or lower case
    #[arg(long = "tool", value_name = "PATTERN")]
    tools: Vec<String>,
    /// Only events of agents that work in this directory, with `/**` behind it also below it; here `*` ends
    /// at a `/`, and `**` does not
    #[arg(long = "project", value_name = "PATTERN")]
    projects: Vec<String>,
    /// Only events of this risk or a higher one
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    min_risk: Option<Level>,
    /// Leave out events with LIST=PATTERN, such as `tool=Read`; LIST is type, namespace, agent, tool, project or
    /// session. May be given more than once; of several lists, all must match, as in a sink's `exclude`
    #[arg(long = "exclude", value_name = "LIST=PATTERN")]
    excluded: Vec<String>,
    /// Only events of this share of the sessions, 0 to 1, and of no session; the same ones as a sink's `sample`
    #[arg(long, value_name = "SHARE", value_parser = share)]
    sample: Option<f64>,
    /// Leave out what another event told before
    #[arg(long)]
    no_duplicates: bool,
    /// Only events that this sink takes, by the configuration as it is now
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
}

fn level(text: &str) -> Result<Level, String> {
    let found = Level::ALL.into_iter().find(|level| level.name() == text);
    found.ok_or_else(|| format!("give one of {}", Level::ALL.map(Level::name).join(", ")))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "give a number from 0 to 1, such as 0.1".to_owned())
}

/// What `--exclude` calls a list, and what the filter does.
const LISTS: [(&str, &str); 6] = [
    ("type", "event_types"),
    ("namespace", "namespaces"),
    ("agent", "agents"),
    ("tool", "tools"),
    ("project", "projects"),
    ("session", "sessions"),
];

/// The filters that an event must pass.
#[derive(Debug, Default)]
pub(super) struct Filters(Vec<Filter>);

impl FilterArgs {
    /// Compiles the patterns, and reads the sink's filter. What is likely to match nothing is said on `err`.
    ///
    /// # Errors
    ///
    /// A pattern is none; or the configuration is wrong, or has no such sink.
    pub(super) fn filters(
        &self,
        paths: &Paths,
        env: Env<'_>,
        err: &mut dyn Write,
    ) -> Result<Filters> {
        let excluded = self.excluded.iter().map(|text| excluded(text));
        let excluded = excluded.collect::<Result<Vec<_>>>()?;
        self.say_doubts(&excluded, err)?;
        let sessions = excluded.iter().filter(|(list, _)| *list == "session");
        let sessions = sessions.map(|(_, given)| excluded_session(given, paths, err));
        let sessions = sessions.collect::<Result<Vec<_>>>()?;
        let of_list = |wanted: &str| {
            let patterns = excluded.iter().filter(|(list, _)| *list == wanted);
            patterns.map(|(_, pattern)| (*pattern).to_owned()).collect::<Vec<_>>()
        };
        let projects = |patterns: &[String]| -> Result<Vec<String>> {
            let project = |pattern: &String| {
                in_home(pattern, paths.home.as_deref()).map_err(|reason| {
                    anyhow!("cannot use the pattern {pattern:?} in `projects`: {reason}")
                })
            };
            patterns.iter().map(project).collect()
        };
        let options = FilterOptions {
            include: Match {
                namespaces: self.namespaces.clone(),
                event_types: self.types.clone(),
                agents: self.agents.clone(),
                tools: self.tools.clone(),
                projects: projects(&self.projects)?,
                sessions: Vec::new(),
            },
            exclude: Match {
                namespaces: of_list("namespace"),
                event_types: of_list("type"),
                agents: of_list("agent"),
                tools: of_list("tool"),
                projects: projects(&of_list("project"))?,
                sessions,
            },
            min_risk: self.min_risk,
            without_duplicates: self.no_duplicates,
            sample: self.sample,
        };
        let mut filters: Vec<Filter> = Filter::new(&options)?.into_iter().collect();
        if let Some(name) = &self.sink {
            filters.extend(sink_filter(name, paths, env)?);
        }
        Ok(Filters(filters))
    }

    /// Names which nobody knows.
    fn say_doubts(&self, excluded: &[(&str, &str)], err: &mut dyn Write) -> Result<()> {
        let given =
            [("type", &self.types), ("namespace", &self.namespaces), ("agent", &self.agents)];
        let given = given.into_iter().flat_map(|(list, names)| {
            names.iter().map(move |name| (format!("--{list} "), list, name.as_str()))
        });
        let excluded =
            excluded.iter().map(|(list, name)| (format!("--exclude {list}="), *list, *name));
        for (option, list, name) in given.chain(excluded) {
            let known = LISTS.iter().find(|(own, _)| *own == list);
            let Some(doubt) = known.and_then(|(_, list)| config::doubt(list, name)) else {
                continue;
            };
            let name = printable(name);
            writeln!(err, "{WARNING}warning{WARNING:#}: {option}{name}: {doubt}")?;
        }
        Ok(())
    }
}

/// The list and the pattern of `--exclude`.
fn excluded(text: &str) -> Result<(&str, &str)> {
    let given = text.split_once('=').filter(|(list, _)| LISTS.iter().any(|(it, _)| it == list));
    given.with_context(|| {
        let lists = LISTS.map(|(list, _)| list).join(", ");
        format!("cannot use --exclude {text:?}: give LIST=PATTERN, such as tool=Read; LIST is one of {lists}")
    })
}

/// What `--session` would mean by it, where it is no pattern.
fn excluded_session(given: &str, paths: &Paths, err: &mut dyn Write) -> Result<String> {
    let is_pattern = given.contains(['*', '?', '[', '{', '\\']);
    if is_pattern || require_journal(paths).is_err() {
        return Ok(given.to_owned());
    }
    let found = session::find(given, &journal::Filter::default(), paths)?;
    if found.is_none() {
        writeln!(err, "{WARNING}{}{WARNING:#}: {HINT}", session::none_of(given))?;
    }
    Ok(found.unwrap_or_else(|| given.to_owned()))
}

fn sink_filter(name: &str, paths: &Paths, env: Env<'_>) -> Result<Option<Filter>> {
    let (config, _) = Config::load(None, paths, env).map_err(|errors| {
        anyhow!(
            "the configuration is wrong; `hookring config check` lists it: {}",
            errors.as_cause()
        )
    })?;
    let names: Vec<_> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
    let sink = config.sinks.iter().find(|sink| sink.name == name).with_context(|| {
        let there = match &names[..] {
            [] => "it has none at all".to_owned(),
            names => format!("there are: {}", names.join(", ")),
        };
        format!("the configuration has no sink {name}; {there}")
    })?;
    Ok(Filter::new(&sink.filter)?)
}

impl Filters {
    /// Whether an event passes all of them.
    pub(super) fn take(&self, line: Line<'_>) -> bool {
        self.0.iter().all(|filter| filter.takes(line.bytes))
    }
}
