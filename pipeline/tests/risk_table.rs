//! The table of rules in docs/risk.md is the one that the rules give. `UPDATE_DOCS=1` writes it anew.

use std::path::Path;

use hookring_pipeline::risk::built_in_rules;

const BEGIN: &str = "<!-- rules: generated, see pipeline/tests/risk_table.rs -->\n";
const END: &str = "<!-- end of rules -->\n";

#[test]
fn rules_are_listed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/risk.md");
    let text = std::fs::read_to_string(&path).expect("docs/risk.md");
    let (before, rest) = text.split_once(BEGIN).expect("the line before the table");
    let (listed, after) = rest.split_once(END).expect("the line behind the table");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = [before, BEGIN, &table, END, after].concat();
        std::fs::write(&path, text).expect("docs/risk.md is written");
    } else {
        assert!(listed == table, "docs/risk.md is not up to date; run this with UPDATE_DOCS=1");
    }
}

fn table() -> String {
    let mut table = String::from("| rule | level | finds |\n|---|---|---|\n");
    for rule in built_in_rules() {
        let (id, level, description) = (rule.id, rule.level.name(), rule.description);
        table.push_str(&format!("| `{id}` | {level} | {description} |\n"));
    }
    table
}
