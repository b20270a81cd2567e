//! A look at what lab code guards, from outside the run: the run does not notice.
//!
//! Who records or checks a run wants to know the state of a server at every message. Were the server
//! called as everybody calls it, each lock would be a place to switch tasks, and the run that is looked
//! at would be another one than the run asked for.

use std::panic::{self, AssertUnwindSafe};

use crate::mode::{Mode, mode, set_mode};
use crate::task;

/// What ends a look that would have to wait.
struct GaveUp;

/// Calls `look`, in which locks that are open can be taken and no time passes, no task is switched
/// and nothing is drawn: the run goes on as if nobody had looked.
///
/// `None` if `look` needs a lock that is taken, or anything else of labrt that could make a
/// difference (channels, spawning, randomness), or if it panics: then there is nothing to be seen now.
///
/// It may be called from a task, whatever locks that holds, and from an event. Only in a simulation:
/// elsewhere there is no instant at which to look, and the answer is `None`; as it is to a destructor
/// that runs because of a panic.
///
/// ```
/// use labrt::sim::{self, Config};
/// use labrt::sync::Mutex;
///
/// sim::run(Config::with_seed(7), || {
///     let state = Mutex::new(1);
///     assert_eq!(sim::observe(|| *state.lock()), Some(1));
///     let guard = state.lock();
///     assert_eq!(sim::observe(|| *state.lock()), None); // it is taken
///     drop(guard);
/// });
/// ```
pub fn observe<T>(look: impl FnOnce() -> T) -> Option<T> {
    if mode() != Mode::Simulated || task::must_not_block() {
        return None;
    }
    set_mode(Mode::Observing);
    // Whatever `look` leaves half done is its own affair, as with any panic that is caught.
    let seen = panic::catch_unwind(AssertUnwindSafe(look));
    set_mode(Mode::Simulated);
    seen.ok()
}

/// Ends the look. No message is printed.
#[cold]
pub(crate) fn give_up() -> ! {
    panic::resume_unwind(Box::new(GaveUp))
}

/// To be called by what would make a difference to the run.
#[inline]
pub(crate) fn must_not_be_needed() {
    if mode() == Mode::Observing {
        give_up();
    }
}
