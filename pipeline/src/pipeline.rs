//! From a record to the members of its event's line.
//!
//! The order matters: secrets go first, so that nothing behind that ever sees one; what the payload
//! means is read from what is left; the payload itself is written last.

use std::borrow::Cow;
use std::cell::RefCell;

use hookring_journal::model::{EventType, Level, Operation};
use hookring_journal::text::{push_decimal, push_json_string};

use crate::activity::{Activity, Call};
use crate::agents::{self, Agent, Facts, Field, Warning};
use crate::deed::{self, Deed, MAX_FILES};
use crate::document::{Document, Kind, Mended, NotJson, Value};
use crate::keep::{self, Keep};
use crate::members::Members;
use crate::received::Received;
use crate::redact::{self, Redacted, Redactor};
use crate::risk::{self, Action, Risk, Rules, Workspace};
use crate::steps::{Step, Watch};
use crate::summary::{self, End, Said};
use crate::texts::{TEXT_AGENT, Texts};
use crate::told::Told;

/// How events are made.
pub struct Options {
    /// The machine's name, in each event.
    pub host: String,
    /// The user's home, from which paths are judged.
    pub home: Option<String>,
    /// Takes the secrets out.
    pub redactor: Redactor,
    /// Say how risky a tool's use is.
    pub rules: Rules,
    /// Which content is kept.
    pub keep: Keep,
}

impl Options {
    /// All rules, all content, no secrets of an environment, and a key that everybody knows: for tests and benches.
    ///
    /// # Panics
    ///
    /// If the built-in rules are broken, which is a bug.
    pub fn plain() -> Options {
        let redactor = Redactor::new(redact::Options {
            key: [0; 32],
            environment: Vec::new(),
            extra_keys: Vec::new(),
            patterns: Vec::new(),
            disabled: Vec::new(),
            max_text_bytes: 64 << 10,
        });
        Options {
            host: "host".to_owned(),
            home: Some("/home/ada".to_owned()),
            redactor: redactor.expect("built-in rules"),
            rules: Rules::new(&risk::Options::default()).expect("built-in rules"),
            keep: Keep::default(),
        }
    }
}

/// Makes events of records. Remembers what belongs together; one for all records, in their order.
pub struct Pipeline {
    pub(crate) options: Options,
    pub(crate) document: Document,
    /// The JSON that a tool's input holds as a string.
    nested: Document,
    /// The same of a tool's answer.
    answer: Document,
    activity: Activity,
    /// What judging an action takes; kept for its memory.
    workspace: Workspace,
    /// See [`Texts::of`].
    clean_directory: Vec<u8>,
}

/// What became of a record when its event was written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// The secrets that were taken out, and what was cut of long texts.
    pub redacted: Redacted,
    /// How risky it is.
    pub risk: Option<Level>,
    /// Why the payload stands as text or base64 beside a `parse_error`; `None` also for text of an
    /// agent whose hooks get no JSON.
    pub not_json: Option<NotJson>,
    /// How many bytes of payload, names and arguments were beyond their limits and are left out.
    pub cut_bytes: u64,
    /// The event says that something in its payload was not as it should be.
    pub warnings: u32,
    /// The event is a duplicate of an earlier one.
    pub is_duplicate: bool,
}

