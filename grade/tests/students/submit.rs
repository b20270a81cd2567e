//! What a student hands in. (That it also builds and runs it, the newcomer's path shows.)

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{clone, graded, refused};

/// A tree as students get it.
fn tree(name: &str) -> PathBuf {
    let staff = clone(name, |_| {});
    graded(&staff, &["handout", "--no-build", "--out", "out"]);
    staff.join("out")
}

fn write(tree: &Path, path: &str, contents: &str) {
    fs::write(tree.join(path), contents).unwrap();
}

#[test]
fn what_is_too_large_is_refused() {
    let tree = tree("too-large");
    write(&tree, "raft/src/large.rs", &"//\n".repeat(400_000));
    let said = refused(&tree, &["submit"]);
    assert!(said.contains("raft/src/large.rs is larger than 1048576 bytes"), "{said}");

    write(&tree, "raft/src/large.rs", &"//\n".repeat(200_000));
    write(&tree, "kvraft/src/large.rs", &"//\n".repeat(200_000));
    let said = refused(&tree, &["submit"]);
    assert!(said.contains("1048576 are the limit"), "{said}");
    assert!(!tree.join("submission.tar.gz").exists());
}

#[test]
fn what_does_not_compile_is_refused_with_the_compilers_words() {
    let tree = tree("no-rust");
    write(&tree, "raft/src/lib.rs", "pub fn raft() { let x: u32 = \"log\"; }\n");
    let said = refused(&tree, &["submit"]);
    assert!(said.starts_with("grade: nothing is packed: it does not compile"), "{said}");
    assert!(said.contains("mismatched types"), "{said}");
    assert!(!tree.join("submission.tar.gz").exists());
}

#[test]
fn a_tree_without_a_raft_is_refused() {
    let tree = tree("no-raft");
    fs::remove_file(tree.join("raft/src/lib.rs")).unwrap();
    let said = refused(&tree, &["submit"]);
    assert!(said.contains("there is no raft/src/lib.rs in it"), "{said}");
}
