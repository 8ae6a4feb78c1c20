//! The house rules that a program can hold: lengths, directions, purity, words not to be used.
//!
//! A function that is one flat table may be longer than a screen: write `// tidy: flat table` on
//! the line above its signature, attributes included.

use std::{
    fs,
    path::{Path, PathBuf},
};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 400;
const COLUMNS_MAX: usize = 100;
const TABLE_MARK: &str = "// tidy: flat table";

/// A crate of the workspace, with the rules that are its own.
struct House {
    /// Its code, from the root of the workspace.
    source: &'static str,
    /// Whether it is built in floors.
    floors: bool,
    /// Where `unsafe` may stand.
    unsafe_room: &'static str,
    confined: &'static [(&'static str, &'static [&'static str])],
    forbidden: &'static [(&'static str, &'static [&'static str])],
}

const HOUSES: &[House] = &[
    House {
        source: "src/",
        floors: true,
        unsafe_room: "shell/",
        confined: CONFINED,
        forbidden: FORBIDDEN,
    },
    House {
        source: "loadtest/src/",
        floors: false,
        unsafe_room: "ring/",
        confined: LOADTEST_CONFINED,
        forbidden: LOADTEST_FORBIDDEN,
    },
    House {
        source: "tests/sim/src/",
        floors: false,
        unsafe_room: "nowhere/",
        confined: SIM_CONFINED,
        forbidden: SIM_FORBIDDEN,
    },
];

/// Imports only point down, and the modules of floor 2 do not import each other.
const FLOORS: &[(&str, u8)] = &[
    ("time", 0),
    ("random", 0),
    ("limits", 0),
    ("mail", 1),
    ("smtp", 2),
    ("imap", 2),
    ("pop3", 2),
    ("dns", 2),
    ("queue", 2),
    ("store", 2),
    ("relay", 3),
    ("config", 3),
    ("shell", 4),
    ("cli", 5),
    ("main", 5),
];

/// Where a path may be named: a folder or a file below `src/`, or any of several.
const CONFINED: &[(&str, &[&str])] = &[
    ("hickory_proto", &["dns/wire.rs"]),
    ("heed", &["shell/"]),
    ("tokio_uring", &["shell/"]),
    ("tokio", &["shell/"]),
    ("io_uring", &["shell/"]),
    ("rustix", &["shell/"]),
    ("socket2", &["shell/"]),
    ("signal_hook", &["shell/"]),
    ("libc", &["shell/"]),
    ("clap", &["cli/", "main.rs"]),
    ("std::time::Instant", IMPURE),
    ("std::time::SystemTime", IMPURE),
    ("std::fs", IMPURE),
    ("std::thread", IMPURE),
    ("std::env", IMPURE),
    ("std::process", IMPURE),
    ("std::net::TcpStream", IMPURE),
    ("std::net::TcpListener", IMPURE),
    ("std::net::UdpSocket", IMPURE),
    ("std::os", IMPURE),
    ("std::io::stdin", IMPURE),
    ("std::io::stdout", IMPURE),
    ("std::io::stderr", IMPURE),
];

const IMPURE: &[&str] = &["shell/", "cli/", "main.rs"];

/// What ends the process or speaks past the log, and where it may stand all the same.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (".unwrap()", &[]),
    (".expect(", &[]),
    ("panic!", &[]),
    ("unreachable!", &[]),
    ("unimplemented!", &[]),
    ("todo!", &[]),
    ("dbg!", &[]),
    ("println!", IMPURE),
    ("print!", IMPURE),
    ("eprintln!", IMPURE),
    ("eprint!", IMPURE),
    ("fn get_", &[]),
    ("mod util", &[]),
    ("mod helper", &[]),
    ("mod manager", &[]),
    ("mod common", &[]),
];

/// The judge shares no code with what it judges.
const LOADTEST_CONFINED: &[(&str, &[&str])] = &[("ringmail", &[]), ("io_uring", &["ring/"])];

/// A measuring tool may `expect` what cannot fail, with the reason; what strangers send is matched.
/// `println!` panics when the reader of a pipe has gone: results leave through `progress`.
const LOADTEST_FORBIDDEN: &[(&str, &[&str])] = &[
    (".unwrap()", &[]),
    ("panic!", &[]),
    ("unreachable!", &[]),
    ("unimplemented!", &[]),
    ("todo!", &[]),
    ("dbg!", &[]),
    ("println!", &[]),
    ("print!", &[]),
    ("fn get_", &[]),
    ("mod util", &[]),
    ("mod helper", &[]),
    ("mod manager", &[]),
    ("mod common", &[]),
];

