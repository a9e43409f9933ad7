//! Where a path leads, without looking at the file system: to the root, a home, the system, a device,
//! in or out of the working directory.

use crate::shell::Flags;

/// What a path is, as bits.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Kinds(pub(super) u16);

impl Kinds {
    pub(super) const ROOT: Kinds = Kinds(1);
    pub(super) const HOME: Kinds = Kinds(1 << 1);
    pub(super) const SYSTEM: Kinds = Kinds(1 << 2);
    pub(super) const CWD: Kinds = Kinds(1 << 3);
    pub(super) const PARENT: Kinds = Kinds(1 << 4);
    pub(super) const DEVICE: Kinds = Kinds(1 << 5);
    pub(super) const OUTSIDE: Kinds = Kinds(1 << 6);
    /// What it is stands elsewhere: in a variable, or in what another command prints.
    pub(super) const UNSEEN: Kinds = Kinds(1 << 7);
    /// It is all of the root if a variable is empty.
    pub(super) const EMPTY_VARIABLE: Kinds = Kinds(1 << 8);
    pub(super) const TEMPORARY: Kinds = Kinds(1 << 9);

    pub(super) fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }
}

/// Against what paths are read.
#[derive(Copy, Clone, Default)]
pub(super) struct Surroundings<'a> {
    /// The session's working directory, which is what outside means.
    pub(super) working_directory: Option<&'a str>,
    /// Where relative paths begin now: after `cd`.
    pub(super) current: Option<&'a str>,
    pub(super) home: Option<&'a str>,
}

/// Finds out what a path is, and writes it to `normal`: absolute where that is known, without `.`, `..`
/// and a last component that means everything.
pub(super) fn locate(
    text: &str,
    flags: Flags,
    around: &Surroundings<'_>,
    normal: &mut String,
) -> Kinds {
    normal.clear();
    let Begin { base, rest, kinds } = begin(text, flags, around);
    for part in [base.unwrap_or_default(), rest] {
        if normal.is_empty() && part.starts_with('/') {
            normal.push('/');
        }
        for component in part.split(['/', '\\']) {
            push_component(normal, first_alternative(component, flags));
        }
    }
    if flags.has(Flags::GLOB) {
        drop_everything(normal);
    }
    match kinds {
        Some(kinds) => kinds,
        None => kinds_of(normal, around),
    }
}

/// What stands behind a home in a normal path.
pub(super) fn below_home<'n>(normal: &'n str, home: Option<&str>) -> Option<&'n str> {
    if let Some(rest) = normal.strip_prefix("~/") {
        return Some(rest);
    }
    if let Some(rest) = home.and_then(|home| below(normal, home)) {
        return Some(rest);
    }
    if let Some(rest) = normal.strip_prefix("/root/") {
        return Some(rest);
    }
    let rest = normal.strip_prefix("/home/").or_else(|| normal.strip_prefix("/Users/"))?;
    rest.split_once('/').map(|(_, rest)| rest)
}

/// What a path begins with.
struct Begin<'a> {
    base: Option<&'a str>,
    rest: &'a str,
    /// What is known without looking further.
    kinds: Option<Kinds>,
}

fn begin<'a>(text: &'a str, flags: Flags, around: &Surroundings<'a>) -> Begin<'a> {
    let known = |base, rest| Begin { base, rest, kinds: None };
    let home = around.home.unwrap_or("~");
    if flags.has(Flags::TILDE) {
        let rest = &text[1..];
        return match rest.split_once('/') {
            _ if rest.is_empty() => known(Some(home), ""),
            Some(("", rest)) => known(Some(home), rest),
            // Another user's.
            Some((_, rest)) => known(Some("/home/user"), rest),
            None => known(Some("/home/user"), ""),
        };
    }
    if let Some(inside) = text.strip_prefix('$')
        && (flags.has(Flags::UNKNOWN) || flags.has(Flags::OUTPUT))
    {
        return begin_variable(inside, around, home);
    }
    if flags.has(Flags::OUTPUT) && text.starts_with('`') {
        return Begin { base: None, rest: "", kinds: Some(Kinds::UNSEEN) };
    }
    if let [letter, b':', rest @ ..] = text.as_bytes()
        && letter.is_ascii_alphabetic()
        && matches!(rest.first(), None | Some(b'/' | b'\\'))
    {
        return known(Some("/"), &text[2..]);
    }
    if text.starts_with('/') { known(None, text) } else { known(around.current, text) }
}

