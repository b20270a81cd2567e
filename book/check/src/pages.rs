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
    problems.extend(
        zh.keys()
            .filter(|name| !en.contains_key(*name))
            .map(|name| format!("{name}: only in Chinese")),
    );
    problems
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
    fn drawings_may_differ_and_commands_may_not() {
        let page = |drawing: &str, command: &str| {
            checked(&format!("```text\n{drawing}\n```\n```sh,run\n{command}\n```\n"))
        };
        assert_eq!(page("leader", "ls"), page("领导者", "ls"));
        assert_ne!(page("leader", "ls"), page("leader", "ls -l"));
    }
}
