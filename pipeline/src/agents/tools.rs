//! What a tool does, by its name.

use hookring_journal::model::Operation;

/// Names of tools, in lower case and without separators, so that `read_file`, `ReadFile` and
/// `readFile` are one.
const TOOLS: &[(&str, Operation)] = &[
    ("applypatch", Operation::Write),
    ("create", Operation::Write),
    ("createfile", Operation::Write),
    ("delete", Operation::Write),
    ("deletefile", Operation::Write),
    ("edit", Operation::Write),
    ("editfile", Operation::Write),
    ("editor", Operation::Write),
    ("editfiles", Operation::Write),
    ("editnotebookfile", Operation::Write),
    ("fswrite", Operation::Write),
    ("inserteditintofile", Operation::Write),
    ("multiedit", Operation::Write),
    ("multireplacestringinfile", Operation::Write),
    ("notebookedit", Operation::Write),
    ("patch", Operation::Write),
    ("replace", Operation::Write),
    ("replaceinfile", Operation::Write),
    ("replacestring", Operation::Write),
    ("replacestringinfile", Operation::Write),
    ("searchreplace", Operation::Write),
    ("strreplace", Operation::Write),
    ("strreplacebasededittool", Operation::Write),
    ("undoedit", Operation::Write),
    ("write", Operation::Write),
    ("writefile", Operation::Write),
    ("writetofile", Operation::Write),
    ("codebasesearch", Operation::Read),
    ("fileglob", Operation::Read),
    ("filesearch", Operation::Read),
    ("findfiles", Operation::Read),
    ("findtextinfiles", Operation::Read),
    ("fsread", Operation::Read),
    ("glob", Operation::Read),
    ("grep", Operation::Read),
    ("grepsearch", Operation::Read),
    ("list", Operation::Read),
    ("listdir", Operation::Read),
    ("listdirectory", Operation::Read),
    ("listfiles", Operation::Read),
    ("ls", Operation::Read),
    ("lsp", Operation::Read),
    ("notebookread", Operation::Read),
    ("read", Operation::Read),
    ("readfile", Operation::Read),
    ("readlints", Operation::Read),
    ("readmanyfiles", Operation::Read),
    ("searchfilecontent", Operation::Read),
    ("searchfiles", Operation::Read),
    ("semanticsearch", Operation::Read),
    ("view", Operation::Read),
    ("viewimage", Operation::Read),
    ("bash", Operation::Execute),
    ("bashoutput", Operation::Execute),
    ("exec", Operation::Execute),
    ("execcommand", Operation::Execute),
    ("execute", Operation::Execute),
    ("executebash", Operation::Execute),
    ("executecommand", Operation::Execute),
    ("killbash", Operation::Execute),
    ("killshell", Operation::Execute),
    ("localshell", Operation::Execute),
    ("monitor", Operation::Execute),
    ("powershell", Operation::Execute),
    ("runcommand", Operation::Execute),
    ("runinterminal", Operation::Execute),
    ("runshellcommand", Operation::Execute),
    ("runterminalcmd", Operation::Execute),
    ("runterminalcommand", Operation::Execute),
    ("shell", Operation::Execute),
    ("shellcommand", Operation::Execute),
    ("terminal", Operation::Execute),
    ("unifiedexec", Operation::Execute),
    ("writestdin", Operation::Execute),
    ("browser", Operation::Network),
    ("browseraction", Operation::Network),
    ("fetch", Operation::Network),
    ("fetchurl", Operation::Network),
    ("fetchwebpage", Operation::Network),
    ("googlewebsearch", Operation::Network),
    ("urlfetch", Operation::Network),
    ("useaws", Operation::Network),
    ("usemcptool", Operation::Network),
    ("webfetch", Operation::Network),
    ("websearch", Operation::Network),
];

/// What a tool of this name does. One of an MCP server reaches another program: network. One that
/// nobody knows is taken for one that changes nothing.
pub(super) fn operation(name: &str) -> Operation {
    if is_of_a_server(name) {
        return Operation::Network;
    }
    // `functions.apply_patch`, `copilot_replaceString`
    let name = name.rsplit('.').next().unwrap_or(name);
    let name = name.strip_prefix("copilot_").unwrap_or(name);
    let plain: String = name
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .take(MAX_NAME_CHARS)
        .flat_map(char::to_lowercase)
        .collect();
    let known = TOOLS.iter().find(|(tool, _)| *tool == plain);
    known.map_or(Operation::Metadata, |(_, operation)| *operation)
}

/// Longer names are of no tool in the list.
const MAX_NAME_CHARS: usize = 64;

/// As Claude Code (`mcp__server__tool`), Cursor (`MCP:tool`) and Kiro (`@server/tool`) name them.
fn is_of_a_server(name: &str) -> bool {
    name.starts_with("mcp__")
        || name.starts_with("mcp_")
        || name.starts_with("MCP:")
        || name.starts_with('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_however_it_is_written() {
        for name in ["read_file", "ReadFile", "readFile", "Read"] {
            assert_eq!(operation(name), Operation::Read, "{name}");
        }
        for name in ["Bash", "run_in_terminal", "run_shell_command", "Execute"] {
            assert_eq!(operation(name), Operation::Execute, "{name}");
        }
        for name in ["mcp__memory__create", "WebFetch", "@git/status", "MCP:search"] {
            assert_eq!(operation(name), Operation::Network, "{name}");
        }
        for name in ["TodoWrite", "Task", "", "never heard of it"] {
            assert_eq!(operation(name), Operation::Metadata, "{name}");
        }
    }
}
