//! Copies `raft/src`, with its fixed times replaced by those that an experiment sets.
//!
//! An experiment is no business of the code that it measures, least of all of code that students
//! read and replace. So the reference keeps its constants, and here is the list of the places in
//! which a copy differs. A place that is not there any more, or there twice, fails the build.

use std::{env, fs, path::Path};

/// File, what it says, what the copy says.
const CHANGES: [(&str, &str, &str); 3] = [
    (
        "election.rs",
        "random_range(ELECTION_TIMEOUT_MIN..=ELECTION_TIMEOUT_MAX)",
        "random_range(crate::timing::election_timeout())",
    ),
    (
        "progress.rs",
        "self.due = now + HEARTBEAT_INTERVAL;",
        "self.due = now + crate::timing::heartbeat_interval();",
    ),
    (
        "progress.rs",
        "(args.last_index(), now + HEARTBEAT_INTERVAL)",
        "(args.last_index(), now + crate::timing::heartbeat_interval())",
    ),
];

fn main() {
    let from = Path::new("../../../../raft/src");
    let to = env::var("OUT_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed={}", from.display());
    let mut done = 0;
    for entry in fs::read_dir(from).expect("the reference Raft is where it was") {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            continue; // unit tests
        }
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
        let mut text = fs::read_to_string(&path).expect("a readable source");
        for (_, old, new) in CHANGES.iter().filter(|(file, ..)| *file == name) {
            let found = text.matches(old).count();
            assert!(found == 1, "raft/src/{name} says `{old}` {found} times, not once");
            text = text.replace(old, new);
            done += 1;
        }
        if name == "lib.rs" {
            // What is included in the middle of a file cannot begin with the docs of a crate.
            text =
                text.lines().filter(|line| !line.starts_with("//!")).collect::<Vec<_>>().join("\n");
        }
        let text = text.replace("#[cfg(test)]\nmod tests;\n", "");
        fs::write(Path::new(&to).join(name), text).expect("a writable OUT_DIR");
    }
    assert!(done == CHANGES.len(), "a file of raft/src that should be changed is gone");
}
