//! Waiting for the first of several channel operations that can go ahead.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;

use super::rendezvous::{Claim, Side};
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
    /// In a simulation, on a channel of capacity 0: waits with this claim, as its operation `arm`. Says
    /// whether it is such a channel.
    fn register(&self, claim: &Arc<Claim>, arm: usize) -> bool;
    /// Waits no longer. What was claimed of the operation `arm` is going to be completed.
    fn unregister(&self, claim: &Arc<Claim>, arm: Option<usize>);
    /// This is what is going to be completed: a partner that waits must not go away. Says whether there
    /// is one.
    fn begin(&self, claim: &Arc<Claim>) -> bool;
    /// What was begun, or claimed, is not completed.
    fn give_up(&self, claim: &Arc<Claim>);
}

impl<T> Arm for Receiver<T> {
    fn is_ready(&self) -> bool {
        match &self.source {
            Source::Queue(queue) => queue.can_take(),
            Source::Rendezvous(channel) => channel.is_ready(Side::Receiving),
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

    fn register(&self, claim: &Arc<Claim>, arm: usize) -> bool {
        if let Source::Rendezvous(channel) = &self.source {
            channel.register(Side::Receiving, claim, arm);
        }
        matches!(self.source, Source::Rendezvous(_))
    }

    fn unregister(&self, claim: &Arc<Claim>, arm: Option<usize>) {
        if let Source::Rendezvous(channel) = &self.source {
            channel.unregister(Side::Receiving, claim, arm);
        }
    }

    fn begin(&self, claim: &Arc<Claim>) -> bool {
        matches!(&self.source, Source::Rendezvous(channel) if channel.begin(Side::Receiving, claim))
    }

    fn give_up(&self, claim: &Arc<Claim>) {
        if let Source::Rendezvous(channel) = &self.source {
            channel.give_up(Side::Receiving, claim);
        }
    }
}

impl<T> Arm for Sender<T> {
    fn is_ready(&self) -> bool {
        match &self.target {
            Target::Queue(queue) => queue.can_put(),
            Target::Rendezvous(channel) => channel.is_ready(Side::Sending),
            Target::Real(_) => false, // `crossbeam` selects among these
        }
    }

    fn wait_key(&self) -> Option<Key> {
        match &self.target {
            Target::Queue(queue) => Some(queue.send_key()),
            Target::Rendezvous(_) | Target::Real(_) => None,
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

    fn register(&self, claim: &Arc<Claim>, arm: usize) -> bool {
        if let Target::Rendezvous(channel) = &self.target {
            channel.register(Side::Sending, claim, arm);
        }
        matches!(self.target, Target::Rendezvous(_))
    }

    fn unregister(&self, claim: &Arc<Claim>, arm: Option<usize>) {
        if let Target::Rendezvous(channel) = &self.target {
            channel.unregister(Side::Sending, claim, arm);
        }
    }

    fn begin(&self, claim: &Arc<Claim>) -> bool {
        matches!(&self.target, Target::Rendezvous(channel) if channel.begin(Side::Sending, claim))
    }

    fn give_up(&self, claim: &Arc<Claim>) {
        if let Target::Rendezvous(channel) = &self.target {
            channel.give_up(Side::Sending, claim);
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
            let mut keys: Vec<Key> = self.arms.iter().filter_map(|arm| arm.wait_key()).collect();
            let waiting = Waiting::new(&self.arms, &mut keys);
            let due = self.arms.iter().filter_map(|arm| arm.due()).chain(deadline).min();
            let what = "one of several channel operations";
            let until = due.map(Instant::to_true);
            let woken = park(&Park { what, keys: &keys, deadline: until, location });
            if let Some((index, claim)) = waiting.claimed() {
                return Some(self.chosen(index, Some(claim)));
            }
            match woken {
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
                return Some(SelectedOperation { index, real: Some(chosen), begun: None });
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
        let claim = Claim::new();
        let begun = self.arms[index].begin(&claim);
        Some(self.chosen(index, begun.then_some(claim)))
    }

    /// The operation with this index goes ahead; another task may want what this one was woken for.
    fn chosen(&self, index: usize, claim: Option<Arc<Claim>>) -> SelectedOperation<'_> {
        for (other, arm) in self.arms.iter().enumerate() {
            if other != index {
                arm.pass_on();
            }
        }
        let begun = claim.map(|claim| Begun { arm: self.arms[index], claim });
        SelectedOperation { index, real: None, begun }
    }
}

/// The operations of a `select!` wait on the channels of capacity 0, until this is dropped.
struct Waiting<'s, 'a> {
    arms: &'s [&'a dyn Arm],
    claim: Option<Arc<Claim>>,
}

impl<'s, 'a> Waiting<'s, 'a> {
    /// Adds the key to wait on if there is such a channel.
    fn new(arms: &'s [&'a dyn Arm], keys: &mut Vec<Key>) -> Self {
        let claim = Claim::new();
        let mut is_needed = false;
        for (index, arm) in arms.iter().enumerate() {
            is_needed |= arm.register(&claim, index);
        }
        if is_needed {
            keys.push(claim.key());
        }
        Waiting { arms, claim: is_needed.then_some(claim) }
    }

    /// The operation that has met its partner meanwhile; it must be completed.
    fn claimed(mut self) -> Option<(usize, Arc<Claim>)> {
        let index = self.claim.as_ref()?.claimed()?;
        let claim = self.claim.take()?;
        unregister(self.arms, &claim, Some(index));
        Some((index, claim))
    }
}

impl Drop for Waiting<'_, '_> {
    fn drop(&mut self) {
        if let Some(claim) = &self.claim {
            unregister(self.arms, claim, None);
        }
    }
}

fn unregister(arms: &[&dyn Arm], claim: &Arc<Claim>, arm: Option<usize>) {
    for other in arms {
        other.unregister(claim, arm);
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
    /// In a simulation: the partner on a channel of capacity 0.
    begun: Option<Begun<'s>>,
}

/// Two tasks have met on a channel of capacity 0, and the message is still to be handed over.
struct Begun<'s> {
    arm: &'s dyn Arm,
    claim: Arc<Claim>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.arm.give_up(&self.claim);
    }
}

impl fmt::Debug for Begun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun { .. }")
    }
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
        let location = Location::caller();
        if let (Some(begun), Source::Rendezvous(channel)) = (&self.begun, &receiver.source) {
            // If the partner is killed first, this waits for another one.
            let message = channel.complete_recv(&begun.claim, location);
            return message.map_or_else(|| receiver.recv(), Ok);
        }
        match receiver.try_take(location) {
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
        if let (Some(begun), Target::Rendezvous(channel)) = (&self.begun, &sender.target) {
            // If the partner is killed first, this waits for another one.
            return channel.complete_send(&begun.claim, message).or_else(|back| sender.send(back));
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
