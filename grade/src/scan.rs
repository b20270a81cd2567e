//! What a submission's sources name that a Raft has no use for.
//!
//! The student's code runs in the process of the tester that judges it. What the system cannot hold
//! back there, such as a `static` that all servers of a cluster share, is looked for in the text.
//!
//! The scan reads tokens, as the compiler does, not lines: comments and strings do not count, and a
//! macro's body does. Names are judged by a list of what may be used (`ALLOWED`), so a way that nobody
//! thought of is found too. It is not a proof: see "what cannot be stopped" in `grade/README.md`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use proc_macro2::{Delimiter, Ident, Spacing, TokenStream, TokenTree};
use serde::{Deserialize, Serialize};

use crate::say::say;
use crate::submission::Submission;
use crate::workspace::{self, Files};

/// Look for what graders reject, as `grade submit` and `grade run` do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The workspace, or a folder in it.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Looks.
///
/// # Errors
///
/// If there is no work to look at.
pub fn run(options: &Options) -> Result<ExitCode> {
    let submission = Submission::read(&workspace::find(&options.root)?)?;
    let findings = scan(&submission.files);
    for finding in &findings {
        say(&format!("{finding}: graders may reject it\n"));
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// Path in the submission.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: Kind,
    /// What was found, such as `std::fs::read`.
    pub what: String,
}

/// Why something is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `unsafe`: it can read and write all of the tester.
    Unsafe,
    /// `include!`, `#[path]`, `env!`, ...: it reaches outside its sources while it is compiled.
    Outside,
    /// `extern`, `#[no_mangle]`, `asm!`, ...: it could take another function's place, or run first.
    Linking,
    /// `static`, `thread_local!`: all servers of a cluster share it.
    Static,
    /// An item of std or of the harness that leads out of the simulation.
    Foreign,
    /// Not Rust: it cannot be scanned.
    Unreadable,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Unsafe => "unsafe code",
            Kind::Outside => "reaches outside its sources",
            Kind::Linking => "reaches into other code",
            Kind::Static => "shared by all servers of a cluster",
            Kind::Foreign => "outside the simulation",
            Kind::Unreadable => "not Rust",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { file, line, kind, what } = self;
        write!(f, "{file}:{line}: {what} ({kind})")
    }
}

/// What may be named below each crate. A crate that is not here, and is no crate to the compiler
/// either, is a module of the submission's own.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("std", STD),
    ("core", STD),
    ("alloc", STD),
    (
        "labrt",
        &[
            "channel::Receiver",
            "channel::RecvError",
            "channel::RecvTimeoutError",
            "channel::Select",
            "channel::SelectTimeoutError",
            "channel::SelectedOperation",
            "channel::SendError",
            "channel::SendTimeoutError",
            "channel::Sender",
            "channel::TryRecvError",
            "channel::TrySelectError",
            "channel::TrySendError",
            "channel::after",
            "channel::bounded",
            "channel::never",
            "channel::select",
            "channel::tick",
            "channel::unbounded",
            "collections::HashMap",
            "collections::HashSet",
            "println",
            "rand::NodeRng",
            "rand::rng",
            "select",
            "sync::Condvar",
            "sync::Mutex",
            "sync::MutexGuard",
            "sync::RwLock",
            "sync::RwLockReadGuard",
            "sync::RwLockWriteGuard",
            "sync::WaitTimeoutResult",
            "thread::Builder",
            "thread::JoinHandle",
            "thread::Result",
            "thread::Thread",
            "thread::current",
            "thread::sleep",
            "thread::spawn",
            "thread::yield_now",
            "time::Duration",
            "time::Instant",
            "time::sleep",
            "time::sleep_until",
        ],
    ),
    ("labgob", &["Bytes", "DecodeError", "Decoder", "Encoder", "from_bytes", "to_bytes"]),
    ("labrpc", &["ClientEnd", "NoReply", "Rpc", "Service"]),
    (
        "raftapi",
        &[
            // What is not for submissions is in `harness`, which is refused wherever it is named.
            "*",
            "ApplyMsg",
            "EntryId",
            "FollowerView",
            "LogIndex",
            "NotLeader",
            "Persister",
            "RaftView",
            "RoleView",
            "ServerId",
            "SnapshotWrite",
            "Term",
        ],
    ),
    (
        "tracing",
        &[
            "Level",
            "debug",
            "debug_span",
            "enabled",
            "error",
            "error_span",
            "event",
            "field",
            "info",
            "info_span",
            "instrument",
            "span",
            "trace",
            "trace_span",
            "warn",
            "warn_span",
        ],
    ),
    ("serde", &["Deserialize", "Deserializer", "Serialize", "Serializer", "de", "ser"]),
];

