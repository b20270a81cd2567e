//! Looks for what makes no sense outside the staff's workspace: pages and bug numbers of the staff's, modules
//! that nobody names, quoted lines that have moved.

use std::collections::BTreeSet;
use std::path::Path;

use crate::submission::has_extension;
use crate::workspace::Files;

/// What of this tree belongs to the staff, or does not hold in it, a line each.
pub(super) fn remnants(tree: &Files) -> Vec<String> {
    let mut found = Vec::new();
    let texts: Vec<(&str, &str)> = tree
        .iter()
        .filter_map(|(path, contents)| Some((path.as_str(), str::from_utf8(contents).ok()?)))
        .collect();
    for path in tree.keys().filter(|path| is_of_staff(path)) {
        found.push(format!("{path} is a page for staff"));
    }
    found.extend(orphans(&texts));
    for (path, text) in &texts {
        for (number, line) in (1..).zip(text.lines()) {
            let mut add =
                |what: &str| found.push(format!("{path}:{number} {what}: {}", line.trim()));
            if path.ends_with("Cargo.toml") && line.contains("reference solution") {
                add("speaks of the solution");
            }
            if is_page(path) {
                if line.contains("staff/") {
                    add("leads to what only staff have");
                } else if words(line).any(is_patch_number) {
                    add("has the number of a wrong server");
                }
                for (file, at) in quotes(line) {
                    if !holds(&texts, file, at) {
                        add("quotes a line that says something else");
                    }
                }
            }
        }
    }
    found
}

fn is_of_staff(path: &str) -> bool {
    path.starts_with("book/") && path.split('/').any(|folder| folder == "staff")
}

/// Is it something that students read?
fn is_page(path: &str) -> bool {
    has_extension(path, "md") && (path.starts_with("book/") || path == "README.md")
}

/// Sources of crates, and of the graded tests, that are no module of anything.
fn orphans(texts: &[(&str, &str)]) -> Vec<String> {
    let sources = || texts.iter().filter(|(path, _)| has_extension(path, "rs"));
    let mut named = BTreeSet::new();
    for (_, text) in sources() {
        for line in text.lines().map(str::trim) {
            let rest =
                line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
            if let Some(name) = rest.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                named.insert(name);
            }
        }
    }
    let is_root = |path: &str| {
        let folder = Path::new(path).parent().and_then(Path::file_name).unwrap_or_default();
        // Cargo finds these by itself.
        ["bin", "tests", "examples", "benches"].iter().any(|own| folder == *own)
            || ["lib", "main", "mod", "build"].contains(&stem(path))
    };
    let is_module = |path: &str| path.contains("/src/") || path.starts_with("tests/lab/");
    let is_orphan = |path: &&str| is_module(path) && !is_root(path) && !named.contains(stem(path));
    let orphans = sources().map(|(path, _)| *path).filter(is_orphan);
    orphans.map(|path| format!("{path} is a module that nothing names")).collect()
}

fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".rs").unwrap_or(name)
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric())
}

/// `R50`, `K201`, `R49b`: as in `staff/mutants/wrong`.
fn is_patch_number(word: &str) -> bool {
    let Some(rest) = word.strip_prefix(['R', 'K']) else { return false };
    let digits = rest.strip_suffix('b').unwrap_or(rest);
    (2..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Files and line numbers in a line: `raft/src/raft.rs:64`.
fn quotes(line: &str) -> Vec<(&str, usize)> {
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || "/._:".contains(c));
    let quote = |word: &str| -> Option<(usize, usize)> {
        let end = word.find(".rs:")? + 3;
        let digits = word[end + 1..].split(|c: char| !c.is_ascii_digit()).next()?;
        Some((end, digits.parse().ok()?))
    };
    let words = line.split(is_end).filter(|word| word.contains('/'));
    words.filter_map(|word| quote(word).map(|(end, at)| (&word[..end], at))).collect()
}

/// Reports quote where something is to be written, where a task was spawned, or where a test runs.
fn holds(texts: &[(&str, &str)], file: &str, at: usize) -> bool {
    let Some((_, text)) = texts.iter().find(|(path, _)| *path == file) else { return true };
    let line = at.checked_sub(1).and_then(|at| text.lines().nth(at)).unwrap_or_default();
    ["todo!(", "spawn(", ".run(", ".run_kv("].iter().any(|what| line.contains(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn what_is_in_order_is_not_reported() {
        let fine = tree(&[
            ("raft/src/lib.rs", "mod log;\nfn f() { todo!(\"Part 3A\") }\n"),
            ("raft/src/log.rs", ""),
            ("tests/lab/main.rs", ""),
            ("README.md", "  raft/src/lib.rs:2: Part 3A\n"),
        ]);
        assert_eq!(remnants(&fine), Vec::<String>::new());
    }

    #[test]
    fn what_belongs_to_the_staff_is_found() {
        let found = remnants(&tree(&[
            ("raft/Cargo.toml", "description = \"the reference solution\"\n"),
            ("raft/src/lib.rs", "\nfn f() {}\n"),
            ("raft/src/search.rs", ""),
            ("book/en/src/staff/index.md", ""),
            ("book/en/src/index.md", "[For staff](staff/index.md)\n"),
            (
                "book/en/src/hunts.md",
                "| no leader | R02, K201 |\npatch -p1 < staff/mutants/wrong/x\n",
            ),
            ("README.md", "  raft/src/lib.rs:2: Part 3A\n"),
        ]));
        let expected = [
            "book/en/src/staff/index.md is a page for staff",
            "raft/src/search.rs is a module that nothing names",
            "README.md:1 quotes a line that says something else: raft/src/lib.rs:2: Part 3A",
            "book/en/src/hunts.md:1 has the number of a wrong server: | no leader | R02, K201 |",
            "book/en/src/hunts.md:2 leads to what only staff have: patch -p1 < staff/mutants/wrong/x",
            "book/en/src/index.md:1 leads to what only staff have: [For staff](staff/index.md)",
            "raft/Cargo.toml:1 speaks of the solution: description = \"the reference solution\"",
        ];
        assert_eq!(found, expected);
    }
}
