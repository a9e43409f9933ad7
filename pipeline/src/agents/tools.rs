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

/// What a tool of this name does. One that nobody knows is taken for one that changes nothing.
pub(super) fn operation(name: &str) -> Operation {
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

/// What a tool of an MCP server does, as the words of its own name say it; if they do not, it reaches another
/// program: network.
pub(super) fn servers_operation(name: &str) -> Operation {
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&&**word));
    if has(WRITES) {
        Operation::Write
    } else if has(&["read"]) || has(READS) && has(FILES) {
        Operation::Read
    } else {
        Operation::Network
    }
}

const WRITES: &[&str] = &[
    "append",
    "copy",
    "create",
    "delete",
    "edit",
    "insert",
    "mkdir",
    "move",
    "overwrite",
    "patch",
    "remove",
    "rename",
    "replace",
    "update",
    "write",
];

/// These read files where one of [`FILES`] stands beside them; else they may ask for anything.
const READS: &[&str] = &["find", "get", "grep", "list", "open", "search", "show", "stat", "view"];

const FILES: &[&str] =
    &["dir", "directories", "directory", "file", "files", "folder", "folders", "path", "tree"];

/// The words of a name, in lower case: `read_file`, `read-file` and `readFile` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars().take(MAX_NAME_CHARS) {
        if !letter.is_alphanumeric() || letter.is_uppercase() && was_lower {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
        was_lower = letter.is_lowercase();
    }
    words
}

/// The own name of a tool of a server, as Claude Code (`mcp__server__tool`), Gemini CLI (`mcp_server_tool`),
/// Cursor (`MCP:tool`) and Kiro (`@server/tool`) name them.
pub(super) fn of_a_server(name: &str) -> Option<&str> {
    if let Some(named) = name.strip_prefix("mcp__") {
        return Some(named.rsplit_once("__").map_or(named, |(_, own)| own));
    }
    if let Some(named) = name.strip_prefix("mcp_") {
        return Some(named.split_once('_').map_or(named, |(_, own)| own));
    }
    if let Some(named) = name.strip_prefix('@') {
        return Some(named.rsplit_once('/').map_or("", |(_, own)| own));
    }
    name.strip_prefix("MCP:")
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
        assert_eq!(operation("WebFetch"), Operation::Network);
        for name in ["TodoWrite", "Task", "", "never heard of it"] {
            assert_eq!(operation(name), Operation::Metadata, "{name}");
        }
    }

    #[test]
    fn the_own_name_of_a_servers_tool_says_what_it_does() {
        for (name, operation) in [
            ("mcp__fs__read_file", Operation::Read),
            ("mcp__fs__readMultipleFiles", Operation::Read),
            ("MCP:list_directory", Operation::Read),
            ("mcp_fs_search_files", Operation::Read),
            ("mcp__fs__write_file", Operation::Write),
            ("mcp__fs__read_and_delete", Operation::Write),
            ("mcp__memory__create_entities", Operation::Write),
            ("@fs/moveFile", Operation::Write),
            ("mcp__write__query", Operation::Network),
            ("mcp__github__list_issues", Operation::Network),
            ("mcp__a__creates", Operation::Network),
            ("mcp_create_find", Operation::Network),
            ("@git/status", Operation::Network),
            ("@create", Operation::Network),
            ("MCP:search", Operation::Network),
            ("mcp__", Operation::Network),
        ] {
            assert_eq!(of_a_server(name).map(servers_operation), Some(operation), "{name}");
        }
        for name in ["read_file", "Bash", "mcp", ""] {
            assert_eq!(of_a_server(name), None, "{name}");
        }
    }
}
