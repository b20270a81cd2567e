//! One test process, and its supervisor's side of the socket: who is asked, what is believed, and
//! when it is ended.

use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use labrecord::{About, Message, Order, Record};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::hash;
use crate::trial::Trial;

/// How often a silent process is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How soon one that has closed its socket is: it is about to end. Waits grow from this to [`POLL`].
const SOON: Duration = Duration::from_micros(500);

/// No record is longer. (A report holds a few lines for each task.)
const LONGEST_LINE: usize = 1 << 20;

/// How much of what a process prints is kept: the end.
const PRINT_KEPT: usize = 4 << 10;

/// When a process is ended from outside. (What the system itself holds it to is in `confine`.)
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Wall time.
    pub wall: Duration,
    /// Bytes that it may print. 0: what it prints is thrown away.
    pub print: u64,
    /// Set by whoever wants it to end now.
    pub stop: &'a AtomicBool,
}

/// How a process came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself. Its status is told, never believed.
    Ended(ExitStatus),
    /// It took too long.
    OutOfTime(Duration),
    /// It printed too much.
    TooMuchPrinted(u64),
    /// It sent something that its tester does not send.
    Forged(String),
    /// It was stopped from outside.
    Stopped,
}

impl End {
    /// In a few words, without numbers that differ from run to run.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            End::Ended(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("the process ended, with status {code}"),
                (None, Some(signal)) => {
                    let name = Signal::try_from(signal).map_or("a signal", Signal::as_str);
                    format!("the process was ended by {name}")
                }
                (None, None) => "the process ended".to_owned(),
            },
            End::OutOfTime(limit) => format!("over {} s of wall time", limit.as_secs()),
            End::TooMuchPrinted(limit) => format!("over {limit} bytes were printed"),
            End::Forged(what) => format!("forged: {what}"),
            End::Stopped => "stopped".to_owned(),
        }
    }
}

/// What came of a process.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How many records came: those of the first so many seeds.
    pub records: usize,
    /// How it ended.
    pub end: End,
    /// The end of what it printed.
    pub printed: String,
}

/// Asks a test binary what these tests are, and tells it in their order.
///
/// # Errors
///
/// If it cannot be run, or leaves a test undescribed.
pub fn describe(command: Command, tests: &[String]) -> Result<Vec<About>> {
    let order = Order {
        token: hash::secret()?,
        seeds: Vec::new(),
        keep_going: true,
        check_determinism: false,
    };
    let stop = AtomicBool::new(false);
    let limits = Limits { wall: Duration::from_mins(1), print: 0, stop: &stop };
    let mut abouts: Vec<About> = Vec::new();
    let mut process = Process::start(command, tests, &order, limits.print)?;
    let end = process.read(&limits, |message| match message {
        Message::About(about) => {
            abouts.push(about);
            Ok(())
        }
        Message::Record(_) => Err("a record that nobody asked for".to_owned()),
    })?;
    for test in tests {
        let described = abouts.iter().any(|about| about.test == *test);
        ensure!(described, "the tests do not say what {test} is: {}", end.words());
    }
    abouts.sort_by_key(|about| tests.iter().position(|test| *test == about.test));
    Ok(abouts)
}

/// Runs a trial in one process, and hands on each record as it comes. `command` runs the test binary, or
/// whatever runs it in turn; its arguments are still to come.
///
/// # Errors
///
/// If the process cannot be started.
pub fn run(command: Command, trial: &Trial, mut record: impl FnMut(Record)) -> Result<Outcome> {
    let Trial { about: About { test, .. }, seeds, check_determinism, limits } = trial;
    let order = Order {
        token: hash::secret()?,
        seeds: seeds.to_vec(),
        keep_going: true,
        check_determinism: *check_determinism,
    };
    let mut records = 0;
    let mut process = Process::start(command, slice::from_ref(test), &order, limits.print)?;
    let end = process.read(limits, |message| {
        let Message::Record(next) = message else { return Ok(()) };
        let Some(&expected) = seeds.get(records) else {
            return Err("more records than were asked for".to_owned());
        };
        if next.test != *test || next.seed != expected {
            let Record { test, seed, .. } = *next;
            return Err(format!("a record of {test} with seed {seed}, in place of {expected}"));
        }
        records += 1;
        record(*next);
        Ok(())
    })?;
    Ok(Outcome { records, end, printed: process.printed.text() })
}

