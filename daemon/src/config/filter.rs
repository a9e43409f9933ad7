//! `[sinks.NAME.filter]`: which events a sink takes.

use hookring_journal::model::{Level, Namespace};
use hookring_sinks::{Filter, FilterOptions, Match};

use super::names::closest;
use super::reader::{Section, Texts};

/// Reads the table, and compiles its patterns once to see that they are some.
pub(super) fn filter(mut section: Section<'_, '_>) -> FilterOptions {
    let lists = Lists::read(&mut section);
    let levels = Level::ALL.map(|level| (level.name(), Some(level)));
    let levels: Vec<_> = levels.into_iter().chain([("none", None)]).collect();
    let min_risk = section.choice("min_risk", Some(None), &levels).flatten();
    let duplicates = section.boolean("duplicates", true);
    let sample = section.share("sample", 0.0..=1.0);
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

/// The lists of names that both tables have.
struct Lists([(&'static str, Texts); 6]);

impl Lists {
    fn read(section: &mut Section<'_, '_>) -> Lists {
        Lists(
            [
                ("namespaces", r#"["session", "hook"]"#),
                ("event_types", r#"["tool.*", "turn.end"]"#),
                ("agents", r#"["claude-code"]"#),
                ("tools", r#"["Bash", "mcp__*"]"#),
                ("projects", r#"["/home/me/work/**"]"#),
                ("sessions", r#"["0197*"]"#),
            ]
            .map(|(key, example)| (key, section.texts(key, example))),
        )
    }

    fn texts(&self) -> Match {
        let [namespaces, event_types, agents, tools, projects, sessions] =
            self.0.each_ref().map(|(_, list)| list.texts.clone());
        Match { namespaces, event_types, agents, tools, projects, sessions }
    }

    /// Says which pattern is none.
    fn check(&self, section: &mut Section<'_, '_>, options: &FilterOptions) {
        self.check_namespaces(section);
        let Err(error) = Filter::new(options) else { return };
        if let Some((key, list)) = self.0.iter().find(|(key, _)| *key == error.list) {
            let message = format!("this is not a pattern: {}", error.reason);
            let help = "`*` stands for anything, `?` for one character; a backslash takes their meaning away";
            section.fail_element(key, (list, error.at), message, Some(help.to_owned()));
        }
    }

    /// There are only a few, and none has a character that stands for others.
    fn check_namespaces(&self, section: &mut Section<'_, '_>) {
        let (key, list) = &self.0[0];
        let known = Namespace::ALL.map(Namespace::name);
        for (at, name) in list.texts.iter().enumerate() {
            let is_pattern = name.contains(['*', '?', '[', '{']);
            if !is_pattern && !known.contains(&name.as_str()) {
                let meant = closest(name, &known).map(|name| format!("did you mean \"{name}\"?"));
                let help = meant.unwrap_or_else(|| format!("there are: {}", known.join(", ")));
                let message = "this is not a namespace".to_owned();
                section.fail_element(key, (list, at), message, Some(help));
            }
        }
    }
}