/// Of std: what computes. Not here: what reads or writes anything, waits, asks the time or the
/// environment, or keeps something for the whole process.
const STD: &[&str] = &[
    "any",
    "array",
    "ascii",
    "assert",
    "assert_eq",
    "assert_ne",
    "borrow",
    "boxed",
    "cell",
    "char",
    "clone",
    "cmp",
    "collections",
    "concat",
    "convert",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "default",
    "error",
    "f64",
    "fmt",
    "format",
    "future",
    "hash",
    "hint",
    "i32",
    "i64",
    "iter",
    "marker",
    "matches",
    "mem",
    "num",
    "ops",
    "option",
    "panic::Location",
    "pin",
    "prelude",
    "primitive",
    "rc",
    "result",
    "slice",
    "str",
    "string",
    "stringify",
    "sync",
    "task",
    "time::Duration",
    "todo",
    "u16",
    "u32",
    "u64",
    "u8",
    "unimplemented",
    "unreachable",
    "usize",
    "vec",
    "write",
    "writeln",
];

/// Modules that may be imported under their own names, though not all in them may be used: what may
/// not is found by the pair of names. Not in a submission that has a module of that name itself, where
/// the pair says nothing.
const HALF_ALLOWED: [(&str, Half); 6] = [
    ("channel", Half::Listed),
    ("collections", Half::Whole),
    ("rand", Half::Without(&["stream", "Stream"])),
    ("sync", Half::Whole),
    ("thread", Half::Listed),
    ("time", Half::Listed),
];

/// What may be used of a module of labrt that is imported by itself.
#[derive(Clone, Copy)]
enum Half {
    /// What is in [`ALLOWED`].
    Listed,
    /// All but this: there is a crate of that name, too.
    Without(&'static [&'static str]),
    /// All: std has a module of that name, of which all may be used.
    Whole,
}

