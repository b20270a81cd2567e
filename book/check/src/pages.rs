//! Do both languages have the same pages, and these the same code?

use std::{collections::BTreeMap, path::Path};

use crate::block::{Block, LANGUAGES, blocks, pages};

/// What differs.
pub(crate) fn check(root: &Path) -> Vec<String> {
    let [en, zh] = LANGUAGES.map(|language| {
        let pages = pages(root, language).into_iter();
        pages.map(|page| (page.name, page.text)).collect::<BTreeMap<_, _>>()
    });
    let mut problems = Vec::new();
    for (name, text) in &en {
        match zh.get(name) {
            None => problems.push(format!("{name}: only in English")),
            Some(other) => {
                let [a, b] = [text, other].map(|text| checked(text));
                if a != b {
                    problems.push(format!("{name}: what is checked in its code differs"));
                }
            }
        }
    }
    for (name, text) in &zh {
        let broken = broken_lines(text).into_iter();
        problems.extend(broken.map(|line| {
            format!("zh {name}:{line}: the end of this line would be shown as a space between characters")
        }));
    }
    problems.extend(
        zh.keys()
            .filter(|name| !en.contains_key(*name))
            .map(|name| format!("{name}: only in Chinese")),
    );
    problems
}

/// Lines of prose that end with a Chinese character while the next one begins with one: browsers
/// show a space for the end of a line, and Chinese has none. So a paragraph is one line.
fn broken_lines(text: &str) -> Vec<usize> {
    let is_han = |c: char| matches!(c, '\u{3000}'..='\u{303f}' | '\u{3400}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}');
    let mut in_code = false;
    let mut broken = Vec::new();
    let mut before: Option<char> = None;
    for (line, number) in text.lines().zip(1..) {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        if before.is_some_and(is_han) && !in_code && line.trim_start().starts_with(is_han) {
            broken.push(number - 1);
        }
        before = line.chars().last().filter(|_| !in_code && !is_fence);
    }
    broken
}

/// The blocks that must be equal: those that are run or quoted. Drawings have words in them.
fn checked(text: &str) -> Vec<(Vec<String>, String)> {
    let is_checked = |block: &Block| block.has("run") || block.value("from").is_some();
    let blocks = blocks(text).into_iter().filter(is_checked);
    blocks.map(|block| (block.words, block.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chinese_paragraph_is_one_line() {
        assert_eq!(broken_lines("一台\n服务器\n\nleader\n很慢\n```text\n日\n志\n```\n"), [1]);
    }

    #[test]
    fn drawings_may_differ_and_commands_may_not() {
        let page = |drawing: &str, command: &str| {
            checked(&format!("```text\n{drawing}\n```\n```sh,run\n{command}\n```\n"))
        };
        assert_eq!(page("leader", "ls"), page("领导者", "ls"));
        assert_ne!(page("leader", "ls"), page("leader", "ls -l"));
    }
}
