"""What an event is made of: secrets that are taken out, risks that are found, members that are read, calls that are told
apart, content that is left out. The pipeline's own quick tests must notice."""

from mutants import Equivalent, Mutation, cargo

REDACT = "pipeline/src/redact"
SHELL = "pipeline/src/shell"
RISK = "pipeline/src/risk"
DOCUMENT = "pipeline/src/document"
UNITS = cargo("pipeline", "lib", "redact::")
SECRETS = cargo("pipeline", "redaction", "secrets_of_the_corpus", "no_planted")
CLEAN = cargo("pipeline", "redaction", "what_is_no_secret")
COMMANDS = cargo("pipeline", "risk")
READING = cargo("pipeline", "lib", "document::")
REPORTS = cargo("pipeline", "lib", "activity::")
EVENTS = cargo("pipeline", "lib", "pipeline::tests::secrets", "pipeline::tests::what_users")

MUTATIONS = [
    # Where a secret is looked for at all.
    Mutation(
        "keywords are looked for at every other place only",
        f"{REDACT}/keywords.rs",
        "for at in [at.wrapping_sub(1), at] {",
        "for at in [at] {",
        UNITS,
    ),
    Mutation(
        "a keyword is what ends like one",
        f"{REDACT}/keywords.rs",
        "if may_be && text[at..at + bytes].eq_ignore_ascii_case(&keyword.text) {",
        "if may_be {",
        UNITS,
    ),
    Mutation(
        "strings with escapes are not looked into without a keyword",
        f"{REDACT}/members.rs",
        "        document.hiding_escapes().for_each(|at| flags.add(at));\n",
        "",
        SECRETS,
    ),
    Mutation(
        "strings with base64 are not looked into without a keyword",
        f"{REDACT}/members.rs",
        "        encoded::each_run(text, |run| flags.add(run.start));\n",
        "",
        SECRETS,
    ),
    Mutation(
        "no look behind escapes",
        f"{REDACT}/text.rs",
        "            search.in_escapes(layer);\n",
        "",
        SECRETS,
    ),
    Mutation(
        "no look between the codes of colours",
        f"{REDACT}/text.rs",
        "            search.in_colours(layer);\n",
        "",
        SECRETS,
    ),
    Mutation(
        "layers are looked into, one too few",
        f"{REDACT}/text.rs",
        "        if layer < MAX_LAYERS {\n            search.in_escapes(layer);",
        "        if layer < MAX_LAYERS - 1 {\n            search.in_escapes(layer);",
        UNITS,
    ),
    # Markers.
    Mutation(
        "a marker hides the secret beside it",
        f"{REDACT}/text.rs",
        "            search.beside_markers(&markers, layer);\n",
        "",
        UNITS,
    ),
    Mutation(
        "whatever looks like a marker is one",
        f"{REDACT}/marker.rs",
        "length(&text[at + OPENING.len()..], &is_id)",
        "length(&text[at + OPENING.len()..], &|_: &str| true || is_id(\"\"))",
        UNITS,
    ),
    Mutation(
        "a text that does not settle is let through",
        f"{REDACT}/engine.rs",
        "        Some(self.marker(self.unsettled, hash, tally))\n",
        "        let _ = (self.unsettled, hash);\n        settled\n",
        UNITS,
    ),
    # Names.
    Mutation(
        "a word that is harmless at a name's begin is so within others",
        f"{REDACT}/names.rs",
        "Stem::Harmless => is_harmless |= words.bounds.contains(&at),",
        "Stem::Harmless => is_harmless |= at < usize::MAX,",
        UNITS,
    ),
    Mutation(
        "a listed name is like any other",
        f"{REDACT}/names.rs",
        "return Some(Strength::Listed);",
        "return Some(Strength::Any);",
        UNITS,
    ),
    Mutation(
        "a schema's descriptions are secrets",
        f"{REDACT}/members.rs",
        "Kind::Object if !is_schema(value) => {",
        "Kind::Object if !is_schema(value) || true => {",
        CLEAN,
    ),
    Mutation(
        "a type before a value is one",
        f"{REDACT}/assigned.rs",
        "        (!is_type).then_some((begin..end, false))\n",
        "        (!is_type || true).then_some((begin..end, false))\n",
        CLEAN,
    ),
    Mutation(
        "of a long value only the begin goes",
        f"{REDACT}/assigned.rs",
        "self.found_end = self.open_end(bytes, value.end, bytes.len());",
        "self.found_end = value.end;",
        UNITS,
    ),
    Mutation(
        "placeholders are secrets to a pattern",
        f"{REDACT}/rules.rs",
        "is_secret && !is_placeholder(&text) && ",
        "is_secret && ",
        CLEAN,
    ),
    # Commands.
    Mutation(
        "a wrapper's subcommand is not read",
        f"{SHELL}/unwrap.rs",
        "            return self.unwrap_from(id, &wrapper, begin, dialect);\n",
        "            let _ = (wrapper, begin);\n            return;\n",
        COMMANDS,
    ),
    Mutation(
        "what asks where a program is runs it",
        f"{SHELL}/unwrap.rs",
        "        if self.is_query(&command) {",
        "        if self.is_query(&command) && false {",
        COMMANDS,
    ),
    Mutation(
        "an option's value is taken for the command",
        f"{SHELL}/unwrap.rs",
        "at += if takes_next(value, valued) { 2 } else { 1 };",
        "at += if takes_next(value, valued) && false { 2 } else { 1 };",
        COMMANDS,
    ),
    Mutation(
        "what echo prints is not seen",
        f"{SHELL}/unwrap.rs",
        "        self.see_through_echo(id);\n",
        "",
        COMMANDS,
    ),
    Mutation(
        "a heredoc with a quoted delimiter is run",
        f"{SHELL}/heredoc.rs",
        "            if !heredoc.is_literal {",
        "            if !heredoc.is_literal || true {",
        COMMANDS,
    ),
    Mutation(
        "a directory that a subshell went to stays",
        f"{RISK}/assess.rs",
        "            self.leave_subshells(&command);\n",
        "",
        COMMANDS,
    ),
    Mutation(
        "options that make a command harmless do not count",
        f"{RISK}/matching.rs",
        "        && !has_any(&rule.without, view)\n",
        "",
        COMMANDS,
    ),
    Mutation(
        "a statement counts whatever it is limited to",
        f"{RISK}/statement.rs",
        "begins && !words.any(|word| self.without.iter().any(|it| word.eq_ignore_ascii_case(it)))",
        "let _ = &self.without;\n        begins",
        COMMANDS,
    ),
    # Members.
    Mutation(
        "an escape behind a backslash is not noted",
        f"{DOCUMENT}/scan.rs",
        "                self.seen.has_hiding_escapes |= hides(self.input.get(self.at));\n",
        "",
        READING,
    ),
    Mutation(
        "a key with an escape in it is of one kind",
        f"{DOCUMENT}/scan.rs",
        "        let kind = is_plain.then(|| KeyKind::of(&self.input[begin..self.at - 1]));",
        "        let kind = Some(is_plain).map(|_| KeyKind::of(&self.input[begin..self.at - 1]));",
        READING,
    ),
    Mutation(
        "a key that was replaced is not found",
        f"{DOCUMENT}/value.rs",
        "if may_have || *has_other_keys { self.find(key) } else { None }",
        "if may_have { self.find(key) } else { None }",
        READING,
    ),
    Mutation(
        "a text with escapes is another one",
        f"{DOCUMENT}/value.rs",
        "const MAX_ESCAPE_BYTES: usize = 6;",
        "const MAX_ESCAPE_BYTES: usize = 1;",
        READING,
    ),
    # Reports.
    Mutation(
        "the same bytes a day later are a duplicate",
        "pipeline/src/activity.rs",
        "Sameness::Bytes => is_near,",
        "Sameness::Bytes => is_near || true,",
        REPORTS,
    ),
    Mutation(
        "the same deed under the same name is a duplicate",
        "pipeline/src/activity.rs",
        "Sameness::Deed => is_near && own_name != earlier.own_name,",
        "Sameness::Deed => is_near,",
        REPORTS,
    ),
    Mutation(
        "a call is found by another one's id",
        "pipeline/src/activity.rs",
        "calls.into_iter().find(|call| call.may_be(id)).cloned()",
        "calls.into_iter().find(|call| call.may_be(id) || true).cloned()",
        REPORTS,
    ),
    # Content.
    Mutation(
        "what nobody knows the meaning of is kept",
        "pipeline/src/keep.rs",
        "            is_long && !facts.knows(value.id())\n",
        "            is_long && !facts.knows(value.id()) && false\n",
        EVENTS,
    ),
    Mutation(
        "a hook's argument is kept that holds JSON",
        "pipeline/src/keep.rs",
        "self.is_all() || !argument.trim_ascii_start().starts_with(b\"{\")",
        "self.is_all() || !argument.starts_with(b\"{\")",
        EVENTS,
    ),
    Mutation(
        "a directory with a secret in it is written as it is",
        "pipeline/src/texts.rs",
        "                    return cleaned;\n",
        "",
        EVENTS,
    ),
    Mutation(
        "a directory stays clean when the rules are others",
        "pipeline/src/pipeline.rs",
        "        self.clean_directory.clear();\n",
        "",
        EVENTS,
    ),
]

EQUIVALENT = [
    Equivalent(
        "that a key was replaced is not forgotten with the document",
        "pipeline/src/document.rs",
        "    pub fn parse(&mut self, input: &[u8]) -> Result<(), NotJson> {\n"
        "        self.replaced.clear();\n        self.has_other_keys = false;\n",
        "members are then looked for one by one, which finds the same and takes longer",
    ),
    Equivalent(
        "a pattern is asked for its groups before it is asked whether it matches",
        f"{REDACT}/text.rs",
        "    if !rule.regex().is_match(bytes) {\n        return None;\n    }\n",
        "only the time differs",
    ),
]
