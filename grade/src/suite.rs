//! The tests in a test binary. Nothing here knows their names: they are asked for.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// A built test binary.
#[derive(Debug, Clone)]
pub struct TestBinary {
    path: PathBuf,
    /// Where cargo would run it.
    folder: PathBuf,
}

impl TestBinary {
    /// The binary at `path`, which is to run in `folder`.
    #[must_use]
    pub fn new(path: PathBuf, folder: PathBuf) -> TestBinary {
        TestBinary { path, folder }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs it, with an environment that says nothing but where programs are.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder).env_clear().stdin(Stdio::null());
        command
    }

    /// The graded tests, part by part: those of modules that are named after a part, such as
    /// `raft_3A::re_election`. Tests that are `#[ignore]`d are not among them.
    ///
    /// # Errors
    ///
    /// If the binary cannot be run.
    pub fn graded(&self) -> Result<Vec<String>> {
        self.tests(is_graded)
    }

    /// The graded tests, and after them the campaigns, such as `torture::raft`.
    ///
    /// # Errors
    ///
    /// If the binary cannot be run.
    pub fn graded_and_campaigns(&self) -> Result<Vec<String>> {
        self.tests(|name| is_graded(name) || is_campaign(name))
    }

    fn tests(&self, which: fn(&str) -> bool) -> Result<Vec<String>> {
        let all = self.list(&[])?;
        let ignored = self.list(&["--ignored"])?;
        let chosen = |name: &String| which(name) && !ignored.contains(name);
        let mut tests: Vec<String> = all.into_iter().filter(chosen).collect();
        // Campaigns have no part, and come last.
        let part = |name: &str| crate_and_part(name).map(|(_, part)| part.to_owned());
        tests.sort_by_key(|name| (part(name).is_none(), part(name)));
        Ok(tests)
    }

    fn list(&self, more: &[&str]) -> Result<Vec<String>> {
        let mut command = self.command();
        command.args(["--list", "--format", "terse"]).args(more);
        let output = command.output().with_context(|| self.path.display().to_string())?;
        if !output.status.success() {
            bail!("{} --list: {}", self.path.display(), output.status);
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }
}

/// Is this `CRATE_PART::..`, with a part such as `3A`?
#[must_use]
pub fn is_graded(name: &str) -> bool {
    crate_and_part(name).is_some()
}

/// Is it a campaign, in which the seed chooses the world as well, or a scripted history beside them?
fn is_campaign(name: &str) -> bool {
    name.starts_with("torture")
}

/// The crate that a test is about, and the part of the lab: `raft` and `3A` of
/// `raft_3A::re_election`, and of `raft_3A_hidden::re_election`.
#[must_use]
pub fn crate_and_part(name: &str) -> Option<(&str, &str)> {
    let (lab, rest) = name.split_once("::")?.0.split_once('_')?;
    let part = rest.split_once('_').map_or(rest, |(part, _)| part);
    let is_part = matches!(part.as_bytes(), [digit, letter]
        if digit.is_ascii_digit() && letter.is_ascii_uppercase());
    is_part.then_some((lab, part))
}

/// Is it in a module such as `raft_3A_hidden`?
#[must_use]
pub fn is_hidden(name: &str) -> bool {
    name.split_once("::").is_some_and(|(module, _)| module.ends_with("_hidden"))
}

/// The tests that `wanted` selects: a part (`3A`), a crate and part (`raft_3A`), a test's whole name,
/// or some of it, as `cargo test` does. All that are graded, if nothing is wanted.
///
/// # Errors
///
/// If something wanted selects nothing.
pub fn select(tests: &[String], wanted: &[String]) -> Result<Vec<String>> {
    for filter in wanted {
        if !tests.iter().any(|test| test.contains(filter.as_str())) {
            bail!("there is no graded test and no campaign `{filter}`");
        }
    }
    let chosen = |test: &&String| {
        let asked_for = || wanted.iter().any(|filter| test.contains(filter.as_str()));
        if wanted.is_empty() { is_graded(test) } else { asked_for() }
    };
    Ok(tests.iter().filter(chosen).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::{crate_and_part, select};

    #[test]
    fn a_test_says_what_it_is_about() {
        assert_eq!(crate_and_part("raft_3A::re_election"), Some(("raft", "3A")));
        assert_eq!(crate_and_part("kvraft_4B_hidden::a::b"), Some(("kvraft", "4B")));
        for other in ["tester::a", "tester_kv::a", "raft_3A", "raft_3AB::a", "raft_hidden_3A::a"] {
            assert_eq!(crate_and_part(other), None, "{other}");
        }
    }

    #[test]
    fn campaigns_have_to_be_asked_for() {
        let tests =
            ["raft_3A::re_election", "kvraft_4A::speed", "torture::raft"].map(str::to_owned);
        let selected = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|&word| word.to_owned()).collect();
            select(&tests, &wanted).map_err(|error| error.to_string())
        };
        assert_eq!(selected(&[]).unwrap(), tests[..2]);
        assert_eq!(selected(&["torture"]).unwrap(), tests[2..]);
        assert_eq!(selected(&["3A", "raft"]).unwrap(), tests);
        let error = selected(&["3A", "3Z"]).unwrap_err();
        assert_eq!(error, "there is no graded test and no campaign `3Z`");
    }
}
