//! What the system holds a process to, so that nothing has to be believed of it.
//!
//! ```text
//!   grade run ──▶ grade confine ──▶ grade confine --inside ──▶ the test binary
//!   (group killed    new namespaces     limits, files,            another user, who may run
//!    at the limit)   (network, ids)     and the end of all        it and not read it
//! ```
//!
//! | what | how | where |
//! | --- | --- | --- |
//! | CPU, memory, file size, processes, open files | resource limits | any Unix |
//! | network, and processes that outlive the run | namespaces | Linux, as root or where users may have them |
//! | files: only libraries can be read, nothing written | Landlock | Linux 5.13 |
//! | its own memory and descriptors under `/proc` | the file cannot be read, so the process is not dumpable; and Landlock | Linux |
//! | other users' files and processes | a user of its own | as root |
//!
//! What is not to be had on a machine is left out, and [`probe`] says so: it is part of each grade.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, raise};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use crate::say::say;

/// What a process may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub struct Bounds {
    /// Seconds of CPU.
    #[arg(long, default_value_t = 120)]
    pub cpu_seconds: u64,
    /// MiB of address space.
    #[arg(long, default_value_t = 1024)]
    pub memory_mib: u64,
    /// MiB that a file may grow to.
    #[arg(long, default_value_t = 0)]
    pub file_mib: u64,
    /// Threads and processes of its user.
    #[arg(long, default_value_t = 64)]
    pub processes: u64,
}

/// What is in force on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// It runs as a user of its own.
    pub user: bool,
    /// It has no network, and whatever it starts ends with it.
    pub namespaces: bool,
    /// It reads libraries, and nothing else; it writes nothing.
    pub files: bool,
}

impl Confinement {
    /// What is missing, in words; empty if nothing is.
    #[must_use]
    pub fn missing(self) -> Vec<&'static str> {
        let all = [
            (self.user, "a user of its own (grade is not run as root)"),
            (self.namespaces, "no network (namespaces are not allowed)"),
            (self.files, "no files (Landlock is not there)"),
        ];
        all.into_iter().filter(|(there, _)| !there).map(|(_, what)| what).collect()
    }
}

/// `grade confine`: not for people.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    bounds: Bounds,
    /// Say what could be put in force.
    #[arg(long)]
    probe: bool,
    /// The namespaces are there already.
    #[arg(long)]
    inside: bool,
    /// So is a namespace of users.
    #[arg(long)]
    own_users: bool,
    /// Be this user.
    #[arg(long)]
    uid: Option<u32>,
    /// May be read and run, besides the system's libraries.
    #[arg(long)]
    read: Vec<PathBuf>,
    /// May be written, too.
    #[arg(long)]
    write: Vec<PathBuf>,
    /// The program, and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// How to confine one program.
#[derive(Debug, Clone)]
pub struct Cage {
    /// What it may use.
    pub bounds: Bounds,
    /// As root: the user that it becomes.
    pub uid: Option<u32>,
    /// What it may read and run, besides the system's libraries.
    pub read: Vec<PathBuf>,
    /// What it may write, too.
    pub write: Vec<PathBuf>,
}

impl Cage {
    /// A user that nobody has, if there is a choice. Different for each `number` below 1000.
    #[must_use]
    pub fn user(number: u32) -> Option<u32> {
        geteuid().is_root().then_some(64_000 + number)
    }

    /// A command that runs `program` in here, once its arguments are added.
    ///
    /// # Errors
    ///
    /// If this program does not know where it is.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let mut command = Command::new(this_program()?);
        command.arg("confine").args(self.arguments()).arg("--").arg(program);
        command.env_clear().current_dir("/");
        Ok(command)
    }

    fn arguments(&self) -> Vec<OsString> {
        let Bounds { cpu_seconds, memory_mib, file_mib, processes } = &self.bounds;
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        for (name, value) in [
            ("--cpu-seconds", cpu_seconds),
            ("--memory-mib", memory_mib),
            ("--file-mib", file_mib),
            ("--processes", processes),
        ] {
            add(name, value.to_string().into());
        }
        if let Some(uid) = self.uid {
            add("--uid", uid.to_string().into());
        }
        self.read.iter().for_each(|path| add("--read", path.into()));
        self.write.iter().for_each(|path| add("--write", path.into()));
        arguments
    }
}

/// What can be put in force here. Tried out in a process that ends at once.
///
/// # Errors
///
/// If this program cannot be run again.
pub fn probe() -> Result<Confinement> {
    let output = Command::new(this_program()?).args(["confine", "--probe"]).output()?;
    serde_json::from_slice(&output.stdout).context("`grade confine --probe` says nothing")
}

/// This program's file; on Linux also if a build has replaced it since.
fn this_program() -> Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    env::current_exe().context("where is this program?")
}