struct Process {
    child: Child,
    socket: UnixStream,
    token: String,
    printed: Arc<Printed>,
}

impl Process {
    fn start(mut command: Command, tests: &[String], order: &Order, print: u64) -> Result<Process> {
        let (mut socket, theirs) = UnixStream::pair()?;
        command
            .args(["--exact", "--test-threads=1", "--nocapture"])
            .args(tests)
            .env("LAB_SUPERVISOR", "stdin")
            .env("RUST_BACKTRACE", "0")
            .stdin(OwnedFd::from(theirs))
            .process_group(0);
        let printed = Arc::new(Printed::default());
        if print == 0 {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        } else {
            let (read, write) = io::pipe()?;
            command.stdout(write.try_clone()?).stderr(write);
            let printed = Arc::clone(&printed);
            thread::spawn(move || printed.drain(read));
        }
        let child = command.spawn();
        let child = child.with_context(|| command.get_program().display().to_string())?;
        // Its ends of the socket and the pipe; else they would never be seen to close.
        drop(command);

        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        socket.set_read_timeout(Some(POLL))?;
        // A process that is gone already is noticed when its answers are read.
        let _ = socket.write_all(&line);
        Ok(Process { child, socket, token: order.token.clone(), printed })
    }

    /// Reads what comes, until the process ends or is ended.
    fn read(
        &mut self,
        limits: &Limits,
        message: impl FnMut(Message) -> Result<(), String>,
    ) -> Result<End> {
        let end = self.read_on(limits, message);
        self.kill();
        end
    }

    fn read_on(
        &mut self,
        limits: &Limits,
        mut message: impl FnMut(Message) -> Result<(), String>,
    ) -> Result<End> {
        let began = Instant::now();
        let mut chunk = vec![0; 64 << 10];
        let mut line = Vec::new();
        // Once the socket is closed: how long to wait before the process is looked at again.
        let mut closed: Option<Duration> = None;
        let mut gone: Option<(ExitStatus, Instant)> = None;
        loop {
            if let Some(pause) = &mut closed {
                thread::sleep(*pause);
                *pause = POLL.min(*pause * 2);
            } else {
                // An error is the end of the wait, no more; a broken socket shows by the process's end.
                let count = self.socket.read(&mut chunk).ok();
                closed = (count == Some(0)).then_some(SOON);
                for byte in &chunk[..count.unwrap_or(0)] {
                    if *byte != b'\n' {
                        line.push(*byte);
                        continue;
                    }
                    let said = Message::from_line(&String::from_utf8_lossy(&line), &self.token)
                        .ok_or_else(|| "a line that the tester did not write".to_owned())
                        .and_then(&mut message);
                    if let Err(what) = said {
                        return Ok(End::Forged(what));
                    }
                    line.clear();
                }
                if line.len() > LONGEST_LINE {
                    return Ok(End::Forged("a line without end".to_owned()));
                }
            }
            if gone.is_none() {
                gone = self.child.try_wait()?.map(|status| (status, Instant::now()));
            }
            // By then, what it sent before its end has arrived.
            if let Some((status, since)) = gone
                && (closed.is_some() || since.elapsed() > POLL)
            {
                return Ok(End::Ended(status));
            }
            if began.elapsed() >= limits.wall {
                return Ok(End::OutOfTime(limits.wall));
            }
            if limits.print > 0 && self.printed.bytes.load(Ordering::Relaxed) > limits.print {
                return Ok(End::TooMuchPrinted(limits.print));
            }
            if limits.stop.load(Ordering::Relaxed) {
                return Ok(End::Stopped);
            }
        }
    }

    /// Ends the process and all of its group.
    fn kill(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may be gone.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a process printed: how much, and the end of it.
#[derive(Debug, Default)]
struct Printed {
    bytes: AtomicU64,
    end: Mutex<Vec<u8>>,
}

impl Printed {
    fn drain(&self, mut pipe: impl Read) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            self.bytes.fetch_add(count as u64, Ordering::Relaxed);
            let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            end.extend_from_slice(&buffer[..count]);
            let extra = end.len().saturating_sub(PRINT_KEPT);
            end.drain(..extra);
        }
    }

    fn text(&self) -> String {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&end).into_owned()
    }
}