/// Looks through a submission. Modules under `#[cfg(test)]` are left out: they are not compiled.
#[must_use]
pub fn scan(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut parsed = Vec::new();
    for (file, contents) in files {
        let text = std::str::from_utf8(contents).ok();
        match text.and_then(|text| text.parse::<TokenStream>().ok()) {
            Some(tokens) => parsed.push((file, tokens)),
            None => findings.push(Finding {
                file: file.clone(),
                line: 1,
                kind: Kind::Unreadable,
                what: "the file".to_owned(),
            }),
        }
    }
    let mut modules = Modules::default();
    for (_, tokens) in &parsed {
        modules.read(tokens.clone(), true);
    }
    for (file, tokens) in parsed {
        if !modules.is_test_only(file) {
            let mut scanner = Scanner { file, modules: &modules, findings: &mut findings };
            scanner.stream(without_test_modules(tokens));
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Which file modules are declared with `#[cfg(test)]`, and which without.
#[derive(Debug, Default)]
struct Modules {
    test: BTreeSet<String>,
    other: BTreeSet<String>,
    /// `mod $name`: a macro declares modules, under any name.
    unknown: bool,
}

impl Modules {
    fn read(&mut self, tokens: TokenStream, top: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (n, token) in tokens.iter().enumerate() {
            if let TokenTree::Group(group) = token {
                self.read(group.stream(), false);
            }
            if !is_ident(token, "mod") {
                continue;
            }
            match tokens.get(n + 1) {
                Some(TokenTree::Ident(name)) => {
                    let test = top && is_test_module(&tokens, n);
                    let names = if test { &mut self.test } else { &mut self.other };
                    names.insert(plain(name));
                }
                _ => self.unknown = true,
            }
        }
    }

    /// Is this the file of a module that is only declared for tests, or of one inside it?
    fn is_test_only(&self, file: &str) -> bool {
        let path = Path::new(file).with_extension("");
        // Below `CRATE/src`; and `lib.rs` is the root, which no declaration can make anything else.
        let mut names = path.iter().skip(2).filter_map(|name| name.to_str());
        !self.unknown
            && !file.ends_with("src/lib.rs")
            && names.any(|name| self.test.contains(name) && !self.other.contains(name))
    }
}

/// Does `#[cfg(test)]`, and nothing but a visibility, stand before the `mod` at `n`?
fn is_test_module(tokens: &[TokenTree], n: usize) -> bool {
    let mut before = tokens[..n].iter().rev().peekable();
    if matches!(before.peek(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
    {
        before.next();
    }
    if before.peek().is_some_and(|token| is_ident(token, "pub")) {
        before.next();
    }
    let Some(TokenTree::Group(attribute)) = before.next() else { return false };
    attribute.delimiter() == Delimiter::Bracket
        && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
        && before.next().is_some_and(|token| is_punct(token, '#'))
}

/// A file's tokens without the bodies of its test modules.
fn without_test_modules(tokens: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is_body = |n: usize| {
        let brace =
            matches!(&tokens[n], TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        brace && n >= 2 && is_ident(&tokens[n - 2], "mod") && is_test_module(&tokens, n - 2)
    };
    let kept = (0..tokens.len()).filter(|n| !is_body(*n));
    kept.map(|n| tokens[n].clone()).collect()
}

struct Scanner<'a> {
    file: &'a str,
    modules: &'a Modules,
    findings: &'a mut Vec<Finding>,
}

impl Scanner<'_> {
    fn stream(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (n, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => {
                    let after_hash = n > 0
                        && (is_punct(&tokens[n - 1], '#')
                            || n > 1
                                && is_punct(&tokens[n - 1], '!')
                                && is_punct(&tokens[n - 2], '#'));
                    if after_hash && group.delimiter() == Delimiter::Bracket {
                        self.attribute(group.stream());
                    }
                    self.stream(group.stream());
                }
                TokenTree::Ident(ident) => self.ident(&tokens, n, ident),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn ident(&mut self, tokens: &[TokenTree], n: usize, ident: &Ident) {
        let name = plain(ident);
        let next = tokens.get(n + 1);
        let called = next.is_some_and(|token| is_punct(token, '!'));
        let renamed = next.is_some_and(|token| is_ident(token, "as"));
        let lifetime = n > 0 && is_punct(&tokens[n - 1], '\'');
        let field = n > 0 && is_punct(&tokens[n - 1], '.');
        match &*name {
            "unsafe" => self.found(ident, Kind::Unsafe, &name),
            "include" | "include_str" | "include_bytes" if called || renamed => {
                self.found(ident, Kind::Outside, &name);
            }
            "include_str" | "include_bytes" => self.found(ident, Kind::Outside, &name),
            "env" | "option_env" if called || renamed => self.found(ident, Kind::Outside, &name),
            "extern" | "global_asm" | "naked_asm" => self.found(ident, Kind::Linking, &name),
            "asm" if called => self.found(ident, Kind::Linking, &name),
            "static" if !lifetime => self.found(ident, Kind::Static, &name),
            "thread_local" => self.found(ident, Kind::Static, &name),
            // A glob import may bring it in, so it is not only found behind its crate's name.
            "harness" if !field && is_of_path(tokens, n) => {
                self.found(ident, Kind::Foreign, &name);
            }
            _ if name.starts_with("__") => self.found(ident, Kind::Foreign, &name),
            // `$name!(..)` may call any macro.
            _ if called && n > 0 && is_punct(&tokens[n - 1], '$') => {
                self.found(ident, Kind::Outside, &format!("${name}!"));
            }
            _ => {
                if !field && let Some((_, allowed)) = ALLOWED.iter().find(|(root, _)| *root == name)
                {
                    let mut path = vec![name.clone()];
                    self.path(&tokens[n + 1..], allowed, &mut path, ident);
                }
                self.half_allowed(tokens, n, ident, &name);
            }
        }
    }

    /// Follows a path, from after its last name. Stops at the first name that decides.
    fn path(&mut self, rest: &[TokenTree], allowed: &[&str], path: &mut Vec<String>, at: &Ident) {
        let below = path[1..].join("::");
        if !below.is_empty() {
            let is_prefix = |of: &str, prefix: &str| {
                of.strip_prefix(prefix)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            if allowed.iter().any(|allowed| is_prefix(&below, allowed)) {
                return;
            }
            if !allowed.iter().any(|allowed| is_prefix(allowed, &below)) {
                return self.found(at, Kind::Foreign, &path.join("::"));
            }
        }
        let [colon, second, next, ..] = rest else { return self.path_ends(rest, path, at) };
        if !(is_punct(colon, ':') && is_punct(second, ':')) {
            return self.path_ends(rest, path, at);
        }
        match next {
            TokenTree::Ident(ident) if plain(ident) == "self" => {
                self.path_ends(&rest[3..], path, ident);
            }
            TokenTree::Ident(ident) => {
                path.push(plain(ident));
                self.path(&rest[3..], allowed, path, ident);
                path.pop();
            }
            TokenTree::Group(group) => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                for branch in inside.split(|token| is_punct(token, ',')) {
                    if let Some(TokenTree::Ident(_) | TokenTree::Group(_) | TokenTree::Punct(_)) =
                        branch.first()
                    {
                        // As if it were written out.
                        let written: Vec<TokenTree> =
                            [colon, second].into_iter().chain(branch).cloned().collect();
                        self.path(&written, allowed, path, at);
                    }
                }
            }
            TokenTree::Punct(all)
                if all.as_char() == '*' && path.len() == 1 && allowed.contains(&"*") => {}
            // `*` names everything, and `$name` anything.
            other => {
                let what = format!("{}::{other}", path.join("::"));
                self.found(at, Kind::Foreign, &what);
            }
        }
    }

    /// A path that ends before it was decided names a whole crate or module.
    fn path_ends(&mut self, rest: &[TokenTree], path: &[String], at: &Ident) {
        let renamed = rest.first().is_some_and(|token| is_ident(token, "as"));
        let half = |(module, _): &(&str, Half)| {
            path == ["labrt", *module] && !self.modules.other.contains(*module)
        };
        let is_std = ["std", "core", "alloc"].contains(&&*path[0]);
        // The name of another crate may well be a variable's, too.
        let may_be_a_variable = path.len() == 1 && !is_std;
        if renamed || !(may_be_a_variable || HALF_ALLOWED.iter().any(half)) {
            self.found(at, Kind::Foreign, &path.join("::"));
        }
    }

    fn half_allowed(&mut self, tokens: &[TokenTree], n: usize, at: &Ident, name: &str) {
        let Some((module, half)) = HALF_ALLOWED.iter().find(|(module, _)| *module == name) else {
            return;
        };
        // Behind the name of its crate it is looked at there.
        let of_crate = |root: &str| {
            n > 2
                && is_punct(&tokens[n - 1], ':')
                && is_punct(&tokens[n - 2], ':')
                && is_ident(&tokens[n - 3], root)
        };
        let [colon, second, next, ..] = &tokens[n + 1..] else { return };
        let is_path = is_punct(colon, ':') && is_punct(second, ':');
        if !is_path || self.modules.other.contains(name) || of_crate("labrt") || of_crate("std") {
            return;
        }
        let words: Vec<String> = match next {
            TokenTree::Group(group) => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                let branches = inside.split(|token| is_punct(token, ','));
                branches.filter_map(|branch| branch.first().map(ToString::to_string)).collect()
            }
            one => vec![one.to_string()],
        };
        let listed = |item: &str| {
            let mut lists = ALLOWED.iter().filter(|(root, _)| ["labrt", "std"].contains(root));
            lists.any(|(_, list)| list.contains(&item))
        };
        for word in words {
            let item = format!("{module}::{word}");
            let may = match half {
                Half::Listed => word == "self" || listed(&item),
                Half::Without(refused) => !word.starts_with('{') && !refused.contains(&&*word),
                Half::Whole => true,
            };
            if !may {
                self.found(at, Kind::Foreign, &format!("labrt::{item}"));
            }
        }
    }

    fn attribute(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (n, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(ident) => {
                    let name = plain(ident);
                    let assigned = tokens.get(n + 1).is_some_and(|token| is_punct(token, '='));
                    match &*name {
                        "path" if assigned => self.found(ident, Kind::Outside, "#[path]"),
                        "no_mangle" | "export_name" | "link_section" | "link" | "used"
                        | "global_allocator" => {
                            self.found(ident, Kind::Linking, &format!("#[{name}]"));
                        }
                        _ => {}
                    }
                }
                TokenTree::Group(group) => self.attribute(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn found(&mut self, at: &Ident, kind: Kind, what: &str) {
        let line = at.span().start().line;
        let (file, what) = (self.file.to_owned(), what.to_owned());
        self.findings.push(Finding { file, line, kind, what });
    }
}

/// Does the name at `n` stand beside `::`, or before `as`, or in a list of imports?
fn is_of_path(tokens: &[TokenTree], n: usize) -> bool {
    let colon = |n: usize| tokens.get(n).is_some_and(|token| is_punct(token, ':'));
    colon(n + 1) && colon(n + 2)
        || n > 1 && colon(n - 1) && colon(n - 2)
        || tokens.get(n + 1).is_some_and(|token| is_ident(token, "as"))
}

/// Without the `r#` of a raw identifier.
fn plain(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map(str::to_owned).unwrap_or(text)
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if plain(ident) == name)
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign
        && (sign != '\'' || punct.spacing() == Spacing::Joint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn found(text: &str) -> Vec<(Kind, String)> {
        let found = scan(&files(&[("raft/src/lib.rs", text)]));
        found.into_iter().map(|finding| (finding.kind, finding.what)).collect()
    }

    #[track_caller]
    fn one(text: &str, kind: Kind, what: &str) {
        assert_eq!(found(text), [(kind, what.to_owned())], "{text}");
    }

    #[track_caller]
    fn nothing(text: &str) {
        assert_eq!(found(text), [], "{text}");
    }

    #[test]
    fn what_a_raft_is_written_with() {
        nothing(
            "use std::{collections::BTreeMap, fmt::{self, Display}, sync::Arc, time::Duration};",
        );
        nothing("use labrt::{channel::{unbounded, Sender}, rand, sync::Mutex, thread, time};");
        nothing("fn f() -> u64 { rand::rng().random_range(0..9) }");
        nothing("fn f(x: &'static str) { tracing::debug!(target: \"vote\", \"{x}\") }");
        nothing("use labrpc::{ClientEnd, Rpc, Service}; use raftapi::*; use super::*;");
        nothing("// unsafe static std::fs\nfn f() { g(\"include_str!(x) static\"); }");
        nothing("struct S { env: u8, path: u8 } fn f(s: S) -> u8 { s.env + s.path }");
        nothing("#[derive(serde::Serialize)] struct S;");
        nothing(
            "use labrt::channel; fn f() { let (a, b) = channel::bounded::<u8>(0); channel::select! {} }",
        );
        nothing(
            "use std::sync; type A = sync::Arc<sync::atomic::AtomicU64>; type D = time::Duration;",
        );
        nothing(
            "mod time; use crate::time::Election; fn f() { time::passes() } struct S { harness: u8 }",
        );
        nothing("use labrt::println; fn f(me: u8) { println!(\"000128 VOTE S{me} asks\"); }");
    }

    #[test]
    fn what_reaches_out_at_compile_time() {
        one("const X: &str = include_str!(\"/etc/passwd\");", Kind::Outside, "include_str");
        one("include!(\"../../tests/lab.rs\");", Kind::Outside, "include");
        one("#[path = \"../../tests/lab.rs\"] mod lab;", Kind::Outside, "#[path]");
        one("#[cfg_attr(all(), path = \"x.rs\")] mod lab;", Kind::Outside, "#[path]");
        one("const X: &str = env!(\"HOME\");", Kind::Outside, "env");
        one("m!(include_str);", Kind::Outside, "include_str");
        one("macro_rules! m { ($x:ident) => { $x!(\"a.rs\"); } }", Kind::Outside, "$x!");
        one("#![doc = include_str!(\"x\")]", Kind::Outside, "include_str");
        one("fn f() { r#unsafe }", Kind::Unsafe, "unsafe");
    }

    #[test]
    fn what_servers_could_share() {
        one("static X: AtomicU64 = AtomicU64::new(0);", Kind::Static, "static");
        one("macro_rules! m { () => { static X: u8 = 0; } }", Kind::Static, "static");
        one("thread_local! { }", Kind::Static, "thread_local");
        one("use tracing::dispatcher;", Kind::Foreign, "tracing::dispatcher");
        one("fn f() { std::panic::set_hook(g) }", Kind::Foreign, "std::panic::set_hook");
    }

    #[test]
    fn what_leads_out_of_the_simulation() {
        one("use std::fs;", Kind::Foreign, "std::fs");
        one("fn f() { ::std::process::exit(0) }", Kind::Foreign, "std::process");
        one("use std::{sync::Arc, net::{TcpStream, UdpSocket}};", Kind::Foreign, "std::net");
        one("use std::time::{Duration, Instant};", Kind::Foreign, "std::time::Instant");
        one("use std as s;", Kind::Foreign, "std");
        one("use std::{self as s};", Kind::Foreign, "std");
        one("use std::*;", Kind::Foreign, "std::*");
        one("macro_rules! m { ($x:ident) => { std::$x::exit(0) } }", Kind::Foreign, "std::$");
        one("use labrt::channel::tap;", Kind::Foreign, "labrt::channel::tap");
        one("use labrt::{channel::{self, tap}};", Kind::Foreign, "labrt::channel::tap");
        one("use labrt::channel; fn f() { channel::tap(g) }", Kind::Foreign, "labrt::channel::tap");
        one("use labrt::channel::*;", Kind::Foreign, "labrt::channel::*");
        let twice = ["harness", "raftapi::harness"].map(|what| (Kind::Foreign, what.to_owned()));
        assert_eq!(found("use raftapi::harness::Disk as _;"), twice);
        one("use raftapi::*; use harness::Disk as _;", Kind::Foreign, "harness");
        one("use raftapi::*; use self::{harness as h};", Kind::Foreign, "harness");
        one("fn f() { crate::harness::Disk::copy(d) }", Kind::Foreign, "harness");
        one("use labrt::sim;", Kind::Foreign, "labrt::sim");
        one("use labrt::print;", Kind::Foreign, "labrt::print");
        one("use labrt as l;", Kind::Foreign, "labrt");
        one("fn f() { labrt::rand::stream(\"x\"); }", Kind::Foreign, "labrt::rand::stream");
        one(
            "use labrt::rand; fn f() { rand::stream(\"x\") }",
            Kind::Foreign,
            "labrt::rand::stream",
        );
        one("use labrt::rand as r;", Kind::Foreign, "labrt::rand");
        one("use thiserror::__private;", Kind::Foreign, "__private");
        one("extern \"C\" { fn getpid() -> i32; }", Kind::Linking, "extern");
    }

    #[test]
    fn a_test_module_is_not_looked_at() {
        nothing("#[cfg(test)]\nmod tests { static X: u8 = 0; }");
        nothing("#[cfg(test)]\npub(crate) mod tests { use std::fs; }");
        one("#[cfg(not(test))] mod tests { static X: u8 = 0; }", Kind::Static, "static");
        one("m! { #[cfg(test)] mod tests { static X: u8 = 0; } }", Kind::Static, "static");
    }

    #[test]
    fn the_file_of_a_test_module_is_not_looked_at() {
        let fake = ("raft/src/fake.rs", "static X: u8 = 0;");
        let kinds = |lib: &str| scan(&files(&[("raft/src/lib.rs", lib), fake])).len();
        assert_eq!(kinds("#[cfg(test)] mod fake;"), 0);
        assert_eq!(kinds("mod fake;"), 1);
        for name in ["raft", "src", "lib"] {
            assert_eq!(kinds(&format!("#[cfg(test)] mod {name}; mod fake; static Y: u8 = 0;")), 2);
        }
        assert_eq!(kinds("#[cfg(test)] mod fake; mod other { mod fake; }"), 1);
        assert_eq!(kinds("#[cfg(test)] mod fake; macro_rules! m { ($x:ident) => { mod $x; } }"), 1);
    }

    #[test]
    fn a_finding_has_its_place() {
        let found =
            scan(&files(&[("raft/src/a.rs", "\n\nfn f() { unsafe {} }"), ("raft/src/b.rs", "\"")]));
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["raft/src/a.rs:3: unsafe (unsafe code)", "raft/src/b.rs:1: the file (not Rust)"]
        );
    }

    /// Neither the reference solutions nor what students begin with are suspicious.
    #[test]
    fn nothing_in_what_is_honest() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for folder in
            [".", "staff/handout", "staff/mutants/designs/b1", "grade/tests/attacks/honest"]
        {
            let files = crate::workspace::read(&root.join(folder)).unwrap();
            let theirs =
                |path: &str| ["raft/src/", "kvraft/src/"].iter().any(|lab| path.starts_with(lab));
            let files: Files = files.into_iter().filter(|(path, _)| theirs(path)).collect();
            assert!(!files.is_empty());
            assert_eq!(scan(&files), [], "{folder}");
        }
    }
}