/// A path that begins with a variable, or with what a command prints.
fn begin_variable<'a>(inside: &'a str, around: &Surroundings<'a>, home: &'a str) -> Begin<'a> {
    let name_end = inside.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    let (name, rest) = inside.split_at(name_end.unwrap_or(inside.len()));
    let rest_of = |rest: &'a str| rest.trim_start_matches('/');
    match name {
        "HOME" | "USERPROFILE" => {
            return Begin { base: Some(home), rest: rest_of(rest), kinds: None };
        }
        "PWD" => return Begin { base: around.current, rest: rest_of(rest), kinds: None },
        "TMPDIR" => return Begin { base: Some("/tmp"), rest: rest_of(rest), kinds: None },
        _ => {}
    }
    if let Some(rest) = inside.strip_prefix("(pwd)") {
        return Begin { base: around.current, rest: rest_of(rest), kinds: None };
    }
    let (is_guarded, rest) = match inside.strip_prefix('{').and_then(|it| it.split_once('}')) {
        Some((name, rest)) => (name.contains('?'), rest),
        None => (inside.starts_with('('), rest),
    };
    let is_all = matches!(rest, "/" | "/*" | "/.*" | "/**");
    let kinds = if is_all && !is_guarded { Kinds::EMPTY_VARIABLE } else { Kinds::UNSEEN };
    Begin { base: Some("$"), rest, kinds: Some(kinds) }
}

fn push_component(normal: &mut String, component: &str) {
    match component {
        "" | "." => {}
        ".." => match normal.rfind('/') {
            // Above the root is the root.
            Some(0) => normal.truncate(1),
            Some(at) if !normal.ends_with("..") => normal.truncate(at),
            None if !normal.is_empty() && !matches!(normal.as_str(), ".." | "~" | "$") => {
                normal.clear();
            }
            _ => append(normal, ".."),
        },
        _ => append(normal, component),
    }
}

fn append(normal: &mut String, component: &str) {
    if !normal.is_empty() && !normal.ends_with('/') {
        normal.push('/');
    }
    normal.push_str(component);
}

/// `{a,b}` is taken for what it begins with.
fn first_alternative(component: &str, flags: Flags) -> &str {
    match component.strip_prefix('{') {
        Some(inside) if flags.has(Flags::GLOB) => {
            inside.split([',', '}']).find(|it| !it.is_empty()).unwrap_or(component)
        }
        _ => component,
    }
}

/// Takes a last component away that means all that is there.
fn drop_everything(normal: &mut String) {
    let last = normal.rfind('/').map_or(0, |slash| slash + 1);
    let is_all = matches!(&normal[last..], "*" | ".*" | "**" | "*.*" | ".[!.]*" | ".??*" | "?*");
    if is_all {
        normal.truncate(last);
        if normal.len() > 1 && normal.ends_with('/') {
            normal.pop();
        }
    }
}

fn kinds_of(normal: &str, around: &Surroundings<'_>) -> Kinds {
    let Some(absolute) = normal.strip_prefix('/') else { return relative_kinds(normal) };
    if absolute.is_empty() {
        return Kinds::ROOT;
    }
    let base = around.working_directory.filter(|base| base.starts_with('/'));
    let base = base.map(|base| base.trim_end_matches('/'));
    let is_narrow = |base: &str| !is_home(base, around.home) && !base.is_empty();
    if let Some(base) = base
        && is_narrow(base)
        && below(normal, base).is_some()
    {
        return Kinds::default();
    }
    if is_home(normal, around.home) {
        return Kinds::HOME;
    }
    if let Some(kinds) = fixed_kinds(absolute, base == Some(normal)) {
        return kinds;
    }
    match base {
        Some(base) if base == normal => Kinds::CWD,
        Some(base) if below(base, normal).is_some() => Kinds::PARENT,
        Some(base) if below(normal, base).is_none() => Kinds::OUTSIDE,
        None if below_home(normal, around.home).is_some() => Kinds::OUTSIDE,
        _ => Kinds::default(),
    }
}

