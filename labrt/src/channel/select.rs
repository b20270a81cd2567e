//! Waiting for the first of several channel operations that can go ahead.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use rand::RngExt as _;

use super::{
    Receiver, RecvError, SelectTimeoutError, SendError, Sender, Source, Target, TrySelectError,
};
use crate::kernel::{self, Key, Park};
use crate::mode::{Mode, mode};
use crate::observe;
use crate::real;
use crate::task::{self, Woken, park};
use crate::time::Instant;

/// Several operations, of which the first possible one is done; [`select!`](super::select!) is
/// usually nicer.
#[derive(Default)]
pub struct Select<'a> {
    arms: Vec<&'a dyn Arm>,
    /// In the real engine: what tells of a kill while this waits.
    kills: Vec<crossbeam_channel::Receiver<real::Never>>,
}

/// One operation of a [`Select`].
trait Arm {
    /// Could it go ahead now (if only to find the channel disconnected)?
    fn is_ready(&self) -> bool;
    /// What tells that it might have become ready, in a simulation.
    fn wait_key(&self) -> Option<Key>;
    /// Adds the operation to one of the real engine's. Says whether it is one that can be added.
    fn add_to<'s>(&'s self, select: &mut crossbeam_channel::Select<'s>) -> bool;
    /// When time makes it ready.
    fn due(&self) -> Option<Instant>;
    /// This task was woken for it, perhaps, and does something else: somebody else may want it.
    fn pass_on(&self);
}

impl<T> Arm for Receiver<T> {
    fn is_ready(&self) -> bool {
        match &self.source {
            Source::Queue(queue) => queue.can_take(),
            Source::Timer(timer) => timer.due().is_some_and(|due| due <= Instant::now()),
            // Among the real ones `crossbeam` selects.
            Source::Real(_) | Source::Never => false,
        }
    }

    fn wait_key(&self) -> Option<Key> {
        self.key()
    }

    fn add_to<'s>(&'s self, select: &mut crossbeam_channel::Select<'s>) -> bool {
        if let Source::Real(receive) = &self.source {
            select.recv(receive);
        }
        matches!(self.source, Source::Real(_))
    }

    fn due(&self) -> Option<Instant> {
        Receiver::due(self)
    }

    fn pass_on(&self) {
        if let Source::Queue(queue) = &self.source
            && queue.can_take()
        {
            queue.wake_receiver();
        }
    }
}

impl<T> Arm for Sender<T> {
    fn is_ready(&self) -> bool {
        match &self.target {
            Target::Queue(queue) => queue.can_put(),
            Target::Real(_) => false, // `crossbeam` selects among these
        }
    }

    fn wait_key(&self) -> Option<Key> {
        match &self.target {
            Target::Queue(queue) => Some(queue.send_key()),
            Target::Real(_) => None,
        }
    }

    fn add_to<'s>(&'s self, select: &mut crossbeam_channel::Select<'s>) -> bool {
        if let Target::Real(send) = &self.target {
            select.send(send);
        }
        matches!(self.target, Target::Real(_))
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn pass_on(&self) {
        if let Target::Queue(queue) = &self.target
            && queue.can_put()
        {
            queue.wake_senders();
        }
    }
}

impl<'a> Select<'a> {
    /// No operations yet.
    pub fn new() -> Self {
        Select::default()
    }

