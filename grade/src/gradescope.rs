//! `grade gradescope`: the zip that Gradescope makes an autograder of.
//!
//! ```text
//!  setup.sh          once, as root: a compiler, the grader, a warm build
//!  run_autograder    for each submission: grade run .. --gradescope results.json
//!  secret            what all submissions' seeds are drawn from
//!  environment       what both agree on
//!  workspace/        what students get, the hidden tests, and grade.toml
//!  vendor/           every crate, so that no build needs a network
//! ```
//!
//! The solution is not in it: what is not there cannot be found.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::handout::Reader;
use crate::say::say;
use crate::workspace::{self, Files};
use crate::{cargo, handout, hash};

/// Write the zip for Gradescope.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The file to write.
    #[arg(long, default_value = "target/gradescope.zip")]
    out: PathBuf,
    /// What the seeds of every submission are drawn from: that of an earlier zip, so that seeds stay as
    /// they were. Drawn anew, if nothing is said.
    #[arg(long)]
    secret: Option<String>,
    /// The staff's workspace, or a folder in it.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// The scripts, in the staff's workspace.
const SCRIPTS: &str = "grade/gradescope/";

/// What Gradescope's machines are.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Writes the zip.
///
/// # Errors
///
/// If this is not the staff's workspace, or a crate cannot be had.
pub fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::find(&options.root)?;
    let staff = handout::staff(&root)?;
    let folder = std::path::absolute(cargo::target(&root))?.join("gradescope");
    let tree = folder.join("workspace");
    let mut files = handout::write(&staff, Reader::Grader, &tree)?;
    files.remove(crate::submit::PRISTINE);

    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, contents) in &staff {
        if let Some(name) = path.strip_prefix(SCRIPTS) {
            add(&mut zip, name, contents, 0o755)?;
        }
    }
    // One for all submissions: to hand in again, unchanged, is no second chance.
    let secret = options.secret.clone().map_or_else(hash::secret, Ok)?;
    add(&mut zip, "secret", format!("{secret}\n").as_bytes(), 0o600)?;
    add_all(&mut zip, "workspace", &files)?;
    let crates = vendor(&tree, &folder.join("vendor"))?;
    add_all(&mut zip, "vendor", &crates)?;
    let zip = zip.finish()?.into_inner();
    fs::write(&options.out, &zip).with_context(|| options.out.display().to_string())?;
    say(&format!(
        "{}: {} files, {} MB\n",
        options.out.display(),
        files.len() + crates.len(),
        zip.len().div_ceil(1_000_000)
    ));
    say(&format!(
        "its seeds: --secret {secret} makes another zip with the same; keep it from students\n"
    ));
    Ok(ExitCode::SUCCESS)
}

type Zip = ZipWriter<Cursor<Vec<u8>>>;

fn add_all(zip: &mut Zip, folder: &str, files: &Files) -> Result<()> {
    files
        .iter()
        .try_for_each(|(path, contents)| add(zip, &format!("{folder}/{path}"), contents, 0o644))
}

fn add(zip: &mut Zip, name: &str, contents: &[u8], mode: u32) -> Result<()> {
    zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode))?;
    Ok(zip.write_all(contents)?)
}

/// Every crate that the tree needs. Of those for other platforms, of which some are larger than all
/// the rest, only the name: cargo wants to see it.
fn vendor(tree: &Path, folder: &Path) -> Result<Files> {
    let name = folder.to_str().context("the folder's name is not UTF-8")?;
    handout::cargo(tree, &["vendor", "--locked", "--quiet", "--versioned-dirs", name], &[])?;
    let metadata = ["metadata", "--locked", "--format-version", "1", "--filter-platform", PLATFORM];
    let metadata: Value = serde_json::from_slice(&handout::cargo(tree, &metadata, &[])?)?;
    let needed = needed(&metadata);

    let mut kept = Files::new();
    for (path, contents) in workspace::read(folder)? {
        let (package, file) = path.split_once('/').unwrap_or((&path, ""));
        if needed.contains(package) || file == "Cargo.toml" {
            kept.insert(path, contents);
        } else if file == ".cargo-checksum.json" {
            let checksums: Value = serde_json::from_slice(&contents)?;
            let none = json!({ "files": {}, "package": checksums["package"] });
            kept.insert(path.clone(), none.to_string().into_bytes());
            kept.insert(format!("{package}/src/lib.rs"), Vec::new());
        }
    }
    Ok(kept)
}

/// Names and versions of the packages that are built on the platform: `libc-0.2.180`.
fn needed(metadata: &Value) -> BTreeSet<String> {
    let all = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = all(&metadata["resolve"]["nodes"]);
    let built: BTreeSet<String> = nodes.iter().map(|node| text(&node["id"])).collect();
    let packages = all(&metadata["packages"]);
    let built = packages.iter().filter(|package| built.contains(&text(&package["id"])));
    built
        .map(|package| format!("{}-{}", text(&package["name"]), text(&package["version"])))
        .collect()
}
