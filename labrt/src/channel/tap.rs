//! A harness hears what is taken from channels that lab code has made and keeps to itself.

use std::any::{Any, TypeId};
use std::sync::Arc;

use crate::kernel;
use crate::mode::{Mode, mode};
use crate::observe;

/// What is called with each message that is taken.
pub(super) type Tap<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// From now on, whoever takes a message of this type from a channel calls `hear` with it first: in its
/// own task, which has the message in hand and has done nothing about it yet. `hear` may even kill the
/// node that the task works for.
///
/// It hears of channels made after this; a second tap of one type takes the place of the first. On the
/// real engine nothing is heard.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use labrt::channel;
/// use labrt::sim::{self, Config};
///
/// let outcome = sim::run(Config::with_seed(7), || {
///     let heard = Arc::new(AtomicU32::new(0));
///     let sum = Arc::clone(&heard);
///     sim::tap(move |message: &u32| {
///         sum.fetch_add(*message, Ordering::Relaxed);
///     });
///     let (send, receive) = channel::unbounded::<u32>();
///     send.send(7).unwrap();
///     assert_eq!(heard.load(Ordering::Relaxed), 0); // nobody has taken it
///     assert_eq!(receive.recv(), Ok(7));
///     assert_eq!(heard.load(Ordering::Relaxed), 7);
/// });
/// outcome.result.unwrap();
/// ```
///
/// # Panics
///
/// Outside a simulation.
#[track_caller]
pub fn tap<T: 'static>(hear: impl Fn(&T) + Send + Sync + 'static) {
    observe::must_not_be_needed();
    if mode() == Mode::Real {
        return;
    }
    let tap: Tap<T> = Arc::new(hear);
    let before = kernel::with(|kernel| kernel.taps.insert(TypeId::of::<T>(), Box::new(tap)));
    drop(before); // here, where the kernel is free
}

/// What hears of the messages of a channel that is being made.
pub(super) fn of<T: 'static>() -> Option<Tap<T>> {
    let clone = |tap: &Box<dyn Any + Send>| tap.downcast_ref::<Tap<T>>().cloned();
    kernel::try_with(|kernel| kernel.taps.get(&TypeId::of::<T>()).and_then(clone)).flatten()
}
