//! Rafts that others wrote, behind the lab's interface: folders of `staff/others`.

use std::fs;
use std::path::{Path, PathBuf};

use grade::workspace::{self, Files};

use crate::sources::Sources;

/// In which all of them are.
const HOME: &str = "staff/others";

/// What they share: it goes into the `src` of each.
const COMMON: &str = "common";

/// All there are, by name.
pub(crate) fn names(root: &Path) -> Result<Vec<String>, String> {
    let home = root.join(HOME);
    let entries = fs::read_dir(&home).map_err(|e| format!("{}: {e}", home.display()))?;
    let packages = entries.flatten().filter(|entry| entry.path().join("Cargo.toml").is_file());
    let mut names: Vec<String> =
        packages.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// Makes `target/others/NAME` a workspace with this one in the place of `raft`, and says where it is.
pub(crate) fn lay_out(root: &Path, name: &str, sources: &Sources) -> Result<PathBuf, String> {
    let known = names(root)?;
    if !known.iter().any(|other| other == name) {
        return Err(format!("there is no {HOME}/{name}, but {}", known.join(", ")));
    }
    let read =
        |folder: &str| workspace::read(&root.join(HOME).join(folder)).map_err(|e| format!("{e:#}"));
    let place = root.join("target/others").join(name);
    sources.copy_with_raft(package(read(name)?, read(COMMON)?), &place)?;
    Ok(place)
}

/// The files of the workspace that such a package brings.
fn package(own: Files, common: Files) -> Files {
    let own = own.into_iter().map(|(path, contents)| {
        // It needs packages that nothing else in the workspace does.
        let is_lock = path == "Cargo.lock";
        (if is_lock { path } else { format!("raft/{path}") }, contents)
    });
    let common = common.into_iter();
    own.chain(common.map(|(path, contents)| (format!("raft/src/{path}"), contents))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_takes_the_place_of_raft_and_brings_its_lock_file() {
        let files = |paths: &[&str]| -> Files {
            paths.iter().map(|path| ((*path).to_owned(), Vec::new())).collect()
        };
        let found =
            package(files(&["Cargo.lock", "Cargo.toml", "src/lib.rs"]), files(&["node.rs"]));
        let expected = ["Cargo.lock", "raft/Cargo.toml", "raft/src/lib.rs", "raft/src/node.rs"];
        assert!(found.keys().eq(expected.iter()), "{found:?}");
    }
}
