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

/// The first piece of the quotation that is not in the source, behind the pieces before it.
/// Indentation and empty lines do not count.
fn missing(quotation: &str, source: &str) -> Option<String> {
    let lines = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (quotation, source) = (lines(quotation), lines(source));
    let mut from = 0;
    for piece in quotation.split(|line| line == "..." || line == "// ...") {
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
        let source = "a\n    b\n\nc\nd\n";
        assert_eq!(missing("a\nb\n", source), None);
        assert_eq!(missing("b\n...\nd\n", source), None);
        assert_eq!(missing("a\nc\n", source), Some("a / c".into()));
        assert_eq!(missing("d\n...\na\n", source), Some("a".into()));
    }
}
