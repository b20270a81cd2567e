//! What is made of filters that match no test.

#[allow(dead_code, reason = "its `main` is that of another binary")]
#[path = "../filters.rs"]
mod filters;

use std::fs;
use std::path::Path;
use std::process::Command;

/// The names of this binary's tests.
fn tests() -> Vec<String> {
    let mut this = Command::new(std::env::current_exe().unwrap());
    let listed =
        String::from_utf8(this.args(["--list", "--format", "terse"]).output().unwrap().stdout);
    let names: Vec<String> = listed
        .unwrap()
        .lines()
        .map(|line| line.strip_suffix(": test").unwrap().to_owned())
        .collect();
    assert!(names.iter().any(|name| name == "raft_3A::re_election"), "{names:?}");
    names
}

#[test]
fn a_filter_that_matches_nothing_is_named() {
    let tests = tests();
    let problem = |filter: &str| filters::problem(filter, false, &tests);
    for right in ["3A", "raft_", "raft_3", "3A::re_election", "torture", "election", "kvraft_4B::"]
    {
        assert_eq!(problem(right), None);
    }
    assert_eq!(problem("3a").unwrap(), "no test has `3a` in its name: did you mean `3A`?");
    let meant = problem("Raft_3B::Basic").unwrap();
    assert_eq!(meant, "no test has `Raft_3B::Basic` in its name: did you mean `raft_3B::basic`?");
    for wrong in ["3E", "4C", "3A::re_electoin", "raft_5"] {
        assert_eq!(
            problem(wrong).unwrap(),
            format!(
                "no test has `{wrong}` in its name: the parts are 3A, 3B, 3C, 3D, 4A, 4B, and \
                 `cargo test -- --list` prints all names"
            )
        );
    }
}

#[test]
fn an_exact_filter_is_a_whole_name() {
    let tests = tests();
    assert_eq!(filters::problem("raft_3A::re_election", true, &tests), None);
    assert_eq!(
        filters::problem("re_election", true, &tests).unwrap(),
        "no test is called `re_election`: did you mean `raft_3A::re_election`?"
    );
}

#[test]
fn filters_are_what_is_no_option() {
    let filters = |line: &str| filters::filters(line.split(' ').map(str::to_owned));
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(filters("3A"), (named(&["3A"]), false));
    assert_eq!(filters("3A 4C --nocapture"), (named(&["3A", "4C"]), false));
    assert_eq!(filters("--skip 3E --test-threads 2 -q --ignored"), (named(&[]), false));
    assert_eq!(filters("--test-threads=2 raft_ --exact"), (named(&["raft_"]), true));
}

/// A filter may be for a test of another package, unless it is of the kind that only the graded tests have.
#[test]
fn a_filter_may_be_for_another_package() {
    let tests = ["raft_3A::re_election".to_owned()];
    let of_the_lab =
        ["3a", "3E", "3A:re_election", "raft_3a", "kvraft_5", "torture::x", "re_election"];
    for of_the_lab in of_the_lab {
        assert!(filters::is_for_the_lab(of_the_lab, &tests), "{of_the_lab}");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("filters");
    let source = folder.join("some/src");
    fs::create_dir_all(&source).unwrap();
    fs::create_dir_all(folder.join("target")).unwrap();
    fs::write(source.join("hostile.rs"), "#[test]\nfn bytes_of_a_bomb() {}\n").unwrap();
    fs::write(folder.join("target/built.rs"), "fn elsewhere() {}").unwrap();
    fs::write(folder.join("README.md"), "elsewhere").unwrap();
    for others in ["bytes_of", "hostile::bytes_of_a_bomb", "hostile", "some/src/hostile.rs"] {
        assert!(!filters::is_for_the_lab(others, &tests), "{others}");
        assert!(filters::is_mentioned(others, &folder), "{others}");
    }
    for misspelt in ["bytes_fo", "hostile::bytes_of_a_bob", "elsewhere"] {
        assert!(!filters::is_mentioned(misspelt, &folder), "{misspelt}");
    }
}
