//! Other right designs: directories that take the place of the reference.
//!
//! ```text
//!  designs/b1/raft/src/*      in place of raft/src
//!  designs/kb2/kvraft/src/*   in place of kvraft/src
//! ```
//!
//! Some mistakes are none on the reference, or cannot be made there at all: they are patches of a
//! design (`design: b1` in the header). A right patch without a diff stands for the design itself.

use grade::workspace::{self, Files};

/// Where they are, each under its name.
pub(crate) const HOME: &str = "staff/mutants/designs/";

/// The workspace `pristine` with the design's directories in place of its own.
pub(crate) fn replaced(pristine: &Files, design: &str) -> Result<Files, String> {
    let home = format!("{HOME}{design}/");
    let files: Files = pristine
        .iter()
        .filter_map(|(path, text)| Some((path.strip_prefix(&home)?.to_owned(), text.clone())))
        .collect();
    if files.is_empty() {
        return Err(format!("there is no design {design}: {home} is empty"));
    }
    Ok(workspace::overlay(pristine, &files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        list.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_design_replaces_whole_directories_and_nothing_else() {
        let pristine = files(&[
            ("raft/src/lib.rs", "old"),
            ("raft/src/log.rs", "old"),
            ("raft/Cargo.toml", "old"),
            ("kvraft/src/lib.rs", "old"),
            ("staff/mutants/designs/b1/raft/src/lib.rs", "new"),
        ]);
        let replaced = replaced(&pristine, "b1").unwrap();
        assert_eq!(replaced["raft/src/lib.rs"], b"new");
        assert!(!replaced.contains_key("raft/src/log.rs"));
        let kept = ["raft/Cargo.toml", "kvraft/src/lib.rs"].map(|path| &replaced[path]);
        assert_eq!(kept, [b"old", b"old"]);
    }

    #[test]
    fn an_unknown_design_is_named() {
        let error = replaced(&files(&[("raft/src/lib.rs", "old")]), "b9").unwrap_err();
        assert_eq!(error, "there is no design b9: staff/mutants/designs/b9/ is empty");
    }
}