impl Pipeline {
    /// From here on, events are made like this. What is remembered stays.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
        self.clean_directory.clear();
    }

    /// The rules by which secrets are taken out now: those that are not switched off.
    pub fn redaction_rules(&self) -> impl Iterator<Item = &str> {
        self.options.redactor.rules().filter(|rule| rule.is_on).map(|rule| rule.id)
    }

    /// Forgets earlier events, as a new daemon has.
    pub fn forget(&mut self) {
        self.activity = Activity::default();
    }

    /// Nothing is remembered yet.
    pub fn new(options: Options) -> Pipeline {
        Pipeline {
            options,
            document: Document::default(),
            nested: Document::default(),
            answer: Document::default(),
            activity: Activity::default(),
            workspace: Workspace::default(),
            clean_directory: Vec::new(),
        }
    }

    /// Appends the members of the record's event, behind those that the journal writes itself (see
    /// [`hookring_journal::Event`]). Never contains a newline.
    pub fn write(&mut self, received: &Received<'_>, out: &mut Vec<u8>) -> Written {
        self.write_watched(received, out, &mut ())
    }

    /// The same, and `watch` is told of each step.
    pub fn write_watched(
        &mut self,
        received: &Received<'_>,
        out: &mut Vec<u8>,
        watch: &mut impl Watch,
    ) -> Written {
        let (received, cut_bytes) = received.within_limits();
        let mut written = Written { cut_bytes, ..Written::default() };
        let mut mends = Vec::new();
        let parsed = match received.payload {
            // A hook that gets nothing on its stdin, as most of git's do, has nothing to say there.
            [] => Ok(()),
            payload if received.agent == Some(TEXT_AGENT) => self.document.parse(payload),
            payload => self.document.parse_or_mend(payload, &mut mends),
        };
        watch.done(Step::Index);
        // First: nothing below may see a secret.
        written.redacted = self.options.redactor.redact_watched(&mut self.document, watch);
        if parsed.is_err() {
            // What is written then is the text, in which the same secrets are found again.
            written.redacted = Redacted::default();
        }
        let told = (parsed, cut_bytes > 0);
        let texts = Texts::of(
            &received,
            told,
            &self.options,
            &mut self.clean_directory,
            &mut written.redacted,
        );
        let received = texts.named(&received);
        let input_mends = self.parse_nested();
        let root = self.document.root();
        let agent = agent(received.agent, root);
        let mut facts = root.map_or_else(
            || Facts::without_payload(agent, received.event),
            |root| agents::read(agent, root, received.event),
        );
        facts.warnings.extend(mends.into_iter().map(Warning::Mended));
        facts.warnings.extend(input_mends.into_iter().map(Warning::MendedInput));
        watch.done(Step::Normalise);
        let answer =
            facts.get(Field::ToolOutput).filter(|_| facts.kind == Some(EventType::ToolPost));
        let answer = answer.filter(|answer| answer.may_begin_with(b'{')).and_then(Value::as_str);
        let _mends = parse_text(&mut self.answer, answer);
        let nested = self.nested.root();
        let told = Told::of(&mut self.activity, &received, &facts, (nested, self.answer.root()));
        watch.done(Step::Remember);
        let (options, workspace) = (&self.options, &mut self.workspace);
        let directory = texts.directory.as_deref();
        let judge = |deed| assess(options, workspace, &facts, deed, directory);
        let judged = told.deed.as_ref().map(judge);
        let (risk, put_together) = judged.unwrap_or_default();
        written.redacted.add_all(&put_together);
        watch.done(Step::Judge);
        written.is_duplicate = told.duplicate_of.is_some();
        written.warnings = facts.warnings.len() as u32;
        written.risk = risk.as_ref().map(|risk| risk.level);
        let begin = out.len();
        let members = Members::new(out);
        let end = End::of(&facts, &received, &told);
        let mut event =
            Event { received: &received, facts: &facts, texts: &texts, end: &end, members };
        event.write(&self.options, &told);
        event.write_judgements(risk.as_ref(), &written.redacted);
        let is_json = parsed.is_ok() || received.agent == Some(TEXT_AGENT);
        watch.made(&Said::by(&received, &facts, &told, &end).summary(&written, is_json));
        let withheld = self.options.keep.withheld(root, nested, &facts);
        drop(told);
        drop(facts);
        for (id, text) in withheld {
            self.document.replace(id, text);
        }
        texts.write(self.document.root(), begin, &mut Members::new(out), &mut written);
        self.document.release();
        self.nested.release();
        self.answer.release();
        watch.done(Step::Write);
        written
    }

    /// Cursor and Copilot put JSON into a string where others have an object.
    fn parse_nested(&mut self) -> Vec<Mended> {
        const NAMES: [&str; 3] = ["tool_input", "toolArgs", "args"];
        let root = self.document.root();
        let texts = NAMES.iter().filter_map(|name| root?.get(name)?.as_str());
        parse_text(&mut self.nested, texts.into_iter().find(|text| is_object(text)))
    }
}

/// Parses a text if it may be a JSON object, mended if need be. What is not JSON is a text like any other.
fn parse_text(document: &mut Document, text: Option<Cow<'_, str>>) -> Vec<Mended> {
    document.clear();
    let mut mends = Vec::new();
    if let Some(text) = text.filter(|text| is_object(text)) {
        let _is_json = document.parse_or_mend(text.as_bytes(), &mut mends).is_ok();
    }
    mends
}

fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Whose record it is: as the command line said, else as the payload shows.
fn agent(named: Option<&str>, root: Option<Value<'_>>) -> &'static Agent {
    let agent = match named {
        Some(name) => Agent::named(name),
        None => root.filter(|root| root.kind() == Kind::Object).and_then(agents::recognise),
    };
    agent.unwrap_or(agents::UNKNOWN)
}

/// What the rules say of a tool's use, and the secrets that only a shell puts together.
fn assess(
    options: &Options,
    workspace: &mut Workspace,
    facts: &Facts<'_>,
    deed: &Deed<'_>,
    hooks_directory: Option<&[u8]>,
) -> (Option<Risk>, Redacted) {
    let paths: Vec<_> = deed.files().collect();
    let hooks_directory = || std::str::from_utf8(hooks_directory?).ok().map(Cow::Borrowed);
    let directory = facts.text(Field::Directory).or_else(hooks_directory);
    let permission_mode = facts.text(Field::PermissionMode);
    let redacted = RefCell::new(Redacted::default());
    let clean = |text: &str| options.redactor.redact_text(text, &mut redacted.borrow_mut());
    let action = Action {
        tool_name: facts.tool_name.as_deref().unwrap_or_default(),
        operation: facts.operation.unwrap_or_default(),
        command: deed.command.as_deref(),
        paths: &paths,
        statements: deed.statements.as_deref(),
        url: deed.url.as_deref(),
        working_directory: directory.as_deref(),
        home: options.home.as_deref(),
        permission_mode: permission_mode.as_deref(),
        parameters: deed.input,
        clean: Some(&clean),
    };
    let risk = options.rules.assess_with(&action, workspace);
    (risk, redacted.into_inner())
}

/// One event while it is written.
struct Event<'e, 'o> {
    received: &'e Received<'e>,
    facts: &'e Facts<'e>,
    texts: &'e Texts,
    end: &'e End,
    members: Members<'o>,
}

impl Event<'_, '_> {
    fn write(&mut self, options: &Options, told: &Told<'_>) {
        self.members.number_if("monotonic_ns", self.received.monotonic_ns);
        self.write_type();
        self.write_origin(options);
        self.write_ids(told);
        if let Some(deed) = &told.deed {
            self.write_deed(deed, options);
        } else {
            self.write_subject(options);
        }
        self.write_agent(told, options);
        self.members.text_if("classification", self.end.classification);
        if let Some(id) = &told.duplicate_of {
            self.members.uuid("duplicate_of", id);
        }
    }

    fn write_type(&mut self) {
        let own_name = self.facts.event.as_deref();
        let (name, namespace) = summary::kind(self.facts);
        self.members.text("event_type", name);
        self.members.text("namespace", namespace);
        self.members.text_if("event", own_name);
    }

    fn write_origin(&mut self, options: &Options) {
        let received = self.received;
        let named = summary::agent(self.facts, received);
        let version = self.facts.text(Field::Version);
        let model = self.facts.text(Field::Model);
        if !named.is_empty() || version.is_some() || model.is_some() {
            let source = self.members.name("source");
            source.push(b'{');
            let begin = source.len();
            let mut inside = Members::new(source);
            inside.text_if("agent", Some(named).filter(|name| !name.is_empty()));
            inside.text_if("version", version);
            inside.text_if("model", model);
            // The first has no comma.
            source.remove(begin);
            source.push(b'}');
        }
        self.members.text("host", &options.host);
        let process = self.members.name("process");
        process.extend_from_slice(
            format!("{{\"pid\":{},\"elapsed_us\":{}}}", received.pid, received.elapsed_us)
                .as_bytes(),
        );
        if received.truncated {
            self.members.truth("truncated", true);
        }
    }

    fn write_ids(&mut self, told: &Told<'_>) {
        for (name, field) in [
            ("session_id", Field::Session),
            ("prompt_id", Field::PromptId),
            ("agent_id", Field::AgentId),
            ("user_id", Field::UserId),
        ] {
            self.members.text_if(name, self.facts.text(field));
        }
        let id = self.facts.text(Field::ToolUseId).or_else(|| self.facts.text(Field::Correlation));
        match (id, &told.began) {
            (Some(id), _) => self.members.text("correlation_id", &id),
            (None, Some(Call { tool_use_id: Some(id), .. })) => {
                self.members.text("correlation_id", id);
            }
            (None, Some(began)) => self.members.uuid("correlation_id", &began.event_id),
            (None, None) if self.facts.kind == Some(EventType::ToolPre) => {
                self.members.uuid("correlation_id", &self.received.id);
            }
            (None, None) => {}
        }
        // An agent knows better than its hook's process where it works: it may have gone elsewhere.
        if let Some(path) = self.facts.text(Field::Directory) {
            self.members.text("working_directory", &path);
        } else if let Some(path) = &self.texts.directory {
            match std::str::from_utf8(path) {
                Ok(path) => self.members.text("working_directory", path),
                Err(_) => self.members.base64("working_directory_base64", path),
            }
        }
        self.members.text_if("permission_mode", self.facts.text(Field::PermissionMode));
    }

    /// What an event that is about no tool is about, and what went wrong.
    fn write_subject(&mut self, options: &Options) {
        let path = self.facts.text(Field::FilePath);
        self.members.text_if("file_path", path);
        if options.keep.tool_output {
            let error = self.facts.get(Field::Error).and_then(deed::error_message);
            self.members.text_if("error_message", error);
        }
    }

    fn write_deed(&mut self, deed: &Deed<'_>, options: &Options) {
        let facts = self.facts;
        self.members.text_if("tool_name", facts.tool_name.as_deref());
        self.members.text_if("tool_use_id", facts.text(Field::ToolUseId));
        self.members.text_if("operation_type", facts.operation.map(Operation::name));
        self.members.text_if("file_path", deed.file_path.as_deref());
        self.members.text_if("command", deed.shown_command());
        if let Some(input) = deed.input {
            // Windsurf has them in one object.
            let answers = [Field::ToolOutput, Field::Error, Field::ExitCode];
            let answers = answers.map(|field| facts.get(field).map(Value::id));
            let withheld = keep::prompts_inside(input, facts.tool_name.as_deref());
            let withheld = withheld.filter(|_| !options.keep.prompts);
            let withheld: Vec<_> = withheld.map(Value::id).collect();
            let out = self.members.name("tool_parameters");
            deed::write_parameters(input, &answers, &withheld, out);
        }
        if !matches!(facts.kind, Some(EventType::ToolPost | EventType::ToolFail)) {
            return;
        }
        self.members.number_if("duration_ms", self.end.duration_ms);
        if let Some(code) = deed.exit_code(facts) {
            self.members.name("exit_code").extend_from_slice(code.to_string().as_bytes());
        }
        if let Some(success) = self.end.success {
            self.members.truth("success", success);
        }
        self.members.number_if("output_size", deed.output_bytes());
        if options.keep.tool_output {
            self.members.text_if("error_message", deed.error_message());
        }
    }

    fn write_agent(&mut self, told: &Told<'_>, options: &Options) {
        let facts = self.facts;
        self.members.text_if("agent_type", facts.text(Field::AgentType));
        if options.keep.prompts {
            self.members.text_if("task_description", facts.text(Field::Task));
        }
        self.members.text_if("status", facts.text(Field::Status));
        self.members.text_if("task_id", facts.text(Field::TaskId));
        self.members.text_if("parent_task_id", facts.text(Field::ParentTaskId));
        if let Some(work) = &told.work {
            self.members.texts("tools_used", &work.tools);
            self.members.texts("files_modified", &work.files);
        } else if let Some(deed) = told.deed.as_ref().filter(|deed| deed.wrote_several(facts)) {
            self.members.texts("files_modified", deed.files());
        } else if facts.kind == Some(EventType::AgentStop) {
            let said = facts.get(Field::FilesModified).into_iter().flat_map(Value::elements);
            let files: Vec<_> = said.filter_map(Value::as_str).take(MAX_FILES).collect();
            if !files.is_empty() {
                self.members.texts("files_modified", &files);
            }
        }
    }

    fn write_judgements(&mut self, risk: Option<&Risk>, redacted: &Redacted) {
        if let Some(risk) = risk {
            self.members.text("security_risk", risk.level.name());
            let out = self.members.name("risk");
            let mut separator = b'[';
            for finding in &risk.findings {
                out.push(separator);
                separator = b',';
                out.extend_from_slice(b"{\"rule\":");
                push_json_string(out, &finding.rule);
                let mut inside = Members::new(out);
                inside.text("level", finding.level.name());
                inside.text("evidence", &finding.evidence);
                out.push(b'}');
            }
            out.push(b']');
        }
        write_redactions(&mut self.members, redacted);
        let warnings = self.facts.warnings.iter();
        if warnings.len() > 0 {
            self.members.texts("normalise_warnings", warnings.map(Warning::to_string));
        }
    }
}

/// Writes what was taken out.
pub(crate) fn write_redactions(members: &mut Members<'_>, redacted: &Redacted) {
    let mut rules = redacted.rules().peekable();
    if rules.peek().is_some() {
        let out = members.name("redactions");
        let mut separator = b'{';
        for (rule, times) in rules {
            out.push(separator);
            separator = b',';
            push_json_string(out, rule);
            out.push(b':');
            push_decimal(out, times);
        }
        out.push(b'}');
    }
    members.number_if("cut_bytes", Some(redacted.cut_bytes()).filter(|bytes| *bytes > 0));
}

#[cfg(test)]
mod tests;
