use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use kvraft::Clerk;
use labrt::{
    sync::Mutex,
    thread::{self, JoinHandle},
    time::{Duration, Instant, sleep},
};

/// What clients did to one key that is only ever appended to, and what they saw.
///
/// For such a key linearizability is easy to decide: the final value says in which order the
/// appends took effect, and each get which of them it saw.
#[derive(Clone, Default)]
pub(crate) struct History {
    key: String,
    operations: Arc<Mutex<Vec<Operation>>>,
    stopped: Arc<AtomicBool>,
    appends: Arc<AtomicU64>,
}

struct Operation {
    begin: Instant,
    end: Instant,
    what: What,
}

enum What {
    /// The text appended.
    Append(String),
    /// The value seen.
    Get(String),
}

impl History {
    pub(crate) fn of(key: &str) -> History {
        History { key: key.to_owned(), ..History::default() }
    }

    pub(crate) fn append(&self, clerk: &mut Clerk) {
        let number = self.appends.fetch_add(1, Ordering::Relaxed);
        let text = format!("{number} ");
        let begin = Instant::now();
        clerk.append(&self.key, &text);
        self.note(begin, What::Append(text));
    }

    pub(crate) fn get(&self, clerk: &mut Clerk) {
        let begin = Instant::now();
        let value = clerk.get(&self.key);
        self.note(begin, What::Get(value));
    }

    fn note(&self, begin: Instant, what: What) {
        self.operations.lock().push(Operation { begin, end: Instant::now(), what });
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

    /// The operations done so far.
    pub(crate) fn len(&self) -> usize {
        self.operations.lock().len()
    }

    /// Fails unless each append took effect once, and there is one order of all operations that
    /// agrees with what they returned and with when they ran.
    pub(crate) fn expect_linearizable(&self, clerk: &mut Clerk) {
        self.get(clerk);
        let mut operations = std::mem::take(&mut *self.operations.lock());
        let Some(What::Get(value)) = operations.last().map(|last| &last.what) else {
            panic!("the get was the last operation")
        };
        let value = value.clone();
        let order: BTreeMap<&str, usize> = value.split_inclusive(' ').zip(1..).collect();
        let appends = operations.iter().filter(|op| matches!(op.what, What::Append(_))).count();
        let found = value.split_inclusive(' ').count();
        assert_eq!((appends, found), (order.len(), order.len()), "appends done, found in {value}");

        // How many appends have taken effect when an operation has.
        let place = |what: &What| match what {
            What::Append(text) => {
                *order.get(text.as_str()).unwrap_or_else(|| panic!("{text} is lost: {value}"))
            }
            What::Get(seen) => {
                assert!(value.starts_with(seen.as_str()), "{seen} was never a value: {value}");
                seen.split_inclusive(' ').count()
            }
        };
        operations.sort_by_key(|operation| operation.begin);
        let places: Vec<usize> =
            operations.iter().map(|operation| place(&operation.what)).collect();
        let mut by_end: Vec<usize> = (0..operations.len()).collect();
        by_end.sort_by_key(|&operation| operations[operation].end);
        let mut ended = by_end.into_iter().peekable();
        let mut newest = 0;
        for (operation, &place) in operations.iter().zip(&places) {
            while let Some(earlier) = ended.next_if(|&at| operations[at].end < operation.begin) {
                newest = newest.max(places[earlier]);
            }
            match &operation.what {
                What::Append(text) => assert!(place > newest, "{text} precedes what was there"),
                What::Get(seen) => assert!(place >= newest, "{seen} lacks what was there"),
            }
        }
    }
}
