//! `[sinks.NAME.filter]`: which events a sink takes.

use hookring_bus::names;
use hookring_journal::model::{EventType, Level, Namespace};
use hookring_pipeline::agents;
use hookring_sinks::{Filter, FilterOptions, Match, in_home};

use super::names::closest;
use super::reader::{Section, Texts};

/// Reads the table, and compiles its patterns once to see that they are some.
pub(super) fn filter(mut section: Section<'_, '_>) -> FilterOptions {
    let lists = Lists::read(&mut section);
    let levels = Level::ALL.map(|level| (level.name(), Some(level)));
    let levels: Vec<_> = levels.into_iter().chain([("none", None)]).collect();
    let min_risk = section.choice("min_risk", Some(None), &levels).flatten();
    let duplicates = section.boolean("duplicates", true);
    let sample = section.number("sample", 0.0..=1.0, "0.1");
    let mut options = FilterOptions {
        include: lists.texts(),
        min_risk,
        without_duplicates: !duplicates,
        sample,
        ..FilterOptions::default()
    };
    lists.check(&mut section, &options);
    let mut exclude = section.section("exclude");
    let lists = Lists::read(&mut exclude);
    options.exclude = lists.texts();
    let alone = FilterOptions { exclude: lists.texts(), ..FilterOptions::default() };
    lists.check(&mut exclude, &alone);
    exclude.finish();
    section.finish();
    options
}

/// Why a name in this list of a filter is likely to match nothing: nobody knows it, and it is no pattern. Events may
/// have it all the same: those of an agent that is new, or whose events are. The text does not say the name.
pub fn doubt(list: &str, name: &str) -> Option<String> {
    if name.contains(['*', '?', '[', '{', '\\']) {
        return None;
    }
    let (what, known): (_, Vec<&str>) = match list {
        "namespaces" => ("namespace", Namespace::ALL.map(Namespace::name).into()),
        "event_types" => ("event type", EventType::ALL.iter().map(|kind| kind.name()).collect()),
        "agents" => ("agent", known_agents().collect()),
        _ => return None,
    };
    if known.contains(&name) || (list == "event_types" && name == "unknown") {
        return None;
    }
    let own_name = || agents::AGENTS.iter().find_map(|agent| agent.event_type(name));
    let meant = closest(name, &known)
        .or_else(|| known.iter().copied().find(|it| !name.is_empty() && it.starts_with(name)));
    let help = match meant {
        _ if list == "event_types" && own_name().is_some() => {
            let kind = own_name().map_or("", EventType::name);
            format!("an agent calls its event so, whose type is \"{kind}\"")
        }
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None if list == "event_types" => "docs/events.md has those that are".to_owned(),
        None => format!("there are: {}", known.join(", ")),
    };
    Some(format!("no {what} is known by this name; {help}"))
}

/// As `source.agent` has them, the daemon among them.
fn known_agents() -> impl Iterator<Item = &'static str> {
    let named = names::AGENTS.iter().copied().filter(|name| !name.is_empty());
    named.chain(["hookring"])
}

/// The lists of names that both tables have.
struct Lists([(&'static str, Texts); 6]);

impl Lists {
    fn read(section: &mut Section<'_, '_>) -> Lists {
        let mut lists = Lists(
            [
                ("namespaces", r#"["session", "hook"]"#),
                ("event_types", r#"["tool.*", "turn.end"]"#),
                ("agents", r#"["claude-code"]"#),
                ("tools", r#"["Bash", "mcp__*"]"#),
                ("projects", r#"["/home/me/work/**"]"#),
                ("sessions", r#"["0197*"]"#),
            ]
            .map(|(key, example)| (key, section.texts(key, example))),
        );
        lists.put_home_in(section);
        lists.check_names(section);
        lists
    }

    fn texts(&self) -> Match {
        let [namespaces, event_types, agents, tools, projects, sessions] =
            self.0.each_ref().map(|(_, list)| list.texts.clone());
        Match { namespaces, event_types, agents, tools, projects, sessions }
    }

    /// Says which pattern is none.
    fn check(&self, section: &mut Section<'_, '_>, options: &FilterOptions) {
        let Err(error) = Filter::new(options) else { return };
        if let Some((key, list)) = self.0.iter().find(|(key, _)| *key == error.list) {
            let message = format!("this is not a pattern: {}", error.reason);
            let help = match *key {
                "projects" => "for instance `projects = [\"~/work/**\"]`",
                _ => {
                    "`*` stands for anything, `?` for one character; a backslash takes their meaning away"
                }
            };
            section.fail_element(key, (list, error.at), message, Some(help.to_owned()));
        }
    }

    /// Puts the home directory in for `~/`.
    fn put_home_in(&mut self, section: &mut Section<'_, '_>) {
        let home = section.home();
        for (key, list) in self.0.iter_mut().filter(|(key, _)| *key == "projects") {
            for at in 0..list.texts.len() {
                match in_home(&list.texts[at], home) {
                    Ok(pattern) => list.texts[at] = pattern,
                    Err(message) => {
                        // One error is enough: this is a pattern, too.
                        list.texts[at] = "/".to_owned();
                        let help = "give the path in full, or set HOME".to_owned();
                        section.fail_element(key, (list, at), message, Some(help));
                    }
                }
            }
        }
    }

    /// Refuses namespaces that there are not: only the daemon says them. Of agents and types of events there may
    /// be some that nobody knows.
    fn check_names(&self, section: &mut Section<'_, '_>) {
        for (key, list) in &self.0 {
            for (at, name) in list.texts.iter().enumerate() {
                let Some(doubt) = doubt(key, name) else { continue };
                match (*key, doubt.split_once("; ")) {
                    ("namespaces", Some((_, help))) => {
                        let message = "this is not a namespace".to_owned();
                        section.fail_element(key, (list, at), message, Some(help.to_owned()));
                    }
                    _ => section.doubt_element(key, (list, at), doubt),
                }
            }
        }
    }
}