/// Confines this process, and runs the program in it.
///
/// # Errors
///
/// If a limit cannot be set, or the program cannot be run.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.probe {
        let confinement = Confinement {
            user: geteuid().is_root(),
            namespaces: system::leave_namespaces(),
            files: system::restrict_files(None, &[], &[])?,
        };
        say(&format!("{}\n", serde_json::to_string(&confinement)?));
        return Ok(ExitCode::SUCCESS);
    }
    if !options.inside {
        let users = || fs::read_link("/proc/self/ns/user").ok();
        let before = users();
        system::leave_namespaces();
        // The first process of its namespace: when it ends, all of them do.
        let mut inside = Command::new(this_program()?);
        inside.args(["confine", "--inside"]);
        if users() != before {
            inside.arg("--own-users");
        }
        inside.args(env::args_os().skip(2));
        let status = inside.status()?;
        // In its own namespace the first process cannot end by a signal; so it tells which.
        if let Some(signal) = status.code().and_then(|code| Signal::try_from(code - 128).ok()) {
            raise(signal)?;
        }
        return Ok(ExitCode::from(code(status)));
    }
    let (program, arguments) = options.command.split_first().context("nothing to run")?;
    let Bounds { cpu_seconds, memory_mib, file_mib, processes } = options.bounds;
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(uid) = options.uid {
        command.uid(uid).gid(uid);
    }
    for (resource, limit) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_CPU, cpu_seconds),
        (Resource::RLIMIT_FSIZE, file_mib << 20),
        (Resource::RLIMIT_NOFILE, 1024),
        (Resource::RLIMIT_AS, memory_mib << 20),
    ] {
        setrlimit(resource, limit, limit).with_context(|| format!("{resource:?}"))?;
    }
    // It counts all that its user runs on this machine: the grader's own desktop, without this.
    if options.uid.is_some() || options.own_users {
        setrlimit(Resource::RLIMIT_NPROC, processes, processes).context("RLIMIT_NPROC")?;
    }
    system::restrict_files(Some(Path::new(program)), &options.read, &options.write)?;
    let status = command.status().with_context(|| program.display().to_string())?;
    Ok(ExitCode::from(code(status)))
}

/// How a process ended, as a shell puts it: 128 and the signal, if one ended it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(target_os = "linux")]
mod system {
    use std::path::{Path, PathBuf};

    use anyhow::Result;
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset,
        RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope,
    };
    use nix::sched::{CloneFlags, unshare};

    /// Where programs and libraries are, and what every program opens.
    const LIBRARIES: [&str; 6] =
        ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/nix"];

    /// Leaves the network and the processes of this machine. Says whether that is allowed.
    pub(super) fn leave_namespaces() -> bool {
        let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC;
        unshare(flags).or_else(|_| unshare(flags | CloneFlags::CLONE_NEWUSER)).is_ok()
    }

    /// From now on, `run` can be run, only libraries and `read` can be read and run, and only `write`
    /// written. Says whether the system can do that.
    pub(super) fn restrict_files(
        run: Option<&Path>,
        read: &[PathBuf],
        write: &[PathBuf],
    ) -> Result<bool> {
        let abi = ABI::V6;
        let reading = AccessFs::from_read(abi);
        let everything = AccessFs::from_all(abi);
        let mut rules = Ruleset::default()
            .handle_access(everything)?
            .handle_access(AccessNet::from_all(abi))?
            .scope(Scope::from_all(abi))?
            .create()?;
        let allow = |rules: RulesetCreated, path: &Path, what: BitFlags<AccessFs>| -> Result<_> {
            match PathFd::new(path) {
                Ok(path) => Ok(rules.add_rule(PathBeneath::new(path, what))?),
                // What is not there needs no permission.
                Err(_) => Ok(rules),
            }
        };
        for path in LIBRARIES {
            rules = allow(rules, path.as_ref(), reading)?;
        }
        if let Some(path) = run {
            // The kernel asks for both. Whether its bytes can be read is up to the file's mode.
            rules = allow(rules, path, AccessFs::Execute | AccessFs::ReadFile)?;
        }
        for path in read {
            let kinds = if path.is_dir() { reading } else { reading & AccessFs::from_file(abi) };
            rules = allow(rules, path, kinds)?;
        }
        for path in write {
            rules = allow(rules, path, everything)?;
        }
        rules = allow(rules, "/dev/null".as_ref(), everything & AccessFs::from_file(abi))?;
        Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::path::{Path, PathBuf};

    use anyhow::Result;

    pub(super) fn leave_namespaces() -> bool {
        false
    }

    pub(super) fn restrict_files(
        _run: Option<&Path>,
        _read: &[PathBuf],
        _write: &[PathBuf],
    ) -> Result<bool> {
        Ok(false)
    }
}