/// One whose beginning is not known: below a home, or below wherever it is.
fn relative_kinds(normal: &str) -> Kinds {
    match normal {
        "~" => Kinds::HOME,
        "" => Kinds::CWD,
        _ if normal.starts_with("~/") => Kinds::OUTSIDE,
        _ if normal.split('/').all(|component| component == "..") => Kinds::PARENT,
        _ if normal.starts_with("../") => Kinds::OUTSIDE,
        _ => Kinds::default(),
    }
}

/// Whether it is a user's home, or that of all.
fn is_home(normal: &str, home: Option<&str>) -> bool {
    if home.is_some_and(|home| home.trim_end_matches('/') == normal && normal.len() > 1) {
        return true;
    }
    match normal {
        "/root" | "/home" | "/Users" => true,
        _ => {
            let rest = normal.strip_prefix("/home/").or_else(|| normal.strip_prefix("/Users/"));
            rest.is_some_and(|rest| !rest.contains('/'))
        }
    }
}

/// What some places are on every machine. `absolute` is without its first slash.
fn fixed_kinds(absolute: &str, is_base: bool) -> Option<Kinds> {
    let mut components = absolute.split('/');
    let first = components.next().unwrap_or_default();
    let second = components.next();
    let depth = 1 + usize::from(second.is_some()) + components.count();
    let second = second.unwrap_or_default();
    let kinds = match (first, second) {
        ("tmp", _) | ("var" | "private", "tmp" | "folders") | ("dev", "shm") => Kinds::TEMPORARY,
        ("private", "var") => Kinds::TEMPORARY,
        ("dev", "null" | "stdin" | "stdout" | "stderr" | "tty" | "fd" | "tcp" | "udp" | "zero") => {
            Kinds::TEMPORARY
        }
        ("dev", "random" | "urandom" | "full") => Kinds::TEMPORARY,
        ("dev", "") => Kinds::SYSTEM,
        ("dev", name) if is_device(name) => Kinds::DEVICE,
        ("dev", _) => Kinds::TEMPORARY,
        ("proc" | "run", _) if depth > 1 => return None,
        ("var", "lib" | "spool") if depth <= 3 => Kinds::SYSTEM,
        ("usr", "local") if depth > 3 => {
            let is_path =
                ["usr/local/bin/", "usr/local/sbin/"].iter().any(|it| absolute.starts_with(it));
            return is_path.then_some(Kinds::SYSTEM);
        }
        ("usr", "src") if depth > 2 => return None,
        (
            "bin" | "sbin" | "boot" | "etc" | "lib" | "lib32" | "lib64" | "libx32" | "usr" | "sys",
            _,
        ) => Kinds::SYSTEM,
        ("System" | "Library" | "Windows" | "windows" | "Program Files", _) => Kinds::SYSTEM,
        // Directly below the root; a container's working directory may be there.
        _ if depth == 1 && !is_base => Kinds::SYSTEM,
        _ => return None,
    };
    Some(kinds)
}

/// Disks and memory.
fn is_device(name: &str) -> bool {
    const BEGINNINGS: [&str; 14] = [
        "sd", "hd", "vd", "xvd", "nvme", "mmcblk", "disk", "rdisk", "mapper", "dm-", "md", "mem",
        "kmem", "port",
    ];
    BEGINNINGS.iter().any(|it| name.starts_with(it))
}

/// What is left of a path behind a folder that it is in.
fn below<'n>(normal: &'n str, folder: &str) -> Option<&'n str> {
    normal.strip_prefix(folder.trim_end_matches('/'))?.strip_prefix('/')
}
