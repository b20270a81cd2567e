//! Pages, and the blocks of code in them.
//!
//! The words after a block's language say how it is checked:
//!
//! | first line | meaning |
//! | --- | --- |
//! | `sh,run` | a script that ends well |
//! | `console,run` | `$ command` and what it prints; `...` stands for any lines; how it ends is not looked at |
//! | `console,run,scratch` | the same in a copy of the workspace, which the page's blocks share |
//! | `rust,from=raftapi/src/apply.rs` | lines of that file; an empty line stands for any lines |

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The two books, each in a folder of its own.
pub(crate) const LANGUAGES: [&str; 2] = ["en", "zh"];

/// A page of one of the books.
pub(crate) struct Page {
    /// Below the book's `src`, such as `labs/3a.md`.
    pub(crate) name: String,
    /// From the workspace.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Line of the fence, counted from 1.
    pub(crate) line: usize,
    /// Language, and the words after it.
    pub(crate) words: Vec<String>,
    pub(crate) text: String,
}

impl Block {
    pub(crate) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|each| each == word)
    }

    /// The value of `name=`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

/// All pages of a language, by name.
pub(crate) fn pages(root: &Path, language: &str) -> Vec<Page> {
    let source = root.join("book").join(language).join("src");
    let mut paths = Vec::new();
    collect(&source, &mut paths);
    paths.sort();
    let page = |path: PathBuf| {
        let name = path.strip_prefix(&source).ok()?.to_str()?.replace('\\', "/");
        let text = fs::read_to_string(&path).ok()?;
        Some(Page { path: format!("book/{language}/src/{name}"), name, text })
    };
    paths.into_iter().filter_map(page).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The blocks of a page, in order.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, number) in text.lines().zip(1..) {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => {
                let words = info.split(',').map(|word| word.trim().to_owned()).collect();
                open = Some(Block { line: number, words, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_their_words() {
        let text = "a\n```console,run,scratch\n$ ls\nx\n```\n```rust,from=a/b.rs\nfn f\n```\n";
        let blocks = blocks(text);
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].line, blocks[0].text.as_str()), (2, "$ ls\nx\n"));
        assert!(blocks[0].has("scratch") && !blocks[0].has("ru"));
        assert_eq!(blocks[1].value("from"), Some("a/b.rs"));
    }
}
