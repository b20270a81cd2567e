//! Notices from outside that a simulation no longer makes steps: the only part that looks at real
//! time. It judges by what the simulation's thread had of the machine, a core or a place in the queue
//! for one, so that a busy machine is not taken for a stuck task.

use std::fs;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sim::TaskInfo;

/// What the simulation's thread shows of itself to the watching thread.
#[derive(Default)]
pub(crate) struct Beacon {
    /// Counts steps.
    steps: AtomicU64,
    /// The slot of the task that runs; `u32::MAX` for the scheduler itself.
    slot: AtomicU32,
    /// Who is in which slot.
    tasks: Mutex<Vec<Identity>>,
    /// Nobody waits for this run any more: it must end at the next step.
    pub(crate) abandoned: AtomicBool,
    /// When the present step began, in nanoseconds of virtual time.
    now: AtomicU64,
    /// Where the system tells how much CPU the thread has used that runs the simulation now.
    thread: Mutex<Option<Arc<str>>>,
}

struct Identity {
    serial: u64,
    name: Option<Arc<str>>,
    node: Arc<str>,
    spawned_at: &'static Location<'static>,
}

impl Beacon {
    /// The calling thread runs the simulation from here on.
    pub(crate) fn attach(&self) {
        thread_local! {
            static PATH: Option<Arc<str>> = fs::read_link("/proc/thread-self")
                .ok()
                .map(|path| format!("/proc/{}/schedstat", path.display()).into());
        }
        PATH.with(|path| self.thread.lock().clone_from(path));
    }

    pub(crate) fn running(&self, slot: u32, steps: u64, now: u64) {
        self.now.store(now, Relaxed);
        self.slot.store(slot, Relaxed);
        self.steps.store(steps, Relaxed);
    }

    pub(crate) fn spawned(
        &self,
        slot: u32,
        serial: u64,
        name: Option<Arc<str>>,
        node: &Arc<str>,
        spawned_at: &'static Location<'static>,
    ) {
        let identity = Identity { serial, name, node: node.clone(), spawned_at };
        let mut tasks = self.tasks.lock();
        match tasks.get_mut(slot as usize) {
            Some(place) => *place = identity,
            None => tasks.push(identity), // slots are handed out one after the other
        }
    }

    fn current_task(&self) -> Option<TaskInfo> {
        let slot = self.slot.load(Relaxed) as usize;
        let tasks = self.tasks.lock();
        let task = tasks.get(slot)?;
        Some(TaskInfo {
            serial: task.serial,
            name: task.name.as_deref().map(str::to_owned),
            node: task.node.to_string(),
            spawned_at: task.spawned_at,
        })
    }

    /// What the simulation's thread has used and waited for; `None` where the system does not say.
    fn cpu(&self) -> Option<Cpu> {
        let thread = self.thread.lock().clone()?;
        Cpu::parse(&fs::read_to_string(&*thread).ok()?)
    }
}

/// What a thread has had of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cpu {
    used: Duration,
    /// Ready to run, while others ran.
    queued: Duration,
}

impl Cpu {
    /// Reads `/proc/<pid>/task/<tid>/schedstat`: nanoseconds on a core, nanoseconds in a queue for
    /// one, and how many times it ran.
    fn parse(schedstat: &str) -> Option<Cpu> {
        let mut nanos = schedstat.split_whitespace().map(str::parse);
        let mut next = || Some(Duration::from_nanos(nanos.next()?.ok()?));
        Some(Cpu { used: next()?, queued: next()? })
    }

    fn since(self, then: Cpu) -> Cpu {
        Cpu {
            used: self.used.saturating_sub(then.used),
            queued: self.queued.saturating_sub(then.queued),
        }
    }
}

/// Why the watchdog gave a run up.
pub(crate) struct Stuck {
    /// In virtual time.
    pub(crate) at: Duration,
    pub(crate) task: Option<TaskInfo>,
    pub(crate) message: String,
}

/// Watches one simulation. Ask it now and then.
pub(crate) struct Watchdog {
    beacon: Arc<Beacon>,
    patience: Duration,
    seen: Option<Seen>,
}

/// When the present step was first seen.
struct Seen {
    steps: u64,
    since: Instant,
    cpu: Option<Cpu>,
}

impl Watchdog {
    pub(crate) fn new(beacon: Arc<Beacon>, patience: Duration) -> Self {
        Watchdog { beacon, patience, seen: None }
    }

    /// Says if the run has been in one step for too long.
    pub(crate) fn look(&mut self) -> Option<Stuck> {
        let steps = self.beacon.steps.load(Relaxed);
        let cpu = self.beacon.cpu();
        let seen = match &self.seen {
            Some(seen) if seen.steps == steps => seen,
            _ => {
                self.seen = Some(Seen { steps, since: Instant::now(), cpu });
                return None;
            }
        };
        let waited = seen.since.elapsed();
        let had = cpu.zip(seen.cpu).map(|(now, then)| now.since(then));
        let why = match had {
            Some(had) if had.used >= self.patience => format!(
                "computed for {:.1} s without a labrt call: is it an endless loop, or one that polls \
                 an atomic?",
                had.used.as_secs_f64()
            ),
            // It runs, or would if others did not: the machine is busy. Wait on.
            Some(had) if (had.used + had.queued) * 20 > waited => return None,
            Some(_) if waited >= self.patience => format!(
                "has used no CPU for {:.1} s: it is blocked outside labrt, in a foreign lock, channel, \
                 sleep or I/O; use labrt::sync, labrt::channel, labrt::time",
                waited.as_secs_f64()
            ),
            None if waited >= 6 * self.patience => {
                format!("made no labrt call for {:.1} s", waited.as_secs_f64())
            }
            _ => return None,
        };
        self.beacon.abandoned.store(true, Relaxed);
        let task = self.beacon.current_task();
        let who = task.as_ref().map_or_else(|| "the scheduler".to_owned(), ToString::to_string);
        let at = Duration::from_nanos(self.beacon.now.load(Relaxed));
        Some(Stuck { at, message: format!("{who} {why}"), task })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_for_a_core_is_told_from_one_that_is_blocked() {
        let then = Cpu::parse("5000000 1000000 17\n").unwrap();
        let now = Cpu::parse("6000000 9001000000 18\n").unwrap();
        let had = Cpu { used: Duration::from_millis(1), queued: Duration::from_secs(9) };
        assert_eq!(now.since(then), had);
        assert_eq!(Cpu::parse("0 \n"), None);
    }
}
