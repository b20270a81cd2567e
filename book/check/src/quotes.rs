//! Is what a block quotes in the file that it names?

use std::{fs, path::Path};

use crate::block::{LANGUAGES, blocks, pages};

/// Blocks whose file does not have their lines.
pub(crate) fn check(root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for page in LANGUAGES.into_iter().flat_map(|language| pages(root, language)) {
        for block in blocks(&page.text) {
            let Some(file) = block.value("from") else { continue };
            let place = format!("{}:{}", page.path, block.line);
            match fs::read_to_string(root.join(file)) {
                Err(error) => problems.push(format!("{place}: {file}: {error}")),
                Ok(source) => {
                    if let Some(lines) = missing(&block.text, &source) {
                        problems.push(format!("{place}: not in {file}: {lines}"));
                    }
                }
            }
        }
    }
    problems
}

/// The first piece of the quotation that is not in the source, behind the pieces before it. Pieces are
/// separated by empty lines. Indentation, docs, and the brace that opens a body do not count.
fn missing(quotation: &str, source: &str) -> Option<String> {
    let plain = |line: &str| line.trim().trim_end_matches('{').trim_end().to_owned();
    let is_code = |line: &String| !line.is_empty() && !line.starts_with("///");
    let source: Vec<String> = source.lines().map(plain).filter(is_code).collect();
    let quotation: Vec<String> = quotation.lines().map(plain).collect();
    let mut from = 0;
    for piece in quotation.split(String::is_empty).filter(|piece| !piece.is_empty()) {
        let found = (from..=source.len()).find(|&at| source[at..].starts_with(piece));
        match found {
            Some(at) => from = at + piece.len(),
            None => return Some(piece.join(" / ")),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_in_order() {
        let source = "a {\n    /// It is b.\n    b\n\nc\nd\n";
        assert_eq!(missing("a\n  b\n", source), None);
        assert_eq!(missing("b\n\nd\n", source), None);
        assert_eq!(missing("a\nc\n", source), Some("a / c".into()));
        assert_eq!(missing("d\n\na\n", source), Some("a".into()));
    }
}
