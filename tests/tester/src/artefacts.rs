//! Files about a run that failed, beside what the build makes: `target/lab/<test>-<seed>.<ending>`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::report::Attachment;
use labrecord::Seed;

/// Writes them, and gives what each is and its path.
///
/// A file that cannot be written is named with the reason: the report is printed in any case.
pub(crate) fn write<'a>(
    test: &str,
    seed: Seed,
    attachments: impl Iterator<Item = &'a Attachment>,
) -> BTreeMap<String, String> {
    let one = |attachment: &Attachment| {
        let folder = folder();
        let name = format!("{}-{seed}.{}", test.replace("::", "."), attachment.ending);
        let path = folder.join(name);
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, &attachment.text));
        let place = match written {
            Ok(()) => path.display().to_string(),
            Err(error) => format!("{} was not written: {error}", path.display()),
        };
        (attachment.what.to_owned(), place)
    };
    attachments.map(one).collect()
}

/// `lab` in the build's directory, which is where this program is, in `<profile>/deps`; else in `target`.
fn folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let is_deps = |path: &&Path| path.file_name().is_some_and(|name| name == "deps");
    let deps = program.parent().filter(is_deps);
    deps.and_then(|deps| deps.ancestors().nth(2)).unwrap_or(Path::new("target")).join("lab")
}