/// A run is made of its seed alone: only who starts runs may look at clocks and threads.
const SIM_CONFINED: &[(&str, &[&str])] = &[
    ("std::time::Instant", SIM_STARTERS),
    ("std::time::SystemTime", &[]),
    ("std::thread", SIM_STARTERS),
    ("std::fs", SIM_STARTERS),
    ("std::env", SIM_STARTERS),
    ("std::collections::HashMap", &[]),
    ("std::collections::HashSet", &[]),
];

const SIM_STARTERS: &[&str] = &["campaign.rs", "main.rs", "bin/"];

/// Its own list of bugs and its own plans may be wrong: then it panics.
const SIM_FORBIDDEN: &[(&str, &[&str])] = &[
    (".unwrap()", &[]),
    (".expect(", &[]),
    ("unreachable!", &[]),
    ("unimplemented!", &[]),
    ("todo!", &[]),
    ("dbg!", &[]),
    ("println!", SIM_STARTERS),
    ("print!", SIM_STARTERS),
    ("fn get_", &[]),
    ("mod util", &[]),
    ("mod helper", &[]),
    ("mod manager", &[]),
    ("mod common", &[]),
];

const FOLDERS: &[&str] =
    &["src", "tests", "benches", "loadtest/src", "loadtest/tests", "fuzz/src", "fuzz/fuzz_targets"];

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    for folder in FOLDERS {
        for path in rust_files(&root.join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            faults.extend(check(name, &text));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The faults of one file, each as `path:line: sentence`. The rules for code hold below a `src/`,
/// up to `#[cfg(test)]`; the first line and the columns count everywhere.
fn check(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |line: usize, what: String| faults.push(format!("{path}:{line}: {what}"));
    if !text.starts_with("//! ") {
        fault(1, "the first line is no `//!` sentence that says what the file is".into());
    }
    for (index, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            fault(index + 1, format!("{columns} columns, more than {COLUMNS_MAX}"));
        }
    }
    let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
    let inside = |house: &'static House| Some((house, path.strip_prefix(house.source)?));
    let Some((house, inside)) = HOUSES.iter().find_map(inside).filter(|_| !is_test) else {
        return faults;
    };
    let tests = text.find("\n#[cfg(test)]\nmod tests").map_or(text.len(), |at| at + 1);
    let lines: Vec<&str> = text[..tests].lines().collect();
    let code = masked(&lines.join("\n"));
    // What holds no function is a flat table.
    if lines.len() > FILE_LINES_MAX && code.contains("fn ") {
        fault(FILE_LINES_MAX, format!("{} lines of code, over {FILE_LINES_MAX}", lines.len()));
    }
    check_functions(&lines, &code, &mut fault);
    check_words(house, inside, &code, &mut fault);
    check_unsafe(house, inside, &lines, &code, &mut fault);
    for (line, name) in paths(&code) {
        check_path(house, inside, &name, |what| fault(line, what));
    }
    faults
}

fn check_functions(lines: &[&str], code: &str, fault: &mut impl FnMut(usize, String)) {
    for (at, _) in code.match_indices("fn ") {
        if at > 0 && is_word(code.as_bytes()[at - 1]) {
            continue;
        }
        let Some(end) = body_end(code, at) else { continue };
        let (first, last) = (line_of(code, at), line_of(code, end));
        let marked = (1..first)
            .rev()
            .map(|line| lines[line - 1].trim_start())
            .take_while(|line| line.starts_with("//") || line.starts_with("#["))
            .any(|line| line == TABLE_MARK);
        let length = last + 1 - first;
        if length > FUNCTION_LINES_MAX && !marked {
            let name: String = code[at + 3..].chars().take_while(|c| is_word(*c as u8)).collect();
            fault(first, format!("`fn {name}` has {length} lines, over {FUNCTION_LINES_MAX}"));
        }
    }
}

/// Where the body of the function whose `fn` stands at `at` ends; `None` where it has none.
fn body_end(code: &str, at: usize) -> Option<usize> {
    let (mut round, mut curly) = (0i32, 0i32);
    for (offset, octet) in code.bytes().enumerate().skip(at) {
        match octet {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b';' if curly == 0 && round == 0 => return None,
            b'{' => curly += 1,
            b'}' => {
                curly -= 1;
                if curly <= 0 {
                    return (curly == 0).then_some(offset);
                }
            }
            _ => {}
        }
        if curly == 0 && round < 0 {
            return None;
        }
    }
    None
}

fn check_words(house: &House, inside: &str, code: &str, fault: &mut impl FnMut(usize, String)) {
    for &(word, allowed) in house.forbidden {
        if is_within(inside, allowed) {
            continue;
        }
        for (at, _) in code.match_indices(word) {
            let joined = is_word(word.as_bytes()[0]) && at > 0 && is_word(code.as_bytes()[at - 1]);
            if !joined {
                fault(line_of(code, at), format!("`{word}` outside tests"));
            }
        }
    }
}

fn check_unsafe(
    house: &House,
    inside: &str,
    lines: &[&str],
    code: &str,
    fault: &mut impl FnMut(usize, String),
) {
    let room = house.unsafe_room;
    for (at, _) in code.match_indices("unsafe") {
        let after = code.as_bytes().get(at + 6).copied().unwrap_or(b' ');
        if is_word(after) || at > 0 && is_word(code.as_bytes()[at - 1]) {
            continue;
        }
        let line = line_of(code, at);
        if !inside.starts_with(room) {
            fault(line, format!("`unsafe` outside {}{room}", house.source));
        } else if !lines[line.saturating_sub(8)..line]
            .iter()
            .any(|line| line.contains("SAFETY:") || line.contains("# Safety"))
        {
            fault(line, "`unsafe` without a `// SAFETY:` comment above it".into());
        }
    }
}

fn check_path(house: &House, inside: &str, name: &str, mut fault: impl FnMut(String)) {
    for &(confined, allowed) in house.confined {
        let named = name == confined || name.starts_with(&format!("{confined}::"));
        if named && !is_within(inside, allowed) {
            let source = house.source;
            let places = allowed.join(&format!(" or {source}"));
            fault(match allowed {
                [] => format!("`{name}` may not be named in {source}"),
                _ => format!("`{name}` may only be named in {source}{places}"),
            });
        }
    }
    if !house.floors {
        return;
    }
    let own = top_module(inside);
    let (Some(own_floor), Some(other)) = (floor(own), crate_module(inside, name)) else { return };
    let Some(other_floor) = floor(other) else { return };
    if own == other || own_floor > other_floor {
        return;
    }
    if own_floor < other_floor {
        fault(format!("`{name}` points up, from floor {own_floor} to floor {other_floor}"));
    } else if own_floor == 2 {
        fault(format!("`{name}`: siblings on floor 2 do not import each other"));
    }
}

/// The module of the crate that `name` lies in, if it is a path from the crate's root.
fn crate_module<'a>(inside: &str, name: &'a str) -> Option<&'a str> {
    let depth = inside.split('/').filter(|part| !matches!(*part, "mod.rs" | "main.rs")).count();
    let to_root = "super::".repeat(depth);
    let rest = ["crate::", "ringmail::", &to_root]
        .into_iter()
        .filter(|prefix| !prefix.is_empty())
        .find_map(|prefix| name.strip_prefix(prefix))?;
    rest.split("::").next()
}

