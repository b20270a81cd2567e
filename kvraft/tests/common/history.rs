use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use kvraft::Clerk;
use labrt::{
    sim,
    thread::{self, JoinHandle},
    time::{Duration, sleep},
};
use linearize::{
    Budget, Recorder, Verdict, check,
    models::{Kv, KvOp, KvOutput},
};

/// What clients did to one key that is only ever appended to, and what they saw.
#[derive(Clone, Default)]
pub(crate) struct History {
    key: String,
    recorder: Recorder<KvOp, KvOutput>,
    stopped: Arc<AtomicBool>,
    appends: Arc<AtomicU64>,
}

impl History {
    pub(crate) fn of(key: &str) -> History {
        History { key: key.to_owned(), ..History::default() }
    }

    pub(crate) fn append(&self, clerk: &mut Clerk) {
        let text = format!("{} ", self.appends.fetch_add(1, Ordering::Relaxed));
        let op = KvOp::append(&*self.key, &*text);
        let call = self.recorder.call(format!("{clerk:?}"), sim::elapsed(), op);
        clerk.append(&self.key, &text);
        call.returned(sim::elapsed(), KvOutput::Done);
    }

    pub(crate) fn get(&self, clerk: &mut Clerk) {
        let op = KvOp::get(&*self.key);
        let call = self.recorder.call(format!("{clerk:?}"), sim::elapsed(), op);
        let value = clerk.get(&self.key);
        call.returned(sim::elapsed(), KvOutput::value(value));
    }

    /// Lets a task append and get by turns until it is stopped.
    pub(crate) fn load(&self, mut clerk: Clerk) -> JoinHandle<()> {
        let history = self.clone();
        thread::spawn(move || {
            while !history.stopped.load(Ordering::Relaxed) {
                history.append(&mut clerk);
                history.get(&mut clerk);
                sleep(Duration::from_millis(3)); // or the value grows long, and the test slow
            }
        })
    }

    /// Tells the tasks to stop, and waits for the operations that they have under way.
    pub(crate) fn stop(&self, tasks: Vec<JoinHandle<()>>) {
        self.stopped.store(true, Ordering::Relaxed);
        for task in tasks {
            task.join().expect("not killed");
        }
    }

    /// The operations begun so far.
    pub(crate) fn len(&self) -> usize {
        self.recorder.history().len()
    }

    /// Fails unless one order of all operations, a last get included, agrees with what they returned
    /// and with when they ran.
    pub(crate) fn expect_linearizable(&self, clerk: &mut Clerk) {
        self.get(clerk);
        let history = self.recorder.history();
        match check(&Kv, &history, Budget::default()) {
            Verdict::Linearizable(_) => {}
            Verdict::NotLinearizable(violation) => panic!("{}", violation.explain(&Kv, &history)),
            Verdict::Unknown(undecided) => {
                panic!("not known after {} steps: out of {}", undecided.steps, undecided.used_up)
            }
        }
    }
}
