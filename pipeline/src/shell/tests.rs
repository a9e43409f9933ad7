//! How texts are read: what the words are, what is piped where, and what wrappers lead to.

use proptest::prelude::*;

use super::*;

/// The commands as their words, those that wrappers run included; words are told apart by `|`.
fn commands(text: &str) -> Vec<String> {
    let script = parse(text);
    let words = |command: &Command| {
        let words: Vec<_> = script.words(command).iter().map(|word| script.value(word)).collect();
        words.join("|")
    };
    script.commands().iter().map(words).collect()
}

#[track_caller]
fn assert_commands(text: &str, expected: &[&str]) {
    assert_eq!(commands(text), expected, "{text}");
}

#[test]
fn words_lose_their_quotes() {
    assert_commands(r#"a 'b c' "d \"e\" \x" f\ g h'i'"j""#, &[r#"a|b c|d "e" \x|f g|hij"#]);
    assert_commands(r"a $'b\tc\x41\'d' ''", &["a|b\tcA'd|"]);
    assert_commands("a \\\n b", &["a|b"]);
    assert_commands("r\\m -rf x", &["rm|-rf|x"]);
    assert_commands("a 'never closed", &["a|never closed"]);
    assert_commands("gr\u{fc}n '\u{e4} b' \\\u{f6}", &["gr\u{fc}n|\u{e4} b|\u{f6}"]);
}

#[test]
fn lists_are_split() {
    assert_commands("a; b && c || d & e\nf | g |& h", &["a", "b", "c", "d", "e", "f", "g", "h"]);
    assert_commands("a # b; c\nd#e", &["a", "d#e"]);
    assert_commands("(a; b) && { c; d; } | e", &["a", "b", "c", "d", "e"]);
    assert_commands("if a; then b; elif c; then d; else e; fi; f", &["a", "b", "c", "d", "e", "f"]);
    assert_commands("while read x; do a; done < f; b", &["read|x", "a", "", "b"]);
    assert_commands("case $1 in a|b) c;; *) d; e;; esac; f", &["c", "d", "e", "f"]);
    assert_commands("f() { a; }; function g { b; }; h", &["a", "b", "h"]);
    assert_commands("[[ -f a && b > c ]] && d", &["d"]);
    assert_commands("((i = a > b)); c $((1 + (2 * 3)))", &["c|$((1 + (2 * 3)))"]);
}

#[test]
fn pipes_and_groups_are_told() {
    let script = parse("{ a; b; } | c | d; e");
    let input = |at: u32| script.command(at).input;
    assert_eq!(input(0), Ids::default());
    assert_eq!(input(2), Ids { begin: 0, end: 2 });
    assert_eq!(input(3), Ids { begin: 2, end: 3 });
    assert_eq!(input(4), Ids::default());
    let script = parse("a |\n while read x; do b; c; done");
    assert_eq!(script.program(script.command(3)), Some("c"));
    assert_eq!(script.command(3).input, Ids { begin: 0, end: 1 });
}

#[test]
fn variables_are_followed() {
    assert_commands("X=/; rm -rf $X", &["", "rm|-rf|/"]);
    assert_commands("X='rm -rf /'; $X \"$X\"", &["", "rm|-rf|/|rm -rf /"]);
    assert_commands(
        "export A=b; echo ${A}c ${B} ${B:-d} ${A:-e}",
        &["export|A=b", "echo|bc|${B}|d|b"],
    );
    assert_commands("A=(b 'c d'); e ${A[@]}", &["", "e|b|c|d"]);
    assert_commands("for d in / /home; do rm $d; done", &["rm|/|/home"]);
    assert_commands("rm${IFS}-rf${IFS}/", &["rm|-rf|/"]);
    assert_commands("echo '$A' $1 $? $", &["echo|$A|$1|$?|$"]);
}

#[test]
fn redirections_are_no_words() {
    let script = parse("a <b >c 2>>d 3>&1 &>e >|f g 2>&- >&h");
    let all: Vec<_> = script
        .redirects(script.command(0))
        .iter()
        .map(|it| (it.operator, script.value(&it.target)))
        .collect();
    use Operator::{Append, Duplicate, Read, Write};
    let expected = [
        (Read, "b"),
        (Write, "c"),
        (Append, "d"),
        (Duplicate, "1"),
        (Write, "e"),
        (Write, "f"),
        (Duplicate, "-"),
        (Write, "h"),
    ];
    assert_eq!(all, expected);
    assert_eq!(script.words(script.command(0)).len(), 2);
}

#[test]
fn heredocs_are_data_or_code() {
    assert_commands("cat <<EOF\nrm -rf /\nEOF\nb", &["cat", "b"]);
    assert_commands("cat <<'E' | sh\nrm -rf /\nE\n", &["cat", "sh", "rm|-rf|/"]);
    assert_commands("sh <<-E\n\trm x\n\tE\nb", &["sh", "b", "rm|x"]);
    assert_commands("cat <<E\n$(a) `b`\nE", &["cat", "a", "b"]);
    assert_commands("cat <<'E'\n$(a)\nE", &["cat"]);
    assert_commands("bash <<< 'a b'", &["bash", "a|b"]);
}

#[test]
fn substitutions_are_read() {
    assert_commands("a $(b $(c)) \"$(d)\" `e`", &["a|$(b $(c))|$(d)|`e`", "b|$(c)", "c", "d", "e"]);
    assert_commands("a <(b) >(c) < <(d)", &["a|<(b)|>(c)", "b", "c", "d"]);
    assert_commands("a ${X:-$(b)}", &["a|$(b)", "b"]);
    assert_commands("a `b \\`c\\``", &["a|`b \\`c\\``", "b|`c`", "c"]);
    let script = parse("a $(b)");
    assert_eq!(script.words(script.command(0))[1].nested, Some(1));
    assert_eq!(script.command(1).parent, Some(0));
}

/// What is run in the end.
#[track_caller]
fn assert_runs(text: &str, expected: &str) {
    assert_eq!(commands(text).last().map(String::as_str), Some(expected), "{text}");
}

#[test]
fn wrappers_lead_to_commands() {
    for text in [
        "sudo rm -rf /",
        "sudo -u x env A=1 timeout -k 5 5 rm -rf /",
        "sudo -nu root -- rm -rf /",
        "env -u A -i B=c rm -rf /",
        "env -S 'rm -rf /'",
        "nohup nice -n 5 ionice -c2 -n7 setsid stdbuf -oL rm -rf /",
        "command exec time -p rm -rf /",
        "xargs -0 -I {} -P4 rm -rf /",
        "find . -name x -exec rm -rf / ';'",
        "find . -type f -exec rm -rf / +",
        "bash -lc 'rm -rf /'",
        "sh -e -o pipefail -c \"rm -rf /\" name",
        "ssh -p 22 -i k user@host rm -rf /",
        "ssh host 'rm -rf /'",
        "su - user -c 'rm -rf /'",
        "docker exec -it -u root name rm -rf /",
        "docker compose exec web rm -rf /",
        "docker run --rm -v /:/host image rm -rf /",
        "kubectl exec -n space pod -c main -- rm -rf /",
        "eval 'rm -rf' /",
        "eval \"$(echo rm -rf /)\"",
        "python3.12 -c 'import os; os.system(\"rm -rf /\")'",
        "python -c 'import subprocess as s; s.run([\"rm\", \"-rf\", \"/\"])'",
        "perl -e 'system(\"rm -rf /\")'",
        "ruby -e '`rm -rf /`'",
        "node -e 'require(\"child_process\").execSync(\"rm -rf /\")'",
        "echo cm0gLXJmIC8= | base64 -d | sh",
        "base64 --decode <<< cm0gLXJmIC8= | bash",
        "echo 726d202d7266202f | xxd -r -p | sh",
        "bash <(echo cm0gLXJmIC8= | base64 -d)",
        "printf 'rm -rf \\x2f' | sh",
        "$(echo rm) -rf /",
        "watch -n1 rm -rf /",
        "trap 'rm -rf /' EXIT",
        "alias x='rm -rf /'",
        "busybox rm -rf /",
        "pwsh -Command rm -rf /",
    ] {
        assert_runs(text, "rm|-rf|/");
    }
}

#[test]
fn code_is_read_and_its_strings_are_not() {
    assert_runs("python3 -c \"import shutil; shutil.rmtree('/')\"", "rm|-r|-f|/");
    assert_runs("python3 <<E\nimport shutil\nshutil.rmtree('/x')\nE", "rm|-r|-f|/x");
    assert_commands("python3 -c \"print('os.system(1)')\"", &["python3|-c|print('os.system(1)')"]);
}

#[test]
fn marks_of_secrets_are_characters() {
    assert_commands(
        "curl -H 'A: [redacted:generic-key:1a2b]' [redacted:url:3c] $X",
        &["curl|-H|A: [redacted:generic-key:1a2b]|[redacted:url:3c]|$X"],
    );
    let script = parse("a [redacted:x:y]");
    assert_eq!(script.words(script.command(0))[1].flags, Flags::NONE);
}

#[test]
fn limits_are_kept_and_said() {
    let deep = "$(".repeat(400);
    assert!(parse(&deep).is_cut());
    assert!(parse(&"a;".repeat(MAX_COMMANDS + 1)).is_cut());
    assert!(parse(&"a".repeat(MAX_BYTES + 1)).is_cut());
    assert!(!parse(&"a".repeat(MAX_BYTES)).is_cut());
    assert!(parse(&format!("{}\u{e4}", "a".repeat(MAX_BYTES - 1))).is_cut());
    for many in ["a `b` ", "a $(b) ", "sh -c a;", "sudo a;", "python -c 'system(\"a\")';"] {
        let text = many.repeat(MAX_COMMANDS + 1);
        let script = parse(&text);
        assert!(script.is_cut(), "{many}");
        check(&script, &text);
    }
    assert!(parse(&"sudo ".repeat(100)).is_cut());
    let bomb = format!("A=xxxxxxxxxx; {}echo $A", "A=$A$A$A$A; ".repeat(40));
    let script = parse(&bomb);
    assert!(script.is_cut() && script.buffer.len() <= bomb.len() + MAX_DERIVED_BYTES);
    assert!(!parse("a").is_cut());
}

/// Text that has something of a shell's in it.
fn shell_like() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a",
        "rm",
        "-rf",
        "/",
        " ",
        "\n",
        ";",
        "|",
        "&",
        "(",
        ")",
        "{",
        "}",
        "<",
        ">",
        "<<E",
        "E\n",
        "'",
        "\"",
        "`",
        "$",
        "$(",
        "$((",
        "${",
        "X=",
        "$X",
        "\\",
        "#",
        "~",
        "*",
        "sh -c ",
        "eval ",
        "for ",
        "in ",
        "case ",
        "esac",
        "done",
        "sudo ",
        "find -exec ",
        "python -c ",
        "os.system(",
        "echo ",
        "\u{e4}",
        "base64 -d",
        "[[",
        "]]",
        "xargs ",
        "$'",
        "\\x",
        "\r",
        "<(",
        "function ",
        "()",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

/// All that is said of a text lies within what was read.
fn check(script: &Script, text: &str) {
    assert!(script.buffer.starts_with(text));
    assert!(script.buffer.len() <= text.len() + MAX_DERIVED_BYTES);
    assert!(script.commands().len() <= MAX_COMMANDS);
    for command in script.commands() {
        script.text(command.source);
        for word in script.words(command) {
            script.text(word.source);
            script.value(word);
            assert!(word.nested.is_none_or(|id| (id as usize) < script.commands.len()));
        }
        for redirect in script.redirects(command) {
            script.value(&redirect.target);
            script.body(redirect);
        }
        for assignment in script.assignments(command) {
            script.text(assignment.name);
            script.value(&assignment.value);
        }
        assert!(command.input.end as usize <= script.commands.len());
        assert!(command.unwrapped.end as usize <= script.commands.len());
        assert!(command.depth <= 2 * MAX_DEPTH);
    }
    for function in script.functions() {
        assert!(function.body.end as usize <= script.commands.len());
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in any::<String>()) {
        check(&parse(&text), &text);
    }

    #[test]
    fn any_script_is_read(text in shell_like()) {
        let mut script = Script::default();
        for dialect in [Dialect::Posix, Dialect::Windows] {
            script.read(&text, dialect);
            check(&script, &text);
        }
    }
}
