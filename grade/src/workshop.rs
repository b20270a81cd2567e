//! Where submissions become test binaries: one folder, the pristine workspace in it, one warm target.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use labrecord::About;
use nix::unistd::geteuid;

use crate::cargo::{self, Build};
use crate::confine::Cage;
use crate::policy::Limits;
use crate::submission::Submission;
use crate::suite::TestBinary;
use crate::workspace::{self, Files, LAB_CRATES};
use crate::{hash, process};

/// Where submissions are built, one after the other.
pub(crate) struct Workshop {
    pristine: Files,
    build: Build,
    cage: Cage,
    /// The workspace's own test binary.
    pub(crate) own: PathBuf,
    /// Held, so that no other grading builds here.
    _lock: File,
    /// The graded tests, and what each is: as the staff's own build says.
    pub(crate) tests: Vec<String>,
    pub(crate) suite: Vec<About>,
}

impl Workshop {
    /// Builds the workspace as it is: so the target folder is warm, and the tests are known even if no
    /// submission compiles.
    pub(crate) fn open(
        root: &Path,
        pristine: Files,
        profile: &str,
        limits: &Limits,
    ) -> Result<Workshop> {
        fs::create_dir_all(root.join("target/tmp")).with_context(|| root.display().to_string())?;
        let lock = File::create(root.join("target/grade.lock"))?;
        lock.lock()?;
        let pristine = hardened(pristine)?;
        workspace::write(&pristine, root)?;
        let mut build = Build { root: root.to_owned(), profile: profile.to_owned(), frozen: false };
        let mut cargo = build.command();
        cargo.arg("--locked").env_remove("CARGO_TARGET_DIR");
        let binary = build.run(cargo).context("the workspace itself")?;
        let own = binary.clone();
        let binary = TestBinary::new(binary, "/".into());
        let tests = binary.graded_and_campaigns()?;
        let suite = process::describe(binary.command(), &tests)?;
        build.frozen = true;
        let mut read = vec![root.to_owned(), cargo_home()?];
        read.extend(toolchain()?);
        read.extend(["/usr", "/bin", "/etc", "/proc", "/dev", "/sys/fs/cgroup"].map(PathBuf::from));
        let write = vec![root.join("target"), "/dev/null".into()];
        let cage = Cage { bounds: limits.build_bounds(), uid: None, read, write };
        Ok(Workshop { pristine, build, cage, own, _lock: lock, tests, suite })
    }

    /// Builds a submission, and returns the path of its test binary.
    pub(crate) fn build(&self, submission: &Submission) -> Result<PathBuf> {
        workspace::write(&workspace::overlay(&self.pristine, &submission.files), &self.build.root)?;
        let cargo = which(&cargo::program())?;
        let mut command = self.cage.command(&cargo)?;
        command.args(self.build.arguments()).current_dir(&self.build.root);
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("TMPDIR", self.build.root.join("target/tmp"));
        self.build.run(command)
    }
}

/// The workspace, but the compiler refuses `unsafe` in a student's crate whatever it says itself:
/// what a manifest forbids, no attribute allows.
fn hardened(mut files: Files) -> Result<Files> {
    for lab in LAB_CRATES {
        let path = format!("{lab}/Cargo.toml");
        let manifest = files.get(&path).with_context(|| format!("there is no {path}"))?;
        let manifest = String::from_utf8(manifest.clone()).with_context(|| path.clone())?;
        let hard = manifest.replacen(
            "[lints]\nworkspace = true",
            "[lints.rust]\nunsafe_code = \"forbid\"",
            1,
        );
        ensure!(hard != manifest, "{path} does not say `[lints] workspace = true`");
        files.insert(path, hard.into_bytes());
    }
    Ok(files)
}

fn cargo_home() -> Result<PathBuf> {
    let home = || env::home_dir().map(|home| home.join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("where is cargo's home?")
}

/// Where the compiler is, and what chooses it.
fn toolchain() -> Result<Vec<PathBuf>> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().context("rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let rustup = env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let rustup = rustup.or_else(|| env::home_dir().map(|home| home.join(".rustup")));
    Ok([Some(sysroot), rustup].into_iter().flatten().collect())
}

/// A program's path.
fn which(program: &OsStr) -> Result<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Ok(program.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found =
        env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.with_context(|| format!("{} is not on the PATH", program.display()))
}

/// A test binary, where the user that runs it can run it and nobody can read it. Removed in the end.
pub(crate) struct Binary {
    folder: PathBuf,
    pub(crate) path: PathBuf,
}

impl Binary {
    /// Copies it out of the folder in which the next submission will be built.
    pub(crate) fn take(built: &Path) -> Result<Binary> {
        let folder = env::temp_dir().join(format!("grade-{}", hash::secret()?));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let binary = Binary { path: folder.join("lab"), folder };
        fs::copy(built, &binary.path).with_context(|| built.display().to_string())?;
        // As root, the owner is another user than the one who runs it. Else the owner may not either.
        let mode = if geteuid().is_root() { 0o711 } else { 0o111 };
        fs::set_permissions(&binary.path, Permissions::from_mode(mode))?;
        fs::set_permissions(&binary.folder, Permissions::from_mode(0o711))?;
        Ok(binary)
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
