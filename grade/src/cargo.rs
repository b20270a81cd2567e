//! Builds the test binary of a workspace, and says where it is.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::suite::TestBinary;

/// How to build.
#[derive(Debug, Clone)]
pub struct Build {
    /// The workspace.
    pub root: PathBuf,
    /// A cargo profile: `dev`, `release`, ...
    pub profile: String,
    /// Never ask a registry, and take the lock file as it is.
    pub frozen: bool,
}

/// It does not compile.
#[derive(Debug, thiserror::Error)]
#[error("it does not compile:\n{0}")]
pub struct CompileError(pub String);

impl Build {
    /// Builds the graded tests.
    ///
    /// # Errors
    ///
    /// [`CompileError`] with what the compiler said, or that cargo cannot be run.
    pub fn tests(&self) -> Result<TestBinary> {
        let path = self.run(self.command())?;
        Ok(TestBinary::new(path, self.root.join("tests")))
    }

    /// The command that builds the graded tests and prints JSON.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut cargo = Command::new(program());
        cargo.args(self.arguments()).current_dir(&self.root);
        remove_variables(&mut cargo, &["CARGO_PKG_", "CARGO_MANIFEST", "CARGO_BIN_", "LAB_"]);
        cargo
    }

    /// The same command's arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["test", "--no-run", "-p", "labtests", "--test", "lab"];
        arguments.extend(["--message-format=json", "--profile", &self.profile]);
        if self.frozen {
            arguments.push("--frozen");
        }
        arguments
    }

    /// Runs such a command, and finds the test binary in what it printed.
    ///
    /// # Errors
    ///
    /// As [`tests`](Self::tests).
    pub fn run(&self, mut cargo: Command) -> Result<PathBuf> {
        let output = cargo.output().context("cargo cannot be run")?;
        // Ended from outside, it has not said anything about the sources.
        ensure!(output.status.code().is_some(), "cargo was ended: {}", output.status);
        let messages: Vec<Value> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        if !output.status.success() {
            let said = errors(&messages);
            let said = if said.is_empty() {
                String::from_utf8_lossy(&output.stderr).into_owned()
            } else {
                said
            };
            return Err(CompileError(said.trim_end().to_owned()).into());
        }
        match executable(&messages) {
            Some(path) => Ok(path),
            None => bail!("cargo names no test binary `lab`"),
        }
    }
}

/// What to call for cargo.
#[must_use]
pub fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The compiler's errors, as it would print them.
fn errors(messages: &[Value]) -> String {
    let of = |message: &Value| match message["message"]["level"].as_str() {
        Some("error") => message["message"]["rendered"].as_str().map(str::to_owned),
        _ => None,
    };
    messages.iter().filter_map(of).collect()
}

fn executable(messages: &[Value]) -> Option<PathBuf> {
    let tests = messages.iter().find(|message| message["target"]["name"] == "lab")?;
    tests["executable"].as_str().map(PathBuf::from)
}

/// Variables that were meant for this process, and not for those it starts.
fn remove_variables(command: &mut Command, prefixes: &[&str]) {
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
}

/// The folder that cargo builds in, if nothing else is said.
#[must_use]
pub fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