    /// Adds a receive operation, and returns its index.
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.arms.push(receiver);
        self.arms.len() - 1
    }

    /// Adds a send operation, and returns its index.
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.arms.push(sender);
        self.arms.len() - 1
    }

    /// Blocks until one can go ahead; of several, the schedule chooses.
    ///
    /// The operation must then be completed with [`SelectedOperation::recv`] or
    /// [`SelectedOperation::send`], at once.
    ///
    /// # Panics
    ///
    /// If there is no operation to wait for, or if this task is being unwound.
    #[track_caller]
    pub fn select(&mut self) -> SelectedOperation<'_> {
        assert!(!self.arms.is_empty(), "no operations have been added to `Select`");
        self.select_until(None, Location::caller()).expect("a destructor must not block in select")
    }

    /// As [`select`](Self::select), without waiting.
    ///
    /// # Errors
    ///
    /// [`TrySelectError`] if none can go ahead now.
    #[track_caller]
    pub fn try_select(&mut self) -> Result<SelectedOperation<'_>, TrySelectError> {
        task::preemption_point();
        if mode() == Mode::Real {
            let now = Some(Instant::now());
            return self.select_really(now).ok_or(TrySelectError);
        }
        self.ready().ok_or(TrySelectError)
    }

    /// As [`select`](Self::select), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`SelectTimeoutError`] if none could go ahead in time.
    #[track_caller]
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'_>, SelectTimeoutError> {
        self.select_until(Some(Instant::now() + timeout), Location::caller())
            .ok_or(SelectTimeoutError)
    }

    fn select_until(
        &mut self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Option<SelectedOperation<'_>> {
        task::preemption_point();
        if mode() == Mode::Real {
            return self.select_really(deadline);
        }
        let mut late = false;
        loop {
            if let Some(chosen) = self.ready() {
                return Some(chosen);
            }
            if late {
                return None;
            }
            let keys: Vec<Key> = self.arms.iter().filter_map(|arm| arm.wait_key()).collect();
            let due = self.arms.iter().filter_map(|arm| arm.due()).chain(deadline).min();
            let what = "one of several channel operations";
            let until = due.map(Instant::to_true);
            match park(&Park { what, keys: &keys, deadline: until, location }) {
                Woken::Notified => {}
                Woken::TimedOut => late = deadline.is_some_and(|limit| limit <= Instant::now()),
                Woken::Refused => return None,
            }
        }
    }

    /// In the real engine `crossbeam` selects, and what only time makes ready is looked at here.
    fn select_really(&mut self, deadline: Option<Instant>) -> Option<SelectedOperation<'_>> {
        self.kills = real::kills();
        loop {
            if let Some(chosen) = self.ready() {
                return Some(chosen);
            }
            let due = self.arms.iter().filter_map(|arm| arm.due()).chain(deadline).min();
            let mut added = Vec::new();
            let chosen = real::select(&self.kills, due.map(Instant::to_wall), |select| {
                added = (0..self.arms.len()).filter(|&arm| self.arms[arm].add_to(select)).collect();
            });
            if let Some(chosen) = chosen {
                let index = added[chosen.index()];
                return Some(SelectedOperation { index, real: Some(chosen) });
            }
            if std::thread::panicking() || deadline.is_some_and(|limit| limit <= Instant::now()) {
                return self.ready();
            }
        }
    }

    fn ready(&self) -> Option<SelectedOperation<'_>> {
        let ready: Vec<usize> = (0..self.arms.len()).filter(|&i| self.arms[i].is_ready()).collect();
        let index = match ready.len() {
            0 => return None,
            1 => ready[0],
            n => ready[choose(n)],
        };
        for (other, arm) in self.arms.iter().enumerate() {
            if other != index {
                arm.pass_on();
            }
        }
        Some(SelectedOperation { index, real: None })
    }
}

/// One of `n` operations that are ready.
fn choose(n: usize) -> usize {
    match mode() {
        Mode::Real => real::with_node_rng(|rng| rng.random_range(0..n)),
        Mode::Observing => observe::give_up(),
        Mode::Simulated | Mode::Outside => kernel::with(|kernel| kernel.choose(n)),
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select({} operations)", self.arms.len())
    }
}

/// An operation that can go ahead, and must be completed.
#[derive(Debug)]
#[must_use = "the operation must be completed"]
pub struct SelectedOperation<'s> {
    index: usize,
    /// In the real engine: what has been selected and must be completed.
    real: Option<crossbeam_channel::SelectedOperation<'s>>,
}

impl SelectedOperation<'_> {
    /// Which one: as returned when it was added.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Completes a receive on the receiver it was added with.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the channel is disconnected.
    #[track_caller]
    pub fn recv<T>(self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        if let (Some(chosen), Source::Real(receive)) = (self.real, &receiver.source) {
            return chosen.recv(receive).map_err(|_| RecvError);
        }
        match receiver.try_take() {
            Ok(message) => Ok(message),
            Err(super::TryRecvError::Disconnected) => Err(RecvError),
            // Not completed at once, so that somebody else has the message.
            Err(super::TryRecvError::Empty) => receiver.recv(),
        }
    }

    /// Completes a send on the sender it was added with.
    ///
    /// # Errors
    ///
    /// [`SendError`] if no receiver is left.
    #[track_caller]
    pub fn send<T>(self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        if let (Some(chosen), Target::Real(send)) = (self.real, &sender.target) {
            return chosen.send(send, message).map_err(|e| SendError(e.0));
        }
        match sender.try_put(message) {
            Ok(()) => Ok(()),
            Err(super::TrySendError::Disconnected(message)) => Err(SendError(message)),
            Err(super::TrySendError::Full(message)) => sender.send(message),
        }
    }
}