fn top_module(inside: &str) -> &str {
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn is_within(inside: &str, places: &[&str]) -> bool {
    places.iter().any(|place| inside == *place || place.ends_with('/') && inside.starts_with(place))
}

fn is_word(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}

fn line_of(code: &str, at: usize) -> usize {
    1 + code.as_bytes()[..at].iter().filter(|&&octet| octet == b'\n').count()
}

/// Every path in the code with its line, groups in braces taken apart: `a::{b, c::d}` is `a::b`
/// and `a::c::d`.
fn paths(code: &str) -> Vec<(usize, String)> {
    let (bytes, mut found, mut at) = (code.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let starts = is_word(bytes[at]) && (at == 0 || !is_word(bytes[at - 1]));
        at = if starts { path(code, at, "", &mut found) } else { at + 1 };
    }
    found
}

/// Reads one path or group from `at`, behind `prefix`; where it ends.
fn path(code: &str, mut at: usize, prefix: &str, found: &mut Vec<(usize, String)>) -> usize {
    let (bytes, start) = (code.as_bytes(), at);
    let mut name = prefix.to_owned();
    loop {
        let word = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        name.push_str(&code[word..at]);
        if !code[at..].starts_with("::") {
            break;
        }
        at += 2;
        if bytes.get(at) == Some(&b'{') {
            return group(code, at + 1, &format!("{name}::"), found);
        }
        if !bytes.get(at).is_some_and(|&octet| is_word(octet)) {
            break;
        }
        name.push_str("::");
    }
    found.push((line_of(code, start), name));
    at.max(start + 1)
}

fn group(code: &str, mut at: usize, prefix: &str, found: &mut Vec<(usize, String)>) -> usize {
    let bytes = code.as_bytes();
    while at < bytes.len() && bytes[at] != b'}' {
        at = if is_word(bytes[at]) { path(code, at, prefix, found) } else { at + 1 };
    }
    at + 1
}

/// The code with comments and the insides of literals blanked out, line for line.
fn masked(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if text[at..].starts_with("//") => {
                text[at..].find('\n').map_or(bytes.len(), |n| at + n)
            }
            b'/' if text[at..].starts_with("/*") => {
                text[at..].find("*/").map_or(bytes.len(), |n| at + n + 2)
            }
            b'"' => string_end(bytes, at),
            b'r' if at == 0 || !is_word(bytes[at - 1]) || bytes[at - 1] == b'b' => {
                raw_string_end(text, at).unwrap_or(at)
            }
            b'\'' => char_end(text, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(if bytes[at].is_ascii() { bytes[at] } else { b'?' });
            at += 1;
        } else {
            out.extend(bytes[at..end].iter().map(|&b| if b == b'\n' { b'\n' } else { b' ' }));
            at = end;
        }
    }
    String::from_utf8(out).unwrap()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn raw_string_end(text: &str, start: usize) -> Option<usize> {
    let hashes = text[start + 1..].bytes().take_while(|&b| b == b'#').count();
    let open = start + 1 + hashes;
    (text.as_bytes().get(open) == Some(&b'"')).then_some(())?;
    let close = format!("\"{}", "#".repeat(hashes));
    text[open + 1..].find(&close).map(|n| open + 1 + n + close.len())
}

/// The end of a character literal; `None` for a lifetime.
fn char_end(text: &str, start: usize) -> Option<usize> {
    let rest = &text[start + 1..];
    if rest.starts_with('\\') {
        return rest[2..].find('\'').map(|n| start + 1 + 2 + n + 1);
    }
    let width = rest.chars().next()?.len_utf8();
    rest[width..].starts_with('\'').then_some(start + 1 + width + 1)
}

/// Each rule is seen to fail.
#[test]
fn untidy_files_are_found() {
    let long_function =
        format!("//! x\n#[inline]\nfn a(b: [u8; 2]) {{\n{}}}\n", "    b();\n".repeat(70));
    let table = long_function.replace("#[inline]", TABLE_MARK);
    let long_file = format!("//! x\n{}fn a() {{}}\n", "const A: u8 = 1;\n".repeat(399));
    let wide = format!("//! x\n// {}\n", "w".repeat(98));
    for (path, text, want) in [
        ("src/mail/a.rs", "fn a() {}\n", "a.rs:1: the first line"),
        ("tests/a.rs", "fn a() {}\n", "a.rs:1: the first line"),
        ("src/mail/a.rs", &wide, "a.rs:2: 101 columns"),
        ("src/mail/a.rs", &long_function, "a.rs:3: `fn a` has 72 lines"),
        ("src/mail/a.rs", &long_function.replace("a(b", "a<C, D>(b"), "has 72 lines"),
        ("src/mail/a.rs", &long_file, "a.rs:400: 401 lines"),
        ("src/mail/a.rs", "//! x\nuse crate::{\n    smtp::line,\n};\n", "a.rs:3: `crate::smtp"),
        ("src/smtp/mod.rs", "//! x\nuse crate::{mail::A, store::B};\n", "siblings on floor 2"),
        ("src/smtp/mod.rs", "//! x\nfn f(a: super::dns::A) {}\n", "siblings on floor 2"),
        ("src/smtp/a.rs", "//! x\nuse super::super::relay::A;\n", "points up"),
        ("src/mail/a.rs", "//! x\nunsafe fn a() {}\n", "outside src/shell/"),
        ("src/shell/a.rs", "//! x\nfn a() { unsafe { b() } }\n", "without a `// SAFETY:`"),
        ("src/relay/a.rs", "//! x\nuse std::{fmt, fs::File};\n", "`std::fs::File` may only"),
        ("src/relay/a.rs", "//! x\nuse std::time::{Duration, Instant};\n", "Instant` may only"),
        ("src/relay/a.rs", "//! x\nuse std::net::{IpAddr, TcpStream};\n", "TcpStream` may only"),
        ("src/dns/a.rs", "//! x\nfn a() { hickory_proto::rr::b() }\n", "src/dns/wire.rs"),
        ("src/store/a.rs", "//! x\nuse heed::Env;\n", "src/shell/"),
        ("src/relay/a.rs", "//! x\nuse tokio_uring::spawn;\n", "src/shell/"),
        ("src/relay/a.rs", "//! x\nfn a() { b().unwrap() }\n", "`.unwrap()` outside tests"),
        ("src/relay/a.rs", "//! x\nfn a() { b().expect(\"c\") }\n", "`.expect(` outside"),
        ("src/relay/a.rs", "//! x\nfn a() { panic!() }\n", "`panic!` outside tests"),
        ("src/relay/a.rs", "//! x\nfn a() { println!() }\n", "`println!` outside tests"),
        ("src/relay/a.rs", "//! x\nfn get_it() {}\n", "`fn get_` outside tests"),
        ("loadtest/tests/a.rs", "fn a() {}\n", "a.rs:1: the first line"),
        ("loadtest/src/a.rs", &long_function, "a.rs:3: `fn a` has 72 lines"),
        ("loadtest/src/sink/a.rs", "//! x\nunsafe fn a() {}\n", "outside loadtest/src/ring/"),
        ("loadtest/src/ring/a.rs", "//! x\nfn a() { unsafe { b() } }\n", "without a `// SAFETY:`"),
        ("loadtest/src/a.rs", "//! x\nuse ringmail::smtp;\n", "may not be named in loadtest/src/"),
        (
            "loadtest/src/a.rs",
            "//! x\nuse io_uring::opcode;\n",
            "only be named in loadtest/src/ring/",
        ),
        ("loadtest/src/a.rs", "//! x\nfn a() { b().unwrap() }\n", "`.unwrap()` outside tests"),
        ("tests/sim/src/world/a.rs", "//! x\nuse std::time::Instant;\n", "may only be named in"),
        ("tests/sim/src/peer.rs", "//! x\nuse std::collections::HashMap;\n", "may not be named"),
        ("tests/sim/src/peer.rs", "//! x\nfn a() { unsafe { b() } }\n", "outside tests/sim/src/"),
        ("loadtest/src/a.rs", "//! x\nfn a() { println!() }\n", "`println!` outside tests"),
    ] {
        let faults = check(path, text);
        assert!(faults.len() == 1 && faults[0].contains(want), "want {want:?}, got {faults:?}");
    }
    for (path, text) in [
        ("src/mail/a.rs", table.as_str()),
        ("src/mail/a.rs", "//! x\n// panic! .unwrap()\nconst A: &str = \"todo! unsafe\";\n"),
        ("src/mail/a.rs", "//! x\nfn a<'a>(b: &'a u8) -> char { '\"' } // unsafe\n"),
        ("src/mail/a.rs", "//! x\nconst A: &str = r#\"dbg! \" x\"#;\n"),
        ("src/mail/a.rs", "//! x\n\n#[cfg(test)]\nmod tests {\n    fn a() { b().unwrap() }\n}\n"),
        ("src/mail/report/tests.rs", "//! x\nfn a() { b().unwrap() }\n"),
        ("src/shell/a.rs", "//! x\n// SAFETY: b is pure.\nfn a() { unsafe { b() } }\n"),
        ("src/shell/a.rs", "//! x\nuse crate::{mail::A, relay::B};\nuse std::fs;\n"),
        ("src/relay/a.rs", "//! x\nuse crate::config::Config;\nuse super::smtp;\n"),
        ("src/smtp/server/a.rs", "//! x\nuse super::super::line;\nfn a(b: fn(u8)) {}\n"),
        ("src/cli/a.rs", "//! x\nfn a() { println!() }\n"),
        ("loadtest/src/imap/a.rs", "//! x\nuse crate::sink::A;\nuse std::fs;\n"),
        ("loadtest/src/a.rs", "//! x\nfn a() { eprintln!(\"b\") }\n"),
        ("loadtest/src/ring/a.rs", "//! x\n// SAFETY: b is pure.\nfn a() { unsafe { b() } }\n"),
    ] {
        assert_eq!(check(path, text), Vec::<String>::new(), "{text}");
    }
}