/// Waits for the first of several channel operations and runs the code beside it.
///
/// ```
/// # labrt::sim::run(labrt::sim::Config::with_seed(1), || {
/// use labrt::channel::{bounded, select};
/// use std::time::Duration;
///
/// let (send, receive) = bounded(1);
/// send.send(7).unwrap();
/// let got = select! {
///     recv(receive) -> message => message.unwrap(),
///     default(Duration::from_millis(5)) => 0,
/// };
/// assert_eq!(got, 7);
/// # }).result.unwrap();
/// ```
///
/// Arms are `recv(receiver) -> pattern => code`, `send(sender, value) -> pattern => code`, and at
/// the end perhaps `default => code` (if none can go ahead now) or `default(timeout) => code`. The
/// pattern gets the `Result` of the operation. Of several that can go ahead the schedule chooses.
#[macro_export]
macro_rules! select {
    ($($arms:tt)*) => {{
        #[allow(unused_mut, reason = "a select may have nothing but a default")]
        let mut select = $crate::channel::Select::new();
        $crate::__select_arm!(select [] $($arms)*)
    }};
}

/// The parts of [`select!`](crate::select!), one arm after the other.
#[doc(hidden)]
#[macro_export]
macro_rules! __select_arm {
    // All arms are added: wait, and complete the one that was chosen.
    ($select:ident [$($done:tt)*]) => {
        $crate::__select_run!(($select.select()) $($done)*)
    };
    ($select:ident [$($done:tt)*] default => $body:expr $(,)?) => {
        match $select.try_select() {
            Ok(chosen) => $crate::__select_run!((chosen) $($done)*),
            Err(_) => $body,
        }
    };
    ($select:ident [$($done:tt)*] default($timeout:expr) => $body:expr $(,)?) => {
        match $select.select_timeout($timeout) {
            Ok(chosen) => $crate::__select_run!((chosen) $($done)*),
            Err(_) => $body,
        }
    };
    // A block may stand without a comma after it, other code may not.
    ($select:ident [$($done:tt)*] recv($channel:expr) -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select_add!($select [$($done)*] (recv $channel) ($result) ($body) $($rest)*)
    };
    ($select:ident [$($done:tt)*] recv($channel:expr) -> $result:pat => $body:expr) => {
        $crate::__select_add!($select [$($done)*] (recv $channel) ($result) ($body))
    };
    ($select:ident [$($done:tt)*] recv($channel:expr) -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select_add!($select [$($done)*] (recv $channel) ($result) ($body) $($rest)*)
    };
    ($select:ident [$($done:tt)*] send($channel:expr, $value:expr) -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select_add!($select [$($done)*] (send $channel, $value) ($result) ($body) $($rest)*)
    };
    ($select:ident [$($done:tt)*] send($channel:expr, $value:expr) -> $result:pat => $body:expr) => {
        $crate::__select_add!($select [$($done)*] (send $channel, $value) ($result) ($body))
    };
    ($select:ident [$($done:tt)*] send($channel:expr, $value:expr) -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select_add!($select [$($done)*] (send $channel, $value) ($result) ($body) $($rest)*)
    };
}

/// Adds one arm to the `Select`, and remembers how to complete it.
#[doc(hidden)]
#[macro_export]
macro_rules! __select_add {
    // The comma after a block.
    ($select:ident [$($done:tt)*] $operation:tt $result:tt $body:tt , $($rest:tt)*) => {
        $crate::__select_add!($select [$($done)*] $operation $result $body $($rest)*)
    };
    ($select:ident [$($done:tt)*] (recv $channel:expr) $result:tt $body:tt $($rest:tt)*) => {
        match &$channel { channel => {
            let index = $select.recv(channel);
            $crate::__select_arm!($select [$($done)* (index (recv channel) $result $body)] $($rest)*)
        }}
    };
    ($select:ident [$($done:tt)*] (send $channel:expr, $value:expr) $result:tt $body:tt $($rest:tt)*) => {
        match &$channel { channel => {
            let index = $select.send(channel);
            $crate::__select_arm!($select [$($done)* (index (send channel, $value) $result $body)] $($rest)*)
        }}
    };
}

/// Completes the chosen operation.
#[doc(hidden)]
#[macro_export]
macro_rules! __select_run {
    (($chosen:expr) $(($index:ident ($operation:ident $channel:ident $(, $value:expr)?) ($result:pat) ($body:expr)))*) => {{
        let chosen = $chosen;
        $(if chosen.index() == $index {
            let $result = chosen.$operation($channel $(, $value)?);
            $body
        } else)* {
            unreachable!("one of the operations was chosen")
        }
    }};
}
